package oauth

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// program is a file of test/browser that Node runs; the test fails if npm ci has not been run there.
func program(t *testing.T, file, needs string) *exec.Cmd {
	t.Helper()
	dir := filepath.Join("..", "..", "test", "browser")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", needs)); err != nil {
		t.Fatal(needs + " is missing: run npm ci in test/browser, or make test")
	}
	c := exec.Command("node", file)
	c.Dir = dir
	return c
}

func TestNodesOpenIDClientGoesThroughEveryFlow(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		spa, _ := w.add(account.Client{Kind: account.SPAClient, Redirects: []string{"https://spa.example.com/"}, Scopes: account.Scopes{account.VideosRead}})
		service, secret := w.add(account.Client{Kind: account.ServiceClient, Role: account.Editor, Scopes: account.Scopes{account.VideosRead}})
		w.web, w.secret = w.add(account.Client{Kind: account.WebClient, Redirects: []string{"https://app.example.com/cb"}, // the library repeats it without its query
			Logouts: w.web.Logouts, Scopes: account.Scopes{account.VideosRead}})
		w.signIn("ed")
		input, err := json.Marshal(map[string]any{
			"issuer": w.Issuer, "web": map[string]string{"id": w.web.ID, "secret": w.secret, "redirect": w.web.Redirects[0], "logout": w.web.Logouts[0]},
			"spa": map[string]string{"id": spa.ID, "redirect": spa.Redirects[0]}, "service": map[string]string{"id": service.ID, "secret": secret},
		})
		if err != nil {
			t.Fatal(err)
		}
		node := program(t, "openid.mjs", "openid-client")
		var complaint bytes.Buffer
		node.Stdin, node.Stderr = bytes.NewReader(input), &complaint
		text, err := node.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, complaint.String())
		}
		var got struct {
			Metadata              map[string]any
			Iss, Scope, Left      string
			Claims, Userinfo      map[string]any
			Rotated               bool
			Introspected          map[string]any
			Revoked, Afterwards   map[string]any
			SPA, Service, Refused string
		}
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.Iss != w.Issuer || got.Scope != "openid email profile offline_access videos/read" || got.Claims["sub"] != "ed" || got.Userinfo["email"] != "ed@example.com" {
			t.Errorf("%s", text)
		}
		if !got.Rotated || got.Introspected["active"] != true || got.Revoked["active"] != false || got.Afterwards["active"] != false || got.Left != "https://app.example.com/?state=bye" {
			t.Errorf("%s", text)
		}
		if got.SPA != "openid offline_access videos/read" || got.Refused != "invalid_scope" {
			t.Errorf("%s", text)
		}
		if who := w.good("the service", got.Service); who.ID != service.ID {
			t.Errorf("%+v", who)
		}
		for name, want := range map[string]string{"code_challenge_methods_supported": "S256", "response_types_supported": "code", "id_token_signing_alg_values_supported": "RS256"} {
			if list, _ := got.Metadata[name].([]any); len(list) != 1 || list[0] != want {
				t.Errorf("%s is %v", name, got.Metadata[name])
			}
		}
	})
}

// foreign is node-oidc-provider in a process of its own.
type foreign struct {
	Issuer, Audience string
}

func startForeign(t *testing.T) foreign {
	t.Helper()
	node := program(t, "issuer.mjs", "oidc-provider")
	var complaint bytes.Buffer
	node.Stderr = &complaint
	in, err := node.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := node.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = node.Wait() }) // it ends with its input
	var f foreign
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if json.Unmarshal(lines.Bytes(), &f) == nil && f.Issuer != "" {
			return f
		}
	}
	t.Fatalf("the issuer did not start: %s", complaint.String())
	return f
}

func (f foreign) stage(t *testing.T, method, path string) map[string]any {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.Issuer+"/stage/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %s %s", err, res.Status, text)
	}
	var got map[string]any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTokensOfAForeignIssuerAreTakenWhileItsKeysChange(t *testing.T) {
	t.Parallel()
	f := startForeign(t)
	var later atomic.Int64
	e := NewExternal(ExternalConfig{
		Issuer: f.Issuer, Audiences: []string{f.Audience}, RoleClaim: "roles", Roles: map[string]account.Role{"video-editors": account.Editor}, ScopeClaim: "scope", Workspaces: []string{"main"},
		Now: func() time.Time { return time.Now().Add(time.Duration(later.Load())) }, Logger: slog.New(slog.DiscardHandler),
	})
	token := func(path string) string { s, _ := f.stage(t, http.MethodGet, path)["access_token"].(string); return s }
	jane := f.stage(t, http.MethodGet, "token?sub=jane")
	first, _ := jane["access_token"].(string)
	who, err := e.as(t, first)
	if err != nil || who.Kind != account.Person || who.Role != account.Editor || who.Scopes.String() != "videos/read" || who.Name != "jane@example.com" || !strings.HasPrefix(who.ID, "oidc:") {
		t.Fatalf("%+v %v", who, err)
	}
	if id, _ := jane["id_token"].(string); id == "" {
		t.Error("no ID token")
	} else if _, err := e.as(t, id); err == nil || fault.Of(err).Code != "invalid_token" {
		t.Errorf("an ID token: %v", err)
	}
	if _, err := e.as(t, token("token?sub=joe")); err == nil || fault.Of(err).Code != "no_role" {
		t.Errorf("somebody without a role: %v", err)
	}
	e.DefaultRole = account.Viewer
	if who, err := e.as(t, token("token")); err != nil || who.Kind != account.Service || who.Role != account.Viewer {
		t.Errorf("a machine: %+v %v", who, err)
	}
	f.stage(t, http.MethodPost, "rotate")
	next := token("token?sub=jane")
	a, _ := parts(t, first)
	if b, _ := parts(t, next); a["kid"] == b["kid"] {
		t.Fatal("the key is the same")
	}
	later.Add(int64(keysAgain))
	for what, one := range map[string]string{"of the new key": next, "of the old key": first} {
		if _, err := e.as(t, one); err != nil {
			t.Errorf("a token %s: %v", what, err)
		}
	}
	f.stage(t, http.MethodPost, "forget")
	later.Add(int64(keysFresh))
	if _, err := e.as(t, first); err == nil || fault.Of(err).Code != "invalid_token" {
		t.Errorf("of a key that was taken back: %v", err)
	}
	if _, err := e.as(t, next); err != nil {
		t.Errorf("of the new key: %v", err)
	}
}

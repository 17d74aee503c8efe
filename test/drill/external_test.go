package drill

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"sluice/test/rig"
)

// startIssuer starts an issuer that signs anybody in, and returns its address. A code of it is the nonce of who asked, and good once.
func startIssuer(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	used, at := map[string]bool{}, ""
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var said any
		switch r.URL.Path {
		case "/keys":
			said = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}}}
		case "/token":
			mu.Lock()
			code := r.PostFormValue("code")
			twice := used[code]
			used[code] = true
			mu.Unlock()
			if twice {
				w.WriteHeader(http.StatusBadRequest)
				said = map[string]string{"error": "invalid_grant"}
				break
			}
			token, err := jwt.Signed(signer).Claims(map[string]any{"iss": at, "sub": "jane", "aud": "house", "nonce": code, "email": "jane@example.com",
				"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix()}).Serialize()
			if err != nil {
				t.Error(err)
			}
			said = map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": token}
		case "/tell": // what it would tell of everybody who signs out, by whoever asks
			token, err := jwt.Signed(signer).Claims(map[string]any{"iss": at, "sub": "jane", "aud": "house", "jti": r.FormValue("jti"), "iat": time.Now().Unix(),
				"exp": time.Now().Add(time.Minute).Unix(), "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}).Serialize()
			if err != nil {
				t.Error(err)
			}
			said = map[string]string{"logout_token": token}
		default:
			said = map[string]string{"issuer": at, "jwks_uri": at + "/keys", "authorization_endpoint": at + "/auth", "token_endpoint": at + "/token"}
		}
		_ = json.NewEncoder(w).Encode(said)
	}))
	t.Cleanup(s.Close)
	at = s.URL
	return at
}

// TestAKillWhileAnotherIssuerSignsSomebodyInLeavesThemInOrOut is the story of a server whose people another issuer signs in.
func TestAKillWhileAnotherIssuerSignsSomebodyInLeavesThemInOrOut(t *testing.T) {
	beside(t)
	for name, ground := range grounds() {
		for _, point := range pointsOf(externalMoves) {
			if !*full && strings.HasSuffix(point, ".before") {
				continue
			}
			t.Run(name+" "+point, func(t *testing.T) { entered(t, point, ground) })
		}
	}
}

func entered(t *testing.T, point string, g ground) {
	met := filepath.Join(t.TempDir(), "met")
	issuer := startIssuer(t)
	o := rig.Options{Tags: "drill", Args: []string{"--oidc-issuer", issuer, "--oidc-client-id", "house", "--oidc-clients", "house", "--oidc-default-role", "viewer"},
		Env: []string{"SLUICE_FAILPOINT=" + point, "SLUICE_FAILED=" + met}}
	world := g(t, &o)
	k := rig.Keep(t, o)
	k.Revive(time.Minute)
	l := openLedger(t, k, world(k).Database)
	operator, jane := bearing(t, k, k.Token), newPerson(t, k, "")
	enter := func() (a answer) {
		for range 6 {
			to, err := url.Parse(jane.ask(http.MethodGet, "/oauth/external/login", nil).header.Get("Location"))
			if err != nil {
				t.Fatal(err)
			}
			a = jane.ask(http.MethodGet, "/oauth/external/callback?"+url.Values{"code": {to.Query().Get("nonce")}, "state": {to.Query().Get("state")}}.Encode(), nil)
			if !a.lost { // else the code is spent, whatever came of it
				break
			}
		}
		return a
	}
	for range 2 { // the second makes no other account
		if a := enter(); a.status != http.StatusSeeOther {
			t.Fatalf("%d %s", a.status, a.raw)
		}
	}
	l.note("she is signed in", func() string {
		if a := jane.ask(http.MethodGet, "/v1/session", nil); a.status != http.StatusOK {
			return a.raw
		}
		return ""
	})
	l.look(true)
	if n := len(l.rows(`SELECT id FROM account WHERE id LIKE 'oidc:%'`)); n != 1 {
		t.Errorf("%d accounts", n)
	}
	// She signs out there, which the issuer tells until it is heard.
	l.drop("she is")
	token := newPerson(t, k, "").must(http.MethodGet, issuer+"/tell?jti="+rand.Text(), nil, http.StatusOK).text("logout_token")
	tell := func() answer {
		return newPerson(t, k, "").ask(http.MethodPost, "/oauth/external/logout", url.Values{"logout_token": {token}})
	}
	if a := tell(); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	gone := jane
	l.dead("who has signed out at the issuer", func() answer { return gone.ask(http.MethodGet, "/v1/sessions", nil) })
	jane = newPerson(t, k, "")
	if a := enter(); a.status != http.StatusSeeOther {
		t.Fatalf("%d %s", a.status, a.raw)
	}
	if a := tell(); a.status != http.StatusOK { // it was heard: this is of another session
		t.Fatalf("%d %s", a.status, a.raw)
	}
	l.note("she is signed in again", func() string {
		if a := jane.ask(http.MethodGet, "/v1/session", nil); a.status != http.StatusOK {
			return a.raw
		}
		return ""
	})
	id := operator.found("/v1/users", "email", "jane@example.com")
	operator.must(http.MethodPatch, "/v1/users/"+id, map[string]any{"state": "disabled"}, http.StatusOK)
	l.drop("she is")
	l.dead("somebody who was disabled", func() answer { return jane.ask(http.MethodGet, "/v1/sessions", nil) })
	l.dead("a sign-in of somebody who was disabled", enter)
	l.end()
	if noted, err := os.ReadFile(met); err != nil || !slices.Contains(strings.Fields(string(noted)), point) {
		t.Errorf("the point %s was never met: %v", point, err)
	}
	injected(t, 1)
	if err := k.Stop(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
}

package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"sluice/internal/engine/enginetest"
	"sluice/internal/signing"
	"sluice/test/rig"
)

// kept is what people, programs and pages hold of an installation that is about to be served from elsewhere, and what was taken from them.
type kept struct {
	t               *testing.T
	s               *rig.Server // the one that serves now
	admin           *browser
	ada, out        *browser // a session, and one that was ended
	token, revoked  string   // personal tokens
	client, secret  string
	access, refresh string
	over            string // a refresh token of a family that has ended
	invited         []string
	app             string   // the secret of eve's second factor
	spare           []string // her recovery codes
	video           string
	open, shut      map[string]string // addresses at the edge that are good, and no more
	cookies         string
	plain           string // what they are for
	pair            string // the key pair that signs
}

const verifierText = "a-verifier-of-forty-three-characters-at-least-0"

// tokens asks the token endpoint as the program.
func (k *kept) tokens(form url.Values) (status int, said map[string]any) {
	k.t.Helper()
	form.Set("client_id", k.client)
	form.Set("client_secret", k.secret)
	res, err := http.PostForm(k.s.URL+"/oauth/token", form)
	if err != nil {
		k.t.Fatal(err)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(res.Body).Decode(&said); err != nil {
		k.t.Fatal(err)
	}
	return res.StatusCode, said
}

// authorize signs ada in at the program.
func (k *kept) authorize() (access, refresh string) {
	k.t.Helper()
	sum := sha256.Sum256([]byte(verifierText))
	at := k.s.URL + "/oauth/authorize?" + url.Values{"response_type": {"code"}, "client_id": {k.client}, "redirect_uri": {"http://127.0.0.1/back"}, "scope": {"openid offline_access videos/read"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
	stay := k.ada.http
	stay.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := stay.Get(at)
	if err != nil {
		k.t.Fatal(err)
	}
	_ = res.Body.Close()
	to, err := url.Parse(res.Header.Get("Location"))
	if err != nil || to.Query().Get("code") == "" {
		k.t.Fatalf("%d %s", res.StatusCode, res.Header.Get("Location"))
	}
	status, said := k.tokens(url.Values{"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"http://127.0.0.1/back"}, "code_verifier": {verifierText}})
	if status != http.StatusOK {
		k.t.Fatal(status, said)
	}
	return said["access_token"].(string), said["refresh_token"].(string)
}

// hold has people, programs and pages get all that they can hold, and takes some of it back.
func hold(t *testing.T, s *rig.Server) *kept {
	t.Helper()
	k := &kept{t: t, s: s, admin: browse(t, s), ada: browse(t, s), out: browse(t, s), open: map[string]string{}, shut: map[string]string{}}
	k.admin.token = s.Token
	k.people()
	k.programs()
	k.watching()
	return k
}

// code is what the app shows so far from now.
func (k *kept) code(off time.Duration) string {
	k.t.Helper()
	code, err := totp.GenerateCode(k.app, time.Now().Add(off))
	if err != nil {
		k.t.Fatal(err)
	}
	return code
}

func (k *kept) people() {
	t, admin := k.t, k.admin
	admin.must(201, "", "POST", "/v1/workspaces", `{"id":"films","name":"Films"}`)
	letter := func(user string) string {
		for _, one := range admin.must(200, "", "GET", "/v1/outbox/letters?state=waiting", "")["items"].([]any) {
			if l := one.(map[string]any); l["user"] == user {
				secret, _ := admin.must(200, "", "GET", fmt.Sprintf("/v1/outbox/letters/%v", l["id"]), "")["secret"].(string)
				return secret
			}
		}
		return ""
	}
	ada := admin.must(201, "", "POST", "/v1/users", `{"email":"ada@example.com","role":"editor","workspaces":["main","films"]}`)["id"].(string)
	temp := letter(ada)
	k.ada.signIn(201, "ada@example.com", temp)
	k.ada.must(200, "", "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, temp, own))
	k.out.signIn(201, "ada@example.com", own)
	k.token = k.ada.must(201, "", "POST", "/v1/tokens", `{"name":"kept","scopes":["videos/read"]}`)["token"].(string)
	gone := k.ada.must(201, "", "POST", "/v1/tokens", `{"name":"gone","scopes":["videos/read"]}`)
	k.revoked = gone["token"].(string)
	k.ada.must(204, "", "DELETE", "/v1/tokens/"+gone["id"].(string), "")
	k.ada.must(204, "", "DELETE", "/v1/sessions", "")
	for _, name := range []string{"bo", "cy"} { // their letters still wait
		id := admin.must(201, "", "POST", "/v1/users", fmt.Sprintf(`{"email":"%s@example.com","role":"viewer"}`, name))["id"].(string)
		k.invited = append(k.invited, letter(id))
	}
	eve := admin.must(201, "", "POST", "/v1/users", `{"email":"eve@example.com","role":"viewer"}`)["id"].(string)
	her, first := browse(t, k.s), letter(eve)
	her.signIn(201, "eve@example.com", first)
	her.must(200, "", "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, first, own))
	k.app = her.must(201, "", "POST", "/v1/factor", `{}`)["secret"].(string)
	for _, code := range her.must(200, "", "POST", "/v1/factor/confirm", fmt.Sprintf(`{"code":%q}`, k.code(0)))["recovery_codes"].([]any) {
		k.spare = append(k.spare, code.(string))
	}
	dan := admin.must(201, "", "POST", "/v1/users", `{"email":"dan@example.com","role":"viewer"}`)["id"].(string)
	k.invited = append(k.invited, letter(dan))
	admin.must(200, "", "PATCH", "/v1/users/"+dan, `{"state":"disabled"}`)
	if len(k.invited) != 3 || k.invited[0] == "" {
		t.Fatalf("%q", k.invited)
	}
}

func (k *kept) programs() {
	c := k.admin.must(201, "", "POST", "/v1/clients", `{"name":"Tool","kind":"web","redirects":["http://127.0.0.1/back"],"scopes":["videos/read"]}`)
	k.client, k.secret = c["id"].(string), c["secret"].(string)
	k.access, k.refresh = k.authorize()
	_, k.over = k.authorize()
	res, err := http.PostForm(k.s.URL+"/oauth/revoke", url.Values{"client_id": {k.client}, "client_secret": {k.secret}, "token": {k.over}})
	if err != nil || res.StatusCode != http.StatusOK {
		k.t.Fatal(res, err)
	}
	_ = res.Body.Close()
}

func (k *kept) watching() {
	t, s := k.t, k.s
	k.video = s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := s.Await(k.video, 2*time.Minute)
	k.plain = v.Playback.HLS
	private, err := signing.Make(signing.ECDSAP256, signing.SHA256, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	text, err := private.PrivatePEM()
	if err != nil {
		t.Fatal(err)
	}
	var brought struct{ ID string }
	if status := s.Call("POST", "/v1/key-pairs", map[string]any{"pem": string(text)}, &brought); status != http.StatusCreated {
		t.Fatal(status)
	}
	k.pair = brought.ID
	ended, err := signing.Make(signing.ECDSAP256, signing.SHA256, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if text, err = ended.PrivatePEM(); err != nil {
		t.Fatal(err)
	}
	if status := s.Call("POST", "/v1/key-pairs", map[string]any{"pem": string(text)}, &brought); status != http.StatusCreated {
		t.Fatal(status)
	}
	if status := s.Call("POST", "/v1/key-pairs/"+brought.ID+"/retire", map[string]any{"after": 0}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	mine, err := private.SignCanned(k.plain, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := ended.SignCanned(k.plain, time.Now().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	k.open["signed elsewhere"], k.shut["signed by a key pair that is retired"] = mine.SignedURL(k.plain), theirs.SignedURL(k.plain)
	for what, in := range map[string]map[string]any{
		"a manifest": {"video": k.video}, "with a cap": {"video": k.video, "max_resolution": 240}, "a file": {"video": k.video, "way": "url", "path": "poster.jpg"},
	} {
		var g given
		if status := s.Call("POST", "/v1/keys", in, &g); status != http.StatusOK {
			t.Fatal(what, status)
		}
		if k.open[what] = g.HLS; g.URL != "" {
			k.open[what] = g.URL
		}
	}
	var c, everything given
	if s.Call("POST", "/v1/keys", map[string]any{"video": k.video, "way": "cookies"}, &c) != 200 || s.Call("POST", "/v1/keys", map[string]any{"all": true}, &everything) != 200 {
		t.Fatal("no cookies")
	}
	for _, one := range c.Cookies {
		k.cookies += "; " + one.Name + "=" + one.Value
	}
	k.cookies = "Cookie: " + strings.TrimPrefix(k.cookies, "; ")
	k.open["everything, for members"] = k.plain + "?" + everything.Query
	for i, what := range []string{"a playback id", "a playback id that was revoked"} {
		var p struct{ ID, HLS string }
		if status := s.Call("POST", "/v1/videos/"+k.video+"/playbacks", map[string]any{"policy": "public"}, &p); status != http.StatusCreated {
			t.Fatal(status)
		}
		if i == 0 {
			k.open[what] = p.HLS
			continue
		}
		if k.shut[what] = p.HLS; s.Call("DELETE", "/v1/videos/"+k.video+"/playbacks/"+p.ID, nil, nil) != http.StatusNoContent {
			t.Fatal("not revoked")
		}
	}
}

// holds looks whether a server that took over serves all of that as it was. guest is which of those who were invited comes now.
func (k *kept) holds(s *rig.Server, guest int) {
	k.t.Helper()
	t := k.t
	k.s = s
	for _, b := range []*browser{k.admin, k.ada, k.out} {
		b.url = s.URL
	}
	with := func(token string) *browser {
		b := browse(t, s)
		b.token = token
		return b
	}
	if m := k.ada.must(200, "", "GET", "/v1/session", ""); m["user"].(map[string]any)["email"] != "ada@example.com" {
		t.Errorf("%v", m)
	}
	k.out.must(401, "unauthorized", "GET", "/v1/videos", "")
	browse(t, s).signIn(201, "ada@example.com", own)
	with(k.token).must(200, "", "GET", "/v1/videos", "")
	with(k.revoked).must(401, "unauthorized", "GET", "/v1/videos", "")
	browse(t, s).signIn(201, []string{"bo", "cy"}[guest]+"@example.com", k.invited[guest])
	browse(t, s).signIn(401, []string{"bo", "cy"}[guest]+"@example.com", k.invited[guest])
	browse(t, s).signIn(401, "dan@example.com", k.invited[2])
	for _, code := range []string{k.code(30 * time.Second), k.spare[guest]} {
		eve := browse(t, s)
		if m := eve.signIn(201, "eve@example.com", own); m["must_prove"] != true {
			t.Errorf("eve's second factor is gone: %v", m)
		}
		eve.must(422, "wrong_code", "POST", "/v1/session/factor", `{"code":"000000"}`)
		eve.must(201, "", "POST", "/v1/session/factor", fmt.Sprintf(`{"code":%q}`, code))
	}
	with(k.access).must(200, "", "GET", "/v1/videos", "")
	if status, said := k.tokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.refresh}}); status != http.StatusOK {
		t.Errorf("refresh: %d %v", status, said)
	}
	if status, said := k.tokens(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {k.over}}); status != http.StatusBadRequest {
		t.Errorf("a family that has ended: %d %v", status, said)
	}
	for what, address := range k.open {
		if status := fetch(t, address); status != http.StatusOK {
			t.Errorf("%s: %d", what, status)
		}
	}
	for what, address := range k.shut {
		if status := fetch(t, address); status != http.StatusForbidden {
			t.Errorf("%s: %d", what, status)
		}
	}
	if status := fetch(t, k.plain, k.cookies); status != http.StatusOK {
		t.Errorf("cookies: %d", status)
	}
	if status := fetch(t, k.plain); status != http.StatusForbidden {
		t.Errorf("nothing: %d", status)
	}
	if by := k.signer(); by != k.pair {
		t.Errorf("signed by %s, not by %s, which was brought", by, k.pair)
	}
	if n := len(k.admin.must(200, "", "GET", "/v1/workspaces", "")["items"].([]any)); n != 2 {
		t.Errorf("%d workspaces", n)
	}
	if acts := fmt.Sprint(k.admin.must(200, "", "GET", "/v1/audit?limit=200", "")["items"]); !strings.Contains(acts, "key_pair.retired") || !strings.Contains(acts, "token.revoked") || strings.Contains(acts, "keys.forgotten") {
		t.Errorf("the record: %s", acts)
	}
}

// signer is the key pair that signs a new grant.
func (k *kept) signer() string {
	var g struct {
		KeyPair string `json:"key_pair_id"`
	}
	if status := k.s.Call("POST", "/v1/keys", map[string]any{"video": k.video}, &g); status != http.StatusOK {
		k.t.Errorf("a new grant: %d", status)
	}
	return g.KeyPair
}

// TestWhatPeopleAndProgramsHoldOutlivesARestoreAndAMove restores an installation from a backup, and moves it to PostgreSQL and S3: whoever had a password, a session, a token or a signature
// has it still, and what was revoked stays so. Without what seals the private keys no server starts.
func TestWhatPeopleAndProgramsHoldOutlivesARestoreAndAMove(t *testing.T) {
	t.Parallel()
	address := rig.Address(t) // signatures and tokens name it
	args := []string{"--listen", address, "--playback", "signed"}
	start := func(data string, o rig.Options) *rig.Server {
		o.Data, o.Args, o.Env = data, append(o.Args, args...), append(o.Env, "SLUICE_PLAYBACK=signed")
		return rig.Start(t, o)
	}
	s := start(filepath.Join(t.TempDir(), "data"), rig.Options{})
	k := hold(t, s)
	backups, bare := filepath.Join(t.TempDir(), "backups"), filepath.Join(t.TempDir(), "bare")
	must(t, "backup", "--data", s.Data, backups)
	must(t, "backup", "--data", s.Data, "--no-secrets", bare)
	s.Kill()

	restored := filepath.Join(t.TempDir(), "restored")
	must(t, "restore", backups, "--data", restored)
	sealing := filepath.Join(restored, "seal.key")
	right, err := os.ReadFile(sealing)
	if err != nil {
		t.Fatal(err)
	}
	refused := func(code string, more ...string) {
		t.Helper()
		if said, ok := sluice(t, append(append([]string{"serve", "--data", restored}, args...), more...)...); ok || !strings.Contains(said, code+": ") {
			t.Errorf("want %s: %s", code, said)
		}
	}
	if err := os.Remove(sealing); err != nil {
		t.Fatal(err)
	}
	refused("seal_key_missing")
	if _, err := os.Stat(sealing); !os.IsNotExist(err) {
		t.Errorf("the refused start made a key: %v", err)
	}
	refused("seal_key_wrong", "--seal-key", "another secret than that")
	for _, text := range []string{"c29tZXRoaW5nIGVsc2UgdGhhbiB0aGF0Cg\n", "no key\n"} {
		if err := os.WriteFile(sealing, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		refused("seal_key_wrong")
	}
	if err := os.WriteFile(sealing, right, 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(restored, rig.Options{})
	k.holds(r, 0)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}

	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	told := must(t, append([]string{"move", "--data", s.Data, "--database", dsn}, storage.Flags()...)...)
	if !strings.Contains(told, "set seal_key") {
		t.Errorf("the move doesn't tell of the secret: %s", told)
	}
	elsewhere := rig.Options{Token: s.Token, Args: storage.Flags(), Env: []string{"SLUICE_DATABASE=" + dsn}}
	if said, ok := sluice(t, append(append([]string{"serve", "--data", t.TempDir(), "--database", dsn}, storage.Flags()...), args...)...); ok || !strings.Contains(said, "seal_key_required: ") {
		t.Errorf("a new folder without the secret: %s", said)
	}
	elsewhere.Env = append(elsewhere.Env, "SLUICE_SEAL_KEY="+strings.TrimSpace(string(right)))
	m := start(filepath.Join(t.TempDir(), "moved"), elsewhere)
	k.holds(m, 1)
	if err := m.Stop(); err != nil {
		t.Fatal(err)
	}

	// Where the secret is lost: what was signed stays good, and other keys sign.
	lost := filepath.Join(t.TempDir(), "lost")
	if told := must(t, "restore", bare, "--data", lost); !strings.Contains(told, "holds no seal.key") {
		t.Errorf("the restore doesn't tell of the secret: %s", told)
	}
	l := start(lost, rig.Options{Args: []string{"--forget-sealed"}})
	k.s, k.admin.url, k.admin.token = l, l.URL, l.Token
	for what, address := range k.open {
		if status := fetch(t, address); status != http.StatusOK {
			t.Errorf("without the secret, %s: %d", what, status)
		}
	}
	if by := k.signer(); by == "" || by == k.pair {
		t.Errorf("signed by %q", by)
	}
	if acts := fmt.Sprint(k.admin.must(200, "", "GET", "/v1/audit", "")["items"]); !strings.Contains(acts, "keys.forgotten") {
		t.Errorf("the record: %s", acts)
	}
	if err := l.Stop(); err != nil {
		t.Fatal(err)
	}
	start(lost, rig.Options{}) // it has a secret of its own now
}

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/notify/notifytest"
	"sluice/test/rig"
)

// browser is a client that keeps cookies, or one with a token.
type browser struct {
	t     *testing.T
	url   string
	token string
	http  http.Client
}

func browse(t *testing.T, s *rig.Server) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{t: t, url: s.URL, http: http.Client{Jar: jar}}
}

// ask sends a request with a JSON body (none where it is empty) and returns the status and what the answer's JSON says.
func (b *browser) ask(method, path, body string) (int, map[string]any) {
	b.t.Helper()
	r, err := http.NewRequest(method, b.url+path, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	res, err := b.http.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	said := map[string]any{}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &said); err != nil {
			b.t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, raw)
		}
	}
	return res.StatusCode, said
}

// must wants a status, and a code where one is named.
func (b *browser) must(status int, code, method, path, body string) map[string]any {
	b.t.Helper()
	got, said := b.ask(method, path, body)
	if got != status || code != "" && said["code"] != code {
		b.t.Fatalf("%s %s: %d %v, want %d %s", method, path, got, said, status, code)
	}
	return said
}

func (b *browser) signIn(status int, email, password string) map[string]any {
	b.t.Helper()
	return b.must(status, "", "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
}

const own = "marmalade turnip orbit 77" // a password that nobody guesses

// office starts a mail server and returns it with the options of a Sluice that uses it.
func office(t *testing.T, how notifytest.Options) (*notifytest.Office, rig.Options) {
	t.Helper()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	authority, err := notifytest.NewAuthority(ca)
	if err != nil {
		t.Fatal(err)
	}
	o := notifytest.Start(t, authority, how)
	return o, rig.Options{
		Args: []string{"--smtp-host", "localhost", "--smtp-port", strconv.Itoa(o.Port), "--smtp-from", "sluice@example.com", "--smtp-user", notifytest.User},
		Env:  []string{"SLUICE_SMTP_PASSWORD=" + notifytest.Password, "SSL_CERT_FILE=" + ca},
	}
}

var (
	firstPassword = regexp.MustCompile(`E-mail\s+root@example.com\s+Password\s+(\S+)`)

	temporary = regexp.MustCompile(`Temporary password: (\S{43})`)
	resetLink = regexp.MustCompile(`#/reset\?code=([\w-]{43})`)
)

// plain undoes what quoted-printable (RFC 2045 §6.7) does to ASCII.
func plain(raw []byte) string {
	return strings.ReplaceAll(strings.ReplaceAll(string(raw), "=\r\n", ""), "=3D", "=")
}

// find returns what a letter to an address says, the newest one that matches.
func find(t *testing.T, o *notifytest.Office, to string, what *regexp.Regexp, after int) (secret string, letters int) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := o.Letters()
		for i := len(all) - 1; i >= after; i-- {
			if m := what.FindStringSubmatch(plain(all[i].Raw)); m != nil && all[i].To == to {
				return m[1], len(all)
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("no letter to %s says %s; there are %d", to, what, len(all))
		}
	}
}

func TestAnInvitationIsALetterAChallengeAndThenTheLibrary(t *testing.T) {
	t.Parallel()
	o, options := office(t, notifytest.Options{})
	s := rig.Start(t, options)
	admin := browse(t, s)
	admin.token = s.Token
	ada := admin.must(201, "", "POST", "/v1/users", `{"email":"Ada@example.com","name":"Ada","role":"editor"}`)
	first, n := find(t, o, "Ada@example.com", temporary, 0)
	admin.must(200, "", "POST", "/v1/users/"+ada["id"].(string)+"/invite", "")
	second, n := find(t, o, "Ada@example.com", temporary, n)

	page := browse(t, s)
	page.signIn(401, "ada@example.com", first) // the second letter has killed it
	if m := page.signIn(201, "ada@example.com", second); m["must_change"] != true {
		t.Fatalf("%v", m)
	}
	for _, path := range []string{"/v1/videos", "/v1/jobs", "/v1/sessions", "/v1/tokens", "/v1/workspaces", "/v1/users"} {
		page.must(403, "password_change_required", "GET", path, "")
	}
	page.must(403, "password_change_required", "POST", "/v1/tokens", `{"name":"x","scopes":["videos/read"]}`)
	if m := page.must(200, "", "GET", "/v1/session", ""); m["must_change"] != true || m["user"].(map[string]any)["state"] != "invited" {
		t.Errorf("%v", m)
	}
	browse(t, s).signIn(401, "ada@example.com", second) // once
	change := func(current, password string) string {
		return fmt.Sprintf(`{"current":%q,"password":%q}`, current, password)
	}
	page.must(422, "weak_password", "POST", "/v1/session/password", change(second, "short"))
	page.must(422, "wrong_password", "POST", "/v1/session/password", change("something else", own))
	if m := page.must(200, "", "POST", "/v1/session/password", change(second, own)); m["must_change"] != false || m["user"].(map[string]any)["state"] != "active" {
		t.Errorf("%v", m)
	}
	page.must(200, "", "GET", "/v1/videos", "")
	page.must(403, "missing_scope", "GET", "/v1/users", "")
	page.must(204, "", "DELETE", "/v1/session", "")
	page.must(401, "unauthorized", "GET", "/v1/videos", "")
	page.signIn(201, "ADA@example.com", own)

	// Forgotten: one link, once; every session ends.
	browse(t, s).must(202, "", "POST", "/v1/password/forgot", `{"email":"ada@example.com"}`)
	browse(t, s).must(202, "", "POST", "/v1/password/forgot", `{"email":"nobody@example.com"}`)
	code, _ := find(t, o, "Ada@example.com", resetLink, n)
	reset := fmt.Sprintf(`{"code":%q,"password":"%s again"}`, code, own)
	browse(t, s).must(204, "", "POST", "/v1/password/reset", reset)
	browse(t, s).must(410, "code_gone", "POST", "/v1/password/reset", reset)
	page.must(401, "unauthorized", "GET", "/v1/videos", "")
	page.signIn(401, "ada@example.com", own)
	page.signIn(201, "ada@example.com", own+" again")

	for _, letter := range admin.must(200, "", "GET", "/v1/outbox/letters", "")["items"].([]any) {
		if to := letter.(map[string]any)["address"]; to != "Ada@example.com" {
			t.Errorf("a letter to %v", to)
		}
	}
	for _, secret := range []string{first, second, code, own} {
		if strings.Contains(s.Log(), secret) {
			t.Error("the log has a secret")
		}
	}
	acts := fmt.Sprint(admin.must(200, "", "GET", "/v1/audit?user="+ada["id"].(string), "")["items"])
	for _, what := range []string{"user.invited", "user.invited_again", "sign_in.failed", "sign_in", "password.changed", "password.failed", "password.forgotten", "password.reset", "sign_out"} {
		if !strings.Contains(acts, "what:"+what+" ") && !strings.Contains(acts, "what:"+what+"]") {
			t.Errorf("no record of %s in %s", what, acts)
		}
	}
}

func TestTheFirstStartMakesAnAdministratorWhoSignsInOnce(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--admin-email", "root@example.com"}})
	printed := firstPassword.FindStringSubmatch(s.Log())
	if printed == nil {
		t.Fatalf("nothing says how to sign in:\n%s", s.Log())
	}
	page := browse(t, s)
	page.signIn(201, "root@example.com", printed[1])
	page.must(200, "", "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, printed[1], own))
	page.must(200, "", "GET", "/v1/users", "")

	// Without a mail server a letter waits where administrators read it, until what it tells is used.
	page.must(201, "", "POST", "/v1/users", `{"email":"bo@example.com","role":"viewer"}`)
	letter := page.must(200, "", "GET", "/v1/outbox/letters?state=waiting", "")["items"].([]any)[0].(map[string]any)
	at := fmt.Sprintf("/v1/outbox/letters/%v", letter["id"])
	open := page.must(200, "", "GET", at, "")
	secret, _ := open["secret"].(string)
	if !strings.Contains(open["text"].(string), "Temporary password: "+secret) {
		t.Fatalf("%v", open)
	}
	bo := browse(t, s)
	bo.signIn(201, "bo@example.com", secret)
	if used := page.must(200, "", "GET", at, ""); used["secret"] != nil || used["state"] != "void" {
		t.Errorf("used, and still there: %v", used)
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	again := rig.Start(t, rig.Options{Data: s.Data, Args: []string{"--admin-email", "root@example.com"}})
	if strings.Contains(again.Log(), "Password ") {
		t.Error("a second start prints a password")
	}
	page.url = again.URL
	page.signIn(201, "root@example.com", own)
}

func TestAnAcceptedInvitationOutlivesKill9(t *testing.T) {
	t.Parallel()
	var open sync.Mutex
	closed := true
	o, options := office(t, notifytest.Options{Rcpt: func(string) error {
		open.Lock()
		defer open.Unlock()
		if closed {
			return io.ErrUnexpectedEOF // not now
		}
		return nil
	}})
	s := rig.Start(t, options)
	admin := browse(t, s)
	admin.token = s.Token
	for i := range 5 {
		admin.must(201, "", "POST", "/v1/users", fmt.Sprintf(`{"email":"u%d@example.com","role":"viewer"}`, i))
	}
	s.Kill()
	open.Lock()
	closed = false
	open.Unlock()
	options.Data = s.Data
	again := rig.Start(t, options)
	for i := range 5 {
		secret, _ := find(t, o, fmt.Sprintf("u%d@example.com", i), temporary, 0)
		browse(t, again).signIn(201, fmt.Sprintf("u%d@example.com", i), secret)
	}
}

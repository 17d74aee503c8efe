package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

// want sends a request and compares what is said.
func (c cast) want(who caller, method, at, body, want string) reply {
	c.t.Helper()
	got := c.send(who, method, at, body)
	if got.said() != want {
		c.t.Errorf("%s %s as %s: %s, want %s: %.300s", method, at, who.name, got.said(), want, got.text)
	}
	return got
}

// sessionOf is the id of the session that a caller came with.
func (c cast) sessionOf(who caller) string {
	c.t.Helper()
	return c.done(who, "GET", "/v1/session", "").body["session"].(map[string]any)["id"].(string)
}

// What is one's own is nobody else's, whatever their role, unless they administer users.
func TestWhatIsOnesOwnIsForOneselfInABrowser(t *testing.T) {
	t.Parallel()
	c := cast{house: newHouse(t)}
	c.serves()
	c.done(c.root(), "POST", "/v1/workspaces", `{"id":"other","name":"Other"}`)
	admin := c.person(account.Admin, "main")
	for _, role := range account.Roles() {
		one := c.person(role, "main")
		second, third := c.signedIn(one), c.signedIn(one)
		key := c.personal(one, account.Scopes{account.VideosRead})
		theirs, theirKey := c.sessionOf(admin), c.done(admin, "POST", "/v1/tokens", `{"name":"theirs","scopes":["videos/read"]}`).str("id")

		listed := c.want(one, "GET", "/v1/sessions", "", "200")
		if current := strings.Count(listed.text, `"current":true`); len(listed.body["items"].([]any)) != 3 || current != 1 || strings.Contains(listed.text, theirs) {
			t.Errorf("the sessions of a %s: %s", role, listed.text)
		}
		c.want(one, "DELETE", "/v1/sessions/"+theirs, "", "404 no_session")
		c.want(one, "DELETE", "/v1/tokens/"+theirKey, "", "404 no_token")
		c.want(one, "DELETE", "/v1/sessions/"+c.sessionOf(second), "", "204")
		c.want(second, "GET", "/v1/session", "", "204")
		c.want(third, "GET", "/v1/session", "", "200")
		c.want(one, "DELETE", "/v1/sessions", "", "204")
		c.want(third, "GET", "/v1/session", "", "204")
		c.want(admin, "GET", "/v1/session", "", "200")

		c.want(key, "GET", "/v1/session", "", "200")
		keys := c.want(one, "GET", "/v1/tokens", "", "200")
		if strings.Contains(keys.text, key.token) || strings.Contains(keys.text, theirKey) || len(keys.body["items"].([]any)) != 1 {
			t.Errorf("the tokens of a %s: %s", role, keys.text)
		}
		more := map[account.Role]string{account.Admin: "201", account.Editor: "403 missing_scope", account.Viewer: "403 missing_scope"}[role]
		c.want(one, "POST", "/v1/tokens", `{"name":"more","scopes":["users/admin"]}`, more)
		for _, ask := range [][3]string{{"GET", "/v1/sessions"}, {"DELETE", "/v1/sessions"}, {"DELETE", "/v1/sessions/x"}, {"GET", "/v1/tokens"}, {"DELETE", "/v1/tokens/x"}, {"DELETE", "/v1/session"},
			{"POST", "/v1/tokens", `{"name":"x","scopes":["videos/read"]}`}, {"POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":"correct horse staple"}`, chosen)}} {
			c.want(key, ask[0], ask[1], ask[2], "403 session_required")
			if !strings.Contains(ask[1], "/session/") && ask[0] != "POST" && ask[1] != "/v1/session" && role != account.Admin {
				c.want(one, ask[0], ask[1]+"?user="+admin.who.ID, "", "403 missing_scope")
				c.want(key, ask[0], ask[1]+"?user="+admin.who.ID, "", "403 missing_scope")
			}
		}
		c.want(one, "DELETE", "/v1/tokens/"+keys.body["items"].([]any)[0].(map[string]any)["id"].(string), "", "204")
		c.want(key, "GET", "/v1/session", "", "401 unauthorized")

		c.passwords(one)
	}
}

// passwords changes somebody's password, and signs out.
func (c cast) passwords(one caller) {
	c.t.Helper()
	beside := c.signedIn(one)
	c.want(one, "POST", "/v1/session/password", `{"current":"another one","password":"correct horse staple"}`, "422 wrong_password")
	c.want(one, "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":"short"}`, chosen), "422 weak_password")
	c.want(beside, "GET", "/v1/session", "", "200")
	changed := one
	changed.password = "correct horse staple"
	changed.cookie = c.want(one, "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, chosen, changed.password), "200").cookieOf()
	for _, before := range []caller{one, beside} {
		c.want(before, "GET", "/v1/session", "", "204")
	}
	c.want(caller{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, one.email, chosen), "401 sign_in_failed")
	c.want(changed, "GET", "/v1/session", "", "200")
	rotated := changed
	rotated.cookie = c.want(changed, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, one.email, changed.password), "201").cookieOf()
	c.want(changed, "GET", "/v1/session", "", "204") // a sign-in ends the session that the browser had
	if out := c.want(rotated, "DELETE", "/v1/session", "", "204"); !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		c.t.Errorf("signed out with the cookie %q", out.header.Get("Set-Cookie"))
	}
	c.want(rotated, "GET", "/v1/session", "", "204")
}

func TestATemporaryPasswordOpensOneSessionThatMayOnlyChangeIt(t *testing.T) {
	t.Parallel()
	c := cast{house: newHouse(t)}
	c.serves()
	c.person(account.Admin, "main") // or the other would be the last
	invited := c.invited(account.Admin, "main")
	signIn := fmt.Sprintf(`{"email":%q,"password":%q}`, invited.email, invited.password)
	bound := invited
	got := c.want(caller{}, "POST", "/v1/session", signIn, "201")
	if bound.cookie = got.cookieOf(); got.body["must_change"] != true {
		t.Errorf("%s", got.text)
	}
	c.want(caller{}, "POST", "/v1/session", signIn, "401 sign_in_failed")
	for _, path := range []string{"/v1/videos", "/v1/sessions", "/v1/tokens", "/v1/users", "/v1/workspaces", "/v1/sessions?user=" + invited.who.ID} {
		c.want(bound, "GET", path, "", "403 password_change_required")
	}
	c.want(bound, "GET", "/v1/session", "", "200")
	free := bound
	free.cookie = c.want(bound, "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, invited.password, chosen), "200").cookieOf()
	c.want(bound, "GET", "/v1/session", "", "204")
	c.want(free, "GET", "/v1/users", "", "200")

	// A forced reset takes all away, and begins anew.
	key := c.personal(free, account.AllScopes())
	c.want(c.root(), "POST", "/v1/users/"+invited.who.ID+"/reset", "", "200")
	c.want(free, "GET", "/v1/session", "", "204")
	c.want(key, "GET", "/v1/session", "", "401 unauthorized")
	again := c.signedIn(caller{name: "who was reset", email: invited.email, password: c.letter(account.ForcedLetter, invited.who.ID)})
	c.want(again, "GET", "/v1/users", "", "403 password_change_required")

	c.want(c.root(), "PATCH", "/v1/users/"+invited.who.ID, `{"state":"disabled"}`, "200")
	c.want(again, "GET", "/v1/session", "", "204")
	c.want(caller{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, invited.email, chosen), "401 sign_in_failed")
}

func TestWhatOneGaveAProgramOneSeesAndTakesBack(t *testing.T) {
	t.Parallel()
	c := cast{house: newHouse(t)}
	c.serves()
	admin, one, another := c.person(account.Admin, "main"), c.person(account.Editor, "main"), c.person(account.Editor, "main")
	app, second := c.program(), c.program()
	c.want(one, "GET", "/v1/programs", "", "200")
	first, again, others, alsoHers := c.given(one, app), c.given(one, app), c.given(another, app), c.given(one, second)
	programs := func(who caller, query string) []any {
		t.Helper()
		return c.want(who, "GET", "/v1/programs"+query, "", "200").body["items"].([]any)
	}
	for _, all := range [][]any{programs(one, ""), programs(admin, "?user="+one.who.ID)} {
		listed := map[any]any{}
		for _, p := range all {
			m := p.(map[string]any)
			listed[m["id"]] = m["sign_ins"]
			if m["name"] != "x" || m["kind"] != "web" || m["since"] == nil || m["used"] == nil || !strings.Contains(fmt.Sprint(m["scopes"]), "openid") {
				t.Errorf("%v", m)
			}
		}
		if len(listed) != 2 || listed[app.id] != 2.0 || listed[second.id] != 1.0 {
			t.Errorf("%v", listed)
		}
	}
	if len(programs(admin, "")) != 0 {
		t.Error("who has let in none is shown another's")
	}
	c.want(first, "GET", "/v1/programs", "", "403 session_required") // a program sees no others
	c.want(first, "DELETE", "/v1/programs/"+app.id, "", "403 session_required")
	c.want(another, "DELETE", "/v1/programs/"+app.id+"?user="+one.who.ID, "", "403 missing_scope")
	c.want(another, "DELETE", "/v1/programs/"+second.id, "", "404 no_program")
	c.want(admin, "GET", "/v1/programs?user=nobody", "", "404 no_user")

	c.want(one, "DELETE", "/v1/programs/"+app.id, "", "204")
	c.want(one, "DELETE", "/v1/programs/"+app.id, "", "404 no_program")
	c.want(admin, "DELETE", "/v1/programs/"+second.id+"?user="+one.who.ID, "", "204")
	for _, ended := range []caller{first, again, alsoHers} {
		for until := time.Now().Add(time.Minute); c.send(ended, "GET", "/v1/session", "").said() != "401 invalid_token"; time.Sleep(100 * time.Millisecond) { // within 5 s
			if time.Now().After(until) {
				t.Fatal("an access token of a program that was taken back is good")
			}
		}
	}
	c.want(others, "GET", "/v1/session", "", "200")
	if len(programs(one, "")) != 0 || len(programs(another, "")) != 1 {
		t.Error("the wrong ones were taken back")
	}
	record := c.want(admin, "GET", "/v1/audit?user="+one.who.ID, "", "200").text
	if strings.Count(record, `"program.ended"`) != 2 || !strings.Contains(record, app.id) {
		t.Errorf("%s", record)
	}
}

// A browser asks who it is before anybody signs in: that is no refusal.
func TestThatNobodyIsSignedInIsAnAnswerAndNoRefusal(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	log := &bytes.Buffer{}
	h.log = slog.New(slog.NewTextHandler(log, nil))
	for _, cookie := range []string{"", plainCookie + "=of-nobody"} {
		if res, body := h.browse(cookie, "GET", "/v1/session", "", ""); res.StatusCode != http.StatusNoContent || len(body) > 0 || log.Len() > 0 {
			t.Errorf("%q: %s %v, and the log says %s", cookie, res.Status, body, log)
		}
	}
	if status, code, _ := h.ask("sluice_pat_of_nobody", "GET", "/v1/session", ""); status != http.StatusUnauthorized || code != "unauthorized" || !strings.Contains(log.String(), "request refused") {
		t.Errorf("%d %s, and the log says %s", status, code, log)
	}
}

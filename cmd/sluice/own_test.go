package main

import (
	"fmt"
	"strings"
	"testing"

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
		c.want(second, "GET", "/v1/session", "", "401 unauthorized")
		c.want(third, "GET", "/v1/session", "", "200")
		c.want(one, "DELETE", "/v1/sessions", "", "204")
		c.want(third, "GET", "/v1/session", "", "401 unauthorized")
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
		c.want(before, "GET", "/v1/session", "", "401 unauthorized")
	}
	c.want(caller{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, one.email, chosen), "401 sign_in_failed")
	c.want(changed, "GET", "/v1/session", "", "200")
	rotated := changed
	rotated.cookie = c.want(changed, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, one.email, changed.password), "201").cookieOf()
	c.want(changed, "GET", "/v1/session", "", "401 unauthorized") // a sign-in ends the session that the browser had
	if out := c.want(rotated, "DELETE", "/v1/session", "", "204"); !strings.Contains(out.header.Get("Set-Cookie"), "Max-Age=0") {
		c.t.Errorf("signed out with the cookie %q", out.header.Get("Set-Cookie"))
	}
	c.want(rotated, "GET", "/v1/session", "", "401 unauthorized")
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
	c.want(bound, "GET", "/v1/session", "", "401 unauthorized")
	c.want(free, "GET", "/v1/users", "", "200")

	// A forced reset takes all away, and begins anew.
	key := c.personal(free, account.AllScopes())
	c.want(c.root(), "POST", "/v1/users/"+invited.who.ID+"/reset", "", "200")
	c.want(free, "GET", "/v1/session", "", "401 unauthorized")
	c.want(key, "GET", "/v1/session", "", "401 unauthorized")
	again := c.signedIn(caller{name: "who was reset", email: invited.email, password: c.letter(account.ForcedLetter, invited.who.ID)})
	c.want(again, "GET", "/v1/users", "", "403 password_change_required")

	c.want(c.root(), "PATCH", "/v1/users/"+invited.who.ID, `{"state":"disabled"}`, "200")
	c.want(again, "GET", "/v1/session", "", "401 unauthorized")
	c.want(caller{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, invited.email, chosen), "401 sign_in_failed")
}

package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/engine/enginetest"
	"sluice/internal/identity"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

// town is an API over the real accounts in the real store, which sends no mail.
type town struct {
	server
	*testing.T
	accounts *identity.Service
}

// towns runs f on both databases, with a server that change has changed.
func towns(t *testing.T, f func(w town), change ...func(*Config)) {
	t.Helper()
	enginetest.Each(t, func(t *testing.T, dsn string) {
		store, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		accounts := identity.New(identity.Config{Store: store, Cookie: "sluice", Hashes: 2, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if _, err := accounts.First(t.Context(), "root@example.com"); err != nil {
			t.Fatal(err)
		}
		config := Config{Identity: accounts, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			LetterText: func(l account.Message) (string, string) { return "Subject", "It says " + l.Secret }}
		for _, one := range change {
			one(&config)
		}
		srv := httptest.NewServer(asking(New(config)))
		t.Cleanup(srv.Close)
		f(town{server: server{url: srv.URL}, T: t, accounts: accounts})
	})
}

// want asks as somebody and compares the status, and the code of a refusal, which must be documented.
func (w town) want(p account.Principal, method, path, body, want string) map[string]any {
	w.Helper()
	a := w.ask(w.T, p, method, path, body)
	m := map[string]any{}
	if a.status != http.StatusNoContent {
		m = a.object(w.T)
	}
	got := fmt.Sprint(a.status)
	if a.status >= 400 {
		got += fmt.Sprint(" ", m["code"])
		if code, _ := m["code"].(string); meaning[code] == "" {
			w.Errorf("%s %s: the code %s is not documented", method, path, code)
		}
	}
	if got != want {
		w.Errorf("%s %s %s: %s, want %s: %s", method, path, body, got, want, a.body)
	}
	return m
}

func (w town) op(method, path, body, want string) map[string]any {
	w.Helper()
	return w.want(account.Operator(), method, path, body, want)
}

func items(m map[string]any) (all []map[string]any) {
	list, _ := m["items"].([]any)
	for _, one := range list {
		all = append(all, one.(map[string]any))
	}
	return all
}

// pages reads a list by pages of n and returns what each item has under key.
func (w town) pages(path, key string, n int) (all []string) {
	w.Helper()
	for cursor := ""; ; {
		page := w.op("GET", fmt.Sprintf("%slimit=%d&cursor=%s", path, n, cursor), "", "200")
		for _, one := range items(page) {
			all = append(all, fmt.Sprint(one[key]))
		}
		if len(items(page)) > n || len(all) > 1000 {
			w.Fatalf("%s: a page of %d", path, len(items(page)))
		}
		next, more := page["next"].(string)
		if !more {
			return all
		}
		cursor = next
	}
}

func (w town) invite(email, role string) string {
	w.Helper()
	return w.op("POST", "/v1/users", fmt.Sprintf(`{"email":%q,"role":%q}`, email, role), "201")["id"].(string)
}

// letter is the newest letter to a user, as it is read.
func (w town) letter(user string) map[string]any {
	w.Helper()
	for _, l := range items(w.op("GET", "/v1/outbox/letters", "", "200")) {
		if l["user"] == user {
			return w.op("GET", fmt.Sprintf("/v1/outbox/letters/%.0f", l["id"]), "", "200")
		}
	}
	w.Fatal("no letter")
	return nil
}

const ownWords = "marmalade turnip orbit 77"

// arrived is an invited user who has signed in with a password of their own.
func (w town) arrived(id, email string) account.Principal {
	w.Helper()
	temporary := w.letter(id)["secret"].(string)
	p := w.signIn(email, temporary)
	a := w.ask(w.T, p, "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, temporary, ownWords))
	if a.status != http.StatusOK || a.object(w.T)["must_change"] != false {
		w.Fatalf("%d %s", a.status, a.body)
	}
	return w.principal(a)
}

func (w town) signIn(email, password string) account.Principal {
	w.Helper()
	a := w.ask(w.T, account.Principal{}, "POST", "/v1/session", fmt.Sprintf(`{"email":%q,"password":%q}`, email, password))
	if a.status != http.StatusCreated {
		w.Fatalf("%d %s", a.status, a.body)
	}
	return w.principal(a)
}

// principal is who the cookie of an answer stands for.
func (w town) principal(a answer) account.Principal {
	w.Helper()
	r := httptest.NewRequestWithContext(w.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Cookie", strings.Split(a.header.Get("Set-Cookie"), ";")[0])
	p, ok, err := w.accounts.Authenticate(r)
	if err != nil || !ok {
		w.Fatal(ok, err)
	}
	return p
}

func TestUsersAreInvitedReadByPagesChangedAndRemoved(t *testing.T) {
	towns(t, func(w town) {
		for body, want := range map[string]string{
			`{"email":"Ada <ada@example.com>","role":"viewer"}`:                     "422 bad_address",
			`{"email":"ada@exämple.com","role":"viewer"}`:                           "422 bad_address",
			`{"email":"ada@example.com","role":"owner"}`:                            "422 invalid_request",
			`{"email":"ada@example.com"}`:                                           "422 invalid_request",
			`{"email":"ada@example.com","role":"viewer","name":"A\u202eda"}`:        "422 invalid_request",
			`{"email":"ada@example.com","role":"viewer","workspaces":["nowhere"]}`:  "422 no_such_workspace",
			`{"email":"ada@example.com","role":"viewer","password":"chosen by me"}`: "422 invalid_request",
		} {
			w.op("POST", "/v1/users", body, want)
		}
		ada := w.op("POST", "/v1/users", `{"email":"ada@example.com","name":"<b>Ada</b>","role":"editor"}`, "201")
		if fmt.Sprint(ada["state"], ada["name"], ada["workspaces"], ada["must_change"]) != "invited<b>Ada</b>[main] true" || ada["password"] != nil {
			w.Errorf("invited as %v", ada)
		}
		w.op("POST", "/v1/users", `{"email":"ADA@Example.com","role":"viewer"}`, "409 email_taken")
		id := ada["id"].(string)
		want := []string{id}
		for i := range 4 {
			want = append(want, w.invite(fmt.Sprintf("u%d@example.com", i), "viewer"))
		}
		for _, n := range []int{1, 2, 6, 200} {
			if got := w.pages("/v1/users?", "id", n); len(got) != 6 || !slices.Equal(got[1:], want) { // the first administrator is the oldest
				w.Errorf("by pages of %d: %v, want %v", n, got, want)
			}
		}
		w.op("GET", "/v1/users?cursor=nonsense", "", "422 bad_cursor")

		at := "/v1/users/" + id
		p := w.arrived(id, "ada@example.com")
		w.op("POST", at+"/invite", "", "409 not_invited")
		if m := w.op("PATCH", at, `{"role":"viewer","name":"Ada"}`, "200"); m["role"] != "viewer" || m["name"] != "Ada" || m["state"] != "active" || m["signed_in"] == nil {
			w.Errorf("changed to %v", m)
		}
		for _, name := range []string{"می\u200cخواهم", "क्\u200dष", "👩\u200d👩\u200d👧"} { // joiners, which titles take too
			if m := w.op("PATCH", at, fmt.Sprintf(`{"name":%q}`, name), "200"); m["name"] != name {
				w.Errorf("%q became %q", name, m["name"])
			}
			if m := w.op("POST", "/v1/workspaces", fmt.Sprintf(`{"id":"w%d","name":%q}`, len(name), name), "201"); m["name"] != name {
				w.Errorf("a workspace %q became %q", name, m["name"])
			}
		}
		w.op("PATCH", at, `{"workspaces":["main","nowhere"]}`, "422 no_such_workspace")
		w.op("PATCH", at, `{"email":"eve@example.com"}`, "422 invalid_request")
		if m := w.op("PATCH", at, `{"state":"disabled","workspaces":[]}`, "200"); m["state"] != "disabled" || fmt.Sprint(m["workspaces"]) != "[]" {
			w.Errorf("disabled as %v", m)
		}
		w.op("POST", at+"/reset", "", "409 user_disabled")
		w.want(account.Principal{}, "POST", "/v1/session", fmt.Sprintf(`{"email":"ada@example.com","password":%q}`, ownWords), "401 sign_in_failed")
		if all := items(w.op("GET", "/v1/sessions?user="+id, "", "200")); len(all) != 0 {
			w.Errorf("a disabled user has sessions: %v of %s", all, p.ID)
		}
		w.op("PATCH", at, `{"state":"active"}`, "200")
		if m := w.op("POST", at+"/reset", "", "200"); m["must_change"] != true {
			w.Errorf("reset to %v", m)
		}
		w.op("DELETE", at, "", "204")
		for _, c := range [][3]string{{"GET", at, ""}, {"DELETE", at, ""}, {"PATCH", at, `{"name":"x"}`}, {"POST", at + "/invite", ""}, {"POST", at + "/reset", ""}} {
			w.op(c[0], c[1], c[2], "404 no_user")
		}
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	towns(t, func(w town) {
		id := w.invite("only@example.com", "admin") // the first one never signed in, and keeps nobody's place
		w.arrived(id, "only@example.com")
		one := "/v1/users/" + id
		for _, c := range [][3]string{{"DELETE", one, ""}, {"PATCH", one, `{"role":"editor"}`}, {"PATCH", one, `{"state":"disabled"}`}} {
			w.op(c[0], c[1], c[2], "409 last_admin")
		}
		id = w.invite("second@example.com", "admin")
		w.op("DELETE", one, "", "409 last_admin")
		w.arrived(id, "second@example.com")
		w.op("PATCH", one, `{"role":"editor"}`, "200")
		w.op("DELETE", "/v1/users/"+id, "", "409 last_admin")
	})
}

func TestAWorkspaceIsForWhoBelongsToItAndGoesWhenItIsEmpty(t *testing.T) {
	towns(t, func(w town) {
		w.op("POST", "/v1/workspaces", `{"id":"films","name":"Films"}`, "201")
		w.op("POST", "/v1/workspaces", `{"id":"films","name":"Other films"}`, "409 workspace_taken")
		w.op("POST", "/v1/workspaces", `{"id":"Films!","name":"Films"}`, "422 invalid_request")
		w.op("POST", "/v1/workspaces", `{"id":"tricks","name":"a\u0007b"}`, "422 invalid_request")
		if m := w.op("PATCH", "/v1/workspaces/films", `{"name":"Our films"}`, "200"); m["name"] != "Our films" || m["created"] == nil {
			w.Errorf("renamed to %v", m)
		}
		ids := func(p account.Principal) string {
			var all []string
			for _, one := range items(w.want(p, "GET", "/v1/workspaces", "", "200")) {
				all = append(all, one["id"].(string))
			}
			return strings.Join(all, " ")
		}
		for want, p := range map[string]account.Principal{"films main": account.Operator(), "films": person(account.Viewer, "films"), "main": person(account.Editor, "main", "gone"), "": person(account.Viewer)} {
			if got := ids(p); got != want {
				w.Errorf("%s of %v sees %q, want %q", p.Role, p.Workspaces, got, want)
			}
		}
		user := "/v1/users/" + w.op("POST", "/v1/users", `{"email":"ada@example.com","role":"viewer","workspaces":["films"]}`, "201")["id"].(string)
		w.op("DELETE", "/v1/workspaces/films", "", "409 workspace_in_use")
		w.op("PATCH", user, `{"workspaces":["main"]}`, "200")
		w.op("DELETE", "/v1/workspaces/films", "", "204")
		w.op("DELETE", "/v1/workspaces/main", "", "409 workspace_in_use")
		w.op("DELETE", "/v1/workspaces/films", "", "404 no_workspace")
		w.op("PATCH", "/v1/workspaces/films", `{"name":"x"}`, "404 no_workspace")
	})
}

func TestSessionsAndTokensAreToldWithoutWhatOpensThem(t *testing.T) {
	towns(t, func(w town) {
		id := w.invite("ada@example.com", "editor")
		ada := w.arrived(id, "ada@example.com")
		w.signIn("ada@example.com", ownWords)
		if m := w.want(ada, "GET", "/v1/session", "", "200"); m["kind"] != "person" || m["user"].(map[string]any)["email"] != "ada@example.com" || m["session"].(map[string]any)["id"] != ada.Session {
			w.Errorf("ada is %v", m)
		}
		if m := w.op("GET", "/v1/session", "", "200"); m["kind"] != "root" || m["user"] != nil || m["session"] != nil {
			w.Errorf("the operator is %v", m)
		}
		current := 0
		for _, one := range items(w.want(ada, "GET", "/v1/sessions", "", "200")) {
			if one["current"] == true && one["id"] == ada.Session {
				current++
			}
		}
		if all := items(w.op("GET", "/v1/sessions?user="+id, "", "200")); current != 1 || len(all) != 2 {
			w.Errorf("%d current ones of %v", current, all)
		}
		for body, want := range map[string]string{
			`{"name":"x","scopes":["videos/read"],"expires":"2001-01-01T00:00:00Z"}`: "422 bad_expiry",
			`{"name":"x","scopes":["videos/read"],"expires":"2999-01-01T00:00:00Z"}`: "422 bad_expiry",
			`{"name":"x","scopes":[]}`:                            "422 invalid_request",
			`{"name":"x","scopes":["videos/everything"]}`:         "422 invalid_request",
			`{"name":"x","scopes":["videos/read","videos/read"]}`: "422 invalid_request",
			`{"name":"a\u001bb","scopes":["videos/read"]}`:        "422 invalid_request",
			`{"name":"x","scopes":["users/admin"]}`:               "403 missing_scope",
		} {
			w.want(ada, "POST", "/v1/tokens", body, want)
		}
		made := w.want(ada, "POST", "/v1/tokens", `{"name":"laptop","scopes":["videos/read"]}`, "201")
		secret, _ := made["token"].(string)
		if !strings.HasPrefix(secret, "sluice_pat_") || made["used"] != nil {
			w.Errorf("made %v", made)
		}
		for _, path := range []string{"/v1/tokens", "/v1/tokens?user=" + id} {
			p := ada
			if strings.Contains(path, "?") {
				p = account.Operator()
			}
			if all := items(w.want(p, "GET", path, "", "200")); len(all) != 1 || all[0]["id"] != made["id"] || all[0]["token"] != nil || fmt.Sprint(all[0]["scopes"]) != "[videos/read]" {
				w.Errorf("%s: %v", path, all)
			}
		}
		w.op("GET", "/v1/tokens?user=nobody", "", "404 no_user")
		w.op("DELETE", "/v1/tokens/nothing?user="+id, "", "404 no_token")
		w.op("DELETE", "/v1/tokens/"+made["id"].(string)+"?user="+id, "", "204")
		w.op("DELETE", "/v1/sessions/nothing?user="+id, "", "404 no_session")
		w.op("DELETE", "/v1/sessions?user="+id, "", "204")
		w.want(ada, "GET", "/v1/session", "", "401 unauthorized") // between the front door, which knew the session, and here it has ended
		w.want(account.Principal{}, "GET", "/v1/session", "", "204")
	})
}

func TestALetterIsReadWhileItWaitsAndItsReaderIsRecorded(t *testing.T) {
	towns(t, func(w town) {
		id := w.invite("ada@example.com", "viewer")
		first := w.letter(id)
		if first["kind"] != "invitation" || first["state"] != "waiting" || first["text"] != "It says "+first["secret"].(string) || len(first["secret"].(string)) < 22 { // 128 bits
			w.Errorf("%v", first)
		}
		w.op("POST", "/v1/users/"+id+"/invite", "", "200")
		if second := w.letter(id); second["id"] == first["id"] || second["secret"] == first["secret"] {
			w.Errorf("another invitation is %v", second)
		}
		void := w.op("GET", fmt.Sprintf("/v1/outbox/letters/%.0f", first["id"]), "", "200")
		if void["state"] != "void" || void["secret"] != nil || void["text"] != nil {
			w.Errorf("the one before is %v", void)
		}
		for i := range 3 {
			w.invite(fmt.Sprintf("u%d@example.com", i), "viewer")
		}
		for state, n := range map[string]int{"waiting": 4, "void": 1, "sent": 0} {
			ids := w.pages("/v1/outbox/letters?state="+state+"&", "id", 2)
			if len(ids) != n || !slices.IsSortedFunc(ids, func(a, b string) int { return newestFirst(a, b) }) {
				w.Errorf("%s: %v", state, ids)
			}
		}
		for _, l := range items(w.op("GET", "/v1/outbox/letters", "", "200")) {
			if l["secret"] != nil || l["text"] != nil {
				w.Errorf("the list tells %v", l)
			}
		}
		w.op("GET", "/v1/outbox/letters/4711", "", "404 no_letter")
		w.op("GET", "/v1/outbox/letters/0", "", "422 invalid_request")
		w.op("GET", "/v1/outbox/letters?cursor=nonsense", "", "422 bad_cursor")
		if what := w.pages("/v1/audit?", "what", 200); !slices.Contains(what, account.LetterRead) {
			w.Errorf("nobody knows who read the letter: %v", what)
		}
	})
}

func newestFirst(a, b string) int {
	var x, y float64
	_, _ = fmt.Sscan(a, &x) // numbers as %v prints them
	_, _ = fmt.Sscan(b, &y)
	return int(y - x)
}

func TestTheRecordTellsWhoDidWhatToWhomAndNoSecret(t *testing.T) {
	towns(t, func(w town) {
		id := w.invite("ada@example.com", "editor")
		temporary := w.letter(id)["secret"].(string)
		ada := w.arrived(id, "ada@example.com")
		made := w.want(ada, "POST", "/v1/tokens", `{"name":"laptop","scopes":["videos/read"]}`, "201")
		w.want(account.Principal{}, "POST", "/v1/session", `{"email":"ada@example.com","password":"a wrong one"}`, "401 sign_in_failed")
		w.want(account.Principal{}, "POST", "/v1/session", `{"email":"stranger@example.com","password":"a wrong one"}`, "401 sign_in_failed")
		w.op("PATCH", "/v1/users/"+id, `{"role":"viewer"}`, "200")
		w.op("POST", "/v1/workspaces", `{"id":"films","name":"Films"}`, "201")

		text := string(w.ask(w.T, account.Operator(), "GET", "/v1/audit?limit=200", "").body)
		for _, secret := range []string{temporary, ownWords, made["token"].(string), "a wrong one", "stranger@example.com"} {
			if strings.Contains(text, secret) {
				w.Errorf("the record has %s: %s", secret, text)
			}
		}
		about := items(w.op("GET", "/v1/audit?user="+id, "", "200"))
		var what []string
		for _, a := range about {
			what = append(what, a["what"].(string))
		}
		want := []string{account.UserEdited, account.SignInFailed, account.TokenMade, account.PasswordChanged, account.SignedIn, account.LetterRead, account.LetterRead, account.UserInvited}
		if !slices.Equal(what, want) {
			w.Fatalf("of ada: %v, want %v", what, want)
		}
		edited, failed := about[0], about[1]
		if by := edited["by"].(map[string]any); by["id"] != "admin" || edited["user"].(map[string]any)["name"] != "ada@example.com" || edited["detail"].(map[string]any)["role"] != "viewer" {
			w.Errorf("%v", edited)
		}
		if failed["by"] != nil {
			w.Errorf("who failed is not known: %v", failed)
		}
		all := w.pages("/v1/audit?", "id", 3)
		if !slices.IsSortedFunc(all, newestFirst) || len(slices.Compact(slices.Clone(all))) != len(all) || len(all) < len(want)+3 {
			w.Errorf("by pages: %v", all)
		}
		w.op("GET", "/v1/audit?cursor=nonsense", "", "422 bad_cursor")
	})
}

func TestWhereAnIssuerAloneSignsPeopleInPasswordsAreGoodForNothing(t *testing.T) {
	towns(t, func(w town) {
		all := w.op("GET", "/v1/users", "", "200")
		id := items(all)[0]["id"].(string)
		for _, ask := range [][3]string{
			{"POST", "/v1/session", `{"email":"root@example.com","password":"x"}`}, {"POST", "/v1/password/forgot", `{"email":"root@example.com"}`},
			{"POST", "/v1/password/reset", `{"code":"x","password":"marmalade turnip orbit"}`}, {"POST", "/v1/session/password", `{"current":"x","password":"marmalade turnip orbit"}`},
			{"POST", "/v1/users", `{"email":"ada@example.com","role":"viewer"}`}, {"POST", "/v1/users/" + id + "/invite", ""}, {"POST", "/v1/users/" + id + "/reset", ""},
		} {
			w.op(ask[0], ask[1], ask[2], "403 passwords_off")
		}
		w.op("POST", "/v1/clients", `{"name":"x","kind":"service","role":"viewer","scopes":["videos/read"]}`, "409 no_provider")
		if setup := w.op("GET", "/v1/session", "", "200")["setup"].(map[string]any); setup["passwords"] != false || setup["programs"] != false {
			w.Errorf("%v", setup)
		}
		ways := w.want(account.Principal{}, "GET", "/v1/session/issuers", "", "200")
		if ways["passwords"] != false || len(items(ways)) != 1 || items(ways)[0]["name"] != "The office" {
			w.Errorf("%v", ways)
		}
		in := func(hint string) account.Principal {
			w.Helper()
			done, err := w.accounts.Admit(w.Context(), account.ExternalUser{ID: account.ExternalPrefix + "jane", Email: "jane@example.com", Role: account.Viewer, Hint: hint})
			if err != nil {
				w.Fatal(err)
			}
			return w.principal(answer{header: http.Header{"Set-Cookie": {done.Cookie}}})
		}
		if out := w.want(in("a hint"), "DELETE", "/v1/session?request=good", "", "200"); out["redirect"] != "https://login.example.com/leave?hint=a+hint" {
			w.Errorf("%v", out)
		}
		w.want(in("no way out"), "DELETE", "/v1/session", "", "204")
		w.want(in(""), "DELETE", "/v1/session", "", "204")
	}, func(c *Config) {
		c.IssuerOnly, c.Issuers = true, []Issuer{{Name: "The office", Login: "/oauth/external/login"}}
		c.Leave = func(_ context.Context, hint string) string {
			if hint != "a hint" {
				return ""
			}
			return "https://login.example.com/leave?" + url.Values{"hint": {hint}}.Encode()
		}
	})
}

func TestWhoSignsOutForAProgramGoesBackToIt(t *testing.T) {
	towns(t, func(w town) {
		w.arrived(w.invite("ada@example.com", "viewer"), "ada@example.com")
		in := func() account.Principal { return w.signIn("ada@example.com", ownWords) }
		if out := w.want(in(), "DELETE", "/v1/session?request=good", "", "200"); out["redirect"] != "https://app.example.com/?left" {
			w.Errorf("%v", out)
		}
		for _, bad := range []string{"", "?request=another", "?request="} {
			w.want(in(), "DELETE", "/v1/session"+bad, "", "204")
		}
		if ways := w.want(account.Principal{}, "GET", "/v1/session/issuers", "", "200"); ways["passwords"] != true || len(items(ways)) != 0 {
			w.Errorf("%v", ways)
		}
	}, func(c *Config) { c.SignIns = &asks{} })
}

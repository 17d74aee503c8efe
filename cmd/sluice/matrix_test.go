package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

// cast is a house that serves, and everybody who asks it.
type cast struct {
	house
	app                      program
	admin, viewer, temporary caller
	all                      []caller
	played                   string // a video in main that is ready
	witness                  string // one that is not, and which nobody changes
}

// assembled fills a house: who may be here with all that may be had by a session, a personal token, a token of a program and one of a service; and who was here once.
func assembled(t *testing.T) cast {
	t.Helper()
	c := cast{house: newHouse(t, "--second-factor", "admins")}
	c.serves()
	c.done(c.root(), "POST", "/v1/workspaces", `{"id":"other","name":"Other"}`)
	c.app = c.program()
	c.admin, c.viewer, c.temporary = c.person(account.Admin, "main"), c.person(account.Viewer, "main"), c.bound()
	editor, stranger := c.person(account.Editor, "main"), c.person(account.Editor, "other")
	c.all = []caller{
		{name: "nobody"},
		{name: "a token that nobody gave", token: "sluice_pat_bm9uc2Vuc2U", refusal: "unauthorized"},
		{name: "a cookie that nobody gave", cookie: strings.Split(c.admin.cookie, "=")[0] + "=bm9uc2Vuc2U"},
		c.root(), c.admin, c.viewer, c.temporary, c.waiting(), c.unsecured(), editor, stranger,
		c.personal(c.admin, account.AllScopes()), c.personal(c.viewer, account.Viewer.Scopes()), c.personal(editor, account.Editor.Scopes()), c.personal(stranger, account.Editor.Scopes()),
		c.given(c.admin, c.app), c.given(c.viewer, c.app), c.given(editor, c.app), c.given(stranger, c.app),
		c.service(account.Admin, "main", account.AllScopes()), c.service(account.Viewer, "main", account.Viewer.Scopes()),
		c.service(account.Editor, "main", account.Editor.Scopes()), c.service(account.Editor, "other", account.Editor.Scopes()),
	}
	for _, lacking := range account.AllScopes() {
		rest := slices.DeleteFunc(account.AllScopes(), func(s account.Scope) bool { return s == lacking })
		for _, one := range []caller{c.personal(c.admin, rest), c.service(account.Admin, "main", rest)} {
			one.lacks, one.name = lacking, one.name+" without "+string(lacking)
			c.all = append(c.all, one)
		}
	}
	elsewhere := c.admin
	elsewhere.name, elsewhere.origin = "the session of an admin, from another site's page", "https://evil.example.com"
	c.all = append(c.all, elsewhere)
	c.all = append(c.all, c.departed()...)
	c.played, c.witness = string(c.ready()), string(c.uploaded())
	return c
}

// departed are those whose credentials were good, and are not any more.
func (c cast) departed() (all []caller) {
	c.t.Helper()
	disabled := c.person(account.Admin, "main")
	disabled.name = "the session of a disabled admin"
	left := c.signedIn(c.admin)
	left.name = "a session that was left"
	revoked := c.personal(c.admin, account.AllScopes())
	revoked.name, revoked.refusal = "a token that was revoked", "unauthorized"
	key := c.personal(disabled, account.AllScopes())
	key.refusal = "unauthorized"
	access := c.given(disabled, c.app)
	access.refusal = "invalid_token"
	all = []caller{disabled, left, revoked, key, access}
	for _, one := range all {
		c.done(one, "GET", "/v1/users", "") // each was good
	}
	c.done(left, "DELETE", "/v1/session", "")
	for _, k := range c.done(c.admin, "GET", "/v1/tokens", "").body["items"].([]any)[:1] { // the newest
		c.done(c.admin, "DELETE", "/v1/tokens/"+k.(map[string]any)["id"].(string), "")
	}
	c.done(c.root(), "PATCH", "/v1/users/"+disabled.who.ID, `{"state":"disabled"}`)
	for until := time.Now().Add(time.Minute); c.send(access, "GET", "/v1/session", "").status != http.StatusUnauthorized; time.Sleep(100 * time.Millisecond) { // docs: within 5 s
		if time.Now().After(until) {
			c.t.Fatal("the access token of a disabled user is still good")
		}
	}
	for i := range all {
		all[i].who = account.Principal{}
	}
	return all
}

// described is what the matrix reads of the server's own description.
type described struct {
	method, path, id string
	scope            account.Scope // empty for none
	open, elsewhere  bool
	waiting          bool   // somebody who has not shown their second factor may
	bound            bool   // somebody whose password is temporary may
	unsecured        bool   // somebody who must have a second factor, and has none, may
	own              bool   // asks for a session
	video            bool   // is about one video
	code             string // beside done, where who may is refused for another reason
	done             int    // the status of who may
}

// described reads them.
func (h house) described() (all []described) {
	h.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Responses   map[string]struct{ Description string }
		}
	}
	_, _, text := h.ask("", "GET", "/openapi.json", "")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		h.t.Fatal(err)
	}
	for path, item := range doc.Paths {
		for method, op := range item {
			d := described{method: strings.ToUpper(method), path: path, id: op.OperationID, open: len(op.Security) == 0 || len(op.Security[0]) == 0, video: strings.HasPrefix(path, "/v1/videos/")}
			if !d.open {
				d.elsewhere = op.Security[0]["events"] != nil
				if scopes := op.Security[0]["bearer"]; len(scopes) > 0 {
					d.scope = account.Scope(scopes[0])
				}
			}
			d.waiting = !strings.Contains(op.Responses["403"].Description, "second_factor_required")
			d.unsecured = !strings.Contains(op.Responses["403"].Description, "second_factor_enrolment_required")
			d.bound = !strings.Contains(op.Responses["403"].Description, "password_change_required")
			d.own = strings.Contains(op.Responses["403"].Description, "session_required")
			for status := range op.Responses {
				if n, err := strconv.Atoi(status); err == nil && n < 300 && (d.done == 0 || n < d.done) { // 204 beside 200 is for who has nothing to be told
					d.done = n
				}
			}
			all = append(all, d)
		}
	}
	return all
}

// want is what a caller is to be answered, about what lies in main and is not ready.
func (d described) want(c caller) string {
	switch {
	case d.elsewhere && c.token == eventsToken:
	case d.elsewhere:
		return "401 unauthorized"
	case c.refusal != "":
		return "401 " + c.refusal
	case c.origin != "" && d.method != http.MethodGet:
		return "403 cross_site"
	case d.id == "whoAmI" && (c.who.Kind == "" || c.origin != ""): // nobody is known, which is an answer
		return "204"
	case d.open:
	case c.who.Kind == "" || c.origin != "": // a page elsewhere reads nothing by somebody's cookie
		return "401 unauthorized"
	case c.who.MustProve && !d.waiting:
		return "403 second_factor_required"
	case c.who.MustChange && !d.bound:
		return "403 password_change_required"
	case c.who.MustEnrol && !d.unsecured:
		return "403 second_factor_enrolment_required"
	case d.scope != "" && !c.who.Scopes.Has(d.scope):
		return "403 missing_scope"
	case d.own && c.cookie == "":
		return "403 session_required"
	case d.video && (c.who.Role == account.Viewer || c.who.Role == account.Editor && c.who.Workspaces[0] != "main"):
		return "404 no_video"
	case (d.id == "completeUpload" || d.id == "createUploadParts") && c.who.Role == account.Editor && c.who.Workspaces[0] != "main":
		return "404 no_upload"
	case d.id == "createUpload" && c.who.Role == account.Editor && c.who.Workspaces[0] != "main":
		return "403 forbidden"
	}
	return d.ended()
}

// ended is what who may is answered.
func (d described) ended() string { return strings.TrimSpace(fmt.Sprint(d.done) + " " + d.code) }

func (d described) may(c caller) bool { return d.want(c) == d.ended() }

// asks has a caller ask of what id names.
func (c cast) asks(who caller, d described, s sample, id string) reply {
	c.t.Helper()
	if s.as != nil && who.cookie != "" && who.who.Kind != "" && d.may(who) {
		who = s.as(c, who)
	}
	signs := who
	if signs.who.Kind != account.Person {
		signs = c.viewer
	}
	id, playback, _ := strings.Cut(id, " ")
	fill := strings.NewReplacer("{playback}", playback, "{id}", id, "{name}", id, "{n}", fmt.Sprint(c.fresh()), "{email}", signs.email, "{password}", signs.password,
		"{code}", cmp.Or(signs.code, "000000"))
	return c.send(who, d.method, fill.Replace(d.path+s.query), fill.Replace(s.body))
}

// TestNobodyGetsMoreOrLessThanTheyMay asks every route as everybody, and knocks at every entrance, over the network, with credentials that the server itself gave.
func TestNobodyGetsMoreOrLessThanTheyMay(t *testing.T) {
	t.Parallel()
	c := assembled(t)
	routes, asked := c.described(), 0
	for id := range samples {
		if !slices.ContainsFunc(routes, func(d described) bool { return d.id == id }) {
			t.Errorf("the sample %s is of no route", id)
		}
	}
	before := c.done(c.root(), "GET", "/v1/videos/"+c.witness, "").text
	for _, d := range routes {
		s, ok := samples[d.id]
		if !ok {
			t.Errorf("%s %s (%s) has no sample", d.method, d.path, d.id)
			continue
		}
		asked += c.walk(d, s)
	}
	if after := c.done(c.root(), "GET", "/v1/videos/"+c.witness, "").text; after != before {
		t.Errorf("somebody changed a video: %s, it was %s", after, before)
	}
	t.Logf("%d routes, %d callers: %d requests", len(routes), len(c.all), asked)
	t.Logf("%d entrances: %d requests; %d in all, with those that prepared them", len(c.entrances()), c.knock(), c.asked.Load())
}

// walk asks one route as everybody: who may not first, of what is to be there still when who may comes.
func (c cast) walk(d described, s sample) (asked int) {
	c.t.Helper()
	ask := func(who caller, id, want string) {
		c.t.Helper()
		asked++
		got := c.asks(who, d, s, id)
		if got.said() != want {
			c.t.Errorf("%s %s as %s: %s, want %s: %.300s", d.method, d.path, who.name, got.said(), want, got.text)
		}
		if outside := who.who.Role == account.Viewer || len(who.who.Workspaces) > 0 && who.who.Workspaces[0] == "other"; outside && strings.Contains(got.text, c.witness) {
			c.t.Errorf("%s %s as %s tells of a video out of reach: %s", d.method, d.path, who.name, got.text)
		}
	}
	if s.done != 0 {
		d.done, d.code = s.done, s.code
	}
	id := ""
	if s.id != nil {
		id = s.id(c, caller{})
	}
	var may []caller
	for _, who := range c.callers(d) {
		if d.may(who) {
			may = append(may, who)
		} else {
			ask(who, id, d.want(who))
		}
		if d.video && d.scope == account.VideosRead && d.method == http.MethodGet && who.who.Role == account.Viewer { // what is ready is theirs to watch
			asked++
			if got := c.send(who, d.method, strings.Replace(d.path, "{id}", c.played, 1), ""); got.status != http.StatusOK {
				c.t.Errorf("%s %s of what is ready as %s: %d %s", d.method, d.path, who.name, got.status, got.text)
			}
		}
	}
	if len(may) == 0 {
		c.t.Errorf("%s %s lets nobody in", d.method, d.path)
	}
	for i, who := range may {
		if s.id != nil && (i > 0 || d.own) {
			id = s.id(c, who)
		}
		ask(who, id, d.ended())
	}
	return asked
}

// callers are who ask a route. One who lacks a scope that it doesn't ask for is as one who lacks none.
func (c cast) callers(d described) []caller {
	all := slices.Clone(c.all)
	if d.elsewhere {
		all = append(all, caller{name: "the token of events", token: eventsToken})
	}
	return slices.DeleteFunc(all, func(one caller) bool { return one.lacks != "" && one.lacks != d.scope })
}

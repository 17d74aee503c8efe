package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// sample is what a route is asked with. Which routes there are, and whom each lets in, the matrix reads from the server's own description: a route without a
// sample fails it.
type sample struct {
	id   func(house) string // what stands for {id} or {name} in the path
	body string
	also int // what somebody who may is answered beside 2xx: the route was reached and found nothing to do
}

func theVideo(h house) string { return string(h.add()) }
func theJob(h house) string   { return fmt.Sprint(h.job(h.add())) }
func aName(name string) func(house) string {
	return func(house) string { return name }
}

var samples = map[string]sample{
	"createUpload":      {body: `{"filename":"a.mp4","workspace":"main"}`},
	"listVideos":        {},
	"getVideo":          {id: theVideo},
	"editVideo":         {id: theVideo, body: `{"title":"x"}`},
	"deleteVideo":       {id: theVideo},
	"encodeVideo":       {id: theVideo, body: `{}`, also: http.StatusConflict},
	"redriveVideo":      {id: theVideo, body: `{}`, also: http.StatusConflict},
	"listEvents":        {id: theVideo},
	"listErrors":        {},
	"summarizeErrors":   {},
	"sweep":             {body: `{}`},
	"subscribe":         {body: `{"address":"ops@example.com"}`},
	"listSubscriptions": {},
	"unsubscribe":       {id: aName("01jq3v8k2m4n5p6r7s8t9v0w1x"), also: http.StatusNotFound},
	"listOutbox":        {},
	"listJobs":          {},
	"getJob":            {id: theJob},
	"redriveJob":        {id: theJob, also: http.StatusConflict},
	"cancelJob":         {id: theJob},
	"listQueues":        {},
	"editQueue":         {id: aName("ingest"), body: `{"paused":false}`, also: http.StatusNotFound},
	"tellObjects":       {body: `{"Records":[]}`},

	// The cast has no browsers: what is one's own asks for a session.
	"signIn":          {body: `{"email":"nobody@example.com","password":"x"}`, also: http.StatusUnauthorized},
	"whoAmI":          {},
	"signOut":         {also: http.StatusForbidden},
	"changePassword":  {body: `{"current":"x","password":"y"}`, also: http.StatusForbidden},
	"forgotPassword":  {body: `{"email":"nobody@example.com"}`},
	"resetPassword":   {body: `{"code":"x","password":"y"}`, also: http.StatusGone},
	"listSessions":    {also: http.StatusForbidden},
	"endSession":      {id: aName("x"), also: http.StatusForbidden},
	"endSessions":     {also: http.StatusForbidden},
	"makeToken":       {body: `{"name":"x","scopes":["videos/read"]}`, also: http.StatusForbidden},
	"listTokens":      {also: http.StatusForbidden},
	"revokeToken":     {id: aName("x"), also: http.StatusForbidden},
	"inviteUser":      {body: `{"email":"ada@example.com","role":"viewer"}`},
	"listUsers":       {},
	"getUser":         {id: aName("x"), also: http.StatusNotFound},
	"editUser":        {id: aName("x"), body: `{"role":"viewer"}`, also: http.StatusNotFound},
	"removeUser":      {id: aName("x"), also: http.StatusNotFound},
	"inviteUserAgain": {id: aName("x"), also: http.StatusNotFound},
	"resetUser":       {id: aName("x"), also: http.StatusNotFound},
	"listWorkspaces":  {},
	"makeWorkspace":   {body: `{"id":"w","name":"W"}`},
	"editWorkspace":   {id: aName("main"), body: `{"name":"Main"}`},
	"removeWorkspace": {id: aName("main"), also: http.StatusConflict},
	"listAudit":       {},
	"listLetters":     {},
	"readLetter":      {id: aName("7"), also: http.StatusNotFound},

	"addClient":          {body: `{"name":"x","kind":"service","role":"viewer","scopes":["videos/read"]}`},
	"listClients":        {},
	"getClient":          {id: aName("x"), also: http.StatusNotFound},
	"editClient":         {id: aName("x"), body: `{"name":"y"}`, also: http.StatusNotFound},
	"removeClient":       {id: aName("x"), also: http.StatusNotFound},
	"rotateClientSecret": {id: aName("x"), also: http.StatusNotFound},
	"getAuthorization":   {also: http.StatusUnprocessableEntity}, // a request that this server signed
	"authorize":          {body: `{"request":"x"}`, also: http.StatusGone},
}

// house is a whole server on a data folder of its own, which takes no jobs.
type house struct {
	*App
	t    *testing.T
	door http.Handler
}

// cast are the principals of the matrix, by the token that stands for them.
type cast map[string]account.Principal

func (c cast) Authenticate(r *http.Request) (account.Principal, bool, error) {
	token, _ := bearerOf(r)
	if token == "disabled" {
		return account.Principal{}, false, fault.New(fault.Unauthorized, "test", "unauthorized", "The account is disabled.", nil)
	}
	p, ok := c[token]
	return p, ok, nil
}

func newHouse(t *testing.T) house {
	t.Helper()
	var c Serve
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--events-token", "a-token-for-the-events"}); err != nil {
		t.Fatal(err)
	}
	if err := c.finish(); err != nil {
		t.Fatal(err)
	}
	c.Roles = []string{roleAPI, roleEdge}
	a, err := Open(t.Context(), c.Settings, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	people := cast{}
	person := func(token string, role account.Role, workspaces ...string) account.Principal {
		people[token] = account.Principal{Kind: account.Person, ID: token, Role: role, Workspaces: workspaces, Scopes: role.Scopes()}
		return people[token]
	}
	person("editor", account.Editor, "main")
	person("stranger", account.Editor, "other")
	bound := person("admin", account.Admin)
	bound.MustChange = true
	people["bound"] = bound
	for _, lacking := range account.AllScopes() {
		p := people["admin"]
		p.Scopes = slices.DeleteFunc(account.AllScopes(), func(s account.Scope) bool { return s == lacking })
		people["without "+string(lacking)] = p
	}
	a.access.chain = append(a.access.chain, people)
	return house{App: a, t: t, door: a.routes()}
}

// add makes a video in main that has a source and waits for ingest.
func (h house) add() video.ID {
	h.t.Helper()
	id := video.NewID(now())
	src := video.Source{Bucket: "uploads", Key: string(id) + ".mp4", ETag: "e", Size: 1, Modified: time.Now()}
	if _, _, err := h.store.Received(h.t.Context(), video.Video{ID: id, Name: "a.mp4", Prefix: "streams/" + string(id)}, src, func(id video.ID) []engine.Job {
		return h.encodeJobs(id)
	}); err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h house) encodeJobs(id video.ID) []engine.Job { return []engine.Job{h.uploads.Ingest(id, 1)} }

// job is the number of a video's job.
func (h house) job(id video.ID) int64 {
	h.t.Helper()
	found, err := h.store.Jobs().Jobs(h.t.Context(), engine.JobQuery{Group: string(id), Limit: 1})
	if err != nil || len(found) != 1 {
		h.t.Fatal(found, err)
	}
	return found[0].ID
}

// ask sends a request with a token, or with none.
func (h house) ask(token, method, path, body string) (status int, code, text string) {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	all, err := io.ReadAll(w.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var problem struct{ Code string }
	_ = json.Unmarshal(all, &problem) // not every answer is a problem
	return w.Code, problem.Code, string(all)
}

// described is what the matrix reads of the server's own description.
type described struct {
	method, path, id string
	scope            account.Scope // empty for none
	open, elsewhere  bool
	bound            bool // somebody whose password is temporary may
}

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
			d := described{method: strings.ToUpper(method), path: path, id: op.OperationID, open: len(op.Security) == 0}
			if !d.open {
				d.elsewhere = op.Security[0]["events"] != nil
				if scopes := op.Security[0]["bearer"]; len(scopes) > 0 {
					d.scope = account.Scope(scopes[0])
				}
			}
			d.bound = !strings.Contains(op.Responses["403"].Description, "password_change_required")
			all = append(all, d)
		}
	}
	return all
}

// TestNobodyGetsMoreOrLessThanTheyMay asks every route as everybody: {nobody, wrong scope, other workspace, must change the password, disabled, right}.
func TestNobodyGetsMoreOrLessThanTheyMay(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	witness := h.add() // lies in main, and is asked of by nobody who may change it
	before, err := h.store.Video(t.Context(), witness)
	if err != nil {
		t.Fatal(err)
	}
	asked, routes := 0, h.described()
	for id := range samples {
		if !slices.ContainsFunc(routes, func(d described) bool { return d.id == id }) {
			t.Errorf("the sample %s is of no route", id)
		}
	}
	for _, d := range routes {
		s, ok := samples[d.id]
		if !ok {
			t.Errorf("%s %s (%s) has no sample", d.method, d.path, d.id)
			continue
		}
		at := func(id string) string { return strings.NewReplacer("{id}", id, "{name}", id).Replace(d.path) }
		// Whoever may not, asks of the witness where the route is about a video.
		id := string(witness)
		if s.id != nil && !strings.HasPrefix(d.path, "/v1/videos/") {
			id = s.id(h)
		}
		for token, want := range d.refusals() {
			asked++
			status, code, text := h.ask(token, d.method, at(id), s.body)
			if got := fmt.Sprint(status, " ", code); got != want {
				t.Errorf("%s %s as %q: %s, want %s: %s", d.method, at(id), token, got, want, text)
			}
		}
		if d.scope == "" && !d.elsewhere || strings.HasPrefix(d.path, "/v1/videos/") || d.refused("stranger") {
			// said above
		} else if status, _, text := h.ask("stranger", d.method, at(id), s.body); !d.elsewhere && (status/100 != 2 || strings.Contains(text, string(witness))) {
			t.Errorf("%s %s as a stranger: %d %s", d.method, at(id), status, text)
		}
		for _, token := range d.allowed() {
			asked++
			if s.id != nil {
				id = s.id(h)
			}
			if status, _, text := h.ask(token, d.method, at(id), s.body); status/100 != 2 && status != s.also {
				t.Errorf("%s %s as %q, who may: %d %s", d.method, at(id), token, status, text)
			}
		}
	}
	after, err := h.store.Video(t.Context(), witness)
	if err != nil || !after.Updated.Equal(before.Updated) || after.Title != before.Title {
		t.Errorf("somebody who may not changed a video: %+v %v", after, err)
	}
	t.Logf("%d routes, %d requests", len(routes), asked)
}

// refusals are the answers that who may not is given, by token.
func (d described) refusals() map[string]string {
	if d.open {
		return nil
	}
	if d.elsewhere {
		return map[string]string{"": "401 unauthorized", "admin": "401 unauthorized", "disabled": "401 unauthorized"}
	}
	want := map[string]string{"": "401 unauthorized", "disabled": "401 unauthorized", "nonsense": "401 unauthorized"}
	if !d.bound {
		want["bound"] = "403 password_change_required"
	}
	if d.scope == "" {
		return want
	}
	want["without "+string(d.scope)] = "403 missing_scope"
	switch {
	case !account.Editor.Scopes().Has(d.scope):
		want["editor"], want["stranger"] = "403 missing_scope", "403 missing_scope"
	case strings.HasPrefix(d.path, "/v1/videos/"):
		want["stranger"] = "404 no_video"
	case d.scope == account.UploadsWrite:
		want["stranger"] = "403 forbidden"
	}
	return want
}

func (d described) refused(token string) bool { return d.refusals()[token] != "" }

// allowed are those who may.
func (d described) allowed() []string {
	switch {
	case d.elsewhere:
		return []string{"a-token-for-the-events"}
	case d.scope != "" && !account.Editor.Scopes().Has(d.scope):
		return []string{"admin"}
	case d.bound && d.scope == "" && !d.open:
		return []string{"editor", "admin", "bound"}
	default:
		return []string{"editor", "admin"}
	}
}

func TestWhatIsNoRouteIsRefusedToo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	known := map[string][]string{}
	for _, d := range h.described() {
		known[d.path] = append(known[d.path], d.method)
	}
	for path, methods := range known {
		if path == "/v1/events/s3" { // has a door of its own
			continue
		}
		at := strings.NewReplacer("{id}", "7", "{name}", "x").Replace(path)
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MOVE"} {
			if slices.Contains(methods, method) || method == "HEAD" && slices.Contains(methods, "GET") {
				continue
			}
			nobody, _, _ := h.ask("", method, at, "")
			admin, _, _ := h.ask("admin", method, at, "")
			if nobody != 401 || admin != 405 {
				t.Errorf("%s %s: %d to nobody and %d to an admin, want 401 and 405", method, at, nobody, admin)
			}
		}
	}
	for _, path := range []string{"/v1/", "/v1/nowhere", "/v1/videos/", "/v1/VIDEOS", "/v1/videos/x/y/z"} {
		nobody, _, _ := h.ask("", "GET", path, "")
		admin, _, _ := h.ask("admin", "GET", path, "")
		if nobody != 401 || admin != 404 {
			t.Errorf("%s: %d to nobody and %d to an admin, want 401 and 404", path, nobody, admin)
		}
	}
}

// The mux itself says by which entrance a request comes in: none comes in by another.
func TestEachAddressComesInByItsEntrance(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	mux := http.NewServeMux()
	guards := map[string]string{}
	for _, e := range h.entrances() {
		guards[e.pattern] = e.guard
		if e.match == nil {
			mux.Handle(e.pattern, e.serve)
		}
	}
	paths := []string{"/", "/reference", "/healthz", "/readyz", "/openapi.json", "/openapi.yaml", "/stream/x", "/assets/x.js", "/admin.token", "/debug/pprof/", "/metrics", "/v2/videos"}
	for _, d := range h.described() {
		paths = append(paths, strings.NewReplacer("{id}", "7", "{name}", "x").Replace(d.path))
	}
	for _, path := range paths {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "OPTIONS"} {
			_, pattern := mux.Handler(httptest.NewRequest(method, path, nil))
			if guards[pattern] == "" {
				t.Errorf("%s %s comes in by %q, which is no entrance", method, path, pattern)
			}
			if strings.HasPrefix(path, "/v1/") != strings.HasPrefix(pattern, "/v1/") {
				t.Errorf("%s %s comes in by %q", method, path, pattern)
			}
		}
	}
}

func TestEveryAnswerTellsBrowsersToBeCareful(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, path := range []string{"/", "/nowhere", "/reference", "/healthz", "/readyz", "/openapi.json", "/v1/videos", "/v1/nowhere", "/stream/x", "/uploads/x?X-Amz-Signature=0"} {
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, httptest.NewRequest("GET", path, nil))
		policy := w.Header().Get("Content-Security-Policy")
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") == "" || !strings.Contains(policy, "default-src 'none'") && !strings.Contains(policy, "default-src 'self'") {
			t.Errorf("%s: %v", path, w.Header())
		}
		if !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "script-src 'unsafe") || w.Header().Get("Strict-Transport-Security") != "" {
			t.Errorf("%s: policy %q, and HSTS without TLS %q", path, policy, w.Header().Get("Strict-Transport-Security"))
		}
	}
	h.settings.PublicURL = "https://sluice.test"
	w := httptest.NewRecorder()
	h.routes().ServeHTTP(w, httptest.NewRequest("GET", "/healthz", nil))
	if got := w.Header().Get("Strict-Transport-Security"); got != "max-age=31536000" {
		t.Errorf("behind TLS: %q", got)
	}
}

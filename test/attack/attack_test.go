package attack

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// attack is one request that must come to nothing. Names in {} are those of stage.person.
type attack struct {
	name string
	ask  string   // method and target
	head []string // headers
	body string
	want string   // status, and the code of the problem where there is one
	not  []string // what the answer must not hold
}

const (
	ada     = "Cookie: sluice={ada's cookie}"        // an editor of main
	token   = "Authorization: Bearer {ada's token}"  // hers, for videos/read
	vic     = "Cookie: sluice={vic's cookie}"        // a viewer of main
	sam     = "Cookie: sluice={sam's cookie}"        // an editor of another workspace
	notHers = "\"email\":\"root"                     // what only an administrator reads
	wordy   = "Authorization: Bearer sluice_pat_AAA" // nobody's
)

var attacks = []attack{
	// Credentials in the wrong place, or two at once.
	{"a token in the query", "GET /v1/videos?access_token={ada's token}", nil, "", "401 unauthorized", nil},
	{"a token in the query beside a cookie", "GET /v1/videos?access_token={root's token}", []string{ada}, "", "422 invalid_request", nil},
	{"a token in a form", "POST /v1/videos", []string{"Content-Type: application/x-www-form-urlencoded"}, "access_token={ada's token}", "401 unauthorized", nil},
	{"a bad token beside a good cookie", "GET /v1/videos", []string{ada, wordy}, "", "401 unauthorized", nil},
	{"a good token beside a better cookie", "GET /v1/users", []string{"Cookie: sluice={root's cookie}", token}, "", "403 missing_scope", []string{notHers}},
	{"an empty token beside a good cookie", "GET /v1/videos", []string{ada, "Authorization:"}, "", "401 unauthorized", nil},
	{"two tokens, the second good", "GET /v1/videos", []string{wordy, token}, "", "401 unauthorized", nil},
	{"two tokens, the first good", "GET /v1/videos", []string{token, wordy}, "", "401 unauthorized", nil},
	{"a cookie's value as a token", "GET /v1/videos", []string{"Authorization: Bearer {ada's cookie}"}, "", "401 unauthorized", nil},
	{"a token as a cookie's value", "GET /v1/videos", []string{"Cookie: sluice={ada's token}"}, "", "401 unauthorized", nil},
	{"a session's id as a cookie's value", "GET /v1/videos", []string{"Cookie: sluice={ada's session}"}, "", "401 unauthorized", nil},
	{"the cookie under another name", "GET /v1/videos", []string{"Cookie: __Host-sluice={ada's cookie}; Sluice={ada's cookie}"}, "", "401 unauthorized", nil},
	{"half of a cookie", "GET /v1/videos", []string{"Cookie: sluice=" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "", "401 unauthorized", nil},
	{"a password by Basic", "GET /v1/videos", []string{"Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte("ada@example.com:"+own))}, "", "401 unauthorized", nil},
	{"the admin token with something after it", "GET /v1/users", []string{"Authorization: Bearer {operator}x"}, "", "401 unauthorized", nil},
	{"the admin token in other letters", "GET /v1/users", []string{"Authorization: Bearer {OPERATOR}"}, "", "401 unauthorized", nil},

	// More than one may.
	{"a token that makes its successor", "POST /v1/tokens", []string{token, jsonBody}, `{"name":"x","scopes":["videos/read"]}`, "403 session_required", []string{"sluice_pat_"}},
	{"a token with scopes that the role lacks", "POST /v1/tokens", []string{ada, jsonBody}, `{"name":"x","scopes":["users/admin"]}`, "403 missing_scope", []string{"sluice_pat_"}},
	{"a token for ever", "POST /v1/tokens", []string{ada, jsonBody}, `{"name":"x","scopes":["videos/read"],"expires":"2999-01-01T00:00:00Z"}`, "422 bad_expiry", []string{"sluice_pat_"}},
	{"an editor who invites", "POST /v1/users", []string{ada, jsonBody}, `{"email":"mallory@example.com","role":"admin"}`, "403 missing_scope", nil},
	{"an editor who makes herself an administrator", "PATCH /v1/users/{ada}", []string{ada, jsonBody}, `{"role":"admin"}`, "403 missing_scope", nil},
	{"an editor who reads the record", "GET /v1/audit", []string{ada}, "", "403 missing_scope", []string{notHers}},
	{"an editor who reads letters", "GET /v1/outbox/letters/1", []string{ada}, "", "403 missing_scope", []string{"secret"}},
	{"an administrator who reads a letter that was sent", "GET /v1/outbox/letters/1", []string{"Cookie: sluice={root's cookie}"}, "", "200", []string{`"secret"`, "Temporary password: "}},
	{"another user's sessions", "GET /v1/sessions?user={root}", []string{ada}, "", "403 missing_scope", nil},
	{"another user's programs", "GET /v1/programs?user={root}", []string{ada}, "", "403 missing_scope", nil},
	{"another user's programs, by a token", "GET /v1/programs", []string{token}, "", "403 session_required", nil},
	{"a program that somebody else let in", "DELETE /v1/programs/01jq3v8k2m4n5p6r7s8t9v0w1x?user={root}", []string{ada}, "", "403 missing_scope", nil},
	{"a program's id that is no text", "DELETE /v1/programs/%00", []string{ada}, "", "422 invalid_request", nil},
	{"another user's session, as if one's own", "DELETE /v1/sessions/{root's session}", []string{ada}, "", "404 no_session", nil},
	{"another user's token, as if one's own", "DELETE /v1/tokens/{root's token id}", []string{ada}, "", "404 no_token", nil},
	{"fields that a sign-in doesn't have", "POST /v1/session", []string{jsonBody}, `{"email":"ada@example.com","password":"x","role":"admin","must_change":false}`, "422 invalid_request", nil},
	{"fields that a change of the password doesn't have", "POST /v1/session/password", []string{ada, jsonBody}, `{"current":"x","password":"y","user":"{root}"}`, "422 invalid_request", nil},
	{"a viewer who puts", "POST /v1/uploads", []string{vic, jsonBody}, `{"filename":"a.mp4"}`, "403 missing_scope", nil},
	{"an editor who puts elsewhere", "POST /v1/uploads", []string{ada, jsonBody}, `{"filename":"a.mp4","workspace":"other"}`, "403 forbidden", []string{"Signature"}},
	{"an editor who takes a video elsewhere", "PATCH /v1/videos/{video}", []string{ada, jsonBody}, `{"workspace":"other"}`, "403 forbidden", nil},
	{"a video of another workspace", "GET /v1/videos/{video}", []string{sam}, "", "404 no_video", []string{"secret.mp4"}},
	{"the list of another workspace", "GET /v1/videos", []string{sam}, "", "200", []string{"secret.mp4"}},
	{"a video of another workspace, changed", "PATCH /v1/videos/{video}", []string{sam, jsonBody}, `{"title":"mine"}`, "404 no_video", nil},
	{"a video of another workspace, deleted", "DELETE /v1/videos/{video}", []string{sam}, "", "404 no_video", nil},
	{"what is not ready, to a viewer", "GET /v1/videos/{video}", []string{vic}, "", "404 no_video", []string{"secret.mp4"}},

	// Requests that mean something else to something else.
	{"a method over the method", "GET /v1/videos/{video}", []string{ada, "X-HTTP-Method-Override: DELETE", "X-HTTP-Method: DELETE", "X-Method-Override: DELETE"}, "", "200", nil},
	{"a method in the query", "POST /v1/uploads?_method=DELETE", []string{ada, jsonBody}, `{"filename":"a.mp4"}`, "422 invalid_request", nil},
	{"an address over the address", "GET /v1/workspaces", []string{vic, "X-Original-URL: /v1/users", "X-Rewrite-URL: /v1/users"}, "", "200", []string{notHers}},
	{"a user in a header", "GET /v1/users", []string{vic, "X-Forwarded-User: root", "X-Remote-User: root", "Remote-User: root", "X-User-Id: {root}"}, "", "403 missing_scope", []string{notHers}},
	{"dots in the path", "GET /v1/videos/../users", []string{vic}, "", "307", []string{notHers}},
	{"encoded dots in the path", "GET /v1/videos/%2e%2e/users", []string{vic}, "", "404 not_found", []string{notHers}},
	{"an encoded slash", "GET /v1%2fusers", nil, "", "404", []string{notHers}},
	{"other letters", "GET /V1/users", nil, "", "404", []string{notHers}},
	{"a parameter of the path", "GET /v1/users;x=/v1/videos", []string{vic}, "", "404 not_found", []string{notHers}},
	{"a NUL in the path", "GET /v1/users/%00", []string{vic}, "", "403 missing_scope", nil},
	{"a redirect to another host", "GET //evil.example/%2e%2e", nil, "", "307", []string{"//evil"}},
	{"a redirect to another host by backslashes", `GET /\evil.example/..`, nil, "", "307", []string{`/\\evil`, "//evil"}},
	{"two lengths", "POST /v1/session", []string{jsonBody, "Content-Length: 5"}, `{"email":"a","password":"b"}`, "400", nil},
	{"a length and chunks", "POST /v1/session", []string{jsonBody, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"}, "0\r\n\r\n", "501", nil},
	{"a line in a header's middle", "GET /v1/videos", []string{"X-Forwarded-For: 1.2.3.4\nX-Injected: yes\x00"}, "", "400", nil},
	{"two hosts", "GET /v1/videos", []string{"Host: 127.0.0.1", "Host: evil.example"}, "", "400", nil},

	// Too much.
	{"a header of 100 kB", "GET /v1/videos", []string{"X-Long: " + strings.Repeat("x", 100<<10)}, "", "431", nil},
	{"a body of 2 MB", "POST /v1/session", []string{jsonBody}, `{"email":"` + strings.Repeat("x", 2<<20) + `","password":"x"}`, "413 body_too_large", nil},
	{"a password of 3 kB", "POST /v1/session", []string{jsonBody}, `{"email":"a@example.com","password":"` + strings.Repeat("x", 3<<10) + `"}`, "422 invalid_request", nil},
	{"a deep body", "POST /v1/session", []string{jsonBody}, strings.Repeat("[", 3<<10), "400 bad_json", nil},
	{"a user agent with escapes", "GET /v1/videos", []string{wordy, "User-Agent: \x1b[31mred"}, "", "400", nil},
	{"a user agent of 20 kB", "GET /v1/videos", []string{wordy, "User-Agent: " + strings.Repeat("y", 20<<10)}, "", "401 unauthorized", nil},
}

func TestEachAttackIsRefusedAndChangesNothing(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, format)
			s.operator(201, "POST /v1/workspaces", `{"id":"other","name":"Other"}`)
			s.person("root", "admin", "main", "users/admin", "videos/read")
			s.person("ada", "editor", "main", "videos/read")
			s.person("vic", "viewer", "main", "videos/read")
			s.person("sam", "editor", "other", "videos/read")
			video := s.operator(201, "POST /v1/uploads", `{"filename":"secret.mp4","workspace":"main"}`)["id"].(string)
			s.names["{video}"], s.names["{operator}"], s.names["{OPERATOR}"] = video, s.Token, strings.ToUpper(s.Token)
			before := s.world()
			for _, a := range attacks {
				head := slices.Clone(a.head)
				for i := range head {
					head[i] = s.told(head[i])
				}
				got := s.send(s.told(a.ask), head, s.told(a.body))
				if got.String() != a.want {
					t.Errorf("%s: %s, want %s: %.300s", a.name, got, a.want, got.body)
				}
				s.harmless(a.name, got)
				for _, not := range a.not {
					if strings.Contains(got.body, not) || strings.Contains(got.header.Get("Location"), not) {
						t.Errorf("%s: the answer holds %q: %.300s", a.name, not, got.body)
					}
				}
			}
			s.crossSite()
			if after := s.world(); after != before {
				t.Errorf("something changed:\n%s\n%s", before, after)
			}
			for _, name := range []string{"root", "ada", "vic", "sam"} { // and those who may, still may
				for _, head := range []string{"Cookie: sluice={" + name + "'s cookie}", "Authorization: bearer {" + name + "'s token}"} {
					if got := s.send("GET /v1/videos", []string{s.told(head)}, ""); got.status != 200 {
						t.Errorf("%s: %s", head, got)
					}
				}
			}
			s.clean()
		})
	}
}

// world is who there is and what they have, as an administrator sees it.
func (s *stage) world() string {
	s.t.Helper()
	var all strings.Builder
	for _, path := range []string{"/v1/users", "/v1/workspaces", "/v1/videos", "/v1/sessions?user={ada}", "/v1/tokens?user={ada}", "/v1/tokens?user={root}", "/v1/subscriptions", "/v1/queues"} {
		a := s.send(s.told("GET "+path), []string{"Authorization: Bearer " + s.Token}, "")
		var page struct{ Items []map[string]any }
		if err := json.Unmarshal([]byte(a.body), &page); err != nil || a.status != 200 || len(page.Items) == 0 && path == "/v1/users" {
			s.t.Fatalf("%s: %s", path, a.body)
		}
		for _, item := range page.Items {
			for _, moving := range []string{"seen", "used", "queue", "waiting", "running", "oldest", "machines"} {
				delete(item, moving)
			}
			fmt.Fprintln(&all, path, item)
		}
	}
	return all.String()
}

// harmless wants an answer that no browser runs, and no redirect to elsewhere.
func (s *stage) harmless(name string, a answer) {
	s.t.Helper()
	if at := a.header.Get("Location"); at != "" && (!strings.HasPrefix(at, "/") || strings.HasPrefix(at, "//") || strings.HasPrefix(at, `/\`)) && !strings.HasPrefix(at, s.URL+"/") {
		s.t.Errorf("%s: sent to %q", name, at)
	}
	if a.status == 400 && a.header.Get("X-Content-Type-Options") == "" || a.status == 431 || a.status == 501 {
		return // net/http's own, as plain text
	}
	if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Security-Policy") == "" {
		s.t.Errorf("%s: %v", name, a.header)
	}
	if kind, _, _ := strings.Cut(a.header.Get("Content-Type"), ";"); a.status < 300 && kind != "" && kind != "application/json" {
		s.t.Errorf("%s: %d as %q", name, a.status, kind)
	}
}

// crossSite asks every route that may change something as a page of another site would have Ada's browser ask.
func (s *stage) crossSite() {
	s.t.Helper()
	var doc struct {
		Paths map[string]map[string]struct{ RequestBody *struct{} }
	}
	if err := json.Unmarshal([]byte(s.send("GET /openapi.json", nil, "").body), &doc); err != nil {
		s.t.Fatal(err)
	}
	asked := 0
	for path, item := range doc.Paths {
		for method, op := range item {
			if method == "get" || path == "/v1/events/s3" { // that one knows no cookie
				continue
			}
			at := strings.ToUpper(method) + " " + strings.NewReplacer("{id}", s.names["{video}"], "{name}", "ingest", "{playback}", s.names["{video}"]).Replace(path)
			for _, origin := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example", "Origin: null", "Origin: " + s.URL + ".evil.example"} {
				for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json"} {
					asked++
					got := s.send(at, []string{s.told("Cookie: sluice={root's cookie}"), origin, "Content-Type: " + kind}, "{}")
					if got.String() != "403 cross_site" {
						s.t.Errorf("%s with %s as %s: %s", at, origin, kind, got)
					}
					s.harmless(at, got)
				}
			}
			if op.RequestBody == nil {
				continue
			}
			for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"} {
				if got := s.send(at, []string{s.told("Cookie: sluice={root's cookie}"), "Content-Type: " + kind}, `{"x":1}`); got.status != 415 && got.status != 422 {
					s.t.Errorf("%s as %s: %s", at, kind, got)
				}
			}
		}
	}
	if asked < 300 {
		s.t.Errorf("only %d requests", asked)
	}
}

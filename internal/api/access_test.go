package api

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
)

// as sends a request in somebody's name, with a body that is no JSON: who may not ask is not read.
func (s server) as(t *testing.T, p account.Principal, method, path string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(`{"broken`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("As", string(text))
	req.Header.Set("Content-Type", "application/json")
	return s.send(t, req)
}

// everyScopeBut is an admin whose credentials lack one scope.
func everyScopeBut(lacks account.Scope) account.Principal {
	p := account.Operator()
	p.Scopes = slices.DeleteFunc(account.AllScopes(), func(s account.Scope) bool { return s == lacks })
	return p
}

func TestEveryRouteSaysWhomItLetsInAndReadsNothingOfOthers(t *testing.T) {
	s := start(t)
	for path, item := range read(t).Paths {
		for method, op := range item {
			method = strings.ToUpper(method)
			if op.Security == nil {
				t.Errorf("%s %s does not say whom it lets in", method, path)
				continue
			}
			if len(op.Security) == 0 || len(op.Security[0]) == 0 || op.Security[0]["events"] != nil { // open, or not ours to judge
				continue
			}
			refused := map[string]account.Principal{codeUnauthorized: {}}
			if scopes := op.Security[0]["bearer"]; len(scopes) > 0 {
				refused[codeMissingScope] = everyScopeBut(account.Scope(scopes[0]))
				if !strings.Contains(op.Description, "`"+scopes[0]+"`") {
					t.Errorf("%s %s does not tell its scope in words: %q", method, path, op.Description)
				}
			}
			prove, change, enrol := account.Operator(), account.Operator(), account.Operator()
			prove.MustProve, change.MustChange, enrol.MustEnrol = true, true, true
			for code, bound := range map[string]account.Principal{codeMustProve: prove, codeMustChange: change, codeMustEnrol: enrol} {
				if strings.Contains(op.Responses["403"].Description, code) {
					refused[code] = bound
				}
			}
			at := strings.NewReplacer("{id}", "7", "{name}", "encode").Replace(path)
			for code, p := range refused {
				a := s.as(t, p, method, at+"?unknown=1")
				if a.status != map[string]int{codeUnauthorized: 401}[code] && a.status != 403 || a.object(t)["code"] != code {
					t.Errorf("%s %s as %+v: %d %s, want %s", method, path, p, a.status, a.body, code)
				}
			}
		}
	}
}

func TestTheDocumentationNamesEachRouteByItsScope(t *testing.T) {
	text, err := os.ReadFile("../../docs/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := map[string]string{} // "GET /v1/videos" → the first cell of its row
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) != 4 {
			continue
		}
		for i, part := range strings.Split(cells[2], "`") {
			if i%2 == 1 && (strings.Contains(part, " /v1/") || part == "GET /keys") {
				named[part] = strings.TrimSpace(cells[1])
			}
		}
	}
	for path, item := range read(t).Paths {
		for method, op := range item {
			where := strings.ToUpper(method) + " " + path
			var scopes []string
			if len(op.Security) > 0 {
				scopes = op.Security[0]["bearer"]
			}
			if len(scopes) > 0 && named[where] != "`"+scopes[0]+"`" || named[where] == "" {
				t.Errorf("%s: docs/SECURITY.md has it under %q, it asks for %v", where, named[where], scopes)
			}
			delete(named, where)
		}
	}
	if len(named) > 0 {
		t.Errorf("docs/SECURITY.md names routes that are not there: %v", named)
	}
}

func TestARefusalTellsHowToAskAgain(t *testing.T) {
	s := start(t)
	for want, p := range map[string]account.Principal{
		`Bearer realm="sluice"`: {},
		`Bearer realm="sluice", error="insufficient_scope", scope="videos/read"`: everyScopeBut(account.VideosRead),
		"": {Kind: account.Person, MustChange: true},
	} {
		if got := s.as(t, p, "GET", "/v1/videos").header.Get("WWW-Authenticate"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestARouteThatDoesNotSayWhomItLetsInIsNotServed(t *testing.T) {
	for _, a := range []access{{}, open(""), settled(""), enrolling(""), authenticated(""), known(""), asked("")} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v was taken", a)
				}
			}()
			route(&service{}, a, huma.Operation{OperationID: "new"}, nil, func(context.Context, *struct{}) (*struct{}, error) { return nil, nil })
		}()
	}
	if (access{}).allow(account.Operator()) == nil {
		t.Error("what declares nothing lets the operator in")
	}
	bound := account.Principal{Kind: account.Person, MustChange: true, MustEnrol: true}
	if enrolling("a second factor").allow(bound) == nil || authenticated("the password").allow(bound) != nil || authenticated("it").allow(account.Principal{Kind: account.Person, MustProve: true}) == nil {
		t.Error("a session that is not whole opens the wrong doors")
	}
	if asked("oneself").allow(account.Principal{}) != nil || known("the password").allow(bound) != nil || settled("own tokens").allow(bound) == nil || open("sign-in").allow(account.Principal{}) != nil {
		t.Error("a temporary password opens the wrong doors")
	}
}

func TestTheServerIsToldOfRefusals(t *testing.T) {
	var told []string
	h := New(Config{Logger: slog.New(slog.DiscardHandler), Refused: func(_ context.Context, operation string, err error) {
		told = append(told, operation+": "+err.Error())
	}})
	req, err := http.NewRequestWithContext(account.With(t.Context(), account.Principal{}), "GET", "/v1/jobs", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.ServeHTTP(discard{http.Header{}}, req)
	if len(told) != 1 || !strings.HasPrefix(told[0], "listJobs: ") || !strings.Contains(told[0], "unauthorized") {
		t.Errorf("told %q", told)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header       { return d.header }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

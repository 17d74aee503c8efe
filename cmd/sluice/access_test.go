package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// cookieFor knows one cookie, as sessions do.
type cookieFor struct {
	value string
	who   account.Principal
	err   error
}

func (c cookieFor) Authenticate(r *http.Request) (account.Principal, bool, error) {
	cookie, err := r.Cookie("sluice")
	if err != nil {
		return account.Principal{}, false, nil
	}
	if c.err != nil || cookie.Value != c.value {
		if c.err == nil {
			c.err = fault.New(fault.Unauthorized, "test", "session_over", "The session is over; sign in again.", nil)
		}
		return account.Principal{}, false, c.err
	}
	return c.who, true, nil
}

// door is the chain before a handler that says who came in, and the log.
func door(t *testing.T, chain ...Authenticator) (http.Handler, *bytes.Buffer) {
	t.Helper()
	log := &bytes.Buffer{}
	a := &App{log: slog.New(slog.NewTextHandler(log, nil))}
	var err error
	if a.access, err = newAccess("https://sluice.test", chain...); err != nil {
		t.Fatal(err)
	}
	inner := a.identified(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, _ := account.From(r.Context())
		fmt.Fprintf(w, "%s, cookies %d", p.ID, len(r.Cookies()))
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner.ServeHTTP(w, noted(r, nil)) }), log
}

func TestOneOfSeveralCredentialsDecides(t *testing.T) {
	t.Parallel()
	const admin = "sluice_0123456789abcdef"
	ann := cookieFor{value: "good", who: account.Principal{Kind: account.Person, ID: "ann"}}
	away := cookieFor{err: fault.New(fault.Unavailable, "test", "database_unavailable", "The database does not answer.", nil)}
	for _, c := range []struct {
		does   string
		chain  Authenticator
		method string
		header map[string][]string
		status int
		says   string // who came in, or a code
	}{
		{"nobody", ann, "GET", nil, 200, ", cookies 0"},
		{"the admin token", ann, "GET", map[string][]string{"Authorization": {"Bearer " + admin}}, 200, "admin, cookies 0"},
		{"a scheme has no case", ann, "GET", map[string][]string{"Authorization": {"bearer " + admin}}, 200, "admin, cookies 0"},
		{"another token", ann, "GET", map[string][]string{"Authorization": {"Bearer x" + admin}}, 401, "unauthorized"},
		{"another scheme", ann, "GET", map[string][]string{"Authorization": {"Basic " + admin}}, 401, "unauthorized"},
		{"an empty header", ann, "GET", map[string][]string{"Authorization": {""}}, 401, "unauthorized"},
		{"two headers", ann, "GET", map[string][]string{"Authorization": {"Bearer " + admin, "Bearer " + admin}}, 401, "unauthorized"},
		{"a session", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}}, 200, "ann, cookies 1"},
		{"a session that is over", ann, "GET", map[string][]string{"Cookie": {"sluice=old"}}, 200, ", cookies 1"},
		{"a token beside a session", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Authorization": {"Bearer " + admin}}, 200, "admin, cookies 0"},
		{"a bad token beside a session", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Authorization": {"Bearer no"}}, 401, "unauthorized"},
		{"a session that nobody can look up", away, "GET", map[string][]string{"Cookie": {"sluice=good"}}, 503, "database_unavailable"},

		{"our page", ann, "POST", map[string][]string{"Cookie": {"sluice=good"}, "Sec-Fetch-Site": {"same-origin"}}, 200, "ann, cookies 1"},
		{"our page, behind a proxy", ann, "POST", map[string][]string{"Cookie": {"sluice=good"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://sluice.test"}}, 200, "ann, cookies 1"},
		{"a page elsewhere", ann, "POST", map[string][]string{"Cookie": {"sluice=good"}, "Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.test"}}, 403, "cross_site"},
		{"a page of a neighbour", ann, "DELETE", map[string][]string{"Cookie": {"sluice=good"}, "Sec-Fetch-Site": {"same-site"}, "Origin": {"https://other.sluice.test"}}, 403, "cross_site"},
		{"an old browser's page elsewhere", ann, "PATCH", map[string][]string{"Cookie": {"sluice=good"}, "Origin": {"https://evil.test"}}, 403, "cross_site"},
		{"a sandboxed page", ann, "PUT", map[string][]string{"Cookie": {"sluice=good"}, "Origin": {"null"}}, 403, "cross_site"},
		{"a page elsewhere that signs in for somebody", ann, "POST", map[string][]string{"Sec-Fetch-Site": {"cross-site"}}, 403, "cross_site"},
		{"a page elsewhere that reads", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Sec-Fetch-Site": {"cross-site"}}, 200, "ann, cookies 1"},
		{"a page elsewhere that reads what it is let", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Origin": {"https://evil.test"}, "Sec-Fetch-Site": {"cross-site"}}, 200, ", cookies 0"},
		{"an old browser's page elsewhere that reads", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Origin": {"null"}}, 200, ", cookies 0"},
		{"our page that reads, behind a proxy", ann, "GET", map[string][]string{"Cookie": {"sluice=good"}, "Origin": {"https://sluice.test"}, "Sec-Fetch-Site": {"same-site"}}, 200, "ann, cookies 1"},
		{"a page elsewhere with a token", ann, "POST", map[string][]string{"Authorization": {"Bearer " + admin}, "Sec-Fetch-Site": {"cross-site"}}, 200, "admin, cookies 0"},
		{"a program", ann, "POST", map[string][]string{"Cookie": {"sluice=good"}}, 200, "ann, cookies 1"},
	} {
		h, log := door(t, adminBearer{admin}, c.chain)
		r := httptest.NewRequest(c.method, "http://10.0.0.7/v1/videos?token=secret", nil)
		for k, v := range c.header {
			r.Header[k] = v
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s: %d %s, want %d %s", c.does, w.Code, w.Body, c.status, c.says)
		}
		if challenge := w.Header().Get("WWW-Authenticate"); (challenge == `Bearer realm="sluice", error="invalid_token"`) != (c.status == 401) {
			t.Errorf("%s: challenge %q", c.does, challenge)
		}
		if refused := c.status >= 400; strings.Contains(log.String(), "code="+c.says) != refused {
			t.Errorf("%s: logged %q", c.does, log)
		}
		for _, secret := range []string{admin, "secret", "good", "old"} {
			if strings.Contains(log.String(), secret) {
				t.Errorf("%s: the log holds %s: %s", c.does, secret, log)
			}
		}
	}
}

func TestRefusalsAreOneCleanLineEachAndFillNoLog(t *testing.T) {
	t.Parallel()
	h, log := door(t)
	for range 10 * refusalsAtOnce {
		r := httptest.NewRequest("GET", "http://sluice.test/v1/"+strings.Repeat("%0Alevel=ERROR", 40), nil)
		r.Header.Set("Authorization", "Bearer no")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < refusalsAtOnce || len(lines) > 4*refusalsAtOnce {
		t.Errorf("%d lines", len(lines))
	}
	for _, line := range lines {
		if !strings.Contains(line, "request refused") || len(line) > 1000 || strings.HasPrefix(line, "level=") {
			t.Fatalf("%q", line)
		}
	}
}

func TestNothingIsServedThatIsNotAnEntrance(t *testing.T) {
	t.Parallel()
	a := &App{settings: Settings{Roles: []string{roleAPI, roleEdge}}, health: &health{}}
	patterns := map[string]bool{}
	for _, e := range a.entrances() {
		if e.guard == "" || patterns[e.pattern] {
			t.Errorf("%s: guarded by %q, or twice there", e.pattern, e.guard)
		}
		patterns[e.pattern] = true
	}
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	registered := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if s, ok := call.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "Handle" || s.Sel.Name == "HandleFunc" || s.Sel.Name == "NewServeMux") {
				registered++
				if name != "routes.go" {
					t.Errorf("%s calls %s: what is served is an entrance of routes.go", name, s.Sel.Name)
				}
			}
			return true
		})
	}
	if registered != 2 {
		t.Errorf("routes.go registers %d times; the loop over the entrances is the only place", registered)
	}
}

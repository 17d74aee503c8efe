package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// crossed sends a request of a page through the door and no network.
func (h house) crossed(method, at, origin string, more ...string) *httptest.ResponseRecorder {
	h.t.Helper()
	r := httptest.NewRequest(method, at, nil)
	if origin != "" {
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
	}
	for i := 0; i < len(more); i += 2 {
		r.Header.Set(more[i], more[i+1])
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	return w
}

const friend = "https://friend.example"

func TestPagesOfCORSOriginsCallTheAPIWithAToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--cors-origins", friend+",http://localhost:3000")
	for _, c := range []struct {
		does, method, at, origin string
		allowed, cookies         bool
	}{
		{"a page that is let in", "GET", "/v1/videos", friend, true, false},
		{"another one", "DELETE", "/v1/videos/x", "http://localhost:3000", true, false},
		{"for a grant", "POST", "/v1/keys", friend, true, true},
		{"for a grant, as the seeds spell it", "GET", "/keys", friend, true, true},
		{"what there isn't", "GET", "/v1/nowhere", friend, true, false},
		{"the sandbox of a page", "GET", "/v1/videos", "null", false, false},
		{"something before it", "POST", "/v1/keys", "https://evil-friend.example", false, false},
		{"a host below it", "POST", "/v1/keys", "https://evil.friend.example", false, false},
		{"something behind it", "POST", "/v1/keys", "https://friend.example.evil.test", false, false},
		{"the beginning of it", "POST", "/v1/keys", "https://friend.exampl", false, false},
		{"without TLS", "POST", "/v1/keys", "http://friend.example", false, false},
		{"on another port", "POST", "/v1/keys", "https://friend.example:8443", false, false},
		{"with its usual port spelled", "POST", "/v1/keys", "https://friend.example:443", false, false},
		{"another port of localhost", "POST", "/v1/keys", "http://localhost:3001", false, false},
		{"a name before it", "POST", "/v1/keys", "https://friend.example@evil.test", false, false},
		{"a dot behind it", "POST", "/v1/keys", "https://friend.example.", false, false},
		{"a slash behind it", "POST", "/v1/keys", friend + "/", false, false},
		{"in capitals", "POST", "/v1/keys", "https://FRIEND.example", false, false},
		{"two at once", "POST", "/v1/keys", friend + " https://evil.test", false, false},
		{"what storages tell", "POST", "/v1/events/s3", friend, false, false},
	} {
		for _, preflight := range []bool{true, false} {
			var w *httptest.ResponseRecorder
			if preflight {
				w = h.crossed("OPTIONS", c.at, c.origin, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", "authorization,content-type")
			} else {
				w = h.crossed(c.method, c.at, c.origin, "Authorization", "Bearer "+h.token)
			}
			want := map[string]string{"Access-Control-Allow-Origin": "", "Access-Control-Allow-Credentials": ""}
			if c.allowed {
				want["Access-Control-Allow-Origin"] = c.origin
			}
			if c.cookies {
				want["Access-Control-Allow-Credentials"] = "true"
			}
			for name, value := range want {
				if got := w.Header().Values(name); strings.Join(got, "|") != value {
					t.Errorf("%s, preflight %t: %s %q, want %q", c.does, preflight, name, got, value)
				}
			}
			if c.at != "/v1/events/s3" && !strings.Contains(strings.Join(w.Header().Values("Vary"), ","), "Origin") {
				t.Errorf("%s, preflight %t: varies by %q", c.does, preflight, w.Header().Values("Vary"))
			}
			if preflight && c.allowed && (w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Max-Age") != "600" || w.Header().Get("Access-Control-Allow-Methods") != c.method) {
				t.Errorf("%s: %d %v", c.does, w.Code, w.Header())
			}
			if !preflight && w.Code == http.StatusUnauthorized && c.at != "/v1/events/s3" {
				t.Errorf("%s: the token is no good: %s", c.does, w.Body)
			}
		}
	}
	for _, c := range []struct{ method, sends string }{{"PUT", "authorization"}, {"TRACE", "authorization"}, {"GET", "x-origin-secret"}, {"GET", "authorization,x-forwarded-for"}, {"GET", "cookie"}} {
		w := h.crossed("OPTIONS", "/v1/videos", friend, "Access-Control-Request-Method", c.method, "Access-Control-Request-Headers", c.sends)
		if w.Header().Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("a page may send %s with %s", c.method, c.sends)
		}
	}
}

func TestAllPagesCallTheAPIWhereAStarIsSetAndNoneByCookies(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--cors-origins", "*,"+friend)
	for origin, want := range map[string][2]string{"https://any.test": {"*", ""}, "null": {"*", ""}, friend: {friend, "true"}} {
		w := h.crossed("GET", "/keys", origin, "Authorization", "Bearer "+h.token)
		if got := [2]string{w.Header().Get("Access-Control-Allow-Origin"), w.Header().Get("Access-Control-Allow-Credentials")}; got != want || w.Code != http.StatusOK || !slices.Contains(w.Header().Values("Vary"), "Origin") {
			t.Errorf("%s: %d %v %v", origin, w.Code, got, w.Header())
		}
	}
	h = newHouse(t)
	if w := h.crossed("GET", "/v1/videos", friend, "Authorization", "Bearer "+h.token); w.Header().Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a server that names nobody: %v", w.Header())
	}
}

// A browser sends cookies along that a page can't see. What they open is for our own pages, listed or not.
func TestNoPageElsewhereActsBySomebodysCookie(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--cors-origins", friend)
	h.serves()
	ann := h.person("admin", "main")
	for _, origin := range []string{friend, "https://evil.test", "null"} {
		elsewhere := ann
		elsewhere.origin = origin
		for _, c := range []struct{ method, at, body, says string }{
			{"GET", "/v1/videos", "", "401 unauthorized"}, {"GET", "/v1/session", "", "204"}, {"GET", "/keys", "", "401 unauthorized"},
			{"POST", "/v1/keys", `{"all":true}`, "403 cross_site"}, {"POST", "/v1/tokens", `{"name":"x","scopes":["videos/read"]}`, "403 cross_site"}, {"DELETE", "/v1/session", "", "403 cross_site"},
		} {
			if got := h.send(elsewhere, c.method, c.at, c.body); got.said() != c.says || len(got.header.Values("Set-Cookie")) > 0 {
				t.Errorf("%s %s by a page of %s: %s, want %s", c.method, c.at, origin, got.said(), c.says)
			}
		}
	}
	h.done(ann, "GET", "/keys", "")
}

// Programs of browsers sign people in by code and PKCE, and keep no secret: every page may ask.
func TestPagesAskTheProviderForTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for at, method := range map[string]string{"/oauth/token": "POST", "/oauth/revoke": "POST", "/oauth/userinfo": "GET", "/oauth/jwks": "GET", "/.well-known/openid-configuration": "GET", "/.well-known/oauth-authorization-server": "GET"} {
		w := h.crossed("OPTIONS", at, friend, "Access-Control-Request-Method", method, "Access-Control-Request-Headers", "authorization,content-type")
		if got := w.Header(); w.Code != http.StatusNoContent || got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Allow-Credentials") != "" || got.Get("Access-Control-Max-Age") == "" {
			t.Errorf("%s: %d %v", at, w.Code, got)
		}
		if got := h.crossed(method, at, friend).Header(); got.Get("Access-Control-Allow-Origin") != "*" || got.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s %s: %v", method, at, got)
		}
	}
	for _, at := range []string{"/oauth/authorize", "/oauth/logout"} { // a browser is sent there; no page reads what it is told
		if got := h.crossed("GET", at, friend).Header(); got.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: %v", at, got)
		}
	}
}

// What the API's description says of headers, pages can send and read.
func TestPagesMaySendAndReadWhatTheDescriptionNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var doc struct {
		Paths map[string]map[string]struct {
			Parameters []struct{ Name, In string }
			Responses  map[string]struct{ Headers map[string]any }
		}
	}
	_, _, text := h.ask("", "GET", "/openapi.json", "")
	if err := json.Unmarshal([]byte(text), &doc); err != nil {
		t.Fatal(err)
	}
	operations := 0
	for path, item := range doc.Paths {
		for method, op := range item {
			operations++
			if path != "/v1/events/s3" && !slices.Contains(sharedMethods, strings.ToUpper(method)) {
				t.Errorf("pages can't send %s, which %s takes", method, path)
			}
			for _, p := range op.Parameters {
				if p.In == "header" && !slices.Contains(sharedSends, p.Name) {
					t.Errorf("pages can't send %s to %s", p.Name, path)
				}
			}
			for status, answer := range op.Responses {
				for name := range answer.Headers {
					if name != "Set-Cookie" && !slices.Contains(sharedReads, name) {
						t.Errorf("pages can't read %s of %s, %s", name, path, status)
					}
				}
			}
		}
	}
	if operations < 50 {
		t.Errorf("%d operations", operations)
	}
}

func TestOriginsAreThoseThatBrowsersSend(t *testing.T) {
	t.Parallel()
	set := func(origin string) error {
		var c Serve
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = parser.Parse([]string{"--cors-origins", origin})
		return err
	}
	for _, good := range []string{"*", friend, "http://localhost:3000", "http://127.0.0.1", "https://[::1]:8443", "https://[::1]", "https://xn--bcher-kva.example"} {
		if err := set(good); err != nil {
			t.Error(err)
		}
	}
	for _, bad := range []string{"null", "friend.example", "https://", friend + "/", friend + "/x", friend + "?", friend + "#", "https://FRIEND.example", friend + ":443", "http://friend.example:80", friend + ":",
		"https://a@friend.example", "https://*.friend.example", "https://bücher.example", "ftp://friend.example", "//friend.example", friend + ", https://b.example"} {
		if err := set(bad); err == nil || !strings.Contains(err.Error(), "cors_origins") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

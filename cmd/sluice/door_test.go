package main

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
)

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
			admin, _, _ := h.ask(h.token, method, at, "")
			if nobody != 401 || admin != 405 {
				t.Errorf("%s %s: %d to nobody and %d to an admin, want 401 and 405", method, at, nobody, admin)
			}
		}
	}
	for _, path := range []string{"/v1/", "/v1/nowhere", "/v1/videos/", "/v1/VIDEOS", "/v1/videos/x/y/z"} {
		nobody, _, _ := h.ask("", "GET", path, "")
		admin, _, _ := h.ask(h.token, "GET", path, "")
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

// What HTTP/1.0 says of transfer encodings net/http drops: where its request ends is not certain.
func TestAConnectionOfHTTP10EndsWithItsAnswer(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for version, want := range map[string]string{"HTTP/1.0": "close", "HTTP/1.1": ""} {
		r := httptest.NewRequest("GET", "/healthz", nil)
		r.Proto, r.ProtoMinor = version, int(version[7]-'0')
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, r)
		if got := w.Header().Get("Connection"); got != want {
			t.Errorf("%s: Connection: %q, want %q", version, got, want)
		}
	}
}

package ui

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

var built = fstest.MapFS{
	".gitkeep":               {},
	"index.html":             {Data: []byte("<!doctype html>the page")},
	"index.html.gz":          {Data: []byte("packed page")},
	"reference.html":         {Data: []byte("<!doctype html>the reference")},
	"assets/index-abc123.js": {Data: []byte("let it = 1")},
}

func get(t *testing.T, h http.Handler, method, path string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestEachPathIsServedWithItsStatusAndBody(t *testing.T) {
	t.Parallel()
	h := handler(built, Config{})
	for _, c := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", 200, "<!doctype html>the page"},
		{"HEAD", "/", 200, ""},
		{"GET", "/reference", 200, "<!doctype html>the reference"},
		{"GET", "/assets/index-abc123.js", 200, "let it = 1"},
		{"GET", "/index.html", 404, "404 page not found\n"},
		{"GET", "/index.html.gz", 404, "404 page not found\n"},
		{"GET", "/.gitkeep", 404, "404 page not found\n"},
		{"GET", "/assets/../index.html", 404, "404 page not found\n"},
		{"POST", "/", 405, "Only GET and HEAD.\n"},
	} {
		r := get(t, h, c.method, c.path)
		if got := body(t, r); r.StatusCode != c.status || got != c.body {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, r.StatusCode, got, c.status, c.body)
		}
	}
}

func TestPagesAreAskedForAgainAndAssetsKept(t *testing.T) {
	t.Parallel()
	h := handler(built, Config{})
	page := get(t, h, "GET", "/")
	if got := page.Header.Get("Cache-Control"); got != "no-cache" {
		t.Errorf("page: Cache-Control %q", got)
	}
	if again := get(t, h, "GET", "/", "If-None-Match", page.Header.Get("ETag")); again.StatusCode != http.StatusNotModified {
		t.Errorf("page with its ETag: %d, want 304", again.StatusCode)
	}
	asset := get(t, h, "GET", "/assets/index-abc123.js")
	if got := asset.Header.Get("Cache-Control"); got != "public, max-age=31536000, immutable" {
		t.Errorf("asset: Cache-Control %q", got)
	}
	if got := asset.Header.Get("Content-Type"); !strings.HasPrefix(got, "text/javascript") {
		t.Errorf("asset: Content-Type %q", got)
	}
}

func TestABrowserThatTakesGzipGetsThePackedCopy(t *testing.T) {
	t.Parallel()
	h := handler(built, Config{})
	plain, packed := get(t, h, "GET", "/"), get(t, h, "GET", "/", "Accept-Encoding", "gzip, br")
	if got := body(t, packed); got != "packed page" || packed.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("packed: %q, Content-Encoding %q", got, packed.Header.Get("Content-Encoding"))
	}
	if plain.Header.Get("Content-Encoding") != "" || plain.Header.Get("Vary") != "Accept-Encoding" {
		t.Errorf("plain: %v", plain.Header)
	}
	if plain.Header.Get("ETag") == packed.Header.Get("ETag") {
		t.Error("the two forms share an ETag")
	}
}

func TestThePolicyNamesTheOtherOriginsAndNoMore(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		config         Config
		connect, media string
	}{
		{"its own origin", Config{}, "connect-src 'self';", "media-src 'self' blob:;"},
		{
			"an edge and a public address", Config{PublicURL: "https://video.example:8443/base", EdgeURL: "https://cdn.example"},
			"connect-src 'self' https://cdn.example https://video.example:8443;", "media-src 'self' blob: https://cdn.example;",
		},
		{
			"one address for both", Config{PublicURL: "http://127.0.0.1:8080", EdgeURL: "http://127.0.0.1:8080"},
			"connect-src 'self' http://127.0.0.1:8080;", "media-src 'self' blob: http://127.0.0.1:8080;",
		},
		{
			"a storage of its own", Config{PublicURL: "https://video.example", StorageURL: "https://s3.example:9000/base", EdgeURL: "https://video.example"},
			"connect-src 'self' https://video.example https://s3.example:9000;", "media-src 'self' blob: https://video.example;",
		},
		{"an address that would add a rule", Config{EdgeURL: "https://a;script-src *"}, "connect-src 'self';", "media-src 'self' blob:;"},
		{"an address of another scheme", Config{EdgeURL: "data:text/html,x"}, "connect-src 'self';", "media-src 'self' blob:;"},
	} {
		got := get(t, handler(built, c.config), "GET", "/").Header.Get("Content-Security-Policy")
		if !strings.Contains(got, c.connect) || !strings.Contains(got, c.media) {
			t.Errorf("%s: %s", c.name, got)
		}
		if strings.Contains(got, "unsafe") || !strings.HasPrefix(got, "default-src 'none'; script-src 'self'; style-src 'self';") || !strings.Contains(got, "frame-ancestors 'none'") ||
			strings.Contains(got, "script-src *") {
			t.Errorf("%s: too loose: %s", c.name, got)
		}
	}
}

func TestAnUnbuiltPageSaysWhatToDo(t *testing.T) {
	t.Parallel()
	r := get(t, handler(fstest.MapFS{".gitkeep": {}}, Config{}), "GET", "/")
	if got := body(t, r); r.StatusCode != http.StatusOK || !strings.Contains(got, "make build") {
		t.Errorf("%d %q", r.StatusCode, got)
	}
	if got := r.Header.Get("Cache-Control"); got != "no-store" {
		t.Errorf("Cache-Control %q: a built page would hide behind it", got)
	}
}

func TestTheEmbeddedBuildIsServed(t *testing.T) {
	t.Parallel()
	r := get(t, Handler(Config{}), "GET", "/")
	if got := body(t, r); r.StatusCode != http.StatusOK || !strings.HasPrefix(got, "<!doctype html>") {
		t.Errorf("%d %q", r.StatusCode, got)
	}
}

package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/certificate/certificatetest"
)

// script is a server that gives prepared answers and keeps what it was asked.
type script struct {
	mu    sync.Mutex
	asked []string // "METHOD path?query body"
	told  int      // complete calls, which asked leaves out
	// complete answers those: with 404 where it is nil.
	complete func(n int, w http.ResponseWriter)
	serve    func(n int, w http.ResponseWriter, r *http.Request)
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/complete") {
		if s.told++; s.complete == nil {
			refuse(w, http.StatusNotFound, "no_upload")
			return
		}
		s.complete(s.told, w)
		return
	}
	if r.Method != http.MethodPut { // an upload's body is for serve to read, or to leave
		b, _ := io.ReadAll(r.Body)
		s.asked = append(s.asked, strings.TrimSpace(fmt.Sprintf("%s %s %s", r.Method, r.URL.RequestURI(), b)))
	} else {
		s.asked = append(s.asked, r.Method+" "+r.URL.RequestURI())
	}
	s.serve(len(s.asked), w, r)
}

func (s *script) requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

// start runs a script and returns a client of it that does not wait long.
func start(t *testing.T, serve func(n int, w http.ResponseWriter, r *http.Request)) (*Client, *script, string) {
	t.Helper()
	s := &script{serve: serve}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL+"/", "secret")
	if err != nil {
		t.Fatal(err)
	}
	c.pause = time.Millisecond
	return c, s, srv.URL
}

func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"type":"about:blank","title":"x","status":%d,"detail":"Do something else.","code":%q,"errors":[{"field":"body.title","message":"too long"}]}`, status, code)
}

func TestTheTypesReadAndWriteTheAPIsJSONWhole(t *testing.T) {
	b, err := os.ReadFile("../internal/api/testdata/video.json") // the golden of the server's own tests
	if err != nil {
		t.Fatal(err)
	}
	var v Video
	d := json.NewDecoder(strings.NewReader(string(b)))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var want, got any
	if err := errors.Join(json.Unmarshal(b, &want), json.Unmarshal(again, &got)); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("written again it is\n%s\nwant\n%s", again, b)
	}
}

func TestARefusalIsAnErrorWithCodeStatusAndDetail(t *testing.T) {
	c, s, _ := start(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, 422, "invalid_request") })
	title := "x"
	_, err := c.Edit(t.Context(), "a/b", Edit{Title: &title})
	var e *Error
	if !errors.As(err, &e) || e.Status != 422 || e.Code != "invalid_request" || e.Detail != "Do something else." || len(e.Fields) != 1 || e.Fields[0].Field != "body.title" {
		t.Errorf("%+v", err)
	}
	if got := s.requests(); len(got) != 1 || got[0] != `PATCH /v1/videos/a%2Fb {"title":"x"}` {
		t.Errorf("asked %q", got)
	}
}

func TestAPageOfAProxyIsAnErrorWithItsStatus(t *testing.T) {
	c, _, _ := start(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(404)
		fmt.Fprint(w, "<html>nothing here</html>")
	})
	_, err := c.Video(t.Context(), "x")
	var e *Error
	if !errors.As(err, &e) || e.Status != 404 || !strings.Contains(e.Detail, "404 Not Found") || strings.Contains(e.Error(), "html") {
		t.Errorf("%+v", err)
	}
}

func TestTheTokenIsShownAndNoRedirectFollowed(t *testing.T) {
	var token string
	c, s, _ := start(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		token = r.Header.Get("Authorization")
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	})
	_, err := c.Video(t.Context(), "x")
	var e *Error
	if !errors.As(err, &e) || e.Status != 302 || token != "Bearer secret" || len(s.requests()) != 1 {
		t.Errorf("%v; token %q; asked %q", err, token, s.requests())
	}
}

func TestReadsAreTriedAgainAndNewEncodesAreNot(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 3 {
			refuse(w, 503, "timeout")
			return
		}
		fmt.Fprint(w, `{"id":"x"}`)
	})
	if v, err := c.Video(t.Context(), "x"); err != nil || v.ID != "x" || len(s.requests()) != 3 {
		t.Errorf("%v %v after %d requests", v.ID, err, len(s.requests()))
	}
	c, s, _ = start(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, 503, "timeout") })
	if _, err := c.Encode(t.Context(), "x", Settings{MaxResolution: 480}); err == nil || len(s.requests()) != 1 {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
	if _, err := c.Video(t.Context(), "x"); err == nil || len(s.requests()) != 1+tries {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
}

func TestAServerThatIsAwayIsUnreachable(t *testing.T) {
	srv := httptest.NewServer(http.NotFoundHandler())
	srv.Close()
	c, err := New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	c.pause = time.Millisecond
	err = c.Delete(t.Context(), "x")
	var e *Error
	if !errors.As(err, &e) || e.Status != 0 || e.Code != "unreachable" || !e.Temporary() {
		t.Errorf("%v", err)
	}
}

func TestAnAddressThatIsNoneIsRefused(t *testing.T) {
	for _, a := range []string{"", "localhost:8080", "ftp://x", "http://", "://"} {
		if _, err := New(a, ""); err == nil {
			t.Errorf("%q was taken", a)
		}
	}
}

func TestVideosAndEventsGoThroughAllPages(t *testing.T) {
	c, s, _ := start(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("cursor"):
			fmt.Fprint(w, `{"items":[{"id":"c"}]}`)
		case q.Get("after") == "0":
			fmt.Fprint(w, `{"items":[{"id":1},{"id":2}],"next":2}`)
		case q.Has("after"):
			fmt.Fprint(w, `{"items":[{"id":3}]}`)
		default:
			fmt.Fprint(w, `{"items":[{"id":"a"},{"id":"b"}],"next":"n=1"}`)
		}
	})
	var got []string
	for v, err := range c.Videos(t.Context(), Query{Status: "ready"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.ID)
	}
	for e, err := range c.Events(t.Context(), "x", 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(e.ID))
	}
	want := []string{"GET /v1/videos?limit=200&status=ready", "GET /v1/videos?cursor=n%3D1&limit=200&status=ready",
		"GET /v1/videos/x/events?limit=200&after=0", "GET /v1/videos/x/events?limit=200&after=2"}
	if strings.Join(got, "") != "abc123" || !reflect.DeepEqual(s.requests(), want) {
		t.Errorf("%v, asked %q", got, s.requests())
	}
}

func TestAnIteratorEndsAfterItsFirstError(t *testing.T) {
	c, _, _ := start(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, 401, "unauthorized") })
	var n int
	for _, err := range c.Videos(t.Context(), Query{}) {
		n++
		if err == nil {
			t.Error("no error")
		}
	}
	if n != 1 {
		t.Errorf("%d turns", n)
	}
}

func TestWaitEndsWhenItIsReachedOrFailed(t *testing.T) {
	const failed = `{"status":"failed","error":{"code":"not_media","message":"No."}}`
	for name, c := range map[string]struct {
		until  Until
		states []string
		code   string // of the failure
	}{
		"playable":                      {UntilPlayable, []string{`{"status":"waiting"}`, `{"status":"processing"}`, `{"status":"processing","playable":true}`}, ""},
		"ready":                         {UntilReady, []string{`{"status":"processing","playable":true}`, `{"status":"ready","playable":true,"generation":1,"newest_generation":1}`}, ""},
		"failed":                        {UntilReady, []string{`{"status":"processing"}`, failed}, "not_media"},
		"failed before playable":        {UntilPlayable, []string{failed}, "not_media"},
		"ready again":                   {UntilReady, []string{`{"status":"ready","generation":1,"newest_generation":2}`, `{"status":"ready","generation":2,"newest_generation":2}`}, ""},
		"failed again":                  {UntilReady, []string{`{"status":"ready","generation":1,"newest_generation":2,"error":{"code":"truncated","message":"x"}}`}, "truncated"},
		"a server that is away a while": {UntilPlayable, []string{"", "", "", "", "", `{"playable":true}`}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cl, s, _ := start(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n > len(c.states) {
					n = len(c.states)
				}
				if c.states[n-1] == "" {
					refuse(w, 503, "unavailable")
					return
				}
				fmt.Fprint(w, c.states[n-1])
			})
			var told int
			_, err := cl.Wait(t.Context(), "x", c.until, func(Video) { told++ })
			var f *Failure
			if c.code == "" && err != nil || c.code != "" && (!errors.As(err, &f) || f.Code != c.code) {
				t.Errorf("%v want %q", err, c.code)
			}
			if len(s.requests()) != len(c.states) || told == 0 {
				t.Errorf("%d requests want %d; told %d times", len(s.requests()), len(c.states), told)
			}
		})
	}
}

// file writes a file to upload.
func file(t *testing.T, name, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestOneCertificateIsTrustedAtOneAddress(t *testing.T) {
	t.Parallel()
	serve := func(pair certificatetest.Pair) *httptest.Server {
		s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"items":[]}`) }))
		s.TLS = &tls.Config{Certificates: []tls.Certificate{pair.Certificate}, MinVersion: tls.VersionTLS12}
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
		s.StartTLS()
		t.Cleanup(s.Close)
		return s
	}
	ca := certificatetest.New(t)
	wild := ca.Server(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"*.example.com"}, nil })
	address := ca.Server(t, func(c *x509.Certificate) { c.DNSNames = nil })
	for _, pair := range []certificatetest.Pair{wild, address} {
		own, other := serve(pair), serve(ca.Server(t))
		for name, c := range map[string]struct {
			at    *httptest.Server
			trust *x509.Certificate
			good  bool
		}{
			"its own":                {own, pair.Leaf, true},
			"none":                   {own, nil, false},
			"another of the same CA": {other, pair.Leaf, false},
		} {
			client, err := New(c.at.URL, "token")
			if err != nil {
				t.Fatal(err)
			}
			if c.trust != nil {
				client.Trust(c.trust)
			}
			if _, err := client.Queues(t.Context()); (err == nil) != c.good {
				t.Errorf("%s: %v", name, err)
			}
		}
		// What lies at another address is judged by the system's authorities.
		client, err := New(own.URL, "token")
		if err != nil {
			t.Fatal(err)
		}
		client.Trust(pair.Leaf)
		twin := serve(pair)
		if resp, err := client.http.Get(twin.URL); err == nil {
			_ = resp.Body.Close()
			t.Error("the certificate is trusted at another address")
		}
	}
}

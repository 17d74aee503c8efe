package purge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
	"sluice/internal/purge"
	"sluice/internal/video"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

// cdn is a server that is told to drop copies.
type cdn struct {
	*httptest.Server

	mu    sync.Mutex
	calls []call
	says  func(n int, w http.ResponseWriter, r *http.Request) // to call n, from 1; nil for 200
}

type call struct {
	method, path string
	header       http.Header
	body         string
}

func newCDN(t *testing.T, says func(n int, w http.ResponseWriter, r *http.Request)) *cdn {
	t.Helper()
	c := &cdn{says: says}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		c.mu.Lock()
		c.calls = append(c.calls, call{r.Method, r.URL.RequestURI(), r.Header, string(body)})
		n := len(c.calls)
		c.mu.Unlock()
		if c.says != nil {
			c.says(n, w, r)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *cdn) all() []call {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.calls)
}

// until waits for what is to come.
func until(t *testing.T, what string, come func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !come(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// safe is a log that many write.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safe) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

const token = "a-token-that-nobody-may-see"

// tags is a call with all keys in a list.
func tags(address string, most int) purge.Call {
	return purge.Call{Method: http.MethodPost, URL: address + "/zones/1/purge_cache", Headers: []string{"Authorization: Bearer " + token}, Body: `{"tags": {keys_json}}`, Most: most}
}

func pattern(folder string, n int) string { return fmt.Sprintf("/stream/%s/%d/*", folder, n) }

// world is a store whose purges are told by an engine.
type world struct {
	*testing.T
	store  *catalog.Store
	engine *engine.Engine
	log    *safe
}

func start(t *testing.T, dsn string, c purge.Call, stage func(purge.Store) purge.Store) world {
	t.Helper()
	w := world{T: t, log: &safe{}}
	log := slog.New(slog.NewTextHandler(w.log, nil))
	store, err := catalog.Open(t.Context(), dsn, log)
	if err != nil {
		t.Fatal(err)
	}
	w.store = store
	store.PurgesBy(purge.Job)
	var by purge.Store = store
	if stage != nil {
		by = stage(store)
	}
	p, err := purge.New(purge.Config{Store: by, Call: c, Path: pattern, Now: time.Now, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	w.engine, err = engine.New(store.DB(), engine.Config{Workers: p.Handlers(), Queues: []engine.Queue{{Name: purge.Queue, Workers: 1}},
		Backoff: engine.Backoff{First: 50 * time.Millisecond, Max: 200 * time.Millisecond}, Logger: log})
	if err == nil {
		err = w.engine.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.engine.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

// videos makes n videos and has their copies dropped.
func (w world) videos(n int) (ids []string) {
	w.Helper()
	for i := range n {
		id := video.NewID(time.Now())
		_, _, err := w.store.Received(w.Context(), video.Video{ID: id, Name: "a.mp4", Prefix: "streams/a-" + string(id)},
			video.Source{Bucket: "uploads", Key: fmt.Sprintf("%d.mp4", i), ETag: "e", Size: 1, Modified: time.UnixMilli(1)}, func(video.ID) []engine.Job { return nil })
		if err == nil {
			err = w.store.DropCopies(w.Context(), id)
		}
		if err != nil {
			w.Fatal(err)
		}
		ids = append(ids, "video-"+string(id))
	}
	return ids
}

// jobs are those that tell the CDN, as operators see them.
func (w world) jobs() []engine.Status {
	w.Helper()
	all, err := w.store.Jobs().Jobs(w.Context(), engine.JobQuery{Queue: purge.Queue})
	if err != nil {
		w.Fatal(err)
	}
	return all
}

func marksOf(t *testing.T, c call) (tags []string) {
	t.Helper()
	var body struct{ Tags []string }
	if err := json.Unmarshal([]byte(c.body), &body); err != nil {
		t.Errorf("%q: %v", c.body, err)
	}
	return body.Tags
}

func TestManyPurgesGoInFewCalls(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		c := newCDN(t, nil)
		w := start(t, dsn, tags(c.URL, 30), nil)
		want := w.videos(70)
		until(t, "70 marks", func() bool {
			n := 0
			for _, one := range c.all() {
				n += len(marksOf(t, one))
			}
			return n >= 70
		})
		var got []string
		for _, one := range c.all() {
			tags := marksOf(t, one)
			if len(tags) > 30 || one.method != http.MethodPost || one.path != "/zones/1/purge_cache" || one.header.Get("Authorization") != "Bearer "+token {
				t.Errorf("%d tags: %s %s %v", len(tags), one.method, one.path, one.header)
			}
			got = append(got, tags...)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("told of %q, want %q", got, want)
		}
		if n := len(c.all()); n > 6 { // three, unless some were due before the last was noted
			t.Errorf("%d calls", n)
		}
	})
}

func TestACDNThatRefusesIsAskedUntilItDoesNot(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		elsewhere := newCDN(t, nil)
		c := newCDN(t, func(n int, w http.ResponseWriter, r *http.Request) {
			switch n {
			case 1:
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, "{\"errors\":[{\"message\":\"no rights\x07 for %s\"}]}", r.Header.Get("Authorization"))
			case 2:
				http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
			case 3:
				w.WriteHeader(http.StatusTooManyRequests)
			case 4:
				w.WriteHeader(http.StatusBadGateway)
			case 5:
				panic(http.ErrAbortHandler)
			}
		})
		w := start(t, dsn, tags(c.URL, 30), nil)
		want := w.videos(1)
		until(t, "the sixth call", func() bool { return len(c.all()) == 6 })
		for _, one := range c.all() {
			if !slices.Equal(marksOf(t, one), want) {
				t.Errorf("told of %q, want %q", marksOf(t, one), want)
			}
		}
		if len(elsewhere.all()) > 0 {
			t.Error("a redirect was followed, with the token")
		}
		until(t, "its end", func() bool {
			return slices.ContainsFunc(w.jobs(), func(j engine.Status) bool { return j.State == engine.Completed })
		})
		var said []string
		for _, j := range w.jobs() {
			for _, e := range j.Errors {
				said = append(said, e.Message)
			}
		}
		text, log := strings.Join(said, "\n"), w.log.String()
		for _, part := range []string{"purge_refused", "403 Forbidden", "no rights for (hidden)", "307 Temporary Redirect"} {
			if !strings.Contains(text, part) {
				t.Errorf("the job doesn't say %q:\n%s", part, text)
			}
		}
		for _, part := range []string{"purge_unavailable", "429 Too Many", "502 Bad Gateway", "EOF"} {
			if !strings.Contains(log, part) {
				t.Errorf("the log doesn't say %q:\n%s", part, log)
			}
		}
		if strings.Contains(text+log, token) || strings.Contains(text+log, "purge_cache") || !strings.Contains(log, "CDN not told") {
			t.Errorf("the token or the address is told:\n%s\n%s", text, log)
		}
	})
}

// once fails once where what the CDN took is noted, as a crash there would.
type once struct {
	purge.Store
	mu   sync.Mutex
	died bool
}

func (o *once) CopiesDropped(ctx context.Context, told []video.Copies, done engine.Handle) error {
	o.mu.Lock()
	died := o.died
	o.died = true
	o.mu.Unlock()
	if !died {
		return fault.New(fault.Unavailable, "test", "database_unavailable", "Away.", nil)
	}
	return o.Store.CopiesDropped(ctx, told, done)
}

func TestWhatWasNotNotedIsToldAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		c := newCDN(t, nil)
		w := start(t, dsn, tags(c.URL, 30), func(s purge.Store) purge.Store { return &once{Store: s} })
		want := w.videos(2)
		until(t, "the same again", func() bool {
			n := 0
			for _, one := range c.all() {
				if slices.Contains(marksOf(t, one), want[0]) {
					n++
				}
			}
			return n >= 2
		})
	})
}

func TestWhatTheCDNTookIsNotToldAgainBecauseOfWhatItDidNot(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		c := newCDN(t, nil)
		var refused sync.Map // the one mark that is refused, once
		c.says = func(_ int, w http.ResponseWriter, r *http.Request) {
			c.mu.Lock()
			mark := c.calls[len(c.calls)-1].path
			n := len(c.calls)
			c.mu.Unlock()
			if _, done := refused.Load("done"); n == 3 && !done {
				refused.Store("done", mark)
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}
		w := start(t, dsn, purge.Call{Method: "PURGE", URL: c.URL + "/{key}", Most: 30}, nil)
		want := w.videos(5)
		until(t, "five and one calls", func() bool { return len(c.all()) >= 6 })
		again, _ := refused.Load("done")
		count := map[string]int{}
		for _, one := range c.all() {
			if one.method != "PURGE" {
				t.Errorf("%s", one.method)
			}
			count[one.path]++
		}
		for _, mark := range want {
			times := 1
			if "/"+mark == again {
				times = 2
			}
			if count["/"+mark] != times {
				t.Errorf("%s was told %d times, want %d: %v", mark, count["/"+mark], times, count)
			}
		}
	})
}

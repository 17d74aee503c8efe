package bucket_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/video"
	"sluice/test/rig"
)

func noise(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = source.Read(b)
	return b
}

func putBytes(t *testing.T, s *bucket.Store, key string, body []byte) {
	t.Helper()
	if _, err := s.Put(t.Context(), "media", key, bytes.NewReader(body), int64(len(body)), ""); err != nil {
		t.Fatal(err)
	}
}

func local(t *testing.T, s *bucket.Store, key string) *bucket.File {
	t.Helper()
	f, err := s.Local(t.Context(), "media", key)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func onDisk(t *testing.T, f *bucket.File) []byte {
	t.Helper()
	b, err := os.ReadFile(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestARemoteObjectIsFetchedOnceHoweverManyReadIt(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		s := p.store
		body := noise(20 << 20)
		putBytes(t, s, "sources/a", body)
		var all sync.WaitGroup
		for n := range 6 {
			all.Go(func() {
				f, err := s.Local(context.Background(), "media", "sources/a")
				if err != nil {
					t.Error(err)
					return
				}
				defer f.Close()
				var extents []video.Extent
				if n%2 == 0 { // halves, and all
					extents = []video.Extent{{From: int64(n) << 20, To: 15 << 20}}
				}
				if err := f.Fetch(context.Background(), extents...); err != nil {
					t.Error(err)
				}
				if got, err := os.ReadFile(f.Path); err != nil || !bytes.Equal(got[n<<20:15<<20], body[n<<20:15<<20]) || n%2 == 1 && !bytes.Equal(got, body) {
					t.Errorf("the file is not the object: %v", err)
				}
			})
		}
		all.Wait()
		if got := s.Fetched(); got != int64(len(body)) {
			t.Errorf("fetched %d bytes of %d", got, len(body))
		}
	})
}

func TestOnlyTheExtentsThatAreAskedForAreFetched(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		s := p.store
		body := noise(4 << 20)
		putBytes(t, s, "sources/a", body)
		f := local(t, s, "sources/a")
		defer f.Close()
		if f.Size != int64(len(body)) || !f.Remote() {
			t.Fatalf("%+v", f)
		}
		if err := f.Fetch(t.Context(), video.Extent{From: 100, To: 200}, video.Extent{From: 1 << 20, To: 1<<20 + 10}, video.Extent{From: 4<<20 - 5, To: 5 << 20}); err != nil {
			t.Fatal(err)
		}
		if got := s.Fetched(); got != 100+10+5 {
			t.Errorf("fetched %d bytes", got)
		}
		got := onDisk(t, f)
		if len(got) != len(body) || !bytes.Equal(got[100:200], body[100:200]) || !bytes.Equal(got[4<<20-5:], body[4<<20-5:]) || !bytes.Equal(got[300:400], make([]byte, 100)) {
			t.Error("the file holds something else")
		}
		part := make([]byte, 3000)
		if n, err := f.Reader(t.Context()).ReadAt(part, 3<<20); n != len(part) || err != nil || !bytes.Equal(part, body[3<<20:3<<20+3000]) {
			t.Errorf("read %d, %v", n, err)
		}
		if n, err := f.Reader(t.Context()).ReadAt(part, int64(len(body))-10); n != 10 || !errors.Is(err, io.EOF) {
			t.Errorf("read %d at the end, %v", n, err)
		}
		if err := f.Fetch(t.Context()); err != nil || !bytes.Equal(onDisk(t, f), body) {
			t.Errorf("the whole: %v", err)
		}
		if got := s.Fetched(); got > int64(len(body))+2*64<<10 {
			t.Errorf("fetched %d bytes of %d", got, len(body))
		}
	})
}

func TestAnOverwrittenObjectIsNeverMixedWithItsSuccessor(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		s := p.store
		first, second := noise(1<<20), bytes.Repeat([]byte{7}, 1<<20)
		putBytes(t, s, "sources/a", first)
		f := local(t, s, "sources/a")
		if err := f.Fetch(t.Context(), video.Extent{To: 1000}); err != nil {
			t.Fatal(err)
		}
		putBytes(t, s, "sources/a", second)
		if err := f.Fetch(t.Context()); fault.Of(err).Code != "source_changed" {
			t.Errorf("fetching the rest of what is gone: %v", err)
		}
		if got := onDisk(t, f); !bytes.Equal(got[:1000], first[:1000]) || !bytes.Equal(got[1000:], make([]byte, len(got)-1000)) {
			t.Errorf("the file was touched")
		}
		_ = f.Close()
		g := local(t, s, "sources/a")
		if err := g.Fetch(t.Context()); err != nil || !bytes.Equal(onDisk(t, g), second) {
			t.Errorf("the new object: %v", err)
		}
		_ = g.Close()
	})
}

func TestTheCacheKeepsWithinItsLimitAndNeverDropsWhatIsInUse(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "cache")
	storage := rig.VersityGW(t) // the cache is ours, whoever the server is
	open := func() *bucket.Store {
		s, err := bucket.Open(t.Context(), bucket.Config{Endpoint: storage.URL, Region: "us-east-1",
			Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret}, Cache: dir, CacheBytes: 2500})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	use := func(key string) {
		f := local(t, s, key)
		if err := f.Fetch(t.Context()); err != nil {
			t.Error(err)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
	for n := range 5 {
		putBytes(t, s, fmt.Sprint(n), noise(1000))
	}
	held := local(t, s, "0")
	if err := held.Fetch(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"1", "2", "3", "4", "4"} {
		use(key)
	}
	if got := s.Fetched(); got != 5000 {
		t.Errorf("fetched %d bytes, want each object once", got)
	}
	if !bytes.Equal(onDisk(t, held), noise(1000)) {
		t.Error("what is in use is gone")
	}
	if files, _ := os.ReadDir(dir); len(files) != 2 { // the one held, and the last used
		t.Errorf("%d files are kept", len(files))
	}
	use("3") // was dropped
	use("0") // was not
	if got := s.Fetched(); got != 6000 {
		t.Errorf("fetched %d bytes", got)
	}
	if err := s.Spare(); err != nil {
		t.Error(err)
	}
	if files, _ := os.ReadDir(dir); len(files) != 1 || held.Missing() != 0 || !bytes.Equal(onDisk(t, held), noise(1000)) {
		t.Errorf("%d files are kept where room is needed, and %d bytes are missing of the one in use", len(files), held.Missing())
	}
	fresh := local(t, s, "1")
	if got := fresh.Missing(); got != 1000 {
		t.Errorf("%d bytes are missing of what was not fetched", got)
	}
	_ = fresh.Close()
	_ = held.Close()
	stray := filepath.Join(dir, "of an earlier process")
	if err := os.WriteFile(stray, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open()
	if files, _ := os.ReadDir(dir); len(files) != 0 {
		t.Errorf("%d files are left after a restart", len(files))
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestAFetchGoesOnWhereItBrokeOffAndWhereItsFirstAskerLeft(t *testing.T) {
	t.Parallel()
	elsewhere(t, func(t *testing.T, p place) {
		target, err := url.Parse(p.url)
		if err != nil {
			t.Fatal(err)
		}
		var cut atomic.Int64
		slow := make(chan struct{})
		proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host, r.Out.Host = target.Scheme, target.Host, r.In.Host
		}}
		door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/cut") && cut.Add(1) == 1:
				w = &short{ResponseWriter: w, left: 1000}
			case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/slow") && cut.Add(1) == 1:
				select {
				case <-slow:
				case <-r.Context().Done():
				}
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		defer door.Close()
		defer close(slow)
		s := remote(t, door.URL, p.keys)
		body := noise(100_000)
		putBytes(t, s, "cut", body)
		putBytes(t, s, "slow", body)

		f := local(t, s, "cut")
		defer f.Close()
		if err := f.Fetch(t.Context()); err != nil || !bytes.Equal(onDisk(t, f), body) {
			t.Errorf("after a break: %v", err)
		}
		if got := s.Fetched(); got != int64(len(body)) {
			t.Errorf("fetched %d bytes of %d", got, len(body))
		}

		cut.Store(0)
		g := local(t, s, "slow")
		defer g.Close()
		leaving, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() { left <- g.Fetch(leaving) }()
		for cut.Load() == 0 {
			time.Sleep(time.Millisecond)
		}
		stays := make(chan error, 1)
		go func() { stays <- g.Fetch(t.Context()) }()
		time.Sleep(20 * time.Millisecond) // the second waits for the first by now; if not, it would fetch at once, which is right as well
		leave()
		if err := <-left; !errors.Is(err, context.Canceled) {
			t.Errorf("who leaves is told %v", err)
		}
		if err := <-stays; err != nil || !bytes.Equal(onDisk(t, g), body) {
			t.Errorf("who stays: %v", err)
		}
	})
}

// short is an answer whose connection breaks after some bytes.
type short struct {
	http.ResponseWriter
	left int
}

func (s *short) Write(p []byte) (int, error) {
	if len(p) > s.left {
		_, _ = s.ResponseWriter.Write(p[:s.left])
		panic(http.ErrAbortHandler)
	}
	s.left -= len(p)
	return s.ResponseWriter.Write(p)
}

func TestAStorageThatIgnoresConditionsIsFoundOut(t *testing.T) {
	t.Parallel()
	var etag, length atomic.Value
	etag.Store("one")
	length.Store(10)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"`+etag.Load().(string)+`"`)
		w.Header().Set("Content-Length", fmt.Sprint(length.Load()))
		if r.Method == http.MethodGet {
			_, _ = w.Write(make([]byte, length.Load().(int)))
		}
	}))
	defer server.Close()
	s := remote(t, server.URL, keys)
	f := local(t, s, "a")
	defer f.Close()
	if err := f.Fetch(t.Context(), video.Extent{To: 4}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("more than was asked for: %v", err)
	}
	etag.Store("two")
	if err := f.Fetch(t.Context()); fault.Of(err).Code != "source_changed" {
		t.Errorf("another object: %v", err)
	}
	if _, err := newHouse(t).store.Local(t.Context(), "media", "none"); !fault.Is(err, fault.NotFound) {
		t.Errorf("no object: %v", err)
	}
}

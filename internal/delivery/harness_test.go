package delivery

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

const (
	id       = video.ID("01jq3v8k2m4n5p6r7s8t9v0w1x")
	folder   = "te[s]t_ video ' _ 100%-" + string(id)
	segment  = "streams/" + folder + "/2/1080p/00001.m4s"
	playlist = "streams/" + folder + "/2/index.m3u8"
	secret   = "nobody may read this"
)

// content is bytes that tell their place.
var content = func() []byte {
	b := make([]byte, 100_000)
	for i := range b {
		b[i] = byte(i ^ i>>8 ^ i>>16)
	}
	return b
}()

// catalog knows what is published, who may watch it, and by which key pairs. Tests change it while the edge runs.
type catalog struct {
	mu              sync.Mutex
	published       map[generation]bool
	playbacks       map[string]video.Playback // by folder
	users, internal []signing.KeyPair
	asked, asks     int // for playbacks, for key pairs
	err             error
}

// KeyPairs implements Keys.
func (c *catalog) KeyPairs(context.Context) (users, internal []signing.KeyPair, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asks++
	return c.users, c.internal, c.err
}

func (c *catalog) open(_ context.Context, which generation) (bool, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.published[which], c.err
}

// Playback implements Playbacks.
func (c *catalog) Playback(ctx context.Context, name string, n int) (p video.Playback, served bool, err error) {
	served, err = c.open(ctx, generation{name, n})
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.playbacks[name], served, err
}

// keptBytes is less than two segments.
const keptBytes = 150_000

// stage is an edge over real storage.
type stage struct {
	*catalog
	root   string // of the buckets' files
	server *httptest.Server
	log    *bytes.Buffer
	store  *bucket.Store
	kept   string           // the folder of what is kept of remote objects
	remote *httptest.Server // the storage, where that is remote

	mu     sync.Mutex
	ranges []string // of the GETs that reached the storage by S3
	breaks bool     // make them end halfway
}

// stages are the ways to storage: the file beside us, any S3 endpoint, and what is kept of one.
func stages(t *testing.T, run func(t *testing.T, s *stage)) {
	t.Helper()
	for _, way := range []string{"local", "remote", "kept"} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			run(t, newStage(t, way))
		})
	}
}

// viewer knows bearer tokens that name a workspace, "editor" of all, and a session's cookie.
func viewer(r *http.Request) (account.Principal, bool, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if c, err := r.Cookie("session"); err == nil && !ok {
		token, ok = c.Value, true
	}
	switch {
	case !ok:
		return account.Principal{}, false, nil
	case token == "bad":
		return account.Principal{}, false, fault.New(fault.Unauthorized, "test", "unauthorized", "Sign in.", nil)
	}
	return account.Principal{Kind: account.Person, ID: "u", Role: account.Viewer, Workspaces: []string{token}, Scopes: account.AllScopes()}, true, nil
}

func newStage(t *testing.T, way string, changes ...func(*Config)) *stage {
	t.Helper()
	s := &stage{catalog: &catalog{published: map[generation]bool{{folder, 2}: true},
		playbacks: map[string]video.Playback{folder: {Video: id, Prefix: "streams/" + folder, Policy: video.Public, Ready: true}}}, root: t.TempDir(), log: &bytes.Buffer{}}
	keys := bucket.Credentials{Access: "access", Secret: "a secret of the tests"}
	embedded, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{Root: s.root, Credentials: keys, Buckets: []string{"media", "uploads"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = embedded.Close() })
	local, err := bucket.Open(t.Context(), bucket.Config{Embedded: embedded})
	if err != nil {
		t.Fatal(err)
	}
	s.store = local
	for key, body := range map[string]string{
		segment: string(content), playlist: "#EXTM3U\n", "streams/" + folder + "/1/index.m3u8": secret, "streams/" + folder + "/2/1080p/.part.m4s": secret, "streams/" + folder + "/2/.part.m4s": secret,
		"streams/" + folder + "/2/notes.txt": secret, "sources/" + string(id) + ".mp4": secret, "top.mp4": secret, "streams/none.mp4": secret,
	} {
		if _, err := local.Put(t.Context(), "media", key, strings.NewReader(body), int64(len(body)), "text/html"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := local.Put(t.Context(), "uploads", "up.mp4", strings.NewReader(secret), int64(len(secret)), ""); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.root, "host.mp4"), []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	objects := local
	if way != "local" {
		s3 := httptest.NewServer(s.watch(embedded.Handler()))
		t.Cleanup(s3.Close)
		s.remote = s3
		c := bucket.Config{Endpoint: s3.URL, Region: "us-east-1", Credentials: keys}
		if way == "kept" {
			s.kept = t.TempDir()
			c.Cache, c.CacheBytes = s.kept, keptBytes
		}
		if objects, err = bucket.Open(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = objects.Close() })
	}
	s.server = httptest.NewUnstartedServer(nil)
	own := "http://" + s.server.Listener.Addr().String()
	c := Config{
		Objects: objects, Playbacks: s.catalog, Keys: s.catalog, Viewer: viewer, MediaBucket: "media", Addresses: []string{own, "https://alias.example"},
		Pages: []string{"https://page.example"}, Origins: []string{"https://friend.example"}, Now: time.Now, Logger: slog.New(slog.NewTextHandler(s, nil)),
	}
	for _, change := range changes {
		change(&c)
	}
	edge, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s.server.Config.Handler, s.server.Config.ConnContext = edge, OnConn
	s.server.Listener = Listen(s.server.Listener)
	s.server.Start()
	t.Cleanup(s.server.Close)
	return s
}

// Write takes the log.
func (s *stage) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(p)
}

func (s *stage) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// watch notes what is read of the storage, and breaks it off where that is wanted.
func (s *stage) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			s.mu.Lock()
			s.ranges = append(s.ranges, r.Header.Get("Range"))
			breaks := s.breaks
			s.mu.Unlock()
			if breaks {
				w = &torn{w, 50_000}
			}
		}
		next.ServeHTTP(w, r)
	})
}

// torn is an answer whose connection breaks after some bytes.
type torn struct {
	http.ResponseWriter
	left int
}

func (t *torn) Write(p []byte) (int, error) {
	if len(p) > t.left {
		_, _ = t.ResponseWriter.Write(p[:t.left])
		_ = http.NewResponseController(t.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	t.left -= len(p)
	return t.ResponseWriter.Write(p)
}

// reads returns and forgets what was asked of the storage.
func (s *stage) reads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.ranges
	s.ranges = nil
	return list
}

// do asks for an object of the media bucket; header is pairs.
func (s *stage) do(t *testing.T, method, key string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, URL(s.server.URL, key), nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := s.server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

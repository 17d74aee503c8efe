package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/grant"
	"sluice/internal/sandbox"
	"sluice/internal/upload"
	"sluice/internal/video"
)

func TestMain(m *testing.M) {
	sandbox.Main() // takes over where a test's server confines a child
	testscript.Main(m, map[string]func(){"sluice": main})
}

// The scripts say what put prints and how it exits: each meets the real API over HTTP, with a store that decides by the name what becomes of a file.
func TestPut(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/put",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			s := &fate{served: map[string]string{}}
			srv := httptest.NewUnstartedServer(s.handler())
			s.url = "http://" + srv.Listener.Addr().String()
			srv.Start()
			env.Defer(srv.Close)
			env.Values["fate"] = s
			env.Setenv("SERVER", srv.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "as-served": asServed, "until-followed": untilFollowed, "asked": asked,
		},
	})
}

// exits runs a command that must exit with a code: exits 2 sluice put.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d want %d", got, want)
	}
}

// asServed checks that stdout is what the server last answered for each of the named files, byte for byte.
func asServed(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("fate").(*fate)
	s.mu.Lock()
	defer s.mu.Unlock()
	var want string
	for _, name := range args {
		want += s.served[name]
	}
	if got := ts.ReadFile("stdout"); got != want {
		ts.Fatalf("stdout is\n%s\nwant\n%s", got, want)
	}
}

// untilFollowed waits until the server was asked about a file that it was sent.
func untilFollowed(ts *testscript.TestScript, _ bool, args []string) {
	s := ts.Value("fate").(*fate)
	for range 6000 {
		s.mu.Lock()
		_, followed := s.served[args[0]]
		s.mu.Unlock()
		if followed {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("nobody asked about %s", args[0])
}

// asked checks (or, negated, refutes) that the server was shown a token.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	s := ts.Value("fate").(*fate)
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.tokens, args[0]) == neg {
		ts.Fatalf("the server was shown %q", s.tokens)
	}
}

// fate is a store whose videos go the way that their names say: bad… fails, slow… never ends, refused… is not granted, any other is
// half done at the first look and ready at the second.
type fate struct {
	mu     sync.Mutex
	url    string
	videos []*video.Video
	served map[string]string // by name, the last answer about a video
	tokens []string
}

// idle is a reconciler that never runs.
type idle struct{}

func (idle) Reconciliation(context.Context) (engine.DutyState, error) { return engine.DutyState{}, nil }
func (idle) Reconcile(context.Context) error                          { return nil }

func (s *fate) handler() http.Handler {
	a := api.New(api.Config{Videos: s, History: s, Uploads: s, Reconciler: idle{}, Giver: s, LongestGrant: time.Hour, EdgeURL: "http://edge.test", Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		URL: func(edge, key string) string { return edge + "/" + key }})
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /bucket/{id}", s.receive)
	// Not by the API, which looks at the video: each look moves it on.
	mux.HandleFunc("POST /v1/uploads/{id}/complete", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"id":%q,"status":"processing"}`, r.PathValue("id"))
	})
	mux.HandleFunc("/v1/", func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		s.mu.Lock()
		s.tokens = append(s.tokens, token)
		s.mu.Unlock()
		if token != "right" {
			fault.Write(w, fault.New(fault.Unauthorized, "test", "unauthorized", "Send the token.", nil))
			return
		}
		rec := httptest.NewRecorder()
		a.ServeHTTP(rec, r.WithContext(account.With(r.Context(), account.Operator())))
		if v, err := s.find(video.ID(path.Base(r.URL.Path))); err == nil && r.Method == http.MethodGet {
			s.mu.Lock()
			s.served[v.Name] = rec.Body.String()
			s.mu.Unlock()
		}
		w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	return mux
}

func (s *fate) receive(w http.ResponseWriter, r *http.Request) {
	n, _ := io.Copy(io.Discard, r.Body)
	v, err := s.find(video.ID(r.PathValue("id")))
	if err != nil {
		w.WriteHeader(http.StatusForbidden)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v.Status, v.Newest, v.Received, v.Running = video.Processing, 1, time.Now(), 1
	v.Source = &video.Source{Bucket: "uploads", Key: v.Name, Size: n}
}

func (s *fate) find(id video.ID) (*video.Video, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.videos {
		if v.ID == id {
			return v, nil
		}
	}
	return nil, fault.New(fault.NotFound, "test", "no_video", "There is no video with this id.", nil)
}

// Parts is asked for nothing: each file goes in one PUT.
func (s *fate) Parts(context.Context, video.ID, int, int) ([]upload.Part, time.Time, error) {
	return nil, time.Time{}, nil
}

// Complete finds what was put.
func (s *fate) Complete(_ context.Context, id video.ID) (bool, error) {
	v, err := s.find(id)
	return err == nil && v.Source != nil, err
}

func (s *fate) Grant(_ context.Context, r upload.Request) (video.Upload, error) {
	if strings.HasPrefix(r.Filename, "refused") {
		return video.Upload{}, fault.New(fault.Unsupported, "test", "unsupported_type", "Files of this kind do not become videos.", nil)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v := &video.Video{ID: video.NewID(time.Now()), Name: r.Filename, Status: video.Waiting, Policy: r.Policy, Settings: r.Settings, Created: time.Now(), Updated: time.Now()}
	s.videos = append(s.videos, v)
	return video.Upload{Video: v.ID, URL: fmt.Sprintf("%s/bucket/%s", s.url, v.ID), Expires: time.Now().Add(time.Minute)}, nil
}

// Video moves a video on, as time would.
func (s *fate) Video(_ context.Context, id video.ID) (video.Video, error) {
	v, err := s.find(id)
	if err != nil {
		return video.Video{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if v.Source == nil {
		return *v, nil
	}
	now := *v
	switch {
	case strings.HasPrefix(v.Name, "slow"):
	case v.Progress == 0:
		v.Progress, v.Spent = 0.5, 10*time.Second
	case strings.HasPrefix(v.Name, "bad"):
		v.Status, v.Failure = video.Failed, &video.Failure{Code: "not_media", Message: "The file is not media; upload the original."}
	default:
		v.Status, v.Published, v.Progress, v.Playable = video.Ready, 1, 1, v.Received.Add(8400*time.Millisecond)
		v.Output = &video.Output{HLS: "index.m3u8", DASH: "manifest.mpd", Poster: "poster.jpg", Duration: time.Second,
			Tracks: []video.Track{{Kind: video.VideoTrack, Name: "720p"}, {Kind: video.VideoTrack, Name: "480p"}}}
	}
	return now, nil
}

// Give gives a grant of any video but unseen….
func (s *fate) Give(_ context.Context, _ account.Principal, r grant.Request) (grant.Grant, error) {
	v, err := s.find(r.Video)
	if err != nil || strings.HasPrefix(v.Name, "unseen") {
		return grant.Grant{}, fault.New(fault.Forbidden, "test", "forbidden", "This is not for you.", nil)
	}
	const query = "?Key-Pair-Id=K"
	return grant.Grant{Way: r.Way, Policy: v.Policy, Expires: time.Date(2031, 3, 9, 14, 5, 0, 0, time.Local), HLS: "http://edge.test/index.m3u8" + query, DASH: "http://edge.test/manifest.mpd" + query}, nil
}

var errUnused = errors.New("put has no use for this")

func (s *fate) Videos(context.Context, video.Query) ([]video.Video, error) { return nil, errUnused }
func (s *fate) Edit(context.Context, video.ID, video.Edit) (video.Video, error) {
	return video.Video{}, errUnused
}
func (s *fate) Delete(context.Context, video.ID, []engine.Job) error { return errUnused }
func (s *fate) Encode(context.Context, video.ID, video.Settings, func(int) []engine.Job) (video.Video, error) {
	return video.Video{}, errUnused
}
func (s *fate) Detail(ctx context.Context, id video.ID) (video.Video, []video.Step, error) {
	v, err := s.Video(ctx, id)
	return v, nil, err
}
func (s *fate) Events(context.Context, video.ID, int64, int) ([]event.Event, error) {
	return nil, errUnused
}

func TestABarIsDrawnOnATerminalAndTakenOff(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	show := display{to: &b, terminal: true}
	up := show.upload("a.mp4", 2<<20)
	time.Sleep(150 * time.Millisecond) // the bar is drawn ten times a second
	up.sent(1<<20, 2<<20)
	up.done()
	if got := b.String(); !strings.Contains(got, "a.mp4") || !strings.Contains(got, "50%") || strings.Contains(got, "\n") {
		t.Errorf("drew %q", got)
	}
}

func TestANamedPipeIsRefusedAndNotWaitedFor(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe.mp4")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	refused := make(chan error, 1)
	go func() { refused <- (&Put{Files: []string{pipe}}).check() }()
	select {
	case err := <-refused:
		if err == nil || !strings.Contains(err.Error(), "not a regular file") {
			t.Error(err)
		}
	case <-time.After(time.Minute):
		t.Error("the pipe is being waited for")
	}
}

func TestNoFileOfTheDataFolderIsNeededWithURLAndToken(t *testing.T) {
	t.Parallel()
	p := ServerFlags{URL: "http://server.test/", Token: "t", Data: t.TempDir()}
	if c, address, err := p.connect("put"); c == nil || address != "http://server.test" || err != nil {
		t.Errorf("%v %q %v", c, address, err)
	}
	if _, err := os.ReadDir(p.Data); err != nil {
		t.Error(err)
	}
}

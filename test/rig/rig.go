// Package rig starts a real Sluice for tests: the built binary, a data folder, the real tools. It is used by the end-to-end tests, the drills and the
// benchmarks, and by nothing that ships.
package rig

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's folder.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for err == nil {
		if _, serr := os.Stat(filepath.Join(dir, "go.mod")); serr == nil {
			return dir
		}
		if filepath.Dir(dir) == dir {
			break
		}
		dir = filepath.Dir(dir)
	}
	t.Fatal("the repository's folder is not above the test's")
	return ""
}

// Media is a file of the media corpus beside the repository; the test is skipped where that is not there.
func Media(t testing.TB, name string) string {
	t.Helper()
	path := filepath.Join(Root(t), "..", "shared", "media", filepath.FromSlash(name))
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the media corpus is not beside the repository (%s)", name)
	}
	return path
}

// Make has ffmpeg make a file from what lavfi generates: args come before the output's name.
func Make(t testing.TB, name string, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	all := append([]string{"-nostdin", "-v", "error", "-y"}, args...)
	if out, err := exec.Command("ffmpeg", append(all, path)...).CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg could not make %s: %v\n%s", name, err, out)
	}
	return path
}

// clips are the short clips that this test process has made, by what they are.
var clips struct {
	sync.Mutex
	made map[string][]byte
}

// Clip is a moving test picture with a tone, of that many seconds. The same short clip is encoded once a test process.
func Clip(t testing.TB, name, size string, seconds int, more ...string) string {
	t.Helper()
	if seconds > 4 {
		return clip(t, name, size, seconds, more...)
	}
	clips.Lock()
	defer clips.Unlock()
	key := fmt.Sprintf("%s %s %d %q", filepath.Ext(name), size, seconds, more)
	if body := clips.made[key]; body != nil {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path := clip(t, name, size, seconds, more...)
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if clips.made == nil {
		clips.made = map[string][]byte{}
	}
	clips.made[key] = body
	return path
}

func clip(t testing.TB, name, size string, seconds int, more ...string) string {
	t.Helper()
	args := []string{
		"-f", "lavfi", "-i", fmt.Sprintf("testsrc2=size=%s:rate=25:duration=%d", size, seconds),
		"-f", "lavfi", "-i", fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%d", seconds),
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac",
	}
	return Make(t, name, append(args, more...)...)
}

// Long is a Clip of that many seconds, which repeats its first second without encoding it again: for a test that needs
// work that lasts, and not what is in the picture.
func Long(t testing.TB, name, size string, seconds int) string {
	t.Helper()
	first := Clip(t, "second-"+name, size, 1, "-an")
	return Make(t, name, "-stream_loop", fmt.Sprint(seconds-1), "-i", first, "-f", "lavfi", "-i",
		fmt.Sprintf("sine=frequency=440:sample_rate=48000:duration=%d", seconds), "-c:v", "copy", "-c:a", "aac")
}

var built struct {
	sync.Mutex
	paths map[string]string
}

// Binary builds cmd/sluice, once a test process and tag. SLUICE_TEST_BINARY names one that was built before, without
// tags: scripts/test.sh sets it for all packages, as each link takes several CPU seconds.
func Binary(t testing.TB, tags string) string {
	t.Helper()
	if path := os.Getenv("SLUICE_TEST_BINARY"); path != "" && tags == "" {
		return path
	}
	built.Lock()
	defer built.Unlock()
	if path := built.paths[tags]; path != "" {
		return path
	}
	dir, err := os.MkdirTemp("", "sluice-rig-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "sluice")
	build := exec.Command("go", "build", "-tags", tags, "-o", path, "./cmd/sluice")
	build.Dir = Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	if built.paths == nil {
		built.paths = map[string]string{}
	}
	built.paths[tags] = path
	return path
}

// Clean removes the binaries; a TestMain calls it last.
func Clean() {
	built.Lock()
	defer built.Unlock()
	for _, path := range built.paths {
		_ = os.RemoveAll(filepath.Dir(path))
	}
}

// leastWait is how long is waited at the least for what must happen, whatever limit a caller names: the machine may be slow, and busy with other tests. It
// costs nothing where it does happen.
const leastWait = 5 * time.Minute

// Server is one running Sluice.
type Server struct {
	Data, URL, Token string
	Usage            *syscall.Rusage // of the server and its children, after it ended

	http *http.Client
	t    testing.TB
	cmd  *exec.Cmd
	log  *lockedBuffer
	done chan error
}

// Options say how a server is started. The zero value is a fresh server with the defaults.
type Options struct {
	Data   string       // empty for a fresh folder
	Tags   string       // build tags
	Args   []string     // more flags of serve
	Env    []string     // more environment
	Token  string       // the admin token; empty for one of the server's own making
	Binary string       // another one than Binary builds
	Under  []string     // a program and its arguments that start the server, such as taskset -c 0
	HTTP   *http.Client // what asks the server; nil for http.DefaultClient
}

// Start starts a server on a free port and waits until it takes work. It is ended with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s := Launch(t, o)
	deadline := time.Now().Add(leastWait)
	for {
		select {
		case err := <-s.done:
			s.done <- err
			t.Fatalf("the server ended at its start: %v\n%s", err, s.Log())
		default:
		}
		if s.Find() && s.ready() {
			return s
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server is not ready after %s\n%s", leastWait, s.Log())
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Launch starts a server and returns at once.
func Launch(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Data == "" {
		o.Data = filepath.Join(t.TempDir(), "data")
	}
	_ = os.Remove(filepath.Join(o.Data, "server.json")) // of a server that was killed
	s := &Server{Data: o.Data, Token: o.Token, http: cmp.Or(o.HTTP, http.DefaultClient), t: t, log: &lockedBuffer{}, done: make(chan error, 1)}
	if o.Binary == "" {
		o.Binary = Binary(t, o.Tags)
	}
	program := append(slices.Clone(o.Under), o.Binary, "serve", "--data", o.Data, "--listen", "127.0.0.1:0")
	program = append(program, o.Args...)
	s.cmd = exec.Command(program[0], program[1:]...)
	s.cmd.Env = append(append(os.Environ(), "SLUICE_PLAYBACK=public"), o.Env...) // who may watch is the subject of few tests
	if o.Token != "" {
		s.cmd.Env = append(s.cmd.Env, "SLUICE_ADMIN_TOKEN="+o.Token)
		if seals := func(set string) bool { return strings.HasPrefix(set, "SLUICE_SEAL_KEY=") }; !slices.ContainsFunc(o.Env, seals) { // processes that share the one share the other
			s.cmd.Env = append(s.cmd.Env, "SLUICE_SEAL_KEY=sealed for "+o.Token)
		}
	}
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- s.cmd.Wait() }()
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("the server's log:\n%s", s.Log())
		}
	})
	return s
}

// Find reads where a server that was launched answers, and reports whether it has said so yet.
func (s *Server) Find() bool {
	body, err := os.ReadFile(filepath.Join(s.Data, "server.json"))
	if err != nil {
		return false
	}
	var file struct{ URL string }
	if json.Unmarshal(body, &file) != nil {
		return false
	}
	s.URL = file.URL
	if s.Token != "" {
		return true
	}
	token, err := os.ReadFile(filepath.Join(s.Data, "admin.token"))
	s.Token = strings.TrimSpace(string(token))
	return err == nil
}

func (s *Server) ready() bool {
	response, err := s.http.Get(s.URL + "/readyz")
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// Log is what the server has printed.
func (s *Server) Log() string { return s.log.String() }

// PID is the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Stop ends the server in order and returns how it ended.
func (s *Server) Stop() error {
	s.t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	return s.Wait(time.Minute)
}

// Kill ends the server as kill -9 does.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.Wait(time.Minute)
}

// Wait waits for the server's end.
func (s *Server) Wait(limit time.Duration) error {
	select {
	case err := <-s.done:
		s.done <- err
		if s.cmd.ProcessState != nil {
			s.Usage, _ = s.cmd.ProcessState.SysUsage().(*syscall.Rusage)
		}
		return err
	case <-time.After(limit):
		return errors.New("the server does not end")
	}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*lockedBuffer)(nil)

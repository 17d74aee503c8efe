package delivery

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// say sends requests on one connection, one right behind the other, and gives the answers.
func say(t *testing.T, server *httptest.Server, requests ...string) (all []*http.Response, bodies [][]byte) {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.WriteString(conn, strings.Join(requests, "")); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	for range requests {
		resp, err := http.ReadResponse(answers, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		all, bodies = append(all, resp), append(bodies, body)
	}
	return all, bodies
}

// get is a request for the segment.
func get(lines ...string) string {
	path := strings.NewReplacer(" ", "%20", "%", "%25", "[", "%5B", "]", "%5D").Replace(strings.TrimPrefix(segment, "streams/"))
	return "GET /stream/" + path + " HTTP/1.1\r\nHost: edge\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n"
}

func TestAFileThatGoesOutBehindItsHeaderIsTheAnswerThatNetHTTPGives(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	plain := httptest.NewServer(s.server.Config.Handler)
	t.Cleanup(plain.Close)
	requests := []string{
		get(), get("Accept-Encoding: gzip"), get("Range: bytes=10-19"), get("Range: bytes=0-0,5-9"), get("Range: bytes=999999-"), get(`If-None-Match: "x"`), get("If-Range: x", "Range: bytes=1-2"),
		get("If-Modified-Since: Fri, 20 Nov 2099 00:00:00 GMT"), strings.Replace(get(), "GET", "HEAD", 1), strings.Replace(get(), "00001", "00002", 1), get("Connection: close"),
	}
	for _, r := range requests {
		if strings.HasPrefix(r, "HEAD") {
			continue // http.ReadResponse takes it for a GET's; the tests of the edge ask with HEAD
		}
		ours, sent := say(t, s.server, r)
		theirs, want := say(t, plain, r)
		ours[0].Header.Del("Date")
		theirs[0].Header.Del("Date")
		line, _, _ := strings.Cut(r, "\r\n")
		if strings.Contains(r, "0-0,5-9") { // its boundary is new each time
			continue
		}
		if ours[0].Status != theirs[0].Status || fmt.Sprint(ours[0].Header) != fmt.Sprint(theirs[0].Header) || !bytes.Equal(sent[0], want[0]) {
			t.Errorf("%s: %s %v and %d bytes, by net/http %s %v and %d", line, ours[0].Status, ours[0].Header, len(sent[0]), theirs[0].Status, theirs[0].Header, len(want[0]))
		}
	}
	answers, bodies := say(t, s.server, get(), get("Range: bytes=0-9"), get(), get())
	for i, want := range [][]byte{content, content[:10], content, content} {
		if !bytes.Equal(bodies[i], want) {
			t.Errorf("answer %d on one connection: %s, %d bytes", i+1, answers[i].Status, len(bodies[i]))
		}
	}
	if keptOpen(s) == 0 {
		t.Error("no file was kept open: nothing went out this way")
	}
}

// keptOpen is how many files are kept open, which happens on a wire alone.
func keptOpen(s *stage) int {
	o := &s.server.Config.Handler.(*edge).open
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.young) + len(o.old)
}

func TestAClientThatTakesNothingIsCutOffThoughItsFileWentOutAtOnce(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat(content, 200) // more than the system takes for a client
	// A client on a busy machine pauses, too.
	s := newStage(t, "local", func(c *Config) { c.Stall = 3 * time.Second })
	key := strings.Replace(segment, "00001", "00003", 1)
	if _, err := s.store.Put(t.Context(), "media", key, bytes.NewReader(big), int64(len(big)), ""); err != nil {
		t.Fatal(err)
	}
	ask := strings.Replace(get(), "00001", "00003", 1)
	t.Run("one that takes it all has it", func(t *testing.T) {
		if _, bodies := say(t, s.server, ask, ask); !bytes.Equal(bodies[0], big) || !bytes.Equal(bodies[1], big) {
			t.Errorf("%d and %d bytes of %d", len(bodies[0]), len(bodies[1]), len(big))
		}
	})
	t.Run("one that takes nothing is cut off", func(t *testing.T) {
		conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		if _, err := io.WriteString(conn, ask); err != nil {
			t.Fatal(err)
		}
		o := &s.server.Config.Handler.(*edge).open
		sent := func(f *openObject) (is *openObject) { // f, or any if it is nil, while it is being sent
			o.mu.Lock()
			defer o.mu.Unlock()
			for _, all := range []map[string]*openObject{o.young, o.old} {
				for _, one := range all {
					if f == nil && one.users > 0 {
						f = one
					}
				}
			}
			if f != nil && f.users > 0 {
				return f
			}
			return nil
		}
		f := sent(nil)
		for deadline := time.Now().Add(30 * time.Second); f == nil; f = sent(nil) {
			if time.Now().After(deadline) {
				t.Fatal("the file is not sent")
			}
			time.Sleep(5 * time.Millisecond)
		}
		for deadline := time.Now().Add(30 * time.Second); sent(f) != nil; time.Sleep(20 * time.Millisecond) { // it is still in hand when it is kept no more
			if time.Now().After(deadline) {
				t.Fatal("the client is still waited for")
			}
		}
	})
}

func TestFilesThatAreKeptOpenAreClosedInTheEndAndNotWhileTheyAreSent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := &openFiles{every: 20 * time.Millisecond}
	var all sync.WaitGroup
	var mu sync.Mutex
	fds := map[int]bool{}
	var names []string // all written before the first is opened: a second write empties a file that is being read
	for i := range 4 {
		names = append(names, filepath.Join(dir, fmt.Sprint(i)))
		if err := os.WriteFile(names[i], []byte(names[i]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 8 {
		name := names[i%4]
		all.Go(func() {
			for range 200 {
				f := o.take(name)
				if f == nil {
					var err error
					if f, err = open(name); err != nil {
						t.Error(err)
						return
					}
					o.keep(name, f)
				}
				mu.Lock()
				fds[f.fd] = true
				mu.Unlock()
				time.Sleep(time.Millisecond)
				if got, err := io.ReadAll(&fileResponse{openObject: f}); err != nil || string(got) != name {
					t.Errorf("%q, %v", got, err)
				}
				o.put(f)
			}
		})
	}
	all.Wait()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		left := 0
		for fd := range fds { // other tests use the numbers again, for files of their own
			if to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil && strings.HasPrefix(to, dir) {
				left++
			}
		}
		if left == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d files are still open", left)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.turning != nil && len(o.young)+len(o.old) == 0 {
		t.Error("it goes on turning with nothing to close")
	}
}

func TestWhatIsNoRegularFileIsNotOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Symlink("/etc/hostname", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{dir, filepath.Join(dir, "pipe"), filepath.Join(dir, "link"), filepath.Join(dir, "none"), filepath.Join(dir, "none", "none")} {
		if f, err := open(name); err == nil {
			t.Errorf("%s is open: %v", name, f)
		}
	}
}

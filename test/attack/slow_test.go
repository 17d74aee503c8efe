package attack

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/test/rig"
)

// holding is a client that means to hold its connection: what it sends at once, what it goes on to send a byte at a time, and what it must be told before it is cut off.
type holding struct {
	name   string
	begins string
	want   *regexp.Regexp // all that it is answered
}

const patience = 90 * time.Second // for what must happen; the machine may be busy

// A client that is slow on purpose costs a connection for as long as the settings say, and nobody else anything.
func TestASlowClientIsCutOffAndOthersAreAnsweredMeanwhile(t *testing.T) {
	t.Parallel()
	const most = 64
	s := rig.Start(t, rig.Options{Args: []string{"--connections-header", "1s", "--connections-stall", "2s", "--connections-idle", "30s", "--connections-most", fmt.Sprint(most)}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	stream, err := url.Parse(s.Await(id, time.Minute).Playback.HLS)
	if err != nil {
		t.Fatal(err)
	}
	long := longSegment(t, s, stream.Path)
	put, err := url.Parse(s.Grant(filepath.Join(rig.Root(t), "go.mod"), "slow.mp4").URL)
	if err != nil {
		t.Fatal(err)
	}

	// Healthy clients, all the while: a connection each, so that each has to come in.
	over := make(chan struct{})
	var healthy sync.WaitGroup
	var answered atomic.Int64
	healthy.Go(func() {
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
		for {
			for _, path := range []string{"/healthz", stream.Path} {
				resp, err := client.Get(s.URL + path)
				// On a machine that is too busy to read a request, its connection may be the one that waited longest.
				for tries := 1; err != nil && errors.Is(err, syscall.ECONNRESET) && tries < 5; tries++ {
					resp, err = client.Get(s.URL + path)
				}
				if err != nil {
					t.Errorf("meanwhile %s: %v", path, err)
					return
				}
				_, err = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("meanwhile %s: %s, %v", path, resp.Status, err)
				}
				answered.Add(1)
			}
			select {
			case <-over:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})

	body := "Host: " + strings.TrimPrefix(s.URL, "http://") + "\r\nContent-Type: %s\r\nContent-Length: 5000\r\n\r\n%s"
	nothing := regexp.MustCompile(`^$`)
	t.Run("who holds", func(t *testing.T) {
		for _, h := range []holding{
			{"a header that doesn't end", "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ", nothing},
			{"a header of a stream that doesn't end", "GET " + stream.Path + " HTTP/1.1\r\nHost: x\r\nX-Slow: ", nothing},
			{"a request line that doesn't end", "GET /", regexp.MustCompile(`^(HTTP/1.1 400 (?s:.*)\r\nConnection: close\r\n|$)`)},
			{"a body of the API", "POST /v1/session HTTP/1.1\r\n" + fmt.Sprintf(body, "application/json", `{"email":"`), regexp.MustCompile(`^HTTP/1.1 408 (?s:.*)\r\nConnection: close\r\n`)},
			{"a body of the token endpoint", "POST /oauth/token HTTP/1.1\r\n" + fmt.Sprintf(body, "application/x-www-form-urlencoded", "grant_type="), regexp.MustCompile(`^HTTP/1.1 4\d\d (?s:.*)\r\nConnection: close\r\n`)},
			{"a body of the storage", "PUT " + put.RequestURI() + " HTTP/1.1\r\n" + strings.Replace(fmt.Sprintf(body, "application/octet-stream", "x"), "5000", size(t, "go.mod"), 1), regexp.MustCompile(`^(HTTP/1.1 [45]\d\d |$)`)},
			{"a body that a stream doesn't want", "GET " + stream.Path + " HTTP/1.1\r\n" + fmt.Sprintf(body, "text/plain", "x"), regexp.MustCompile(`^HTTP/1.1 400 (?s:.*)"body_not_wanted"`)},
			{"a body that nobody wants", "POST /nowhere HTTP/1.1\r\n" + fmt.Sprintf(body, "text/plain", "x"), regexp.MustCompile(`^HTTP/1.1 40[45] `)},
		} {
			t.Run(h.name, func(t *testing.T) {
				t.Parallel()
				hold(t, s, h)
			})
		}
		t.Run("a stream that nobody takes", func(t *testing.T) {
			t.Parallel()
			conn := dial(t, s)
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", long)
			for _, open := range []bool{true, false} { // it is sent, and the server lets go of it
				for began := time.Now(); sends(t, s, filepath.Base(long)) != open; time.Sleep(20 * time.Millisecond) {
					if time.Since(began) > patience {
						t.Fatalf("after %s it is still so that the file is open: %t", patience, !open)
					}
				}
			}
		})
	})

	// More connections than are let in: each that asks nothing makes way.
	for range 5 * most {
		conn := dial(t, s)
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nX-Slow: ")
	}
	if n := sockets(t, s); n > most+20 { // it has some of its own
		t.Errorf("the server has %d sockets, and lets in %d connections", n, most)
	}
	close(over)
	healthy.Wait()
	if answered.Load() < 10 {
		t.Errorf("only %d healthy requests were answered", answered.Load())
	}
}

// hold sends a byte at a time, and wants to be cut off with the answer that is due.
func hold(t *testing.T, s *rig.Server, h holding) {
	t.Helper()
	conn := dial(t, s)
	if _, err := io.WriteString(conn, h.begins); err != nil {
		t.Fatal(err)
	}
	cut := make(chan string)
	go func() {
		text, _ := io.ReadAll(conn) // a reset is an end too
		cut <- string(text)
	}()
	for began := time.Now(); ; {
		select {
		case text := <-cut:
			if !h.want.MatchString(text) {
				t.Errorf("it is answered %q", text)
			}
			return
		case <-time.After(100 * time.Millisecond):
			_, _ = conn.Write([]byte("x")) // whether it is taken, the reader sees
		}
		if time.Since(began) > patience {
			t.Fatal("it is never cut off")
		}
	}
}

func dial(t *testing.T, s *rig.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	return conn
}

// longBytes is more than the system takes for a client that reads nothing.
const longBytes = 64 << 20

// longSegment puts a long file beside the segments of a generation, and gives its path.
func longSegment(t *testing.T, s *rig.Server, manifest string) string {
	t.Helper()
	path := strings.Replace(manifest, "index.m3u8", "180p/99999.m4s", 1)
	file, err := os.Create(filepath.Join(s.Data, "objects", "media", "streams", strings.TrimPrefix(path, "/stream/")))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := file.Truncate(longBytes); err != nil {
		t.Fatal(err)
	}
	return path
}

func size(t *testing.T, name string) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(rig.Root(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(info.Size())
}

// descriptors are what the server has open.
func descriptors(t *testing.T, s *rig.Server) (all []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", s.PID())
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(dir, e.Name())); err == nil { // else it was closed meanwhile
			all = append(all, to)
		}
	}
	return all
}

// sends reports whether the server has a file open.
func sends(t *testing.T, s *rig.Server, name string) bool {
	t.Helper()
	for _, d := range descriptors(t, s) {
		if filepath.Base(d) == name {
			return true
		}
	}
	return false
}

func sockets(t *testing.T, s *rig.Server) (n int) {
	t.Helper()
	for _, d := range descriptors(t, s) {
		if strings.HasPrefix(d, "socket:") {
			n++
		}
	}
	return n
}

package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

// resident is how much memory a process has now, in bytes (proc_pid_status(5)).
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	kb, err := strconv.ParseInt(regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(string(text))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kb << 10
}

// TestRangesThatAskForTooMuchCostNoMemory has many clients at once ask for a segment in a thousand parts, each of which is all of it: 1,000 times 400 times the file.
func TestRangesThatAskForTooMuchCostNoMemory(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "public"}})
	v := s.Await(s.Upload(rig.Clip(t, "clip.mp4", "640x360", 4), "clip.mp4"), 2*time.Minute)
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "360p/00001.m4s", 1)
	_, whole := rig.Get(t, segment)
	if len(whole) < 100_000 {
		t.Fatalf("%d bytes are too few", len(whole))
	}
	bombs := []string{
		"bytes=" + strings.Repeat("0-,", 999) + "0-", "bytes=" + strings.Repeat("0-0,", 999) + "1-1", "bytes=" + strings.Repeat("-1000000,", 999) + "-1",
		"bytes=0-,0-,0-,0-,0-,0-,0-,0-", "bytes=" + strings.Repeat("5-0,", 999) + "0-0", "bytes=" + strings.Repeat(",", 8000),
	}
	before := resident(t, s.PID())
	var most int64
	var mu sync.Mutex
	var all sync.WaitGroup
	for worker := range 20 {
		all.Go(func() {
			for n := range 20 {
				r, err := http.NewRequest(http.MethodGet, segment, nil)
				if err != nil {
					t.Error(err)
					return
				}
				bomb := bombs[(worker+n)%len(bombs)]
				r.Header.Set("Range", bomb)
				resp, err := http.DefaultClient.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				sent, err := io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
				now := resident(t, s.PID())
				mu.Lock()
				most = max(most, now)
				mu.Unlock()
				if err != nil || sent > int64(len(whole)) || resp.StatusCode >= 500 {
					t.Errorf("%.30s…: %s, %d bytes of %d: %v", bomb, resp.Status, sent, len(whole), err)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d MB before, %d MB at most", before>>20, most>>20)
	if most-before > 96<<20 {
		t.Errorf("it took %d MB", (most-before)>>20)
	}
	resp, body := (&cdn{}).ask(t, http.MethodGet, segment)
	if resp.StatusCode != http.StatusOK || len(body) != len(whole) {
		t.Errorf("afterwards: %s, %d bytes", resp.Status, len(body))
	}
}

// TestClientsThatSpeakSlowlyAreCutOffAndHoldNobodyUp has many connections say a header byte by byte (slowloris), and others ask as usual meanwhile.
func TestClientsThatSpeakSlowlyAreCutOffAndHoldNobodyUp(t *testing.T) {
	inFull(t)
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "public"}})
	v := s.Await(s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4"), 2*time.Minute)
	const many = 300
	var slow sync.WaitGroup
	for n := range many {
		slow.Go(func() {
			conn, err := net.Dial("tcp", strings.TrimPrefix(s.URL, "http://"))
			if err != nil {
				t.Error(err)
				return
			}
			defer conn.Close()
			cut := make(chan struct{})
			go func() { // what is said to it, until it is cut
				defer close(cut)
				_, _ = io.Copy(io.Discard, bufio.NewReader(conn))
			}()
			text := []string{"GET / HTTP/1.1\r\nHost: h\r\nX-Slow: ", "GET /stream/", "POST /v1/session HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"}[n%3]
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			for end := time.Now().Add(2 * time.Minute); ; {
				select {
				case <-cut:
					return
				case <-time.After(500 * time.Millisecond):
					_, _ = io.WriteString(conn, " ") // it may be cut by now
				}
				if time.Now().After(end) {
					t.Errorf("a client that begins %.12q is never cut off", text)
					return
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { slow.Wait(); close(done) }()
	asked := 0
	for alive := true; alive; {
		select {
		case <-done:
			alive = false
		case <-time.After(200 * time.Millisecond):
			status, _ := rig.Get(t, v.Playback.HLS)
			if asked++; status != http.StatusOK {
				t.Errorf("beside them: %d", status)
			}
		}
	}
	if asked == 0 {
		t.Error("they were cut off at once")
	}
}

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

// lines is what a process has printed so far.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// TestVideos_EightUploadsOneWorker_SayWhatTheyWaitFor pauses the queue of chunks until eight videos stand in it, and then follows each to
// its end. The API, the page and sluice put say why a video waits.
func TestVideos_EightUploadsOneWorker_SayWhatTheyWaitFor(t *testing.T) {
	inFull(t)
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--workers-encode", "1"}})
	pause := func(paused bool) {
		t.Helper()
		if status := s.Call(http.MethodPatch, "/v1/queues/encode", map[string]any{"paused": paused}, nil); status != http.StatusOK {
			t.Fatalf("PATCH /v1/queues/encode: %d", status)
		}
	}
	pause(true)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	var ids []string
	for i := range 8 {
		ids = append(ids, s.Upload(clip, fmt.Sprintf("clip-%d.mp4", i)))
	}
	taken := map[int]bool{}
	for _, id := range ids {
		v := s.AwaitUntil(id, 2*time.Minute, func(v rig.Video) bool {
			if w := v.Waiting; w != nil && (w.For != "worker" && w.For != "paused" || w.For == "paused" != (w.Queue == "encode") || w.ETA != nil && w.For == "paused") {
				t.Errorf("a paused queue: %s", v.Raw)
			}
			return v.Waiting != nil && v.Waiting.For == "paused"
		})
		if v.Status != "processing" || v.Waiting.Ahead == nil || *v.Waiting.Workers != 1 {
			t.Fatalf("%s", v.Raw)
		}
		taken[*v.Waiting.Ahead] = true
	}
	if len(taken) != 8 {
		t.Errorf("eight videos stand at %v", taken)
	}
	said := &lines{}
	put := exec.Command(rig.Binary(t, ""), "put", "--data", s.Data, "--wait", "ready", clip)
	put.Stderr = said
	if err := put.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, said, "waits until the queue encode is resumed: 8 jobs are before it")
	if entries, err := os.ReadDir(filepath.Join(rig.Root(t), "ui", "dist", "assets")); err == nil && len(entries) > 0 {
		t.Run("page", func(t *testing.T) {
			rig.Node(t, "waits.test.mjs", "SLUICE_URL="+s.URL, "SLUICE_TOKEN="+s.Token, "SLUICE_VIDEO="+ids[7])
		})
	}
	pause(false)
	last, counted, guessed := map[string]int{}, 0, 0
	for deadline := time.Now().Add(4 * time.Minute); len(ids) > 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q do not end", ids)
		}
		left := ids[:0:0]
		for _, v := range s.Videos() {
			if v.Status == "failed" {
				t.Fatalf("%s", v.Raw)
			}
			if v.Status != "ready" {
				left = append(left, v.ID)
			}
			w := v.Waiting
			if w == nil || w.Queue != "encode" || w.For != "worker" || w.Ahead == nil {
				continue
			}
			before, met := last[v.ID]
			if met && *w.Ahead > before {
				t.Errorf("%s stood at %d and stands at %d", v.ID, before, *w.Ahead)
			}
			if last[v.ID] = *w.Ahead; met && *w.Ahead < before {
				counted++
			}
			if w.ETA != nil && *w.ETA > 0 {
				guessed++
			}
		}
		ids = left
	}
	if err := put.Wait(); err != nil {
		t.Errorf("put: %v\n%s", err, said)
	}
	if counted < 8 || guessed == 0 {
		t.Errorf("the places moved %d times, with an estimate %d times", counted, guessed)
	}
	for id, place := range last {
		if place > 1 {
			t.Errorf("%s was last seen at %d", id, place)
		}
	}
}

// until waits for a text in what a process prints.
func until(t *testing.T, l *lines, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(l.String(), text); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in\n%s", text, l)
		}
	}
}

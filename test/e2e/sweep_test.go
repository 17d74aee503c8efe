package e2e

import (
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestSweepsDuringUploadsAndEncodesTouchNothing sweeps all the while, as often as it can.
func TestSweepsDuringUploadsAndEncodesTouchNothing(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--sweep-after", "3h", "--events-token", "a-token-for-tests"}})
	clip := rig.Clip(t, "clip.mp4", "320x180", 22)
	stop, over := make(chan struct{}), make(chan struct{})
	var swept atomic.Int64
	go func() {
		defer close(over)
		for ; ; swept.Add(1) {
			var answer struct{ Count int }
			if status := s.Call("POST", "/v1/sweep", map[string]bool{"delete": true}, &answer); status != 200 || answer.Count != 0 {
				t.Errorf("a sweep found %d, status %d", answer.Count, status)
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	for rounds := 0; rounds == 0 || swept.Load() < 5; rounds++ {
		if rounds == 20 {
			t.Fatalf("only %d sweeps", swept.Load())
		}
		for _, id := range []string{s.Upload(clip, "clip.mp4"), s.Upload(clip, "clip.mp4")} {
			v := s.Await(id, 2*time.Minute)
			if v.Status != "ready" {
				t.Fatalf("%s", v.Raw)
			}
			if status, _ := rig.Get(t, v.Playback.HLS); status != 200 {
				t.Errorf("HLS: %d", status)
			}
		}
	}
	close(stop)
	<-over

	out, err := exec.Command(rig.Binary(t, ""), "sweep", "--data", s.Data).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 things, 0 bytes: left over; remove it with --delete") {
		t.Errorf("sluice sweep: %v\n%s", err, out)
	}
	if status := s.Call("POST", "/v1/events/s3", map[string]any{"Records": []any{}}, nil); status != 401 { // the admin token opens nothing there
		t.Errorf("events with the admin token: %d", status)
	}
}

package e2e

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestSweepsDuringUploadsAndEncodesTouchNothing sweeps all the while, as often as it can.
func TestSweepsDuringUploadsAndEncodesTouchNothing(t *testing.T) {
	s := rig.Start(t, rig.Options{Args: []string{"--sweep-after", "3h", "--events-token", "a-token-for-tests"}})
	clip := rig.Clip(t, "clip.mp4", "320x180", 22)
	stop, swept := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			var answer struct{ Count int }
			if status := s.Call("POST", "/v1/sweep", map[string]bool{"delete": true}, &answer); status != 200 || answer.Count != 0 {
				t.Errorf("a sweep found %d, status %d", answer.Count, status)
			}
			select {
			case <-stop:
				swept <- n
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	var ids []string
	for range 2 {
		ids = append(ids, s.Upload(clip, "clip.mp4"))
	}
	for _, id := range ids {
		v := s.Await(id, 2*time.Minute)
		if v.Status != "ready" {
			t.Fatalf("%s", v.Raw)
		}
		if status, _ := rig.Get(t, v.Playback.HLS); status != 200 {
			t.Errorf("HLS: %d", status)
		}
	}
	close(stop)
	if n := <-swept; n < 5 {
		t.Errorf("only %d sweeps", n)
	}

	out, err := exec.Command(rig.Binary(t, ""), "sweep", "--data", s.Data).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "0 things, 0 bytes: left over; remove it with --delete") {
		t.Errorf("sluice sweep: %v\n%s", err, out)
	}
	if status := s.Call("POST", "/v1/events/s3", map[string]any{"Records": []any{}}, nil); status != 401 { // the admin token opens nothing there
		t.Errorf("events with the admin token: %d", status)
	}
}

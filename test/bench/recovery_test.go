package bench

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestRecoveryAfterAKill measures how long a server that was killed in the middle of a chunk is away, when it is started again at once, as by its supervisor.
func TestRecoveryAfterAKill(t *testing.T) {
	seconds, rounds := 6, 1
	if *full {
		seconds, rounds = 40, 3
	}
	clip := rig.Clip(t, "clip.mp4", "1280x720", seconds)
	for range rounds {
		s := rig.Start(t, rig.Options{})
		id := s.Upload(clip, "clip.mp4")
		attempts := func(v rig.Video) int {
			most := 0
			for _, step := range v.Steps {
				if step.Name == "encode" && step.State == "running" {
					most = max(most, len(step.Attempts))
				}
			}
			return most
		}
		s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return attempts(v) == 1 || v.Status == "ready" })
		killed := time.Now()
		s.Kill()
		again := rig.Launch(t, rig.Options{Data: s.Data})
		for !again.Find() || again.Call(http.MethodGet, "/v1/videos", nil, nil) != http.StatusOK {
			if time.Since(killed) > time.Minute {
				t.Fatalf("the server is not back after a minute\n%s", again.Log())
			}
			time.Sleep(10 * time.Millisecond)
		}
		api := time.Since(killed)
		again.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return attempts(v) > 1 || v.Status == "ready" })
		chunk := time.Since(killed)
		v := again.Await(id, 10*time.Minute)
		if v.Status != "ready" {
			t.Fatalf("%s", v.Raw)
		}
		fmt.Printf("\nkill -9 in the middle of a chunk: API back after %.2f s (goal ≤5), the chunk retaken after %.2f s (goal ≤8)\n", api.Seconds(), chunk.Seconds())
		if err := again.Stop(); err != nil {
			t.Error(err)
		}
	}
}

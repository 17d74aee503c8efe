// Package drill kills a real server at every point of the way of a video and checks that nothing is lost, made twice or left over.
package drill

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// full runs every drill at every point; without it, as in make test, the points where the most can go wrong.
var full = flag.Bool("full", false, "run every drill")

func TestMain(m *testing.M) {
	flag.Parse()
	if !*full { // drills wait more than they work
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	code := enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))
	tell()
	rig.Clean()
	os.Exit(code)
}

// points are where a step can be killed: begun (the attempt is recorded), made (its objects are there, no fact says so), done (the facts are committed).
func points() (all []string) {
	for _, step := range []string{"ingest", "encode", "audio", "stills", "publish"} {
		for _, point := range []string{"begun", "made", "done"} {
			if *full || step == "encode" && point == "made" {
				all = append(all, step+"."+point)
			}
		}
	}
	return all
}

func TestAKillAtAnyStepLosesNothing(t *testing.T) {
	beside(t)
	clip := rig.Clip(t, "clip.mp4", "320x180", 22) // two chunks
	loseNothing(t, clip, points())
}

// TestAKillLosesNoCopyOfASourceWithoutAnIndex kills in the middle of the encode: the copy in scratch is gone and has to be made again, from a source
// whose streams stand in another order than the copy's.
func TestAKillLosesNoCopyOfASourceWithoutAnIndex(t *testing.T) {
	beside(t)
	clip := rig.Clip(t, "clip.ts", "320x180", 22, "-map", "1:a", "-map", "0:v", "-bf", "0")
	loseNothing(t, clip, []string{"encode.made"})
}

func loseNothing(t *testing.T, clip string, points []string) {
	t.Helper()
	want := run(t, clip, "")
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			got := run(t, clip, point)
			for key, size := range want {
				if got[key] != size {
					t.Errorf("%s has %d bytes, undisturbed it has %d", key, got[key], size)
				}
			}
			for key := range got {
				if _, ok := want[key]; !ok {
					t.Errorf("%s is left over", key)
				}
			}
		})
	}
}

// run takes the clip through a server that kills itself at point (none where empty), starts another on the same data, and returns what is in the media bucket when the
// video is ready, by key with the video's id taken out.
func run(t *testing.T, clip, point string) map[string]int64 {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	s := rig.Start(t, rig.Options{Data: data, Tags: "drill", Env: []string{"SLUICE_FAILPOINT=" + point}})
	id := s.Upload(clip, filepath.Base(clip))
	if point != "" {
		if err := s.Wait(time.Minute); err == nil || !strings.Contains(err.Error(), "killed") {
			t.Fatalf("the server was to be killed at %s: %v", point, err)
		}
		killed := time.Now()
		injected(t, 1)
		orphans(t, data)
		s = rig.Start(t, rig.Options{Data: data, Tags: "drill"})
		defer func() { t.Logf("ready %s after the kill", time.Since(killed).Round(100*time.Millisecond)) }()
	}
	v := s.Await(id, 2*time.Minute)
	if v.Status != "ready" || v.Generation != 1 || v.Sizes() != "320x180" {
		t.Fatalf("%s", v.Raw)
	}
	if all := s.Videos(); len(all) != 1 {
		t.Errorf("%d videos, want 1", len(all))
	}
	once(t, s, id)
	s.Quiet()
	if status, body := rig.Get(t, v.Playback.HLS); status != 200 || !strings.Contains(string(body), "#EXTM3U") {
		t.Errorf("HLS: %d", status)
	}
	keys := map[string]int64{}
	for key, size := range s.Objects("media") {
		if strings.HasPrefix(key, "sources/") {
			key = "sources/PIN" // its name is a hash of the object and its time
		}
		keys[strings.ReplaceAll(key, id, "ID")] += size
	}
	if err := s.Stop(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
	return keys
}

// orphans fails where a tool outlives its killed server.
func orphans(t *testing.T, data string) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		var left []string
		for pid, name := range rig.Children(1) {
			if cwd, _ := os.Readlink(fmt.Sprintf("/proc/%d/cwd", pid)); strings.HasPrefix(cwd, data) {
				left = append(left, fmt.Sprintf("%s (%d)", name, pid))
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("outlived the server: %q", left)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// once checks that each fact was written once.
func once(t *testing.T, s *rig.Server, id string) {
	t.Helper()
	var events struct {
		Items []struct {
			Type string
			Data struct {
				Step string
				N    int
			}
		}
	}
	s.Call("GET", "/v1/videos/"+id+"/events?limit=200", nil, &events)
	seen := map[string]int{}
	for _, e := range events.Items {
		seen[fmt.Sprintf("%s %s %d", e.Type, e.Data.Step, e.Data.N)]++
	}
	for what, n := range seen {
		if n != 1 && !strings.HasPrefix(what, "step.failed") {
			t.Errorf("the event %q was written %d times", what, n)
		}
	}
	if seen["video.ready  0"] != 1 {
		t.Errorf("the video is ready %d times: %v", seen["video.ready  0"], seen)
	}
}

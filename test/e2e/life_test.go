package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

func TestDeletingStopsTheWorkWithinSeconds(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	id := s.Upload(rig.Long(t, "long.mp4", "1920x1080", 60), "long.mp4")
	v := s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return v.Progress > 0.02 && len(rig.Children(s.PID())) > 0 })
	start := time.Now()
	if status := s.Call("DELETE", "/v1/videos/"+id, nil, nil); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d", status)
	}
	for len(rig.Children(s.PID())) > 0 {
		if time.Since(start) > 40*time.Second { // undisturbed the encode takes longer, on any machine
			t.Fatalf("still at work after %s: %v", time.Since(start), rig.Children(s.PID()))
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("the work stopped %s after DELETE", time.Since(start).Round(time.Millisecond))
	gone(t, s, v)
	s.Quiet()
}

func TestEncodingAgainMakesANewGenerationWhileViewersKeepTheOld(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--retire-after", "10s"}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "640x360", 2), "clip.mp4")
	first := s.Await(id, time.Minute)
	if first.Generation != 1 || first.Sizes() != "640x360 426x240" {
		t.Fatalf("%s", first.Raw)
	}
	if status := s.Call("POST", "/v1/videos/"+id+"/encode", map[string]int{"max_resolution": 240}, nil); status != http.StatusAccepted {
		t.Fatalf("encode: %d", status)
	}
	second := s.AwaitUntil(id, time.Minute, func(v rig.Video) bool {
		if v.Status != "ready" || !v.Playable {
			t.Errorf("the video stopped playing: %s", v.Raw)
		}
		return v.Generation == 2
	})
	if second.Sizes() != "426x240" {
		t.Errorf("%s", second.Raw)
	}
	if status, _ := rig.Get(t, first.Playback.HLS); status != http.StatusOK {
		t.Errorf("the old generation went at once: %d", status)
	}
	plays(t, second)
	deadline := time.Now().Add(2 * time.Minute)
	for {
		if status, _ := rig.Get(t, first.Playback.HLS); status == http.StatusNotFound {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the old generation is never retired")
		}
		time.Sleep(200 * time.Millisecond)
	}
	plays(t, second)
}

func TestARestartFindsEverything(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	before := s.Await(id, time.Minute)
	token := s.Token
	if err := s.Stop(); err != nil {
		t.Fatalf("an orderly stop: %v", err)
	}
	s = rig.Start(t, rig.Options{Data: s.Data})
	after := s.Video(id)
	if s.Token != token || after.Status != "ready" || after.Sizes() != before.Sizes() {
		t.Errorf("after the restart: %s", after.Raw)
	}
	plays(t, after)
}

func TestAnOrderlyStopGivesRunningJobsBack(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--workers-encode", "1"}})
	id := s.Upload(rig.Long(t, "clip.mp4", "640x360", 16), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return len(rig.Children(s.PID())) > 0 && v.Progress > 0.02 })
	start := time.Now()
	if err := s.Stop(); err != nil {
		t.Fatalf("an orderly stop: %v", err)
	}
	t.Logf("stopping took %s", time.Since(start))
	s = rig.Start(t, rig.Options{Data: s.Data})
	if v := s.Await(id, time.Minute); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	}
}

func TestWhatAPersonMayChangeIsKept(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 1), "clip.mp4")
	change := map[string]any{"title": "A <b>title</b>", "description": "Words", "tags": []string{"a", "b"}, "metadata": map[string]string{"k": "v"}}
	if status := s.Call("PATCH", "/v1/videos/"+id, change, nil); status != http.StatusOK {
		t.Fatalf("PATCH: %d", status)
	}
	v := s.Await(id, time.Minute)
	for _, want := range []string{`"tags":["a","b"]`, `"description":"Words"`, `"metadata":{"k":"v"}`} {
		if !strings.Contains(string(v.Raw), want) {
			t.Errorf("no %s in %s", want, v.Raw)
		}
	}
}

func TestNobodyGetsInWithoutTheToken(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	for _, path := range []string{"/v1/videos", "/v1/videos/x", "/v1/uploads", "/v1/nowhere"} {
		status, body := rig.Get(t, s.URL+path)
		if status != http.StatusUnauthorized || !strings.Contains(string(body), `"unauthorized"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	for _, path := range []string{"/uploads/", "/media/sources/x", "/data/admin.token", "/stream/../admin.token", "/stream/%2e%2e/admin.token"} {
		if status, body := rig.Get(t, s.URL+path); status == http.StatusOK && strings.Contains(string(body), s.Token) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

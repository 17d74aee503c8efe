package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"sluice/test/rig"
)

type readiness struct {
	Status string
	Parts  map[string]struct{ State, Since, Code, Message string }
}

func ready(t *testing.T, s *rig.Server) (status int, r readiness) {
	t.Helper()
	status, body := rig.Get(t, s.URL+"/readyz")
	if err := json.Unmarshal(body, &r); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return status, r
}

// TestALowDiskStopsUploadsAndWorkUntilThereIsRoom has the disk filled by somebody else while a video waits to be encoded.
func TestALowDiskStopsUploadsAndWorkUntilThereIsRoom(t *testing.T) {
	t.Parallel()
	data := rig.SmallDisk(t, "96m")
	s := rig.Start(t, rig.Options{Data: data, Args: []string{"--disk-low", "40MiB"}})
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	first := s.Await(s.Upload(clip, "first.mp4"), time.Minute)
	if first.Status != "ready" {
		t.Fatalf("%s", first.Raw)
	}

	free := rig.Fill(t, data, 30<<20)
	if r := becomes(t, s, http.StatusServiceUnavailable); r.Parts["disk"].State != "trouble" || r.Parts["disk"].Code != "disk_full" || r.Parts["catalog"].State != "ok" {
		t.Errorf("readyz: %+v", r)
	}
	if status, _ := rig.Get(t, s.URL+"/healthz"); status != http.StatusOK {
		t.Errorf("healthz: %d", status)
	}
	if status := s.Call("POST", "/v1/uploads", map[string]any{"filename": "second.mp4"}, nil); status != http.StatusServiceUnavailable {
		t.Errorf("an upload is answered with %d", status)
	}
	client := s.AWS()
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("second.mp4"), Body: bytes.NewReader(make([]byte, 1000))},
		func(o *s3.Options) { o.RetryMaxAttempts = 1 })
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != "SlowDown" {
		t.Errorf("an object is answered with %v", err)
	}
	if status, _ := rig.Get(t, first.Playback.HLS); status != http.StatusOK {
		t.Errorf("playback: %d", status)
	}
	if status := s.Call("POST", "/v1/videos/"+first.ID+"/encode", map[string]any{}, nil); status >= 300 {
		t.Fatalf("encode: %d", status)
	}
	if v := s.AwaitUntil(first.ID, time.Minute, func(v rig.Video) bool { return v.Waiting != nil && v.Waiting.For == "disk" }); len(v.Steps) != 1 || v.Steps[0].State != "waiting" || len(v.Steps[0].Attempts) != 0 {
		t.Errorf("work was taken on a low disk: %s", v.Raw)
	}

	free()
	again := s.AwaitUntil(first.ID, time.Minute, func(v rig.Video) bool { return v.Generation == 2 && v.Status == "ready" })
	for _, step := range again.Steps {
		if len(step.Attempts) != 1 {
			t.Errorf("%s was tried %d times", step.Name, len(step.Attempts))
		}
	}
	becomes(t, s, http.StatusOK)
	if second := s.Await(s.Upload(clip, "second.mp4"), time.Minute); second.Status != "ready" {
		t.Errorf("%s", second.Raw)
	}
	if status := s.Call("DELETE", "/v1/videos/"+first.ID, nil, nil); status >= 300 {
		t.Errorf("delete: %d", status)
	}
}

// TestADiskThatIsFullMakesWorkWaitAndLosesNothing lets the disk run full under running work, whatever the server keeps free.
func TestADiskThatIsFullMakesWorkWaitAndLosesNothing(t *testing.T) {
	inFull(t)
	t.Parallel()
	data := rig.SmallDisk(t, "128m")
	s := rig.Start(t, rig.Options{Data: data, Args: []string{"--disk-low", "0", "--workers-encode", "1"}})
	clip := rig.Clip(t, "clip.mp4", "1280x720", 6)
	id := s.Upload(clip, "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return len(v.Steps) > 1 })
	free := rig.Fill(t, data, 200<<10)
	for deadline := time.Now().Add(3 * time.Minute); !strings.Contains(s.Log(), "disk is full"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("nobody met the full disk:\n%s", s.Log())
		}
	}
	time.Sleep(7 * time.Second) // longer than a process may be silent
	if v := s.Video(id); v.Status == "failed" {
		t.Fatalf("a full disk failed the video: %s", v.Raw)
	}
	free()
	v := s.Await(id, 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	for _, step := range v.Steps {
		for _, a := range step.Attempts {
			if a.Error != nil && a.Error.Code != "disk_full" && a.Error.Code != "storage_full" && a.Error.Code != "scratch_unavailable" && a.Error.Code != "database_unavailable" {
				t.Errorf("an attempt at %s failed with %s", step.Name, a.Error.Code)
			}
		}
	}
	s.Quiet()
}

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/away"
	"sluice/test/rig"
)

// outageLasts is longer than a process may be silent before its jobs are given to others.
const outageLasts = 8 * time.Second

// apart starts a server whose database and storage are behind links that can be cut.
func apart(t *testing.T) (s *rig.Server, database, storage *away.Link) {
	t.Helper()
	database, dsn := away.BeforeURL(t, enginetest.Postgres(t))
	there := rig.VersityGW(t)
	by := *there
	storage, by.URL = away.BeforeURL(t, there.URL)
	return rig.Start(t, rig.Options{Token: clusterToken, Env: []string{"SLUICE_DATABASE=" + dsn}, Args: append(by.Flags(), "--workers-encode", "1", "--reconcile-every", "1s")}), database, storage
}

// TestADatabaseThatIsAwayPausesWorkAndAnswers takes PostgreSQL away in the middle of an encode: once it refuses, once it hangs.
func TestADatabaseThatIsAwayPausesWorkAndAnswers(t *testing.T) {
	inFull(t)
	t.Parallel()
	s, database, _ := apart(t)
	first := s.Await(s.Upload(rig.Clip(t, "first.mp4", "320x180", 2), "first.mp4"), time.Minute)
	if first.Status != "ready" {
		t.Fatalf("%s", first.Raw)
	}
	for _, way := range []struct {
		name string
		take func()
	}{{"cut", database.Cut}, {"hanging", database.Hang}} {
		if status, _ := rig.Get(t, first.Playback.HLS); status != http.StatusOK {
			t.Fatalf("playback: %d", status)
		}
		id := s.Upload(rig.Clip(t, "second.mp4", "640x360", 10), way.name+".mp4")
		s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return encoding(v) > 0 })
		way.take()
		began := time.Now()
		if status, _ := rig.Get(t, s.URL+"/healthz"); status != http.StatusOK {
			t.Errorf("%s: healthz: %d", way.name, status)
		}
		if status, _ := rig.Get(t, first.Playback.HLS); status != http.StatusOK {
			t.Errorf("%s: playback: %d", way.name, status)
		}
		if r := becomes(t, s, http.StatusServiceUnavailable); r.Parts["catalog"].State != "trouble" || r.Parts["objects"].State != "ok" || r.Parts["tools"].State != "ok" {
			t.Errorf("%s: readyz: %+v", way.name, r)
		}
		if way.name == "cut" { // a database that hangs is given up after 15 s only
			if err := unavailable(s); err != nil {
				t.Errorf("%s: %v", way.name, err)
			}
		}
		time.Sleep(outageLasts - time.Since(began))
		database.Mend()
		v := s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return v.Status == "ready" || v.Status == "failed" })
		if v.Status != "ready" {
			t.Fatalf("%s: %s", way.name, v.Raw)
		}
		for _, step := range v.Steps {
			if len(step.Attempts) != 1 {
				t.Errorf("%s: %s was tried %d times", way.name, step.Name, len(step.Attempts))
			}
		}
		becomes(t, s, http.StatusOK)
	}
}

// becomes waits until /readyz answers with a status: the server asks its parts at most once a second.
func becomes(t *testing.T, s *rig.Server, want int) readiness {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		status, r := ready(t, s)
		if status == want {
			return r
		}
		if time.Now().After(deadline) {
			t.Fatalf("readyz answers %d, want %d: %+v", status, want, r)
		}
	}
}

// unavailable wants the API to answer that the database is away, and when to try again.
func unavailable(s *rig.Server) error {
	request, err := http.NewRequest(http.MethodGet, s.URL+"/v1/videos", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" {
		return fmt.Errorf("the API answers %d %v", response.StatusCode, response.Header)
	}
	return nil
}

// TestAStorageThatIsAwayPausesWork cuts the storage off in the middle of an encode.
func TestAStorageThatIsAwayPausesWork(t *testing.T) {
	inFull(t)
	t.Parallel()
	s, _, storage := apart(t)
	id := s.Upload(rig.Clip(t, "clip.mp4", "640x360", 6), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return encoding(v) > 0 })
	storage.Cut()
	began := time.Now()
	if r := becomes(t, s, http.StatusServiceUnavailable); r.Parts["objects"].State != "trouble" || r.Parts["catalog"].State != "ok" {
		t.Errorf("readyz: %+v", r)
	}
	time.Sleep(outageLasts + 4*time.Second - time.Since(began))
	storage.Mend()
	v := s.Await(id, 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	waits := 0
	for _, step := range v.Steps {
		for _, a := range step.Attempts {
			if a.Error != nil && !slices.Contains([]string{"storage_unavailable", "source_unavailable"}, a.Error.Code) {
				t.Errorf("an attempt at %s failed with %s", step.Name, a.Error.Code)
			}
			if a.Error != nil {
				waits++
			}
		}
	}
	t.Logf("%d attempts met the storage away", waits)
}

// TestVideo_BucketAwayDuringEncode_WaitsAndEndsReady takes the folder of the bucket media from versitygw in the middle
// of an encode, which then answers 404 to everything
// in it, and puts it back.
func TestVideo_BucketAwayDuringEncode_WaitsAndEndsReady(t *testing.T) {
	t.Parallel()
	there := rig.VersityGW(t)
	s := rig.Start(t, rig.Options{Token: clusterToken, Args: append(there.Flags(), "--workers-encode", "1", "--reconcile-every", "1s")})
	id := s.Upload(rig.Clip(t, "clip.mp4", "640x360", 6), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return encoding(v) > 0 })
	media, aside := filepath.Join(there.Root, "media"), filepath.Join(there.Root, "aside")
	if err := os.Rename(media, aside); err != nil {
		t.Fatal(err)
	}
	if r := becomes(t, s, http.StatusServiceUnavailable); r.Parts["objects"].Code != "no_such_bucket" {
		t.Errorf("readyz: %+v", r)
	}
	if status, code, retry := grant(t, s); status != http.StatusServiceUnavailable || code != "storage_unavailable" || retry == "" {
		t.Errorf("POST /v1/uploads answers %d %q, Retry-After %q", status, code, retry)
	}
	met := func(v rig.Video) bool {
		for _, step := range v.Steps {
			for _, a := range step.Attempts {
				if a.Error != nil {
					return true
				}
			}
		}
		return false
	}
	v := s.AwaitUntil(id, time.Minute, met)
	if v.Status == "failed" {
		t.Errorf("the video failed while the bucket was away: %s", v.Raw)
	}
	if err := os.Rename(aside, media); err != nil {
		t.Fatal(err)
	}
	if v = s.Await(id, 2*time.Minute); v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	becomes(t, s, http.StatusOK)
	if status, _, _ := grant(t, s); status != http.StatusCreated {
		t.Errorf("with the bucket back, POST /v1/uploads answers %d", status)
	}
}

// grant asks for an upload, and returns the status, the code of a problem and when to try again.
func grant(t *testing.T, s *rig.Server) (status int, code, retry string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, s.URL+"/v1/uploads", strings.NewReader(`{"filename": "other.mp4"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+s.Token)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var problem struct{ Code string }
	if err := json.NewDecoder(response.Body).Decode(&problem); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, problem.Code, response.Header.Get("Retry-After")
}

package e2e

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// sluice runs a command of the built binary and returns what it said and whether it went well.
func sluice(t *testing.T, args ...string) (said string, ok bool) {
	t.Helper()
	out, err := exec.Command(rig.Binary(t, ""), args...).CombinedOutput()
	return string(out), err == nil
}

// must is sluice for a command that has to go well.
func must(t *testing.T, args ...string) string {
	t.Helper()
	said, ok := sluice(t, args...)
	if !ok {
		t.Fatalf("sluice %s: %s", strings.Join(args, " "), said)
	}
	return strings.TrimSpace(said)
}

// streams reads everything of a video that players can ask for, by path.
func streams(t *testing.T, s *rig.Server, v rig.Video) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	prefix := strings.TrimPrefix(v.Playback.HLS, s.URL+"/stream/")
	prefix, err := url.PathUnescape(prefix[:strings.LastIndexByte(prefix, '/')])
	if err != nil {
		t.Fatal(err)
	}
	for key := range s.Objects("media") {
		if rest, ok := strings.CutPrefix(key, "streams/"); ok && strings.HasPrefix(rest, prefix+"/") {
			rest = (&url.URL{Path: rest}).EscapedPath()
			status, body := rig.Get(t, s.URL+"/stream/"+rest)
			if status != http.StatusOK {
				t.Errorf("GET %s: %d", rest, status)
			}
			all[rest] = body
		}
	}
	if len(all) < 5 {
		t.Fatalf("%d objects of %s", len(all), v.Raw)
	}
	return all
}

func TestABackupTakenDuringWorkIsRestoredAndGoesOn(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--workers-encode", "1"}})
	ready := s.Await(s.Upload(rig.Clip(t, "ready.mp4", "320x180", 2), "ready.mp4"), time.Minute)
	before := streams(t, s, ready)
	broken := s.Await(s.Upload(rig.Make(t, "text.mp4", "-f", "lavfi", "-i", "anullsrc=d=0.1", "-f", "data", "-map", "0", "-c", "copy"), "text.mp4"), time.Minute)
	gone := s.Await(s.Upload(rig.Clip(t, "gone.mp4", "320x180", 2), "gone.mp4"), time.Minute)
	long, short := rig.Long(t, "running.mp4", "640x360", 32), rig.Clip(t, "waiting.mp4", "320x180", 3)
	running := s.Upload(long, "running.mp4")
	s.AwaitUntil(running, time.Minute, func(v rig.Video) bool { return v.Progress > 0.03 })
	waiting := s.Upload(short, "waiting.mp4")
	if status := s.Call("DELETE", "/v1/videos/"+gone.ID, nil, nil); status != http.StatusNoContent {
		t.Fatalf("DELETE: %d", status)
	}

	to := filepath.Join(t.TempDir(), "backups")
	t.Log(must(t, "backup", "--data", s.Data, to))
	if v := s.Video(running); v.Status != "processing" {
		t.Fatalf("the backup was to be taken during the encode; the video is %s", v.Status)
	}
	second := must(t, "backup", "--data", s.Data, to)
	t.Log(second)
	s.Kill()

	data := filepath.Join(t.TempDir(), "restored")
	t.Log(must(t, "restore", to, "--data", data))
	for _, secret := range []string{"admin.token", "s3.json"} {
		info, err := os.Stat(filepath.Join(data, secret))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", secret, info, err)
		}
	}
	r := rig.Start(t, rig.Options{Data: data})
	if r.Token != s.Token {
		t.Error("the token is another one")
	}
	for path, body := range before {
		if status, now := rig.Get(t, r.URL+"/stream/"+path); status != http.StatusOK || !bytes.Equal(now, body) {
			t.Errorf("%s: %d, %d bytes of %d", path, status, len(now), len(body))
		}
	}
	if v := r.Video(broken.ID); v.Status != "failed" || v.Error == nil || v.Error.Code != broken.Error.Code {
		t.Errorf("%s, was %s", v.Raw, broken.Raw)
	}
	if v := r.Video(gone.ID); v.ID != "" {
		t.Errorf("a deleted video is back: %s", v.Raw)
	}
	for _, id := range []string{running, waiting} {
		v := r.Await(id, 3*time.Minute)
		if v.Status != "ready" {
			t.Fatalf("%s", v.Raw)
		}
		plays(t, v)
		streams(t, r, v)
	}
	if all := r.Videos(); len(all) != 4 {
		t.Errorf("%d videos, want 4", len(all))
	}
}

func TestADamagedBackupOrAFullFolderIsRefused(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	s.Await(s.Upload(rig.Clip(t, "clip.mp4", "320x180", 3), "clip.mp4"), time.Minute)
	to := filepath.Join(t.TempDir(), "backups")
	must(t, "backup", "--data", s.Data, "--no-secrets", to)
	must(t, "restore", "--check", to)
	data := filepath.Join(t.TempDir(), "restored")

	if said, ok := sluice(t, "restore", to, "--data", s.Data); ok || !strings.Contains(said, "not empty") {
		t.Errorf("a restore over a folder in use: %s", said)
	}
	if s.Video(s.Videos()[0].ID).Status != "ready" {
		t.Error("the refused restore harmed the folder")
	}
	must(t, "restore", to, "--data", data)
	if _, err := os.Stat(filepath.Join(data, "admin.token")); !os.IsNotExist(err) {
		t.Errorf("the backup without secrets has the token: %v", err)
	}

	// Every file of a backup is spoiled once.
	spoiled := 0
	err := filepath.WalkDir(to, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() == "lock" || d.Name() == "backup.json" || strings.Contains(path, "contents") && spoiled > 6 {
			return err
		}
		spoiled++
		body, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		body[len(body)/2] ^= 1
		if err := os.WriteFile(path, body, 0o600); err != nil {
			return err
		}
		other := filepath.Join(t.TempDir(), "restored")
		if said, ok := sluice(t, "restore", to, "--data", other); ok || !strings.Contains(said, "backup") {
			t.Errorf("%s spoiled: %s", path, said)
		}
		if left, _ := os.ReadDir(other); len(left) > 0 {
			t.Errorf("%s spoiled: the refused restore left %v", path, left)
		}
		if said, ok := sluice(t, "restore", to, "--check"); ok {
			t.Errorf("%s spoiled: the check finds nothing: %s", path, said)
		}
		body[len(body)/2] ^= 1
		return os.WriteFile(path, body, 0o600)
	})
	if err != nil || spoiled < 7 {
		t.Errorf("spoiled %d files: %v", spoiled, err)
	}

	// A restore that was killed is no folder to serve from, and can be repeated.
	if err := os.WriteFile(filepath.Join(data, "restoring"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if said, ok := sluice(t, "serve", "--data", data, "--listen", "127.0.0.1:0"); ok || !strings.Contains(said, "restore") {
		t.Errorf("half a restore is served: %s", said)
	}
	must(t, "restore", to, "--data", data)
}

package e2e

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

// purged is a CDN's address at which copies are dropped.
type purged struct {
	*httptest.Server
	mu      sync.Mutex
	refuses bool
	told    []string
}

const purgeToken = "a-token-of-the-CDN-that-nobody-may-see"

func newPurged(t *testing.T) *purged {
	t.Helper()
	p := &purged{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var asked struct{ Tags []string }
		if err == nil {
			err = json.Unmarshal(body, &asked)
		}
		if err != nil || r.Header.Get("Authorization") != "Bearer "+purgeToken {
			t.Errorf("%q, %v: %v", body, r.Header, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.refuses {
			http.Error(w, "no such token: "+r.Header.Get("Authorization"), http.StatusForbidden)
			return
		}
		p.told = append(p.told, asked.Tags...)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *purged) refuse(yes bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = yes
}

func (p *purged) knows(mark string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.told, mark)
}

// await waits for a mark.
func (p *purged) await(t *testing.T, mark string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !p.knows(mark); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the CDN was not told of %s, but of %q", mark, p.told)
		}
	}
}

func TestACDNIsToldWhatToDrop(t *testing.T) {
	t.Parallel()
	p := newPurged(t)
	s := rig.Start(t, rig.Options{
		Args: []string{"--playback", "public", "--retire-after", "0s", "--cdn-purge-url", p.URL + "/zones/1/purge_cache", "--cdn-purge-body", `{"tags": {keys_json}}`},
		Env:  []string{"SLUICE_CDN_PURGE_HEADERS=Authorization: Bearer " + purgeToken + ",Content-Type: application/json"},
	})
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	id, other := s.Upload(clip, "clip.mp4"), s.Upload(clip, "other.mp4")
	v := s.Await(id, 2*time.Minute)
	s.Await(other, 2*time.Minute)
	resp, err := http.Get(v.Playback.HLS)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for _, mark := range []string{"video-" + id, "generation-" + id + "-1"} {
		if !slices.Contains(strings.Split(resp.Header.Get("Surrogate-Key"), " "), mark) || !slices.Contains(strings.Split(resp.Header.Get("Cache-Tag"), ","), mark) {
			t.Errorf("an answer without %s: %v", mark, resp.Header)
		}
	}
	ask := func(method, path string, body any, into any) {
		t.Helper()
		if status := s.Call(method, path, body, into); status >= 300 {
			t.Fatalf("%s %s: %d", method, path, status)
		}
	}
	var playback struct{ ID string }
	ask("POST", "/v1/videos/"+id+"/playbacks", map[string]any{}, &playback)
	ask("DELETE", "/v1/videos/"+id+"/playbacks/"+playback.ID, nil, nil)
	p.await(t, "playback-"+playback.ID)
	if p.knows("video-" + id) {
		t.Error("told of all of a video of which one playback was revoked")
	}

	// A refusal is seen by who may look, without the token, and is tried again.
	p.refuse(true)
	ask("PATCH", "/v1/videos/"+id, map[string]string{"playback_policy": "signed"}, nil)
	var jobs struct {
		Items []struct{ Kind, State, Error string }
	}
	for deadline := time.Now().Add(time.Minute); !slices.ContainsFunc(jobs.Items, func(j struct{ Kind, State, Error string }) bool {
		return j.Kind == "purge" && strings.Contains(j.Error, "purge_refused") && strings.Contains(j.Error, "403")
	}); time.Sleep(50 * time.Millisecond) {
		if ask("GET", "/v1/jobs?queue=purge", nil, &jobs); time.Now().After(deadline) {
			t.Fatalf("no job shows the refusal: %+v", jobs)
		}
	}
	if text, err := json.Marshal(jobs); err != nil || strings.Contains(string(text)+s.Log(), purgeToken) {
		t.Error("the token is told")
	}
	p.refuse(false)
	p.await(t, "video-"+id)

	ask("POST", "/v1/videos/"+id+"/encode", map[string]any{}, nil)
	p.await(t, "generation-"+id+"-1")

	if out, err := exec.Command(rig.Binary(t, ""), "purge", "--data", s.Data, other).CombinedOutput(); err != nil || !strings.Contains(string(out), other) {
		t.Errorf("%v: %s", err, out)
	}
	p.await(t, "video-"+other)
	if out, err := exec.Command(rig.Binary(t, ""), "purge", "--data", s.Data, "01jq3v8k2m4n5p6r7s8t9v0w1x").CombinedOutput(); err == nil || !strings.Contains(string(out), "no such video") {
		t.Errorf("of no video: %v: %s", err, out)
	}
	if config, err := exec.Command(rig.Binary(t, ""), "config", "--cdn-purge-url", "https://cdn.example/{key}", "--cdn-purge-headers", "Fastly-Key: "+purgeToken).CombinedOutput(); err != nil || strings.Contains(string(config), purgeToken) || !strings.Contains(string(config), "purge_headers is set and not shown") {
		t.Errorf("%v: %s", err, config)
	}
}

func TestADeletionIsToldWhoeverIsKilledAfterIt(t *testing.T) {
	t.Parallel()
	p := newPurged(t)
	o := rig.Options{Data: filepath.Join(t.TempDir(), "data"), Args: []string{"--cdn-purge-url", p.URL, "--cdn-purge-body", `{"tags": {keys_json}}`, "--cdn-purge-headers", "Authorization: Bearer " + purgeToken}}
	s := rig.Start(t, o)
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	s.Await(id, 2*time.Minute)
	if status := s.Call("DELETE", "/v1/videos/"+id, nil, nil); status >= 300 {
		t.Fatal(status)
	}
	s.Kill() // within the three seconds before the CDN is told
	if p.knows("video-" + id) {
		t.Log("the machine is slow: the CDN was told before the kill")
	}
	rig.Start(t, o)
	p.await(t, "video-"+id)
}

package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestAGrantOfEverythingIsBoundToTheWorkspacesOfItsHolder asks the real edge for what lies elsewhere, in each way that everything can be granted.
func TestAGrantOfEverythingIsBoundToTheWorkspacesOfItsHolder(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	if status := s.Call(http.MethodPost, "/v1/workspaces", map[string]string{"id": "other", "name": "Other"}, nil); status != http.StatusCreated {
		t.Fatal(status)
	}
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	here, there := s.Await(s.Upload(clip, "here.mp4"), 2*time.Minute), s.Await(s.Upload(clip, "there.mp4"), 2*time.Minute)
	if status := s.Call(http.MethodPatch, "/v1/videos/"+there.ID, map[string]string{"workspace": "other"}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	var client struct{ ID, Secret string }
	if status := s.Call(http.MethodPost, "/v1/clients", map[string]any{"name": "x", "kind": "service", "role": "viewer", "workspaces": []string{"main"}, "scopes": []string{"videos/read"}}, &client); status != http.StatusCreated {
		t.Fatal(status)
	}
	viewer := browse(t, s)
	resp, err := http.PostForm(s.URL+"/oauth/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {client.ID}, "client_secret": {client.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var token struct {
		Access string `json:"access_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&token); err != nil || token.Access == "" {
		t.Fatal(resp.Status, err)
	}
	viewer.token = token.Access

	segments := func(v rig.Video) []string {
		return []string{v.Playback.HLS, v.Playback.DASH, v.Playback.Poster, strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)}
	}
	query := viewer.must(200, "", "POST", "/v1/keys", `{"all":true,"way":"url"}`)["query"].(string)
	var jar []string
	for _, one := range viewer.must(200, "", "GET", "/keys", "")["cookies"].([]any) {
		c := one.(map[string]any)
		jar = append(jar, c["name"].(string)+"="+c["value"].(string))
	}
	for way, proof := range map[string]func(address string) int{
		"query":   func(address string) int { return fetch(t, address+"?"+query) },
		"cookies": func(address string) int { return fetch(t, address, "Cookie: "+strings.Join(jar, "; ")) },
	} {
		for i := range segments(here) {
			if status := proof(segments(here)[i]); status != http.StatusOK {
				t.Errorf("by %s, in the holder's workspace: %s: %d", way, segments(here)[i], status)
			}
			if status := proof(segments(there)[i]); status != http.StatusForbidden {
				t.Errorf("by %s, in another workspace: %s: %d", way, segments(there)[i], status)
			}
		}
	}
	if status := fetch(t, there.Playback.HLS, "Authorization: Bearer "+viewer.token); status != http.StatusNotFound {
		t.Errorf("the holder's token on a video elsewhere: %d", status)
	}
	viewer.must(404, "no_video", "POST", "/v1/keys", `{"video":"`+there.ID+`"}`)

	// A video that moves takes its viewers along, within the two seconds that an edge may still believe.
	if status := s.Call(http.MethodPatch, "/v1/videos/"+there.ID, map[string]string{"workspace": "main"}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	for end := time.Now().Add(time.Minute); fetch(t, there.Playback.HLS+"?"+query) != http.StatusOK; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a video that came into the workspace does not open")
		}
	}
}

// TestWhatIsWithdrawnStopsBehindACache has nginx keep a segment, and then takes the right to it away.
func TestWhatIsWithdrawnStopsBehindACache(t *testing.T) {
	t.Parallel()
	c := startCDN(t)
	video := c.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := c.Await(video, 2*time.Minute)
	segment := func(g given) string { return strings.Replace(g.HLS, "index.m3u8", "180p/00001.m4s", 1) }

	var p, bound struct{ ID string }
	if status := c.Call(http.MethodPost, "/v1/videos/"+video+"/playbacks", map[string]any{"policy": "signed"}, &p); status != http.StatusCreated {
		t.Fatal(status)
	}
	g := c.give(t, map[string]any{"playback": p.ID})
	for _, want := range []string{"MISS 200", "HIT 200"} {
		if said := c.got(t, segment(g)); said != want {
			t.Fatalf("%s, want %s", said, want)
		}
	}
	if status := c.Call(http.MethodDelete, "/v1/videos/"+video+"/playbacks/"+p.ID, nil, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	began := time.Now()
	c.until(t, "403 playback_revoked", segment(g))
	t.Logf("a playback id that was revoked was refused behind nginx after %s", time.Since(began).Round(10*time.Millisecond))
	if said := c.got(t, strings.Replace(segment(g), "00001", "00002", 1)); said != "403 playback_revoked" {
		t.Errorf("the next segment: %s", said)
	}

	// A playback id for some pages, and the page is asked for before what is kept.
	if status := c.Call(http.MethodPost, "/v1/videos/"+video+"/playbacks", map[string]any{"policy": "signed", "origins": []string{"https://partner.example"}}, &bound); status != http.StatusCreated {
		t.Fatal(status)
	}
	g = c.give(t, map[string]any{"playback": bound.ID})
	for _, step := range [][2]string{
		{"Origin: https://partner.example", "MISS 200"}, {"Origin: https://partner.example", "HIT 200"}, {"Origin: https://friend.example", "403 playback_wrong_origin"},
		{"Origin: https://partner.example.evil.test", "403 playback_wrong_origin"}, {"Origin: http://partner.example", "403 playback_wrong_origin"}, {"Origin: null", "403 playback_wrong_origin"},
		{"Referer: https://evil.test/watch", "403 playback_wrong_origin"}, {"Sec-Fetch-Site: cross-site", "403 playback_wrong_origin"}, {"Referer: https://partner.example/watch", "MISS 200"}, // what is kept is a page's that says Origin

	} {
		if said := c.got(t, segment(g), step[0]); said != step[1] {
			t.Errorf("%s: %s, want %s", step[0], said, step[1])
		}
	}
	resp, _ := c.ask(t, http.MethodGet, segment(g), "Origin: https://partner.example")
	if h := resp.Header; h.Get("Access-Control-Allow-Origin") != "https://partner.example" || h.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("the page of a partner: %v", h)
	}

	// A key pair that is retired, though nginx keeps what it opened.
	g = c.give(t, map[string]any{"video": video})
	address := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1) + "?" + g.Query
	c.until(t, "HIT 200", address)
	pair, _, _ := strings.Cut(g.Query[strings.Index(g.Query, "Key-Pair-Id=")+len("Key-Pair-Id="):], "&")
	command(t, c.Server, "keys", "retire", pair, "--after", "0s")
	began = time.Now()
	for said := ""; said != "403 key_retired"; time.Sleep(200 * time.Millisecond) {
		if said = c.got(t, address); time.Since(began) > 60*time.Second { // the product's promise
			t.Fatalf("a retired key pair opens for over a minute: %s", said)
		}
	}
	t.Logf("a key pair that was retired was refused behind nginx after %s", time.Since(began).Round(10*time.Millisecond))
	if said := c.got(t, strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)+"?"+c.give(t, map[string]any{"video": video}).Query); said != "HIT 200" {
		t.Errorf("a new grant: %s", said)
	}
}

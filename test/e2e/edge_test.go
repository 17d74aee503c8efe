package e2e

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

func TestTheEdgeOpensAVideoToThoseWhoMayWatchIt(t *testing.T) {
	t.Parallel()
	const secret = "a secret of the CDN in front"
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed", "--cdn-secret", secret, "--cors-origins", "https://friend.example"}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := s.Await(id, time.Minute)
	hls := v.Playback.HLS
	segment := strings.Replace(hls, "index.m3u8", "180p/00001.m4s", 1)
	ask := func(address string, header ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Fatal(err)
		}
		return resp
	}
	for _, want := range []struct {
		policy              string
		nothing, token, cdn int
	}{{"signed", 403, 200, 200}, {"members", 403, 200, 403}, {"public", 200, 200, 200}} { // in this order: what follows asks for a public one
		policy := want.policy
		if status := s.Call("PATCH", "/v1/videos/"+id, map[string]string{"playback_policy": policy}, nil); status != http.StatusOK {
			t.Fatalf("%s: PATCH: %d", policy, status)
		}
		settled := time.Now().Add(30 * time.Second)
		for _, address := range []string{hls, segment, v.Playback.DASH, v.Playback.Poster} {
			for name, c := range map[string]struct {
				want   int
				header []string
			}{"nothing": {want.nothing, nil}, "the token": {want.token, []string{"Authorization", "Bearer " + s.Token}}, "the CDN": {want.cdn, []string{"X-Origin-Secret", secret}}} {
				resp := ask(address, c.header...)
				for resp.StatusCode != c.want && time.Now().Before(settled) { // the edge remembers the last policy for two seconds
					time.Sleep(100 * time.Millisecond)
					resp = ask(address, c.header...)
				}
				if resp.StatusCode != c.want {
					t.Errorf("%s, by %s: %s: %d, want %d", policy, name, address, resp.StatusCode, c.want)
				}
			}
		}
	}
	at, err := url.Parse(hls)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/stream/../healthz", "/stream//x/1/index.m3u8", "/stream/%2e%2e/healthz", "/stream/./x"} {
		if resp := ask("http://" + at.Host + path); resp.StatusCode != http.StatusNotFound || resp.Header.Get("Location") != "" {
			t.Errorf("%s: %d, to %q", path, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	if resp := ask(hls, "Origin", "https://friend.example"); resp.Header.Get("Referrer-Policy") != "no-referrer" || resp.Header.Get("Surrogate-Key") == "" {
		t.Errorf("%v", resp.Header)
	}
	if log := s.Log(); strings.Contains(log, secret) || strings.Contains(log, "Signature=") {
		t.Error("the log tells secrets")
	}
}

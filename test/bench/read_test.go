package bench

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/test/rig"
)

const (
	readsAtOnce = 16
	goalReads   = 3000 // a second: the load test figure that we were given
)

// reads asks for one address as often as it can, and returns answers a second with the median and the slowest hundredth.
func reads(t *testing.T, at string, head http.Header, last time.Duration) (rate float64, p50, p99 time.Duration) {
	t.Helper()
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: readsAtOnce}}
	defer client.CloseIdleConnections()
	var all sync.WaitGroup
	var over atomic.Bool
	took := make([][]time.Duration, readsAtOnce)
	began := time.Now()
	for i := range took {
		all.Go(func() {
			for !over.Load() {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, at, nil)
				if err != nil {
					t.Error(err)
					return
				}
				r.Header = head
				from := time.Now()
				res, err := client.Do(r)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != http.StatusOK {
					t.Errorf("%d", res.StatusCode)
					return
				}
				took[i] = append(took[i], time.Since(from))
			}
		})
	}
	time.Sleep(last)
	over.Store(true)
	all.Wait()
	every := slices.Concat(took...)
	if len(every) == 0 {
		t.Fatal("no answer")
	}
	rate = float64(len(every)) / time.Since(began).Seconds()
	slices.Sort(every)
	return rate, every[len(every)/2], every[len(every)*99/100]
}

// visitor signs the first administrator in, and returns headers that say who asks, by the kind of the credentials.
func visitor(t *testing.T, s *rig.Server) map[string]http.Header {
	t.Helper()
	first := regexp.MustCompile(`Password\s+(\S{43})`).FindStringSubmatch(s.Log())
	if first == nil {
		t.Fatal("no first password")
	}
	const own = "marmalade turnip orbit 77"
	post := func(path, kind, cookie, body string, into any) string {
		r, err := http.NewRequest(http.MethodPost, s.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", kind)
		r.Header.Set("Cookie", cookie)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		if res.StatusCode >= 300 || into != nil && json.NewDecoder(bytes.NewReader(text)).Decode(into) != nil {
			t.Fatalf("%s: %d %s", path, res.StatusCode, text)
		}
		for _, c := range res.Cookies() {
			return c.Name + "=" + c.Value
		}
		return ""
	}
	const asJSON = "application/json"
	cookie := post("/v1/session", asJSON, "", fmt.Sprintf(`{"email":"admin@localhost","password":%q}`, first[1]), nil)
	cookie = post("/v1/session/password", asJSON, cookie, fmt.Sprintf(`{"current":%q,"password":%q}`, first[1], own), nil)
	var pat struct{ Token string }
	post("/v1/tokens", asJSON, cookie, `{"name":"bench","scopes":["videos/read"]}`, &pat)
	var client struct{ ID, Secret string }
	post("/v1/clients", asJSON, cookie, `{"name":"Bench","kind":"service","scopes":["videos/read"],"role":"viewer","workspaces":["main"]}`, &client)
	var jwt struct {
		Access string `json:"access_token"`
	}
	post("/oauth/token", "application/x-www-form-urlencoded", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {client.ID}, "client_secret": {client.Secret}, "scope": {"videos/read"}}.Encode(), &jwt)
	return map[string]http.Header{
		"JWT": {"Authorization": {"Bearer " + jwt.Access}}, "session": {"Cookie": {cookie}}, "personal token": {"Authorization": {"Bearer " + pat.Token}},
	}
}

// The client shares the machine with the server, so that the figures are what is left to the server.
func TestReadsASecond(t *testing.T) {
	last := 300 * time.Millisecond
	if *full {
		last = 5 * time.Second
	}
	s := rig.Start(t, rig.Options{})
	who := visitor(t, s)
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 4), "clip.mp4")
	s.Await(id, 2*time.Minute)
	measure := func(beside string) {
		for _, kind := range []string{"JWT", "session", "personal token"} {
			for _, path := range []string{"/v1/videos/" + id, "/v1/session"} {
				rate, p50, p99 := reads(t, s.URL+path, who[kind], last)
				t.Logf("%s by %s, %s: %.0f/s (goal %d), p50 %s, p99 %s", strings.Replace(path, id, "{id}", 1), kind, beside, rate, goalReads, p50.Round(10*time.Microsecond), p99.Round(10*time.Microsecond))
			}
		}
	}
	measure("alone")
	if *full {
		busy := s.Upload(rig.Clip(t, "long.mp4", "1280x720", 300), "long.mp4")
		s.AwaitUntil(busy, 2*time.Minute, func(v rig.Video) bool { return v.Status == "processing" })
		measure("beside an encode")
	}
}

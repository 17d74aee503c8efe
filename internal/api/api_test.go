package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

var update = flag.Bool("update", false, "rewrite the goldens")

var began = time.Date(2026, 3, 9, 14, 5, 6, 789_000_000, time.UTC)

// server is an API over a shelf, on a real listener.
type server struct {
	*shelf
	url string
	log *bytes.Buffer
}

func start(t *testing.T) server {
	t.Helper()
	sh := &shelf{steps: map[video.ID][]video.Step{}, events: map[video.ID][]event.Event{}, now: began}
	log := &bytes.Buffer{}
	h := New(Config{Videos: sh, History: sh, Errors: sh, Uploads: sh, Reconciler: sh, ReconcileEvery: 5 * time.Minute, Looks: true, PublicURL: "http://api.test/", EdgeURL: "http://edge.test", Version: "1.0.0",
		URL: func(edge, key string) string {
			if key == "" {
				return ""
			}
			return edge + "/stream/" + key
		},
		Now:    func() time.Time { return began.Add(10 * time.Second) },
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Delete: func(v video.Video) []engine.Job { return []engine.Job{{Kind: "remove", Group: v.Prefix}} },
		Encode: func(id video.ID, n int) []engine.Job {
			return []engine.Job{{Kind: "ingest", Group: fmt.Sprint(id, "/", n)}}
		}})
	srv := httptest.NewServer(asking(h))
	t.Cleanup(srv.Close)
	return server{shelf: sh, url: srv.URL, log: log}
}

// asking makes the operator ask, or whom the header As describes as JSON; what cmd/sluice does with credentials.
func asking(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := account.Operator()
		if text := r.Header.Get("As"); text != "" {
			p = account.Principal{}
			if err := json.Unmarshal([]byte(text), &p); err != nil {
				panic(err)
			}
		}
		h.ServeHTTP(w, r.WithContext(account.With(r.Context(), p)))
	})
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(a.body, &m); err != nil {
		t.Fatalf("the answer is not a JSON object: %v: %s", err, a.body)
	}
	return m
}

func (s server) do(t *testing.T, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return s.send(t, req)
}

func (s server) send(t *testing.T, req *http.Request) answer {
	t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.Header.Get("X-Content-Type-Options") != "nosniff" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: headers %v want nosniff and no-store", req.Method, req.URL.Path, res.Header)
	}
	return answer{res.StatusCode, res.Header, b}
}

// full is a video with everything that a video can have.
func full() (video.Video, []video.Step) {
	at := func(s float64) time.Time { return began.Add(time.Duration(s * float64(time.Second))) }
	id := video.ID("01jq3v8k2m4n5p6r7s8t9v0w1x")
	v := video.Video{
		ID: id, Owner: video.Admin, Name: "holiday.mp4", Title: "Our holiday", Description: "Two weeks", Tags: []string{"sea"}, Metadata: map[string]string{"project": "7"},
		Status: video.Ready, Settings: video.Settings{MaxResolution: 720}, Newest: 2, Published: 1, Prefix: "streams/holiday-x",
		Created: at(-3), Updated: at(9), Received: at(0), Playable: at(8.4), Spent: 5 * time.Second, Running: 1, Progress: 0.25,
		Source: &video.Source{Bucket: "uploads", Key: "holiday.mp4", ETag: "9bb5", Size: 73400320, Modified: at(0), Pin: "sources/x"},
		Facts: &video.Facts{Container: "mov,mp4", Duration: 93500 * time.Millisecond, Bytes: 73400320, Bitrate: 6_000_000, Seekable: true,
			Video: &video.VideoFacts{Codec: "hevc", PixFmt: "yuv420p10le", Width: 1920, Height: 1080, Rotation: 90, Rate: video.Ratio{Num: 30000, Den: 1001},
				VFR: true, Interlaced: true, Transfer: "smpte2084"},
			Audio: []video.AudioFacts{{Index: 1, Codec: "aac", Channels: 2, SampleRate: 48000, Language: "eng"}}},
		Output: &video.Output{Duration: 93480 * time.Millisecond, HLS: "streams/holiday-x/1/index.m3u8", DASH: "streams/holiday-x/1/manifest.mpd",
			Poster: "streams/holiday-x/1/poster.jpg", Thumbnail: "streams/holiday-x/1/thumbnail.jpg", Bytes: 48210332,
			Tracks: []video.Track{
				{Kind: video.VideoTrack, Name: "720p", Codec: "avc1.64001f", Width: 406, Height: 720, FrameRate: video.Ratio{Num: 30000, Den: 1001}, Average: 2_400_000, Peak: 3_000_000, Bytes: 41202332},
				{Kind: video.AudioTrack, Name: "audio", Codec: "mp4a.40.2", Channels: 2, SampleRate: 48000, Language: "en", Average: 128_000, Bytes: 1496000},
			}},
	}
	ref := video.StepRef{Video: id, Generation: 2, Name: video.Ingest}
	st := []video.Step{
		{StepRef: ref, State: video.StepDone, Started: at(5), Finished: at(5.5), Attempts: []video.Attempt{{Number: 1, Worker: "media-1", Started: at(5), Finished: at(5.5)}}},
		{StepRef: video.StepRef{Video: id, Generation: 2, Name: video.Encode, N: 1}, State: video.StepRunning, Progress: 0.5, Started: at(6), Attempts: []video.Attempt{
			{Number: 1, Worker: "media-1", Started: at(6), Finished: at(7), Failure: &video.Failure{Code: "lost", Message: "The worker was lost; trying again."}, Detail: "killed"},
			{Number: 2, Worker: "media-2", Started: at(8)}}},
	}
	return v, st
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := "testdata/" + name
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from its golden (rewrite with -update)\ngot:\n%s\nwant:\n%s", name, got, want)
	}
}

func TestAVideoWithEverythingReadsAsItsGolden(t *testing.T) {
	s := start(t)
	v, steps := full()
	s.add(v)
	s.steps[v.ID] = steps
	a := s.do(t, "GET", "/v1/videos/"+string(v.ID), "")
	var b bytes.Buffer
	if err := json.Indent(&b, a.body, "", "  "); err != nil {
		t.Fatal(err)
	}
	golden(t, "video.json", b.Bytes())
	if a.status != 200 || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d, type %q", a.status, a.header.Get("Content-Type"))
	}
}

func TestAVideoThatWaitsHasListsAndNothingUnknown(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Name: "a.mp4", Status: video.Waiting, Created: began, Updated: began})
	m := s.do(t, "GET", "/v1/videos/"+string(id), "").object(t)
	want := []string{"audio", "bytes", "created", "description", "generation", "id", "metadata", "name", "newest_generation", "owner", "playable",
		"playback_policy", "progress", "renditions", "settings", "status", "steps", "tags", "title", "updated", "waiting", "workspace"}
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, want) {
		t.Errorf("fields %v want %v", got, want)
	}
	for _, list := range []string{"audio", "renditions", "tags", "steps"} {
		if l, ok := m[list].([]any); !ok || len(l) != 0 {
			t.Errorf("%s is %v want []", list, m[list])
		}
	}
	if got := m["settings"].(map[string]any)["max_resolution"]; got != 1080.0 {
		t.Errorf("max_resolution %v want the server's default", got)
	}
}

func TestAnETAIsToldOnlyWhileAnEncodeIsUnderWay(t *testing.T) {
	for name, c := range map[string]struct {
		v    video.Video
		want any
	}{
		"a quarter done in 10 s":        {video.Video{Newest: 1, Spent: 10 * time.Second, Running: 1, Progress: 0.25}, 30000.0},
		"three side by side":            {video.Video{Newest: 1, Spent: 10 * time.Second, Running: 3, Progress: 0.25}, 10000.0},
		"nothing done yet":              {video.Video{Newest: 1, Spent: time.Second, Running: 1}, nil},
		"nothing runs":                  {video.Video{Newest: 1, Spent: 10 * time.Second, Progress: 0.5}, nil},
		"published":                     {video.Video{Newest: 1, Published: 1, Spent: 10 * time.Second, Running: 1, Progress: 0.5}, nil},
		"failed":                        {video.Video{Newest: 1, Spent: 10 * time.Second, Running: 1, Progress: 0.5, Failure: &video.Failure{Code: "x"}}, nil},
		"encoded again, half done":      {video.Video{Newest: 2, Published: 1, Spent: 10 * time.Second, Running: 1, Progress: 0.5}, 10000.0},
		"all done, publish outstanding": {video.Video{Newest: 1, Spent: 10 * time.Second, Running: 1, Progress: 1}, 0.0},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t)
			id := s.add(c.v)
			if got := s.do(t, "GET", "/v1/videos/"+string(id), "").object(t)["eta_ms"]; got != c.want {
				t.Errorf("eta_ms %v want %v", got, c.want)
			}
		})
	}
}

func TestPagesOf250VideosTellEachOnceWhileNewOnesCome(t *testing.T) {
	s := start(t)
	want := map[string]bool{}
	for i := range 250 {
		want[string(s.add(video.Video{Name: fmt.Sprint(i), Status: video.Ready}))] = true
	}
	seen := map[string]bool{}
	for path, pages := "/v1/videos?limit=40", 0; path != ""; pages++ {
		if pages > 10 {
			t.Fatal("the pages do not end")
		}
		m := s.do(t, "GET", path, "").object(t)
		for _, it := range m["items"].([]any) {
			v := it.(map[string]any)
			if _, ok := v["steps"]; ok {
				t.Fatal("a list item tells its steps")
			}
			id := v["id"].(string)
			if seen[id] {
				t.Errorf("%s was told twice", id)
			}
			seen[id] = true
		}
		s.add(video.Video{Name: "new", Status: video.Ready})
		path = ""
		if next, ok := m["next"].(string); ok {
			path = "/v1/videos?limit=40&cursor=" + next
		}
	}
	if !maps.Equal(seen, want) {
		t.Errorf("told %d videos want %d", len(seen), len(want))
	}
}

func TestAListTakesAStatusAndALimit(t *testing.T) {
	s := start(t)
	s.add(video.Video{Status: video.Ready})
	s.add(video.Video{Status: video.Failed, Failure: &video.Failure{Code: "not_media", Message: "No."}})
	m := s.do(t, "GET", "/v1/videos?status=failed", "").object(t)
	items := m["items"].([]any)
	if len(items) != 1 || items[0].(map[string]any)["error"].(map[string]any)["code"] != "not_media" || m["next"] != nil {
		t.Errorf("got %v", m)
	}
	if m := s.do(t, "GET", "/v1/videos?limit=2", "").object(t); len(m["items"].([]any)) != 2 || m["next"] != nil {
		t.Errorf("a last page that is full has a next: %v", m)
	}
}

func TestAnEditLeavesAbsentFieldsAndEmptiesNullOnes(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Title: "t", Description: "d", Tags: []string{"a"}, Metadata: map[string]string{"k": "v"}})
	path := "/v1/videos/" + string(id)
	for _, c := range []struct{ body, want string }{
		{`{}`, `t d [a] map[k:v]`},
		{`{"title":"T"}`, `T d [a] map[k:v]`},
		{`{"tags":["x","y","x"]}`, `T d [x y] map[k:v]`},
		{`{"metadata":{"n":"1"}}`, `T d [x y] map[n:1]`},
		{`{"description":"l\nm\r\n\tn"}`, "T l\nm\r\n\tn [x y] map[n:1]"},
		{`{"description":"d","title":"ن\u200cا"}`, "ن\u200cا d [x y] map[n:1]"},
		{`{"title":null,"tags":null}`, ` d [] map[n:1]`},
		{`{"description":"","metadata":null}`, `  [] map[]`},
	} {
		a := s.do(t, "PATCH", path, c.body)
		m := a.object(t)
		if got := fmt.Sprint(m["title"], " ", m["description"], " ", m["tags"], " ", m["metadata"]); a.status != 200 || got != c.want {
			t.Errorf("%s: %d %q want %q", c.body, a.status, got, c.want)
		}
	}
	v, _ := s.Video(t.Context(), id)
	if v.Tags == nil || v.Metadata == nil {
		t.Error("the store was given a nil list or map")
	}
}

func TestMarkupComesBackAsTheSameJSONText(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{})
	evil := `<script>alert("1")</script>` + " &amp; \u200d"
	body, _ := json.Marshal(map[string]any{"title": evil, "tags": []string{evil}, "metadata": map[string]string{evil: evil}})
	req, _ := http.NewRequestWithContext(t.Context(), "PATCH", s.url+"/v1/videos/"+string(id), bytes.NewReader(body))
	req.Header.Set("Accept", "text/html")
	a := s.send(t, req)
	if m := a.object(t); m["title"] != evil || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%q as %q", m["title"], a.header.Get("Content-Type"))
	}
}

func TestAnUploadAnswersWithWhatThePutNeeds(t *testing.T) {
	s := start(t)
	a := s.do(t, "POST", "/v1/uploads", `{"filename":"holiday.mp4","content_type":"video/mp4","size":5,"settings":{"max_resolution":480}}`)
	m := a.object(t)
	id, _ := m["id"].(string)
	if a.status != 201 || a.header.Get("Location") != "http://api.test/v1/videos/"+id || m["video"] != a.header.Get("Location") || m["method"] != "PUT" ||
		m["expires"] != "2026-03-09T14:10:06.790Z" || m["headers"].(map[string]any)["Content-Type"] != "video/mp4" || !strings.HasPrefix(m["url"].(string), "http://edge.test/uploads/") {
		t.Errorf("%d %v %v", a.status, a.header, m)
	}
	if v, _ := s.Video(t.Context(), video.ID(id)); v.Settings.MaxResolution != 480 || v.Name != "holiday.mp4" {
		t.Errorf("granted %+v", v)
	}
}

func TestADeleteQueuesTheRemovalAndIsGoneAtOnce(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Prefix: "streams/a-x"})
	path := "/v1/videos/" + string(id)
	if a := s.do(t, "DELETE", path, ""); a.status != 204 || len(a.body) != 0 {
		t.Errorf("%d %s", a.status, a.body)
	}
	if len(s.jobs) != 1 || s.jobs[0].Kind != "remove" || s.jobs[0].Group != "streams/a-x" {
		t.Errorf("jobs %+v", s.jobs)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if a := s.do(t, method, path, ""); a.status != 404 {
			t.Errorf("%s after delete: %d", method, a.status)
		}
	}
	if a := s.do(t, "GET", path+"/events", ""); a.status != 200 || len(a.object(t)["items"].([]any)) != 1 {
		t.Errorf("events after delete: %d %s", a.status, a.body)
	}
}

func TestAnEncodeTakesABodyOrNone(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Source: &video.Source{Key: "a.mp4"}, Newest: 1, Published: 1})
	path := "/v1/videos/" + string(id) + "/encode"
	for i, c := range []struct {
		body string
		want float64
	}{{"", 1080}, {"{}", 1080}, {`{"max_resolution":2160}`, 2160}} {
		a := s.do(t, "POST", path, c.body)
		m := a.object(t)
		if a.status != 202 || m["settings"].(map[string]any)["max_resolution"] != c.want || s.jobs[i].Group != fmt.Sprint(id, "/", i+2) {
			t.Errorf("%q: %d %v %+v", c.body, a.status, m, s.jobs)
		}
	}
	waiting := s.add(video.Video{})
	if a := s.do(t, "POST", "/v1/videos/"+string(waiting)+"/encode", ""); a.status != 409 || a.object(t)["code"] != "no_source" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestEventsComeInPagesOldestFirst(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{})
	for i := range 7 {
		s.events[id] = append(s.events[id], event.Event{ID: int64(100 + i), Video: string(id), Type: event.StepFinished, Time: began, Data: json.RawMessage(`{"step":"encode"}`)})
	}
	var got []float64
	for path := "/v1/videos/" + string(id) + "/events?limit=3"; path != ""; {
		m := s.do(t, "GET", path, "").object(t)
		for _, e := range m["items"].([]any) {
			got = append(got, e.(map[string]any)["id"].(float64))
		}
		path = ""
		if next, ok := m["next"]; ok {
			path = fmt.Sprintf("/v1/videos/%s/events?limit=3&after=%v", id, next)
		}
	}
	if want := []float64{1, 100, 101, 102, 103, 104, 105, 106}; !slices.Equal(got, want) {
		t.Errorf("%v want %v", got, want)
	}
	if a := s.do(t, "GET", "/v1/videos/"+string(id)+"/events?after=106", ""); a.status != 200 || string(a.body) != `{"items":[]}`+"\n" {
		t.Errorf("after the last: %d %s", a.status, a.body)
	}
}

func TestAFailureOfTheStoreIsLoggedAndGivesNothingAway(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{})
	s.fail = errors.New("disk /secret/path is full")
	for _, path := range []string{"/v1/videos", "/v1/videos/" + string(id), "/v1/videos/" + string(id) + "/events"} {
		s.log.Reset()
		a := s.do(t, "GET", path, "")
		if a.status != 500 || a.object(t)["code"] != "internal" || bytes.Contains(a.body, []byte("secret")) || !strings.Contains(s.log.String(), "secret") {
			t.Errorf("%s: %d %s; log %s", path, a.status, a.body, s.log)
		}
	}
	s.fail = fault.New(fault.Unavailable, "shelf", "timeout", "Try again soon.", nil)
	if a := s.do(t, "GET", "/v1/videos", ""); a.status != 503 || a.header.Get("Retry-After") != "5" {
		t.Errorf("%d %v", a.status, a.header)
	}
}

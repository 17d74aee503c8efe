package api

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/grant"
	"sluice/internal/pipeline"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// door grants uploads on the real store.
type door struct{ store *catalog.Store }

func (d door) Grant(ctx context.Context, r upload.Request) (video.Upload, error) {
	now := time.Now()
	id := video.NewID(now)
	up := video.Upload{Video: id, Bucket: "uploads", Key: string(id) + "/" + r.Filename, Expires: now.Add(time.Minute), URL: "http://s3.test/x"}
	v := video.Video{ID: id, Name: r.Filename, Status: video.Waiting, Prefix: "streams/" + string(id), Created: now, Updated: now, Settings: r.Settings}
	return up, d.store.Grant(ctx, v, up, nil)
}

func (door) Parts(context.Context, video.ID, int, int) ([]upload.Part, time.Time, error) {
	return nil, time.Time{}, nil
}
func (door) Complete(context.Context, video.ID) (bool, error) { return false, nil }

// keysOf is the key pairs of a store.
func keysOf(t *testing.T, store *catalog.Store) *grant.Keys {
	t.Helper()
	keys, err := grant.OpenKeys(store, []byte("what seals, in the API's tests"), time.Now, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// startCatalog is an API over the real store on SQLite.
func startCatalog(t *testing.T) (server, *catalog.Store) {
	t.Helper()
	store, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "sluice.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	jobs, err := engine.New(store.DB(), engine.Config{Name: "media-1", Queues: []engine.Queue{{Name: "test", Workers: 1}}})
	if err != nil {
		t.Fatal(err)
	}
	job := func(kind string) []engine.Job { return []engine.Job{{Kind: kind, Args: []byte(`{}`), Queue: "test"}} }
	keys := keysOf(t, store)
	address := func(edge, key string) string { return edge + "/" + strings.Replace(key, "streams/", "stream/", 1) }
	giver := grant.New(grant.Config{Store: store, Keys: keys, EdgeURL: "https://edge.test", Address: address, Usual: time.Hour, Longest: 24 * time.Hour, Members: time.Minute, Now: time.Now})
	h := New(Config{KeyPairs: keys, Playbacks: store, Giver: giver, LongestGrant: 24 * time.Hour, CookieRules: CookieRules{Secure: true, Set: true}, EdgeURL: "https://edge.test",
		Videos: store, History: store, Errors: store, Subscriptions: store, Uploads: door{store}, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		URL:    address,
		Delete: func(video.Video) []engine.Job { return job("delete") },
		Encode: func(video.ID, int) []engine.Job { return job("ingest") },
		Jobs:   jobs, Queues: jobs, Standings: jobs, Redriver: store, Copies: store, StepOf: pipeline.StepOf,
		StepJobs: func(ref video.StepRef) []engine.Job { return []engine.Job{pipeline.StepJob(ref)} },
		Abandon:  func(video.StepRef) []engine.Job { return job("retire") },
	})
	srv := httptest.NewServer(asking(h))
	t.Cleanup(srv.Close)
	return server{url: srv.URL}, store
}

func TestTheRealStoreSpeaksTheAPIsCodes(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	made := s.do(t, "POST", "/v1/uploads", `{"filename":"a.mp4","settings":{"max_resolution":480}}`).object(t)
	path := "/v1/videos/" + made["id"].(string)
	expect := func(method, path, body string, status int, code string) map[string]any {
		t.Helper()
		a := s.do(t, method, path, body)
		if a.status == 204 && status == 204 {
			return nil
		}
		m := a.object(t)
		if got, _ := m["code"].(string); a.status != status || got != code {
			t.Fatalf("%s %s: %d %s want %d %q", method, path, a.status, a.body, status, code)
		}
		if code != "" && meaning[code] == "" {
			t.Errorf("the code %s is not documented", code)
		}
		return m
	}
	expect("POST", path+"/encode", "", 409, "no_source")
	src := video.Source{Bucket: "uploads", Key: made["id"].(string) + "/a.mp4", ETag: "e", Size: 5, Modified: time.Now()}
	if _, _, err := store.Received(t.Context(), video.Video{}, src, func(video.ID) []engine.Job { return nil }); err != nil {
		t.Fatal(err)
	}
	expect("POST", path+"/encode", "", 409, "busy")
	m := expect("PATCH", path, `{"title":"T <b>","tags":["x"],"metadata":{"k":"v"}}`, 200, "")
	if got := fmt.Sprint(m["title"], m["tags"], m["metadata"], m["settings"]); got != "T <b>[x] map[k:v] map[max_resolution:480]" {
		t.Errorf("after the edit: %s", got)
	}
	m = expect("GET", path, "", 200, "")
	if st := m["steps"].([]any); len(st) == 0 || st[0].(map[string]any)["name"] != "ingest" {
		t.Errorf("steps %v", m["steps"])
	}
	expect("DELETE", path, "", 204, "")
	for _, c := range [][2]string{{"GET", ""}, {"DELETE", ""}, {"PATCH", `{"title":"x"}`}, {"POST", ""}} {
		p := path
		if c[0] == "POST" {
			p += "/encode"
		}
		expect(c[0], p, c[1], 404, codeNoVideo)
	}
	events := expect("GET", path+"/events", "", 200, "")["items"].([]any)
	if last := events[len(events)-1].(map[string]any)["type"]; len(events) < 3 || last != "video.deleted" {
		t.Errorf("events %v", events)
	}
	expect("GET", "/v1/videos/"+string(video.NewID(time.Now()))+"/events", "", 404, codeNoVideo)
}

func TestTheRealStorePagesAtTheLargestLimit(t *testing.T) {
	t.Parallel()
	s, _ := startCatalog(t)
	const n = 203
	for i := range n {
		if a := s.do(t, "POST", "/v1/uploads", fmt.Sprintf(`{"filename":"%d.mp4"}`, i)); a.status != 201 {
			t.Fatalf("%d %s", a.status, a.body)
		}
	}
	seen := map[string]bool{}
	query := []string{"limit=200", "status=waiting"}
	for range 2 {
		m := s.do(t, "GET", "/v1/videos?"+strings.Join(query, "&"), "").object(t)
		for _, it := range m["items"].([]any) {
			seen[it.(map[string]any)["id"].(string)] = true
		}
		next, _ := m["next"].(string)
		query = append(query[:2:2], "cursor="+next)
	}
	if len(seen) != n {
		t.Errorf("told %d videos want %d", len(seen), n)
	}
}

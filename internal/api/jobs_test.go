package api

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/pipeline"
	"sluice/internal/video"
)

// working starts an engine on the store whose ingest fails for good, or waits for its context where wait is told.
func working(t *testing.T, store *catalog.Store, wait chan<- struct{}) {
	t.Helper()
	e, err := engine.New(store.DB(), engine.Config{Name: "media-1", Queues: []engine.Queue{{Name: pipeline.IngestQueue, Workers: 1}, {Name: "test", Workers: 1}},
		Workers: map[string]engine.Worker{"ingest": func(ctx context.Context, a engine.Attempt) error {
			ref, _ := pipeline.StepOf(a.Job)
			if _, err := store.Begin(ctx, ref, a.Worker, a.Handle); err != nil {
				return err
			}
			if wait != nil {
				wait <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}
			return store.Fail(ctx, ref, video.StepFailure{Failure: video.Failure{Code: "tool_failed", Message: "ffmpeg ended badly."}, Detail: "last words", Final: true}, nil, a.Handle)
		}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// source makes a video whose source has come, and returns its id.
func sourced(t *testing.T, store *catalog.Store) string {
	t.Helper()
	id := video.NewID(time.Now())
	_, _, err := store.Received(t.Context(), video.Video{ID: id, Name: "a.mp4", Prefix: "p"}, video.Source{Bucket: "uploads", Key: string(id), Modified: time.Now()},
		func(id video.ID) []engine.Job { return []engine.Job{pipeline.IngestJob(id, 1)} })
	if err != nil {
		t.Fatal(err)
	}
	return string(id)
}

// listed waits until as many jobs as that are listed, and returns the first.
func listed(t *testing.T, s server, query string, n int) map[string]any {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		items := s.do(t, "GET", "/v1/jobs?"+query, "").object(t)["items"].([]any)
		if len(items) == n && n > 0 {
			return items[0].(map[string]any)
		}
		if len(items) == n {
			return nil
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s lists %v, want %d", query, items, n)
		}
	}
}

// soon waits for c, not for ever.
func soon(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(time.Minute):
		t.Fatal("nothing came in a minute")
	}
}

// beats waits for so many beats of the one engine: before each it reads the limits, so from the second on those hold that were set before.
func beats(t *testing.T, store *catalog.Store, n int) {
	t.Helper()
	var last int64
	for deadline := time.Now().Add(time.Minute); n >= 0; time.Sleep(20 * time.Millisecond) {
		var seen int64
		if err := store.DB().Read.QueryRowContext(t.Context(), `SELECT seen FROM worker`).Scan(&seen); err != nil {
			t.Fatal(err)
		}
		if seen != last {
			last = seen
			n--
		}
		if time.Now().After(deadline) {
			t.Fatal("the engine does not beat")
		}
	}
}

func refused(t *testing.T, a answer, status int, code string) {
	t.Helper()
	if got, _ := a.object(t)["code"].(string); a.status != status || got != code || meaning[code] == "" {
		t.Errorf("%d %s want %d %s, documented", a.status, a.body, status, code)
	}
}

func TestADeadJobIsListedWithItsLastWordsAndRedriven(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	working(t, store, nil)
	id := sourced(t, store)
	dead := listed(t, s, "state=dead&owner=admin&queue=ingest&video="+id, 1)
	path := fmt.Sprintf("/v1/jobs/%.0f", dead["id"])
	if dead["kind"] != "ingest" || dead["video"] != id || dead["error"] != "tool_failed: ffmpeg ended badly." || dead["attempt"] != 1.0 || dead["step"].(map[string]any)["name"] != "ingest" {
		t.Errorf("listed as %v", dead)
	}
	detail := s.do(t, "GET", path, "").object(t)
	attempt := detail["attempts"].([]any)[0].(map[string]any)
	if len(detail["errors"].([]any)) != 1 || attempt["detail"] != "last words" || !strings.HasPrefix(attempt["worker"].(string), "media-1-") {
		t.Errorf("told as %v", detail)
	}
	refused(t, s.do(t, "POST", path+"/cancel", ""), 409, "job_done")
	refused(t, s.do(t, "GET", "/v1/jobs/999999", ""), 404, "no_job")
	if a := s.do(t, "POST", path+"/redrive", ""); a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	refused(t, s.do(t, "GET", path, ""), 404, "no_job") // its place was taken
	again := listed(t, s, "state=dead&video="+id, 1)
	if again["id"] == dead["id"] {
		t.Error("the job was not tried again")
	}
	refused(t, s.do(t, "POST", "/v1/videos/"+id+"/redrive", `{"step":"encode","n":3}`), 409, "not_failed")
	if a := s.do(t, "POST", "/v1/videos/"+id+"/redrive", `{"step":"ingest"}`); a.status != 202 || a.object(t)["id"] != id {
		t.Errorf("%d %s", a.status, a.body)
	}
	listed(t, s, "state=dead&video="+id, 1)
	if a := s.do(t, "GET", "/v1/jobs?limit=1&state=dead", ""); a.object(t)["next"] != nil {
		t.Errorf("a page of one job has a next: %s", a.body)
	}
}

// How soon, the benchmark of the engine measures.
func TestCancelingARunningJobEndsIt(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	began := make(chan struct{}, 1)
	working(t, store, began)
	id := sourced(t, store)
	soon(t, began)
	job := listed(t, s, "state=running&video="+id, 1)
	path := fmt.Sprintf("/v1/jobs/%.0f", job["id"])
	refused(t, s.do(t, "POST", path+"/redrive", ""), 409, "job_running")
	from := time.Now()
	if a := s.do(t, "POST", path+"/cancel", ""); a.status != 202 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	listed(t, s, "state=canceled&video="+id, 1)
	t.Logf("it took %v", time.Since(from))
	if v := s.do(t, "GET", "/v1/videos/"+id, "").object(t); v["status"] != "failed" || v["error"].(map[string]any)["code"] != "encode_canceled" {
		t.Errorf("the video is %v", v)
	}
	removal := listed(t, s, "queue=test", 1)
	refused(t, s.do(t, "POST", fmt.Sprintf("/v1/jobs/%.0f/cancel", removal["id"]), ""), 409, codeUncancelable)
	if a := s.do(t, "POST", path+"/redrive", ""); a.status != 202 {
		t.Errorf("%d %s", a.status, a.body)
	}
	soon(t, began)
}

func TestAQueueIsPausedAndLimited(t *testing.T) {
	t.Parallel()
	s, store := startCatalog(t)
	working(t, store, nil)
	queue := func(body string) map[string]any {
		t.Helper()
		a := s.do(t, "PATCH", "/v1/queues/ingest", body)
		if a.status != 200 {
			t.Fatalf("%d %s", a.status, a.body)
		}
		return a.object(t)
	}
	if q := queue(`{"paused":true,"workers":3}`); q["paused"] != true || q["paused_since"] == nil || q["workers"] != 3.0 || q["machines"].([]any)[0].(map[string]any)["workers"] != 3.0 {
		t.Errorf("got %v", q)
	}
	id := sourced(t, store)
	time.Sleep(500 * time.Millisecond)
	listed(t, s, "state=available&video="+id, 1)
	if q := queue(`{"machine":"media-1","workers":0}`); q["available"] != 1.0 || q["machines"].([]any)[0].(map[string]any)["limit"] != 0.0 {
		t.Errorf("got %v", q)
	}
	beats(t, store, 2)
	queue(`{"paused":false}`)
	time.Sleep(500 * time.Millisecond)
	listed(t, s, "state=available&video="+id, 1)
	if q := queue(`{"machine":"media-1","workers":null}`); q["machines"].([]any)[0].(map[string]any)["limit"] != nil || q["workers"] != 3.0 {
		t.Errorf("got %v", q)
	}
	listed(t, s, "state=dead&video="+id, 1)
	if q := queue(`{"workers":null}`); q["workers"] != nil || q["machines"].([]any)[0].(map[string]any)["workers"] != 1.0 {
		t.Errorf("got %v", q)
	}
	refused(t, s.do(t, "PATCH", "/v1/queues/nothing", `{"paused":true}`), 404, "no_queue")
	for _, body := range []string{`{"workers":129}`, `{"workers":-1}`} {
		if a := s.do(t, "PATCH", "/v1/queues/ingest", body); a.status != 422 {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	if items := s.do(t, "GET", "/v1/queues", "").object(t)["items"].([]any); len(items) != 2 {
		t.Errorf("got %v", items)
	}
}

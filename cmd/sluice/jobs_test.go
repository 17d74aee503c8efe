package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/api"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/pipeline"
	"sluice/internal/video"
)

// The scripts meet the real API over the real store, in which one video's ingest has failed for good; nobody works any more.
func TestJobsAndQueues(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/jobs", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			store, err := catalog.Open(t.Context(), filepath.Join(env.WorkDir, "sluice.db"), slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			env.Defer(func() { _ = store.Close() })
			id, err := deadIngest(t.Context(), store)
			if err != nil {
				return err
			}
			srv := httptest.NewServer(withToken("right", api.New(api.Config{
				Videos: store, History: store, Jobs: store.Jobs(), Queues: store.Jobs(), Redriver: store, StepOf: pipeline.StepOf, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				StepJobs: func(ref video.StepRef) []engine.Job { return []engine.Job{pipeline.StepJob(ref)} },
				Abandon:  func(video.StepRef) []engine.Job { return nil },
				URL:      func(edge, key string) string { return edge + key },
			})))
			env.Defer(srv.Close)
			for name, value := range map[string]string{"SERVER": srv.URL, "VIDEO": string(id), "JOB": "1", "NEXT": "2"} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// deadIngest makes a video and has an engine, which is stopped then, fail its ingest.
func deadIngest(ctx context.Context, store *catalog.Store) (video.ID, error) {
	id := video.NewID(time.Now())
	src := video.Source{Bucket: "uploads", Key: "a.mp4", ETag: "e", Size: 1, Modified: time.Now()}
	if _, _, err := store.Received(ctx, video.Video{ID: id, Name: "a.mp4", Prefix: "p"}, src,
		func(id video.ID) []engine.Job { return []engine.Job{pipeline.IngestJob(id, 1)} }); err != nil {
		return id, err
	}
	failed := make(chan error, 1)
	e, err := engine.New(store.DB(), engine.Config{Queues: []engine.Queue{{Name: pipeline.IngestQueue, Workers: 1}},
		Workers: map[string]engine.Worker{string(video.Ingest): func(ctx context.Context, a engine.Attempt) error {
			ref, _ := pipeline.StepOf(a.Job)
			_, err := store.Begin(ctx, ref, a.Worker, a.Handle)
			if err == nil {
				why := video.StepFailure{Failure: video.Failure{Code: "not_media", Message: "Send a video."}, Detail: "last words", Final: true}
				err = store.Fail(ctx, ref, why, nil, a.Handle)
			}
			failed <- err
			return err
		}}})
	if err != nil {
		return id, err
	}
	if err := e.Start(ctx); err != nil {
		return id, err
	}
	select {
	case err = <-failed:
	case <-time.After(time.Minute):
		err = fmt.Errorf("no job began")
	}
	if err != nil {
		return id, err
	}
	return id, e.Stop(ctx)
}

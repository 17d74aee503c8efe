package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/video"
)

// shape is how much is done: videos, each of so many chunks.
type shape struct{ videos, chunks int }

// TestJobsASecond measures the records and jobs of a video's way with nothing to encode: ingest makes the chunks' steps, each ends in a transaction of its own,
// and the last of them makes publish due, which flips the pointer.
func TestJobsASecond(t *testing.T) {
	s := shape{videos: 3, chunks: 5}
	if *full {
		s = shape{videos: 40, chunks: 50}
	}
	t.Run("engines", func(t *testing.T) { // the engines one after the other: side by side each would measure the other
		enginetest.Each(t, func(t *testing.T, dsn string) {
			turn <- struct{}{}
			defer func() { <-turn }()
			took, jobs := wayOfVideos(t, dsn, s)
			fmt.Printf("\n%s: %d videos of %d chunks, %d jobs in %.2f s: %.0f jobs/s, each with its records\n",
				map[bool]string{true: "PostgreSQL", false: "SQLite"}[engine.IsPostgres(dsn)], s.videos, s.chunks, jobs, took.Seconds(), float64(jobs)/took.Seconds())
		})
	})
}

// turn lets one engine be measured at a time.
var turn = make(chan struct{}, 1)

// wayOfVideos takes videos from received to ready and returns how long that took, and how many jobs it was.
func wayOfVideos(t *testing.T, dsn string, s shape) (time.Duration, int) {
	t.Helper()
	ctx := t.Context()
	log := slog.New(slog.DiscardHandler)
	store, err := catalog.Open(ctx, dsn, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	plan := video.Plan{Rate: video.Ratio{Num: 25, Den: 1}, Frames: int64(s.chunks) * 750, Rungs: []video.Rung{{Name: "720p"}}, Duration: time.Duration(s.chunks) * 30 * time.Second}
	for n := range s.chunks {
		plan.Chunks = append(plan.Chunks, video.Chunk{N: n, Start: int64(n) * 750, Frames: 750})
	}
	var published atomic.Int64
	done := make(chan struct{})
	step := func(do func(context.Context, video.StepRef, engine.Handle) error) engine.Worker {
		return func(ctx context.Context, a engine.Attempt) error {
			var ref video.StepRef
			if err := json.Unmarshal(a.Job.Args, &ref); err != nil {
				return err
			}
			_, err := store.Begin(ctx, ref, a.Worker, a.Handle)
			if err == nil {
				err = do(ctx, ref, a.Handle)
			}
			if errors.Is(err, video.ErrStale) {
				return nil
			}
			return err
		}
	}
	end := func(ctx context.Context, ref video.StepRef, h engine.Handle) error {
		return store.Finish(ctx, ref, video.Result{Frames: 750}, []engine.Job{benchJob(ref, video.Publish, 0)}, h)
	}
	jobs, err := engine.New(store.DB(), engine.Config{
		Logger: log, Queues: []engine.Queue{{Name: "default", Workers: 8}},
		Workers: map[string]engine.Worker{
			string(video.Ingest): step(func(ctx context.Context, ref video.StepRef, h engine.Handle) error {
				next := []engine.Job{benchJob(ref, video.Stills, 0)}
				for n := range s.chunks {
					next = append(next, benchJob(ref, video.Encode, n))
				}
				return store.Plan(ctx, ref, video.Facts{Container: "mov", Duration: plan.Duration}, plan, next, h)
			}),
			string(video.Encode): step(end),
			string(video.Stills): step(end),
			string(video.Publish): step(func(ctx context.Context, ref video.StepRef, h engine.Handle) error {
				err := store.Publish(ctx, ref, video.Output{Duration: plan.Duration}, nil, h)
				if err == nil && published.Add(1) == int64(s.videos) {
					close(done)
				}
				return err
			}),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range s.videos {
		id := video.NewID(time.Now())
		src := video.Source{Bucket: "uploads", Key: fmt.Sprintf("%d.mp4", n), ETag: "e", Size: 1, Modified: time.Now()}
		if _, _, err := store.Received(ctx, video.Video{ID: id, Name: src.Key, Prefix: "streams/" + string(id)}, src, func(id video.ID) []engine.Job {
			return []engine.Job{benchJob(video.StepRef{Video: id, Generation: 1}, video.Ingest, 0)}
		}); err != nil {
			t.Fatal(err)
		}
	}
	start := time.Now()
	if err := jobs.Start(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-done:
	case <-time.After(5 * time.Minute):
		t.Fatalf("%d of %d videos are published after 5 min", published.Load(), s.videos)
	}
	took := time.Since(start)
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := jobs.Stop(stop); err != nil {
		t.Error(err)
	}
	return took, s.videos * (s.chunks + 3)
}

func benchJob(of video.StepRef, name video.StepName, n int) engine.Job {
	of.Name, of.N = name, n
	args, err := json.Marshal(of)
	if err != nil {
		panic(err) // strings and numbers
	}
	return engine.Job{Kind: string(name), Args: args, Group: string(of.Video), Queue: "default"}
}

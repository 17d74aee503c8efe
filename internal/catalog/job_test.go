package catalog

import (
	"context"
	"errors"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// running is a try that an engine has begun and that waits for what the test makes of it.
type running struct {
	engine.Attempt
	ctx context.Context
	end chan error
}

// run starts an engine whose tries come out of the channel.
func (w *world) run() <-chan running {
	w.t.Helper()
	tries := make(chan running, 9)
	wait := func(ctx context.Context, a engine.Attempt) error {
		r := running{Attempt: a, ctx: ctx, end: make(chan error, 1)}
		tries <- r
		select {
		case err := <-r.end:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	e, err := engine.New(w.DB(), engine.Config{
		Queues:  []engine.Queue{{Name: "default", Workers: 4}},
		Backoff: engine.Backoff{First: 10 * time.Millisecond},
		Workers: map[string]engine.Worker{"ingest": wait, "encode": wait},
	})
	w.must(err)
	w.must(e.Start(w.t.Context()))
	w.t.Cleanup(func() {
		if err := e.Stop(context.Background()); err != nil {
			w.t.Error(err)
		}
	})
	return tries
}

func (w *world) next(tries <-chan running) running {
	w.t.Helper()
	select {
	case r := <-tries:
		return r
	case <-time.After(time.Minute):
		w.t.Fatal("no job began")
		panic("unreachable")
	}
}

// begun begins a step as that try.
func (w *world) begun(ref video.StepRef, r running) video.StepInput {
	w.t.Helper()
	work, err := w.Begin(w.t.Context(), ref, r.Worker, r.Handle)
	w.must(err)
	return work
}

// settled waits until so many jobs of a kind are in a state.
func (w *world) settled(kind, state string, n int) {
	w.t.Helper()
	for deadline := time.Now().Add(time.Minute); w.jobs(kind, state) != n; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%d %s jobs are %s, want %d", w.jobs(kind, state), kind, state, n)
		}
	}
}

func TestAJobEndsInTheTransactionOfItsStep(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		tries := w.run()
		r := w.next(tries)
		w.begun(ref, r)
		w.must(w.Fail(t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: "x"}}, nil, r.Handle))
		if w.jobs("ingest", "running") != 1 {
			w.t.Error("a failure that is not final ended the job")
		}
		r.end <- errors.New("try again")
		r = w.next(tries)
		if work := w.begun(ref, r); work.Attempt != 2 || r.Number != 2 {
			w.t.Errorf("attempt %d of the step is try %d of the job", work.Attempt, r.Number)
		}
		w.must(w.Plan(t.Context(), ref, video.Facts{}, plan, nil, r.Handle))
		if w.jobs("ingest", "completed") != 1 {
			w.t.Error("the step ended without its job")
		}
		r.end <- nil
		w.settled("ingest", "completed", 1)
	})
}

func TestAFinalFailureCancelsTheRunningJobsOfItsVideoAndEndsItsOwn(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		tries := w.run()
		ingest := w.next(tries)
		w.begun(step(id, 1, video.Ingest, 0), ingest)
		w.must(w.Plan(t.Context(), step(id, 1, video.Ingest, 0), video.Facts{}, plan, append(job("encode", id), job("encode", id)...), ingest.Handle))
		ingest.end <- nil
		refs := parts(id, 1)
		one, other := w.next(tries), w.next(tries)
		w.begun(refs[0], one)
		w.begun(refs[1], other)
		from := time.Now()
		w.must(w.Fail(t.Context(), refs[0], video.StepFailure{Failure: video.Failure{Code: "x"}, Final: true}, job("retire", id), one.Handle))
		select {
		case <-other.ctx.Done():
		case <-time.After(time.Minute):
			w.t.Fatal("the other job never heard")
		}
		w.t.Logf("the other job heard after %v", time.Since(from))
		if one.ctx.Err() != nil {
			w.t.Error("the failing job was canceled itself")
		}
		one.end <- nil
		w.settled("encode", "cancelled", 1)
		w.settled("encode", "discarded", 1) // dead: kept, for people to look at
		w.settled("retire", "available", 1)
	})
}

func TestAnAttemptThatWasOvertakenDecidesNothing(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		tries := w.run()
		late := w.next(tries)
		w.begun(ref, late)
		w.must(w.write(t.Context(), func(x tx) error { return x.insert(t.Context(), video.Admin, job("ingest", id)) }))
		other := w.next(tries)
		w.begun(ref, other)
		w.stale(w.Fail(t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: "x"}, Final: true}, nil, late.Handle))
		if got := w.states(id)["ingest0"]; got != video.StepRunning || w.video(id).Status != video.Processing {
			w.t.Errorf("step %s, video %s", got, w.video(id).Status)
		}
		_, steps, err := w.Detail(t.Context(), id)
		w.must(err)
		if a := steps[0].Attempts; a[0].Failure == nil || a[1].Failure != nil || !a[1].Finished.IsZero() {
			w.t.Errorf("attempts %+v", a)
		}
		w.must(w.Plan(t.Context(), ref, video.Facts{}, plan, nil, other.Handle))
		late.end <- nil
		other.end <- nil
		w.settled("ingest", "completed", 2)
	})
}

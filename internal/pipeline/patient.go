package pipeline

import (
	"context"
	"log/slog"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// patient is a Store that keeps what a step has made while the database is away: the ends of steps are committed when it is back. A commit whose answer was
// lost is repeated too: the step's fence then says video.ErrStale.
type patient struct {
	Store
	log *slog.Logger
}

// How long a step's end is kept, and how often its commit is tried. Past that the step is made again, from what it put.
const (
	keepResult  = 10 * time.Minute
	firstCommit = 200 * time.Millisecond
	lastCommit  = 5 * time.Second
)

// persist repeats commit while the database is away, at most keepResult long and no longer than ctx.
func (p patient) persist(ctx context.Context, ref video.StepRef, commit func() error) error {
	began := time.Now()
	for pause := firstCommit; ; pause = min(2*pause, lastCommit) {
		err := commit()
		if !fault.Is(err, fault.Unavailable) || ctx.Err() != nil || time.Since(began) > keepResult {
			return err
		}
		// The engine logs the outage once; every step that ends meanwhile would repeat it with each try.
		p.log.Debug("the end of a step could not be recorded; trying again", "video", ref.Video, "generation", ref.Generation, "step", ref.Name, "n", ref.N, "error", err)
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func (p patient) Plan(ctx context.Context, ref video.StepRef, facts video.Facts, plan video.Plan, next []engine.Job, done engine.Handle) error {
	return p.persist(ctx, ref, func() error { return p.Store.Plan(ctx, ref, facts, plan, next, done) })
}

func (p patient) Finish(ctx context.Context, ref video.StepRef, result video.Result, last []engine.Job, done engine.Handle) error {
	return p.persist(ctx, ref, func() error { return p.Store.Finish(ctx, ref, result, last, done) })
}

func (p patient) Publish(ctx context.Context, ref video.StepRef, output video.Output, next []engine.Job, done engine.Handle) error {
	return p.persist(ctx, ref, func() error { return p.Store.Publish(ctx, ref, output, next, done) })
}

func (p patient) Fail(ctx context.Context, ref video.StepRef, failure video.StepFailure, next []engine.Job, done engine.Handle) error {
	return p.persist(ctx, ref, func() error { return p.Store.Fail(ctx, ref, failure, next, done) })
}

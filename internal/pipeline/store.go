package pipeline

import (
	"context"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// Store keeps the facts that the steps advance. Each method is one transaction; a method that is told done completes
// that job in it. Each move is fenced: a step that is no longer waiting or running is left as it is, and the method
// returns video.ErrStale with the job completed, so that a twin or a late worker changes nothing.
type Store interface {
	// Begin records a new attempt of a step, by worker, and returns what the step needs. video.ErrStale where there is nothing left to do
	// (step done, generation over, video deleted); then the job is completed.
	Begin(ctx context.Context, ref video.StepRef, worker string, done engine.Handle) (video.StepInput, error)
	// Plan ends ingest: it stores facts and plan, makes the steps of the generation and inserts next.
	Plan(ctx context.Context, ref video.StepRef, facts video.Facts, plan video.Plan, next []engine.Job, done engine.Handle) error
	// Finish ends an encode, audio or stills step with its result. If it was the last of its generation, the publish step is made and
	// last is inserted.
	Finish(ctx context.Context, ref video.StepRef, result video.Result, last []engine.Job, done engine.Handle) error
	// Publish ends publish: it flips the video's pointer to this generation and inserts next (the retirement of the generation before).
	Publish(ctx context.Context, ref video.StepRef, output video.Output, next []engine.Job, done engine.Handle) error
	// Fail ends an attempt with a failure. Where final, the step and its generation fail, the other jobs of the video are canceled, next is inserted
	// (the removal of what was made), this job is dead, and the video fails unless an older generation is published. Where not, the step waits
	// again, next is ignored, and the job is left for the engine to try again (done is not completed).
	Fail(ctx context.Context, ref video.StepRef, failure video.StepFailure, next []engine.Job, done engine.Handle) error
}

// Results reads what the steps of a generation made, and keeps their progress.
type Results interface {
	// Parts returns the results of all finished steps of ref's generation, by name and number.
	Parts(ctx context.Context, ref video.StepRef) ([]video.Part, error)
	// Progress notes how far a running step is, 0..1. It is advisory: no event, no fence but "running".
	Progress(ctx context.Context, ref video.StepRef, fraction float64) error
}

// Remover ends videos and generations for good, after their objects are gone.
type Remover interface {
	// Removable returns what is left of a deleted video, and video.ErrStale when nothing is.
	Removable(ctx context.Context, id video.ID) (video.Video, error)
	// DeletedUpload returns the upload of a deleted video that is not removed yet; fault.NotFound where it was granted
	// none.
	DeletedUpload(ctx context.Context, id video.ID) (video.Upload, error)
	// Remove deletes the rows of a deleted video (its events stay) and its ObjectCreated fact, so that the same file may come again.
	Remove(ctx context.Context, id video.ID, done engine.Handle) error
	// Retirable takes a generation that is not published and not under way from viewers and from redrives, and returns the key prefix of its video; it may be
	// repeated. video.ErrStale, with the job completed, where it is published or under way, or was removed before, or the video is gone.
	Retirable(ctx context.Context, id video.ID, generation int, done engine.Handle) (prefix string, err error)
	// Retire marks a generation that Retirable took as removed.
	Retire(ctx context.Context, id video.ID, generation int, done engine.Handle) error
}

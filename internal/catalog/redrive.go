package catalog

import (
	"context"
	"slices"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Redrive goes on with a video whose newest generation failed: its steps that failed or were canceled wait again, with jobs that have all their tries, and what
// was finished stays. Where that generation's objects are being removed, or are gone, a new one begins with the same settings. only, where not nil, is the
// step that must have failed or been canceled. fault.Conflict, code "no_source" where nothing was received yet, "busy" where a generation is under way, and
// "not_failed" where there is nothing to redrive.
func (s *Store) Redrive(ctx context.Context, id video.ID, only *video.StepRef, jobs func(video.StepRef) []engine.Job) (v video.Video, err error) {
	err = s.write(ctx, func(t tx) error {
		row, err := t.lock(ctx, "catalog.redrive", id)
		if err != nil {
			return err
		}
		if row.Source == "" {
			return fault.New(fault.Conflict, "catalog.redrive", "no_source", "The video has no source yet; upload one first.", nil)
		}
		state, err := t.GenerationState(ctx, sqlc.GenerationStateParams{Video: row.ID, N: row.Newest})
		if err != nil {
			return err
		}
		if err := redrivable(state); err != nil {
			return err
		}
		if only != nil {
			if err := t.ended(ctx, row, *only); err != nil {
				return err
			}
		}
		var refs []video.StepRef
		if state == failed {
			refs, err = t.reopen(ctx, row)
		} else {
			row.Newest++
			refs = []video.StepRef{{Video: id, Generation: int(row.Newest), Name: video.Ingest}}
			err = t.begin(ctx, row.ID, row.Newest, row.Settings)
		}
		if err != nil {
			return err
		}
		if err := t.again(ctx, row, refs, jobs); err != nil {
			return err
		}
		v, err = one(ctx, t.Queries, id, t.now)
		return err
	})
	return v, err
}

// redrivable says why a newest generation in that state can't be redriven.
func redrivable(state string) error {
	switch state {
	case waiting, planned:
		return fault.New(fault.Conflict, "catalog.redrive", "busy", "The video is being encoded; wait until it is ready or has failed.", nil)
	case published:
		return fault.New(fault.Conflict, "catalog.redrive", "not_failed", "Nothing of this video has failed; encode it again if you want it made anew.", nil)
	}
	return nil
}

// ended passes where a step of the newest generation failed or was canceled.
func (t tx) ended(ctx context.Context, v sqlc.Video, ref video.StepRef) error {
	var state string
	if int64(ref.Generation) == v.Newest {
		all, err := t.Steps(ctx, sqlc.StepsParams{Video: v.ID, Generation: v.Newest})
		if err != nil {
			return err
		}
		for _, s := range all {
			if s.Name == string(ref.Name) && s.N == int64(ref.N) {
				state = s.State
			}
		}
	}
	if state != string(video.StepFailed) && state != string(video.StepCanceled) {
		return fault.New(fault.Conflict, "catalog.redrive", "not_failed", "This step of the video's newest encode has not failed; see the video's steps.", nil)
	}
	return nil
}

// reopen makes a failed generation one under way again, and returns the steps that are due.
func (t tx) reopen(ctx context.Context, v sqlc.Video) ([]video.StepRef, error) {
	if err := once(t.ReopenGeneration(ctx, sqlc.ReopenGenerationParams{Video: v.ID, N: v.Newest, Updated: t.now})); err != nil {
		return nil, err
	}
	rows, err := t.ReopenSteps(ctx, sqlc.ReopenStepsParams{Video: v.ID, Generation: v.Newest})
	refs := make([]video.StepRef, 0, len(rows))
	for _, r := range rows {
		refs = append(refs, video.StepRef{Video: video.ID(v.ID), Generation: int(v.Newest), Name: video.StepName(r.Name), N: int(r.N)})
	}
	slices.SortFunc(refs, inOrder)
	return refs, err
}

// again makes the work of a redrive due, in place of the jobs that are over.
func (t tx) again(ctx context.Context, v sqlc.Video, refs []video.StepRef, jobs func(video.StepRef) []engine.Job) error {
	status := video.Waiting
	if v.Published > 0 {
		status = video.Ready
	}
	if err := t.RestartVideo(ctx, sqlc.RestartVideoParams{ID: v.ID, Status: string(status), Settings: v.Settings, Newest: v.Newest}); err != nil {
		return err
	}
	for _, ref := range refs {
		if err := t.insert(ctx, v.Owner, jobs(ref)); err != nil {
			return err
		}
	}
	// Not before: SQLite would give their numbers to the new ones.
	if err := t.store.jobs.ForgetGroup(ctx, t.raw, v.ID); err != nil {
		return err
	}
	return t.event(ctx, v.ID, event.VideoRedriven, fields{"generation": v.Newest, "steps": len(refs)})
}

// CancelStep ends the generation of a step that is under way, for a person who wants that: its steps and jobs are canceled, next is inserted, and the video fails
// with code "encode_canceled" unless an older generation is published. It may be redriven. fault.Conflict, code "job_done", where the generation is over.
func (s *Store) CancelStep(ctx context.Context, ref video.StepRef, next []engine.Job) error {
	return s.write(ctx, func(t tx) error {
		v, err := t.lock(ctx, "catalog.cancel", ref.Video)
		if err != nil {
			return err
		}
		over := fault.New(fault.Conflict, "catalog.cancel", "job_done", "The encode that this job belongs to is over; there is nothing to cancel.", nil)
		if int64(ref.Generation) != v.Newest {
			return over
		}
		g, err := t.Generation(ctx, sqlc.GenerationParams{Video: v.ID, N: v.Newest})
		if err != nil {
			return err
		}
		if g.State != waiting && g.State != planned {
			return over
		}
		why := video.Failure{Code: "encode_canceled", Message: "An operator canceled this encode; redrive it to go on, or encode the video again."}
		return t.fail(ctx, v, g, why, next, engine.Handle{})
	})
}

// JobAttempts returns the attempts at a step that a job made, first to last.
func (s *Store) JobAttempts(ctx context.Context, ref video.StepRef, job int64) (attempts []video.Attempt, err error) {
	key := keyOf(ref)
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.AttemptsOfJob(ctx, sqlc.AttemptsOfJobParams{Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Job: job})
		for _, r := range rows {
			attempts = append(attempts, attemptOf(sqlc.AttemptsRow(r)))
		}
		return err
	})
	return attempts, err
}

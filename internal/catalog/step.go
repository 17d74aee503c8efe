package catalog

import (
	"cmp"
	"context"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// The parts of a generation's work that its steps are, for a progress bar: measured encodes are nine tenths of a job. What a video hasn't goes to the rest.
const (
	ingestWeight  = 0.02
	publishWeight = 0.02
	encodeWeight  = 0.90
	audioWeight   = 0.04
	stillsWeight  = 0.02
)

// Begin records a new attempt of a step. See pipeline.Store.
func (s *Store) Begin(ctx context.Context, ref video.StepRef, worker string, done engine.Handle) (video.StepInput, error) {
	var w video.StepInput
	err := s.move(ctx, ref, done, func(t tx, row sqlc.Video, g sqlc.Generation) error {
		// A worker that lost its job before it began must not become the step's latest: its failure would decide, and its job is another's to try again.
		if held, err := s.jobs.Holds(ctx, t.raw, done); err != nil || !held {
			return cmp.Or(err, video.ErrStale)
		}
		key := keyOf(ref)
		if err := fenced(t.BeginStep(ctx, sqlc.BeginStepParams{
			Now: t.now, Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N,
		})); err != nil {
			return err
		}
		last, err := t.LastAttempt(ctx, key)
		if err != nil {
			return err
		}
		if err := t.InsertAttempt(ctx, sqlc.InsertAttemptParams{
			Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N,
			Number: last + 1, Job: done.ID(), Try: int64(done.Number()), Worker: worker, Started: t.now,
		}); err != nil {
			return err
		}
		if row.Status != string(video.Processing) && row.Published == 0 {
			row.Status = string(video.Processing)
			if err := t.SetStatus(ctx, sqlc.SetStatusParams{ID: row.ID, Status: row.Status}); err != nil {
				return err
			}
			if err := t.TouchVideo(ctx, sqlc.TouchVideoParams{ID: row.ID, Updated: t.now}); err != nil {
				return err
			}
		}
		w = video.StepInput{Attempt: int(last + 1)}
		if w.Video, err = videoOf(row, 0, 0, 0); err != nil {
			return err
		}
		if err := unmarshal(g.Settings, &w.Settings); err != nil {
			return err
		}
		return unmarshal(g.Plan, &w.Plan)
	})
	return w, err
}

// Plan ends ingest. See pipeline.Store.
func (s *Store) Plan(ctx context.Context, ref video.StepRef, facts video.Facts, plan video.Plan, next []engine.Job, done engine.Handle) error {
	steps := stepsOf(ref, plan)
	if len(steps) == 0 || ref.Name != video.Ingest {
		return fault.New(fault.Internal, "catalog.plan", "empty_plan", "The plan makes nothing; see the server's log.", nil)
	}
	factsText, err := marshal(facts)
	if err != nil {
		return err
	}
	planText, err := marshal(plan)
	if err != nil {
		return err
	}
	return s.move(ctx, ref, done, func(t tx, v sqlc.Video, g sqlc.Generation) error {
		if err := t.finish(ctx, ref, "", done); err != nil {
			return err
		}
		if err := once(t.PlanGeneration(ctx, sqlc.PlanGenerationParams{Video: v.ID, N: g.N, Facts: factsText, Plan: planText, Updated: t.now})); err != nil {
			return err
		}
		if err := t.SetFacts(ctx, sqlc.SetFactsParams{ID: v.ID, Facts: factsText}); err != nil {
			return err
		}
		for _, step := range steps {
			if err := t.InsertStep(ctx, step); err != nil {
				return err
			}
		}
		if err := t.insert(ctx, v.Owner, next); err != nil {
			return err
		}
		return t.event(ctx, v.ID, event.VideoPlanned, fields{
			"generation": ref.Generation, "renditions": len(plan.Rungs), "chunks": len(plan.Chunks), "duration_ms": plan.Duration.Milliseconds(),
		})
	})
}

// stepsOf lists the steps of a plan, with weights that add up to 1 with those of ingest and publish.
func stepsOf(ref video.StepRef, plan video.Plan) []sqlc.InsertStepParams {
	var steps []sqlc.InsertStepParams
	add := func(name video.StepName, n int, weight float64) {
		steps = append(steps, sqlc.InsertStepParams{
			Video: string(ref.Video), Generation: int64(ref.Generation), Name: string(name), N: int64(n), Weight: weight,
		})
	}
	var frames int64
	for _, c := range plan.Chunks {
		frames += frameCount(plan, c)
	}
	for _, c := range plan.Chunks {
		add(video.Encode, c.N, encodeWeight*float64(frameCount(plan, c))/float64(frames))
	}
	if plan.Audio != nil {
		add(video.Audio, 0, audioWeight)
	}
	if len(plan.Rungs) > 0 {
		add(video.Stills, 0, stillsWeight)
	}
	sum := 0.0
	for _, step := range steps {
		sum += step.Weight
	}
	for i := range steps {
		steps[i].Weight *= (1 - ingestWeight - publishWeight) / sum
	}
	return steps
}

// frameCount is how many frames a chunk is expected to have, at least 1.
func frameCount(plan video.Plan, c video.Chunk) int64 {
	if c.Frames > 0 {
		return c.Frames
	}
	return max(plan.Frames-c.Start, 1) // the last goes to the end
}

// Finish ends an encode, audio or stills step; the last of its generation makes publish due. See pipeline.Store.
func (s *Store) Finish(ctx context.Context, ref video.StepRef, result video.Result, last []engine.Job, done engine.Handle) error {
	text, err := marshal(result)
	if err != nil {
		return err
	}
	// move has locked the video: of two steps that finish together, the second counts after the first has committed.
	return s.move(ctx, ref, done, func(t tx, v sqlc.Video, g sqlc.Generation) error {
		if err := t.finish(ctx, ref, text, done); err != nil {
			return err
		}
		left, err := t.UndoneSteps(ctx, sqlc.UndoneStepsParams{Video: v.ID, Generation: g.N})
		if err != nil || left > 0 {
			return err
		}
		if err := t.InsertStep(ctx, sqlc.InsertStepParams{Video: v.ID, Generation: g.N, Name: string(video.Publish), Weight: publishWeight}); err != nil {
			return err
		}
		return t.insert(ctx, v.Owner, last)
	})
}

// finish moves a running step to done, closes its attempt, completes its job and writes the event: what the ends of all steps share.
func (t tx) finish(ctx context.Context, ref video.StepRef, result string, done engine.Handle) error {
	key := keyOf(ref)
	if err := fenced(t.FinishStep(ctx, sqlc.FinishStepParams{
		Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Result: result, Finished: t.now,
	})); err != nil {
		return err
	}
	number, err := t.attempt(ctx, key, done)
	if err != nil {
		return err
	}
	if err := t.close(ctx, key, number, video.StepFailure{}); err != nil {
		return err
	}
	if err := t.complete(ctx, done); err != nil {
		return err
	}
	return t.event(ctx, key.Video, event.StepFinished, fields{"generation": ref.Generation, "step": ref.Name, "n": ref.N, "attempt": number})
}

// attempt is the number of the attempt that done's try is.
func (t tx) attempt(ctx context.Context, key sqlc.LastAttemptParams, done engine.Handle) (int64, error) {
	return t.AttemptOfJob(ctx, sqlc.AttemptOfJobParams{
		Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Job: done.ID(), Try: int64(done.Number()),
	})
}

// close ends an attempt's row.
func (t tx) close(ctx context.Context, key sqlc.LastAttemptParams, number int64, why video.StepFailure) error {
	return t.CloseAttempt(ctx, sqlc.CloseAttemptParams{
		Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Number: number,
		Finished: t.now, Code: why.Code, Message: why.Message, Detail: why.Detail,
	})
}

// keyOf is ref as a key of SQL.
func keyOf(ref video.StepRef) sqlc.LastAttemptParams {
	return sqlc.LastAttemptParams{Video: string(ref.Video), Generation: int64(ref.Generation), Name: string(ref.Name), N: int64(ref.N)}
}

// once turns a move that must have counted, because its fence was passed before, into a defect where it did not.
func once(rows int64, err error) error {
	if err == nil && rows != 1 {
		return fault.New(fault.Internal, "catalog.move", "inconsistent_state", "The video's records disagree; see the server's log.", nil)
	}
	return err
}

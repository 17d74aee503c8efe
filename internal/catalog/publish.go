package catalog

import (
	"context"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Publish ends publish: it flips the video's pointer. See pipeline.Store.
func (s *Store) Publish(ctx context.Context, ref video.StepRef, output video.Output, next []engine.Job, done engine.Handle) error {
	text, err := marshal(output)
	if err != nil {
		return err
	}
	return s.move(ctx, ref, done, func(t tx, v sqlc.Video, g sqlc.Generation) error {
		if err := t.finish(ctx, ref, "", done); err != nil {
			return err
		}
		if err := once(t.PublishGeneration(ctx, sqlc.PublishGenerationParams{Video: v.ID, N: g.N, Output: text, Updated: t.now})); err != nil {
			return err
		}
		if err := t.SupersedeGenerations(ctx, sqlc.SupersedeGenerationsParams{Video: v.ID, N: g.N, Updated: t.now}); err != nil {
			return err
		}
		for _, track := range output.Tracks {
			if err := t.InsertRendition(ctx, sqlc.InsertRenditionParams{
				Video: v.ID, Generation: g.N, Name: track.Name, Kind: string(track.Kind), Codec: track.Codec,
				Width: int64(track.Width), Height: int64(track.Height), Average: track.Average, Peak: track.Peak, Bytes: track.Bytes,
			}); err != nil {
				return err
			}
		}
		first := v.Playable == 0
		if first {
			v.Playable = t.now
		}
		if err := t.PublishVideo(ctx, sqlc.PublishVideoParams{ID: v.ID, Published: g.N, Output: text, Playable: v.Playable}); err != nil {
			return err
		}
		if err := t.insert(ctx, v.Owner, next); err != nil {
			return err
		}
		if first {
			if err := t.event(ctx, v.ID, event.VideoPlayable, fields{"generation": g.N}); err != nil {
				return err
			}
		}
		if err := t.event(ctx, v.ID, event.VideoReady, fields{"generation": g.N, "renditions": len(output.Tracks), "bytes": output.Bytes}); err != nil {
			return err
		}
		return t.recovery(ctx, v, g.N)
	})
}

// Fail ends an attempt with a failure. See pipeline.Store.
func (s *Store) Fail(ctx context.Context, ref video.StepRef, failure video.StepFailure, next []engine.Job, done engine.Handle) error {
	return s.move(ctx, ref, done, func(t tx, v sqlc.Video, g sqlc.Generation) error {
		key := keyOf(ref)
		number, err := t.attempt(ctx, key, done)
		if err != nil {
			return err
		}
		if number == 0 {
			return fault.New(fault.Internal, "catalog.fail", "inconsistent_state", "An attempt that never began cannot fail; see the server's log.", nil)
		}
		if err := t.close(ctx, key, number, failure); err != nil {
			return err
		}
		latest, err := t.LastAttempt(ctx, key)
		if err != nil {
			return err
		}
		if number != latest {
			return video.ErrStale // another worker took the step over: its attempt decides
		}
		if failure.Final {
			err = fenced(t.FailStep(ctx, sqlc.FailStepParams{Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Finished: t.now}))
		} else {
			err = fenced(t.ReturnStep(ctx, sqlc.ReturnStepParams{Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N}))
		}
		if err != nil {
			return err
		}
		if err := t.note(ctx, v, ref, number, failure); err != nil {
			return err
		}
		if err := t.event(ctx, v.ID, event.StepFailed, fields{
			"generation": ref.Generation, "step": ref.Name, "n": ref.N, "attempt": number, "code": failure.Code, "message": failure.Message, "final": failure.Final,
			"waits": failure.Waits,
		}); err != nil || !failure.Final {
			return err
		}
		if err := t.fail(ctx, v, g, failure.Failure, next, done); err != nil {
			return err
		}
		return t.announce(ctx, failedNotice(v, ref, failure.Failure))
	})
}

// fail ends a generation for good.
func (t tx) fail(ctx context.Context, v sqlc.Video, g sqlc.Generation, why video.Failure, next []engine.Job, done engine.Handle) error {
	if err := once(t.EndGeneration(ctx, sqlc.EndGenerationParams{Video: v.ID, N: g.N, State: failed, Updated: t.now})); err != nil {
		return err
	}
	if err := t.CancelSteps(ctx, sqlc.CancelStepsParams{Video: v.ID, Generation: g.N, Finished: t.now}); err != nil {
		return err
	}
	if err := t.store.jobs.CancelGroup(ctx, t.raw, v.ID, done.ID()); err != nil {
		return err
	}
	status := video.Failed
	if v.Published > 0 {
		status = video.Ready // viewers keep what they have
	}
	text, err := marshal(why)
	if err != nil {
		return err
	}
	if err := t.FailVideo(ctx, sqlc.FailVideoParams{ID: v.ID, Status: string(status), Failure: text}); err != nil {
		return err
	}
	if err := t.insert(ctx, v.Owner, next); err != nil {
		return err
	}
	if err := t.store.jobs.Kill(ctx, t.raw, done, why.Code+": "+why.Message); err != nil {
		return err
	}
	return t.event(ctx, v.ID, event.VideoFailed, fields{"generation": g.N, "code": why.Code, "message": why.Message})
}

package catalog

import (
	"context"
	"database/sql"
	"errors"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Removable returns what is left of a deleted video, and video.ErrStale when nothing is.
func (s *Store) Removable(ctx context.Context, id video.ID) (v video.Video, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.DeletedVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return video.ErrStale
		}
		if err != nil {
			return err
		}
		v, err = videoOf(row, 0, 0, 0)
		return err
	})
	return v, err
}

// Remove deletes the rows of a deleted video, save its events. See pipeline.Remover.
func (s *Store) Remove(ctx context.Context, id video.ID, done engine.Handle) error {
	return s.end(ctx, done, func(t tx) error {
		if err := fenced(t.LockDeleted(ctx, string(id))); err != nil {
			return err
		}
		for _, remove := range []func(context.Context, string) error{
			t.RemoveRenditions, t.RemoveAttempts, t.RemoveSteps, t.RemoveGenerations, t.RemoveFacts, t.RemoveUploads, t.RemovePlaybacks, t.RemoveVideo,
		} {
			if err := remove(ctx, string(id)); err != nil {
				return err
			}
		}
		return s.jobs.ForgetGroup(ctx, t.raw, string(id))
	})
}

// Retirable condemns a generation that is not published and not under way, and returns the key prefix of its video. See pipeline.Remover.
func (s *Store) Retirable(ctx context.Context, id video.ID, generation int, done engine.Handle) (prefix string, err error) {
	stale := false
	err = s.write(ctx, func(t tx) error {
		v, err := t.LockVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			err = video.ErrStale
		}
		if err == nil {
			prefix = v.Prefix
			err = fenced(t.CondemnGeneration(ctx, sqlc.CondemnGenerationParams{Video: v.ID, N: int64(generation), Updated: t.now}))
		}
		if stale = errors.Is(err, video.ErrStale); stale {
			err = t.complete(ctx, done)
		}
		return err
	})
	if err == nil && stale {
		return "", video.ErrStale
	}
	return prefix, err
}

// Retire marks a generation that is no longer published as removed. See pipeline.Remover.
func (s *Store) Retire(ctx context.Context, id video.ID, generation int, done engine.Handle) error {
	return s.end(ctx, done, func(t tx) error {
		v, err := t.LockVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return video.ErrStale
		}
		if err != nil {
			return err
		}
		if err := fenced(t.RetireGeneration(ctx, sqlc.RetireGenerationParams{Video: v.ID, N: int64(generation), Updated: t.now})); err != nil {
			return err
		}
		if err := t.dropGeneration(ctx, v, int64(generation)); err != nil {
			return err
		}
		if err := t.RemoveRenditionsOf(ctx, sqlc.RemoveRenditionsOfParams{Video: v.ID, Generation: int64(generation)}); err != nil {
			return err
		}
		return t.event(ctx, v.ID, event.GenerationRetired, fields{"generation": generation})
	})
}

// end runs f and completes the job, also where f finds nothing left to do; then it returns video.ErrStale.
func (s *Store) end(ctx context.Context, done engine.Handle, f func(tx) error) error {
	stale := false
	err := s.write(ctx, func(t tx) error {
		err := f(t)
		if stale = errors.Is(err, video.ErrStale); err != nil && !stale {
			return err
		}
		return t.complete(ctx, done)
	})
	if err == nil && stale {
		return video.ErrStale
	}
	return err
}

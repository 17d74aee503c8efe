package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Abandoned returns uploads that were never used. See sweep.Store.
func (s *Store) Abandoned(ctx context.Context, before time.Time, after video.ID, limit int) (all []video.Upload, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.AbandonedUploads(ctx, sqlc.AbandonedUploadsParams{Before: before.UnixMilli(), After: string(after), Most: page(limit)})
		for _, r := range rows {
			all = append(all, uploadOf(r))
		}
		return err
	})
	return all, err
}

// Abandon removes a video that still waits for its source, save its events.
func (s *Store) Abandon(ctx context.Context, id video.ID) (gone bool, err error) {
	err = s.write(ctx, func(t tx) error {
		rows, err := t.AbandonVideo(ctx, string(id))
		if gone = rows > 0; err != nil || !gone {
			return err
		}
		if err := errors.Join(t.RemoveUploads(ctx, string(id)), t.RemovePlaybacks(ctx, string(id))); err != nil {
			return err
		}
		return t.event(ctx, string(id), event.UploadAbandoned, nil)
	})
	return gone, err
}

// Remains tells what the records know of a video.
func (s *Store) Remains(ctx context.Context, id video.ID) (r video.ObjectsToDelete, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		r = video.ObjectsToDelete{Generations: map[int]video.GenerationState{}}
		row, err := q.VideoRemains(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		r.Known, r.Deleting, r.Updated = true, row.Status == string(video.Deleting), timeOf(row.Updated)
		generations, err := q.GenerationStates(ctx, string(id))
		for _, g := range generations {
			r.Generations[int(g.N)] = video.GenerationState{State: g.State, Updated: timeOf(g.Updated)}
		}
		return err
	})
	return r, err
}

// Aged tells what the records keep of errors and notices of before then. See sweep.History.
func (s *Store) Aged(ctx context.Context, before time.Time) (a event.Aged, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		failed, err := q.OldErrors(ctx, before.UnixMilli())
		if err != nil {
			return err
		}
		notices, err := q.OldNotices(ctx, before.UnixMilli())
		a = event.Aged{Errors: int(failed.Count), FirstError: timeOf(failed.First), Notices: int(notices.Count), FirstNotice: timeOf(notices.First)}
		return err
	})
	return a, err
}

// Forget removes up to limit errors and as many notices of before then, and messages without notices. See sweep.History.
func (s *Store) Forget(ctx context.Context, before time.Time, limit int) (more bool, err error) {
	err = s.write(ctx, func(t tx) error {
		failed, err := t.ForgetErrors(ctx, sqlc.ForgetErrorsParams{Before: before.UnixMilli(), Most: int32(limit)})
		if err != nil {
			return err
		}
		notices, err := t.ForgetNotices(ctx, sqlc.ForgetNoticesParams{Before: before.UnixMilli(), Most: int32(limit)})
		if err != nil {
			return err
		}
		more = failed == int64(limit) || notices == int64(limit)
		return t.ForgetMail(ctx, before.UnixMilli())
	})
	return more, err
}

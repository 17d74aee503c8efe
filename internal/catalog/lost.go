package catalog

import (
	"context"
	"database/sql"
	"errors"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Unknown returns those of the writes that no fact tells of. It costs one look-up by primary key each.
func (s *Store) Unknown(ctx context.Context, writes []video.Source) (unknown []video.Source, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		unknown = nil
		for _, w := range writes {
			_, err := q.FactVideo(ctx, sqlc.FactVideoParams{Bucket: w.Bucket, Key: w.Key, Etag: w.ETag, Modified: w.Modified.UnixMilli()})
			if errors.Is(err, sql.ErrNoRows) {
				unknown = append(unknown, w)
				continue
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return unknown, err
}

// Lost marks that objects of a video are gone. See upload.Store.
func (s *Store) Lost(ctx context.Context, id video.ID, published int, what event.Type, why video.Failure) (marked bool, err error) {
	err = s.write(ctx, func(t tx) error {
		marked = false
		v, err := t.LockVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) || err == nil && v.Published != int64(published) {
			return nil
		}
		if err != nil {
			return err
		}
		state, err := t.GenerationState(ctx, sqlc.GenerationStateParams{Video: v.ID, N: v.Newest})
		if err != nil || state == waiting || state == planned {
			return err
		}
		var had video.Failure
		if err := unmarshal(v.Failure, &had); err != nil || had.Code == why.Code {
			return err
		}
		text, err := marshal(why)
		if err != nil {
			return err
		}
		if err := t.FailVideo(ctx, sqlc.FailVideoParams{ID: v.ID, Status: v.Status, Failure: text}); err != nil {
			return err
		}
		marked = true
		return t.event(ctx, v.ID, what, fields{"code": why.Code, "message": why.Message})
	})
	return marked, err
}

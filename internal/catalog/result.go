package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/video"
)

// Parts returns the results of all finished steps of ref's generation, by name and number.
func (s *Store) Parts(ctx context.Context, ref video.StepRef) ([]video.Part, error) {
	var parts []video.Part
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Parts(ctx, sqlc.PartsParams{Video: string(ref.Video), Generation: int64(ref.Generation)})
		if err != nil {
			return err
		}
		for _, r := range rows {
			p := video.Part{StepRef: video.StepRef{Video: ref.Video, Generation: ref.Generation, Name: video.StepName(r.Name), N: int(r.N)}}
			if err := unmarshal(r.Result, &p.Result); err != nil {
				return fmt.Errorf("read the result of step %s %d of video %s: %w", r.Name, r.N, ref.Video, err)
			}
			parts = append(parts, p)
		}
		return nil
	})
	return parts, err
}

// Progress notes how far a running step is, 0..1.
func (s *Store) Progress(ctx context.Context, ref video.StepRef, fraction float64) error {
	key := keyOf(ref)
	return s.write(ctx, func(t tx) error {
		return t.StepProgress(ctx, sqlc.StepProgressParams{
			Video: key.Video, Generation: key.Generation, Name: key.Name, N: key.N, Progress: min(max(fraction, 0), 1),
		})
	})
}

// Generation reports whether generation n of a video that is not deleted was published and not retired: whether viewers may have it.
func (s *Store) Generation(ctx context.Context, id video.ID, n int) (served bool, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		state, err := q.GenerationState(ctx, sqlc.GenerationStateParams{Video: string(id), N: int64(n)})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		served = state == published || state == superseded
		return err
	})
	return served, err
}

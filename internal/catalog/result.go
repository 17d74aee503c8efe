package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"strings"

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

// Playback is the one that a folder of the edge's addresses ("<stem>-<id>", or a playback id, which counts where it could be both) names, the zero Playback where there is none, and whether viewers may have
// generation n of its video: whether that was published and not retired, and the video is not deleted.
func (s *Store) Playback(ctx context.Context, folder string, n int) (p video.Playback, served bool, err error) {
	if id, ok := video.ParsePlaybackID(folder); ok {
		if p, served, err = s.PlaybackByID(ctx, id, n); err != nil || p.ID != "" {
			return p, served, err
		}
	}
	id, ok := video.ParseID(folder[strings.LastIndexByte(folder, '-')+1:])
	if !ok {
		return video.Playback{}, false, nil
	}
	err = s.read(ctx, func(q *sqlc.Queries) error {
		r, err := q.Playback(ctx, sqlc.PlaybackParams{ID: string(id), N: int64(n)})
		if errors.Is(err, sql.ErrNoRows) || err == nil && path.Base(r.Prefix) != folder {
			return nil
		}
		p = video.Playback{Video: id, Prefix: r.Prefix, Owner: r.Owner, Workspace: r.Workspace, Ready: video.Status(r.Status) == video.Ready, Policy: video.Policy(r.Playback)}
		served = r.State == published || r.State == superseded
		return err
	})
	return p, served, err
}

package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Video returns one video with its progress; fault.NotFound for none or a deleted one.
func (s *Store) Video(ctx context.Context, id video.ID) (v video.Video, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		v, err = one(ctx, q, id, s.now().UnixMilli())
		return err
	})
	return v, err
}

func one(ctx context.Context, q *sqlc.Queries, id video.ID, now int64) (video.Video, error) {
	row, err := q.Video(ctx, sqlc.VideoParams{ID: string(id), Now: now})
	if errors.Is(err, sql.ErrNoRows) {
		return video.Video{}, missing("catalog.video")
	}
	if err != nil {
		return video.Video{}, err
	}
	return videoOf(row.Video, row.Progress, row.Spent, row.Running)
}

const (
	pageLimit = 1000                         // of Videos and Events, where the caller names none or more
	aboveAll  = "zzzzzzzzzzzzzzzzzzzzzzzzzz" // no id sorts above it: a ULID starts with 0 to 7
)

func page(limit int) int32 {
	if limit <= 0 || limit > pageLimit {
		return pageLimit
	}
	return int32(limit)
}

// Videos returns up to q.Limit videos (1000 where it is 0 or more than that), newest first, that are not deleted and within the query's reach. Each
// workspace is read by itself from an index, up to the limit: a page costs its length times the workspaces.
func (s *Store) Videos(ctx context.Context, query video.Query) ([]video.Video, error) {
	before := string(query.Before)
	if before == "" {
		before = aboveAll
	}
	if query.ReadyOnly {
		if query.Status != "" && query.Status != video.Ready {
			return nil, nil
		}
		query.Status = video.Ready
	}
	if query.Status == video.Deleting {
		return nil, nil
	}
	now := s.now().UnixMilli()
	var videos []video.Video
	err := s.read(ctx, func(q *sqlc.Queries) (err error) {
		if query.All {
			videos, err = videosEverywhere(ctx, q, string(query.Status), before, now, page(query.Limit))
			return err
		}
		for _, workspace := range query.Workspaces {
			some, err := videosOf(ctx, q, workspace, string(query.Status), before, now, page(query.Limit))
			if err != nil {
				return err
			}
			videos = append(videos, some...)
		}
		return nil
	})
	// A workspace that is named twice, or a video that moved from one to another meanwhile, is told once.
	slices.SortFunc(videos, func(a, b video.Video) int { return cmp.Compare(b.ID, a.ID) })
	videos = slices.CompactFunc(videos, func(a, b video.Video) bool { return a.ID == b.ID })
	return videos[:min(len(videos), int(page(query.Limit)))], err
}

// videosEverywhere returns a page of the videos of all workspaces, of one status or of all.
func videosEverywhere(ctx context.Context, q *sqlc.Queries, status, before string, now int64, most int32) (videos []video.Video, err error) {
	if status == "" {
		rows, err := q.Videos(ctx, sqlc.VideosParams{Now: now, Before: before, Most: most})
		for i := 0; i < len(rows) && err == nil; i++ {
			videos, err = appendRow(videos, rows[i].Video, rows[i].Progress, rows[i].Spent, rows[i].Running)
		}
		return videos, err
	}
	rows, err := q.VideosByStatus(ctx, sqlc.VideosByStatusParams{Now: now, Status: status, Before: before, Most: most})
	for i := 0; i < len(rows) && err == nil; i++ {
		videos, err = appendRow(videos, rows[i].Video, rows[i].Progress, rows[i].Spent, rows[i].Running)
	}
	return videos, err
}

// videosOf returns a page of the videos of one workspace, of one status or of all.
func videosOf(ctx context.Context, q *sqlc.Queries, workspace, status, before string, now int64, most int32) (videos []video.Video, err error) {
	if status == "" {
		rows, err := q.VideosOfWorkspace(ctx, sqlc.VideosOfWorkspaceParams{Now: now, Workspace: workspace, Before: before, Most: most})
		for i := 0; i < len(rows) && err == nil; i++ {
			videos, err = appendRow(videos, rows[i].Video, rows[i].Progress, rows[i].Spent, rows[i].Running)
		}
		return videos, err
	}
	rows, err := q.VideosOfWorkspaceByStatus(ctx, sqlc.VideosOfWorkspaceByStatusParams{Now: now, Workspace: workspace, Status: status, Before: before, Most: most})
	for i := 0; i < len(rows) && err == nil; i++ {
		videos, err = appendRow(videos, rows[i].Video, rows[i].Progress, rows[i].Spent, rows[i].Running)
	}
	return videos, err
}

func appendRow(videos []video.Video, row sqlc.Video, progress float64, spent, running int64) ([]video.Video, error) {
	v, err := videoOf(row, progress, spent, running)
	return append(videos, v), err
}

// Edit changes what a person may change. fault.Invalid, code "no_workspace", where it is to go to a workspace that is not there.
func (s *Store) Edit(ctx context.Context, id video.ID, edit video.Edit) (v video.Video, err error) {
	err = s.write(ctx, func(t tx) error {
		row, err := t.lock(ctx, "catalog.edit", id)
		if err != nil {
			return err
		}
		changed := sqlc.EditVideoParams{ID: row.ID, Title: row.Title, Description: row.Description, Tags: row.Tags, Metadata: row.Metadata,
			Workspace: row.Workspace, Playback: row.Playback}
		if edit.Title != nil {
			changed.Title = *edit.Title
		}
		if edit.Description != nil {
			changed.Description = *edit.Description
		}
		if edit.Tags != nil {
			if changed.Tags, err = marshal(*edit.Tags); err != nil {
				return err
			}
		}
		if edit.Metadata != nil {
			if changed.Metadata, err = marshal(*edit.Metadata); err != nil {
				return err
			}
		}
		if edit.Policy != nil {
			changed.Playback = string(*edit.Policy)
		}
		if edit.Workspace != nil {
			changed.Workspace = *edit.Workspace
			if err := t.moved(ctx, row.ID, changed.Workspace); err != nil {
				return err
			}
		}
		if err := t.EditVideo(ctx, changed); err != nil {
			return err
		}
		if err := t.event(ctx, row.ID, event.VideoUpdated, opened(row, changed)); err != nil {
			return err
		}
		if changed.Playback != row.Playback {
			if err := t.dropVideo(ctx, row); err != nil {
				return err
			}
		}
		v, err = one(ctx, t.Queries, id, t.now)
		return err
	})
	return v, err
}

// opened is what an edit's event says: only what decides about who may see or watch the video.
func opened(was sqlc.Video, is sqlc.EditVideoParams) fields {
	var said fields
	for key, values := range map[string][2]string{"workspace": {was.Workspace, is.Workspace}, "playback_policy": {was.Playback, is.Playback}} {
		if values[0] == values[1] {
			continue
		}
		if said == nil {
			said = fields{}
		}
		said[key] = values[1]
	}
	return said
}

// moved takes what hangs on a video to another workspace.
func (t tx) moved(ctx context.Context, id, workspace string) error {
	if err := t.inWorkspace(ctx, "catalog.edit", workspace); err != nil {
		return err
	}
	return t.MoveErrors(ctx, sqlc.MoveErrorsParams{Video: id, Workspace: workspace})
}

// inWorkspace passes where there is such a workspace, which then stays until the transaction ends.
func (t tx) inWorkspace(ctx context.Context, op, workspace string) error {
	if workspace == account.DefaultWorkspace {
		return nil
	}
	if rows, err := t.LockWorkspace(ctx, workspace); err != nil || rows > 0 {
		return err
	}
	return fault.New(fault.Invalid, op, "no_workspace", "There is no such workspace; look at the list of workspaces.", nil)
}

// apart is longer than the second by which an S3 server tells two writes of the same bytes apart, by more than a file
// system's clock lags behind (10 ms
// where the kernel ticks 100 times a second).
const apart = 1100 * time.Millisecond

// Delete marks a video deleted, cancels its jobs and inserts next. A deleted video is fault.NotFound.
//
// It waits, 1.1 s at most, until the second in which the video's source was written is over: what is put under the same
// key once Delete has returned is then
// another write, also where its bytes are the same, and the removal of this video's source does not touch it.
func (s *Store) Delete(ctx context.Context, id video.ID, next []engine.Job) error {
	for least := s.apart; ; least = 0 { // it waits once: a database's clock may be set back
		var wait time.Duration
		err := s.write(ctx, func(t tx) error {
			row, err := t.lock(ctx, "catalog.delete", id)
			if err != nil {
				return err
			}
			if wait, err = t.young(ctx, row.ID, least); err != nil || wait > 0 {
				return err
			}
			return t.delete(ctx, row, next)
		})
		if err != nil || wait == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// young returns how much longer it takes until the fact of a video is as old as least; 0 where it is.
func (t tx) young(ctx context.Context, id string, least time.Duration) (time.Duration, error) {
	if least == 0 {
		return 0, nil
	}
	now, err := t.raw.Clock(ctx)
	if err != nil {
		return 0, err
	}
	var recorded int64
	err = t.raw.QueryRowContext(ctx, `SELECT coalesce(max(recorded), 0) FROM fact WHERE video = $1`, id).Scan(&recorded)
	if err != nil {
		return 0, err
	}
	return max(0, least-max(0, now.Sub(time.UnixMilli(recorded)))), nil
}

// delete is Delete of a video that is locked.
func (t tx) delete(ctx context.Context, row sqlc.Video, next []engine.Job) error {
	if err := t.SetStatus(ctx, sqlc.SetStatusParams{ID: row.ID, Status: string(video.Deleting)}); err != nil {
		return err
	}
	if _, err := t.EndGeneration(ctx, sqlc.EndGenerationParams{Video: row.ID, N: row.Newest, State: canceled, Updated: t.now}); err != nil {
		return err
	}
	if err := t.CancelSteps(ctx, sqlc.CancelStepsParams{Video: row.ID, Generation: row.Newest, Finished: t.now}); err != nil {
		return err
	}
	if err := t.store.jobs.CancelGroup(ctx, t.raw, row.ID); err != nil {
		return err
	}
	if err := t.insert(ctx, row.Owner, next); err != nil {
		return err
	}
	if err := t.dropVideo(ctx, row); err != nil {
		return err
	}
	return t.event(ctx, row.ID, event.VideoDeleted, nil)
}

// Encode begins a new generation with settings. fault.Conflict, code "no_source", where nothing was received yet, and "busy" where the newest generation is
// under way.
func (s *Store) Encode(ctx context.Context, id video.ID, settings video.Settings, next func(generation int) []engine.Job) (v video.Video, err error) {
	text, err := marshal(settings)
	if err != nil {
		return v, err
	}
	err = s.write(ctx, func(t tx) error {
		row, err := t.lock(ctx, "catalog.encode", id)
		if err != nil {
			return err
		}
		if row.Source == "" {
			return fault.New(fault.Conflict, "catalog.encode", "no_source", "The video has no source yet; upload one first.", nil)
		}
		state, err := t.GenerationState(ctx, sqlc.GenerationStateParams{Video: row.ID, N: row.Newest})
		if err != nil {
			return err
		}
		if state == waiting || state == planned {
			return fault.New(fault.Conflict, "catalog.encode", "busy", "The video is being encoded; wait until it is ready or has failed.", nil)
		}
		n := row.Newest + 1
		if err := t.begin(ctx, row.ID, n, text); err != nil {
			return err
		}
		status := video.Waiting
		if row.Published > 0 {
			status = video.Ready
		}
		if err := t.RestartVideo(ctx, sqlc.RestartVideoParams{ID: row.ID, Status: string(status), Settings: text, Newest: n}); err != nil {
			return err
		}
		if err := t.insert(ctx, row.Owner, next(int(n))); err != nil {
			return err
		}
		if err := t.event(ctx, row.ID, event.EncodeRequested, fields{"generation": n, "settings": settings}); err != nil {
			return err
		}
		v, err = one(ctx, t.Queries, id, t.now)
		return err
	})
	return v, err
}

package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Grant records the right to put one source: a waiting video, its upload, and the jobs that look for the source.
// fault.Invalid, code "no_workspace", where there is no
// such workspace.
func (s *Store) Grant(ctx context.Context, v video.Video, up video.Upload, looks []engine.Job) error {
	return s.write(ctx, func(t tx) error {
		v.Source = nil
		row, err := insertion(v, t.now)
		if err != nil {
			return err
		}
		if err := t.inWorkspace(ctx, "catalog.grant", row.Workspace); err != nil {
			return err
		}
		if err := t.InsertVideo(ctx, row); err != nil {
			return err
		}
		if err := t.InsertUpload(ctx, sqlc.InsertUploadParams{
			Bucket: up.Bucket, Key: up.Key, Video: row.ID, Type: up.Type, Size: up.Size, Expires: up.Expires.UnixMilli(),
			Multipart: up.Multipart, Part: up.Part,
		}); err != nil {
			return err
		}
		if err := t.insert(ctx, row.Owner, looks); err != nil {
			return err
		}
		return t.event(ctx, row.ID, event.UploadGranted, fields{"name": v.Name, "type": up.Type, "size": up.Size})
	})
}

// Received records one accepted write and what it starts, once however often it is told. See upload.Store.
func (s *Store) Received(ctx context.Context, v video.Video, src video.Source, next func(video.ID) []engine.Job) (id video.ID, fresh bool, err error) {
	err = s.write(ctx, func(t tx) error {
		id, fresh = v.ID, false
		fact := sqlc.FactVideoParams{Bucket: src.Bucket, Key: src.Key, Etag: src.ETag, Modified: src.Modified.UnixMilli()}
		recorded, err := t.raw.Clock(ctx) // by which Delete tells how old the fact is, on whatever machine
		if err != nil {
			return err
		}
		// The fact comes first: of several transactions with the same one, all but the first wait here, and then find it.
		rows, err := t.InsertFact(ctx, sqlc.InsertFactParams{
			Bucket: fact.Bucket, Key: fact.Key, Etag: fact.Etag, Modified: fact.Modified, Video: string(id), Size: src.Size, Recorded: recorded.UnixMilli(),
		})
		if err != nil {
			return err
		}
		if rows == 0 {
			known, err := t.FactVideo(ctx, fact)
			id = video.ID(known)
			return err
		}
		fresh = true
		settings, owner := "", ""
		if id, settings, owner, err = t.place(ctx, v, src); err != nil {
			return err
		}
		if id != v.ID {
			if err := t.SetFactVideo(ctx, sqlc.SetFactVideoParams{
				Bucket: fact.Bucket, Key: fact.Key, Etag: fact.Etag, Modified: fact.Modified, Video: string(id),
			}); err != nil {
				return err
			}
		}
		if err := t.begin(ctx, string(id), 1, settings); err != nil {
			return err
		}
		if err := t.insert(ctx, owner, next(id)); err != nil {
			return err
		}
		return t.event(ctx, string(id), event.SourceReceived, fields{"key": src.Key, "etag": src.ETag, "size": src.Size})
	})
	return id, fresh, err
}

// Upload returns the upload that a video was granted for. fault.NotFound, code "no_upload", where there is none or its
// video was deleted.
func (s *Store) Upload(ctx context.Context, id video.ID) (up video.Upload, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.UploadOfVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "catalog.upload", "no_upload", "There is no upload with this id.", nil)
		}
		up = uploadOf(row.Upload)
		up.Received = timeOf(row.Received)
		return err
	})
	return up, err
}

// DeletedUpload returns the upload of a deleted video whose rows are still there. See pipeline.Remover.
func (s *Store) DeletedUpload(ctx context.Context, id video.ID) (up video.Upload, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.UploadOfDeleted(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "catalog.deleted_upload", "no_upload", "There is no upload with this id.", nil)
		}
		up = uploadOf(row)
		return err
	})
	return up, err
}

func uploadOf(u sqlc.Upload) video.Upload {
	return video.Upload{
		Video: video.ID(u.Video), Bucket: u.Bucket, Key: u.Key, Type: u.Type, Size: u.Size, Expires: timeOf(u.Expires),
		Multipart: u.Multipart, Part: u.Part,
	}
}

// Looked records that a look found no source, and when the next one is due, with its job; the zero time and no job for
// none. See upload.Store.
func (s *Store) Looked(ctx context.Context, id video.ID, next time.Time, looks []engine.Job, done engine.Handle) error {
	return s.write(ctx, func(t tx) error {
		v, err := t.LockVideo(ctx, string(id))
		if errors.Is(err, sql.ErrNoRows) {
			return t.complete(ctx, done)
		}
		if err != nil {
			return err
		}
		var due int64
		if !next.IsZero() {
			due = next.UnixMilli()
		}
		rows, err := t.SetNextLook(ctx, sqlc.SetNextLookParams{ID: v.ID, NextLook: due})
		if err == nil && rows > 0 { // else the source came meanwhile
			err = t.insert(ctx, v.Owner, looks)
		}
		if err != nil {
			return err
		}
		return t.complete(ctx, done)
	})
}

// Enqueue inserts jobs.
func (s *Store) Enqueue(ctx context.Context, jobs []engine.Job) error {
	return s.write(ctx, func(t tx) error { return t.insert(ctx, video.Admin, jobs) })
}

// place finds or makes the video that a new source belongs to, and returns it with its settings and its owner. The first write to a granted key is that upload's; a second
// one can't change what was received, and becomes a video of the same name, owner, workspace and policy.
func (t tx) place(ctx context.Context, v video.Video, src video.Source) (id video.ID, settings, owner string, err error) {
	source, err := marshal(src)
	if err != nil {
		return "", "", "", err
	}
	up, err := t.UploadByKey(ctx, sqlc.UploadByKeyParams{Bucket: src.Bucket, Key: src.Key})
	granted := err == nil
	if granted {
		var row sqlc.AttachSourceRow
		row, err = t.AttachSource(ctx, sqlc.AttachSourceParams{ID: up.Video, Source: source, Received: t.now})
		if err == nil {
			return video.ID(up.Video), row.Settings, row.Owner, nil
		}
	}
	if !errors.Is(err, sql.ErrNoRows) {
		return "", "", "", err
	}
	if granted {
		first, err := t.GrantedVideo(ctx, up.Video)
		switch {
		case err == nil && first.Status == string(video.Deleting) && first.Source == "":
			return "", "", "", video.ErrStale // its video was deleted before the source came
		case err == nil:
			v.Name, v.Owner, v.Workspace, v.Policy = first.Name, first.Owner, first.Workspace, video.Policy(first.Playback)
		case !errors.Is(err, sql.ErrNoRows):
			return "", "", "", err
		}
	}
	v.Source = &src
	row, err := insertion(v, t.now)
	if err != nil {
		return "", "", "", err
	}
	return v.ID, row.Settings, row.Owner, t.InsertVideo(ctx, row)
}

// begin makes a generation and its ingest step.
func (t tx) begin(ctx context.Context, id string, n int64, settings string) error {
	if err := t.InsertGeneration(ctx, sqlc.InsertGenerationParams{Video: id, N: n, Settings: settings, Created: t.now}); err != nil {
		return err
	}
	return t.InsertStep(ctx, sqlc.InsertStepParams{Video: id, Generation: n, Name: string(video.Ingest), Weight: ingestWeight})
}

package upload

import (
	"context"
	"time"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Store keeps uploads and the ObjectCreated facts. Each method is one transaction.
type Store interface {
	// Grant records the right to put one source: a waiting video, its upload, and the jobs that look for the source.
	Grant(ctx context.Context, v video.Video, up video.Upload, looks []engine.Job) error
	// Upload returns the upload that a video was granted for; fault.NotFound, code "no_upload", where there is none or
	// its video was deleted.
	Upload(ctx context.Context, id video.ID) (video.Upload, error)
	// Looked records that a look found no source of a video, sets when the next look is due (the zero time for never),
	// inserts its job and completes done.
	// Where the source has come meanwhile, or the video was deleted, it only completes done.
	Looked(ctx context.Context, id video.ID, next time.Time, looks []engine.Job, done engine.Handle) error
	// Received records one accepted write and what it starts: a fact (bucket, key, version or etag+time), an event and next. Where the key is that of a granted upload, its video
	// is meant; else v is created as it is. It returns the video that the fact belongs to and whether the fact is new: the same fact comes as often as its event does, and counts
	// once. It is video.ErrStale where the upload's video was deleted while it waited: then nothing is recorded.
	Received(ctx context.Context, v video.Video, src video.Source, next func(video.ID) []engine.Job) (id video.ID, fresh bool, err error)
	// Unknown returns those of the writes that no fact tells of.
	Unknown(ctx context.Context, writes []video.Source) ([]video.Source, error)
	// Enqueue inserts jobs.
	Enqueue(ctx context.Context, jobs []engine.Job) error
	// Videos returns up to q.Limit videos with ids below q.Before, newest first.
	Videos(ctx context.Context, q video.Query) ([]video.Video, error)
	// Lost marks that objects of a video are gone: its failure becomes why, and an event is written. Nothing changes, and marked is false, where that
	// is known, another generation than published is published by now, or one is under way, whose steps tell.
	Lost(ctx context.Context, id video.ID, published int, what event.Type, why video.Failure) (marked bool, err error)
}

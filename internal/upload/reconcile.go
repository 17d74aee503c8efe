package upload

import (
	"context"
	"errors"

	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// listed is how many objects are compared with the records at once.
const listed = 1000

// Reconcile records every object of the uploads bucket that no event told of, and returns how many those were. One object that fails doesn't hold up the
// others; the first error is returned with the count. It costs one listing of the bucket (a request for each thousand objects) and one look-up in the database for each object
// whose name may start a video; only an object that is not known costs what Created does.
func (d *Service) Reconcile(ctx context.Context) (found int, err error) {
	var page []video.Source
	compare := func() error {
		unknown, failed := d.Store.Unknown(ctx, page)
		page = page[:0]
		if failed != nil {
			return failed
		}
		for _, o := range unknown {
			fresh, failed := d.receive(ctx, o.Bucket, o.Key)
			if stale := (staleWrite{}); errors.As(failed, &stale) { // that write and no other: once the video's rows are gone, its key makes videos again
				_, failed = d.Objects.DeleteWrite(ctx, stale.write)
			}
			if fresh {
				found++
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if failed != nil && err == nil {
				err = failed
			}
		}
		return nil
	}
	for o, failed := range d.Objects.List(ctx, d.Bucket, "") {
		if failed != nil {
			return found, failed
		}
		if !d.starts(o.Bucket, o.Key) {
			continue
		}
		page = append(page, video.Source{Bucket: o.Bucket, Key: o.Key, ETag: o.ETag, Modified: o.Modified})
		if len(page) == listed {
			if failed := compare(); failed != nil {
				return found, failed
			}
		}
	}
	if failed := compare(); failed != nil {
		return found, failed
	}
	return found, err
}

// Inspect looks whether the next n videos still have their objects, from the newest to the oldest and then from the newest again, and marks those that
// have not; it returns how many it marked. It costs two HEADs for each video, and a listing of one key for each object
// that is gone. Which video is next, only this process remembers.
func (d *Service) Inspect(ctx context.Context, n int) (marked int, err error) {
	videos, err := d.Store.Videos(ctx, video.Query{Within: video.Everywhere(), Before: d.inspected, Limit: n})
	if err != nil {
		return 0, err
	}
	for _, v := range videos {
		lost, err := d.inspect(ctx, v)
		if err != nil {
			return marked, err
		}
		if lost {
			marked++
		}
		d.inspected = v.ID
	}
	if len(videos) < n {
		d.inspected = ""
	}
	return marked, nil
}

// inspect looks at the objects of one video: the playlist by which players begin, and the pinned source.
func (d *Service) inspect(ctx context.Context, v video.Video) (marked bool, err error) {
	if v.Source == nil || v.Published == 0 { // nothing is there yet, or its steps tell
		return false, nil
	}
	what, why := event.OutputsLost, video.Failure{Code: "outputs_missing", Message: "Published files of this video are gone from the bucket; encode it again."}
	gone, err := d.gone(ctx, v.Output.HLS)
	if err == nil && !gone {
		what, why = event.SourceLost, video.Failure{Code: "source_missing", Message: "The source of this video is gone from the bucket; it plays, and can't be encoded again."}
		gone, err = d.gone(ctx, v.Source.Pin)
	}
	if err != nil || !gone {
		return false, err
	}
	marked, err = d.Store.Lost(ctx, v.ID, v.Published, what, why)
	if marked {
		d.Logger.Error("objects of a video are gone", "video", v.ID, "code", why.Code)
	}
	return marked, err
}

// gone reports whether the media bucket answers and has no such object.
func (d *Service) gone(ctx context.Context, key string) (bool, error) {
	_, err := d.Objects.Head(ctx, d.MediaBucket, key)
	if fault.Is(err, fault.NotFound) {
		return true, nil
	}
	return false, err
}

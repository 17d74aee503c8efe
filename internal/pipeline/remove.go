package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// retire removes the objects of a generation that is not published: one that was replaced long enough ago, or one that failed.
func (p *Pipeline) retire(ctx context.Context, a engine.Attempt) error {
	var what retirement
	if err := json.Unmarshal(a.Job.Args, &what); err != nil {
		return fault.New(fault.Invalid, "pipeline.retire", "bad_job", "The job's arguments are not those of a retirement.", err)
	}
	prefix, err := p.Remover.Retirable(ctx, what.Video, what.Generation, a.Handle)
	if errors.Is(err, video.ErrStale) {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := p.Objects.DeletePrefix(ctx, p.Media, attemptsPrefix(prefix, what.Generation)); err != nil {
		return err
	}
	if _, err := p.Objects.DeletePrefix(ctx, p.Media, generationPrefix(prefix, what.Generation)); err != nil {
		return err
	}
	return p.Remover.Retire(ctx, what.Video, what.Generation, a.Handle)
}

// delete removes a deleted video: outputs, the upload if it is still the write that the video's fact names or the
// parts of one that was not completed, the pinned source, and the rows.
func (p *Pipeline) delete(ctx context.Context, a engine.Attempt) error {
	var what deletion
	if err := json.Unmarshal(a.Job.Args, &what); err != nil || what.Prefix == "" {
		return fault.New(fault.Invalid, "pipeline.delete", "bad_job", "The job's arguments are not those of a deletion.", err)
	}
	if _, err := p.Objects.DeletePrefix(ctx, p.Media, what.Prefix+"/"); err != nil {
		return err
	}
	v, err := p.Remover.Removable(ctx, what.Video)
	if errors.Is(err, video.ErrStale) {
		return nil // the second time: the rows are gone, and what came late is too
	}
	if err != nil {
		return err
	}
	for generation := 1; generation <= v.Newest; generation++ {
		p.sources.forget(v.ID, generation)
	}
	if src := v.Source; src != nil {
		if err := p.removeSource(ctx, v.ID, *src); err != nil {
			return err
		}
	} else if err := p.removeParts(ctx, v.ID); err != nil {
		return err
	}
	return p.Remover.Remove(ctx, v.ID, a.Handle)
}

// abort removes the parts of a deleted video's upload.
func (p *Pipeline) abort(ctx context.Context, a engine.Attempt) error {
	var what deletion
	if err := json.Unmarshal(a.Job.Args, &what); err != nil {
		return fault.New(fault.Invalid, "pipeline.abort", "bad_job", "The job's arguments are not those of an abort.", err)
	}
	return p.removeParts(ctx, what.Video)
}

// removeParts aborts the multipart upload of a video whose source did not come. A part that is sent meanwhile can stay
// behind: the deletion aborts again, and the sweep what is left then.
func (p *Pipeline) removeParts(ctx context.Context, id video.ID) error {
	up, err := p.Remover.DeletedUpload(ctx, id)
	if fault.Is(err, fault.NotFound) || err == nil && up.Multipart == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return p.Objects.Abort(ctx, bucket.Multipart{Bucket: up.Bucket, Key: up.Key, ID: up.Multipart})
}

// removeSource removes the pin, and the upload if it is still the write that the video was made from. A newer write of
// the same key is handed over before
// anything else goes: it is a video of its own, whatever its bytes are.
func (p *Pipeline) removeSource(ctx context.Context, id video.ID, src video.Source) error {
	write := bucket.Object{Bucket: src.Bucket, Key: src.Key, ETag: src.ETag, Modified: src.Modified}
	newer, err := p.Objects.DeleteWrite(ctx, write)
	if err != nil {
		return err
	}
	if newer && p.Arrived != nil {
		// It stays where it is either way, so the reconciler finds what can't be accepted now.
		if err := p.Arrived(ctx, bucket.Object{Bucket: src.Bucket, Key: src.Key}); err != nil {
			p.Log.Warn("a newer upload under the key of a deleted video waits for the reconciler", "video", id, "key", src.Key, "error", err)
		}
	}
	return p.Objects.Delete(ctx, p.Media, src.Pin)
}

// Clean empties the scratch folder of what an earlier process left. Nothing there is a fact: all of it can be made again.
func Clean(scratch string) error {
	if err := os.RemoveAll(scratch); err != nil {
		return err
	}
	return os.MkdirAll(scratch, 0o700)
}

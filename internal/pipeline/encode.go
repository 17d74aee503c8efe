package pipeline

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"sync"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// encode makes one chunk of every rung.
func (p *Pipeline) encode(ctx context.Context, r *run) error {
	if r.ref.N >= len(r.Plan.Chunks) {
		return fault.New(fault.Invalid, "pipeline.encode", "bad_job", "The plan has no such chunk.", nil)
	}
	chunk := r.Plan.Chunks[r.ref.N]
	expected := chunk.Frames
	if expected == 0 {
		expected = r.Plan.Frames - chunk.Start
	}
	at := func(frame int64) time.Duration {
		return time.Duration(float64(frame) / r.Plan.Rate.Float() * float64(time.Second))
	}
	part := func(x *ffmpeg.Index) []video.Extent {
		to := at(chunk.Start + chunk.Frames)
		if chunk.Frames == 0 {
			to = 0
		}
		return x.Pictures(min(at(chunk.Start), r.Video.Facts.Video.Duration)-r.Plan.Preroll, to)
	}
	progress := p.progress(ctx, r)
	var made []ffmpeg.TrackFiles
	var frames int64
	err := p.read(ctx, r, part, func(src ffmpeg.Source) (err error) {
		made, frames, err = p.Tool.EncodeChunk(ctx, src, *r.Video.Facts, *r.Plan, chunk, r.dir, r.Plan.Threads, func(frames int64) {
			progress(float64(frames) / float64(max(expected, 1)))
		})
		return err
	})
	if err != nil {
		return err
	}
	result := video.Result{Frames: frames}
	for i := range made {
		if err := p.put(ctx, r, &made[i]); err != nil {
			return err
		}
		result.Tracks, result.Added = append(result.Tracks, made[i].Track), made[i].Added
	}
	return p.finish(ctx, r, result)
}

// audio makes the audio rendition, whole: an encoder's priming would be heard at every join.
func (p *Pipeline) audio(ctx context.Context, r *run) error {
	progress := p.progress(ctx, r)
	var made ffmpeg.TrackFiles
	err := p.read(ctx, r, (*ffmpeg.Index).Sound, func(src ffmpeg.Source) (err error) {
		made, err = p.Tool.EncodeAudio(ctx, src, *r.Video.Facts, *r.Plan, r.dir, func(at time.Duration) {
			progress(at.Seconds() / max(r.Plan.Duration.Seconds(), 0.001))
		})
		return err
	})
	if err != nil {
		return err
	}
	if err := p.put(ctx, r, &made); err != nil {
		return err
	}
	return p.finish(ctx, r, video.Result{Tracks: []video.Track{made.Track}, Added: made.Added})
}

// stills makes poster and thumbnail.
func (p *Pipeline) stills(ctx context.Context, r *run) error {
	var files []ffmpeg.StillFile
	part := func(x *ffmpeg.Index) []video.Extent { return ffmpeg.StillPart(x, *r.Video.Facts) }
	err := p.read(ctx, r, part, func(src ffmpeg.Source) (err error) {
		files, err = p.Tool.Stills(ctx, src, *r.Video.Facts, *r.Plan, r.dir)
		return err
	})
	if err != nil {
		return err
	}
	var result video.Result
	for _, f := range files {
		object, err := objectOf(f.Name, f.Path)
		if err != nil {
			return err
		}
		if err := p.putOwn(ctx, r, &object, f.Path); err != nil {
			return err
		}
		result.Stills = append(result.Stills, object)
	}
	return p.finish(ctx, r, result)
}

// finish ends a step that is not the last on the way.
func (p *Pipeline) finish(ctx context.Context, r *run, result video.Result) error {
	publish := StepJob(video.StepRef{Video: r.ref.Video, Generation: r.ref.Generation, Name: video.Publish})
	p.at(r, "made")
	return p.Store.Finish(ctx, r.ref, result, []engine.Job{publish}, r.done)
}

// put puts the files of a track into the bucket, and notes in the track where they are. Init segments of all chunks are
// the same bytes, which publish checks, so
// that the first chunk alone puts one.
func (p *Pipeline) put(ctx context.Context, r *run, t *ffmpeg.TrackFiles) error {
	var objects []*video.Object
	if r.ref.N == 0 {
		objects = append(objects, &t.Track.Init)
	}
	for i := range t.Track.Segments {
		objects = append(objects, &t.Track.Segments[i].Object)
	}
	for _, o := range objects {
		if err := p.putOwn(ctx, r, o, t.Paths[o.Name]); err != nil {
			return err
		}
	}
	return nil
}

// putOwn puts one output of an attempt under its name. Another attempt may have put other bytes there, or may still do
// so: on another kind of CPU, or by another
// version of the tool. They are not replaced, since that attempt may be the one that ends the step; this one puts its
// own beside them.
func (p *Pipeline) putOwn(ctx context.Context, r *run, o *video.Object, file string) error {
	kind := contentType(o.Name)
	own, err := p.Objects.PutOwn(ctx, p.Media, outputKey(r.Video, r.ref.Generation, o.Name), file, kind)
	if err != nil || own {
		return err
	}
	o.At = r.own + o.Name
	r.log.Info("another attempt made other bytes", "object", o.Name, "attempt", r.Attempt)
	own, err = p.Objects.PutOwn(ctx, p.Media, o.At, file, kind)
	if err == nil && !own {
		err = fault.New(fault.Internal, "pipeline.put", "output_differs", "The storage holds other bytes than were put; check that nothing else writes to its buckets.",
			fmt.Errorf("%s was put by this attempt alone", o.At))
	}
	return err
}

// outputKey is where an output of a generation lives in the media bucket.
func outputKey(v video.Video, generation int, name string) string {
	return path.Join(generationPrefix(v.Prefix, generation), name)
}

func generationPrefix(prefix string, generation int) string {
	return fmt.Sprintf("%s/%d/", prefix, generation)
}

// attemptsPrefix is where attempts put what differs from an object that is there. Its second element is no number, so
// that the edge serves nothing of it.
func attemptsPrefix(prefix string, generation int) string {
	return fmt.Sprintf("%s/"+Attempts+"/%d/", prefix, generation)
}

// Attempts is the name of the folder, beside the generations of a video, for what attempts put beside the objects of
// others.
const Attempts = "attempts"

// objectOf describes a file as the object of that name that is made from it.
func objectOf(name, file string) (video.Object, error) {
	body, err := os.ReadFile(file)
	if err != nil {
		return video.Object{}, err
	}
	sum := sha256.Sum256(body)
	return video.Object{Name: name, Bytes: int64(len(body)), SHA256: hex.EncodeToString(sum[:])}, nil
}

// contentType is the media type of an output (RFC 8216 §4, RFC 4337, RFC 8081 have no word for .m4s: ISO/IEC 23009-1 Annex C has).
func contentType(name string) string {
	switch filepath.Ext(name) {
	case ".m3u8":
		return "application/vnd.apple.mpegurl"
	case ".mpd":
		return "application/dash+xml"
	case ".jpg":
		return "image/jpeg"
	case ".m4s":
		return "video/iso.segment"
	default:
		return "video/mp4"
	}
}

// progressEvery bounds how often a running step writes its progress.
const progressEvery = time.Second

// progress returns a function that notes how far the step is, at most once a second.
func (p *Pipeline) progress(ctx context.Context, r *run) func(fraction float64) {
	var mu sync.Mutex
	var last time.Time
	return func(fraction float64) {
		mu.Lock()
		defer mu.Unlock()
		now := p.Now()
		if now.Sub(last) < progressEvery {
			return
		}
		last = now
		if err := p.Results.Progress(ctx, r.ref, min(max(fraction, 0), 1)); err != nil && ctx.Err() == nil {
			r.log.Debug("progress not noted", "error", err)
		}
	}
}

package pipeline

import (
	"context"
	"errors"
	"os"
	"path"
	"path/filepath"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// pinned opens the pinned source as a file of this machine, until the attempt ends. Nothing of a remote one is there yet.
func (p *Pipeline) pinned(ctx context.Context, r *run) (*bucket.File, error) {
	file, err := p.Objects.Local(ctx, p.Media, r.Video.Source.Pin)
	if err == nil {
		r.open = append(r.open, file)
	}
	if fault.Is(err, fault.NotFound) || err == nil && file.Size != r.Video.Source.Size {
		return nil, fault.New(fault.NotFound, "pipeline.source", "source_missing", "The source of this video is gone from the bucket; upload it again.", err)
	}
	return file, err
}

// read has do read the source, or its copy in the container that the plan names. Of a remote source with an index, do first gets a file of which only part is
// there; where that turns out not to be enough, it gets the whole.
func (p *Pipeline) read(ctx context.Context, r *run, part func(*ffmpeg.Index) []video.Extent, do func(ffmpeg.Source) error) error {
	if r.Plan != nil && r.Plan.Remux != "" {
		copied, err := p.prepared(ctx, r)
		if err != nil {
			return err
		}
		return do(ffmpeg.Whole(copied))
	}
	file, err := p.pinned(ctx, r)
	if err != nil {
		return err
	}
	if file.Remote() {
		index, err := p.indexes.of(r.Video.Source.Pin, func() (*ffmpeg.Index, error) {
			return ffmpeg.ReadIndex(file.Reader(ctx), file.Size)
		})
		if err != nil {
			return err
		}
		if index != nil {
			if err := file.Fetch(ctx, part(index)...); err != nil {
				return err
			}
			err := do(ffmpeg.Source{Path: file.Path, Partial: true})
			if !errors.Is(err, ffmpeg.ErrPartial) {
				return err
			}
			r.log.Info("the whole source is fetched", "bytes", file.Size, "why", err)
		}
	}
	if err := p.fetch(ctx, r, file, 0); err != nil {
		return err
	}
	return do(ffmpeg.Whole(file.Path))
}

// fetch has the whole source on this machine. It asks for room for what is missing, and for a copy that takes so many
// bytes more; the room for what was missing is given back.
func (p *Pipeline) fetch(ctx context.Context, r *run, file *bucket.File, copied int64) error {
	missing := file.Missing()
	if err := p.reserve(r, file, copied); err != nil {
		return err
	}
	if err := file.Fetch(ctx); err != nil {
		return err
	}
	p.sources.fetched(generation{r.ref.Video, r.ref.Generation}, missing)
	return nil
}

// prepared is the copy of the source in the container that the plan names.
func (p *Pipeline) prepared(ctx context.Context, r *run) (string, error) {
	return p.copied(ctx, r, r.Plan.Remux, nil)
}

// copied is the copy of the source, made once however many steps ask, and whole or not at all. f are the original's
// facts; nil has them read again: those of the video are the copy's, whose streams may stand in another order.
func (p *Pipeline) copied(ctx context.Context, r *run, container string, f *video.Facts) (string, error) {
	g := generation{r.ref.Video, r.ref.Generation}
	name := p.sources.path(g.video, g.n, container)
	p.reads(r)
	_, err, _ := p.sources.under.Do(name, func() (any, error) {
		if p.sources.have(g, name) {
			return nil, nil
		}
		p.sources.sweep()
		original, err := p.pinned(ctx, r)
		if err != nil {
			return nil, err
		}
		if err := p.fetch(ctx, r, original, copyNeed(original.Size)); err != nil {
			return nil, err
		}
		if f == nil {
			facts, err := p.Tool.Probe(ctx, ffmpeg.Whole(original.Path), path.Base(r.Video.Name))
			if err != nil {
				return nil, err
			}
			f = &facts
		}
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return nil, err
		}
		part := filepath.Join(r.dir, filepath.Base(name))
		if err := p.Tool.Remux(ctx, original.Path, part, *f, container); err != nil {
			return nil, err
		}
		if err := os.Rename(part, name); err != nil {
			return nil, err
		}
		p.sources.made(g)
		return nil, nil
	})
	return name, err
}

// reads keeps the copy of the source from being removed until the attempt ends.
func (p *Pipeline) reads(r *run) {
	if r.read == nil {
		r.read = p.sources.read(generation{r.ref.Video, r.ref.Generation}, r.Video.Source.Size)
	}
}

// reserve has room for what is missing of the source, and for a copy that takes so many bytes more, or makes the step
// wait.
func (p *Pipeline) reserve(r *run, file *bucket.File, copied int64) error {
	missing := file.Missing()
	if missing+copied == 0 {
		return nil
	}
	p.reads(r)
	return p.sources.reserve(generation{r.ref.Video, r.ref.Generation}, demand{
		bytes: missing + copied, kept: file.Size - missing, copy: copied > 0, begun: r.ref.Name != video.Ingest, job: r.done.ID(),
	})
}

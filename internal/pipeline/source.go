package pipeline

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/ffmpeg"
	"sluice/internal/video"
)

// sources keeps, a generation, the copy of a source in a container with an index, where the source has none. It can be made again from the
// source at any time, so a crash costs only the copying.
type sources struct {
	dir   string
	under singleflight.Group
}

func (s *sources) path(id video.ID, generation int, container string) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d", id, generation), "source."+map[string]string{"mp4": "mp4", "matroska": "mkv"}[container])
}

// forget removes the copy of a generation.
func (s *sources) forget(id video.ID, generation int) {
	_ = os.RemoveAll(filepath.Join(s.dir, fmt.Sprintf("%s-%d", id, generation))) // scratch is emptied at start, too
}

// keepCopy is how long a copy that no step began with is kept: what ends a generation removes the copies of its own machine alone.
const keepCopy = time.Hour

// have reports whether a copy is there, and keeps it from being swept.
func (s *sources) have(copied string, now time.Time) bool {
	return os.Chtimes(filepath.Dir(copied), now, now) == nil && exists(copied)
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// sweep removes the copies that no step has begun with for keepCopy. A tool that still reads one goes on: it has it open.
func (s *sources) sweep(now time.Time) {
	copies, _ := os.ReadDir(s.dir) // none is there before the first
	for _, c := range copies {
		if info, err := c.Info(); err == nil && now.Sub(info.ModTime()) > keepCopy {
			_ = os.RemoveAll(filepath.Join(s.dir, c.Name()))
		}
	}
}

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

// original is the file of the whole source.
func (p *Pipeline) original(ctx context.Context, r *run) (string, error) {
	file, err := p.pinned(ctx, r)
	if err != nil {
		return "", err
	}
	return file.Path, file.Fetch(ctx)
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
		index, err := ffmpeg.ReadIndex(file.Reader(ctx), file.Size)
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
	if err := file.Fetch(ctx); err != nil {
		return err
	}
	return do(ffmpeg.Whole(file.Path))
}

// prepared is the copy of the source in the container that the plan names.
func (p *Pipeline) prepared(ctx context.Context, r *run) (string, error) {
	copied := p.sources.path(r.ref.Video, r.ref.Generation, r.Plan.Remux)
	if p.sources.have(copied, p.Now()) {
		return copied, nil
	}
	original, err := p.original(ctx, r)
	if err != nil {
		return "", err
	}
	// The video's facts are those of the copy, whose streams may stand in another order; what to copy, only the original tells.
	facts, err := p.Tool.Probe(ctx, ffmpeg.Whole(original), path.Base(r.Video.Name))
	if err != nil {
		return "", err
	}
	return p.remuxed(ctx, r, original, facts, r.Plan.Remux)
}

// remuxed makes the copy, once however many steps ask, and whole or not at all. f are the original's facts.
func (p *Pipeline) remuxed(ctx context.Context, r *run, original string, f video.Facts, container string) (string, error) {
	copied := p.sources.path(r.ref.Video, r.ref.Generation, container)
	_, err, _ := p.sources.under.Do(copied, func() (any, error) {
		if p.sources.have(copied, p.Now()) {
			return nil, nil
		}
		p.sources.sweep(p.Now())
		if err := os.MkdirAll(filepath.Dir(copied), 0o700); err != nil {
			return nil, err
		}
		part := filepath.Join(r.dir, filepath.Base(copied))
		if err := p.Tool.Remux(ctx, original, part, f, container); err != nil {
			return nil, err
		}
		return nil, os.Rename(part, copied)
	})
	return copied, err
}

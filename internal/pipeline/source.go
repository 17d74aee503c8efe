package pipeline

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"

	"golang.org/x/sync/singleflight"

	"sluice/internal/bucket"
	"sluice/internal/fault"
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

// local opens an object of the media bucket as a file, all of it, until the attempt ends.
func (p *Pipeline) local(ctx context.Context, r *run, key string) (*bucket.File, error) {
	file, err := p.Objects.Local(ctx, p.Media, key)
	if err != nil {
		return nil, err
	}
	r.open = append(r.open, file)
	return file, file.Fetch(ctx)
}

// original is where the pinned bytes of the source are.
func (p *Pipeline) original(ctx context.Context, r *run) (string, error) {
	file, err := p.local(ctx, r, r.Video.Source.Pin)
	if fault.Is(err, fault.NotFound) || err == nil && file.Size != r.Video.Source.Size {
		return "", fault.New(fault.NotFound, "pipeline.source", "source_missing", "The source of this video is gone from the bucket; upload it again.", err)
	}
	if err != nil {
		return "", err
	}
	return file.Path, nil
}

// prepared is the file that the tools read: the original, or its copy in the container that the plan names.
func (p *Pipeline) prepared(ctx context.Context, r *run) (string, error) {
	original, err := p.original(ctx, r)
	if err != nil || r.Plan.Remux == "" {
		return original, err
	}
	copied := p.sources.path(r.ref.Video, r.ref.Generation, r.Plan.Remux)
	if _, err := os.Stat(copied); err == nil {
		return copied, nil
	}
	// The video's facts are those of the copy, whose streams may stand in another order; what to copy, only the original tells.
	facts, err := p.Tool.Probe(ctx, original, path.Base(r.Video.Name))
	if err != nil {
		return "", err
	}
	return p.remuxed(ctx, r, original, facts, r.Plan.Remux)
}

// remuxed makes the copy, once however many steps ask, and whole or not at all. f are the original's facts.
func (p *Pipeline) remuxed(ctx context.Context, r *run, original string, f video.Facts, container string) (string, error) {
	copied := p.sources.path(r.ref.Video, r.ref.Generation, container)
	_, err, _ := p.sources.under.Do(copied, func() (any, error) {
		if _, err := os.Stat(copied); err == nil {
			return nil, nil
		}
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

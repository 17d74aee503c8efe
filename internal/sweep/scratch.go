package sweep

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"sluice/internal/video"
)

// scratch finds folders of steps that are over and copies of sources of generations that are. What has another name is somebody else's.
func (s *Sweeper) scratch(ctx context.Context, remove bool) (found []Item, err error) {
	for _, pattern := range []string{"step-*", "sources/*-*"} {
		dirs, err := filepath.Glob(filepath.Join(s.Scratch, filepath.FromSlash(pattern)))
		if err != nil {
			return found, err
		}
		for _, dir := range dirs {
			i := Item{Kind: Scratch}
			if i.Name, err = filepath.Rel(s.Scratch, dir); err != nil {
				return found, err
			}
			live, err := s.live(ctx, dir)
			if err == nil && !live {
				live, err = s.young(dir, &i)
			}
			if err != nil {
				return found, err
			}
			if live {
				continue
			}
			if remove {
				if err := os.RemoveAll(dir); err != nil {
					return found, err
				}
			}
			found = append(found, i)
		}
	}
	return found, nil
}

// live reports whether a step may use a folder: one of its own, or the copy of its source.
func (s *Sweeper) live(ctx context.Context, dir string) (bool, error) {
	name := filepath.Base(dir)
	if strings.HasPrefix(name, "step-") {
		return s.InUse(dir), nil
	}
	first, last, _ := strings.Cut(name, "-")
	id, ok := video.ParseID(first)
	n, err := strconv.Atoi(last)
	if !ok || err != nil {
		return true, nil // not made by the pipeline
	}
	known, err := s.Store.Remains(ctx, id)
	if err != nil {
		return true, err
	}
	state := known.Generations[n].State
	return !known.Deleting && (state == "waiting" || state == "planned"), nil
}

// young adds a folder up, and reports whether something in it changed lately.
func (s *Sweeper) young(dir string, i *Item) (bool, error) {
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !d.IsDir() {
			i.Bytes += info.Size()
		}
		if info.ModTime().After(i.Since) {
			i.Since = info.ModTime()
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) { // its step ended meanwhile
		return true, nil
	}
	return !s.old(i.Since), err
}

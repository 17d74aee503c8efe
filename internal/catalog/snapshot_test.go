package catalog

import (
	"context"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

func TestASnapshotIsWhatTheDatabaseWasAndKnowsWhatWasRemovedSince(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, copied := filepath.Join(dir, "live.db"), filepath.Join(dir, "copy.db")
	w := &world{Store: openAt(t, file), t: t}
	kept, deleted, earlier := w.received("kept.mp4"), w.received("deleted.mp4"), w.received("earlier.mp4")
	w.published(kept, 1)
	w.must(w.Delete(t.Context(), earlier, nil))
	then := time.Now()
	newest, err := Snapshot(t.Context(), file, copied)
	w.must(err)
	videos, generations, err := RemovedAfter(t.Context(), file, newest, then)
	w.must(err)
	if len(videos) != 0 || generations {
		t.Errorf("removed although nothing was: %v, %v", videos, generations)
	}

	w.must(w.Delete(t.Context(), deleted, nil))
	late := w.received("late.mp4")
	videos, generations, err = RemovedAfter(t.Context(), file, newest, then)
	w.must(err)
	if !slices.Equal(videos, []video.ID{deleted}) || generations {
		t.Errorf("removed %v and generations %v, want only %s", videos, generations, deleted)
	}
	_, err = w.Encode(t.Context(), kept, video.Settings{}, func(int) []engine.Job { return nil })
	w.must(err)
	w.published(kept, 2)
	_, err = w.Retirable(t.Context(), kept, 1, engine.Handle{})
	w.must(err)
	if _, generations, err = RemovedAfter(t.Context(), file, newest, then); err != nil || !generations {
		t.Errorf("a generation that is being removed isn't told: %v", err)
	}
	if _, generations, err = RemovedAfter(t.Context(), file, newest, time.Now().Add(time.Minute)); err != nil || generations {
		t.Errorf("a generation whose removal was due before is told: %v", err)
	}
	w.must(w.Retire(t.Context(), kept, 1, engine.Handle{}))
	if _, generations, err = RemovedAfter(t.Context(), file, newest, then); err != nil || !generations {
		t.Errorf("a retired generation isn't told: %v", err)
	}

	c := &world{Store: openAt(t, copied), t: t}
	if v := c.video(kept); v.Status != video.Ready || v.Published != 1 {
		t.Errorf("the copy has %+v", v)
	}
	if v := c.video(deleted); v.Status != video.Waiting {
		t.Errorf("the copy has %+v", v)
	}
	for _, id := range []video.ID{late, earlier} {
		if v, err := c.Video(context.Background(), id); err == nil {
			t.Errorf("the copy has %+v", v)
		}
	}
	if n := c.jobs("publish", "available"); n != 1 {
		t.Errorf("the copy has %d publish jobs", n)
	}
	if _, err := Snapshot(t.Context(), file, copied); err == nil {
		t.Error("a snapshot was written over a file")
	}
}

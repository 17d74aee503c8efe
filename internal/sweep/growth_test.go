package sweep_test

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/sweep"
	"sluice/internal/video"
)

// counted counts what a sweep asks of the storage and of the records, and what the storage lists for it.
type counted struct {
	sweep.Objects
	sweep.Store
	n int
}

func (c *counted) Head(ctx context.Context, from, key string) (bucket.Object, error) {
	c.n++
	return c.Objects.Head(ctx, from, key)
}

func tally[T any](c *counted, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	c.n++
	return func(yield func(T, error) bool) {
		for one, err := range all {
			c.n++
			if !yield(one, err) {
				return
			}
		}
	}
}

func (c *counted) List(ctx context.Context, from, prefix string) iter.Seq2[bucket.Object, error] {
	return tally(c, c.Objects.List(ctx, from, prefix))
}

func (c *counted) Folders(ctx context.Context, from, prefix string) iter.Seq2[string, error] {
	return tally(c, c.Objects.Folders(ctx, from, prefix))
}

func (c *counted) Multiparts(ctx context.Context, from string) iter.Seq2[bucket.Multipart, error] {
	return tally(c, c.Objects.Multiparts(ctx, from))
}

func (c *counted) Remains(ctx context.Context, id video.ID) (video.ObjectsToDelete, error) {
	c.n++
	return c.Store.Remains(ctx, id)
}

func (c *counted) Abandoned(ctx context.Context, before time.Time, after video.ID, limit int) ([]video.Upload, error) {
	all, err := c.Store.Abandoned(ctx, before, after, limit)
	c.n += 1 + len(all)
	return all, err
}

func TestSweep_FourTimesTheVideos_AsksFourTimes(t *testing.T) {
	t.Parallel()
	cost := func(n int) int {
		y := newYard(t, t.TempDir()+"/sluice.db")
		for i := range n {
			v := y.source(fmt.Sprintf("film-%d.mp4", i))
			y.publish(v.ID)
			y.put("media", v.Prefix+"/1/index.m3u8")
			y.put("media", v.Prefix+"/2/left.m4s") // of no generation
			y.grant()
			y.parts(fmt.Sprintf("part-%d.mp4", i))
		}
		y.ahead = 48 * time.Hour
		c := &counted{Objects: y.objects, Store: y}
		y.sweeper.Config.Objects, y.sweeper.Config.Store = c, c
		if found := y.sweep(false); len(found) < 3*n {
			t.Errorf("%d leftovers are found among %d videos: %q", len(found), n, found)
		}
		return c.n
	}
	one, four := cost(8), cost(32)
	t.Logf("8 videos cost %d operations, 32 cost %d", one, four)
	if four > 4*one {
		t.Errorf("8 videos cost %d operations, 32 cost %d", one, four)
	}
}

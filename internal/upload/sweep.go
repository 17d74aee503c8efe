package upload

import (
	"context"
	"sync"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// PinPrefix is the folder of the pins in the media bucket.
const PinPrefix = "sources/"

// pinRest is how old a pin must be to be swept: far longer than any node takes from pinning an object to recording it, by clocks that may differ by hours. A
// machine that is an hour fast must not take away what another has pinned and is about to record.
const pinRest = 24 * time.Hour

// page is how many videos a sweep reads at once.
const page = 100

// pins notes which pins this process is about to record, so that a sweep leaves them alone.
type pins struct {
	mu     sync.Mutex
	active map[string]int
	seen   map[string]bool // since the running sweep began; nil while none runs
}

// begin notes a pin before it is made, and returns what ends the note once its fact is recorded or not.
func (p *pins) begin(key string) (end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active == nil {
		p.active = map[string]int{}
	}
	p.active[key]++
	if p.seen != nil {
		p.seen[key] = true
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.active[key]--; p.active[key] == 0 {
			delete(p.active, key)
		}
	}
}

// watch begins a sweep.
func (p *pins) watch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = map[string]bool{}
	for key := range p.active {
		p.seen[key] = true
	}
}

// rest ends a sweep.
func (p *pins) rest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

// unless runs remove for a pin that nobody was about to record since the sweep began. Who begins with it now waits, and makes it anew.
func (p *pins) unless(key string, remove func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen[key] {
		return nil
	}
	return remove()
}

// StrayPins finds pins of writes that were never recorded: while the database is away every try of a client leaves one, which keeps the bytes of a
// whole source. Those older than that, and than a day, are returned, and removed where told to. One search runs at a time. It costs a listing of the
// pins, and where some are that old a reading of all videos.
func (d *Service) StrayPins(ctx context.Context, older time.Duration, remove bool) (found []bucket.Object, err error) {
	d.sweeping.Lock()
	defer d.sweeping.Unlock()
	d.pins.watch()
	defer d.pins.rest()
	stray := map[string]bucket.Object{}
	for o, err := range d.Objects.List(ctx, d.MediaBucket, PinPrefix) {
		if err != nil {
			return nil, err
		}
		if d.Now().Sub(o.Modified) > max(older, pinRest) {
			stray[o.Key] = o
		}
	}
	q := video.Query{Within: video.Everywhere(), Limit: page}
	for len(stray) > 0 {
		videos, err := d.Store.Videos(ctx, q)
		if err != nil {
			return nil, err
		}
		if len(videos) == 0 {
			break
		}
		for _, v := range videos {
			if v.Source != nil {
				delete(stray, v.Source.Pin)
			}
		}
		q.Before = videos[len(videos)-1].ID
	}
	for key, o := range stray {
		if remove {
			err := d.pins.unless(key, func() error { return d.Objects.Delete(ctx, d.MediaBucket, key) })
			if err != nil && !fault.Is(err, fault.NotFound) {
				return found, err
			}
		}
		found = append(found, o)
	}
	return found, nil
}

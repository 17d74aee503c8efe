// Package purge tells a CDN which of its copies it is to drop.
//
// The store notes that copies are to go in the transaction of what makes them wrong (a deletion, another policy, a playback that was withdrawn, a generation that was removed), with the
// job that tells the CDN, of which there is one for all that is noted. That is told twice: once the edge has given up what it remembers, a few seconds later, because a copy that
// a CDN fetched in between would stay; and again after a minute and a half, by when an edge that was cut off from the database has given up too.
//
// Promise. What is noted is told at least twice, and is forgotten when the CDN has taken both; a crash before that is noted tells it again. A CDN that refuses or is away is asked for as long as
// it takes, at least every five minutes; the job shows why it refuses. Nothing of what the CDN is told by, headers and body, is in an error, a log line or a job.
//
// Cost. One call for as many copies as fit into one (Call.Most). Failure. Copies stay until the CDN takes the call.
package purge

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// Queue is the limit that calls share.
const Queue = "purge"

const (
	kind  = "purge"
	tries = 1000 // at five minutes, three days and more; then what is left gets a job of its own
	batch = 200  // records that a transaction looks at
)

// Job tells the CDN what is due, not before a moment (at once where it is zero).
func Job(after time.Time) engine.Job {
	return engine.Job{Kind: kind, Args: json.RawMessage(`{}`), Queue: Queue, After: after, Attempts: tries}
}

// Store keeps what is to be told. Each method is one transaction.
type Store interface {
	// DueCopies returns up to limit copies that a CDN is to drop now, those that waited longest first. video.ErrStale, with the job completed, where there are none: what is due
	// later has a job then.
	DueCopies(ctx context.Context, limit int, done engine.Handle) ([]video.Copies, error)
	// CopiesDropped notes that a CDN was told of copies, as DueCopies returned them: those that are to be dropped again are due later, the others are forgotten. It
	// completes the job, and has what is left told by another.
	CopiesDropped(ctx context.Context, told []video.Copies, done engine.Handle) error
	// WakePurge inserts the job where something is noted and has none, because that was lost. It reports whether it did.
	WakePurge(ctx context.Context) (bool, error)
}

// Config is what a Purger is made from.
type Config struct {
	Store Store
	Call  Call
	// Path is the pattern of all addresses at the edge that begin with a folder and a generation of it, or with the folder where that is 0: "/stream/a-01…/*".
	Path func(folder string, generation int) string
	Now  func() time.Time
	Log  *slog.Logger
}

// Purger tells a CDN.
type Purger struct {
	Config
	caller *caller
}

// New makes a Purger. It fails where the call can't be made so.
func New(c Config) (*Purger, error) {
	made, err := newCaller(c.Call, c.Now)
	if err != nil {
		return nil, err
	}
	return &Purger{c, made}, nil
}

// Handlers maps the kind of job to the function that does it.
func (p *Purger) Handlers() map[string]engine.Worker {
	return map[string]engine.Worker{kind: p.tell}
}

// Wake has what is noted told, where the job of it was lost.
func (p *Purger) Wake(ctx context.Context) error {
	woken, err := p.Store.WakePurge(ctx)
	if woken {
		p.Log.Info("found copies that a CDN was not told of")
	}
	return err
}

// tell is one try at what is due.
func (p *Purger) tell(ctx context.Context, a engine.Attempt) error {
	due, err := p.Store.DueCopies(ctx, batch, a.Handle)
	if errors.Is(err, video.ErrStale) {
		return nil
	}
	if err != nil {
		return err
	}
	names, last := p.names(due)
	told := 0
	for told < len(names) && err == nil {
		next := min(told+p.caller.most, len(names))
		if err = p.caller.call(ctx, names[told:next]); err == nil {
			told = next
		}
	}
	if err == nil {
		p.Log.Info("CDN told to drop copies", "records", len(due), "names", len(names))
		return p.Store.CopiesDropped(ctx, due, a.Handle)
	}
	if ctx.Err() == nil { // else the server is stopping, or has lost the job
		p.Log.Warn("CDN not told to drop copies; it will be tried again", "records", len(due), "error", err)
	}
	var whole []video.Copies // those of which all names were taken
	for i, c := range due {
		if last[i] < told {
			whole = append(whole, c)
		}
	}
	if len(whole) > 0 {
		err = errors.Join(err, p.Store.CopiesDropped(context.WithoutCancel(ctx), whole, engine.Handle{}))
	}
	return err
}

// names are what a CDN calls these copies, each once, in their order; and which of them is the last that each of the copies needs.
func (p *Purger) names(all []video.Copies) (names []string, last []int) {
	at := map[string]int{}
	last = make([]int, len(all))
	for i, c := range all {
		own := c.Marks()
		if p.caller.paths {
			own = own[:0]
			for _, f := range c.Folders {
				own = append(own, p.Path(f, c.Generation))
			}
		}
		for _, name := range own {
			n, known := at[name]
			if !known {
				n, at[name] = len(names), len(names)
				names = append(names, name)
			}
			last[i] = max(last[i], n)
		}
	}
	return names, last
}

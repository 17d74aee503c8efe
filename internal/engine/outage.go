package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/fault"
)

// outage logs once that the database is away and once that it is back. Every queue of a process asks the database four times a second and the beat asks once;
// each try fails while the database is away, so a line for each would be some twenty a second.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // zero while the database answers
	ended time.Time // when the last outage was over
}

// heard reports whether err says that the database is away. The first such error of an outage is logged.
func (o *outage) heard(err error) bool {
	err = safe("engine.outage", err) // reads outside a transaction return the driver's own errors
	if !fault.Is(err, fault.Unavailable) && !errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		o.since = time.Now()
		o.log.Error("the database does not answer; work waits for it, and other processes may take over the jobs that run here", "error", err)
	}
	return true
}

// over notes that the database has answered.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since.IsZero() {
		return
	}
	o.ended = time.Now()
	o.log.Info("the database answers again; work continues", "away", o.ended.Sub(o.since).Round(time.Second))
	o.since = time.Time{}
}

// around reports whether a moment lies within an outage, or within slack of one.
func (o *outage) around(at time.Time, slack time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() || !o.ended.IsZero() && at.Sub(o.ended) < slack
}

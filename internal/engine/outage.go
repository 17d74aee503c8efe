package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sluice/internal/fault"
)

// outage logs once that the database is away and once that it is back. Every queue of a process asks the database four
// times a second and the beat asks once;
// each try fails while the database is away, so a line for each would be some twenty a second.
type outage struct {
	log *slog.Logger

	mu    sync.Mutex
	since time.Time // zero while the database answers
	ended time.Time // when the last outage was over

	answered time.Time // when the database answered last
	failed   time.Time // when a statement failed last while the database had answered within fresh
	cause    error     // of that failure; nil where over has seen it
	slow     bool      // such failures are logged as slowness of the database
}

const (
	// fresh is how long after an answer of the database failed statements are no outage. A beat that succeeds does so
	// within
	// it: a second until it is due, and the time that it is given.
	fresh = time.Second + defaultLostAfter
	// slowEnds is how long no statement fails before slowness counts as ended.
	slowEnds = time.Minute
)

// heard reports whether err says that the database is away. The first such error of an outage is logged. While the
// database
// answers other statements, the beat above all, such errors are no outage: over logs them once as slowness.
func (o *outage) heard(err error) bool {
	err = safe("engine.outage", err) // reads outside a transaction return the driver's own errors
	if !fault.Is(err, fault.Unavailable) && !errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.since.IsZero() && now.Sub(o.answered) < fresh {
		o.failed, o.cause = now, err // an answer before the end of fresh makes it slowness, none makes it an outage
		return true
	}
	if o.since.IsZero() {
		o.since = now
		o.log.Error("the database does not answer; work waits for it, and other processes may take over the jobs that run here", "error", err)
	}
	return true
}

// over notes that the database has answered.
func (o *outage) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.answered = now
	if o.since.IsZero() {
		o.slowness(now)
		return
	}
	o.slow, o.cause, o.ended = false, nil, now // the end of the outage is the end of slowness before it
	o.log.Info("the database answers again; work continues", "away", o.ended.Sub(o.since).Round(time.Second))
	o.since = time.Time{}
}

// slowness logs once that statements fail while the database answers others, and once that they no longer fail.
func (o *outage) slowness(now time.Time) {
	switch {
	case o.cause != nil && !o.slow:
		o.slow = true
		o.log.Warn("the database answers some statements and others fail; they are tried again, and more failures are not logged", "error", o.cause)
	case o.cause == nil && o.slow && now.Sub(o.failed) >= slowEnds:
		o.slow = false
		o.log.Info("no statement has failed for a minute; the database answers again")
	}
	o.cause = nil
}

// around reports whether a moment lies within an outage, or within slack of one, or whether statements fail.
func (o *outage) around(at time.Time, slack time.Duration) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.since.IsZero() || o.slow || !o.failed.IsZero() && at.Sub(o.failed) < slack || !o.ended.IsZero() && at.Sub(o.ended) < slack
}

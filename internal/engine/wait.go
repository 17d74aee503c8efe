package engine

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river/riverdriver"

	"sluice/internal/fault"
)

// wait is what a job's row keeps while a part that it needs is away: its tries aren't counted then.
type wait struct {
	Since int64 `json:"since"` // epoch ms of the first try that found a part away
	Times int   `json:"times"` // how many have, one after the other
	// Code is that of the last try's error: which part was away.
	Code string `json:"code,omitempty"`
}

// defaultLongestWait is how long a part may be away before tries are counted again.
const defaultLongestWait = 24 * time.Hour

// Waits reports whether err leaves the job waiting, this try not counted: a part that it needs is away or full (fault.Unavailable, fault.Limited), and has
// not been for longer than Config.LongestWait.
func (a Attempt) Waits(err error) bool {
	return a.mayWait && (fault.Is(err, fault.Unavailable) || fault.Is(err, fault.Limited))
}

// Final reports whether err ends the job for good: it is permanent, or this try is the last one and counts.
func (a Attempt) Final(err error) bool {
	return fault.Permanent(err) || a.Number >= a.Max && !a.Waits(err)
}

// mayWait reports whether a job that has waited so far may go on waiting. It is asked when a try begins: what the try is told and what becomes of its job
// must be one answer.
func (e *Engine) mayWait(so *wait, now time.Time) bool {
	return so == nil || now.Sub(time.UnixMilli(so.Since)) < e.cfg.LongestWait
}

// waits is the state of a job that waits for a part that is away: later each time, the try not counted.
func (e *Engine) waits(a Attempt, now time.Time, err error) *riverdriver.JobSetStateIfRunningParams {
	next := wait{Since: now.UnixMilli(), Times: 1}
	if a.wait != nil {
		next = wait{Since: a.wait.Since, Times: a.wait.Times + 1}
	}
	next.Code = fault.Of(err).Code
	pause := e.cfg.Backoff.after(next.Times)
	e.log.Info("job waits for a part that is away", "job", a.ID, "kind", a.Job.Kind, "after", pause, "times", next.Times, "error", err)
	kept, merr := json.Marshal(metadata{Wait: &next})
	if merr != nil {
		panic(merr) // numbers and a string
	}
	// Available from its time on, not scheduled: after an outage River may have no leader for a minute, without whom nothing scheduled moves.
	return riverdriver.JobSetStateSnoozedAvailable(a.ID, now.Add(pause), a.Number-1, kept)
}

// waited is what ends a wait in a job's row.
func (a Attempt) waited() []byte {
	if a.wait == nil {
		return nil
	}
	return []byte(`{"wait":null}`)
}

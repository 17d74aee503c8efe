package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/rivertype"

	"sluice/internal/fault"
)

// The causes (context.Cause) with which a try's context is canceled.
var (
	ErrStopped  = errors.New("the server is stopping")
	ErrCanceled = errors.New("the job was canceled")
	ErrLost     = errors.New("another worker has the job")
)

// try is an attempt under way in this process.
type try struct {
	Handle
	cancel context.CancelCauseFunc
}

// worker is what River calls for one kind of job.
type worker struct {
	river.WorkerDefaults[args]
	engine *Engine
	do     Worker
}

// Work runs one try and settles it. What it returns to River is only for River's log: the pilot keeps it from the database.
func (w *worker) Work(ctx context.Context, job *river.Job[args]) error {
	e := w.engine
	e.pilot.begin(job.ID)
	rivers := ctx
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(rivers))
	defer cancel(nil)
	defer context.AfterFunc(rivers, func() { cancel(causeOf(context.Cause(rivers))) })()
	t := &try{Handle{id: job.ID, number: job.Attempt, worker: e.id}, cancel}
	var err error
	if e.enter(t) {
		defer e.leave(t)
		err = w.run(ctx, t, job.JobRow)
	} else {
		cancel(ErrStopped)
		err = ErrStopped
	}
	e.settle(ctx, t.Handle, job.JobRow, err)
	return nil
}

// causeOf says in our words why River canceled a job's context.
func causeOf(rivers error) error {
	if errors.Is(rivers, rivertype.ErrJobCancelledRemotely) {
		return ErrCanceled
	}
	return ErrStopped
}

// run calls the worker's function; a panic is an error like any other.
func (w *worker) run(ctx context.Context, t *try, row *rivertype.JobRow) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.engine.log.Error("a worker panicked", "job", row.ID, "kind", row.Kind, "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "engine.run", "panic", "The job ran into a defect of the server; see the server's log.", fmt.Errorf("panic: %v", p))
		}
	}()
	job, err := jobOf(row)
	if err != nil {
		return fault.New(fault.Invalid, "engine.run", "bad_job", "The job's row can't be read.", err)
	}
	return w.do(ctx, Attempt{Job: job, ID: row.ID, Number: row.Attempt, Max: row.MaxAttempts, Worker: t.worker, Handle: t.Handle})
}

func (e *Engine) enter(t *try) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.running[t] = struct{}{}
	return true
}

func (e *Engine) leave(t *try) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.running, t)
}

// settle moves a job to where its try's end leaves it. A database that is away is waited for, with the try's slot held: a job left running by a live
// process would never be tried again.
func (e *Engine) settle(ctx context.Context, h Handle, row *rivertype.JobRow, err error) {
	to := e.outcome(ctx, row, err)
	ctx = context.WithoutCancel(ctx)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		serr := e.db.InTx(ctx, func(tx Tx) error {
			held, err := held(ctx, tx, h)
			if err != nil || !held {
				return err
			}
			return e.client.set(ctx, tx, to)
		})
		if serr == nil {
			return
		}
		e.log.Error("the end of a job could not be recorded; trying again", "job", h.id, "kind", row.Kind, "error", serr)
		select {
		case <-e.gone:
			return
		case <-time.After(pause):
		}
	}
}

// outcome decides what a try's end means for its job.
func (e *Engine) outcome(ctx context.Context, row *rivertype.JobRow, err error) *riverdriver.JobSetStateIfRunningParams {
	now := time.Now()
	if err == nil {
		return riverdriver.JobSetStateCompleted(row.ID, now, nil)
	}
	log := e.log.With("job", row.ID, "kind", row.Kind, "attempt", row.Attempt, "of", row.MaxAttempts, "error", err)
	// Whatever a worker says after its context was canceled is an echo of that: a killed tool's complaint, half a file.
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrCanceled):
		return riverdriver.JobSetStateCancelled(row.ID, now, failure(row, now, ErrCanceled), nil)
	case errors.Is(cause, ErrStopped), errors.Is(cause, ErrLost): // what is lost, another has: the fence sees to that
		return riverdriver.JobSetStateInterrupted(row.ID, now, row.Attempt-1, nil)
	case fault.Permanent(err), row.Attempt >= row.MaxAttempts:
		log.Warn("job is dead")
		return riverdriver.JobSetStateDiscarded(row.ID, now, failure(row, now, err), nil)
	}
	pause := e.cfg.Backoff.after(row.Attempt)
	log.Info("job will be tried again", "after", pause)
	at := now.Add(pause)
	if pause <= soon {
		return riverdriver.JobSetStateErrorAvailable(row.ID, at, failure(row, now, err), nil)
	}
	return riverdriver.JobSetStateErrorRetryable(row.ID, at, failure(row, now, err), nil)
}

// soon is what River's scheduler, which wakes each 5 s, is too slow for; such a job is available from its time on.
const soon = 5 * time.Second

func (e *Engine) stopping() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.stopped
}

// after is how long to wait after failed try number n.
func (b Backoff) after(n int) time.Duration {
	d := b.First
	for i := 1; i < n && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	fifth := d / 5
	return d - fifth + rand.N(2*fifth+1)
}

// failure is the entry in the job row's list of errors.
func failure(row *rivertype.JobRow, at time.Time, err error) []byte {
	b, merr := json.Marshal(rivertype.AttemptError{At: at, Attempt: row.Attempt, Error: err.Error()})
	if merr != nil {
		return []byte(`{}`)
	}
	return b
}

// held reports whether h's try is the one that has the job, and keeps it so until tx ends.
func held(ctx context.Context, tx Tx, h Handle) (bool, error) {
	query := `SELECT attempt, ` + tx.dialect().holder + ` FROM river_job WHERE id = $1 AND state = 'running'` + tx.dialect().lock
	rows, err := tx.QueryContext(ctx, query, h.id)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var number int
	var holder string
	if rows.Next() {
		if err := rows.Scan(&number, &holder); err != nil {
			return false, err
		}
	}
	return number == h.number && holder == h.worker, rows.Err()
}

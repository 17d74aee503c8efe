package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
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
	a, err := e.attempt(t.Handle, job.JobRow)
	switch {
	case !e.enter(t):
		cancel(ErrStopped)
		err = ErrStopped
	default:
		defer e.leave(t)
		if err == nil {
			err = w.run(ctx, a)
		}
	}
	e.settle(ctx, a, err)
	return nil
}

// attempt is what a worker is told of its try.
func (e *Engine) attempt(h Handle, row *rivertype.JobRow) (Attempt, error) {
	job, so, err := jobOf(row)
	if err != nil {
		err = fault.New(fault.Invalid, "engine.run", "bad_job", "The job's row can't be read.", err)
	}
	return Attempt{
		Job: job, ID: row.ID, Number: row.Attempt, Max: row.MaxAttempts, Worker: h.worker, Handle: h, wait: so, mayWait: e.mayWait(so, e.cfg.Now()) && !e.hold(row.Queue).Count,
	}, err
}

// causeOf says in our words why River canceled a job's context.
func causeOf(rivers error) error {
	if errors.Is(rivers, rivertype.ErrJobCancelledRemotely) {
		return ErrCanceled
	}
	return ErrStopped
}

// run calls the worker's function; a panic is an error like any other.
func (w *worker) run(ctx context.Context, a Attempt) (err error) {
	defer func() {
		if p := recover(); p != nil {
			w.engine.log.Error("a worker panicked", "job", a.ID, "kind", a.Job.Kind, "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "engine.run", "panic", "The job ran into a defect of the server; see the server's log.", fmt.Errorf("panic: %v", p))
		}
	}()
	return w.do(ctx, a)
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
func (e *Engine) settle(ctx context.Context, a Attempt, err error) {
	began := e.cfg.Now()
	to := e.outcome(ctx, a, err)
	ctx = context.WithoutCancel(ctx)
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 5*time.Second) {
		serr := e.db.InTx(ctx, func(tx Tx) error {
			held, err := held(ctx, tx, a.Handle)
			if err != nil || !held {
				return err
			}
			now, err := clock(ctx, tx)
			if err != nil {
				return err
			}
			return e.client.set(ctx, tx, shifted(*to, now.Sub(began)))
		})
		if serr == nil {
			return
		}
		e.complain("the end of a job could not be recorded; trying again", serr, "job", a.ID, "kind", a.Job.Kind)
		select {
		case <-e.gone:
			return
		case <-time.After(pause):
		}
	}
}

// shifted is a job's next state with its times by the database's clock, which is by that much ahead of this machine's: by a clock that is an hour fast a failed
// job would wait for an hour, and by one that is slow use all its tries up at once.
func shifted(to riverdriver.JobSetStateIfRunningParams, by time.Duration) *riverdriver.JobSetStateIfRunningParams {
	for _, at := range []**time.Time{&to.ScheduledAt, &to.FinalizedAt} {
		if *at != nil {
			moved := (*at).Add(by)
			*at = &moved
		}
	}
	return &to
}

// outcome decides what a try's end means for its job. Its times are by this machine's clock.
func (e *Engine) outcome(ctx context.Context, a Attempt, err error) *riverdriver.JobSetStateIfRunningParams {
	now := e.cfg.Now()
	if err == nil {
		return riverdriver.JobSetStateCompleted(a.ID, now, nil)
	}
	log := e.log.With("job", a.ID, "kind", a.Job.Kind, "attempt", a.Number, "of", a.Max, "error", err)
	// Whatever a worker says after its context was canceled is an echo of that: a killed tool's complaint, half a file.
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, ErrCanceled):
		return riverdriver.JobSetStateCancelled(a.ID, now, failure(a, now, ErrCanceled), nil)
	case errors.Is(cause, ErrStopped), errors.Is(cause, ErrLost): // what is lost, another has: the fence sees to that
		return riverdriver.JobSetStateInterrupted(a.ID, now, a.Number-1, nil)
	case a.Final(err):
		log.Warn("job is dead")
		return riverdriver.JobSetStateDiscarded(a.ID, now, failure(a, now, err), a.waited())
	case a.Waits(err):
		return e.waits(a, now, err)
	}
	pause := e.cfg.Backoff.after(a.Number)
	log.Info("job will be tried again", "after", pause)
	at := now.Add(pause)
	if pause <= soon {
		return riverdriver.JobSetStateErrorAvailable(a.ID, at, failure(a, now, err), a.waited())
	}
	return riverdriver.JobSetStateErrorRetryable(a.ID, at, failure(a, now, err), a.waited())
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

// failure is the entry in the job row's list of errors. PostgreSQL's JSON holds no NUL (8.14), and an end that can't be recorded is never over.
func failure(a Attempt, at time.Time, err error) []byte {
	text := strings.ReplaceAll(err.Error(), "\x00", "\uFFFD")
	b, merr := json.Marshal(rivertype.AttemptError{At: at, Attempt: a.Number, Error: text})
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

package engine

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice/internal/fault"
)

// State is where a job is. docs/STATES.md draws the moves.
type State string

// The states of a job, as they are told to people.
const (
	Available State = "available" // due, and waiting for a slot
	Scheduled State = "scheduled" // due later: told so, or after a failure
	Running   State = "running"
	Completed State = "completed"
	Canceled  State = "canceled"
	Dead      State = "dead" // it failed for good
)

// States lists the states in the order of a job's life.
func States() []State { return []State{Available, Scheduled, Running, Completed, Canceled, Dead} }

// rivers are the names of a state in River's tables.
var rivers = map[State][]string{
	Available: {"available"}, Scheduled: {"scheduled", "retryable", "pending"}, Running: {"running"},
	Completed: {"completed"}, Canceled: {"cancelled"}, Dead: {"discarded"},
}

// stateOf is River's name of a state in ours.
func stateOf(river string) State {
	for s, names := range rivers {
		for _, name := range names {
			if name == river {
				return s
			}
		}
	}
	return State(river)
}

// Status is a job as it stands, for people who look.
type Status struct {
	Job
	ID       int64
	State    State
	Attempt  int    // tries begun
	Worker   string // the process that tried it last, empty before
	Errors   []TryError
	Created  time.Time
	Due      time.Time
	Started  time.Time // of the last try; zero before
	Finished time.Time // zero until it is over
}

// TryError is how one try ended.
type TryError struct {
	Attempt int
	At      time.Time
	Message string // for operators: it may name files of the server
}

// JobQuery chooses jobs. What is empty chooses all.
type JobQuery struct {
	State  State
	Queue  string
	Owner  string
	Group  string
	Before int64 // ids below this one; 0 for the newest
	Limit  int   // at most 1000, which 0 means
}

const jobLimit = 1000

// Jobs returns jobs, newest first.
func (e *Engine) Jobs(ctx context.Context, q JobQuery) ([]Status, error) {
	where, args := []string{"id > 0"}, []any{}
	add := func(condition string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf(condition, len(args)))
	}
	if names := rivers[q.State]; len(names) > 0 {
		where = append(where, `state IN ('`+strings.Join(names, `','`)+`')`)
	}
	if q.Queue != "" {
		add(`queue = $%d`, q.Queue)
	}
	if q.Owner != "" {
		add(owner+` = $%d`, q.Owner)
	}
	if q.Group != "" {
		add(`metadata ->> 'group' = $%d`, q.Group)
	}
	if q.Before > 0 {
		add(`id < $%d`, q.Before)
	}
	if q.Limit <= 0 || q.Limit > jobLimit {
		q.Limit = jobLimit
	}
	var all []Status
	err := e.db.View(ctx, func(st Statements) (err error) {
		all, err = statuses(ctx, st, e.db.dialect(), strings.Join(where, ` AND `)+fmt.Sprintf(` ORDER BY id DESC LIMIT %d`, q.Limit), args...)
		return err
	})
	return all, err
}

// Job returns one job; fault.NotFound, code "no_job", for none.
func (e *Engine) Job(ctx context.Context, id int64) (s Status, err error) {
	err = e.db.View(ctx, func(st Statements) error {
		s, err = status(ctx, st, e.db.dialect(), id)
		return err
	})
	return s, err
}

func status(ctx context.Context, st Statements, d dialect, id int64) (Status, error) {
	all, err := statuses(ctx, st, d, `id = $1`, id)
	if err == nil && len(all) == 0 {
		err = fault.New(fault.NotFound, "engine.job", "no_job", "There is no job with this id; jobs that ended well are forgotten after a day.", nil)
	}
	if err != nil {
		return Status{}, err
	}
	return all[0], nil
}

func statuses(ctx context.Context, st Statements, d dialect, where string, args ...any) ([]Status, error) {
	rows, err := st.QueryContext(ctx, `SELECT id, kind, `+d.args+`, coalesce(metadata ->> 'group', ''), `+owner+`, queue, priority,
		max_attempts, CAST(state AS TEXT), attempt, coalesce(`+d.holder+`, ''), coalesce(`+d.errors+`, '[]'), `+
		d.epoch("created_at")+`, `+d.epoch("scheduled_at")+`, `+d.epoch("attempted_at")+`, `+d.epoch("finalized_at")+` FROM river_job WHERE `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	defer rows.Close()
	var all []Status
	for rows.Next() {
		var s Status
		var body, state, errs string
		var created, due, started, finished int64
		if err := rows.Scan(&s.ID, &s.Kind, &body, &s.Group, &s.Owner, &s.Queue, &s.Priority, &s.Attempts, &state, &s.Attempt, &s.Worker, &errs,
			&created, &due, &started, &finished); err != nil {
			return nil, err
		}
		s.Args, s.State = json.RawMessage(body), stateOf(state)
		s.Created, s.Due, s.Started, s.Finished = epoch(created), epoch(due), epoch(started), epoch(finished)
		s.After = s.Due
		var tries []struct {
			At      time.Time `json:"at"`
			Attempt int       `json:"attempt"`
			Error   string    `json:"error"`
		}
		if err := json.Unmarshal([]byte(errs), &tries); err != nil {
			return nil, fmt.Errorf("read the errors of job %d: %w", s.ID, err)
		}
		for _, t := range tries {
			s.Errors = append(s.Errors, TryError{Attempt: t.Attempt, At: t.At.UTC(), Message: t.Error})
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func epoch(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// Retry makes a job due now that is dead, canceled or waits for its time; one that was over gets its tries again. fault.Conflict, code "job_running" or
// "job_done", where there is nothing to try again.
func (e *Engine) Retry(ctx context.Context, id int64) (s Status, err error) {
	err = e.db.InTx(ctx, func(tx Tx) error {
		s, err = e.retry(ctx, tx, id)
		return err
	})
	return s, err
}

func (e *Engine) retry(ctx context.Context, tx Tx, id int64) (Status, error) {
	var locked int64
	if err := tx.QueryRowContext(ctx, `SELECT id FROM river_job WHERE id = $1`+tx.dialect().lock, id).Scan(&locked); err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Status{}, err
	}
	s, err := status(ctx, tx, tx.dialect(), id)
	if err != nil {
		return s, err
	}
	most := s.Attempts
	switch s.State {
	case Running:
		return s, fault.New(fault.Conflict, "engine.retry", "job_running", "The job is running; wait for its end, or cancel it first.", nil)
	case Completed:
		return s, fault.New(fault.Conflict, "engine.retry", "job_done", "The job has ended well; there is nothing to try again.", nil)
	case Canceled, Dead:
		most = min(s.Attempt+defaultAttempts, maxAttempts)
	case Available, Scheduled:
	}
	if _, err := tx.ExecContext(ctx, `UPDATE river_job SET state = 'available', scheduled_at = `+tx.dialect().now+`, finalized_at = NULL, max_attempts = $2
		WHERE id = $1`, id, most); err != nil {
		return s, fmt.Errorf("try a job again: %w", err)
	}
	return status(ctx, tx, tx.dialect(), id)
}

// Hasten makes a job due now that waits for its time after a try that found a part away. Any other job stays as it is.
func (e *Engine) Hasten(ctx context.Context, id int64) error {
	return e.db.InTx(ctx, func(tx Tx) error {
		now := tx.dialect().now
		_, err := tx.ExecContext(ctx, `UPDATE river_job SET scheduled_at = `+now+` WHERE id = $1 AND state = 'available' AND scheduled_at > `+now, id)
		return err
	})
}

// Kill ends h's job in tx as dead, with why: like Complete, but kept, for people to look at and to redrive.
func (e *Engine) Kill(ctx context.Context, tx Tx, h Handle, why string) error {
	if h.id == 0 {
		return nil
	}
	held, err := held(ctx, tx, h)
	if err != nil || !held {
		return err
	}
	return e.client.kill(ctx, tx, h, why)
}

// ForgetGroup removes the jobs of a group that are over.
func (e *Engine) ForgetGroup(ctx context.Context, tx Tx, name string) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM river_job WHERE metadata ->> 'group' = $1 AND state IN ('completed', 'cancelled', 'discarded')`, name)
	return err
}

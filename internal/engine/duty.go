package engine

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"time"

	"sluice/internal/fault"
)

// Duty is work that is due every so often, in one process at a time of all that share the database.
type Duty struct {
	Name  string
	Every time.Duration // from the end of one to the next
	Do    func(context.Context) error
}

// Duties is what Serve needs of the database. Each method is one transaction.
type Duties interface {
	// TakeDuty takes a duty that is due and that nobody holds; due says that a start makes it so.
	TakeDuty(ctx context.Context, d Duty, due bool) (taken bool, err error)
	// KeepDuty tells the others that this process is at it still. Not kept means that another has it.
	KeepDuty(ctx context.Context, d Duty) (kept bool, err error)
	// EndDuty gives a duty back. It is due again when next has passed, or at once where it was hurried meanwhile.
	EndDuty(ctx context.Context, d Duty, next time.Duration) error
	// HurryDuty makes a duty due now. One that a process is doing is due again as soon as it ends.
	HurryDuty(ctx context.Context, name string) error
	// DutyState reads a duty.
	DutyState(ctx context.Context, name string) (DutyState, error)
}

// DutyState is a duty as the database has it.
type DutyState struct {
	Due     time.Time // when it is due next; not after now where it is due. The zero time for one that no process ever did
	Running bool      // a process is doing it
}

const (
	dutyHeld  = 10 * time.Second // how long a process that was lost keeps a duty from others
	dutyRetry = 30 * time.Second // after a failure, where Every is longer
	dutyLook  = 15 * time.Second // how often a process asks whether a duty is due, where Every is far longer
)

// Serve does a duty whenever it is due and nobody else is at it, until ctx is done. A start makes it due. Processes ask at times of their own, so that they
// don't come all at once; times are the database's. Where a process is cut off from the database while it is at it, Do's context is canceled, and others may begin: what Do
// does must bear a twin for a moment.
func (e *Engine) Serve(ctx context.Context, d Duty) {
	due, said, hurried := true, "", e.hurry(d.Name)
	for ctx.Err() == nil {
		if err := e.serve(ctx, d, due); err != nil {
			if code := fault.Of(err).Code; ctx.Err() == nil && code != said {
				said = code
				if code != "database_unavailable" || !e.away.heard(err) {
					e.log.Error("a duty failed; it is tried again, and logged again once it fails otherwise", "duty", d.Name, "error", err)
				}
			}
		} else {
			due, said = false, ""
		}
		look := min(d.Every/4, dutyLook) + time.Millisecond
		select {
		case <-ctx.Done():
		case <-hurried:
		case <-time.After(look/2 + rand.N(look)):
		}
	}
}

// Hurry makes a duty due now: at once where this process serves it, else when one that does asks next, within 23 s.
func (e *Engine) Hurry(ctx context.Context, name string) error {
	if err := e.duties.HurryDuty(ctx, name); err != nil {
		return err
	}
	select {
	case e.hurry(name) <- struct{}{}:
	default: // it is awake already, or this process does not serve it
	}
	return nil
}

// hurry is the channel that wakes Serve for a duty.
func (e *Engine) hurry(name string) chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.hurries[name] == nil {
		e.hurries[name] = make(chan struct{}, 1)
	}
	return e.hurries[name]
}

// Duty reads the state of a duty.
func (e *Engine) Duty(ctx context.Context, name string) (DutyState, error) {
	return e.duties.DutyState(ctx, name)
}

func (e *Engine) serve(ctx context.Context, d Duty, due bool) error {
	taken, err := e.duties.TakeDuty(ctx, d, due)
	if err == nil {
		e.away.over()
	}
	if err != nil || !taken {
		return err
	}
	inner, cancel := context.WithCancel(ctx)
	kept := make(chan struct{})
	go func() {
		defer close(kept)
		defer cancel()
		e.keepDuty(inner, d)
	}()
	err = d.Do(inner)
	cancel()
	<-kept
	next := d.Every
	if err != nil {
		next = min(next, dutyRetry)
	}
	leave, stop := context.WithTimeout(context.WithoutCancel(ctx), dutyHeld)
	defer stop()
	return errors.Join(err, e.duties.EndDuty(leave, d, next))
}

// keepDuty tells the others that this process is at it, until ctx is done or they have been told too late.
func (e *Engine) keepDuty(ctx context.Context, d Duty) {
	last := time.Now()
	for time.Since(last) < dutyHeld {
		select {
		case <-ctx.Done():
			return
		case <-time.After(dutyHeld / 4):
		}
		try, cancel := context.WithTimeout(ctx, dutyHeld/2)
		began := time.Now()
		held, err := e.duties.KeepDuty(try, d)
		cancel()
		if err == nil && !held {
			return
		}
		if err == nil {
			last = began
		}
	}
}

// duties is Duties by a database, for the process with that id.
type duties struct {
	db DB
	id string
}

func (s duties) TakeDuty(ctx context.Context, d Duty, due bool) (taken bool, err error) {
	err = s.db.InTx(ctx, func(tx Tx) error {
		now := tx.dialect().millis
		if _, err := tx.ExecContext(ctx, `INSERT INTO duty (name, due, holder, held) VALUES ($1, 0, '', 0) ON CONFLICT DO NOTHING`, d.Name); err != nil {
			return err
		}
		if due {
			if _, err := tx.ExecContext(ctx, `UPDATE duty SET due = 0 WHERE name = $1 AND due > 0`, d.Name); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `UPDATE duty SET due = CASE WHEN due < 0 THEN 0 ELSE due END, holder = $2, held = `+now+` + $3
			WHERE name = $1 AND due <= `+now+` AND held <= `+now,
			d.Name, s.id, dutyHeld.Milliseconds())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		taken = n > 0
		return err
	})
	return taken, err
}

func (s duties) KeepDuty(ctx context.Context, d Duty) (kept bool, err error) {
	err = s.db.InTx(ctx, func(tx Tx) error {
		result, err := tx.ExecContext(ctx, `UPDATE duty SET held = `+tx.dialect().millis+` + $3 WHERE name = $1 AND holder = $2`,
			d.Name, s.id, dutyHeld.Milliseconds())
		if err != nil {
			return err
		}
		n, err := result.RowsAffected()
		kept = n > 0
		return err
	})
	return kept, err
}

func (s duties) EndDuty(ctx context.Context, d Duty, next time.Duration) error {
	return s.db.InTx(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE duty SET holder = '', held = 0, due = CASE WHEN due = $4 THEN 0 ELSE `+tx.dialect().millis+` + $3 END
			WHERE name = $1 AND holder = $2`, d.Name, s.id, next.Milliseconds(), dutyHurried)
		return err
	})
}

// dutyHurried is the due time of a duty that was hurried. Taking a duty clears it, so that EndDuty finds it only where
// it was hurried after that.
const dutyHurried = -1

func (s duties) HurryDuty(ctx context.Context, name string) error {
	return s.db.InTx(ctx, func(tx Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO duty (name, due, holder, held) VALUES ($1, $2, '', 0) ON CONFLICT (name) DO UPDATE SET due = $2`, name, dutyHurried)
		return err
	})
}

func (s duties) DutyState(ctx context.Context, name string) (state DutyState, err error) {
	now := lite.millis
	if s.db.Pool != nil {
		now = postgres.millis
	}
	err = s.db.View(ctx, func(st Statements) error {
		var due int64
		err := st.QueryRowContext(ctx, `SELECT CASE WHEN due > 0 THEN due ELSE `+now+` END, CASE WHEN held > `+now+` THEN 1 ELSE 0 END FROM duty WHERE name = $1`, name).
			Scan(&due, &state.Running)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		state.Due = time.UnixMilli(due).UTC()
		return err
	})
	return state, err
}

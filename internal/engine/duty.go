package engine

import (
	"context"
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
	// EndDuty gives a duty back. It is due again when next has passed.
	EndDuty(ctx context.Context, d Duty, next time.Duration) error
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
	due, said := true, ""
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
		case <-time.After(look/2 + rand.N(look)):
		}
	}
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
			if _, err := tx.ExecContext(ctx, `UPDATE duty SET due = 0 WHERE name = $1`, d.Name); err != nil {
				return err
			}
		}
		result, err := tx.ExecContext(ctx, `UPDATE duty SET holder = $2, held = `+now+` + $3 WHERE name = $1 AND due <= `+now+` AND held <= `+now,
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
		_, err := tx.ExecContext(ctx, `UPDATE duty SET holder = '', held = 0, due = `+tx.dialect().millis+` + $3 WHERE name = $1 AND holder = $2`,
			d.Name, s.id, next.Milliseconds())
		return err
	})
}

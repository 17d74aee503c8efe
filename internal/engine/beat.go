package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// dialect is the SQL that differs.
type dialect struct {
	millis string // the database's clock, epoch milliseconds
	now    string // the database's clock, as River's columns keep it
	holder string // who has a running job: the last of those that tried it
	lock   string // keeps a selected row as it is until the transaction ends
	// holders is who has tried a job, with $1 as the newest, at most 100 of them: River's own bound and River's own SQL.
	holders string
	args    string // a job's arguments as JSON text
	errors  string // a job's errors as JSON text
	time    string // a column (%s) of River's times as epoch milliseconds
	firsts  string // joins o with what a query (%s) finds first in river_job for it, as c
}

var (
	postgres = dialect{
		millis: `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`,
		now:    `now()`,
		holder: `attempted_by[array_upper(attempted_by, 1)]`,
		lock:   ` FOR UPDATE`,
		holders: `array_append(CASE WHEN array_length(attempted_by, 1) >= 100 THEN attempted_by[array_length(attempted_by, 1) + 2 - 100:]
			ELSE attempted_by END, CAST($1 AS TEXT))`,
		args:   `CAST(args AS TEXT)`,
		errors: `CAST(array_to_json(errors) AS TEXT)`,
		time:   `CAST(coalesce(extract(epoch FROM %s) * 1000, 0) AS BIGINT)`,
		firsts: `CROSS JOIN LATERAL (SELECT id, priority, scheduled_at FROM river_job WHERE %s) c`,
	}
	lite = dialect{ // its transactions have the file to themselves
		millis: `CAST(unixepoch('subsec') * 1000 AS INTEGER)`,
		now:    `datetime('now', 'subsec')`,
		holder: `attempted_by ->> '$[#-1]'`,
		holders: `jsonb(json_insert((SELECT jsonb_group_array(value) FROM (SELECT * FROM (
			SELECT * FROM json_each(coalesce(attempted_by, jsonb('[]'))) ORDER BY key DESC LIMIT 99) ORDER BY key)), '$[#]', $1))`,
		args:   `json(args)`,
		errors: `json(errors)`,
		time:   `CAST(coalesce(unixepoch(%s, 'subsec') * 1000, 0) AS INTEGER)`,
		firsts: `CROSS JOIN river_job c WHERE c.id IN (SELECT id FROM river_job WHERE %s)`,
	}
)

// epoch is one of River's times as epoch milliseconds, 0 for none.
func (d dialect) epoch(column string) string { return fmt.Sprintf(d.time, column) }

// Clock reads the database's clock, the one that all processes share, within a transaction.
func (tx Tx) Clock(ctx context.Context) (time.Time, error) { return clock(ctx, tx) }

// clock reads the database's clock.
func clock(ctx context.Context, tx Tx) (time.Time, error) {
	var now int64
	err := tx.QueryRowContext(ctx, `SELECT `+tx.dialect().millis).Scan(&now)
	return time.UnixMilli(now), err
}

func (tx Tx) dialect() dialect {
	if tx.pgx != nil {
		return postgres
	}
	return lite
}

func (db DB) dialect() dialect {
	if db.Pool != nil {
		return postgres
	}
	return lite
}

// beat tells the other processes that this one lives, and takes the jobs of those that don't. All times are the database's, so that no clock of a machine
// matters.
type beat struct {
	db        DB
	id        string
	lostAfter time.Duration
	queues    []Queue // that this process works on, for people who look
	roles     string  // the same
	log       *slog.Logger
	held      func() map[string]string // the queues that this process holds, with the groups that it does not, as JSON

	holds bool         // this process has rows in job_hold, or may have
	known bool         // this process is in job_process
	seen  int64        // epoch ms of the last beat
	clean int64        // epoch ms of the last removal of records of lost processes
	grace int64        // epoch ms until which nobody is judged
	heard atomic.Int64 // unix ns by our clock, for Ready
}

func (b *beat) last() time.Time { return time.Unix(0, b.heard.Load()) }

// strike beats once, gives the jobs of silent processes back, and returns which of the running tries this process should not go on with, and why.
func (b *beat) strike(ctx context.Context, running []Handle) (map[Handle]error, error) {
	ctx, cancel := context.WithTimeout(ctx, b.lostAfter) // a beat that comes later is none
	defer cancel()
	var now int64
	var rescued int64
	var over map[Handle]error
	held := b.held()
	b.holds = b.holds || len(held) > 0
	err := b.db.InTx(ctx, func(tx Tx) (err error) {
		d := tx.dialect()
		if err := tx.QueryRowContext(ctx, `INSERT INTO worker (id, seen) VALUES ($1, `+d.millis+`)
			ON CONFLICT (id) DO UPDATE SET seen = excluded.seen RETURNING seen`, b.id).Scan(&now); err != nil {
			return err
		}
		if err := b.introduce(ctx, tx, now); err != nil {
			return err
		}
		if err := b.forget(ctx, tx, now); err != nil {
			return err
		}
		if err := b.offer(ctx, tx); err != nil {
			return err
		}
		if err := b.withhold(ctx, tx, held); err != nil {
			return err
		}
		if b.judges(now) {
			if rescued, err = b.rescue(ctx, tx, now-b.lostAfter.Milliseconds()); err != nil {
				return err
			}
		}
		over, err = ask(ctx, tx, running)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.known, b.holds = true, len(held) > 0
	if b.forgets(now) {
		b.clean = now
	}
	b.struck(now)
	b.heard.Store(time.Now().UnixNano())
	if rescued > 0 {
		b.log.Warn("took over the jobs of a silent process", "jobs", rescued)
	}
	return over, nil
}

// stalled reports whether this process was silent itself: then, as after a machine's sleep, all others look lost, and get time to be heard.
func (b *beat) stalled(now int64) bool {
	return b.seen > 0 && now-b.seen > b.lostAfter.Milliseconds()/2
}

// struck notes a beat at now. After a time without beats, as when the database was away, another's beat may hang as long as beats may, and then needs its
// time to be heard.
func (b *beat) struck(now int64) {
	if b.stalled(now) {
		b.grace = now + 2*b.lostAfter.Milliseconds()
	}
	b.seen = now
}

func (b *beat) judges(now int64) bool { return !b.stalled(now) && now >= b.grace }

// rescue forgets processes not seen since horizon, and gives back their running jobs. A job whose tries are used up is
// tried once more,
// numbered Max+1, so that its worker can tell its records; lost again, it is dead.
func (b *beat) rescue(ctx context.Context, tx Tx, horizon int64) (int64, error) {
	if err := b.mourn(ctx, tx, horizon); err != nil {
		return 0, err
	}
	d := tx.dialect()
	orphan := ` WHERE state = 'running' AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = ` + d.holder + ` AND w.seen > $1)`
	var n int64
	for _, move := range []string{
		`state = 'cancelled', finalized_at = ` + d.now + orphan + ` AND metadata ->> 'cancel_attempted_at' IS NOT NULL`,
		`state = 'discarded', finalized_at = ` + d.now + orphan + ` AND attempt > max_attempts`,
		`state = 'available'` + orphan,
	} {
		result, err := tx.ExecContext(ctx, `UPDATE river_job SET `+move, horizon)
		if err != nil {
			return 0, fmt.Errorf("rescue jobs: %w", err)
		}
		moved, err := result.RowsAffected()
		if err != nil {
			return 0, err
		}
		n += moved
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM job_slot WHERE NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = job_slot.worker)`)
	return n, err
}

// lostKept is how long it can be looked up which attempts were lost with their process.
const lostKept = 7 * 24 * time.Hour

// forgetEvery is how often a process deletes the records of processes that were lost longer than lostKept ago.
const forgetEvery = time.Hour

func (b *beat) forgets(now int64) bool {
	return b.clean == 0 || now-b.clean >= forgetEvery.Milliseconds()
}

// forget deletes the records of processes that were lost longer than lostKept ago, at the first beat and each
// forgetEvery.
func (b *beat) forget(ctx context.Context, tx Tx, now int64) error {
	if !b.forgets(now) {
		return nil
	}
	before := now - lostKept.Milliseconds()
	if _, err := tx.ExecContext(ctx, `DELETE FROM job_lost WHERE seen <= $1`, before); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, `DELETE FROM job_process WHERE started <= $1 AND NOT EXISTS (SELECT 1 FROM worker w WHERE w.id = job_process.worker)
		AND NOT EXISTS (SELECT 1 FROM job_lost l WHERE l.worker = job_process.worker)`, before)
	return err
}

// introduce records once what this process is.
func (b *beat) introduce(ctx context.Context, tx Tx, now int64) error {
	if b.known {
		return nil
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO job_process (worker, pid, roles, started) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING`,
		b.id, os.Getpid(), b.roles, now)
	return err
}

// mourn forgets processes not seen since horizon, and counts the attempts that were under way in them.
func (b *beat) mourn(ctx context.Context, tx Tx, horizon int64) error {
	rows, err := tx.QueryContext(ctx, `DELETE FROM worker WHERE seen <= $1 RETURNING id, seen`, horizon)
	if err != nil {
		return err
	}
	defer rows.Close()
	lost := map[string]int64{}
	for rows.Next() {
		var id string
		var seen int64
		if err := rows.Scan(&id, &seen); err != nil {
			return err
		}
		lost[id] = seen
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for id, seen := range lost {
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_lost (worker, queue, seen, attempts)
			SELECT s.worker, s.queue, CAST($2 AS BIGINT), (SELECT count(*) FROM river_job WHERE state = 'running' AND queue = s.queue AND `+tx.dialect().holder+` = s.worker)
			FROM job_slot s WHERE s.worker = $1
			ON CONFLICT (worker, queue) DO UPDATE SET seen = excluded.seen, attempts = job_lost.attempts + excluded.attempts`, id, seen); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM job_hold WHERE worker = $1`, id); err != nil {
			return err
		}
	}
	return nil
}

// offer tells how much this process does side by side, where nobody limits it.
func (b *beat) offer(ctx context.Context, tx Tx) error {
	for _, q := range b.queues {
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_slot (worker, queue, workers) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, b.id, q.Name, q.Workers); err != nil {
			return err
		}
	}
	return nil
}

// withhold records which queues this process holds.
func (b *beat) withhold(ctx context.Context, tx Tx, held map[string]string) error {
	if !b.holds {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM job_hold WHERE worker = $1`, b.id); err != nil {
		return err
	}
	for queue, spared := range held {
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_hold (worker, queue, spared) VALUES ($1, $2, $3)`, b.id, queue, spared); err != nil {
			return err
		}
	}
	return nil
}

// end tells the others that this process has stopped.
func (b *beat) end(ctx context.Context) error {
	return b.db.InTx(ctx, func(tx Tx) error {
		for _, table := range []string{"job_slot", "job_hold"} {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE worker = $1`, b.id); err != nil {
				return err
			}
		}
		_, err := tx.ExecContext(ctx, `DELETE FROM worker WHERE id = $1`, b.id)
		return err
	})
}

// ask returns which tries should end, because their job was canceled or has gone to another worker. It finds what a lost notification didn't tell. A job
// that is completed is left alone: its worker is tidying up.
func ask(ctx context.Context, tx Tx, running []Handle) (map[Handle]error, error) {
	if len(running) == 0 {
		return nil, nil
	}
	ids := make([]string, len(running))
	for i, h := range running {
		ids[i] = strconv.FormatInt(h.id, 10)
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, state, attempt, `+tx.dialect().holder+`, metadata ->> 'cancel_attempted_at' IS NOT NULL
		FROM river_job WHERE id IN (`+strings.Join(ids, ",")+`)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	over := map[Handle]error{}
	for rows.Next() {
		var now Handle
		var state string
		var canceled bool
		if err := rows.Scan(&now.id, &state, &now.number, &now.worker, &canceled); err != nil {
			return nil, err
		}
		for _, h := range running {
			switch {
			case h.id != now.id || state == "completed":
			case state == "running" && h != now, state == "available", state == "retryable":
				over[h] = ErrLost
			case canceled:
				over[h] = ErrCanceled
			}
		}
	}
	return over, rows.Err()
}

// watch beats each second, oftener where LostAfter is short, until ctx is done.
func (e *Engine) watch(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, e.cfg.LostAfter/4))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := e.readLimits(ctx); err != nil && ctx.Err() == nil {
			e.complain("the limits of queues could not be read; those read before stay in force", err)
		}
		tries := e.tries()
		handles := make([]Handle, len(tries))
		for i, t := range tries {
			handles[i] = t.Handle
		}
		over, err := e.beat.strike(ctx, handles)
		if err != nil {
			if ctx.Err() == nil {
				e.complain("the beat failed; other processes may take over the jobs that run here", err)
			}
			continue
		}
		e.away.over()
		for _, t := range tries {
			if why := over[t.Handle]; why != nil {
				t.cancel(why)
			}
		}
	}
}

func (e *Engine) tries() []*try {
	e.mu.Lock()
	defer e.mu.Unlock()
	all := make([]*try, 0, len(e.running))
	for t := range e.running {
		all = append(all, t)
	}
	return all
}

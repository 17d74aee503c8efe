package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/fault"
)

// QueueState is a queue as it stands, for people who look.
type QueueState struct {
	Name      string
	Paused    time.Time // since when; zero where it is open
	Available int       // due, and waiting for a slot
	Scheduled int       // due later: told so, or after a failure
	Running   int       // in processes that are up
	Lost      int       // in processes that are silent; another process takes them over
	Dead      int
	Default   *int      // the limit of every machine without one of its own; nil where each does what it was told
	Machines  []Machine // by name: those that work on it now, and those with a limit of their own
}

// Machine is what one machine does of a queue.
type Machine struct {
	Name      string
	Workers   int  // tries side by side in each of its processes; 0 where none is up and nothing limits it
	Limit     *int // its own limit
	Running   int  // in its processes that are up
	Up        bool // a process of it works on the queue now
	Processes []Process
}

// Process is one process of a machine that works on a queue, or one that was lost with attempts of it in the last days.
type Process struct {
	ID      string // as attempts name it
	PID     int
	Roles   string
	Up      bool      // it beats
	Seen    time.Time // its last beat
	Running int       // attempts under way; those of a silent process wait to be taken over
	Lost    int       // attempts that others took over because it was silent
}

// QueueChange changes a queue while it works. What is nil stays as it is.
type QueueChange struct {
	Paused  *bool  // nothing is begun while a queue is paused; what runs goes on
	Machine string // whose limit; empty for the default of all
	Workers **int  // tries side by side in each process, 0 to MaxWorkers; to nil takes the limit away
}

// limits are a queue's, by machine; "" is the default.
type limits map[string]int

// limitsOf reads the limits of all queues.
func limitsOf(ctx context.Context, db Statements) (map[string]limits, error) {
	rows, err := db.QueryContext(ctx, `SELECT queue, machine, workers FROM job_limit`)
	if err != nil {
		return nil, fmt.Errorf("read limits: %w", err)
	}
	defer rows.Close()
	all := map[string]limits{}
	for rows.Next() {
		var queue, machine string
		var workers int
		if err := rows.Scan(&queue, &machine, &workers); err != nil {
			return nil, err
		}
		if all[queue] == nil {
			all[queue] = limits{}
		}
		all[queue][machine] = workers
	}
	return all, rows.Err()
}

// effective is how much a machine does side by side: by its own limit, else by the default of all, else as it was told.
func effective(of limits, machine string, told int) int {
	if n, ok := of[machine]; ok && machine != "" {
		return n
	}
	if n, ok := of[""]; ok {
		return n
	}
	return told
}

// Queues returns every queue that ever was worked on, by name.
func (e *Engine) Queues(ctx context.Context) ([]QueueState, error) {
	var all []QueueState
	err := e.db.View(ctx, func(st Statements) (err error) {
		all, err = e.queues(ctx, st, e.db.dialect())
		return err
	})
	return all, err
}

// SetQueue changes a queue, on every machine within about a second, and returns it as it is then. fault.NotFound, code "no_queue", for one that never was
// worked on; fault.Invalid, code "bad_limit", for a number that no limit can be.
func (e *Engine) SetQueue(ctx context.Context, name string, change QueueChange) (state QueueState, err error) {
	if change.Workers != nil && *change.Workers != nil && (**change.Workers < 0 || **change.Workers > MaxWorkers) {
		return state, fault.New(fault.Invalid, "engine.queue", "bad_limit", fmt.Sprintf("A limit is 0 to %d; send one of these, or null to take the limit away.", MaxWorkers), nil)
	}
	err = e.db.InTx(ctx, func(tx Tx) error {
		all, err := e.queues(ctx, tx, tx.dialect())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(all, func(q QueueState) bool { return q.Name == name }) {
			return fault.New(fault.NotFound, "engine.queue", "no_queue", "There is no such queue; list the queues to see their names.", nil)
		}
		if err := change.apply(ctx, tx, name); err != nil {
			return err
		}
		if all, err = e.queues(ctx, tx, tx.dialect()); err != nil {
			return err
		}
		state = all[slices.IndexFunc(all, func(q QueueState) bool { return q.Name == name })]
		return nil
	})
	return state, err
}

func (c QueueChange) apply(ctx context.Context, tx Tx, name string) error {
	if c.Paused != nil {
		since := `0`
		if *c.Paused {
			since = `CASE WHEN paused = 0 THEN ` + tx.dialect().millis + ` ELSE paused END`
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_queue (name, paused, served) VALUES ($1, 0, 0) ON CONFLICT DO NOTHING`, name); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `UPDATE job_queue SET paused = `+since+` WHERE name = $1`, name); err != nil {
			return err
		}
	}
	if c.Workers == nil {
		return nil
	}
	if *c.Workers == nil {
		_, err := tx.ExecContext(ctx, `DELETE FROM job_limit WHERE queue = $1 AND machine = $2`, name, c.Machine)
		return err
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO job_limit (queue, machine, workers) VALUES ($1, $2, $3)
		ON CONFLICT (queue, machine) DO UPDATE SET workers = excluded.workers`, name, c.Machine, **c.Workers)
	return err
}

// queues reads all queues by name.
func (e *Engine) queues(ctx context.Context, st Statements, d dialect) ([]QueueState, error) {
	byName := map[string]*QueueState{}
	queue := func(name string) *QueueState {
		if byName[name] == nil {
			byName[name] = &QueueState{Name: name}
		}
		return byName[name]
	}
	if err := readQueues(ctx, st, queue); err != nil {
		return nil, err
	}
	set, err := limitsOf(ctx, st)
	if err != nil {
		return nil, err
	}
	if err := e.readMachines(ctx, st, d, set, queue); err != nil {
		return nil, err
	}
	if err := readLost(ctx, st, d, queue); err != nil {
		return nil, err
	}
	for name, q := range byName {
		for machine, n := range set[name] {
			if machine == "" {
				q.Default = &n
				continue
			}
			i := slices.IndexFunc(q.Machines, func(m Machine) bool { return m.Name == machine })
			if i < 0 {
				q.Machines = append(q.Machines, Machine{Name: machine, Workers: n})
				i = len(q.Machines) - 1
			}
			q.Machines[i].Limit = &n
		}
		slices.SortFunc(q.Machines, func(a, b Machine) int { return strings.Compare(a.Name, b.Name) })
	}
	var all []QueueState
	for _, q := range byName {
		all = append(all, *q)
	}
	slices.SortFunc(all, func(a, b QueueState) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// readQueues reads which queues there are, and counts their jobs that are not over well.
func readQueues(ctx context.Context, st Statements, queue func(string) *QueueState) error {
	rows, err := st.QueryContext(ctx, `SELECT name, paused FROM job_queue UNION ALL SELECT DISTINCT queue, CAST(0 AS BIGINT) FROM job_slot`)
	if err != nil {
		return fmt.Errorf("list queues: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var paused int64
		if err := rows.Scan(&name, &paused); err != nil {
			return err
		}
		if q := queue(name); paused > 0 {
			q.Paused = time.UnixMilli(paused).UTC()
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	counts, err := st.QueryContext(ctx, `SELECT queue, CAST(state AS TEXT), count(*) FROM river_job
		WHERE state IN ('available', 'scheduled', 'retryable', 'running', 'discarded') GROUP BY queue, state`)
	if err != nil {
		return fmt.Errorf("count jobs: %w", err)
	}
	defer counts.Close()
	for counts.Next() {
		var name, state string
		var n int
		if err := counts.Scan(&name, &state, &n); err != nil {
			return err
		}
		q := queue(name)
		switch state {
		case "available":
			q.Available += n
		case "running":
			q.Running += n
		case "discarded":
			q.Dead += n
		default:
			q.Scheduled += n
		}
	}
	return counts.Err()
}

// readMachines reads which processes work on which queue, and how much runs there.
func (e *Engine) readMachines(ctx context.Context, st Statements, d dialect, set map[string]limits, queue func(string) *QueueState) error {
	rows, err := st.QueryContext(ctx, `SELECT s.queue, s.worker, s.workers, coalesce(p.pid, 0), coalesce(p.roles, ''), coalesce(w.seen, 0), `+d.millis+`,
		(SELECT count(*) FROM river_job WHERE state = 'running' AND queue = s.queue AND `+d.holder+` = s.worker)
		FROM job_slot s LEFT JOIN worker w ON w.id = s.worker LEFT JOIN job_process p ON p.worker = s.worker ORDER BY s.queue, s.worker`)
	if err != nil {
		return fmt.Errorf("list machines: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var told int
		var seen, now int64
		var p Process
		if err := rows.Scan(&name, &p.ID, &told, &p.PID, &p.Roles, &seen, &now, &p.Running); err != nil {
			return err
		}
		p.Seen, p.Up = time.UnixMilli(seen).UTC(), now-seen <= e.cfg.LostAfter.Milliseconds()
		q, machine := queue(name), machineOf(p.ID)
		m := q.machine(machine)
		m.Workers, m.Processes = effective(set[name], machine, told), append(m.Processes, p)
		if p.Up {
			m.Up, m.Running = true, m.Running+p.Running
		} else {
			q.Running, q.Lost = q.Running-p.Running, q.Lost+p.Running
		}
	}
	return rows.Err()
}

// readLost reads which processes were lost with attempts under way within lostKept, or were taken for lost and are
// back.
func readLost(ctx context.Context, st Statements, d dialect, queue func(string) *QueueState) error {
	rows, err := st.QueryContext(ctx, `SELECT l.queue, l.worker, l.seen, l.attempts, coalesce(p.pid, 0), coalesce(p.roles, '')
		FROM job_lost l LEFT JOIN job_process p ON p.worker = l.worker WHERE l.attempts > 0 AND l.seen > `+d.millis+` - $1
		ORDER BY l.queue, l.seen`, lostKept.Milliseconds())
	if err != nil {
		return fmt.Errorf("list lost attempts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var seen int64
		var p Process
		if err := rows.Scan(&name, &p.ID, &seen, &p.Lost, &p.PID, &p.Roles); err != nil {
			return err
		}
		p.Seen = time.UnixMilli(seen).UTC()
		m := queue(name).machine(machineOf(p.ID))
		if i := slices.IndexFunc(m.Processes, func(known Process) bool { return known.ID == p.ID }); i >= 0 {
			m.Processes[i].Lost = p.Lost
			continue
		}
		m.Processes = append(m.Processes, p)
	}
	return rows.Err()
}

// machine is a machine of the queue, added where there is none.
func (q *QueueState) machine(name string) *Machine {
	i := slices.IndexFunc(q.Machines, func(m Machine) bool { return m.Name == name })
	if i < 0 {
		q.Machines = append(q.Machines, Machine{Name: name})
		i = len(q.Machines) - 1
	}
	return &q.Machines[i]
}

// machineOf is the machine in a process's id.
func machineOf(id string) string { return strings.TrimRight(id[:max(len(id)-idTail, 0)], "-") }

package engine

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// owner is who a job's row belongs to; the index that Migrate makes is on this very expression.
const owner = `coalesce(metadata ->> 'owner', '')`

// claimWait bounds one claim: a database that takes longer is asked again.
const claimWait = 10 * time.Second

// candidate is a job that may be taken now.
type candidate struct {
	id       int64
	priority int
	owner    string
}

// share is what an owner has of a queue.
type share struct {
	running int   // tries under way, on all machines
	served  int64 // when it last got a slot, as a count of the queue's slots
}

// claim takes up to most jobs of a queue for this process, in the order in which they should start: by priority; within one, the owner with the fewest tries
// under way in this queue first, of two the one that waited longer for a slot; within one owner by age. Claims of one queue follow each other, so that each
// sees what the one before took.
func (e *Engine) claim(ctx context.Context, queue string, most int) ([]*rivertype.JobRow, error) {
	if most <= 0 || e.stopping() {
		return nil, nil
	}
	hold := e.hold(queue)
	if hold.Held && len(hold.Except) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	if due, err := e.due(ctx, queue); err != nil || !due {
		return nil, err
	}
	var rows []*rivertype.JobRow
	err := e.db.InTx(ctx, func(tx Tx) error {
		rows = nil
		served, open, err := turn(ctx, tx, queue, most)
		if err != nil || !open {
			return err
		}
		all, err := e.choose(ctx, tx, queue, most, hold)
		if err != nil {
			return err
		}
		shares, err := sharesOf(ctx, tx, queue, all)
		if err != nil {
			return err
		}
		chosen := pick(all, shares, most, served)
		ids, err := take(ctx, tx, e.id, chosen)
		if err != nil || len(ids) == 0 {
			return err
		}
		if err := serve(ctx, tx, queue, chosen, shares); err != nil {
			return err
		}
		if rows, err = e.client.rows(ctx, tx, ids); err != nil {
			return err
		}
		place := map[int64]int{}
		for i, c := range chosen {
			place[c.id] = i
		}
		slices.SortFunc(rows, func(a, b *rivertype.JobRow) int { return place[a.ID] - place[b.ID] })
		return nil
	})
	return rows, err
}

// hold asks which jobs of a queue are held here.
func (e *Engine) hold(queue string) Hold {
	if e.cfg.Hold == nil {
		return Hold{}
	}
	now := e.cfg.Hold(queue)
	e.holds.note(queue, now)
	return now
}

// choose lists the jobs that could be among the next most and are not held.
func (e *Engine) choose(ctx context.Context, tx Tx, queue string, most int, hold Hold) ([]candidate, error) {
	if hold.Held {
		return candidatesOf(ctx, tx, queue, most, hold.Except)
	}
	return candidates(ctx, tx, tx.dialect(), queue, most)
}

// due asks whether there may be something to take, without keeping anybody from writing.
func (e *Engine) due(ctx context.Context, queue string) (due bool, err error) {
	err = e.db.Read.QueryRowContext(ctx, dueQuery(e.db.dialect()), queue).Scan(&due)
	return due, err
}

// dueQuery asks for the first job in the order of an index. Asked whether there is any, PostgreSQL expects to meet one soon and reads the table from its
// beginning, where the jobs are that are over.
func dueQuery(d dialect) string {
	return `SELECT (SELECT 1 FROM river_job WHERE state = 'available' AND queue = $1 AND scheduled_at <= ` + d.now + ` ORDER BY priority, scheduled_at, id LIMIT 1) IS NOT NULL
		AND NOT EXISTS (SELECT 1 FROM job_queue WHERE name = $1 AND paused > 0)`
}

// turn waits until no other claim of this queue is under way, until tx ends. It returns the count of slots served before, and whether the queue is open.
func turn(ctx context.Context, tx Tx, queue string, most int) (served int64, open bool, err error) {
	var paused int64
	err = tx.QueryRowContext(ctx, `INSERT INTO job_queue (name, paused, served) VALUES ($1, 0, CAST($2 AS BIGINT))
		ON CONFLICT (name) DO UPDATE SET served = job_queue.served + excluded.served RETURNING paused, served`, queue, most).Scan(&paused, &served)
	return served - int64(most), paused == 0, err
}

// candidates lists the jobs that could be among the next most, by priority and age: the first ones of each owner.
func candidates(ctx context.Context, st Statements, d dialect, queue string, most int) ([]candidate, error) {
	// The owners are found by jumping through the index from each to the next: a batch of a hundred thousand jobs costs one jump.
	rows, err := st.QueryContext(ctx, `WITH RECURSIVE o (name) AS (
		SELECT (SELECT `+owner+` FROM river_job WHERE state = 'available' AND queue = $1 ORDER BY `+owner+` LIMIT 1)
		UNION ALL
		SELECT (SELECT `+owner+` FROM river_job WHERE state = 'available' AND queue = $1 AND `+owner+` > o.name ORDER BY `+owner+` LIMIT 1)
		FROM o WHERE o.name IS NOT NULL)
		SELECT c.id, c.priority, o.name FROM o `+fmt.Sprintf(d.firsts, `state = 'available' AND queue = $1 AND `+owner+` = o.name AND scheduled_at <= `+d.now+`
			ORDER BY priority, scheduled_at, id LIMIT $2`)+` ORDER BY c.priority, c.scheduled_at, c.id`, queue, most)
	if err != nil {
		return nil, fmt.Errorf("list jobs to take: %w", err)
	}
	return scan(rows)
}

// candidatesOf lists the next jobs of some groups, by priority and age. The groups are few, and found by their index.
func candidatesOf(ctx context.Context, tx Tx, queue string, most int, groups []string) ([]candidate, error) {
	args, marks := []any{queue, most}, make([]string, len(groups))
	for i, g := range groups {
		args = append(args, g)
		marks[i] = "$" + strconv.Itoa(len(args))
	}
	rows, err := tx.QueryContext(ctx, `SELECT id, priority, `+owner+` FROM river_job WHERE state = 'available' AND queue = $1
		AND metadata ->> 'group' IN (`+strings.Join(marks, ", ")+`) AND scheduled_at <= `+tx.dialect().now+` ORDER BY priority, scheduled_at, id LIMIT $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs of groups: %w", err)
	}
	return scan(rows)
}

// scan reads candidates, and closes rows.
func scan(rows *sql.Rows) ([]candidate, error) {
	defer rows.Close()
	var all []candidate
	for rows.Next() {
		var c candidate
		if err := rows.Scan(&c.id, &c.priority, &c.owner); err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, rows.Err()
}

// sharesOf is what each owner of a candidate has of the queue. One owner alone shares with nobody.
func sharesOf(ctx context.Context, st Statements, queue string, all []candidate) (map[string]*share, error) {
	shares := map[string]*share{}
	for _, c := range all {
		shares[c.owner] = &share{}
	}
	if len(shares) < 2 {
		return shares, nil
	}
	rows, err := st.QueryContext(ctx, `SELECT `+owner+`, count(*), CAST(0 AS BIGINT) FROM river_job WHERE state = 'running' AND queue = $1 GROUP BY 1
		UNION ALL SELECT owner, 0, served FROM job_share WHERE queue = $1`, queue)
	if err != nil {
		return nil, fmt.Errorf("count shares: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		var s share
		if err := rows.Scan(&name, &s.running, &s.served); err != nil {
			return nil, err
		}
		if known := shares[name]; known != nil {
			known.running += s.running
			known.served += s.served
		}
	}
	return shares, rows.Err()
}

// pick chooses up to most of all, which are in the order of priority and age, and counts them in shares; served is the queue's count of slots before.
func pick(all []candidate, shares map[string]*share, most int, served int64) []candidate {
	p := newPicker(all, shares, served)
	var chosen []candidate
	for len(chosen) < min(most, len(all)) {
		chosen = append(chosen, p.next())
	}
	return chosen
}

// picker chooses one job after the other.
type picker struct {
	heads  map[string][]candidate // by owner, what is left
	age    map[int64]int          // by job, its place in the order of priority and age
	shares map[string]*share
	served int64 // slots of the queue
}

func newPicker(all []candidate, shares map[string]*share, served int64) *picker {
	p := &picker{heads: map[string][]candidate{}, age: map[int64]int{}, shares: shares, served: served}
	for i, c := range all {
		p.heads[c.owner] = append(p.heads[c.owner], c)
		p.age[c.id] = i
	}
	return p
}

// next chooses one of those that are left, of which there must be one, and counts it in the shares.
func (p *picker) next() candidate {
	var best *candidate
	for _, left := range p.heads {
		if len(left) == 0 {
			continue
		}
		if c := &left[0]; best == nil || cmp.Or(
			c.priority-best.priority,
			p.shares[c.owner].running-p.shares[best.owner].running,
			cmp.Compare(p.shares[c.owner].served, p.shares[best.owner].served),
			p.age[c.id]-p.age[best.id],
		) < 0 {
			best = c
		}
	}
	p.served++
	p.shares[best.owner].running++
	p.shares[best.owner].served = p.served
	p.heads[best.owner] = p.heads[best.owner][1:]
	return *best
}

// take marks jobs as running here, and returns which were still to be had.
func take(ctx context.Context, tx Tx, worker string, chosen []candidate) ([]int64, error) {
	if len(chosen) == 0 {
		return nil, nil
	}
	list := make([]string, len(chosen))
	for i, c := range chosen {
		list[i] = strconv.FormatInt(c.id, 10)
	}
	d := tx.dialect()
	rows, err := tx.QueryContext(ctx, `UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_at = `+d.now+`, attempted_by = `+d.holders+`
		WHERE state = 'available' AND id IN (`+strings.Join(list, ",")+`) RETURNING id`, worker)
	if err != nil {
		return nil, fmt.Errorf("take jobs: %w", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, rows.Err()
}

// serve notes when each owner last got a slot, where there are several.
func serve(ctx context.Context, tx Tx, queue string, chosen []candidate, shares map[string]*share) error {
	if len(shares) < 2 {
		return nil
	}
	for _, name := range slices.Compact(slices.Sorted(func(yield func(string) bool) {
		for _, c := range chosen {
			if !yield(c.owner) {
				return
			}
		}
	})) {
		if _, err := tx.ExecContext(ctx, `INSERT INTO job_share (queue, owner, served) VALUES ($1, $2, $3)
			ON CONFLICT (queue, owner) DO UPDATE SET served = excluded.served`, queue, name, shares[name].served); err != nil {
			return fmt.Errorf("note shares: %w", err)
		}
	}
	return nil
}

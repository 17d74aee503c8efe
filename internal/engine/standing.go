package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// QueuePosition says where the next job of a group stands in its queue.
type QueuePosition struct {
	Queue   string
	Running bool           // a try has begun
	Paused  bool           // the queue is paused
	Held    bool           // every process that works on the queue holds it (Config.Hold)
	Due     time.Time      // when the next try is due, after a failure or a part that was away; zero where it is due now
	Code    string         // which part was away in the last try (fault.Error.Code); empty where none was
	Ahead   int            // due jobs of the queue that start before it; MaxAhead means that many or more
	Workers int            // jobs of the queue that may run side by side now, in all processes that are up
	Start   *time.Duration // estimate of the time until the job starts; nil where nothing is known
}

const (
	// MaxAhead bounds how far into a queue Standings looks.
	MaxAhead = 1000
	// lineAge is how long what was read of a queue is used again, so that many pages that are open cost what one does.
	lineAge = time.Second
	// recent and recentOf bound what an estimate reads: the last 25 jobs of the queue, among the last 500 of all.
	recent, recentOf = 25, 500
	// holdAge is how long a process is taken to hold a queue that it no longer asks for jobs of, as while all its
	// slots are in use.
	holdAge = 5 * time.Second
)

// line is a queue as it was read last: which job starts at which place.
type line struct {
	read    time.Time
	places  map[int64]int // by job
	paused  bool
	spared  [][]string // by process that may take jobs: nil for all groups, else the groups that it does not hold
	workers int
	running int
	usual   time.Duration // median of what its last jobs took; 0 where none has ended
}

// lines keeps what was read of each queue for lineAge.
type lines struct {
	mu  sync.Mutex
	all map[string]*line
}

// Standings says where the next job of each group stands, of the jobs of some kinds, by group. Groups without an
// unfinished job are absent. The jobs of a queue are put in the order in which claim takes them, if those that started
// first end first. Jobs that come later, of another owner or a higher priority, may start before them.
//
// Standing.Start is (Ahead + 1 + running - Workers) times the median of what the last 25 jobs of the queue took, divided
// by Workers; zero where a slot is free.
//
// It costs one query for all groups, and at most four for each queue and second.
func (e *Engine) Standings(ctx context.Context, groups, kinds []string) (map[string]QueuePosition, error) {
	if len(groups) == 0 || len(kinds) == 0 {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, claimWait)
	defer cancel()
	var all map[string]QueuePosition
	err := e.db.View(ctx, func(st Statements) error {
		heads, err := headsOf(ctx, st, e.db.dialect(), groups, kinds)
		if err != nil {
			return err
		}
		all = map[string]QueuePosition{}
		for _, h := range heads {
			s, err := e.stand(ctx, st, h)
			if err != nil {
				return err
			}
			if old, met := all[h.group]; !met || s.before(old) {
				all[h.group] = s
			}
		}
		return nil
	})
	return all, err
}

// before reports whether s starts before o, as far as that is known.
func (s QueuePosition) before(o QueuePosition) bool {
	switch {
	case s.Running != o.Running:
		return s.Running
	case s.Due.IsZero() != o.Due.IsZero():
		return s.Due.IsZero()
	case !s.Due.IsZero():
		return s.Due.Before(o.Due)
	case s.Paused != o.Paused:
		return o.Paused
	case s.Start != nil && o.Start != nil && *s.Start != *o.Start:
		return *s.Start < *o.Start
	}
	return s.Ahead < o.Ahead
}

// head is the first unfinished job of a group in one queue.
type head struct {
	id      int64
	group   string
	queue   string
	running bool
	due     time.Time // zero where it is due
	code    string
}

// headsOf reads the first unfinished job of each group in each queue.
func headsOf(ctx context.Context, st Statements, d dialect, groups, kinds []string) ([]head, error) {
	rows, err := st.QueryContext(ctx, headsQuery(d, len(groups), len(kinds)), texts(groups, kinds)...)
	if err != nil {
		return nil, fmt.Errorf("read the first jobs of groups: %w", err)
	}
	defer rows.Close()
	var all []head
	for rows.Next() {
		var h head
		var rank int
		var due int64
		if err := rows.Scan(&h.id, &h.group, &h.queue, &rank, &due, &h.code); err != nil {
			return nil, err
		}
		if h.running = rank == 0; rank == 2 {
			h.due = epoch(due)
		}
		all = append(all, h)
	}
	return all, rows.Err()
}

// headsQuery ranks a job that runs as 0, one that is due as 1, and one that is due later as 2.
func headsQuery(d dialect, groups, kinds int) string {
	rank := `CASE WHEN state = 'running' THEN 0 WHEN state = 'available' AND scheduled_at <= ` + d.now + ` THEN 1 ELSE 2 END`
	return `SELECT id, name, queue, rank, due, code FROM (SELECT id, metadata ->> 'group' AS name, queue, ` + rank + ` AS rank, ` +
		d.epoch("scheduled_at") + ` AS due, coalesce(metadata -> 'wait' ->> 'code', '') AS code,
		row_number() OVER (PARTITION BY metadata ->> 'group', queue ORDER BY ` + rank + `,
			CASE WHEN scheduled_at <= ` + d.now + ` THEN priority ELSE 0 END, scheduled_at, id) AS place
		FROM river_job WHERE metadata ->> 'group' IN (` + marks(1, groups) + `)
			AND state IN ('available', 'running', 'retryable', 'scheduled') AND kind IN (` + marks(1+groups, kinds) + `)) AS jobs
		WHERE place = 1`
}

// marks are n parameters from first on.
func marks(first, n int) string {
	all := make([]string, n)
	for i := range all {
		all[i] = "$" + strconv.Itoa(first+i)
	}
	return strings.Join(all, ", ")
}

func texts(lists ...[]string) (all []any) {
	for _, list := range lists {
		for _, text := range list {
			all = append(all, text)
		}
	}
	return all
}

// stand says where a job stands.
func (e *Engine) stand(ctx context.Context, st Statements, h head) (QueuePosition, error) {
	l, err := e.lineOf(ctx, st, h)
	if err != nil {
		return QueuePosition{}, err
	}
	s := QueuePosition{Queue: h.queue, Running: h.running, Paused: l.paused, Due: h.due, Code: h.code, Workers: l.workers}
	s.Held = len(l.spared) > 0 && !slices.ContainsFunc(l.spared, func(groups []string) bool {
		return groups == nil || slices.Contains(groups, h.group)
	})
	if h.running || !h.due.IsZero() {
		return s, nil
	}
	place, known := l.places[h.id]
	if s.Ahead = place; !known {
		s.Ahead = min(len(l.places), MaxAhead) // it became due after the line was read, or stands behind all that was
	}
	if s.Paused || s.Held || s.Ahead == MaxAhead {
		return s, nil
	}
	s.Start = l.start(s.Ahead)
	return s, nil
}

// start estimates when a job starts that stands behind so many.
func (l *line) start(ahead int) *time.Duration {
	var d time.Duration
	if before := ahead + 1 + l.running - l.workers; before > 0 {
		if l.workers == 0 || l.usual == 0 {
			return nil
		}
		d = time.Duration(before) * l.usual / time.Duration(l.workers)
	}
	return &d
}

// lineOf returns the queue of a job as it was read within lineAge.
func (e *Engine) lineOf(ctx context.Context, st Statements, h head) (*line, error) {
	e.lines.mu.Lock()
	l := e.lines.all[h.queue]
	e.lines.mu.Unlock()
	if l != nil && time.Since(l.read) < lineAge {
		if _, known := l.places[h.id]; known || h.running || !h.due.IsZero() || len(l.places) >= MaxAhead {
			return l, nil
		}
	}
	l, err := e.readLine(ctx, st, h.queue)
	if err != nil {
		return nil, err
	}
	e.lines.mu.Lock()
	defer e.lines.mu.Unlock()
	if e.lines.all == nil {
		e.lines.all = map[string]*line{}
	}
	e.lines.all[h.queue] = l
	return l, nil
}

// foresee is the order in which jobs start on so many workers, up to MaxAhead: the job that started first ends first.
func foresee(all []candidate, shares map[string]*share, served int64, workers int) []int64 {
	var running []string // owners of jobs under way, in the order in which they end
	for _, name := range slices.Sorted(maps.Keys(shares)) {
		running = append(running, slices.Repeat([]string{name}, shares[name].running)...)
	}
	p := newPicker(all, shares, served)
	order := make([]int64, 0, len(all))
	for len(order) < min(len(all), MaxAhead) {
		for len(running) >= max(workers, 1) {
			shares[running[0]].running--
			running = running[1:]
		}
		c := p.next()
		running, order = append(running, c.owner), append(order, c.id)
	}
	return order
}

func (e *Engine) readLine(ctx context.Context, st Statements, queue string) (*line, error) {
	d, l := e.db.dialect(), &line{read: time.Now(), places: map[int64]int{}}
	var served int64
	if err := st.QueryRowContext(ctx, `SELECT coalesce(max(paused), 0) > 0, coalesce(max(served), 0) FROM job_queue WHERE name = $1`,
		queue).Scan(&l.paused, &served); err != nil {
		return nil, fmt.Errorf("read a queue: %w", err)
	}
	all, err := candidates(ctx, st, d, queue, MaxAhead)
	if err != nil {
		return nil, err
	}
	shares, err := sharesOf(ctx, st, queue, all)
	if err != nil {
		return nil, err
	}
	if err := e.readSlots(ctx, st, d, queue, l); err != nil {
		return nil, err
	}
	for i, id := range foresee(all, shares, served, l.workers) {
		l.places[id] = i
	}
	l.usual, err = usual(ctx, st, d, queue)
	return l, err
}

// readSlots reads how much runs and may run of a queue, in the processes that are up.
func (e *Engine) readSlots(ctx context.Context, st Statements, d dialect, queue string, l *line) error {
	set, err := limitsOf(ctx, st)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(ctx, `SELECT s.worker, s.workers, coalesce(h.spared, ''),
		(SELECT count(*) FROM river_job WHERE state = 'running' AND queue = s.queue AND `+d.holder+` = s.worker)
		FROM worker w JOIN job_slot s ON s.worker = w.id LEFT JOIN job_hold h ON h.worker = s.worker AND h.queue = s.queue
		WHERE s.queue = $1 AND w.seen >= `+d.millis+` - $2`, queue, e.cfg.LostAfter.Milliseconds())
	if err != nil {
		return fmt.Errorf("read the slots of a queue: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, spared string
		var told, running int
		if err := rows.Scan(&id, &told, &spared, &running); err != nil {
			return err
		}
		workers := effective(set[queue], machineOf(id), told)
		l.workers, l.running = l.workers+workers, l.running+running
		if workers == 0 {
			continue
		}
		var groups []string // nil where the process holds nothing
		if spared != "" {
			if err := json.Unmarshal([]byte(spared), &groups); err != nil {
				return fmt.Errorf("read what a process holds: %w", err)
			}
		}
		l.spared = append(l.spared, groups)
	}
	return rows.Err()
}

// usual is the median of what the last jobs of a queue took; 0 where none has ended.
func usual(ctx context.Context, st Statements, d dialect, queue string) (time.Duration, error) {
	rows, err := st.QueryContext(ctx, usualQuery(d), queue)
	if err != nil {
		return 0, fmt.Errorf("read what jobs took: %w", err)
	}
	defer rows.Close()
	var all []int64
	for rows.Next() {
		var ms int64
		if err := rows.Scan(&ms); err != nil {
			return 0, err
		}
		all = append(all, max(ms, 1))
	}
	if err := rows.Err(); err != nil || len(all) == 0 {
		return 0, err
	}
	slices.Sort(all)
	return time.Duration(all[len(all)/2]) * time.Millisecond, nil
}

// usualQuery reads the newest jobs that ended by their index, whatever their queue, and of these the ones of one queue.
func usualQuery(d dialect) string {
	return `SELECT ended - began FROM (SELECT queue, ` + d.epoch("attempted_at") + ` AS began, ` + d.epoch("finalized_at") + ` AS ended
		FROM river_job WHERE state = 'completed' AND finalized_at IS NOT NULL ORDER BY finalized_at DESC LIMIT ` + strconv.Itoa(recentOf) + `) AS jobs
		WHERE queue = $1 ORDER BY ended DESC LIMIT ` + strconv.Itoa(recent)
}

// holds is what this process holds of each queue, for those that look.
type holds struct {
	mu  sync.Mutex
	all map[string]hold
}

type hold struct {
	Hold
	at time.Time
}

// note keeps what a process was last told to hold.
func (h *holds) note(queue string, now Hold) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.all == nil {
		h.all = map[string]hold{}
	}
	h.all[queue] = hold{now, time.Now()}
}

// texts are the groups that are spared, as JSON, of each queue that is held.
func (h *holds) texts() map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string]string{}
	for queue, one := range h.all {
		if !one.Held || time.Since(one.at) > holdAge {
			continue
		}
		text, err := json.Marshal(append([]string{}, one.Except...)) // never null
		if err != nil {
			panic(err) // strings
		}
		all[queue] = string(text)
	}
	return all
}

package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// MaxWorkers is the most that a limit gives a process of a queue; a process that was told more keeps that as its most.
const MaxWorkers = 128

// gate is how many tries of one queue run side by side in this process. River fixes that number when it starts, and asks for more jobs the moment one of
// its slots is free. So River gets the most that can ever be allowed, and the slots that are not to be used are kept busy by jobs that only wait: no row, no
// cost but a goroutine each, and a changed limit takes hold without waiting for what runs.
type gate struct {
	queue string
	slots int // River's
	told  int // what the process was told

	mu    sync.Mutex
	limit int
	idle  map[int64]chan struct{} // by waiting job; closed to free its slot
}

// idleKind is what a waiting job is called. No row has it.
const idleKind = "engine.idle"

// idleID numbers waiting jobs, downwards: rows count up.
var idleID atomic.Int64

func newGate(q Queue) *gate {
	return &gate{queue: q.Name, slots: max(q.Workers, MaxWorkers), told: q.Workers, limit: q.Workers, idle: map[int64]chan struct{}{}}
}

// fill returns the waiting jobs that keep River's slots above the limit, at most free of them.
func (g *gate) fill(free int) []*rivertype.JobRow {
	g.mu.Lock()
	defer g.mu.Unlock()
	var rows []*rivertype.JobRow
	for len(g.idle) < g.slots-g.limit && len(rows) < free {
		id := idleID.Add(-1)
		g.idle[id] = make(chan struct{})
		rows = append(rows, &rivertype.JobRow{
			ID: id, Kind: idleKind, Queue: g.queue, Attempt: 1, MaxAttempts: 1, State: rivertype.JobStateRunning,
			EncodedArgs: []byte(`{}`), Metadata: []byte(`{}`), CreatedAt: time.Now(), Priority: 1,
		})
	}
	return rows
}

// set changes the limit. A lower one lets what runs go on, and begins nothing until there is room.
func (g *gate) set(limit int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.limit = min(max(limit, 0), g.slots)
	for id, freed := range g.idle {
		if len(g.idle) <= g.slots-g.limit {
			return
		}
		close(freed)
		delete(g.idle, id)
	}
}

// freed is closed when a waiting job's slot may be used; nil says that it may by now.
func (g *gate) freed(id int64) <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.idle[id]
}

// idler runs waiting jobs.
type idler struct {
	river.WorkerDefaults[args]
	engine *Engine
}

// Work keeps one slot until it may be used, or the process stops.
func (w *idler) Work(ctx context.Context, job *river.Job[args]) error {
	w.engine.pilot.begin(job.ID)
	if freed := w.engine.gates[job.Queue].freed(job.ID); freed != nil {
		select {
		case <-freed:
		case <-ctx.Done():
		}
	}
	return nil
}

// readLimits puts the limits of this machine in force.
func (e *Engine) readLimits(ctx context.Context) error {
	if len(e.gates) == 0 {
		return nil
	}
	limits, err := limitsOf(ctx, e.db.Read)
	if err != nil {
		return err
	}
	for name, g := range e.gates {
		g.set(effective(limits[name], machineOf(e.id), g.told))
	}
	return nil
}

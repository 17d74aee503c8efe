package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivershared/baseservice"
	"github.com/riverqueue/river/rivershared/riverpilot"
	"github.com/riverqueue/river/rivertype"
)

// client is River without its transaction type, which differs from database to database.
type client interface {
	Start(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	insert(ctx context.Context, tx Tx, jobs []river.InsertManyParams) error
	cancel(ctx context.Context, tx Tx, id int64) error
	set(ctx context.Context, tx Tx, to *riverdriver.JobSetStateIfRunningParams) error
	kill(ctx context.Context, tx Tx, h Handle, why string) error
	rows(ctx context.Context, tx Tx, ids []int64) ([]*rivertype.JobRow, error)
}

type clientOf[T any] struct {
	*river.Client[T]
	driver riverdriver.Driver[T]
	unwrap func(Tx) T
}

func newClient(db DB, cfg *river.Config, p *pilot) (client, error) {
	if db.Pool != nil {
		d := pgxDriver{riverpgxv5.New(db.Pool), p}
		c, err := river.NewClient(d, cfg)
		return clientOf[pgx.Tx]{c, d, func(tx Tx) pgx.Tx { return tx.pgx }}, err
	}
	d := sqliteDriver{riversqlite.New(db.SQLite), p}
	c, err := river.NewClient(d, cfg)
	return clientOf[*sql.Tx]{c, d, func(tx Tx) *sql.Tx { return tx.sqlite }}, err
}

func (c clientOf[T]) insert(ctx context.Context, tx Tx, jobs []river.InsertManyParams) error {
	_, err := c.InsertManyFastTx(ctx, c.unwrap(tx), jobs)
	return err
}

func (c clientOf[T]) cancel(ctx context.Context, tx Tx, id int64) error {
	row, err := c.JobCancelTx(ctx, c.unwrap(tx), id)
	if err != nil || row.State != rivertype.JobStateRunning || tx.sqlite == nil {
		return err
	}
	// riversqlite 0.47 marks a running job and tells nobody.
	_, err = tx.ExecContext(ctx, `INSERT INTO river_notification (topic, payload)
		VALUES ('river_control', json_object('action', 'cancel', 'job_id', $1, 'queue', $2))`, row.ID, row.Queue)
	return err
}

// set moves a running job to another state, with River's own SQL for it.
func (c clientOf[T]) set(ctx context.Context, tx Tx, to *riverdriver.JobSetStateIfRunningParams) error {
	_, err := c.driver.UnwrapExecutor(c.unwrap(tx)).JobSetStateIfRunningMany(ctx, many(to))
	return err
}

// kill ends a running job as dead.
func (c clientOf[T]) kill(ctx context.Context, tx Tx, h Handle, why string) error {
	now := time.Now()
	a := Attempt{ID: h.id, Number: h.number}
	return c.set(ctx, tx, riverdriver.JobSetStateDiscarded(h.id, now, failure(a, now, errors.New(why)), nil))
}

// rows reads jobs by their ids.
func (c clientOf[T]) rows(ctx context.Context, tx Tx, ids []int64) ([]*rivertype.JobRow, error) {
	return c.driver.UnwrapExecutor(c.unwrap(tx)).JobGetByIDMany(ctx, &riverdriver.JobGetByIDManyParams{ID: ids})
}

func many(to *riverdriver.JobSetStateIfRunningParams) *riverdriver.JobSetStateIfRunningManyParams {
	m := &riverdriver.JobSetStateIfRunningManyParams{}
	add(m, to.ID, to)
	return m
}

func add(m *riverdriver.JobSetStateIfRunningManyParams, id int64, to *riverdriver.JobSetStateIfRunningParams) {
	m.ID = append(m.ID, id)
	m.Attempt = append(m.Attempt, to.Attempt)
	m.ErrData = append(m.ErrData, to.ErrData)
	m.FinalizedAt = append(m.FinalizedAt, to.FinalizedAt)
	m.MetadataDoMerge = append(m.MetadataDoMerge, to.MetadataDoMerge)
	m.MetadataUpdates = append(m.MetadataUpdates, to.MetadataUpdates)
	m.ScheduledAt = append(m.ScheduledAt, to.ScheduledAt)
	m.State = append(m.State, to.State)
}

// pilot keeps River from ending jobs by itself. River's own completion names the job alone, so a worker that was taken for lost would end the try of the
// worker that has the job now; the engine has settled each try, fenced, before River hears of its end (Engine.settle). It also chooses which jobs this
// process takes, and how many.
type pilot struct {
	riverpilot.StandardPilot
	engine *Engine
	mu     sync.Mutex
	ours   map[int64]int // job → tries of it that this process settles itself
}

func (p *pilot) begin(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ours[id]++
}

func (p *pilot) end(id int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ours[id] == 0 {
		return false
	}
	if p.ours[id]--; p.ours[id] == 0 {
		delete(p.ours, id)
	}
	return true
}

// JobGetAvailable answers with what this process begins next, in River's place.
func (p *pilot) JobGetAvailable(ctx context.Context, _ riverdriver.Executor, _ riverpilot.ProducerState, params *riverdriver.JobGetAvailableParams) ([]*rivertype.JobRow, error) {
	idle := p.engine.gates[params.Queue].fill(params.MaxToLock)
	jobs, err := p.engine.claim(ctx, params.Queue, params.MaxToLock-len(idle))
	if err != nil {
		p.engine.complain("jobs could not be taken; trying again", err, "queue", params.Queue)
	}
	return append(idle, jobs...), nil
}

// JobSetStateIfRunningMany lets through what the engine didn't run: jobs of a kind that this process doesn't know.
func (p *pilot) JobSetStateIfRunningMany(ctx context.Context, exec riverdriver.Executor, all *riverdriver.JobSetStateIfRunningManyParams) ([]*rivertype.JobRow, error) {
	foreign := &riverdriver.JobSetStateIfRunningManyParams{Now: all.Now, Schema: all.Schema}
	for i, id := range all.ID {
		if !p.end(id) {
			add(foreign, id, &riverdriver.JobSetStateIfRunningParams{
				Attempt: all.Attempt[i], ErrData: all.ErrData[i], FinalizedAt: all.FinalizedAt[i], MetadataDoMerge: all.MetadataDoMerge[i],
				MetadataUpdates: all.MetadataUpdates[i], ScheduledAt: all.ScheduledAt[i], State: all.State[i],
			})
		}
	}
	if len(foreign.ID) == 0 {
		return nil, nil
	}
	return p.StandardPilot.JobSetStateIfRunningMany(ctx, exec, foreign)
}

// The drivers hand River the pilot.
type pgxDriver struct {
	*riverpgxv5.Driver
	pilot *pilot
}

func (d pgxDriver) PluginInit(*baseservice.Archetype) {}
func (d pgxDriver) PluginPilot() riverpilot.Pilot     { return d.pilot }

type sqliteDriver struct {
	*riversqlite.Driver
	pilot *pilot
}

func (d sqliteDriver) PluginInit(*baseservice.Archetype) {}
func (d sqliteDriver) PluginPilot() riverpilot.Pilot     { return d.pilot }

// group lists a group's unfinished jobs.
func group(ctx context.Context, tx Tx, name string, except []int64) ([]int64, error) {
	rows, err := tx.QueryContext(ctx, `SELECT id FROM river_job WHERE metadata ->> 'group' = $1
		AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled') ORDER BY id`, name)
	if err != nil {
		return nil, fmt.Errorf("list a group's jobs: %w", err)
	}
	defer rows.Close()
	var ids []int64
	for rows.Next() {
		var id int64
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if !slices.Contains(except, id) {
			ids = append(ids, id)
		}
	}
	return ids, rows.Err()
}

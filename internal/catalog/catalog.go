// Package catalog keeps the records of Sluice in SQL: one set of queries for SQLite and for PostgreSQL.
//
// It promises: each method is one transaction, in which records, events and jobs change together or not at all; and each move of a step is fenced by the
// step's state, so that a move counts once however many workers try it. A move locks its video first, and nothing before it, so that moves of one video
// follow each other and moves of two never wait in a circle.
//
// It costs one commit a move (on SQLite, one fsync), and one indexed query a read; a page of videos costs its length, not the table's.
//
// A crash loses the move that was not committed. A database that is away, or lets nobody begin for 15 s, makes methods fail with fault.Unavailable; whether
// a move was committed whose answer was lost, its repetition tells.
package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Store is the records of one database. It may be used by many goroutines and many processes.
type Store struct {
	db   engine.DB
	jobs *engine.Engine // inserts, completes and cancels; runs nothing
	log  *slog.Logger
	now  func() time.Time
	// apart is how old the fact of a video must be before the video is deleted. See Delete.
	apart time.Duration
	mail  MailJob // nil where no mail is sent, as is letter

	letter MessageJob
	purge  PurgeJob // nil where no CDN is told
}

// Open opens a SQLite file, made where there is none, or a PostgreSQL database by its URL, and brings its tables up to date. Several processes may open a
// new database at once.
func Open(ctx context.Context, dsn string, log *slog.Logger) (*Store, error) {
	db, err := open(ctx, dsn)
	if err != nil {
		return nil, err
	}
	jobs, err := engine.New(db, engine.Config{Logger: log})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Store{db: db, jobs: jobs, log: cmp.Or(log, slog.New(slog.DiscardHandler)), now: time.Now, apart: apart}, nil
}

// DB is the database, for the engine that runs the jobs.
func (s *Store) DB() engine.DB { return s.db }

// Jobs is the engine that the store inserts with: it lists and changes jobs and queues, and runs nothing.
func (s *Store) Jobs() *engine.Engine { return s.jobs }

// Close closes the database. Engines on it must have stopped.
func (s *Store) Close() error { return s.db.Close() }

// Ping returns nil while the database answers.
func (s *Store) Ping(ctx context.Context) error {
	return s.db.View(ctx, func(st engine.Statements) error {
		var one int
		return st.QueryRowContext(ctx, `SELECT 1`).Scan(&one)
	})
}

// tx is one transaction that writes.
type tx struct {
	*sqlc.Queries
	store *Store
	raw   engine.Tx
	now   int64 // epoch ms, the same for all that it writes
}

// patience is how long a transaction may wait to begin: far longer than any needs, and short enough that a client learns that the database hangs.
const patience = 15 * time.Second

// within runs f with a context that ends after limit, and says so in our words.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(short)
	// A transaction that its context ended says so in many ways: the deadline, "interrupted", "already rolled back".
	var known *fault.Error
	if err != nil && short.Err() != nil && ctx.Err() == nil && !errors.As(err, &known) && !errors.Is(err, video.ErrStale) {
		return fault.New(fault.Unavailable, "catalog", "database_unavailable", "The database does not answer at the moment; try again later.", err)
	}
	return err
}

func (s *Store) write(ctx context.Context, f func(tx) error) error {
	return within(ctx, patience, func(ctx context.Context) error {
		return s.db.InTx(ctx, func(raw engine.Tx) error {
			return f(tx{Queries: sqlc.New(raw), store: s, raw: raw, now: s.now().UnixMilli()})
		})
	})
}

func (s *Store) read(ctx context.Context, f func(*sqlc.Queries) error) error {
	return within(ctx, patience, func(ctx context.Context) error {
		return s.db.View(ctx, func(st engine.Statements) error { return f(sqlc.New(st)) })
	})
}

// insert adds jobs of a video of that owner.
func (t tx) insert(ctx context.Context, owner string, jobs []engine.Job) error {
	owned := slices.Clone(jobs)
	for i := range owned {
		owned[i].Owner = owner
	}
	return t.store.jobs.Insert(ctx, t.raw, owned...)
}

func (t tx) complete(ctx context.Context, h engine.Handle) error {
	return t.store.jobs.Complete(ctx, t.raw, h)
}

// fields is what an event says beside its type.
type fields map[string]any

// event writes what happened to a video, and dates the video by it.
func (t tx) event(ctx context.Context, id string, what event.Type, data fields) error {
	body, err := marshal(data)
	if err != nil {
		return err
	}
	if err := t.InsertEvent(ctx, sqlc.InsertEventParams{Video: id, Type: string(what), Time: t.now, Data: body}); err != nil {
		return err
	}
	return t.TouchVideo(ctx, sqlc.TouchVideoParams{ID: id, Updated: t.now})
}

// move runs f with ref's video and generation locked. Where the generation is over or the video deleted, and where f finds its step's fence shut, nothing
// changes but the job, which is completed, and video.ErrStale is returned.
func (s *Store) move(ctx context.Context, ref video.StepRef, done engine.Handle, f func(tx, sqlc.Video, sqlc.Generation) error) error {
	stale := false
	err := s.write(ctx, func(t tx) error {
		v, g, err := t.current(ctx, ref)
		if err == nil {
			err = f(t, v, g)
		}
		if stale = errors.Is(err, video.ErrStale); stale {
			err = t.complete(ctx, done)
		}
		return err
	})
	if err == nil && stale {
		return video.ErrStale
	}
	return err
}

// current locks ref's video and returns it with ref's generation, or video.ErrStale where that is not the one under way.
func (t tx) current(ctx context.Context, ref video.StepRef) (v sqlc.Video, g sqlc.Generation, err error) {
	v, err = t.LockVideo(ctx, string(ref.Video))
	if err == nil {
		g, err = t.Generation(ctx, sqlc.GenerationParams{Video: v.ID, N: int64(ref.Generation)})
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		err = video.ErrStale
	case err == nil && (g.N != v.Newest || g.State != waiting && g.State != planned):
		err = video.ErrStale
	}
	return v, g, err
}

// fenced turns the count of rows that a fenced update moved into an error.
func fenced(rows int64, err error) error {
	if err == nil && rows == 0 {
		return video.ErrStale
	}
	return err
}

// The states of a generation. docs/STATES.md draws them.
const (
	waiting    = "waiting"    // for ingest
	planned    = "planned"    // its steps are made
	published  = "published"  // the video's pointer is here
	superseded = "superseded" // was published; viewers may still have it
	failed     = "failed"     // may be redriven
	retiring   = "retiring"   // its objects are being removed
	canceled   = "canceled"   // the video was deleted meanwhile
)

// lock locks a video that is not deleted.
func (t tx) lock(ctx context.Context, op string, id video.ID) (sqlc.Video, error) {
	v, err := t.LockVideo(ctx, string(id))
	if errors.Is(err, sql.ErrNoRows) {
		err = missing(op)
	}
	return v, err
}

func missing(op string) error {
	return fault.New(fault.NotFound, op, "no_video", "There is no such video; check its id.", nil)
}

// marshal writes JSON text; nil and nil pointers become ”.
func marshal[T any](v T) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", err
	}
	if string(b) == "null" {
		return "", nil
	}
	return string(b), nil
}

// unmarshal reads JSON text; ” leaves the zero value.
func unmarshal[T any](s string, into *T) error {
	if s == "" {
		return nil
	}
	return json.Unmarshal([]byte(s), into)
}

package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// ErrNewer says that a later version of this program has updated the tables of jobs.
var ErrNewer = errors.New("the tables of jobs are newer than this program")

// Migrate makes or updates the tables of jobs: River's, the tables of beats, duties, queues and shares, and the indexes that find a group's jobs and an
// owner's next one. Two at once on one database would collide: the caller holds a lock round it. ErrNewer where a later version was here.
func Migrate(ctx context.Context, db DB) error {
	var err error
	if db.Pool != nil {
		err = migrate(ctx, db, riverpgxv5.New(db.Pool))
	} else {
		err = migrate(ctx, db, riversqlite.New(db.SQLite))
	}
	if err != nil {
		return fmt.Errorf("migrate river: %w", err)
	}
	return db.InTx(ctx, func(tx Tx) error {
		for _, statement := range []string{
			`CREATE TABLE IF NOT EXISTS worker (id TEXT PRIMARY KEY, seen BIGINT NOT NULL)`,
			`CREATE TABLE IF NOT EXISTS duty (name TEXT PRIMARY KEY, due BIGINT NOT NULL, holder TEXT NOT NULL, held BIGINT NOT NULL)`,
			// A queue that is paused, since when (epoch ms, 0 for not), and how many slots it has given.
			`CREATE TABLE IF NOT EXISTS job_queue (name TEXT PRIMARY KEY, paused BIGINT NOT NULL, served BIGINT NOT NULL)`,
			// How many tries side by side, on a machine or ('') on each; what the process itself was told where there is no row.
			`CREATE TABLE IF NOT EXISTS job_limit (queue TEXT NOT NULL, machine TEXT NOT NULL, workers BIGINT NOT NULL, PRIMARY KEY (queue, machine))`,
			// Which of a queue's slots an owner got last.
			`CREATE TABLE IF NOT EXISTS job_share (queue TEXT NOT NULL, owner TEXT NOT NULL, served BIGINT NOT NULL, PRIMARY KEY (queue, owner))`,
			// What each living process was told to do side by side.
			`CREATE TABLE IF NOT EXISTS job_slot (worker TEXT NOT NULL, queue TEXT NOT NULL, workers BIGINT NOT NULL, PRIMARY KEY (worker, queue))`,
			// Queues on hold in a process (Hold), and the groups that it takes from them regardless, as a JSON array.
			`CREATE TABLE IF NOT EXISTS job_hold (worker TEXT NOT NULL, queue TEXT NOT NULL, spared TEXT NOT NULL, PRIMARY KEY (worker, queue))`,
			// What a process is, for people who look; kept after its end for as long as job_lost.
			`CREATE TABLE IF NOT EXISTS job_process (worker TEXT PRIMARY KEY, pid BIGINT NOT NULL, roles TEXT NOT NULL, started BIGINT NOT NULL)`,
			// How many attempts of a queue were under way in a process when it fell silent, and when it was last seen
			// (epoch ms).
			`CREATE TABLE IF NOT EXISTS job_lost (worker TEXT NOT NULL, queue TEXT NOT NULL, seen BIGINT NOT NULL, attempts BIGINT NOT NULL, PRIMARY KEY (worker, queue))`,
			`CREATE INDEX IF NOT EXISTS river_job_fair ON river_job (queue, (` + owner + `), priority, scheduled_at, id) WHERE state = 'available'`,
			`CREATE INDEX IF NOT EXISTS river_job_group ON river_job ((metadata ->> 'group'), state)`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migrate jobs: %w", err)
			}
		}
		return nil
	})
}

// newer returns ErrNewer where River's tables are at a version after known.
func newer(ctx context.Context, db DB, known int) error {
	var there int
	err := db.View(ctx, func(st Statements) error {
		return st.QueryRowContext(ctx, `SELECT max(version) FROM river_migration WHERE line = 'main'`).Scan(&there)
	})
	if err == nil && there > known {
		err = fmt.Errorf("%w: River's are at version %d, this program knows %d", ErrNewer, there, known)
	}
	return err
}

func migrate[T any](ctx context.Context, db DB, driver riverdriver.Driver[T]) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(nil, nil)})
	if err != nil {
		return err
	}
	if _, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil { // leaves alone what it doesn't know
		return err
	}
	known := m.AllVersions() // in order
	return newer(ctx, db, known[len(known)-1].Version)
}

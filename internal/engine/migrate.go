package engine

import (
	"context"
	"fmt"

	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// Migrate makes or updates the tables of jobs: River's, the tables of beats and duties, and the index that finds a group's jobs. Two at once on one database would
// collide: the caller holds a lock round it.
func Migrate(ctx context.Context, db DB) error {
	var err error
	if db.Pool != nil {
		err = migrate(ctx, riverpgxv5.New(db.Pool))
	} else {
		err = migrate(ctx, riversqlite.New(db.SQLite))
	}
	if err != nil {
		return fmt.Errorf("migrate river: %w", err)
	}
	return db.InTx(ctx, func(tx Tx) error {
		for _, statement := range []string{
			`CREATE TABLE IF NOT EXISTS worker (id TEXT PRIMARY KEY, seen BIGINT NOT NULL)`,
			`CREATE TABLE IF NOT EXISTS duty (name TEXT PRIMARY KEY, due BIGINT NOT NULL, holder TEXT NOT NULL, held BIGINT NOT NULL)`,
			`CREATE INDEX IF NOT EXISTS river_job_group ON river_job ((metadata ->> 'group'), state)`,
		} {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("migrate jobs: %w", err)
			}
		}
		return nil
	})
}

func migrate[T any](ctx context.Context, driver riverdriver.Driver[T]) error {
	m, err := rivermigrate.New(driver, &rivermigrate.Config{Logger: quiet(nil)})
	if err != nil {
		return err
	}
	_, err = m.Migrate(ctx, rivermigrate.DirectionUp, nil)
	return err
}

package catalog

import (
	"context"
	"errors"
	"os"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Snapshot copies the SQLite database in file, as it is at one moment, into the new file to, while a server may run on it. It returns the number of the newest
// event before that moment, for RemovedAfter. It holds up no writer, and costs a reading and a writing of the whole database.
func Snapshot(ctx context.Context, file, to string) (newest int64, err error) {
	const op = "catalog.snapshot"
	db, err := engine.OpenDB(ctx, file)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(ctx, func(st engine.Statements) error {
		newest, err = sqlc.New(st).NewestEvent(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	if _, err := db.SQLite.ExecContext(ctx, `VACUUM INTO $1`, to); err != nil {
		return 0, fault.New(fault.Unavailable, op, "database_not_copied", "The database could not be copied; check that both disks have room and can be written.", err)
	}
	f, err := os.Open(to)
	if err == nil {
		err = errors.Join(f.Sync(), f.Close()) // SQLite doesn't promise it for VACUUM INTO
	}
	return newest, err
}

// RemovedAfter returns what the database in file says was removed after an event, which was the newest at that moment: the videos, and whether generations of
// others were, or are being removed since then: their event comes when all their objects are gone.
func RemovedAfter(ctx context.Context, file string, newest int64, then time.Time) (videos []video.ID, generations bool, err error) {
	db, err := engine.OpenDB(ctx, file)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	err = db.View(ctx, func(st engine.Statements) error {
		rows, err := sqlc.New(st).RemovalsAfter(ctx, newest)
		for _, r := range rows {
			if r.Type == string(event.VideoDeleted) {
				videos = append(videos, video.ID(r.Video))
			} else {
				generations = true
			}
		}
		if err != nil || generations {
			return err
		}
		return st.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM generation WHERE state = $1 AND updated >= $2)`, retiring, then.UnixMilli()).Scan(&generations)
	})
	return videos, generations, err
}

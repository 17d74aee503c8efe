package catalog

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
	"golang.org/x/sys/unix"

	"sluice/internal/engine"
	"sluice/internal/fault"
)

//go:embed migration/*.sql
var migrations embed.FS

// open opens the database and migrates it, with other processes that would do the same kept out: goose's and River's migrations both fail when two run at
// once, and so does SQLite's switch to WAL.
func open(ctx context.Context, dsn string) (db engine.DB, err error) {
	if !engine.IsPostgres(dsn) {
		unlock, err := lockFile(ctx, dsn+".lock")
		if err != nil {
			return db, fault.New(fault.Unavailable, "catalog.open", "database_locked", "The database's folder can't be locked; check that it exists and can be written.", err)
		}
		defer unlock()
	}
	if db, err = engine.OpenDB(ctx, dsn); err != nil {
		return db, err
	}
	if err := migrateAlone(ctx, db); err != nil {
		return db, errors.Join(unmigrated(err), db.Close())
	}
	return db, nil
}

// migrateAlone migrates while others wait. A file is locked already.
func migrateAlone(ctx context.Context, db engine.DB) error {
	if db.Pool != nil {
		unlock, err := lockPostgres(ctx, db)
		if err != nil {
			return err
		}
		defer unlock()
	}
	return migrate(ctx, db)
}

func unmigrated(cause error) error {
	var known *fault.Error
	if errors.As(cause, &known) {
		return cause
	}
	return fault.New(fault.Unavailable, "catalog.migrate", "database_not_migrated", "The database's tables could not be brought up to date; see the server's log.", cause)
}

func migrate(ctx context.Context, db engine.DB) error {
	dialect, pool, files := goose.DialectSQLite3, db.SQLite, fs.FS(liteFS{migrations})
	if db.Pool != nil {
		dialect, pool, files = goose.DialectPostgres, db.Read, migrations
	}
	files, err := fs.Sub(files, "migration")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(dialect, pool, files, goose.WithAllowOutofOrder(true)) // a number may land after a higher one
	if err != nil {
		return err
	}
	now, ours, err := p.GetVersions(ctx)
	if err != nil {
		return err
	}
	if now > ours {
		return newer(fmt.Errorf("the tables are at version %d, this program knows %d", now, ours))
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	if err := engine.Migrate(ctx, db); errors.Is(err, engine.ErrNewer) {
		return newer(err)
	} else if err != nil {
		return err
	}
	return nil
}

// newer is the refusal of a program that doesn't know what a later one made of the tables.
func newer(cause error) error {
	return fault.New(fault.Conflict, "catalog.migrate", "database_newer",
		"The database was made or updated by a newer version of Sluice; run that version or a later one, or restore the backup from before the upgrade.", cause)
}

// advisory is the key of the lock round migrations: "sluice" in ASCII.
const advisory = 0x736c75696365

// lockPostgres holds an advisory lock on a connection of its own.
func lockPostgres(ctx context.Context, db engine.DB) (unlock func(), err error) {
	conn, err := db.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Exec(ctx, `SELECT pg_advisory_lock($1)`, int64(advisory)); err != nil {
		conn.Release()
		return nil, err
	}
	return func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), `SELECT pg_advisory_unlock($1)`, int64(advisory)); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // its end frees the lock
		}
		conn.Release()
	}, nil
}

// lockFile holds a lock on a file beside the database. The file stays: who removed it would let a third in beside the second.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil // closing frees the lock
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(err, f.Close())
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// liteFS is the migrations in SQLite's words: the only one that differs is the key that counts itself.
type liteFS struct{ fs.FS }

const (
	identity      = "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
	autoincrement = "INTEGER PRIMARY KEY AUTOINCREMENT"
)

func (l liteFS) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(l.FS, name) }

func (l liteFS) ReadFile(name string) ([]byte, error) {
	b, err := fs.ReadFile(l.FS, name)
	return []byte(strings.ReplaceAll(string(b), identity, autoincrement)), err
}

func (l liteFS) Open(name string) (fs.File, error) {
	f, err := l.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	b, err := l.ReadFile(name)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return liteFile{f, strings.NewReader(string(b))}, nil
}

type liteFile struct {
	fs.File
	text io.Reader
}

func (f liteFile) Read(p []byte) (int, error) {
	n, err := f.text.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read a migration: %w", err)
	}
	return n, err
}

package engine

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"

	"sluice/internal/fault"
)

// DB is where jobs and records live: exactly one of SQLite and Pool is set.
type DB struct {
	SQLite *sql.DB       // the single write connection: a second writer would only wait for the first
	Read   *sql.DB       // for reads: query-only connections on SQLite, the pool seen through database/sql on PostgreSQL
	Pool   *pgxpool.Pool // PostgreSQL

	kept *prepared // of Read on SQLite
}

const (
	readers    = 8                // SQLite read connections
	poolConns  = 20               // PostgreSQL connections, where the URL doesn't say pool_max_conns
	leastConns = 4                // one listens for River, one holds the lock of a migration, one migrates
	busyWait   = 10 * time.Second // how long SQLite waits for another process's write
)

// OpenDB opens a SQLite file, made where there is none, or, by its URL (postgres://…), a PostgreSQL database. It makes no tables.
func OpenDB(ctx context.Context, dsn string) (DB, error) {
	if IsPostgres(dsn) {
		return openPostgres(ctx, dsn)
	}
	return openSQLite(ctx, dsn)
}

// IsPostgres tells a PostgreSQL URL from the path of a SQLite file.
func IsPostgres(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func openPostgres(ctx context.Context, dsn string) (DB, error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil { // its text may hold the password
		return DB{}, fault.New(fault.Invalid, "engine.open", "bad_database_url", "The database URL can't be read; write postgres://user:password@host:port/name.", nil)
	}
	if !strings.Contains(dsn, "pool_max_conns") {
		cfg.MaxConns = poolConns
	}
	cfg.MaxConns = max(cfg.MaxConns, leastConns)
	cfg.ConnConfig.DialFunc = dial
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err == nil {
		err = pool.Ping(ctx)
	}
	if err != nil {
		if pool != nil {
			pool.Close()
		}
		return DB{}, unavailable("engine.open", err)
	}
	return DB{Pool: pool, Read: stdlib.OpenDBFromPool(pool)}, nil
}

// dial connects to PostgreSQL so that a network that swallows everything is noticed within half a minute, not in a quarter of an hour.
func dial(ctx context.Context, network, address string) (net.Conn, error) {
	const silence = 20 * time.Second // of sent bytes that nobody confirms: tcp(7), TCP_USER_TIMEOUT
	d := net.Dialer{
		Timeout:         10 * time.Second,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
		Control: func(network, _ string, c syscall.RawConn) (err error) {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			cerr := c.Control(func(fd uintptr) {
				err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silence.Milliseconds()))
			})
			return errors.Join(cerr, err)
		},
	}
	return d.DialContext(ctx, network, address)
}

func openSQLite(ctx context.Context, path string) (DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return DB{}, unavailable("engine.open", err)
	}
	open := func(conns int, more url.Values) (*sql.DB, error) {
		more.Add("_pragma", fmt.Sprintf("busy_timeout(%d)", busyWait.Milliseconds()))
		more.Add("_pragma", "foreign_keys(1)")
		source := url.URL{Scheme: "file", Path: path, RawQuery: more.Encode()}
		db, err := sql.Open("sqlite", source.String())
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		return db, db.PingContext(ctx)
	}
	// WAL lets readers go on beside the writer. FULL makes a commit outlive a power cut: NORMAL would lose the last ones. What is deleted is overwritten (sqlite.org/pragma.html#pragma_secure_delete):
	// letters tell secrets. Checkpoint does the rest.
	write, err := open(1, url.Values{"_txlock": {"immediate"}, "_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "secure_delete(1)"}})
	if err != nil {
		return DB{}, unavailable("engine.open", errors.Join(err, closeAll(write)))
	}
	read, err := open(readers, url.Values{"_pragma": {"query_only(1)"}})
	if err != nil {
		return DB{}, unavailable("engine.open", errors.Join(err, closeAll(write, read)))
	}
	return DB{SQLite: write, Read: read, kept: &prepared{db: read, all: map[string]*sql.Stmt{}}}, nil
}

// checkpointWait is how long writers are held up at most for readers of what the log holds.
const checkpointWait = 300 * time.Millisecond

// Checkpoint takes out of a SQLite database's files what was deleted before: the write-ahead log keeps pages as they were until it is written over, so it is brought home and
// emptied (sqlite.org/pragma.html#pragma_wal_checkpoint, TRUNCATE). done is false where somebody still reads an older state; try again later. PostgreSQL has no such file, and keeps
// what was deleted until a vacuum.
func (db DB) Checkpoint(ctx context.Context) (done bool, err error) {
	if db.SQLite == nil {
		return true, nil
	}
	conn, err := db.SQLite.Conn(ctx)
	if err != nil {
		return false, unavailable("engine.checkpoint", err)
	}
	defer func() {
		_, werr := conn.ExecContext(context.WithoutCancel(ctx), fmt.Sprintf("PRAGMA busy_timeout = %d", busyWait.Milliseconds()))
		err = errors.Join(err, werr, conn.Close())
	}()
	if _, err := conn.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", checkpointWait.Milliseconds())); err != nil {
		return false, unavailable("engine.checkpoint", err)
	}
	var busy, pages, home int
	if err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &home); err != nil {
		if lost(err) {
			return false, nil
		}
		return false, unavailable("engine.checkpoint", err)
	}
	return busy == 0, nil
}

func closeAll(dbs ...*sql.DB) error {
	var errs []error
	for _, db := range dbs {
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(errs...)
}

// Close closes every connection. Engines on it must have stopped.
func (db DB) Close() error {
	err := closeAll(db.Read, db.SQLite)
	if db.Pool != nil {
		db.Pool.Close()
	}
	return err
}

func unavailable(op string, cause error) error {
	return fault.New(fault.Unavailable, op, "database_unavailable", "The database can't be reached or opened; check that it runs and that its disk is not full.", cause)
}

// Statements runs SQL: what sqlc calls DBTX.
type Statements interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
	QueryRowContext(context.Context, string, ...any) *sql.Row
}

// Tx is one open transaction, seen as SQL by records and as River's by jobs.
type Tx struct {
	Statements
	sqlite *sql.Tx
	pgx    pgx.Tx
}

// maxTries bounds how often a transaction that lost against another is begun again.
const maxTries = 8

// InTx runs f in one transaction and commits it where f returns nil. On SQLite it holds the write lock from its start; on PostgreSQL it is READ
// COMMITTED. f may run several times, because a transaction that lost to another (a deadlock, a busy file) is begun again: it must change nothing but the
// database. f must not use db: on SQLite that would wait for itself.
func (db DB) InTx(ctx context.Context, f func(Tx) error) error {
	for try := 1; ; try++ {
		err := db.once(ctx, f)
		if err == nil || !lost(err) || ctx.Err() != nil {
			return safe("engine.tx", err)
		}
		if try == maxTries {
			return safe("engine.tx", err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(rand.N(time.Duration(try) * 20 * time.Millisecond)):
		}
	}
}

// View runs f with a database that stands still. f must only read.
func (db DB) View(ctx context.Context, f func(Statements) error) error {
	opts := &sql.TxOptions{ReadOnly: true}
	if db.Pool != nil {
		opts.Isolation = sql.LevelRepeatableRead // one snapshot for all of f; SQLite's transactions have that anyway
	}
	tx, err := db.Read.BeginTx(ctx, opts)
	if err != nil {
		return safe("engine.view", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	if db.kept == nil {
		return safe("engine.view", f(tx))
	}
	v := &view{Tx: tx, kept: db.kept}
	if err := f(v); err != nil {
		return safe("engine.view", err)
	}
	_ = tx.Rollback() // gives the connection back
	db.kept.keep(ctx, v.fresh)
	return nil
}

// safe makes an error of the database one that may be shown. What f itself says goes through.
func safe(op string, err error) error {
	var known *fault.Error
	var p *pgconn.PgError
	var s *sqlite.Error
	var c *pgconn.ConnectError
	var n net.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.As(err, &s) && (s.Code()&0xff == 10 || s.Code()&0xff == 13 || s.Code()&0xff == 14): // IOERR, FULL, CANTOPEN: sqlite.org/rescode.html
		return unavailable(op, err)
	case errors.As(err, &p) && slices.Contains([]string{"08", "53", "57"}, p.Code[:min(2, len(p.Code))]): // connection, resources, shutdown: PostgreSQL, appendix A
		return unavailable(op, err)
	case errors.As(err, &c), errors.As(err, &n), errors.Is(err, driver.ErrBadConn), errors.Is(err, sql.ErrConnDone), errors.Is(err, net.ErrClosed),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, errBroken), pgconn.SafeToRetry(err):
		return unavailable(op, err)
	case lost(err):
		return fault.New(fault.Unavailable, op, "database_busy", "The database is busy; try again.", err)
	}
	return err
}

// errBroken marks what a transaction said whose connection was gone by then.
var errBroken = errors.New("the connection to the database broke")

func (db DB) once(ctx context.Context, f func(Tx) error) error {
	if db.Pool != nil {
		return db.oncePostgres(ctx, f)
	}
	tx, err := db.SQLite.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if err := f(Tx{Statements: tx, sqlite: tx}); err != nil {
		return err
	}
	return tx.Commit()
}

// begin begins a transaction that PostgreSQL ends where its process says nothing for ten seconds between two statements: one that was stopped in the middle of
// a write, as when its machine sleeps, would keep its rows locked, and so keep the others from taking its jobs over (PostgreSQL, 19.11, Client Connection Defaults).
const begin = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'`

// oncePostgres begins a transaction of pgx, which River needs, on a connection of database/sql, which sqlc needs.
func (db DB) oncePostgres(ctx context.Context, f func(Tx) error) error {
	conn, err := db.Read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	var raw *pgx.Conn
	if err := conn.Raw(func(c any) error { raw = c.(*stdlib.Conn).Conn(); return nil }); err != nil {
		return err
	}
	tx, err := raw.BeginTx(ctx, pgx.TxOptions{BeginQuery: begin})
	if err != nil {
		return err
	}
	defer func() {
		// A connection that broke, or whose statement came after its context's end, database/sql has given away; then it is no longer ours to roll back,
		// and its end ends the transaction.
		if conn.Raw(func(any) error { return nil }) == nil {
			back, cancel := context.WithTimeout(context.WithoutCancel(ctx), busyWait)
			defer cancel()
			_ = tx.Rollback(back) // after a commit it does nothing
		}
	}()
	err = f(Tx{Statements: conn, pgx: tx})
	if err == nil {
		err = tx.Commit(ctx)
	}
	var known *fault.Error
	if err != nil && ctx.Err() == nil && !errors.As(err, &known) && broke(conn, raw) {
		err = fmt.Errorf("%w: %w", errBroken, err)
	}
	return err
}

// broke reports whether a connection is gone: closed, or given away by database/sql for how a statement on it ended. What was given away is looked at by
// nobody: the pool is closing it, in a goroutine of its own.
func broke(conn *sql.Conn, raw *pgx.Conn) (gone bool) {
	err := conn.Raw(func(any) error { gone = raw.IsClosed(); return nil })
	return gone || err != nil
}

// lost reports whether err says that a transaction lost to another and would do better alone.
func lost(err error) bool {
	var p *pgconn.PgError
	if errors.As(err, &p) {
		return p.Code == "40001" || p.Code == "40P01" // serialization_failure, deadlock_detected: PostgreSQL, appendix A
	}
	var s *sqlite.Error
	if errors.As(err, &s) {
		code := s.Code() & 0xff
		return code == 5 || code == 6 // SQLITE_BUSY, SQLITE_LOCKED: sqlite.org/rescode.html
	}
	return false
}

// Package enginetest gives tests databases of their own: the same test runs on SQLite and on PostgreSQL.
//
// A SQLite database is a file in the test's folder. A PostgreSQL database costs a CREATE DATABASE, ~50 ms, on a server that scripts/postgres.sh starts
// once a test binary (~2 s), unless the caller names one.
package enginetest

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Off, as a server, skips PostgreSQL.
const Off = "off"

var server string

// Main runs a package's tests with a PostgreSQL server: the one at that URL, whose user may create databases; one of its own where it is empty; none where
// it is Off. It returns the exit code.
func Main(m *testing.M, at string) int {
	if server = at; at != "" {
		return m.Run()
	}
	stop, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "PostgreSQL could not be started; set SLUICE_TEST_POSTGRES to a server's URL, or to off:", err)
		return 1
	}
	defer stop()
	return m.Run()
}

// At is the PostgreSQL server that tests use, or Off: for tests that run those of other packages.
func At() string { return server }

// keeper starts a server, prints its URL, and stops it when its input ends: that is when the test binary ends, in whatever way.
const keeper = `trap "" INT TERM HUP; "$0" start "$1" && cat >/dev/null; "$0" stop "$1"; rm -rf "$1"`

// start starts the server, and returns what stops it.
func start() (stop func(), err error) {
	dir, err := os.MkdirTemp("", "sluice-engine")
	if err != nil {
		return nil, err
	}
	_, file, _, _ := runtime.Caller(0)
	keep := exec.Command("sh", "-c", keeper, filepath.Join(filepath.Dir(file), "../../../scripts/postgres.sh"), dir)
	keep.Stderr = os.Stderr
	in, err := keep.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := keep.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := keep.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	stop = func() {
		_ = in.Close()
		if err := keep.Wait(); err != nil {
			fmt.Fprintln(os.Stderr, "stop PostgreSQL:", err)
		}
	}
	if err != nil {
		stop()
		return nil, err
	}
	server = strings.TrimSpace(line)
	return stop, nil
}

// Each runs f twice, side by side with other tests, with the name of a new, empty database: what engine.OpenDB takes.
func Each(t *testing.T, f func(t *testing.T, dsn string)) {
	t.Helper()
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		f(t, filepath.Join(t.TempDir(), "sluice.db"))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		f(t, Postgres(t))
	})
}

// Postgres makes an empty PostgreSQL database, which is dropped when the test ends, and returns its URL.
func Postgres(t *testing.T) string {
	t.Helper()
	if server == Off {
		t.Skip("PostgreSQL is switched off")
	}
	at, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	name := "test_" + strings.ToLower(rand.Text())
	run(t, "CREATE DATABASE "+name)
	t.Cleanup(func() { run(t, "DROP DATABASE "+name+" WITH (FORCE)") })
	at.Path = "/" + name
	return at.String()
}

func run(t *testing.T, statement string) {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

package rig

import (
	"context"
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Database is a PostgreSQL server of one test, which may stop it.
type Database struct {
	URL string // of an empty database; its commits outlive a crash of the server

	t   testing.TB
	dir string
}

// Postgres starts a PostgreSQL server. It is ended with the test.
func Postgres(t testing.TB) *Database {
	t.Helper()
	d := &Database{t: t, dir: t.TempDir()}
	out, err := d.script("start").Output()
	if err != nil {
		t.Fatalf("postgres.sh start: %v", err)
	}
	t.Cleanup(func() {
		d.Thaw() // a server that is stopped can't end
		if err := d.script("stop").Run(); err != nil {
			t.Errorf("postgres.sh stop: %v", err)
		}
	})
	d.URL = strings.Replace(strings.TrimSpace(string(out)), "/postgres?", "/sluice?", 1)
	db, err := sql.Open("pgx", strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	// The tests' servers don't wait for the disk. This setting outranks theirs: what was committed has to survive.
	for _, statement := range []string{`CREATE DATABASE sluice`, `ALTER DATABASE sluice SET synchronous_commit = on`} {
		if _, err := db.ExecContext(context.Background(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return d
}

func (d *Database) script(verb string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(Root(d.t), "scripts", "postgres.sh"), verb, d.dir)
	cmd.Stderr = os.Stderr
	return cmd
}

// Crash ends the server in the middle of what it does, as pg_ctl's immediate mode does, and starts it again.
func (d *Database) Crash() {
	d.t.Helper()
	if err := d.script("restart").Run(); err != nil {
		d.t.Fatalf("postgres.sh restart: %v", err)
	}
}

// Freeze stops the server and all of its processes, as SIGSTOP does: connections stay, and nothing answers.
func (d *Database) Freeze() { d.signal(syscall.SIGSTOP) }

// Thaw has a frozen server go on.
func (d *Database) Thaw() { d.signal(syscall.SIGCONT) }

func (d *Database) signal(s syscall.Signal) {
	d.t.Helper()
	cluster, err := os.ReadFile(filepath.Join(d.dir, "postgres.cluster"))
	if err != nil {
		d.t.Fatal(err)
	}
	body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(cluster)), "data", "postmaster.pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(body), "\n")
	parent, err := strconv.Atoi(first)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = syscall.Kill(parent, s) // first, so that it starts no other
	for pid := range Children(parent) {
		_ = syscall.Kill(pid, s) // one that has ended needn't be stopped
	}
}

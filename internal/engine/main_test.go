package engine_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
)

// childOf names the database in the environment of a child: the test binary again, as another process that runs jobs.
const childOf = "SLUICE_TEST_ENGINE_CHILD"

func TestMain(m *testing.M) {
	if dsn := os.Getenv(childOf); dsn != "" {
		if err := beChild(dsn); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES")))
}

// beChild runs jobs of kind "work": it says "started", waits for a line or for its context, and completes the job in a transaction.
func beChild(dsn string) error {
	ctx := context.Background()
	db, err := engine.OpenDB(ctx, dsn)
	if err != nil {
		return err
	}
	lines := make(chan struct{})
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			lines <- struct{}{}
		}
		os.Exit(0)
	}()
	var e *engine.Engine
	e, err = engine.New(db, engine.Config{
		LostAfter: lostAfter,
		Queues:    []engine.Queue{{Name: "default", Workers: 1}},
		Workers: map[string]engine.Worker{"work": func(ctx context.Context, a engine.Attempt) error {
			fmt.Println("started", a.Number)
			over := ctx.Done()
			if strings.Contains(string(a.Job.Args), "deaf") { // goes on when its context is canceled
				over = nil
			}
			select {
			case <-lines:
				ctx = context.WithoutCancel(ctx)
				err := db.InTx(ctx, func(tx engine.Tx) error { return e.Complete(ctx, tx, a.Handle) })
				fmt.Println("completed", err)
				return err
			case <-over:
				fmt.Println("canceled", context.Cause(ctx))
				return ctx.Err()
			}
		}},
	})
	if err != nil {
		return err
	}
	if err := e.Start(ctx); err != nil {
		return err
	}
	select {}
}

// child is another process that runs jobs.
type child struct {
	*exec.Cmd
	t     *testing.T
	in    io.WriteCloser
	lines chan string
}

func startChild(t *testing.T, dsn string) *child {
	t.Helper()
	c := &child{Cmd: exec.Command(os.Args[0]), t: t, lines: make(chan string, 100)}
	c.Env = append(os.Environ(), childOf+"="+dsn)
	c.Stderr = os.Stderr
	var err error
	if c.in, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for in := bufio.NewScanner(out); in.Scan(); {
			c.lines <- in.Text()
		}
	}()
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-read
		_ = c.Wait()
	})
	return c
}

func (c *child) signal(s syscall.Signal) {
	c.t.Helper()
	if err := c.Process.Signal(s); err != nil {
		c.t.Fatal(err)
	}
}

// freeze stops the process between two of its writes: what stops in the middle of one keeps the others from writing, which is another story.
func (c *child) freeze(dsn string) {
	c.t.Helper()
	driver, hurry := "sqlite", "PRAGMA busy_timeout = 300"
	if engine.IsPostgres(dsn) {
		driver, hurry = "pgx", "SET lock_timeout = '300ms'"
	}
	db, err := sql.Open(driver, dsn)
	if err != nil {
		c.t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c.signal(syscall.SIGSTOP)
		for _, statement := range []string{hurry, "UPDATE worker SET seen = seen", "UPDATE river_job SET attempt = attempt"} {
			if err == nil {
				_, err = db.ExecContext(c.t.Context(), statement)
			}
		}
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("the other process is always in the middle of a write: %v", err)
		}
		err = nil
		c.signal(syscall.SIGCONT)
	}
}

// says waits for a line that starts so.
func (c *child) says(start string) {
	c.t.Helper()
	timeout := time.After(patience)
	for {
		select {
		case line := <-c.lines:
			if strings.HasPrefix(line, start) {
				return
			}
		case <-timeout:
			c.t.Fatalf("the other process never said %q", start)
		}
	}
}

package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

func TestAJobOfAKilledProcessIsTakenOver(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		other := startChild(t, dsn)
		insert(t, db, engine.Job{Attempts: 1})
		other.says("started 1")
		if err := other.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := other.Wait(); err == nil {
			t.Error("the other process ended by itself")
		}
		var seen int64 // its last beat, by the database's clock
		if err := db.Read.QueryRowContext(t.Context(), `SELECT seen FROM worker`).Scan(&seen); err != nil {
			t.Fatal(err)
		}
		looker, err := engine.New(db, engine.Config{LostAfter: lostAfter})
		if err != nil {
			t.Fatal(err)
		}
		silent := awaitQueue(t, looker, func(q engine.QueueState) bool { return q.Lost == 1 })
		if p := silent.Machines[0].Processes; silent.Running != 0 || silent.Machines[0].Up || len(p) != 1 || p[0].Up || p[0].PID != other.Process.Pid || p[0].Running != 1 {
			t.Errorf("while nobody takes the job over, the queue is %+v", silent)
		}
		tries := make(chan engine.Attempt, 1)
		e := start(t, db, 1, func(_ context.Context, a engine.Attempt) error { tries <- a; return nil })
		a := receive(t, tries)
		taken := awaitQueue(t, e, func(q engine.QueueState) bool { return q.Lost == 0 && q.Running == 0 })
		lost, up := 0, 0
		for _, m := range taken.Machines {
			for _, p := range m.Processes {
				switch {
				case p.Up && p.PID == os.Getpid() && p.Lost == 0:
					up++
				case !p.Up && p.PID == other.Process.Pid && p.Lost == 1 && p.Seen.UnixMilli() == seen:
					lost++
				default:
					t.Errorf("a process of the queue is %+v", p)
				}
			}
		}
		if lost != 1 || up != 1 {
			t.Errorf("%d processes were lost and %d are up, want 1 and 1: %+v", lost, up, taken)
		}
		job, err := e.Job(t.Context(), a.ID)
		if err != nil {
			t.Fatal(err)
		}
		took := job.Started.Sub(time.UnixMilli(seen))
		t.Logf("taken over %v after its last beat", took)
		if took < lostAfter {
			t.Errorf("taken over %v after its last beat: too early", took)
		}
		if a.Number != 2 || a.Max != 1 {
			t.Errorf("try %d of %d; a job whose tries were all lost is tried once more, to be told", a.Number, a.Max)
		}
	})
}

// awaitQueue waits until the one queue is as wanted.
func awaitQueue(t *testing.T, e *engine.Engine, wanted func(engine.QueueState) bool) engine.QueueState {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		all, err := e.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 1 && wanted(all[0]) {
			return all[0]
		}
		if time.Now().After(deadline) {
			t.Fatalf("the queues are %+v", all)
		}
	}
}

func TestAStalledTwinEndsNothingOfTheWorkerThatTookOver(t *testing.T) {
	for name, deaf := range map[string]bool{"GoesOnAndCompletes": true, "IsCanceled": false} {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				db := open(t, dsn)
				other := startChild(t, dsn)
				how := `{}`
				if deaf {
					how = `{"deaf":true}`
				}
				insert(t, db, engine.Job{Args: json.RawMessage(how)})
				other.says("started 1")
				other.freeze(dsn)
				taken, finish := make(chan int, 1), make(chan struct{})
				start(t, db, 1, func(_ context.Context, a engine.Attempt) error {
					taken <- a.Number
					<-finish
					return nil
				})
				if n := receive(t, taken); n != 2 {
					t.Errorf("took over as try %d", n)
				}
				other.signal(syscall.SIGCONT)
				if deaf {
					if _, err := other.in.Write([]byte("complete\n")); err != nil {
						t.Fatal(err)
					}
					other.says("completed <nil>")
				} else {
					other.says("canceled another worker has the job")
				}
				time.Sleep(500 * time.Millisecond) // the twin settles, and River hears of it
				if r := jobs(t, db)[0]; r.state != "running" || r.attempt != 2 {
					t.Errorf("the twin left %+v", r)
				}
				close(finish)
				await(t, db, "completed")
			})
		})
	}
}

func TestALongJobOfALivingProcessIsLeftAlone(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		const long = 4 * time.Second // after which others are taken for lost
		var tries atomic.Int32
		f := func(ctx context.Context, _ engine.Attempt) error {
			tries.Add(1)
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(long + time.Second):
				return nil
			}
		}
		startPatient(t, db, long, 1, f)
		startPatient(t, open(t, dsn), long, 1, f)
		insert(t, db, engine.Job{})
		await(t, db, "completed")
		if n := tries.Load(); n != 1 {
			t.Errorf("tried %d times", n)
		}
	})
}

// TestAProcessThatStopsInTheMiddleOfAWriteKeepsNoJob has a transaction say nothing while it has a job's row locked, as where a process is stopped or its
// machine sleeps. SQLite has no remedy for that: its processes share a machine, and who stops one there can end it.
func TestAProcessThatStopsInTheMiddleOfAWriteKeepsNoJob(t *testing.T) {
	t.Parallel()
	db := open(t, enginetest.Postgres(t))
	insert(t, db, engine.Job{Queue: "later"})
	exec := func(tx engine.Tx, statement string) error {
		_, err := tx.ExecContext(t.Context(), statement)
		return err
	}
	if err := db.InTx(t.Context(), func(tx engine.Tx) error { // it lives for three seconds from now
		return errors.Join(
			exec(tx, `INSERT INTO worker (id, seen) VALUES ('stopped', CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) + 3000)`),
			exec(tx, `UPDATE river_job SET state = 'running', queue = 'default', attempt = 1, attempted_at = now(), attempted_by = ARRAY['stopped']`))
	}); err != nil {
		t.Fatal(err)
	}
	tries := make(chan engine.Attempt, 1)
	start(t, db, 1, func(_ context.Context, a engine.Attempt) error { tries <- a; return nil })
	locked, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- db.InTx(t.Context(), func(tx engine.Tx) error {
			if err := exec(tx, `UPDATE river_job SET priority = priority`); err != nil {
				return err
			}
			close(locked)
			<-goOn
			return exec(tx, `UPDATE river_job SET priority = priority`)
		})
	}()
	speak := sync.OnceFunc(func() { close(goOn) })
	defer speak()
	receive(t, locked)
	from := time.Now()
	if a := receive(t, tries); a.Number != 2 {
		t.Errorf("taken over as try %d", a.Number)
	}
	t.Logf("taken over after %v", time.Since(from))
	speak()
	if err := receive(t, ended); !fault.Is(err, fault.Unavailable) {
		t.Errorf("the transaction that was ended meanwhile says %v", err)
	}
}

// What River clears away by itself, it clears soon after a start.
func TestADeadJobIsKeptWhenJobsThatEndedWellAreCleared(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		insert(t, db, engine.Job{Group: "dead"}, engine.Job{Group: "done"})
		old := time.Now().Add(-40 * 24 * time.Hour)
		for group, state := range map[string]string{"dead": "discarded", "done": "completed"} {
			if err := db.InTx(t.Context(), func(tx engine.Tx) error {
				_, err := tx.ExecContext(t.Context(), `UPDATE river_job SET state = $1, finalized_at = $2 WHERE metadata ->> 'group' = $3`, state, old.UTC().Format("2006-01-02 15:04:05.000"), group)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		start(t, db, 1, func(context.Context, engine.Attempt) error { return nil })
		for deadline := time.Now().Add(time.Minute); len(jobs(t, db)) > 1; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("nothing was cleared in a minute")
			}
		}
		if all := jobs(t, db); len(all) != 1 || all[0].state != "discarded" {
			t.Errorf("left are %+v", all)
		}
	})
}

// A process that was lost is listed for seven days, also where no process starts after them.
func TestQueues_ProcessLostLongAgo_IsNotListed(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		add := func(id string, ago time.Duration) {
			t.Helper()
			if err := db.InTx(t.Context(), func(tx engine.Tx) error {
				_, err := tx.ExecContext(t.Context(), `INSERT INTO job_lost (worker, queue, seen, attempts) VALUES ($1, 'default', $2, 3)`,
					id, time.Now().Add(-ago).UnixMilli())
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		const long, short = "media-8-abcdefghijkl", "media-9-abcdefghijkl"
		add(long, 8*24*time.Hour)
		add(short, 6*24*time.Hour)
		looker, err := engine.New(db, engine.Config{LostAfter: lostAfter})
		if err != nil {
			t.Fatal(err)
		}
		all, err := looker.Queues(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var listed []string
		for _, q := range all {
			for _, m := range q.Machines {
				for _, p := range m.Processes {
					listed = append(listed, p.ID)
				}
			}
		}
		if len(listed) != 1 || listed[0] != short {
			t.Errorf("listed are %v, want %s", listed, short)
		}
	})
}

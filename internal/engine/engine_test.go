package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

const (
	// lostAfter is short where one process has to be taken for lost: the default of 5 s only takes longer. Where several live, it is the default: on a busy
	// machine a beat may well be late by a second.
	lostAfter = 1500 * time.Millisecond
	// patience is how long a test waits for what must happen. It costs nothing where it does.
	patience = time.Minute
)

func open(t *testing.T, dsn string) engine.DB {
	t.Helper()
	db, err := engine.OpenDB(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := engine.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	return db
}

// start runs an engine with one kind of job, "work", until the test ends. It soon takes other processes for lost.
func start(t *testing.T, db engine.DB, workers int, f engine.Worker) *engine.Engine {
	t.Helper()
	return startPatient(t, db, lostAfter, workers, f)
}

// startPatient is start with the time after which others are taken for lost.
func startPatient(t *testing.T, db engine.DB, lostAfter time.Duration, workers int, f engine.Worker) *engine.Engine {
	t.Helper()
	e, err := engine.New(db, engine.Config{
		Workers:   map[string]engine.Worker{"work": f},
		Queues:    []engine.Queue{{Name: "default", Workers: workers}},
		Backoff:   engine.Backoff{First: 100 * time.Millisecond},
		LostAfter: lostAfter,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t *testing.T, e *engine.Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
}

// inserter makes an engine that only inserts.
func inserter(t *testing.T, db engine.DB) *engine.Engine {
	t.Helper()
	e, err := engine.New(db, engine.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func insert(t *testing.T, db engine.DB, jobs ...engine.Job) {
	t.Helper()
	e := inserter(t, db)
	for i := range jobs {
		jobs[i].Kind = "work"
	}
	if err := db.InTx(t.Context(), func(tx engine.Tx) error { return e.Insert(t.Context(), tx, jobs...) }); err != nil {
		t.Fatal(err)
	}
}

// row is what the tests ask of a job's row.
type row struct {
	id      int64
	state   string
	attempt int
}

func jobs(t *testing.T, db engine.DB) []row {
	t.Helper()
	rows, err := db.Read.QueryContext(context.Background(), `SELECT id, state, attempt FROM river_job ORDER BY id`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var all []row
	for rows.Next() {
		var r row
		if err := rows.Scan(&r.id, &r.state, &r.attempt); err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// await waits until the only job is in a state.
func await(t *testing.T, db engine.DB, state string) row {
	t.Helper()
	var all []row
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if all = jobs(t, db); len(all) == 1 && all[0].state == state {
			return all[0]
		}
	}
	t.Fatalf("no job became %s: %+v", state, all)
	return row{}
}

func receive[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("nothing came in %v", patience)
		panic("unreachable")
	}
}

func TestAJobAndItsEndCommitWithTheirTransactions(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		if err := db.InTx(t.Context(), func(tx engine.Tx) error {
			_, err := tx.ExecContext(t.Context(), `CREATE TABLE made (n BIGINT PRIMARY KEY)`)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		got := make(chan engine.Attempt, 1)
		var e *engine.Engine
		ready := make(chan struct{})
		e = start(t, db, 1, func(ctx context.Context, a engine.Attempt) error {
			<-ready
			if err := db.InTx(ctx, func(tx engine.Tx) error {
				if _, err := tx.ExecContext(ctx, `INSERT INTO made (n) VALUES ($1)`, a.ID); err != nil {
					return err
				}
				return e.Complete(ctx, tx, a.Handle)
			}); err != nil {
				return err
			}
			got <- a
			return errors.New("too late to matter: the job is completed")
		})
		close(ready)
		insert(t, db, engine.Job{Args: json.RawMessage(`{"n":7}`), Group: "g"})
		a := receive(t, got)
		if a.Job.Kind != "work" || string(a.Job.Args) != `{"n":7}` && string(a.Job.Args) != `{"n": 7}` || a.Job.Group != "g" || a.Job.Priority != 2 {
			t.Errorf("the job came as %+v, args %s", a.Job, a.Job.Args)
		}
		if a.Number != 1 || a.Max != 8 || a.Worker == "" || a.Handle.ID() != a.ID {
			t.Errorf("the attempt came as %+v", a)
		}
		stop(t, e)
		if r := await(t, db, "completed"); r.attempt != 1 {
			t.Errorf("got %+v", r)
		}
		var n int64
		if err := db.Read.QueryRowContext(t.Context(), `SELECT n FROM made`).Scan(&n); err != nil || n != a.ID {
			t.Errorf("the record of the same transaction: %d, %v", n, err)
		}
	})
}

func TestARollbackLeavesNoJobAndNoEnd(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		e := inserter(t, db)
		boom := errors.New("boom")
		if err := db.InTx(t.Context(), func(tx engine.Tx) error {
			if err := e.Insert(t.Context(), tx, engine.Job{Kind: "work"}); err != nil {
				return err
			}
			return boom
		}); !errors.Is(err, boom) {
			t.Fatal(err)
		}
		if all := jobs(t, db); len(all) != 0 {
			t.Fatalf("left %+v", all)
		}
		insert(t, db, engine.Job{Attempts: 1})
		var runner *engine.Engine
		var ready sync.WaitGroup
		ready.Add(1)
		runner = start(t, db, 1, func(ctx context.Context, a engine.Attempt) error {
			ready.Wait()
			return db.InTx(ctx, func(tx engine.Tx) error {
				if err := runner.Complete(ctx, tx, a.Handle); err != nil {
					return err
				}
				return boom
			})
		})
		ready.Done()
		await(t, db, "discarded") // its only try failed, though it had completed the job before it rolled back
	})
}

// How soon that is, the benchmark measures (TestHowSoonAJobIsHeardOf): here it is that a job does not wait for what River does each few seconds.
func TestAJobStartsSoonAfterItsInsert(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		started := make(chan time.Time, 1)
		start(t, db, 2, func(context.Context, engine.Attempt) error { started <- time.Now(); return nil })
		var waited []time.Duration
		for range 12 {
			from := time.Now()
			insert(t, db, engine.Job{})
			waited = append(waited, receive(t, started).Sub(from))
			time.Sleep(30 * time.Millisecond) // within the pause in which River tells of one insert only
		}
		slices.Sort(waited)
		t.Logf("jobs waited %v", waited)
		if half := waited[len(waited)/2]; half > 5*time.Second {
			t.Errorf("half of the jobs waited %v and more", half)
		}
	})
}

func TestAFailedJobIsTriedAgainLaterAndLater(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var times []time.Time
		done := make(chan struct{})
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error {
			times = append(times, time.Now())
			switch a.Number {
			case 1:
				return errors.New("try again")
			case 2:
				panic("try again")
			}
			close(done)
			return nil
		})
		insert(t, db, engine.Job{})
		receive(t, done)
		if r := await(t, db, "completed"); r.attempt != 3 {
			t.Errorf("got %+v", r)
		}
		if first, second := times[1].Sub(times[0]), times[2].Sub(times[1]); first < 75*time.Millisecond || second < 155*time.Millisecond {
			t.Errorf("waited %v and %v; want at least 80 ms and 160 ms", first, second)
		}
	})
}

func TestAWrongClockDoesNotChangeWhenAFailedJobIsTriedAgain(t *testing.T) {
	for name, off := range map[string]time.Duration{"an hour fast": time.Hour, "an hour slow": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				db := open(t, dsn)
				var first time.Time
				waited := make(chan time.Duration, 1)
				e, err := engine.New(db, engine.Config{
					Workers: map[string]engine.Worker{"work": func(_ context.Context, a engine.Attempt) error {
						if a.Number == 1 {
							first = time.Now()
							return errors.New("try again")
						}
						waited <- time.Since(first)
						return nil
					}},
					Queues: []engine.Queue{{Name: "default", Workers: 1}},
					Now:    func() time.Time { return time.Now().Add(off) },
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := e.Start(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { stop(t, e) })
				insert(t, db, engine.Job{})
				if got := receive(t, waited); got < 700*time.Millisecond {
					t.Errorf("tried again after %v; want 1 s, give or take a fifth", got)
				}
			})
		})
	}
}

func TestAnErrorOfAnyTextEndsItsTry(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		start(t, db, 1, func(context.Context, engine.Attempt) error { return errors.New("open a\x00b\xff: no such file") })
		insert(t, db, engine.Job{Attempts: 1})
		await(t, db, "discarded")
	})
}

func TestAPermanentFailureAndALastOneLeaveADeadJob(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"Permanent": {fault.New(fault.Invalid, "test", "not_media", "no", nil), 1},
		"Last":      {errors.New("again"), 2},
	} {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				db := open(t, dsn)
				start(t, db, 1, func(context.Context, engine.Attempt) error { return c.err })
				insert(t, db, engine.Job{Attempts: 2})
				if r := await(t, db, "discarded"); r.attempt != c.want {
					t.Errorf("dead after %d tries, want %d", r.attempt, c.want)
				}
			})
		})
	}
}

func TestJobsRunByPriorityThenAge(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var all []engine.Job
		for i, p := range []int{4, 0, 1, 3, 1} {
			all = append(all, engine.Job{Priority: p, Args: json.RawMessage(fmt.Sprint(i))})
		}
		insert(t, db, all...)
		order := make(chan string, len(all))
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error { order <- string(a.Job.Args); return nil })
		var got []string
		for range all {
			got = append(got, receive(t, order))
		}
		if want := []string{"2", "4", "1", "3", "0"}; !slices.Equal(got, want) {
			t.Errorf("ran %v, want %v", got, want)
		}
	})
}

func TestAJobForLaterWaits(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var ran atomic.Bool
		start(t, db, 1, func(context.Context, engine.Attempt) error { ran.Store(true); return nil })
		insert(t, db, engine.Job{After: time.Now().Add(time.Hour)})
		time.Sleep(700 * time.Millisecond)
		if ran.Load() {
			t.Error("a job for later ran")
		}
	})
}

func TestTwoEnginesShareTheWork(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		const n = 24
		var mu sync.Mutex
		ran := map[int64][]string{}
		done := make(chan struct{}, 2*n)
		workers, both := map[string]int{}, make(chan struct{})
		f := func(ctx context.Context, a engine.Attempt) error {
			mu.Lock()
			ran[a.ID] = append(ran[a.ID], a.Worker)
			workers[a.Worker]++
			if len(workers) == 2 && workers[a.Worker] == 1 {
				close(both)
			}
			mu.Unlock()
			select {
			case <-both: // whoever is first leaves the rest to the other
			case <-ctx.Done():
			}
			done <- struct{}{}
			return nil
		}
		db := open(t, dsn)
		startPatient(t, db, 0, 2, f)
		startPatient(t, open(t, dsn), 0, 2, f)
		insert(t, db, make([]engine.Job, n)...)
		for range n {
			receive(t, done)
		}
		mu.Lock()
		defer mu.Unlock()
		for id, by := range ran {
			if len(by) != 1 {
				t.Errorf("job %d ran %d times", id, len(by))
			}
		}
		if len(ran) != n || len(workers) != 2 {
			t.Errorf("%d jobs ran, shared as %v", len(ran), workers)
		}
	})
}

// How soon, the benchmark measures (TestHowSoonAJobIsHeardOf).
func TestCancellingAGroupReachesItsJobsInEveryProcess(t *testing.T) {
	for name, deaf := range map[string]bool{"Told": false, "NotToldButFoundByTheBeat": true} {
		t.Run(name, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				db := open(t, dsn)
				running, ended := make(chan struct{}, 9), make(chan error, 9)
				start(t, open(t, dsn), 1, func(ctx context.Context, _ engine.Attempt) error {
					running <- struct{}{}
					<-ctx.Done()
					ended <- context.Cause(ctx)
					return errors.New("killed")
				})
				insert(t, db, engine.Job{Group: "a", Priority: 1}, engine.Job{Group: "a"}, engine.Job{Group: "b", Queue: "other"}, engine.Job{Group: "a", Queue: "other"})
				receive(t, running)
				all := jobs(t, db)
				from := time.Now()
				e := inserter(t, db)
				if err := db.InTx(t.Context(), func(tx engine.Tx) error {
					if err := e.CancelGroup(t.Context(), tx, "a", all[3].id); err != nil || !deaf {
						return err
					}
					if db.Pool != nil {
						t.Skip("PostgreSQL's notifications can't be taken back")
					}
					_, err := tx.ExecContext(t.Context(), `DELETE FROM river_notification`)
					return err
				}); err != nil {
					t.Fatal(err)
				}
				if why := receive(t, ended); !errors.Is(why, engine.ErrCanceled) {
					t.Errorf("canceled because %v", why)
				}
				t.Logf("the cancellation took %v", time.Since(from))
				want := []string{"cancelled", "cancelled", "available", "available"}
				var states []string
				for deadline := time.Now().Add(patience); time.Now().Before(deadline) && !slices.Equal(states, want); time.Sleep(20 * time.Millisecond) {
					states = nil
					for _, r := range jobs(t, db) {
						states = append(states, r.state)
					}
				}
				if !slices.Equal(states, want) {
					t.Errorf("got %v, want %v", states, want)
				}
			})
		})
	}
}

func TestStoppingGivesRunningJobsBackAndCountsNoTry(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		running := make(chan struct{}, 1)
		e := start(t, db, 1, func(ctx context.Context, _ engine.Attempt) error {
			running <- struct{}{}
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, engine.ErrStopped) {
				t.Errorf("canceled because %v", cause)
			}
			return fault.New(fault.Invalid, "test", "truncated", "what a killed tool leaves looks broken", nil)
		})
		if err := e.Ready(); err != nil {
			t.Error(err)
		}
		insert(t, db, engine.Job{Attempts: 1})
		receive(t, running)
		from := time.Now()
		stop(t, e)
		t.Logf("stopping took %v", time.Since(from))
		if err := e.Ready(); err == nil {
			t.Error("a stopped engine is ready")
		}
		if r := await(t, db, "available"); r.attempt != 0 {
			t.Errorf("got %+v", r)
		}
		number := make(chan int, 1)
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error { number <- a.Number; return nil })
		if n := receive(t, number); n != 1 {
			t.Errorf("try %d", n)
		}
	})
}

func TestAJobOfAnUnknownKindWaitsForAProcessThatKnowsIt(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		start(t, db, 1, func(context.Context, engine.Attempt) error { return nil })
		e := inserter(t, db)
		if err := db.InTx(t.Context(), func(tx engine.Tx) error { return e.Insert(t.Context(), tx, engine.Job{Kind: "news"}) }); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			if r := jobs(t, db)[0]; r.attempt > 0 && (r.state == "retryable" || r.state == "available") {
				return
			} else if time.Now().After(deadline) {
				t.Fatalf("got %+v", r)
			}
		}
	})
}

func TestTransactionsThatLoseToEachOtherAreBegunAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		first, second := open(t, dsn), open(t, dsn)
		if err := first.InTx(t.Context(), func(tx engine.Tx) error {
			_, err := tx.ExecContext(t.Context(), `CREATE TABLE counter (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)`)
			if err == nil {
				_, err = tx.ExecContext(t.Context(), `INSERT INTO counter (id, n) VALUES (1, 0), (2, 0)`)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range 4 {
			db := []engine.DB{first, second}[i%2]
			order := [][]int{{1, 2}, {2, 1}}[i%2] // each way round: PostgreSQL finds a deadlock
			wg.Go(func() {
				for range 2 { // PostgreSQL takes a second to see a deadlock
					if err := db.InTx(t.Context(), func(tx engine.Tx) error {
						for _, id := range order {
							if _, err := tx.ExecContext(t.Context(), `UPDATE counter SET n = n + 1 WHERE id = $1`, id); err != nil {
								return err
							}
							time.Sleep(2 * time.Millisecond)
						}
						return nil
					}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var sum int
		if err := first.Read.QueryRowContext(t.Context(), `SELECT sum(n) FROM counter`).Scan(&sum); err != nil || sum != 16 {
			t.Errorf("counted %d, want 16: %v", sum, err)
		}
	})
}

func TestATransactionWhoseStatementComesTooLateIsRolledBack(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		e := inserter(t, db)
		ctx, cancel := context.WithCancel(t.Context())
		err := db.InTx(t.Context(), func(tx engine.Tx) error {
			if err := e.Insert(t.Context(), tx, engine.Job{Kind: "work"}); err != nil {
				return err
			}
			cancel()
			_, err := tx.ExecContext(ctx, `DELETE FROM worker`)
			return err
		})
		if err == nil {
			t.Error("a canceled statement passed")
		}
		if all := jobs(t, db); len(all) != 0 {
			t.Errorf("left %+v", all)
		}
		insert(t, db, engine.Job{}) // the database is of use again
	})
}

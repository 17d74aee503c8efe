package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
	"sluice/test/away"
)

// outage takes a database away and gives it back.
type outage struct {
	name           string
	take, giveBack func()
	lasts          time.Duration
}

// outages makes the ways in which a database is away, each with the name by which it is reached.
func outages(t *testing.T, dsn string) (string, []outage) {
	t.Helper()
	if engine.IsPostgres(dsn) {
		link, by := away.BeforeURL(t, dsn)
		return by, []outage{{"cut", link.Cut, link.Mend, 2 * lostAfter}, {"hanging", link.Hang, link.Mend, 2 * lostAfter}}
	}
	var holder *sql.Conn
	other, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = other.Close() })
	exec := func(statement string) {
		if _, err := holder.ExecContext(context.Background(), statement); err != nil {
			t.Error(err)
		}
	}
	return dsn, []outage{{"locked", func() {
		if holder, err = other.Conn(context.Background()); err != nil {
			t.Fatal(err)
		}
		for _, err = holder.ExecContext(context.Background(), "BEGIN IMMEDIATE"); err != nil; _, err = holder.ExecContext(context.Background(), "BEGIN IMMEDIATE") {
			time.Sleep(time.Millisecond)
		}
	}, func() { exec("ROLLBACK"); _ = holder.Close() }, 2 * lostAfter}}
}

// TestADatabaseThatIsAwayCostsNoTry takes the database away under a running job whose only try would be over, and beside one that waits.
func TestADatabaseThatIsAwayCostsNoTry(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		by, ways := outages(t, dsn)
		db, direct := open(t, by), open(t, dsn)
		insert(t, db, engine.Job{Attempts: 1})
		var calls atomic.Int32
		began, gone := make(chan int, 1), make(chan struct{}, 1)
		start(t, db, 1, func(ctx context.Context, a engine.Attempt) error {
			if a.Number != 1 {
				t.Errorf("a try is numbered %d", a.Number)
			}
			if calls.Add(1)%2 == 0 {
				return nil // the second call for a job
			}
			began <- a.Number
			<-gone
			short, cancel := context.WithTimeout(ctx, lostAfter)
			defer cancel()
			err := db.InTx(short, func(tx engine.Tx) error {
				_, err := tx.ExecContext(short, `UPDATE worker SET seen = seen`)
				return err
			})
			if !fault.Is(err, fault.Unavailable) {
				t.Errorf("a database that is away says %v", err)
			}
			if !a.Waits(err) || a.Final(err) {
				t.Error("the last try would count")
			}
			return err
		})
		for i, way := range ways {
			if i > 0 {
				insert(t, db, engine.Job{Attempts: 1})
			}
			receive(t, began)
			way.take()
			gone <- struct{}{}
			time.Sleep(way.lasts)
			way.giveBack()
			from := time.Now()
			for deadline := from.Add(patience); ; time.Sleep(50 * time.Millisecond) {
				done := 0
				for _, r := range jobs(t, direct) {
					if r.state == "completed" && r.attempt == 1 {
						done++
					}
				}
				if done == i+1 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%s: %v after the database came back: %+v", way.name, patience, jobs(t, direct))
				}
			}
			t.Logf("%s: done %v after the database came back", way.name, time.Since(from).Round(10*time.Millisecond))
		}
	})
}

func TestAHeldQueueWaitsAndTheOthersGoOn(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var low atomic.Bool
		low.Store(true)
		ran := make(chan string, 2)
		e, err := engine.New(db, engine.Config{
			Workers: map[string]engine.Worker{"work": func(_ context.Context, a engine.Attempt) error { ran <- a.Job.Queue; return nil }},
			Queues:  []engine.Queue{{Name: "heavy", Workers: 1}, {Name: "light", Workers: 1}},
			Hold:    func(queue string) engine.Hold { return engine.Hold{Held: queue == "heavy" && low.Load()} },
		})
		if err == nil {
			err = e.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		insert(t, db, engine.Job{Queue: "heavy", Priority: 1}, engine.Job{Queue: "light", Priority: 4})
		if q := receive(t, ran); q != "light" {
			t.Errorf("a job of the %s queue ran first", q)
		}
		time.Sleep(700 * time.Millisecond)
		if r := jobs(t, db)[0]; r.state != "available" || r.attempt != 0 {
			t.Errorf("the held job is %+v", r)
		}
		low.Store(false)
		if q := receive(t, ran); q != "heavy" {
			t.Errorf("a job of the %s queue ran", q)
		}
	})
}

func TestHold_ExceptAGroup_TakesItsJobsAlone(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		ran := make(chan string, 4)
		var held atomic.Bool
		held.Store(true)
		e, err := engine.New(db, engine.Config{
			Workers: map[string]engine.Worker{"work": func(_ context.Context, a engine.Attempt) error { ran <- a.Job.Group; return nil }},
			Queues:  []engine.Queue{{Name: "heavy", Workers: 2}},
			Hold:    func(string) engine.Hold { return engine.Hold{Held: held.Load(), Except: []string{"goes on", "nobody"}} },
		})
		if err == nil {
			err = e.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		insert(t, db, engine.Job{Queue: "heavy", Priority: 1, Group: "waits"}, engine.Job{Queue: "heavy", Priority: 4, Group: "goes on"})
		if group := receive(t, ran); group != "goes on" {
			t.Errorf("a job of the group %q ran first", group)
		}
		held.Store(false)
		if group := receive(t, ran); group != "waits" {
			t.Errorf("a job of the group %q ran", group)
		}
	})
}

func TestHold_Count_EndsAWaitByTheNumberOfTries(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		away := fault.New(fault.Unavailable, "test", "away", "later", nil)
		e, err := engine.New(db, engine.Config{
			Workers: map[string]engine.Worker{"work": func(context.Context, engine.Attempt) error { return away }},
			Queues:  []engine.Queue{{Name: "heavy", Workers: 1}}, Backoff: engine.Backoff{First: time.Millisecond, Max: time.Millisecond},
			Hold: func(string) engine.Hold { return engine.Hold{Count: true} },
		})
		if err == nil {
			err = e.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		insert(t, db, engine.Job{Queue: "heavy", Attempts: 2})
		if r := await(t, db, "discarded"); r.attempt != 2 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestHasten_JobThatWaits_IsTriedAtOnceAndNoOtherIs(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		tried := make(chan string, 4)
		away := fault.New(fault.Unavailable, "test", "away", "later", nil)
		e, err := engine.New(db, engine.Config{
			Workers: map[string]engine.Worker{"work": func(_ context.Context, a engine.Attempt) error {
				tried <- a.Job.Group
				if len(tried) < 2 {
					return away
				}
				return nil
			}},
			Queues: []engine.Queue{{Name: "heavy", Workers: 1}}, Backoff: engine.Backoff{First: time.Hour, Max: time.Hour},
		})
		if err == nil {
			err = e.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		insert(t, db, engine.Job{Queue: "heavy", Group: "waits"}, engine.Job{Queue: "heavy", Group: "later", After: time.Now().Add(time.Hour)})
		for deadline := time.Now().Add(time.Minute); len(tried) < 2; time.Sleep(20 * time.Millisecond) {
			for _, r := range jobs(t, db) {
				if err := e.Hasten(t.Context(), r.id); err != nil {
					t.Fatal(err)
				}
			}
			if time.Now().After(deadline) {
				t.Fatal("the job is not tried again")
			}
		}
		for range 2 {
			if group := receive(t, tried); group != "waits" {
				t.Errorf("a job of the group %q was tried", group)
			}
		}
	})
}

func TestAJobThatWaitedAndThenFailedHasItsTriesStill(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var numbers []int
		done := make(chan struct{})
		away := fault.New(fault.Unavailable, "test", "away", "later", nil)
		outcomes := []error{away, away, errors.New("again"), away, nil}
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error {
			numbers = append(numbers, a.Number)
			if len(numbers) == len(outcomes) {
				close(done)
			}
			return outcomes[len(numbers)-1]
		})
		insert(t, db, engine.Job{Attempts: 2})
		receive(t, done)
		if r := await(t, db, "completed"); r.attempt != 2 {
			t.Errorf("got %+v", r)
		}
		for i, want := range []int{1, 1, 1, 2, 2} {
			if numbers[i] != want {
				t.Fatalf("the tries are numbered %v", numbers)
			}
		}
	})
}

// TestLog_DatabaseAway_HasOneLineForTheOutageAndOneForItsEnd counts what a process of four queues logs, River included.
func TestLog_DatabaseAway_HasOneLineForTheOutageAndOneForItsEnd(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		by, ways := outages(t, dsn)
		log := &lockedText{}
		var queues []engine.Queue
		for _, name := range []string{"encode", "still", "ingest", "control"} {
			queues = append(queues, engine.Queue{Name: name, Workers: 1})
		}
		e, err := engine.New(open(t, by), engine.Config{
			Workers: map[string]engine.Worker{"work": func(context.Context, engine.Attempt) error { return nil }},
			Queues:  queues, LostAfter: lostAfter, Logger: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err == nil {
			err = e.Start(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		for i, way := range ways {
			way.take()
			time.Sleep(max(way.lasts, 12*time.Second)) // a claim gives a database that hangs ten seconds
			way.giveBack()
			for deadline := time.Now().Add(patience); strings.Count(log.String(), "answers again") <= i; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("%s: the end of the outage is not logged:\n%s", way.name, log.String())
				}
			}
			time.Sleep(engine.KeptBack) // what River says is held back for as long
			if n := strings.Count(log.String(), "\n"); n != 2*(i+1) {
				t.Fatalf("%s: %d lines after %d outages, want two for each:\n%s", way.name, n, i+1, log.String())
			}
		}
	})
}

// lockedText is text that many write.
type lockedText struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

// batch is n jobs of an owner, numbered by their arguments.
func batch(owner string, n, priority int) []engine.Job {
	all := make([]engine.Job, n)
	for i := range all {
		all[i] = engine.Job{Owner: owner, Priority: priority, Args: json.RawMessage(fmt.Sprint(i))}
	}
	return all
}

func TestABatchOfOneOwnerStarvesNoOther(t *testing.T) {
	for _, workers := range []int{1, 3} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				db := open(t, dsn)
				insert(t, db, batch("a", 200, 3)...)
				order, goOn := make(chan string, 300), make(chan struct{})
				start(t, db, workers, func(ctx context.Context, a engine.Attempt) error {
					order <- a.Job.Owner + string(a.Job.Args)
					select {
					case <-goOn:
					case <-ctx.Done():
					}
					return ctx.Err()
				})
				for range workers {
					receive(t, order)
				}
				insert(t, db, batch("b", 2, 3)...)
				insert(t, db, batch("c", 1, 3)...)
				var next []string
				for range 5 {
					goOn <- struct{}{}
					next = append(next, receive(t, order))
				}
				for _, want := range []string{"b0", "b1", "c0"} {
					if !slices.Contains(next, want) {
						t.Errorf("%s did not start within 5 slots: %v", want, next)
					}
				}
				if slices.Index(next, "b0") > 1 || slices.Index(next, "c0") > 2 {
					t.Errorf("the slots went to %v", next)
				}
				close(goOn)
			})
		})
	}
}

func TestThePriorityOfAnyOwnerComesBeforeTheShareOfAnother(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		insert(t, db, slices.Concat(batch("a", 3, 3), batch("b", 2, 1), batch("a", 2, 1))...)
		order := make(chan string, 9)
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error {
			order <- fmt.Sprint(a.Job.Owner, a.Job.Priority)
			return nil
		})
		var got []string
		for range 7 {
			got = append(got, receive(t, order))
		}
		first := slices.Sorted(slices.Values(got[:4])) // chunk 0 of every video, in turns
		if want := []string{"a1", "a1", "b1", "b1"}; !slices.Equal(first, want) || got[0] == got[1] {
			t.Errorf("started %v", got)
		}
	})
}

// set changes a queue and returns it.
func set(t *testing.T, e *engine.Engine, change engine.QueueChange) engine.QueueState {
	t.Helper()
	q, err := e.SetQueue(t.Context(), "default", change)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func limit(n int) **int { p := &n; return &p }

func TestALimitIsChangedWhileJobsRunAndOutlivesTheProcess(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var running atomic.Int32
		work := func(ctx context.Context, a engine.Attempt) error {
			running.Add(1)
			defer running.Add(-1)
			select {
			case <-ctx.Done():
			case <-time.After(400 * time.Millisecond):
			}
			return ctx.Err()
		}
		named := func(name string) *engine.Engine {
			e, err := engine.New(db, engine.Config{Name: name, Workers: map[string]engine.Worker{"work": work},
				Queues: []engine.Queue{{Name: "default", Workers: 2}}, LostAfter: lostAfter})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stop(t, e) })
			return e
		}
		e := named("one")
		hold := engine.QueueChange{}
		insert(t, db, batch("a", 400, 3)...)
		sides := func(want int32) {
			t.Helper()
			deadline := time.Now().Add(patience)
			for alike := 0; alike < 2; { // in a row: what ran before has ended by then
				peak := int32(0)
				for range 80 {
					time.Sleep(8 * time.Millisecond)
					peak = max(peak, running.Load())
				}
				alike++
				if peak != want {
					alike = 0
				}
				if alike == 0 && time.Now().After(deadline) {
					t.Fatalf("%d tries run side by side, want %d", peak, want)
				}
			}
		}
		sides(2)
		hold.Workers = limit(5)
		set(t, e, hold)
		sides(5)
		set(t, e, engine.QueueChange{Machine: "one", Workers: limit(1)})
		sides(1)
		set(t, e, engine.QueueChange{Machine: "other", Workers: limit(7)})
		stop(t, e)
		e = named("one")
		sides(1)
		q := set(t, e, engine.QueueChange{Machine: "one", Workers: new(*int)})
		sides(5)
		if q.Default == nil || *q.Default != 5 || len(q.Machines) != 2 || q.Machines[0].Name != "one" || !q.Machines[0].Up || q.Machines[0].Workers != 5 ||
			q.Machines[0].Limit != nil || q.Machines[1].Name != "other" || q.Machines[1].Up || *q.Machines[1].Limit != 7 {
			t.Errorf("the queue is %+v", q)
		}
		_, err := e.SetQueue(t.Context(), "default", engine.QueueChange{Workers: limit(engine.MaxWorkers + 1)})
		if !fault.Is(err, fault.Invalid) {
			t.Errorf("a limit above the most: %v", err)
		}
		if _, err := e.SetQueue(t.Context(), "nothing", hold); !fault.Is(err, fault.NotFound) {
			t.Errorf("a queue that isn't: %v", err)
		}
	})
}

func TestAPausedQueueBeginsNothingOnAnyMachineUntilItIsResumed(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var ran atomic.Int32
		held, goOn := make(chan struct{}, 1), make(chan struct{})
		f := func(context.Context, engine.Attempt) error {
			if ran.Add(1) == 1 {
				held <- struct{}{}
				<-goOn
			}
			return nil
		}
		e := startPatient(t, db, 0, 2, f)
		insert(t, db, engine.Job{})
		receive(t, held)
		yes, no := true, false
		if q := set(t, e, engine.QueueChange{Paused: &yes}); q.Paused.IsZero() || q.Running != 1 {
			t.Errorf("paused as %+v", q)
		}
		other := startPatient(t, open(t, dsn), 0, 2, f) // a process that comes later sees it too
		insert(t, db, engine.Job{}, engine.Job{})
		time.Sleep(700 * time.Millisecond)
		close(goOn) // what runs goes on
		for deadline := time.Now().Add(patience); set(t, e, engine.QueueChange{}).Running > 0; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("what ran does not end")
			}
		}
		time.Sleep(300 * time.Millisecond)
		if n := ran.Load(); n != 1 {
			t.Errorf("%d jobs began while the queue was paused", n-1)
		}
		if q := set(t, other, engine.QueueChange{}); q.Paused.IsZero() || q.Available != 2 || q.Running != 0 {
			t.Errorf("paused as %+v", q)
		}
		from := time.Now()
		set(t, e, engine.QueueChange{Paused: &no})
		for ran.Load() != 3 {
			if time.Since(from) > patience {
				t.Fatalf("%d of 3 jobs ran", ran.Load())
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Logf("resumed after %v", time.Since(from))
	})
}

func TestJobsAreListedWithTheirErrorsAndTriedAgain(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var mend atomic.Bool
		e := start(t, db, 1, func(context.Context, engine.Attempt) error {
			if mend.Load() {
				return nil
			}
			return fault.New(fault.Invalid, "test", "broken", "It is broken.", nil)
		})
		from := time.Now().Add(-time.Second)
		insert(t, db, engine.Job{Owner: "o", Group: "g", Args: json.RawMessage(`{"n":7}`)}, engine.Job{Queue: "other", After: time.Now().Add(time.Hour)})
		await := func(state engine.State) engine.Status {
			t.Helper()
			for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
				all, err := e.Jobs(t.Context(), engine.JobQuery{Group: "g"})
				if err != nil {
					t.Fatal(err)
				}
				if len(all) == 1 && all[0].State == state {
					return all[0]
				}
				if time.Now().After(deadline) {
					t.Fatalf("no job became %s: %+v", state, all)
				}
			}
		}
		s := await(engine.Dead)
		var args struct{ N int }
		if err := json.Unmarshal(s.Args, &args); err != nil || args.N != 7 || s.Kind != "work" || s.Owner != "o" || s.Attempt != 1 || s.Worker == "" {
			t.Errorf("listed as %+v, args %s", s, s.Args)
		}
		if len(s.Errors) != 1 || s.Errors[0].Attempt != 1 || !strings.Contains(s.Errors[0].Message, "broken") || s.Errors[0].At.Before(from) {
			t.Errorf("errors %+v", s.Errors)
		}
		for _, at := range []time.Time{s.Created, s.Due, s.Started, s.Finished} {
			if at.Before(from) || at.After(time.Now().Add(time.Second)) {
				t.Errorf("a time of %+v is odd", s)
			}
		}
		for q, want := range map[engine.JobQuery]int{
			{}: 2, {State: engine.Dead}: 1, {State: engine.Scheduled}: 1, {State: engine.Running}: 0, {Queue: "other"}: 1, {Owner: "o"}: 1, {Owner: "x"}: 0,
			{Limit: 1}: 1, {Before: s.ID}: 0, {Before: s.ID + 9, State: engine.Dead, Owner: "o", Queue: "default"}: 1,
		} {
			if all, err := e.Jobs(t.Context(), q); err != nil || len(all) != want {
				t.Errorf("%+v lists %d jobs, want %d: %v", q, len(all), want, err)
			}
		}
		mend.Store(true)
		if s, err := e.Retry(t.Context(), 1); err != nil || s.State != engine.Available || s.Attempts != 9 {
			t.Errorf("tried again as %+v, %v", s, err)
		}
		if s := await(engine.Completed); s.Attempt != 2 {
			t.Errorf("ended as %+v", s)
		}
		if _, err := e.Retry(t.Context(), 1); fault.Of(err).Code != "job_done" {
			t.Errorf("a job that is done was tried again: %v", err)
		}
		if _, err := e.Job(t.Context(), 99); !fault.Is(err, fault.NotFound) {
			t.Errorf("a job that isn't: %v", err)
		}
	})
}

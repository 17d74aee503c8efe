package bench

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
)

// TestHowSoonAJobIsHeardOf measures how long a worker that has nothing to do takes to begin a job, from its insert's beginning, and how long one that is at
// work takes to hear that its job was canceled. The engine's own tests only want both to happen.
func TestHowSoonAJobIsHeardOf(t *testing.T) {
	rounds := 4
	if *full {
		rounds = 40
	}
	t.Run("engines", func(t *testing.T) {
		enginetest.Each(t, func(t *testing.T, dsn string) {
			turn <- struct{}{}
			defer func() { <-turn }()
			begun, canceled := hearing(t, dsn, rounds)
			name := map[bool]string{true: "PostgreSQL", false: "SQLite"}[engine.IsPostgres(dsn)]
			line := func(what string, all []time.Duration, goal string) {
				slices.Sort(all)
				fmt.Printf("%s: %s after %.0f ms in the middle, %.0f ms at the most, of %d  (goal %s)\n", name, what,
					all[len(all)/2].Seconds()*1000, all[len(all)-1].Seconds()*1000, len(all), goal)
			}
			line("a job begins", begun, "≤500 ms")
			line("a job hears of its cancellation", canceled, "≤2000 ms")
		})
	})
}

// hearing inserts and cancels jobs, one after the other.
func hearing(t *testing.T, dsn string, rounds int) (begun, canceled []time.Duration) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	db, err := engine.OpenDB(t.Context(), dsn)
	must(err)
	defer db.Close()
	must(engine.Migrate(t.Context(), db))
	heard := make(chan time.Time)
	e, err := engine.New(db, engine.Config{
		Queues: []engine.Queue{{Name: "default", Workers: 1}},
		Workers: map[string]engine.Worker{"work": func(ctx context.Context, _ engine.Attempt) error {
			heard <- time.Now()
			<-ctx.Done()
			heard <- time.Now()
			return ctx.Err()
		}},
	})
	must(err)
	must(e.Start(t.Context()))
	defer func() {
		if err := e.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	next := func() time.Time {
		t.Helper()
		select {
		case at := <-heard:
			return at
		case <-time.After(time.Minute):
			t.Fatal("nothing was heard in a minute")
			panic("unreachable")
		}
	}
	for n := range rounds {
		group := fmt.Sprint(n)
		from := time.Now()
		must(db.InTx(t.Context(), func(tx engine.Tx) error {
			return e.Insert(t.Context(), tx, engine.Job{Kind: "work", Queue: "default", Group: group})
		}))
		begun = append(begun, next().Sub(from))
		from = time.Now()
		must(db.InTx(t.Context(), func(tx engine.Tx) error { return e.CancelGroup(t.Context(), tx, group) }))
		canceled = append(canceled, next().Sub(from))
	}
	return begun, canceled
}

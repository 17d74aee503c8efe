package engine_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
)

func TestADutyIsDoneByOneProcessAtATime(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		ctx, cancel := context.WithCancel(t.Context())
		var done, at atomic.Int64
		var all sync.WaitGroup
		for range 4 {
			e, err := engine.New(db, engine.Config{})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				e.Serve(ctx, engine.Duty{Name: "sweep", Every: 50 * time.Millisecond, Do: func(context.Context) error {
					if at.Add(1) != 1 {
						t.Error("two are at it")
					}
					time.Sleep(20 * time.Millisecond)
					at.Add(-1)
					if done.Add(1) == 2 {
						return errors.New("this once it fails")
					}
					return nil
				}})
			})
		}
		deadline := time.Now().Add(patience)
		for done.Load() < 8 && time.Now().Before(deadline) {
			time.Sleep(10 * time.Millisecond)
		}
		cancel()
		all.Wait()
		if done.Load() < 8 {
			t.Errorf("done %d times", done.Load())
		}
	})
}

func TestADutyIsNotDoneBeforeItIsDueSaveAtAStart(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		var done atomic.Int64
		serve := func() {
			e, err := engine.New(db, engine.Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			before := done.Load()
			go func() {
				defer cancel()
				for deadline := time.Now().Add(patience); done.Load() == before && time.Now().Before(deadline); {
					time.Sleep(10 * time.Millisecond)
				}
				time.Sleep(500 * time.Millisecond) // in which it is not done again
			}()
			e.Serve(ctx, engine.Duty{Name: "look", Every: time.Hour, Do: func(context.Context) error { done.Add(1); return nil }})
		}
		for start := int64(1); start <= 2; start++ {
			serve()
			if done.Load() != start {
				t.Errorf("after %d starts done %d times", start, done.Load())
			}
		}
	})
}

func TestHurry_DutyThatIsNotDue_IsDoneNow(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		ctx, cancel := context.WithCancel(t.Context())
		serving, err := engine.New(db, engine.Config{})
		if err != nil {
			t.Fatal(err)
		}
		other, err := engine.New(db, engine.Config{}) // as of a process that doesn't serve it
		if err != nil {
			t.Fatal(err)
		}
		if state, err := other.Duty(ctx, "look"); err != nil || !state.Due.IsZero() || state.Running {
			t.Errorf("before it was ever done: %+v, %v", state, err)
		}
		began, release := make(chan struct{}), make(chan struct{})
		var served sync.WaitGroup
		served.Go(func() {
			serving.Serve(ctx, engine.Duty{Name: "look", Every: time.Hour, Do: func(ctx context.Context) error {
				began <- struct{}{}
				select {
				case <-release:
				case <-ctx.Done():
				}
				return nil
			}})
		})
		defer served.Wait()
		defer cancel()
		awaited := func(what string) {
			t.Helper()
			select {
			case <-began:
			case <-time.After(patience):
				t.Fatal(what)
			}
		}
		idle := func() engine.DutyState {
			t.Helper()
			for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
				state, err := other.Duty(ctx, "look")
				if err != nil {
					t.Fatal(err)
				}
				if !state.Running {
					return state
				}
				if time.Now().After(deadline) {
					t.Fatal("it runs for ever")
				}
			}
		}
		awaited("a start does not do it")
		if state, err := other.Duty(ctx, "look"); err != nil || !state.Running {
			t.Errorf("while it runs: %+v, %v", state, err)
		}
		release <- struct{}{}
		if state := idle(); time.Until(state.Due) < 30*time.Minute {
			t.Errorf("afterwards it is due at %s", state.Due)
		}
		for _, by := range []*engine.Engine{serving, other} { // by the one that serves it at once, by another within 23 s
			if err := by.Hurry(ctx, "look"); err != nil {
				t.Fatal(err)
			}
			awaited("it was hurried and not done")
			release <- struct{}{}
			idle()
		}
		// One that was hurried while it ran may have missed what was meant: it is done again.
		if err := serving.Hurry(ctx, "look"); err != nil {
			t.Fatal(err)
		}
		awaited("it was hurried and not done")
		if err := other.Hurry(ctx, "look"); err != nil {
			t.Fatal(err)
		}
		release <- struct{}{}
		awaited("it was hurried while it ran, and not done again")
		release <- struct{}{}
	})
}

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

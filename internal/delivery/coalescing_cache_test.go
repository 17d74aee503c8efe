package delivery

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// opener is a gate of yes and no.
func opener(ask func(context.Context, generation) (bool, error)) *coalescingCache[generation, bool] {
	return newCoalescingCache(ask, func(yes bool) bool { return yes }, freshFor, time.Now)
}

func TestAGenerationThatIsRetiredStopsWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &catalog{published: map[generation]bool{{folder, 2}: true}}
		g := opener(c.open)
		for range 5 {
			if ok, err := g.get(t.Context(), generation{folder, 2}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if c.asked != 1 {
			t.Errorf("asked %d times for one answer", c.asked)
		}
		c.published = nil
		time.Sleep(2 * time.Second)
		if ok, err := g.get(t.Context(), generation{folder, 2}); ok || err != nil {
			t.Errorf("two seconds later: %v, %v", ok, err)
		}
		c.published = map[generation]bool{{folder, 2}: true}
		time.Sleep(2 * time.Second)
		if ok, err := g.get(t.Context(), generation{folder, 2}); !ok || err != nil {
			t.Errorf("published meanwhile: %v, %v", ok, err)
		}
	})
}

func TestManyWhoAskAtOnceCauseOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		g := opener(func(context.Context, generation) (bool, error) {
			asked.Add(1)
			time.Sleep(100 * time.Millisecond)
			return true, nil
		})
		var crowd sync.WaitGroup
		for range 50 {
			crowd.Go(func() {
				if ok, err := g.get(t.Context(), generation{folder, 1}); !ok || err != nil {
					t.Error(ok, err)
				}
			})
		}
		crowd.Wait()
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestWhoeverLeavesDoesNotTakeTheAnswerAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := opener(func(ctx context.Context, _ generation) (bool, error) {
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(time.Second):
				return true, nil
			}
		})
		first, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer leave()
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := g.get(first, generation{folder, 1}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first to ask: %v", err)
			}
		})
		synctest.Wait()
		both.Go(func() {
			if ok, err := g.get(t.Context(), generation{folder, 1}); !ok || err != nil {
				t.Errorf("the second to ask: %v, %v", ok, err)
			}
		})
		both.Wait()
	})
}

func TestTheAnswersKeptAreBounded(t *testing.T) {
	t.Parallel()
	c := &catalog{published: map[generation]bool{{folder, 1}: true}}
	g := opener(c.open)
	for n := range remembered + 100 {
		if _, err := g.get(t.Context(), generation{fmt.Sprint(n), 1}); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.known) != remembered || g.recent.Len() != remembered {
		t.Errorf("%d answers kept, %d in order", len(g.known), g.recent.Len())
	}
}

func TestWhatWasPublishedIsServedForAMinuteWhileTheCatalogIsAway(t *testing.T) {
	for name, away := range map[string]func(context.Context) error{
		"Refusing": func(context.Context) error { return errors.New("connection refused") },
		"Hanging":  func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var gone atomic.Bool
				var asked atomic.Int32
				g := opener(func(ctx context.Context, which generation) (bool, error) {
					asked.Add(1)
					if gone.Load() {
						return false, away(ctx)
					}
					return which.n == 1, nil
				})
				for n, published := range map[int]bool{1: true, 2: false} {
					if ok, err := g.get(t.Context(), generation{folder, n}); ok != published || err != nil {
						t.Fatal(n, ok, err)
					}
				}
				gone.Store(true)
				asked.Store(0)
				began := time.Now()
				for time.Since(began) < 50*time.Second {
					time.Sleep(200 * time.Millisecond)
					from := time.Now()
					if ok, err := g.get(t.Context(), generation{folder, 1}); !ok || err != nil {
						t.Fatalf("after %v: %v, %v", time.Since(began), ok, err)
					}
					if took := time.Since(from); took > waitFor {
						t.Fatalf("a viewer waited %v", took)
					}
				}
				if n := asked.Load(); n > 30 {
					t.Errorf("asked %d times in 50 s", n)
				}
				for _, n := range []int{2, 3} { // known not to be published, and not known
					if ok, err := g.get(t.Context(), generation{folder, n}); ok || err == nil {
						t.Errorf("generation %d: %v, %v", n, ok, err)
					}
				}
				time.Sleep(15 * time.Second)
				if ok, err := g.get(t.Context(), generation{folder, 1}); ok || err == nil {
					t.Errorf("after %v: %v, %v", time.Since(began), ok, err)
				}
				gone.Store(false)
				time.Sleep(patience)
				if ok, err := g.get(t.Context(), generation{folder, 1}); !ok || err != nil {
					t.Errorf("the catalog is back: %v, %v", ok, err)
				}
			})
		})
	}
}

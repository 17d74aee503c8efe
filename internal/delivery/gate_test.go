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

	"sluice/internal/video"
)

func TestAGenerationThatIsRetiredStopsWithinTwoSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &catalog{published: map[generation]bool{{id, 2}: true}}
		g := newGate(c.Generation, time.Now)
		for range 5 {
			if ok, err := g.open(t.Context(), generation{id, 2}); !ok || err != nil {
				t.Fatal(ok, err)
			}
		}
		if c.asked != 1 {
			t.Errorf("asked %d times for one answer", c.asked)
		}
		c.published = nil
		time.Sleep(2 * time.Second)
		if ok, err := g.open(t.Context(), generation{id, 2}); ok || err != nil {
			t.Errorf("two seconds later: %v, %v", ok, err)
		}
		c.published = map[generation]bool{{id, 2}: true}
		time.Sleep(2 * time.Second)
		if ok, err := g.open(t.Context(), generation{id, 2}); !ok || err != nil {
			t.Errorf("published meanwhile: %v, %v", ok, err)
		}
	})
}

func TestManyWhoAskAtOnceCauseOneQuestion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		g := newGate(func(context.Context, video.ID, int) (bool, error) {
			asked.Add(1)
			time.Sleep(100 * time.Millisecond)
			return true, nil
		}, time.Now)
		var crowd sync.WaitGroup
		for range 50 {
			crowd.Go(func() {
				if ok, err := g.open(t.Context(), generation{id, 1}); !ok || err != nil {
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
		g := newGate(func(ctx context.Context, _ video.ID, _ int) (bool, error) {
			select {
			case <-ctx.Done():
				return false, ctx.Err()
			case <-time.After(time.Second):
				return true, nil
			}
		}, time.Now)
		first, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer leave()
		var both sync.WaitGroup
		both.Go(func() {
			if _, err := g.open(first, generation{id, 1}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("the first to ask: %v", err)
			}
		})
		synctest.Wait()
		both.Go(func() {
			if ok, err := g.open(t.Context(), generation{id, 1}); !ok || err != nil {
				t.Errorf("the second to ask: %v, %v", ok, err)
			}
		})
		both.Wait()
	})
}

func TestTheAnswersKeptAreBounded(t *testing.T) {
	t.Parallel()
	c := &catalog{published: map[generation]bool{{id, 1}: true}}
	g := newGate(c.Generation, time.Now)
	for n := range remembered + 100 {
		if _, err := g.open(t.Context(), generation{video.ID(fmt.Sprint(n)), 1}); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.known) != remembered || g.recent.Len() != remembered {
		t.Errorf("%d answers kept, %d in order", len(g.known), g.recent.Len())
	}
}

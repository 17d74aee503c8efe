package delivery

import (
	"container/list"
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/internal/video"
)

const (
	// freshFor bounds how long a retired generation, or a deleted video, goes on being served.
	freshFor = 2 * time.Second
	// keptFor bounds how long a generation that was published when the catalog was last heard goes on being served while that is away.
	keptFor = time.Minute
	// waitFor bounds how long a request for such a generation waits for a catalog that does not answer.
	waitFor = time.Second
	// remembered bounds the answers kept, about 200 bytes each: someone who guesses ids can't fill the memory.
	remembered = 4096
	// patience bounds one question, which outlives the request that asked it first: others wait for it too.
	patience = 5 * time.Second
)

// gate remembers for a moment which generations are published, and longer while the catalog can't be asked.
type gate struct {
	ask func(ctx context.Context, id video.ID, n int) (bool, error)
	now func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	recent list.List // of answer, the last used first
	known  map[generation]*list.Element
	failed time.Time // when a question last had no answer
}

type answer struct {
	generation
	published bool
	asked     time.Time
}

func newGate(ask func(context.Context, video.ID, int) (bool, error), now func() time.Time) *gate {
	return &gate{ask: ask, now: now, known: map[generation]*list.Element{}}
}

// open reports whether g is published, as it was at most freshFor ago, or, where that can't be told, whether it was within keptFor. One question is under way for
// a generation at any time. Errors aren't remembered, but for a moment nothing that can be answered without is asked after one.
func (g *gate) open(ctx context.Context, which generation) (bool, error) {
	last, fresh, troubled := g.recall(which)
	if fresh || last && troubled {
		return last, nil
	}
	result := g.flight.DoChan(fmt.Sprintf("%s/%d", which.video, which.n), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		asked := g.now() // the answer may be as old as the question
		published, err := g.ask(ctx, which.video, which.n)
		if err == nil {
			g.remember(answer{which, published, asked})
		} else {
			g.noteFailure()
		}
		return published, err
	})
	var enough <-chan time.Time
	if last {
		enough = time.After(waitFor)
	}
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case <-enough:
		g.noteFailure()
		return true, nil
	case r := <-result:
		if r.Err != nil && last {
			return true, nil
		}
		published, _ := r.Val.(bool)
		return published, r.Err
	}
}

func (g *gate) noteFailure() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = g.now()
}

// recall returns whether a generation was published when that was last asked, within keptFor; whether the answer is fresh; and whether a question has
// failed a moment ago.
func (g *gate) recall(which generation) (published, fresh, troubled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	troubled = now.Sub(g.failed) < freshFor
	at, ok := g.known[which]
	if !ok {
		return false, false, troubled
	}
	a := at.Value.(answer)
	age := now.Sub(a.asked)
	if age >= keptFor {
		g.forget(at)
		return false, false, troubled
	}
	g.recent.MoveToFront(at)
	return a.published, age < freshFor, troubled
}

func (g *gate) remember(a answer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.known[a.generation]; ok {
		g.forget(at)
	}
	g.known[a.generation] = g.recent.PushFront(a)
	if g.recent.Len() > remembered {
		g.forget(g.recent.Back())
	}
}

func (g *gate) forget(at *list.Element) {
	delete(g.known, at.Value.(answer).generation)
	g.recent.Remove(at)
}

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
	// remembered bounds the answers kept, about 200 bytes each: someone who guesses ids can't fill the memory.
	remembered = 4096
	// patience bounds one question, which outlives the request that asked it first: others wait for it too.
	patience = 5 * time.Second
)

// gate remembers for a moment which generations are published.
type gate struct {
	ask func(ctx context.Context, id video.ID, n int) (bool, error)
	now func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	recent list.List // of answer, the last used first
	known  map[generation]*list.Element
}

type answer struct {
	generation
	published bool
	asked     time.Time
}

func newGate(ask func(context.Context, video.ID, int) (bool, error), now func() time.Time) *gate {
	return &gate{ask: ask, now: now, known: map[generation]*list.Element{}}
}

// open reports whether g is published, as it was at most freshFor ago. One question is under way for a generation at any
// time. Errors aren't remembered.
func (g *gate) open(ctx context.Context, which generation) (bool, error) {
	if published, ok := g.recall(which); ok {
		return published, nil
	}
	result := g.flight.DoChan(fmt.Sprintf("%s/%d", which.video, which.n), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		asked := g.now() // the answer may be as old as the question
		published, err := g.ask(ctx, which.video, which.n)
		if err == nil {
			g.remember(answer{which, published, asked})
		}
		return published, err
	})
	select {
	case <-ctx.Done():
		return false, ctx.Err()
	case r := <-result:
		published, _ := r.Val.(bool)
		return published, r.Err
	}
}

func (g *gate) recall(which generation) (published, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at, ok := g.known[which]
	if !ok {
		return false, false
	}
	a := at.Value.(answer)
	if g.now().Sub(a.asked) >= freshFor {
		g.forget(at)
		return false, false
	}
	g.recent.MoveToFront(at)
	return a.published, true
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

package delivery

import (
	"container/list"
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

const (
	// freshFor bounds how long a retired generation, a revoked playback or a deleted video goes on being served.
	freshFor = 2 * time.Second
	// keptFor bounds how long what was good when the catalog was last heard goes on being so while that is away.
	keptFor = time.Minute
	// waitFor bounds how long a request for such a thing waits for a catalog that does not answer.
	waitFor = time.Second
	// remembered bounds the answers kept, about 500 bytes each: someone who guesses ids can't fill the memory.
	remembered = 4096
	// patience bounds one question, which outlives the request that asked it first: others wait for it too.
	patience = 5 * time.Second
)

// coalescingCache remembers answers of the catalog for a moment, and good ones longer while it can't be asked.
type coalescingCache[K interface {
	comparable
	String() string
}, V any] struct {
	ask   func(context.Context, K) (V, error)
	good  func(V) bool // whether an answer is kept while the catalog is away
	fresh time.Duration
	now   func() time.Time

	flight singleflight.Group
	mu     sync.Mutex
	recent list.List // of answer, the last used first
	known  map[K]*list.Element
	failed time.Time // when a question last had no answer
}

type answer[K, V any] struct {
	question K
	value    V
	asked    time.Time
}

func newCoalescingCache[K interface {
	comparable
	String() string
}, V any](ask func(context.Context, K) (V, error), good func(V) bool, fresh time.Duration, now func() time.Time) *coalescingCache[K, V] {
	return &coalescingCache[K, V]{ask: ask, good: good, fresh: fresh, now: now, known: map[K]*list.Element{}}
}

// get is the answer as it was at most fresh ago, or, where that can't be told, a good one from within keptFor. One question of its kind is under way
// at any time. Errors aren't remembered, but for a moment nothing that can be answered without is asked after one.
func (g *coalescingCache[K, V]) get(ctx context.Context, question K) (V, error) {
	last, age, troubled := g.recall(question)
	if last != nil && (age < g.fresh || troubled && g.good(*last)) {
		return *last, nil
	}
	return g.renew(ctx, question, last)
}

// renew asks, and falls back on last, if that is good.
func (g *coalescingCache[K, V]) renew(ctx context.Context, question K, last *V) (none V, _ error) {
	result := g.flight.DoChan(question.String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		asked := g.now() // the answer may be as old as the question
		value, err := g.ask(ctx, question)
		if err == nil {
			g.remember(answer[K, V]{question, value, asked})
		} else {
			g.noteFailure()
		}
		return value, err
	})
	var enough <-chan time.Time
	if last != nil && g.good(*last) {
		enough = time.After(waitFor)
	}
	select {
	case <-ctx.Done():
		return none, ctx.Err()
	case <-enough:
		g.noteFailure()
		return *last, nil
	case r := <-result:
		if r.Err != nil && enough != nil {
			return *last, nil
		}
		value, _ := r.Val.(V)
		return value, r.Err
	}
}

func (g *coalescingCache[K, V]) noteFailure() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.failed = g.now()
}

// recall returns the last answer within keptFor, nil for none, and its age; and whether a question has failed a moment ago.
func (g *coalescingCache[K, V]) recall(question K) (last *V, age time.Duration, troubled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.now()
	troubled = now.Sub(g.failed) < freshFor
	at, ok := g.known[question]
	if !ok {
		return nil, 0, troubled
	}
	a := at.Value.(*answer[K, V])
	age = now.Sub(a.asked)
	if age >= keptFor {
		g.forget(at)
		return nil, 0, troubled
	}
	g.recent.MoveToFront(at)
	return &a.value, age, troubled
}

func (g *coalescingCache[K, V]) remember(a answer[K, V]) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at, ok := g.known[a.question]; ok {
		g.forget(at)
	}
	g.known[a.question] = g.recent.PushFront(&a)
	if g.recent.Len() > remembered {
		g.forget(g.recent.Back())
	}
}

func (g *coalescingCache[K, V]) forget(at *list.Element) {
	delete(g.known, at.Value.(*answer[K, V]).question)
	g.recent.Remove(at)
}

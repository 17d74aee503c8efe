package oauth

import (
	"context"
	"sync"
	"time"

	"sluice/internal/fault"
)

// mostKept bounds what a memo holds. When it is full it starts anew: what is asked for often is back at once.
const mostKept = 10_000

// memo keeps what was read for Fresh, also that there is no such thing.
type memo[T any] struct {
	read func(ctx context.Context, id string) (T, error)
	now  func() time.Time

	mu   sync.Mutex
	kept map[string]remembered[T]
}

type remembered[T any] struct {
	value T
	err   error
	at    time.Time
}

func (m *memo[T]) get(ctx context.Context, id string) (T, error) {
	now := m.now()
	m.mu.Lock()
	one, ok := m.kept[id]
	m.mu.Unlock()
	if ok && now.Sub(one.at) < Fresh {
		return one.value, one.err
	}
	value, err := m.read(ctx, id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return value, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || len(m.kept) >= mostKept {
		m.kept = map[string]remembered[T]{}
	}
	m.kept[id] = remembered[T]{value, err, now}
	return value, err
}

// denials is what was revoked before its time. It is small: an entry is of no use once the longest access token has expired.
type denials struct {
	read func(ctx context.Context) ([]string, error)
	now  func() time.Time

	mu  sync.Mutex
	ids map[string]bool
	at  time.Time
}

// has reports whether one of ids is denied.
func (d *denials) has(ctx context.Context, ids ...string) (bool, error) {
	d.mu.Lock()
	defer d.mu.Unlock() // others wait for the same answer
	if now := d.now(); d.ids == nil || now.Sub(d.at) >= Fresh {
		all, err := d.read(ctx)
		if err != nil {
			return false, err
		}
		d.ids, d.at = make(map[string]bool, len(all)), now
		for _, id := range all {
			d.ids[id] = true
		}
	}
	for _, id := range ids {
		if id != "" && d.ids[id] {
			return true, nil
		}
	}
	return false, nil
}

// forget has the next question answered by the store: this process has just revoked something.
func (d *denials) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.ids = nil
}

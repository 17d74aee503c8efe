package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quiet lets River's warnings and errors through, each once in repeatEvery: its information is about itself, and while the database is away each of its parts
// complains several times a second.
func quiet(log *slog.Logger) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(warnings{log.Handler(), &said{last: map[string]time.Time{}}})
}

// repeatEvery is how long a complaint is not repeated.
const repeatEvery = 30 * time.Second

type warnings struct {
	slog.Handler
	said *said
}

// said is when each complaint was last let through. River's texts are constants, so there are few.
type said struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	w.said.mu.Lock()
	again := r.Time.Sub(w.said.last[r.Message]) < repeatEvery
	if !again {
		w.said.last[r.Message] = r.Time
	}
	w.said.mu.Unlock()
	if again {
		return nil
	}
	return w.Handler.Handle(ctx, r)
}

func (w warnings) WithAttrs(a []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(a), w.said}
}

func (w warnings) WithGroup(n string) slog.Handler { return warnings{w.Handler.WithGroup(n), w.said} }

package engine

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// quiet lets River's warnings and errors through, each once in repeatEvery. Its information is about itself. What it
// says of an outage of the database is
// dropped, because the outage is logged once for the process. River often notices first, so each record is kept back
// until the beat must have noticed too.
func quiet(log *slog.Logger, away *outage) *slog.Logger {
	if log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(warnings{log.Handler(), away, &said{last: map[string]time.Time{}}})
}

// keptBack is longer than a beat takes to fail: the second until it is due and the time it is given.
const keptBack = 2*time.Second + defaultLostAfter

// complain logs a failure that repeats several times a second: of an outage of the database the first, of any other
// cause one in repeatEvery.
func (e *Engine) complain(message string, err error, attributes ...any) {
	if !e.away.heard(err) && e.said.news(message, time.Now()) {
		e.log.Error(message, append(attributes, "error", err)...)
	}
}

// repeatEvery is how long a complaint is not repeated.
const repeatEvery = 30 * time.Second

type warnings struct {
	slog.Handler
	away *outage
	said *said
}

// said is when each complaint was last let through. Their texts are constants, so there are few.
type said struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// news reports whether a complaint was not let through in the last repeatEvery, and notes it.
func (s *said) news(text string, at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at.Sub(s.last[text]) < repeatEvery {
		return false
	}
	s.last[text] = at
	return true
}

func (w warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && w.Handler.Enabled(ctx, l)
}

func (w warnings) Handle(ctx context.Context, r slog.Record) error {
	if w.away.around(r.Time, keptBack) {
		return nil
	}
	ctx, r = context.WithoutCancel(ctx), r.Clone()
	time.AfterFunc(keptBack, func() {
		if !w.away.around(r.Time, keptBack) && w.said.news(r.Message, r.Time) {
			_ = w.Handler.Handle(ctx, r) // a log that can't be written has nowhere to say so
		}
	})
	return nil
}

func (w warnings) WithAttrs(a []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(a), w.away, w.said}
}

func (w warnings) WithGroup(n string) slog.Handler {
	return warnings{w.Handler.WithGroup(n), w.away, w.said}
}

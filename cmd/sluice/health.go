package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"sluice/internal/fault"
)

// health keeps the state of the parts that this server needs to take work. Each is checked in a goroutine and by a
// clock of its own, so that one that hangs
// hides neither the others nor itself.
type health struct {
	log *slog.Logger
	now func() time.Time

	mu    sync.Mutex
	parts map[string]*part
}

// part is one of them, as it was last seen.
type part struct {
	check func(context.Context) error
	known bool      // err and since hold what was found
	busy  bool      // its last check has not returned yet
	asked time.Time // when that check began: each part has its own clock, however often all are looked at
	err   error
	since time.Time // of the state that it is in
}

// partObjects is the storage: uploads are refused while it is in trouble.
const partObjects = "objects"

const (
	askEvery  = time.Second     // at most
	watchEach = 5 * time.Second // where nobody asks
	answerIn  = 3 * time.Second // or the part hangs
)

func newHealth(log *slog.Logger, checks map[string]func(context.Context) error) *health {
	h := &health{log: log, now: time.Now, parts: map[string]*part{}}
	for name, check := range checks {
		h.parts[name] = &part{check: check}
	}
	return h
}

// watch asks the parts until ctx ends, so that the log and "since" tell when trouble began, whether or not anybody asks.
func (h *health) watch(ctx context.Context) {
	tick := time.NewTicker(watchEach)
	defer tick.Stop()
	for ctx.Err() == nil {
		h.look(ctx)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// look asks the parts, unless they have just been asked, and waits for the answers.
func (h *health) look(ctx context.Context) {
	h.mu.Lock()
	now := h.now()
	var answers sync.WaitGroup
	for name, p := range h.parts {
		if p.busy || now.Sub(p.asked) < askEvery {
			continue
		}
		p.busy, p.asked = true, now
		answers.Go(func() {
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerIn)
			defer cancel()
			err := p.check(within)
			if err != nil && within.Err() != nil { // a client may put its own words to the deadline
				err = noAnswer(err)
			}
			h.mu.Lock()
			defer h.mu.Unlock()
			p.busy = false
			h.note(name, p, err)
		})
	}
	h.mu.Unlock()
	all := make(chan struct{})
	go func() { answers.Wait(); close(all) }()
	select {
	case <-all:
	case <-time.After(answerIn + askEvery):
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, p := range h.parts {
		if p.busy && h.now().Sub(p.asked) >= answerIn {
			h.note(name, p, noAnswer(nil))
		}
	}
}

func noAnswer(cause error) error {
	return fault.New(fault.Unavailable, "health", "no_answer", fmt.Sprintf("It did not answer within %v; check that it runs and can be reached.", answerIn), cause)
}

// trouble is what is the matter with a part as it was last seen; nil where it works or was not checked yet.
func (h *health) trouble(name string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.parts[name]; p != nil {
		return p.err
	}
	return nil
}

// note keeps an answer, and logs it where it is news. The caller holds the lock.
func (h *health) note(name string, p *part, err error) {
	if news := !p.known || (p.err == nil) != (err == nil); news {
		p.since = h.now()
		switch {
		case err != nil:
			h.log.Warn("a part is in trouble", "part", name, "error", err)
		case p.known:
			h.log.Info("a part works again", "part", name)
		}
	}
	p.known, p.err = true, err
}

// Answers of /healthz and /readyz. docs/OPERATIONS.md describes them.
type (
	healthAnswer struct {
		Status string                `json:"status"` // ok; ready, not ready
		Parts  map[string]partAnswer `json:"parts,omitempty"`
	}
	partAnswer struct {
		State   string `json:"state"` // ok, trouble, unknown
		Since   string `json:"since,omitempty"`
		Code    string `json:"code,omitempty"`
		Message string `json:"message,omitempty"`
	}
)

func (h *health) answer() (healthAnswer, int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a, status := healthAnswer{Status: "ready", Parts: map[string]partAnswer{}}, http.StatusOK
	for name, p := range h.parts {
		answer := partAnswer{State: "ok", Since: p.since.UTC().Format(time.RFC3339)}
		switch {
		case !p.known:
			answer = partAnswer{State: "unknown", Message: "It has not answered yet."}
		case p.err != nil:
			answer.State, answer.Code, answer.Message = "trouble", fault.Of(p.err).Code, fault.Of(p.err).Message
		}
		if answer.State != "ok" {
			a.Status, status = "not ready", http.StatusServiceUnavailable
		}
		a.Parts[name] = answer
	}
	return a, status
}

// readyz says whether the server can take work, and which part is the trouble where it can't.
func (h *health) readyz(w http.ResponseWriter, r *http.Request) {
	h.look(r.Context())
	a, status := h.answer()
	writeHealth(w, status, a)
}

// healthz says that the process answers, whatever it needs.
func healthz(w http.ResponseWriter, _ *http.Request) {
	writeHealth(w, http.StatusOK, healthAnswer{Status: "ok"})
}

func writeHealth(w http.ResponseWriter, status int, a healthAnswer) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(a); err != nil {
		slog.Debug("health answer not written", "error", err)
	}
}

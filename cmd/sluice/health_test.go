package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/fault"
)

func ask(t *testing.T, h http.HandlerFunc) (int, healthAnswer) {
	t.Helper()
	w := httptest.NewRecorder()
	h(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	var a healthAnswer
	if err := json.Unmarshal(w.Body.Bytes(), &a); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	return w.Code, a
}

func TestReadinessTellsWhichPartIsInTroubleAndSinceWhen(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	var log strings.Builder
	h := newHealth(slog.New(slog.NewTextHandler(&log, nil)), map[string]func(context.Context) error{
		"catalog": func(context.Context) error { return nil },
		"disk": func(context.Context) error {
			if broken.Load() {
				return fault.New(fault.Unavailable, "test", "disk_full", "Free some space.", errors.New("a secret cause"))
			}
			return nil
		},
	})
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	h.now = func() time.Time { return now }
	if code, a := ask(t, h.readyz); code != 200 || a.Status != "ready" || a.Parts["disk"].State != "ok" || a.Parts["disk"].Since != "2026-05-01T12:00:00Z" {
		t.Errorf("%d %+v", code, a)
	}
	broken.Store(true)
	for range 3 { // the state lasts; the time of its beginning stays
		now = now.Add(time.Minute)
		want := partAnswer{State: "trouble", Since: "2026-05-01T12:01:00Z", Code: "disk_full", Message: "Free some space."}
		if code, a := ask(t, h.readyz); code != 503 || a.Status != "not ready" || a.Parts["disk"] != want || a.Parts["catalog"].State != "ok" {
			t.Errorf("%d %+v", code, a)
		}
	}
	broken.Store(false)
	now = now.Add(time.Minute)
	if code, a := ask(t, h.readyz); code != 200 || a.Parts["disk"].Since != "2026-05-01T12:04:00Z" || a.Parts["catalog"].Since != "2026-05-01T12:00:00Z" {
		t.Errorf("%d %+v", code, a)
	}
	if n := strings.Count(log.String(), "\n"); n != 2 {
		t.Errorf("logged %d lines, want one for the trouble and one for its end:\n%s", n, log.String())
	}
	if code, a := ask(t, healthz); code != 200 || a.Status != "ok" {
		t.Errorf("%d %+v", code, a)
	}
}

func TestAPartThatHangsHidesNoOther(t *testing.T) {
	t.Parallel()
	never := make(chan struct{})
	defer close(never)
	h := newHealth(slog.New(slog.DiscardHandler), map[string]func(context.Context) error{
		"catalog": func(context.Context) error { <-never; return nil },
		"disk":    func(context.Context) error { return nil },
	})
	began := time.Now()
	code, a := ask(t, h.readyz)
	if took := time.Since(began); code != 503 || a.Parts["catalog"].State != "trouble" || a.Parts["disk"].State != "ok" || took > 20*answerIn {
		t.Errorf("after %v: %d %+v", took, code, a)
	}
}

// TestReadyz_PartHangsAndIsPolledEachSecond_NamesIt polls as a load balancer does. One part ignores its context,
// another returns its context's error.
func TestReadyz_PartHangsAndIsPolledEachSecond_NamesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var hang atomic.Bool
		never := make(chan struct{})
		h := newHealth(slog.New(slog.DiscardHandler), map[string]func(context.Context) error{
			"catalog": func(context.Context) error {
				if hang.Load() {
					<-never
				}
				return nil
			},
			"objects": func(ctx context.Context) error {
				if hang.Load() {
					<-ctx.Done()
					return ctx.Err()
				}
				return nil
			},
			"disk": func(context.Context) error { return nil },
		})
		if code, a := ask(t, h.readyz); code != http.StatusOK {
			t.Fatalf("at first: %d %+v", code, a)
		}
		time.Sleep(askEvery)
		hang.Store(true)
		began := time.Now()
		var polls sync.WaitGroup
		for range 30 {
			polls.Go(func() {
				code, a := ask(t, h.readyz)
				if time.Since(began) < 2*answerIn || !hang.Load() {
					return
				}
				for _, name := range []string{"catalog", "objects"} {
					if p := a.Parts[name]; code != http.StatusServiceUnavailable || p.Code != "no_answer" || p.State != "trouble" {
						t.Errorf("after %v: %d %s: %+v", time.Since(began), code, name, p)
					}
				}
				if a.Parts["disk"].State != "ok" {
					t.Errorf("after %v: disk: %+v", time.Since(began), a.Parts["disk"])
				}
			})
			time.Sleep(time.Second)
		}
		hang.Store(false)
		close(never)
		polls.Wait()
		time.Sleep(askEvery)
		if code, a := ask(t, h.readyz); code != http.StatusOK {
			t.Errorf("with all parts back: %d %+v", code, a)
		}
	})
}

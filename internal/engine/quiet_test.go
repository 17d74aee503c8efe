package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/fault"
)

func TestRiverComplainsOnceInHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		text := slog.New(slog.NewTextHandler(&out, nil))
		log := quiet(text, &outage{log: text}).With("client", 1)
		for range 61 { // a minute
			log.Info("fetching")
			log.Error("error fetching")
			log.With("queue", "encode").Error("error fetching")
			log.Warn("something else")
			time.Sleep(time.Second)
		}
		time.Sleep(keptBack)
		synctest.Wait()
		for what, want := range map[string]int{"error fetching": 3, "something else": 3, "msg=fetching": 0} {
			if n := strings.Count(out.String(), what); n != want {
				t.Errorf("%q was let through %d times, want %d", what, n, want)
			}
		}
	})
}

// TestOutage_DatabaseAwayForAMinute_IsLoggedOnceAndItsEndOnce has all parts complain as they do: River first, then each
// queue four times a second.
func TestOutage_DatabaseAwayForAMinute_IsLoggedOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		text := slog.New(slog.NewTextHandler(&out, nil))
		e := &Engine{log: text}
		e.away.log, e.said.last = text, map[string]time.Time{}
		rivers := quiet(text, &e.away)
		gone := fault.New(fault.Unavailable, "engine.tx", "database_unavailable", "The database can't be reached.", nil)
		rivers.Error("notifier lost its connection")
		for range 240 {
			time.Sleep(250 * time.Millisecond)
			rivers.Error("error electing a leader")
			for _, queue := range []string{"encode", "still"} {
				e.complain("jobs could not be taken; trying again", gone, "queue", queue)
			}
			e.complain("the beat failed", context.DeadlineExceeded)
		}
		e.away.over()
		rivers.Error("a connection of before is closed")
		time.Sleep(3 * keptBack)
		synctest.Wait()
		if n := strings.Count(out.String(), "\n"); n != 2 || strings.Count(out.String(), "level=ERROR") != 1 || !strings.Contains(out.String(), "answers again") {
			t.Errorf("want one line for the outage and one for its end, got %d:\n%s", n, out.String())
		}
		out.Reset()
		for range 240 { // a failure that is no outage is logged as well, and not four times a second
			e.complain("jobs could not be taken; trying again", errors.New("no such table"))
			time.Sleep(250 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "no such table"); n != 2 {
			t.Errorf("another failure was logged %d times in a minute, want 2:\n%s", n, out.String())
		}
	})
}

// flaky is an engine whose log lines out has.
func flaky(out *bytes.Buffer) *Engine {
	text := slog.New(slog.NewTextHandler(out, nil))
	e := &Engine{log: text}
	e.away.log, e.said.last = text, map[string]time.Time{}
	e.away.over() // the first beat
	return e
}

// Claims reach their limit, 10 s, and beats succeed.
func TestOutage_SlowDatabaseWhoseBeatsSucceed_IsLoggedOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := flaky(&out)
		for second := range 600 {
			if second%5 == 0 {
				e.complain("jobs could not be taken; trying again", context.DeadlineExceeded)
			}
			time.Sleep(time.Second)
			e.away.over()
		}
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "level=WARN") {
			t.Errorf("ten minutes wrote %d lines, want one warning:\n%s", n, out.String())
		}
		for range 120 {
			time.Sleep(time.Second)
			e.away.over()
		}
		if n := strings.Count(out.String(), "\n"); n != 2 || strings.Contains(out.String(), "level=ERROR") {
			t.Errorf("with its end it wrote %d lines, want 2 without an error:\n%s", n, out.String())
		}
	})
}

func TestOutage_BeatsEnd_IsLoggedOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		e := flaky(&out)
		for range 240 {
			time.Sleep(250 * time.Millisecond)
			e.complain("jobs could not be taken; trying again", context.DeadlineExceeded)
		}
		e.away.over()
		for range 120 {
			time.Sleep(time.Second)
			e.away.over()
		}
		if n := strings.Count(out.String(), "\n"); n != 2 || strings.Count(out.String(), "level=ERROR") != 1 || !strings.Contains(out.String(), "work continues") {
			t.Errorf("want one line for the outage and one for its end, got %d:\n%s", n, out.String())
		}
	})
}

package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"sluice/internal/fault"
)

func TestAFailedJobWaitsTwiceAsLongEachTimeUpToALimit(t *testing.T) {
	b := Backoff{First: time.Second, Max: 5 * time.Minute}
	for try, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 9: 256 * time.Second, 10: 5 * time.Minute, 1000: 5 * time.Minute} {
		for range 50 {
			if got := b.after(try); got < want-want/5 || got > want+want/5 {
				t.Errorf("after try %d: %v, want %v give or take a fifth", try, got, want)
			}
		}
	}
}

func TestATrysEndDecidesWhatBecomesOfItsJob(t *testing.T) {
	again, never := errors.New("again"), fault.New(fault.TooLarge, "test", "too_large", "no", nil)
	away, limited := fault.New(fault.Unavailable, "test", "away", "later", nil), fault.New(fault.Limited, "test", "limited", "later", nil)
	for name, c := range map[string]struct {
		err     error
		cause   error
		attempt int
		want    rivertype.JobState
	}{
		"success":                              {nil, nil, 1, rivertype.JobStateCompleted},
		"success, though canceled":             {nil, ErrCanceled, 1, rivertype.JobStateCompleted},
		"first failure":                        {again, nil, 1, rivertype.JobStateAvailable},
		"a part is away":                       {away, nil, 1, rivertype.JobStateAvailable},
		"a part is away on the last try":       {away, nil, 8, rivertype.JobStateAvailable},
		"a limit on the last try":              {limited, nil, 8, rivertype.JobStateAvailable},
		"a later failure waits for River":      {again, nil, 5, rivertype.JobStateRetryable},
		"last failure":                         {again, nil, 8, rivertype.JobStateDiscarded},
		"permanent failure":                    {never, nil, 1, rivertype.JobStateDiscarded},
		"canceled":                             {again, ErrCanceled, 1, rivertype.JobStateCancelled},
		"stopped on its last try":              {again, ErrStopped, 8, rivertype.JobStateAvailable},
		"stopped, and broken by that":          {never, ErrStopped, 1, rivertype.JobStateAvailable},
		"canceled work that says so by itself": {context.Canceled, nil, 1, rivertype.JobStateAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := New(testDB(t), Config{})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancelCause(t.Context())
			if c.cause != nil {
				cancel(c.cause)
			}
			defer cancel(nil)
			a, err := e.attempt(Handle{}, &rivertype.JobRow{ID: 1, Attempt: c.attempt, MaxAttempts: 8, Metadata: []byte(`{}`)})
			if err != nil {
				t.Fatal(err)
			}
			got := e.outcome(ctx, a, c.err)
			if got.State != c.want {
				t.Errorf("the job becomes %s, want %s", got.State, c.want)
			}
			uncounted := errors.Is(c.cause, ErrStopped) || errors.Is(c.err, away) || errors.Is(c.err, limited)
			if uncounted != (got.Attempt != nil && *got.Attempt == c.attempt-1) {
				t.Errorf("whether the try counts: %v", got.Attempt)
			}
		})
	}
}

func TestAJobWaitsLaterEachTimeAndNotForEver(t *testing.T) {
	e, err := New(testDB(t), Config{LongestWait: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	away := fault.New(fault.Unavailable, "test", "away", "later", nil)
	now := time.Now()
	for _, c := range []struct {
		waited  time.Duration // since the first try that found a part away
		times   int
		attempt int
		want    rivertype.JobState
		pause   time.Duration
	}{
		{0, 0, 1, rivertype.JobStateAvailable, time.Second},
		{time.Minute, 2, 1, rivertype.JobStateAvailable, 4 * time.Second},
		{time.Minute, 5, 8, rivertype.JobStateAvailable, 32 * time.Second},
		{59 * time.Minute, 50, 8, rivertype.JobStateAvailable, 5 * time.Minute},
		{61 * time.Minute, 50, 1, rivertype.JobStateAvailable, time.Second}, // counted again
		{61 * time.Minute, 50, 8, rivertype.JobStateDiscarded, 0},
	} {
		row := &rivertype.JobRow{ID: 1, Attempt: c.attempt, MaxAttempts: 8, Metadata: []byte(`{}`)}
		if c.times > 0 {
			row.Metadata = fmt.Appendf(nil, `{"wait":{"since":%d,"times":%d}}`, now.Add(-c.waited).UnixMilli(), c.times)
		}
		a, err := e.attempt(Handle{}, row)
		if err != nil {
			t.Fatal(err)
		}
		got := e.outcome(t.Context(), a, away)
		if got.State != c.want || a.Final(away) != (c.want == rivertype.JobStateDiscarded) {
			t.Errorf("%+v: the job becomes %s, final %v", c, got.State, a.Final(away))
		}
		if got.ScheduledAt != nil {
			if pause := got.ScheduledAt.Sub(now); pause < c.pause*3/4 || pause > c.pause*5/4+time.Second {
				t.Errorf("%+v: it waits %v", c, pause)
			}
		}
	}
}

func testDB(t *testing.T) DB {
	t.Helper()
	db, err := OpenDB(t.Context(), filepath.Join(t.TempDir(), "jobs.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestAProcessThatSleptGivesOthersTimeToBeHeard(t *testing.T) {
	b := &beat{lostAfter: 5 * time.Second}
	for _, c := range []struct {
		now    int64
		judges bool
	}{
		{1_000_000, true}, // the first beat: whoever was here before had their time
		{1_001_000, true},
		{9_000_000, false}, // the machine slept
		{9_001_000, false},
		{9_003_000, false},
		{9_004_900, false},
		{9_006_900, false},
		{9_008_900, false},
		{9_009_900, false},
		{9_010_000, true},
	} {
		if got := b.judges(c.now); got != c.judges {
			t.Errorf("at %d it judges: %v", c.now, got)
		}
		b.struck(c.now)
	}
}

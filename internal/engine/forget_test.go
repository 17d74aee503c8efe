package engine

import (
	"testing"
	"time"
)

// A process that runs for weeks deletes the records of lost processes each hour, and not with each beat.
func TestBeat_ProcessThatRuns_ForgetsOnceAnHour(t *testing.T) {
	b, n := &beat{}, 0
	for second := range int64(24 * 60 * 60) {
		now := 1_000_000 + second*1000
		if b.forgets(now) {
			b.clean = now
			n++
		}
	}
	if n != 24 || forgetEvery != time.Hour {
		t.Errorf("%d times in a day, want 24", n)
	}
}

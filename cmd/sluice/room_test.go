package main

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/pipeline"
)

func TestADiskIsLowUntilItHasAQuarterMoreRoom(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	free := map[string]int64{"a": 900 * mb, "b": 0}
	now := time.Unix(1, 0)
	r := newRoom(100*mb, slog.New(slog.DiscardHandler), "a", "b")
	r.free = func(folder string) (int64, int64, error) { return free[folder], 1000 * mb, nil }
	r.now = func() time.Time { return now }
	for _, c := range []struct {
		left, bytes int64
		full        bool
	}{
		{500 * mb, 0, false},
		{500 * mb, 400 * mb, false},
		{500 * mb, 400*mb + 1, true}, // would make it low, and has not
		{500 * mb, 1, false},
		{100 * mb, 0, false},
		{100*mb - 1, 0, true},
		{110 * mb, 0, true},
		{125*mb - 1, 0, true},
		{125 * mb, 0, false},
		{100 * mb, 0, false},
	} {
		free["b"], now = c.left, now.Add(time.Second)
		err := r.check(c.bytes)
		if (err != nil) != c.full || err != nil && (!fault.Is(err, fault.Unavailable) || fault.Of(err).Code != "disk_full") {
			t.Errorf("%d MB left, %d bytes to come: %v", c.left/mb, c.bytes, err)
		}
	}
	free["b"] = 0
	if err := r.check(0); err != nil {
		t.Error("the filesystem is asked again at once")
	}
}

func TestAdmit_SourcesThatFillTheDisk_LeaveRoomToWorkOnEach(t *testing.T) {
	t.Parallel()
	const mb = 1 << 20
	left := int64(900 * mb)
	now := time.Unix(1, 0)
	r := newRoom(100*mb, slog.New(slog.DiscardHandler), "a")
	r.free = func(string) (int64, int64, error) { return left, 900 * mb, nil }
	r.now = func() time.Time { return now }
	admitted := 0
	for ; r.admit(83*mb) == nil; now = now.Add(time.Second) {
		left -= 83 * mb
		admitted++
	}
	if room := left - 100*mb; admitted < 7 || room < pipeline.WorkRoom(83*mb) {
		t.Errorf("%d sources were admitted, and %d MB are left for work", admitted, room/mb)
	}
	if err := r.admit(83 * mb); fault.Of(err).Code != "disk_full" {
		t.Errorf("%v", err)
	}
	left, now = 900*mb, now.Add(time.Second)
	if err := r.admit(700 * mb); err != nil {
		t.Errorf("a source that ingest refuses with disk_too_small is turned away at the door: %v", err)
	}
}

func TestADiskThatDoesNotAnswerIsTrouble(t *testing.T) {
	t.Parallel()
	r := newRoom(1, slog.New(slog.DiscardHandler), "/a/host/path")
	r.free = func(string) (int64, int64, error) { return 0, 0, errors.New("/a/host/path: input/output error") }
	err := r.check(0)
	if fault.Of(err).Code != "disk_unavailable" || strings.Contains(fault.Of(err).Message, "host") {
		t.Errorf("%v", err)
	}
}

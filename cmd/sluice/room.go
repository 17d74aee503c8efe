package main

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/fault"
	"sluice/internal/pipeline"
)

// room watches the free space of the disks that work and uploads fill. It is low once less than least bytes are free, and no longer once a quarter more
// than that is, so that work does not start and stop with every file.
type room struct {
	folders []string // the one whose disk has the least free counts
	least   int64
	free    func(folder string) (left, whole int64, err error)
	now     func() time.Time
	log     *slog.Logger

	mu    sync.Mutex
	asked time.Time
	left  int64
	whole int64 // bytes of that disk
	err   error // of asking
	low   bool
	since time.Time // when it became low
}

// lookEvery bounds how often the filesystems are asked.
const lookEvery = 500 * time.Millisecond

func newRoom(least int64, log *slog.Logger, folders ...string) *room {
	return &room{folders: folders, least: least, free: freeSpace, now: time.Now, log: log}
}

// freeSpace is how many bytes an ordinary user may still write on a folder's disk, and how many there would be on the
// empty disk.
func freeSpace(folder string) (left, whole int64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(folder, &st); err != nil {
		return 0, 0, err
	}
	size := func(blocks uint64) int64 { return int64(min(blocks, 1<<62/uint64(st.Bsize))) * st.Bsize }
	return size(st.Bavail), size(st.Blocks - (st.Bfree - st.Bavail)), nil
}

// check returns fault.Unavailable, code "disk_full", while the disk is low and where bytes more would make it so.
func (r *room) check(bytes int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look()
	switch {
	case r.err != nil:
		return unanswered(r.err)
	case r.low, bytes > 0 && r.left-bytes < r.least:
		return fault.New(fault.Unavailable, "disk", "disk_full",
			fmt.Sprintf("The server's disk has %s left and keeps %s free; free some space, or try again later.", roughly(r.left), roughly(r.least)), nil)
	}
	return nil
}

// admit is check for a source of so many bytes that arrives. It keeps the room free that working on the source takes:
// otherwise the
// door could fill the disk with sources of which none can be worked on, and nothing of ours would be left to free. A
// source that
// does not fit on the empty disk either is admitted as long as its bytes fit: ingest fails it with "disk_too_small".
func (r *room) admit(bytes int64) error {
	if err := r.check(bytes); err != nil || bytes == 0 || r.least == 0 {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	need := bytes + pipeline.WorkRoom(bytes)
	if need+r.least > r.whole || r.left-need >= r.least {
		return nil
	}
	return fault.New(fault.Unavailable, "disk", "disk_full",
		fmt.Sprintf("The server's disk has %s left and keeps %s free; %s and the room to work on them do not fit. Free some space, or try again later.",
			roughly(r.left), roughly(r.least), roughly(bytes)), nil)
}

// space asks the filesystems now: who reserves room, or has freed some, can't use an answer from before.
func (r *room) space() (pipeline.Space, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ask(r.now())
	if r.err != nil {
		return pipeline.Space{}, unanswered(r.err)
	}
	s := pipeline.Space{Free: r.left, Total: r.whole, Least: r.least, Low: r.low}
	if r.low {
		s.For = r.now().Sub(r.since)
	}
	return s, nil
}

func unanswered(err error) error {
	return fault.New(fault.Unavailable, "disk", "disk_unavailable", "The data folder's disk does not answer; see the server's log.", err)
}

// look asks for the free space, unless it has just been asked.
func (r *room) look() {
	if now := r.now(); now.Sub(r.asked) >= lookEvery {
		r.ask(now)
	}
}

// ask asks for the free space, and notes whether the disk is low. The mutex is held.
func (r *room) ask(now time.Time) {
	r.asked, r.err = now, nil
	was := r.low
	for i, folder := range r.folders {
		left, whole, err := r.free(folder)
		if err != nil {
			r.err = err
			return
		}
		if i == 0 || left < r.left {
			r.left, r.whole = left, whole
		}
	}
	switch {
	case r.left < r.least:
		r.low = true
	case r.left >= r.least+r.least/4:
		r.low = false
	}
	if r.low != was {
		r.since = now
		what := "the disk is low: uploads are refused, and work that fills it waits"
		if was {
			what = "the disk has room again: uploads and work go on"
		}
		r.log.Warn(what, "free", r.left, "least", r.least)
	}
}

// roughly writes a number of bytes for people.
func roughly(n int64) string {
	if n < 10<<30 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d GB", n>>30)
}

//go:build drill

package main

import (
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"sluice/internal/bucket"
)

// What follows is in builds with the tag "drill" alone.

// failpoint kills this process, as kill -9 does, at each of the points that SLUICE_FAILPOINT names, once: the file SLUICE_FAILED keeps which were met. Without
// that file it kills each time. At the points that SLUICE_STALL names it stalls for SLUICE_STALL_FOR (2s unless told), once; the file notes that as "stall:" and the point.
var failpoint = func(point string) {
	if slices.Contains(strings.Fields(os.Getenv("SLUICE_STALL")), point) && first("stall:"+point) {
		time.Sleep(stall)
	}
	if slices.Contains(strings.Fields(os.Getenv("SLUICE_FAILPOINT")), point) && first(point) {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing returns from this
		select {}
	}
}

// The storage endpoint has points of its own, between its durable steps.
func init() { bucket.Step = failpoint }

var stall = duration("SLUICE_STALL_FOR", 2*time.Second)

// deleteAgain is soon, so that a drill needn't wait for it, and later than any stall.
const deleteAgain = 10 * time.Second

var meeting sync.Mutex

// first notes a point and says whether it wasn't noted before.
func first(point string) bool {
	name := os.Getenv("SLUICE_FAILED")
	if name == "" {
		return true
	}
	meeting.Lock()
	defer meeting.Unlock()
	met, _ := os.ReadFile(name) // none yet
	if slices.Contains(strings.Fields(string(met)), point) {
		return false
	}
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if _, err := file.WriteString(point + "\n"); err != nil {
		panic(err)
	}
	return true
}

// moreBuckets are the buckets that SLUICE_BUCKETS names: the suite of S3 clients wants one of its own for every case.
var moreBuckets = strings.Fields(os.Getenv("SLUICE_BUCKETS"))

// now is a clock that is SLUICE_CLOCK off, such as 1h or -1h: faketime can't move the clock of a program that asks the kernel itself.
func now() time.Time { return time.Now().Add(offset) }

var offset = duration("SLUICE_CLOCK", 0)

// duration reads a span of time from the environment.
func duration(name string, otherwise time.Duration) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		panic(err)
	}
	return d
}

//go:build drill

package main

import (
	"os"
	"strings"
	"syscall"
)

// failpoint kills this process, as kill -9 does, at the point that SLUICE_FAILPOINT names. Only a build with the tag "drill" has it.
var failpoint = func(point string) {
	if point == os.Getenv("SLUICE_FAILPOINT") {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing returns from this
		select {}
	}
}

// moreBuckets are the buckets that SLUICE_BUCKETS names: the suite of S3 clients wants one of its own for every case.
var moreBuckets = strings.Fields(os.Getenv("SLUICE_BUCKETS"))

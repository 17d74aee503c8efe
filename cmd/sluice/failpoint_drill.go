//go:build drill

package main

import (
	"os"
	"syscall"
)

// failpoint kills this process, as kill -9 does, at the point that SLUICE_FAILPOINT names. Only a build with the tag "drill" has it.
var failpoint = func(point string) {
	if point == os.Getenv("SLUICE_FAILPOINT") {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing returns from this
		select {}
	}
}

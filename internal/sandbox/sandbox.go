// Package sandbox runs a child process that may be taken over by what it reads.
//
// Promise: the child reads only the system's libraries and the files it was told, writes only the folders it was told,
// opens no socket, makes no other process, holds no capability, cannot signal anybody, and ends when its limits,
// its context or its parent end. It takes the processor only after the server itself (nice 10). It is built from Landlock (files, signals), seccomp (system calls) and rlimits.
//
// The binary re-executes itself: Main, called first thing in main (and TestMain), takes over when the first argument
// is the hidden marker, confines its own process and then executes the program. No privilege is needed.
//
// Cost: one extra exec of this binary, about 10 ms a child. Failure: where the kernel lacks Landlock or seccomp, Check
// says so, and the child of a Policy that is not Unconfined does not start. Linux on amd64 and arm64.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Policy is what one child may do. Zero limits mean no limit.
type Policy struct {
	Read       []string      // files or folders it may read, beside the system's libraries and the program
	Write      []string      // folders it may read and write; the first is its HOME and working folder. None: it can write nothing
	CPU        time.Duration // CPU time of all its threads, rounded up to seconds; SIGXCPU, and SIGKILL 2 s of CPU later
	Memory     int64         // bytes of address space
	FileSize   int64         // bytes of any one file it writes; SIGXFSZ
	Unconfined bool          // rlimits and process group only: no Landlock, no seccomp
}

const (
	marker     = "sluice-sandboxed-child" // os.Args[1] of a child; not environment, which others may set
	grace      = 2 * time.Second          // from TERM to KILL
	setupError = 125                      // exit code of a child that could not confine itself
	openFiles  = 256                      // RLIMIT_NOFILE: ffmpeg holds its input, a few outputs, pipes
	yields     = 10                       // nice of a child: what somebody waits for goes before what takes minutes
)

// Cmd is a child about to run. Set Stdin, Stdout, Stderr and ExtraFiles as on exec.Cmd, then call Start and Wait, or
// Run.
type Cmd struct{ *exec.Cmd }

// Command prepares path (absolute) to run with args under p. When ctx ends, the child's process group gets TERM, and
// KILL 2 s later.
func Command(ctx context.Context, p Policy, path string, args ...string) (*Cmd, error) {
	policy, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("sandbox: encode policy: %w", err)
	}
	// /proc/self/exe is the binary that runs, even after it was replaced on disk by a newer one.
	cmd := exec.CommandContext(ctx, "/proc/self/exe", append([]string{marker, string(policy), path}, args...)...)
	cmd.Env = []string{"PATH=/usr/bin:/bin", "HOME=/nonexistent", "LANG=C.UTF-8"}
	cmd.Dir = "/"
	if len(p.Write) > 0 {
		cmd.Dir = p.Write[0]
		cmd.Env[1] = "HOME=" + p.Write[0]
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return signalGroup(cmd, syscall.SIGTERM) }
	cmd.WaitDelay = grace
	return &Cmd{cmd}, nil
}

func signalGroup(cmd *exec.Cmd, sig syscall.Signal) error {
	err := syscall.Kill(-cmd.Process.Pid, sig)
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}

// starter is one thread that starts all children and never ends: the kernel sends a child's parent-death signal when
// the thread that started it ends, not the process (prctl(2), PR_SET_PDEATHSIG), and Go ends threads as it likes.
var starter = sync.OnceValue(func() chan<- func() {
	work := make(chan func())
	go func() {
		runtime.LockOSThread()
		for start := range work {
			start()
		}
	}()
	return work
})

// Start starts the child.
func (c *Cmd) Start() error {
	done := make(chan error)
	starter() <- func() { done <- c.Cmd.Start() }
	return <-done
}

// Wait waits for the child's end and kills what is left of its process group.
func (c *Cmd) Wait() error {
	err := c.Cmd.Wait()
	_ = signalGroup(c.Cmd, syscall.SIGKILL) // ESRCH is the usual answer: nothing was left
	return err
}

// Run starts the child and waits for its end.
func (c *Cmd) Run() error {
	if err := c.Start(); err != nil {
		return err
	}
	return c.Wait()
}

// SetupFailed reports whether a child ended because it could not be confined or its program could not be executed.
func SetupFailed(state *os.ProcessState) bool {
	return state != nil && state.ExitCode() == setupError
}

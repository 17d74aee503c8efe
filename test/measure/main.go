// Command measure runs a program and appends one line to a file: the CPU seconds and the wall seconds that it took, and
// the folder that it ran in, separated by tabs. `go test -exec "measure FILE"` runs each test binary through it.
//
// The CPU seconds are those of the program and of every process that it started, also of those whose parent ended before
// them, such as the processes of a browser that was killed: measure adopts and waits for them. A process that still runs
// when the program ends is not counted.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: measure FILE PROGRAM [ARGUMENT]...")
		os.Exit(2)
	}
	code, err := measure(os.Args[1], os.Args[2:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// measure returns the exit code of the program, 128 and the signal where a signal ended it.
func measure(file string, program []string) (code int, err error) {
	runtime.LockOSThread() // Pdeathsig: the program is killed when the thread that started it ends
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, err
	}
	start := time.Now()
	path, err := exec.LookPath(program[0])
	if err != nil {
		return 0, err
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	child, err := os.StartProcess(path, program, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return 0, err
	}
	go func() {
		for s := range signals { // go test asks a test binary for its goroutines by SIGQUIT
			_ = child.Signal(s)
		}
	}()
	status, err := wait(child.Pid)
	if err != nil {
		return 0, err
	}
	if err := note(file, time.Since(start)); err != nil {
		return 0, err
	}
	if status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return status.ExitStatus(), nil
}

// wait waits for a process, and then for all that ends within a second: what the process killed is still ending.
func wait(pid int) (status syscall.WaitStatus, err error) {
	for {
		var s syscall.WaitStatus
		switch ended, err := syscall.Wait4(-1, &s, 0, nil); {
		case err == syscall.EINTR:
		case err != nil:
			return 0, err
		case ended == pid:
			for end := time.Now().Add(time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
				for {
					ended, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
					if err == syscall.ECHILD {
						return s, nil
					}
					if ended <= 0 {
						break
					}
				}
			}
			return s, nil
		}
	}
}

// note appends what the ended children of this process cost.
func note(file string, wall time.Duration) error {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if _, err := fmt.Fprintf(f, "%.1f\t%.1f\t%s\n", cpu.Seconds(), wall.Seconds(), dir); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

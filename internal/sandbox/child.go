package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"
)

// Main takes the process over if it is a sandboxed child; then it never returns. Call it first thing in main and
// TestMain.
func Main() {
	if len(os.Args) < 4 || os.Args[1] != marker {
		return
	}
	// Seccomp and capabilities are set on this thread; exec lets only this thread live.
	runtime.LockOSThread()
	err := become(os.Args[2], os.Args[3:])
	fmt.Fprintln(os.Stderr, "sandbox:", err)
	os.Exit(setupError)
}

// become confines the process and executes argv. It returns only on failure.
func become(policy string, argv []string) error {
	var p Policy
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		return fmt.Errorf("decode policy: %w", err)
	}
	if !p.Unconfined {
		if err := restrictFiles(p, argv[0]); err != nil {
			return fmt.Errorf("landlock: %w", err)
		}
		if err := dropCapabilities(); err != nil {
			return fmt.Errorf("drop capabilities: %w", err)
		}
	}
	code := filter()
	// Limits come before seccomp, which denies setting them, and late, because Go's runtime may itself want memory.
	if err := limit(p); err != nil {
		return fmt.Errorf("rlimit: %w", err)
	}
	if err := yield(); err != nil {
		return fmt.Errorf("nice: %w", err)
	}
	if !p.Unconfined {
		if err := restrictCalls(code); err != nil {
			return fmt.Errorf("seccomp: %w", err)
		}
	}
	if argv[0] == checkProgram {
		if err := verifyConfinement(); err != nil {
			return err
		}
		os.Exit(0)
	}
	return fmt.Errorf("exec: %w", syscall.Exec(argv[0], argv, os.Environ()))
}

// restrictFiles leaves the files of the policy, the system's libraries and fonts, and the program itself. The signal scope
// (kernel 6.12) keeps the child from signalling the server; TCP is denied besides seccomp's denial of sockets.
func restrictFiles(p Policy, program string) error {
	rules := []landlock.Rule{
		landlock.RODirs("/usr", "/lib", "/lib64", "/etc/fonts", "/etc/alternatives").IgnoreIfMissing(),
		landlock.ROFiles("/etc/ld.so.cache", "/dev/urandom").IgnoreIfMissing(),
		landlock.RWFiles("/dev/null").IgnoreIfMissing(),
		landlock.RWDirs(p.Write...),
	}
	if program != checkProgram {
		rules = append(rules, landlock.ROFiles(program))
	}
	for _, path := range p.Read {
		info, err := os.Stat(path)
		switch {
		case err != nil:
			return err
		case info.IsDir():
			rules = append(rules, landlock.RODirs(path))
		default:
			rules = append(rules, landlock.ROFiles(path))
		}
	}
	return landlock.V8.BestEffort().Restrict(rules...)
}

// dropCapabilities matters where the server runs as root: with no_new_privs (set by Landlock) an exec gives none back.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	return unix.Capset(&header, &none[0])
}

// limit sets the rlimits. RLIMIT_NPROC is left alone: it counts all processes of the user, and the child can make none.
func limit(p Policy) error {
	cpu := uint64((p.CPU + time.Second - 1) / time.Second)
	for _, l := range []struct {
		resource  int
		soft, max uint64
	}{
		{unix.RLIMIT_CORE, 0, 0},
		{unix.RLIMIT_NOFILE, openFiles, openFiles},
		{unix.RLIMIT_CPU, cpu, cpu + uint64(grace/time.Second)},
		{unix.RLIMIT_FSIZE, uint64(p.FileSize), uint64(p.FileSize)},
		{unix.RLIMIT_AS, uint64(p.Memory), uint64(p.Memory)},
	} {
		if l.soft == 0 && l.resource != unix.RLIMIT_CORE {
			continue
		}
		if err := syscall.Setrlimit(l.resource, &syscall.Rlimit{Cur: l.soft, Max: l.max}); err != nil {
			return err
		}
	}
	return nil
}

// yield lowers this thread's claim to the processor, which exec keeps. Who was told to yield more stays so.
func yield() error {
	const least = 20 // the system call tells 20 less nice (getpriority(2))
	told, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil || least-told >= yields {
		return err
	}
	return unix.Setpriority(unix.PRIO_PROCESS, 0, yields)
}

// restrictCalls installs the seccomp filter on this thread.
func restrictCalls(code []unix.SockFilter) error {
	program := unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&program)))
	if errno != 0 {
		return errno
	}
	return nil
}

// verifyConfinement tries what must fail.
func verifyConfinement() error {
	if f, err := os.Open("/etc/passwd"); err == nil {
		_ = f.Close()
		return errors.New("landlock is not enforced by this kernel")
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); err == nil {
		_ = unix.Close(fd)
		return errors.New("seccomp is not enforced by this kernel")
	}
	return nil
}

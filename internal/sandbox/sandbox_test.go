package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be the sandboxed child, and, as the program in the sandbox, the attacker.
func TestMain(m *testing.M) {
	Main()
	if len(os.Args) > 1 && os.Args[1] == "attack" {
		attack(os.Args[2:])
	}
	os.Exit(m.Run())
}

// attack does one thing and says "done" or the error.
func attack(args []string) {
	err := errors.New("no such attack")
	switch args[0] {
	case "read":
		_, err = os.ReadFile(args[1])
	case "write":
		err = os.WriteFile(args[1], []byte("x"), 0o600)
	case "fill":
		err = os.WriteFile(args[1], make([]byte, 1<<20), 0o600)
	case "tcp", "udp", "unix":
		var c net.Conn
		if c, err = net.DialTimeout(args[0], args[1], 10*time.Second); err == nil {
			_, err = c.Write([]byte("x"))
		}
	case "fork":
		err = exec.Command("/usr/bin/true").Run()
	case "signal":
		err = syscall.Kill(os.Getppid(), 0)
	case "unshare":
		err = unix.Unshare(unix.CLONE_NEWUSER)
	case "x32": // getpid of the ABI that shares the architecture's number (asm/unistd_x32.h)
		_, _, _ = syscall.RawSyscall(0x40000000|unix.SYS_GETPID, 0, 0, 0)
		err = nil
	case "raise":
		err = syscall.Setrlimit(unix.RLIMIT_CORE, &syscall.Rlimit{Cur: 1, Max: 1})
	case "allocate":
		b := make([]byte, 3<<30)
		b[len(b)-1] = 1
		err = nil
	case "burn":
		for { //nolint:revive // until the limit of CPU time ends it
		}
	case "sleep":
		fmt.Println("ready")
		time.Sleep(time.Minute)
	case "spawn": // starts a sandboxed sleeper and waits to be killed
		var cmd *Cmd
		if cmd, err = Command(context.Background(), Policy{}, os.Args[0], "attack", "sleep"); err == nil {
			if err = cmd.Start(); err == nil {
				fmt.Println(cmd.Process.Pid)
				_ = cmd.Wait()
			}
		}
	case "nice":
		var told int
		told, err = unix.Getpriority(unix.PRIO_PROCESS, 0)
		fmt.Println(20 - told)
	case "env":
		fmt.Println(strings.Join(os.Environ(), "\n"))
		err = nil
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("done")
	os.Exit(0)
}

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func run(t *testing.T, p Policy, args ...string) (string, *os.ProcessState, error) {
	t.Helper()
	cmd, err := Command(t.Context(), p, self(t), append([]string{"attack"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	if SetupFailed(cmd.ProcessState) {
		t.Fatalf("the child could not be confined: %s", out.String())
	}
	return out.String(), cmd.ProcessState, err
}

func TestTheSandboxStartsHere(t *testing.T) {
	t.Parallel()
	if err := Check(); err != nil {
		t.Fatal(err)
	}
}

func TestAConfinedChildIsRefusedWhatAnUnconfinedOneMayDo(t *testing.T) {
	t.Parallel()
	outside, inside := t.TempDir(), t.TempDir()
	secret := filepath.Join(outside, "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tcp.Close() })
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = udp.Close() })
	sock, err := net.Listen("unix", filepath.Join(inside, "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sock.Close() })

	for name, args := range map[string][]string{
		"read a file outside":  {"read", secret},
		"write a file outside": {"write", filepath.Join(outside, "new")},
		"connect over TCP":     {"tcp", tcp.Addr().String()},
		"send over UDP":        {"udp", udp.LocalAddr().String()},
		"connect to a socket":  {"unix", sock.Addr().String()},
		"start a process":      {"fork"},
		"signal its parent":    {"signal"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, _, err := run(t, Policy{Write: []string{inside}}, args...); err == nil {
				t.Errorf("confined: %s", out)
			}
			if out, _, err := run(t, Policy{Write: []string{inside}, Unconfined: true}, args...); err != nil {
				t.Errorf("unconfined, the attack itself fails, so it proves nothing: %s", out)
			}
		})
	}
	for name, args := range map[string][]string{
		"make a name space": {"unshare"},
		"raise its limits":  {"raise"},
	} {
		t.Run(name, func(t *testing.T) {
			if out, _, err := run(t, Policy{Write: []string{inside}}, args...); err == nil {
				t.Errorf("confined: %s", out)
			}
		})
	}
}

func TestACallOfAnotherABIKills(t *testing.T) {
	t.Parallel()
	if runtime.GOARCH != "amd64" {
		t.Skip("only amd64 has an ABI that shares its number")
	}
	if _, state, err := run(t, Policy{}, "x32"); err == nil || state.Sys().(syscall.WaitStatus).Signal() != syscall.SIGSYS {
		t.Errorf("err %v, state %v", err, state)
	}
	if out, _, err := run(t, Policy{Unconfined: true}, "x32"); err != nil {
		t.Errorf("unconfined: %s", out)
	}
}

func TestAConfinedChildReadsAndWritesWhatItWasGiven(t *testing.T) {
	t.Parallel()
	folder, scratch := t.TempDir(), t.TempDir()
	file := filepath.Join(folder, "in")
	if err := os.WriteFile(file, []byte("in"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		read []string
		args []string
	}{
		"a file":           {[]string{file}, []string{"read", file}},
		"a file's folder":  {[]string{folder}, []string{"read", file}},
		"its scratch":      {nil, []string{"write", filepath.Join(scratch, "out")}},
		"a relative path":  {nil, []string{"write", "relative"}},
		"the null device":  {nil, []string{"write", "/dev/null"}},
		"a system library": {nil, []string{"read", "/etc/ld.so.cache"}},
	} {
		t.Run(name, func(t *testing.T) {
			if out, _, err := run(t, Policy{Read: tc.read, Write: []string{scratch}}, tc.args...); err != nil {
				t.Error(out, err)
			}
		})
	}
}

func TestLimitsEndAChild(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("of CPU time", func(t *testing.T) {
		_, state, err := run(t, Policy{CPU: time.Second}, "burn")
		if err == nil || state.UserTime()+state.SystemTime() > 4*time.Second {
			t.Errorf("err %v after %v", err, state.UserTime())
		}
	})
	t.Run("of file size", func(t *testing.T) {
		if out, _, err := run(t, Policy{Write: []string{dir}, FileSize: 1000}, "fill", "big"); err == nil {
			t.Error(out)
		}
		if out, _, err := run(t, Policy{Write: []string{dir}, FileSize: 2 << 20}, "fill", "big"); err != nil {
			t.Error(out)
		}
	})
	t.Run("of memory", func(t *testing.T) {
		if _, _, err := run(t, Policy{Memory: 2 << 30}, "allocate"); err == nil {
			t.Error("3 GiB fit in 2 GiB")
		}
		if out, _, err := run(t, Policy{Memory: 8 << 30}, "allocate"); err != nil {
			t.Error(out)
		}
	})
}

func TestAChildEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	cmd, err := Command(ctx, Policy{}, self(t), "attack", "sleep")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Run(); err == nil || time.Since(start) > 40*time.Second {
		t.Errorf("err %v after %v", err, time.Since(start))
	}
}

func TestAKilledParentLeavesNoChild(t *testing.T) {
	t.Parallel()
	parent := exec.Command(self(t), "attack", "spawn")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var child int
	if _, err := fmt.Fscan(out, &child); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child, 0); err != nil {
		t.Fatalf("the child does not run: %v", err)
	}
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	for range 1500 { // half of what it would sleep
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", child))
		if err != nil || bytes.Contains(status, []byte(") Z ")) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d outlived its parent", child)
}

func TestAChildInheritsNoEnvironment(t *testing.T) {
	t.Setenv("SLUICE_SECRET", "hunter2")
	out, _, err := run(t, Policy{Write: []string{t.TempDir()}}, "env")
	if err != nil || strings.Contains(out, "hunter2") || !strings.Contains(out, "LANG=C.UTF-8") {
		t.Errorf("%v: %s", err, out)
	}
}

func TestAProgramThatCannotBeExecutedIsASetupFailure(t *testing.T) {
	t.Parallel()
	cmd, err := Command(t.Context(), Policy{Write: []string{t.TempDir()}}, "/usr/bin/no-such-program")
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Run(); err == nil || !SetupFailed(cmd.ProcessState) {
		t.Errorf("err %v, state %v", err, cmd.ProcessState)
	}
}

func TestAChildLetsTheServerGoFirst(t *testing.T) {
	t.Parallel()
	out, _, err := run(t, Policy{Write: []string{t.TempDir()}}, "nice")
	own, ownErr := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if want := max(yields, 20-own); err != nil || ownErr != nil || out != fmt.Sprintf("%d\ndone\n", want) {
		t.Errorf("%v %v: %s, not %d", err, ownErr, out, want)
	}
}

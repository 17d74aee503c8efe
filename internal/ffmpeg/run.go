package ffmpeg

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"sluice/internal/fault"
	"sluice/internal/sandbox"
)

// tailSize is how much of a tool's messages is kept: bytes.
const tailSize = 8 << 10

// spec is one process to run.
type spec struct {
	op       string         // for errors: "ffmpeg.probe"
	probe    bool           // ffprobe instead of ffmpeg
	bare     bool           // args alone, without the common global options
	args     []string       // without the program
	reads    []string       // the files it may read, besides dir
	partial  bool           // the source is: whatever goes wrong, ErrPartial
	dir      string         // scratch: its working folder, the only one it may write; empty: it writes nothing
	stdout   io.Writer      // nil: dropped
	heed     string         // a message to look for among all, also those that Tail no longer has; empty: none
	progress func(progress) // ffmpeg only; called in order from another goroutine, never after run returns; nil: not reported
}

// progress is how far an ffmpeg process is.
type progress struct {
	Frames int64         // written so far
	Time   time.Duration // of the last packet written
}

// result is what a process that ended well left behind.
type result struct {
	Tail   string        // the last of its messages
	Heeded bool          // the message of spec.heed was among all of them
	CPU    time.Duration // user and system time
	MaxRSS int64         // bytes; at least the server's own peak, which the kernel counts to a child before its exec
}

// run runs one process to its end. It fails with a fault.Error: "canceled" and "timeout" by ctx, and the codes of
// outcomes for what the tool itself did. The result is filled in either case.
func (t *Tool) run(ctx context.Context, s spec) (result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	cmd, err := t.command(ctx, s)
	if err != nil {
		return result{}, fault.New(fault.Internal, s.op, "tool_failed", "The media tool could not be prepared.", err)
	}
	said := &tail{size: tailSize, heed: []byte(s.heed)}
	cmd.Stdout, cmd.Stderr = s.stdout, said
	finish := func() {}
	if s.progress != nil {
		if finish, err = report(cmd, s.progress); err != nil {
			return result{}, fault.New(fault.Unavailable, s.op, "tool_failed", "The media tool could not be started; try again.", err)
		}
	}
	if err = cmd.Start(); err == nil {
		go watch(ctx, cmd.Process.Pid, t.patience, cancel)
		err = cmd.Wait()
	}
	finish()
	r := t.account(cmd.ProcessState)
	r.Tail, r.Heeded = said.String(), said.heeded
	if err == nil && exhausted(r.Tail) {
		err = errors.New("exit status 0 after a failure") // ffmpeg 5.1: a demuxer's or writer's failure alone is no failure of the program
	}
	if err != nil {
		err = t.explain(ctx, s.op, cmd.ProcessState, r, err)
	}
	if s.partial && ctx.Err() == nil && (err != nil && fault.Of(err).Kind != fault.Unavailable || troubled(r.Tail)) {
		err = errors.Join(ErrPartial, err)
	}
	return r, err
}

// troubled reports whether a tool said that what it read is not what it should be. A partial source reads as zeros where it isn't there, which no
// decoder takes for its own.
func troubled(said string) bool {
	for _, s := range []string{"nvalid", "rror", "issing", "orrupt", "non-existing", "oncealing", "not find ref", "no frame", "runcat", "exceeds"} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// command prepares the process with the options that all share.
func (t *Tool) command(ctx context.Context, s spec) (*sandbox.Cmd, error) {
	program, globals := t.ffmpeg, []string{"-nostdin", "-hide_banner", "-loglevel", "warning", "-nostats"}
	if s.probe {
		program, globals = t.ffprobe, []string{"-hide_banner", "-loglevel", "warning"}
	}
	if s.bare {
		globals = nil
	}
	if s.progress != nil {
		globals = append(globals, "-progress", "pipe:3", "-stats_period", "0.5")
	}
	policy := sandbox.Policy{
		Read: s.reads, Unconfined: t.config.Unsandboxed,
		CPU: t.config.Limits.CPU, Memory: t.config.Limits.Memory, FileSize: t.config.Limits.Output,
	}
	if s.dir != "" {
		policy.Write = []string{s.dir}
	}
	return sandbox.Command(ctx, policy, program, append(globals, s.args...)...)
}

// account adds what an ended process cost to the total; state is nil for one that never ran.
func (t *Tool) account(state *os.ProcessState) result {
	if state == nil {
		return result{}
	}
	r := result{CPU: state.UserTime() + state.SystemTime()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		r.MaxRSS = usage.Maxrss << 10 // getrusage(2): kilobytes
	}
	t.cpu.Add(int64(r.CPU))
	t.runs.Add(1)
	return r
}

// report gives cmd a pipe as descriptor 3 and reads ffmpeg's progress blocks from it. finish ends the reading.
func report(cmd *sandbox.Cmd, to func(progress)) (finish func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = []*os.File{w}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var p progress
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			key, value, _ := strings.Cut(lines.Text(), "=")
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			switch {
			case key == "frame" && err == nil:
				p.Frames = n
			case key == "out_time_us" && err == nil:
				p.Time = time.Duration(n) * time.Microsecond
			case key == "progress":
				to(p)
			}
		}
		_, _ = io.Copy(io.Discard, r) // after an overlong line, so that the tool does not block
	}()
	return func() {
		_ = w.Close()
		<-done
		_ = r.Close()
	}, nil
}

// errStalled ends a process that uses no CPU: short of memory, ffmpeg 5.1 can wait for a thread that it could not start.
var errStalled = errors.New("the process used no CPU")

// watch ends a process that uses no CPU for as long as patience.
func watch(ctx context.Context, pid int, patience time.Duration, end context.CancelCauseFunc) {
	tick := time.NewTicker(max(patience/10, time.Millisecond))
	defer tick.Stop()
	var used string
	since := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if cpu := cpuOf(pid); cpu != used {
				used, since = cpu, now
			} else if now.Sub(since) > patience {
				end(errStalled)
				return
			}
		}
	}
}

// cpuOf is the user and system time of a process as proc(5) writes it; the fields behind the name, which may hold anything.
func cpuOf(pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	fields := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
	if len(fields) < 13 {
		return ""
	}
	return fields[11] + " " + fields[12]
}

// toolError carries what a tool said into an error's cause.
type toolError struct {
	tail  string
	err   error
	tries int // how often the work is worth trying; 0: as often as the engine tries it
}

func (e *toolError) Error() string {
	if line := lastLine(e.tail); line != "" {
		return fmt.Sprintf("%v: %s", e.err, line)
	}
	return e.err.Error()
}

func (e *toolError) Unwrap() error { return e.err }

// Detail returns the tail of what the tool said before err, for operators; empty where no tool was at fault. It may
// name files of this machine.
func Detail(err error) string {
	var e *toolError
	if errors.As(err, &e) {
		return e.tail
	}
	return ""
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndexByte(s, '\n')+1:]
}

// explain turns a process's bad end into an error.
func (t *Tool) explain(ctx context.Context, op string, state *os.ProcessState, r result, err error) error {
	cause := &toolError{tail: r.Tail, err: err}
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return fault.New(fault.Internal, op, "tool_stalled", "The media tool did nothing for too long and was ended; the work is tried again.",
			&toolError{tail: r.Tail, err: errStalled})
	case errors.Is(ctx.Err(), context.Canceled):
		return fault.New(fault.Canceled, op, "canceled", "The work was canceled.", &toolError{tail: r.Tail, err: context.Canceled})
	case ctx.Err() != nil:
		return fault.New(fault.Unavailable, op, "timeout", "The work took too long; try again.", &toolError{tail: r.Tail, err: ctx.Err()})
	case sandbox.SetupFailed(state):
		return fault.New(fault.Unavailable, op, "sandbox_failed", "The media tool could not be started in its sandbox; see the server's log.", cause)
	}
	o := outcomeOf(signalOf(state), t.config.Limits.CPU > 0 && r.CPU >= t.config.Limits.CPU, r.Tail)
	cause.tries = o.tries
	return fault.New(o.kind, op, o.code, o.message, cause)
}

// tail keeps the last size bytes written to it, and whether heed was among all.
type tail struct {
	size   int
	heed   []byte
	heeded bool
	b      []byte
	cut    bool // something was dropped
}

func (t *tail) Write(p []byte) (int, error) {
	from := max(0, len(t.b)-len(t.heed))
	t.b = append(t.b, p...)
	t.heeded = t.heeded || len(t.heed) > 0 && bytes.Contains(t.b[from:], t.heed)
	if len(t.b) > 2*t.size {
		t.trim()
	}
	return len(p), nil
}

func (t *tail) trim() {
	if over := len(t.b) - t.size; over > 0 {
		t.b = append(t.b[:0], t.b[over:]...)
		t.cut = true
	}
}

// String returns whole lines, as valid UTF-8 without NUL, which PostgreSQL keeps in no text.
func (t *tail) String() string {
	t.trim()
	b := t.b
	if t.cut {
		b = b[bytes.IndexByte(b, '\n')+1:]
	}
	return strings.ReplaceAll(strings.ToValidUTF8(string(b), "?"), "\x00", "?")
}

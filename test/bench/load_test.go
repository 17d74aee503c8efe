package bench

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/test/rig"
)

// asClient names the variable that makes this test binary a client of a server under load: a process of its own, whose processor time is counted apart and which can be
// kept on cores of its own.
const asClient = "SLUICE_BENCH_CLIENT"

// plan is what such a client does. Each connection asks for one target after the other, each its own way round, until the time is over.
type plan struct {
	Address     string
	Connections int
	For         time.Duration
	Pause       time.Duration // of a connection between two requests
	Head        string        // header lines of each request, beside Host
	Targets     []string
	Queries     []string // put behind the targets: one a connection, or one a request
	Fresh       bool     // one a request
	Slow        slow     // not zero: instead of all that, connections that hold the server up
}

// report is what it found.
type report struct {
	Answers  int         // with status 200, whole
	Refused  map[int]int // others, by status; 0: none, or a broken one
	Bytes    int64       // of bodies
	P50, P99 time.Duration
	Wall     time.Duration
	CPU      float64 // seconds of the client itself
	Opened   int     // slow connections, those included that took another's place
	Open     int     // of them, at the end
}

// client is the process: plan in, report out.
func client(in io.Reader, out io.Writer) error {
	var p plan
	if err := json.NewDecoder(in).Decode(&p); err != nil {
		return err
	}
	var r report
	if p.Slow.Connections > 0 {
		return p.Slow.run(p, in, out)
	}
	began := time.Now()
	all := make([]*line, p.Connections)
	var busy sync.WaitGroup
	for i := range all {
		all[i] = &line{plan: &p, at: i, refused: map[int]int{}}
		busy.Go(func() { all[i].run(began.Add(p.For)) })
	}
	busy.Wait()
	r.Wall = time.Since(began)
	r.Refused = map[int]int{}
	var took []time.Duration
	for _, l := range all {
		took = append(took, l.took...)
		r.Bytes += l.bytes
		for status, n := range l.refused {
			r.Refused[status] += n
		}
	}
	if r.Answers = len(took); r.Answers > 0 {
		slices.Sort(took)
		r.P50, r.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	r.CPU = rig.Seconds(&u)
	return json.NewEncoder(out).Encode(r)
}

// line is one connection, kept alive.
type line struct {
	plan    *plan
	at      int
	conn    *net.TCPConn
	raw     syscall.RawConn
	request []byte
	answer  [16 << 10]byte
	took    []time.Duration
	bytes   int64
	refused map[int]int
}

func (l *line) run(until time.Time) {
	defer func() {
		if l.conn != nil {
			_ = l.conn.Close()
		}
	}()
	p := l.plan
	for i := 0; ; i++ {
		from := time.Now()
		if !from.Before(until) {
			return
		}
		query := ""
		switch {
		case p.Fresh:
			query = p.Queries[(l.at+i*p.Connections)%len(p.Queries)]
		case len(p.Queries) > 0:
			query = p.Queries[l.at%len(p.Queries)]
		}
		// Each begins elsewhere, as viewers do.
		target := p.Targets[(l.at*len(p.Targets)/p.Connections+i)%len(p.Targets)]
		status, n, err := l.ask(target, query)
		if err != nil {
			if l.conn != nil {
				_ = l.conn.Close()
			}
			l.conn = nil
			status = 0
		}
		l.bytes += n
		if status == 200 {
			l.took = append(l.took, time.Since(from))
		} else {
			l.refused[status]++
			time.Sleep(10 * time.Millisecond) // it is no answer: no reason to be quick about the next
		}
		time.Sleep(p.Pause)
	}
}

// ask sends one request and reads the answer. Of the body only its length is looked at, and the system is told to throw it away, so that the client costs next to
// nothing however long it is.
func (l *line) ask(target, query string) (status int, body int64, err error) {
	if l.conn == nil {
		conn, err := net.Dial("tcp", l.plan.Address)
		if err != nil {
			return 0, 0, err
		}
		l.conn = conn.(*net.TCPConn)
		if l.raw, err = l.conn.SyscallConn(); err != nil {
			return 0, 0, err
		}
	}
	b := append(l.request[:0], "GET "...)
	b = append(b, target...)
	if query != "" {
		b = append(append(b, '?'), query...)
	}
	b = append(append(append(b, " HTTP/1.1\r\nHost: "...), l.plan.Address...), "\r\n"...)
	b = append(append(b, l.plan.Head...), "\r\n"...)
	l.request = b
	if _, err := l.conn.Write(b); err != nil {
		return 0, 0, err
	}
	have, end := 0, -1
	for end < 0 {
		n, err := l.conn.Read(l.answer[have:])
		if err != nil {
			return 0, 0, err
		}
		have += n
		end = bytes.Index(l.answer[:have], []byte("\r\n\r\n"))
	}
	head := l.answer[:end+2]
	if status, err = strconv.Atoi(string(head[9:12])); err != nil {
		return 0, 0, err
	}
	_, after, found := bytes.Cut(head, []byte("\r\nContent-Length: "))
	length, _, ended := bytes.Cut(after, []byte("\r\n"))
	if !found || !ended {
		return 0, 0, errors.New("no Content-Length")
	}
	if body, err = strconv.ParseInt(string(length), 10, 64); err != nil {
		return 0, 0, err
	}
	return status, body, l.discard(body - int64(have-end-4))
}

// discard takes n bytes without copying them out of the system (MSG_TRUNC, tcp(7)).
func (l *line) discard(n int64) (err error) {
	rerr := l.raw.Read(func(fd uintptr) bool {
		for n > 0 {
			got, _, e := syscall.Recvfrom(int(fd), nowhere[:min(n, int64(len(nowhere)))], syscall.MSG_TRUNC|syscall.MSG_DONTWAIT)
			switch {
			case errors.Is(e, syscall.EAGAIN):
				return false
			case e != nil:
				err = e
				return true
			case got == 0:
				err = io.ErrUnexpectedEOF
				return true
			}
			n -= int64(got)
		}
		return true
	})
	return errors.Join(rerr, err)
}

var nowhere = make([]byte, 4<<20)

// load runs a client and returns its report.
func load(t *testing.T, p plan, on cores) report {
	t.Helper()
	cmd := clientOf(t, on)
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdin = bytes.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("client: %v", err)
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatalf("client: %v in %s", err, out)
	}
	return r
}

// clientOf is the command that is a client.
func clientOf(t *testing.T, on cores) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program := append(on.under(), self)
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Env = append(os.Environ(), asClient+"=1")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// cores are those that something may run on, as taskset names them; empty for all.
type cores string

// halves are the cores of servers and those of clients, so that neither takes the other's time. On one core they share it.
func halves() (servers, clients cores) {
	n := runtime.NumCPU()
	if n < 2 {
		return "", ""
	}
	return cores(fmt.Sprintf("0-%d", n/2-1)), cores(fmt.Sprintf("%d-%d", n/2, n-1))
}

func (c cores) under() []string {
	if c == "" {
		return nil
	}
	return []string{"taskset", "-c", string(c)}
}

func (c cores) number() int {
	from, to, found := strings.Cut(string(c), "-")
	if !found {
		return runtime.NumCPU()
	}
	a, _ := strconv.Atoi(from)
	b, _ := strconv.Atoi(to)
	return b - a + 1
}

// processorTime is what processes have used so far, in seconds, by the system's books (proc_pid_stat(5), fields 14 and 15).
func processorTime(t *testing.T, pids ...int) (seconds float64) {
	t.Helper()
	const ticks = 100 // a second, on Linux (getconf CLK_TCK)
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
		for _, f := range fields[11:13] {
			n, err := strconv.ParseFloat(f, 64)
			if err != nil {
				t.Fatal(err)
			}
			seconds += n / ticks
		}
	}
	return seconds
}

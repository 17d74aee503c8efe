package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sluice/test/rig"
)

// slow are connections that hold a server up: half of them send a byte of a header now and then, and never its end; the others ask for a segment and take little of
// it at a time. One that is cut off is followed by another.
type slow struct {
	Connections int
	Every       time.Duration // between two bytes, and between two takings
	Take        int           // bytes at a time
}

// run says "open" once all are, and goes on until in ends.
func (s slow) run(p plan, in io.Reader, out io.Writer) error {
	var r report
	var opened, open atomic.Int64
	var first, all sync.WaitGroup
	over := make(chan struct{})
	dialing := make(chan struct{}, 64)
	for i := range s.Connections {
		first.Add(1)
		all.Go(func() {
			begun := sync.OnceFunc(first.Done)
			defer begun()
			for {
				dialing <- struct{}{}
				conn, err := net.DialTimeout("tcp", p.Address, 5*time.Second)
				<-dialing
				if err == nil {
					opened.Add(1)
					open.Add(1)
					hold := s.trickle
					if i%2 == 1 {
						hold = s.sip
					}
					hold(p, i, conn, begun, over)
					open.Add(-1)
					_ = conn.Close()
				}
				select {
				case <-over:
					return
				case <-time.After(s.Every):
				}
			}
		})
	}
	first.Wait()
	if _, err := fmt.Fprintln(out, "open"); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, in)
	r.Opened, r.Open = int(opened.Load()), int(open.Load())
	close(over)
	all.Wait()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(report{Opened: r.Opened, Open: r.Open, CPU: rig.Seconds(&u)})
}

// trickle sends a header byte by byte until it is cut off.
func (s slow) trickle(p plan, i int, conn net.Conn, begun func(), over <-chan struct{}) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Slow: ", p.Targets[i%len(p.Targets)], p.Address); err != nil {
		return
	}
	begun()
	for s.wait(over) {
		if _, err := conn.Write([]byte{'x'}); err != nil {
			return
		}
	}
}

// sip takes a segment a little at a time.
func (s slow) sip(p plan, i int, conn net.Conn, begun func(), over <-chan struct{}) {
	_ = conn.(*net.TCPConn).SetReadBuffer(s.Take) // else the system takes a megabyte at once
	query := ""
	if len(p.Queries) > 0 {
		query = "?" + p.Queries[i%len(p.Queries)]
	}
	if _, err := fmt.Fprintf(conn, "GET %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", p.Targets[i%len(p.Targets)], query, p.Address); err != nil {
		return
	}
	begun()
	for b := make([]byte, s.Take); s.wait(over); {
		if _, err := conn.Read(b); err != nil {
			return
		}
	}
}

// wait reports whether it goes on.
func (s slow) wait(over <-chan struct{}) bool {
	select {
	case <-over:
		return false
	case <-time.After(s.Every):
		return true
	}
}

// hold opens slow connections, and gives what ends them and tells of them.
func hold(t *testing.T, p plan, on cores) (end func() report) {
	t.Helper()
	cmd := clientOf(t, on)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewReader(out)
	err = json.NewEncoder(in).Encode(p)
	if err == nil {
		_, err = said.ReadString('\n')
	}
	if err != nil {
		t.Fatalf("slow client: %v", err)
	}
	return func() (r report) {
		t.Helper()
		_ = in.Close()
		if err := json.NewDecoder(said).Decode(&r); err != nil {
			t.Fatalf("slow client: %v", err)
		}
		if err := cmd.Wait(); err != nil {
			t.Fatalf("slow client: %v", err)
		}
		return r
	}
}

// descriptors is how many files this process, and so those that it starts, may have open.
func descriptors(t *testing.T) int {
	t.Helper()
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	l.Cur = l.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		t.Fatal(err)
	}
	return int(min(l.Max, 1<<20))
}

// rss is the memory that processes have now, in MiB.
func rss(t *testing.T, pids ...int) (mib float64) {
	t.Helper()
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			t.Fatal(err)
		}
		var size, resident float64
		if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
			t.Fatal(err)
		}
		mib += resident * float64(os.Getpagesize()) / (1 << 20)
	}
	return mib
}

// sockets is how many sockets processes hold, those that they listen on included.
func sockets(t *testing.T, pids ...int) (n int) {
	t.Helper()
	for _, pid := range pids {
		all, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range all {
			if to, err := os.Readlink(one); err == nil && len(to) > 7 && to[:7] == "socket:" {
				n++
			}
		}
	}
	return n
}

// Healthy players ask now and then, and don't fill the machine.
const healthyPause = 5 * time.Millisecond

// besideSlow measures what 5,000 slow connections cost those who aren't.
func (s *edgeStage) besideSlow() {
	connections, rounds, last := 200, 1, 300*time.Millisecond
	if *full {
		connections, rounds, last = 5000, 5, 4*time.Second
	}
	if most := (descriptors(s.t) - 500) / 3; connections > most { // a socket and perhaps a file each at the server, and ours
		fmt.Printf("\nulimit -n allows %d slow connections instead of %d\n", most, connections)
		connections = most
	}
	fmt.Printf("\n%d slow connections: half send a byte of a header a second, half take 4 kB of a segment a second\n", connections)
	fmt.Printf("  %-8s %26s %26s %8s %20s %14s\n", "", "healthy p50/p99 ms without", "p50/p99 ms with them", "p99 ×", "MB without → with", "open, opened")
	for _, c := range s.contenders() {
		healthy := plan{Address: c.address, Connections: 8, For: last, Pause: healthyPause, Head: playerHead, Targets: c.targets(s.few("480p")), Queries: c.queries}
		holding := plan{Address: c.address, Targets: c.targets(s.few(s.largest())), Queries: c.queries, Slow: slow{Connections: connections, Every: time.Second, Take: 4 << 10}}
		var ratios []float64
		var without, with []report
		var before, during float64
		var last report
		var held int
		for range rounds {
			w := s.load(c, healthy)
			before = rss(s.t, c.pids()...)
			end := hold(s.t, holding, s.clients)
			beside := s.load(c, healthy)
			during, held = rss(s.t, c.pids()...), sockets(s.t, c.pids()...)
			last = end()
			without, with, ratios = append(without, w), append(with, beside), append(ratios, float64(beside.P99)/float64(w.P99))
		}
		ms := func(all []report, of func(report) time.Duration) float64 {
			return median(all, func(r report) float64 { return of(r).Seconds() * 1e3 })
		}
		p50, p99 := func(r report) time.Duration { return r.P50 }, func(r report) time.Duration { return r.P99 }
		slices.Sort(ratios)
		fmt.Printf("  %-8s %18.2f /%6.2f %18.2f /%6.2f %7.2f× %9.0f → %7.0f %6d, %6d\n", c.name, ms(without, p50), ms(without, p99), ms(with, p50), ms(with, p99),
			ratios[len(ratios)/2], before, during, held, last.Opened)
	}
	fmt.Println("  (goal: p99 × at most 2)")
	if status, _ := s.get(s.ours, s.few("480p")[0]); status != http.StatusOK {
		s.t.Errorf("afterwards a segment is answered with %d", status)
	}
}

package bench

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goals of the edge.
const (
	goalSegments  = 0.8   // of nginx's
	goalManifests = 5_000 // rewritten, a second
)

// run is one round of a contender, or several together.
type run struct {
	report
	cpu float64 // seconds of the server
}

func (r run) rate() float64  { return float64(r.Answers) / r.Wall.Seconds() }
func (r run) perGB() float64 { return r.cpu / (float64(r.Bytes) / 1e9) }
func (r run) each() float64  { return r.cpu / float64(r.Answers) * 1e6 } // µs
func (r run) p99() float64   { return r.P99.Seconds() * 1e3 }

// together are rounds as one: processor time is counted in hundredths of a second, so that the longer the better.
func together(all []run) (sum run) {
	for _, r := range all {
		sum.cpu += r.cpu
		sum.Answers += r.Answers
		sum.Bytes += r.Bytes
	}
	return sum
}

// round measures one contender once.
func (s *edgeStage) round(c contender, p plan) run {
	s.t.Helper()
	p.Address = c.address
	if p.Head == "" {
		p.Head = playerHead
	}
	if p.Queries == nil {
		p.Queries = c.queries
	}
	p.Targets = c.targets(p.Targets)
	pids := c.pids()
	before := processorTime(s.t, pids...)
	r := s.load(c, p)
	return run{report: r, cpu: processorTime(s.t, pids...) - before}
}

// pace is how long and how often is measured.
func pace() (rounds int, last time.Duration) {
	if *full {
		return 5, 1500 * time.Millisecond
	}
	return 1, 100 * time.Millisecond
}

// TestTheEdge measures signed delivery: turn by turn with nginx and its secure_link, which serves the very same files, and by itself where nginx has nothing like it.
func TestTheEdge(t *testing.T) {
	s := newEdgeStage(t)
	s.same()
	fmt.Printf("\nthe edge: servers on cores %q, the client on %q, %d connections\n", s.servers, s.clients, viewers)
	for _, part := range []struct {
		name    string
		measure func(*edgeStage)
	}{{"segments", (*edgeStage).segments}, {"manifests", (*edgeStage).manifests}, {"signatures", (*edgeStage).signatureCosts}, {"slow clients", (*edgeStage).besideSlow}} {
		t.Run(part.name, func(t *testing.T) {
			of := *s
			of.t = t
			part.measure(&of)
		})
	}
}

// segments measures signed segments of each rung, from few files and from many, alone and beside an encode.
func (s *edgeStage) segments() {
	for _, beside := range []string{"alone", "beside an encode"} {
		stop := func() {}
		if beside != "alone" {
			stop = s.encode()
		}
		if *full || beside == "alone" {
			s.table("few files, "+beside, s.hot)
		}
		if *full || beside != "alone" {
			s.table("many files, "+beside, s.many)
		}
		stop()
	}
}

// table has a row for each rung.
func (s *edgeStage) table(title string, sets map[string][]string) {
	s.t.Helper()
	rounds, last := pace()
	fmt.Printf("\n  %s; Sluice / nginx\n  %-6s %6s %6s %17s %7s %16s %8s %16s %12s %18s\n", title, "rung", "kB", "files", "segments/s", "ratio", "CPU s/GB", "by CPU", "p99 ms", "client busy", "open_file_cache")
	var byWall, byCPU []float64
	for _, rung := range s.rungs {
		row := s.row(rounds, plan{Connections: viewers, For: last, Targets: sets[rung]})
		fmt.Printf("  %-6s %6.0f %6d %s\n", rung, float64(s.size[rung])/1e3, len(sets[rung]), row)
		byWall, byCPU = append(byWall, row.ratio), append(byCPU, row.byCPU)
	}
	fmt.Printf("  mean of the ratios: %.2f× segments a second, %.2f× segments for the same CPU time (goal: at least %.1f)\n", geometric(byWall), geometric(byCPU), goalSegments)
}

// row is what some rounds came to: medians.
type row struct {
	ours, theirs, caching []run
	ratio, byCPU          float64 // of segments a second, and of segments a second of CPU time
	cores                 int     // of the client
}

// row measures all contenders turn by turn.
func (s *edgeStage) row(rounds int, p plan) row {
	s.t.Helper()
	all, runs := []contender{s.ours, s.nginx, s.caching}, make([][]run, 3)
	var ratios []float64
	for i := range rounds {
		for j := range all {
			at := (i + j) % len(all) // each is first in turn
			runs[at] = append(runs[at], s.round(all[at], p))
		}
		ratios = append(ratios, runs[0][i].rate()/runs[1][i].rate())
	}
	r := row{ours: runs[0], theirs: runs[1], caching: runs[2], cores: s.clients.number()}
	r.ratio = median(ratios, func(x float64) float64 { return x })
	r.byCPU = together(r.theirs).perGB() / together(r.ours).perGB()
	return r
}

func (r row) String() string {
	busy := func(x run) float64 { return 100 * x.CPU / x.Wall.Seconds() / float64(r.cores) }
	return fmt.Sprintf("%8.0f / %6.0f %6.2f× %7.3f / %6.3f %7.2f× %7.2f / %6.2f %4.0f%% / %3.0f%% %18.0f", median(r.ours, run.rate), median(r.theirs, run.rate), r.ratio,
		together(r.ours).perGB(), together(r.theirs).perGB(), r.byCPU, median(r.ours, run.p99), median(r.theirs, run.p99), median(r.ours, busy), median(r.theirs, busy), median(r.caching, run.rate))
}

// same makes sure that both serve the same, and neither without a signature.
func (s *edgeStage) same() {
	s.t.Helper()
	for _, rung := range s.rungs {
		path := s.hot[rung][0]
		_, want := s.get(s.nginx, path)
		status, got := s.get(s.ours, path)
		if status != http.StatusOK || len(got) == 0 || !bytes.Equal(got, want) {
			s.t.Fatalf("%s: %d, %d bytes, and nginx has %d", path, status, len(got), len(want))
		}
		for _, c := range s.contenders() {
			resp, err := http.Get("http://" + c.address + path)
			if err != nil {
				s.t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				s.t.Fatalf("%s serves %s without a signature: %d", c.name, path, resp.StatusCode)
			}
		}
	}
}

// encode runs our ladder, again and again, on all cores until it is stopped.
func (s *edgeStage) encode() (stop func()) {
	s.t.Helper()
	var graph strings.Builder
	fmt.Fprintf(&graph, "[0:V:0]split=%d", len(s.video.Renditions))
	for i := range s.video.Renditions {
		fmt.Fprintf(&graph, "[s%d]", i)
	}
	args := []string{"-nostdin", "-v", "error", "-stream_loop", "-1", "-i", s.clip}
	var outs []string
	for i, r := range s.video.Renditions {
		fmt.Fprintf(&graph, ";[s%d]scale=%d:%d,format=yuv420p[v%d]", i, r.Width, r.Height, i)
		outs = append(outs, "-map", fmt.Sprintf("[v%d]", i), "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-maxrate", fmt.Sprint(caps[r.Name]),
			"-bufsize", fmt.Sprint(2*caps[r.Name]), "-f", "null", "-")
	}
	args = append(append(args, "-filter_complex", graph.String()), outs...)
	cmd := exec.Command("ffmpeg", args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	return func() {
		s.t.Helper()
		select {
		case err := <-ended:
			s.t.Fatalf("the encode ended: %v\n%s", err, said.String())
		default:
		}
		_ = cmd.Process.Kill()
		<-ended
	}
}

// Package bench measures Sluice side by side with its peers, on the same files, in the same run, and what its engine does by itself. It prints figures and goals, and
// asserts neither.
package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// full measures real files; without it, as in make test, a short clip, so that the benchmark can't rot.
var full = flag.Bool("full", false, "measure the real files")

func TestMain(m *testing.M) {
	if os.Getenv(asClient) != "" {
		if err := client(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	flag.Parse()
	code := enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))
	rig.Clean()
	os.Exit(code)
}

// cost is what one job cost.
type cost struct {
	wall   time.Duration
	cpu    float64           // seconds of the encode processes
	server float64           // seconds of the server beside them
	peak   int64             // kB, of the largest process
	rungs  map[string]string // rung → playlist or file
}

// TestTheWholeJobAgainstOneFfmpeg measures upload → ready against one hand-tuned ffmpeg process that makes the same rungs and audio from the same file.
func TestTheWholeJobAgainstOneFfmpeg(t *testing.T) {
	files := []string{rig.Clip(t, "clip.mp4", "640x360", 24)}
	if *full {
		files = []string{rig.Media(t, "long/sintel-trailer-720p24-h264-52s.mp4"), rig.Media(t, "long/jellyfish-1080p30-h264-aac51-30s.mp4")}
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			dir := t.TempDir()
			ours, v := sluice(t, file)
			peer := handTuned(t, file, dir, v)
			fmt.Printf("\n%s, %d rungs: Sluice against one hand-tuned ffmpeg process\n", filepath.Base(file), len(v.Renditions))
			fmt.Printf("  %-34s %10s %10s %8s\n", "", "Sluice", "ffmpeg", "ratio")
			line := func(name string, a, b float64, goal string) {
				fmt.Printf("  %-34s %10.2f %10.2f %7.3f×  %s\n", name, a, b, a/b, goal)
			}
			line("CPU s, all tool processes", ours.cpu, peer.cpu, "(goal ≤1.02)")
			line("CPU s, server included", ours.cpu+ours.server, peer.cpu, "")
			line("wall s, upload to ready", ours.wall.Seconds(), peer.wall.Seconds(), "(goal ≤1.00)")
			line("peak MB of one tool process", float64(ours.peak)/1024, float64(peer.peak)/1024, "")
			for _, r := range v.Renditions {
				a, b := ssim(t, ours.rungs[r.Name], file, r.Width, r.Height), ssim(t, peer.rungs[r.Name], file, r.Width, r.Height)
				fmt.Printf("  %-34s %10.5f %10.5f\n", "SSIM "+r.Name, a, b)
			}
		})
	}
}

// sluice takes the file from upload to ready on a fresh server.
func sluice(t *testing.T, file string) (cost, rig.Video) {
	t.Helper()
	s := rig.Start(t, rig.Options{})
	stop := make(chan struct{})
	var peak int64
	var watch sync.WaitGroup
	watch.Go(func() { peak = watchPeak(s.PID(), stop) })
	start := time.Now()
	id := s.Upload(file, filepath.Base(file))
	v := s.Await(id, 20*time.Minute)
	wall := time.Since(start)
	close(stop)
	watch.Wait()
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	c := cost{wall: wall, peak: peak, rungs: map[string]string{}}
	for _, r := range v.Renditions {
		c.rungs[r.Name] = download(t, s, v, r.Name)
	}
	fmt.Printf("  server's own peak: %.0f MB\n", float64(high(s.PID()))/1024)
	if err := s.Stop(); err != nil {
		t.Error(err)
	}
	m := regexp.MustCompile(`tool_cpu_seconds=([0-9.]+)`).FindStringSubmatch(s.Log())
	if m == nil {
		t.Fatalf("the log does not tell the tools' CPU time:\n%s", s.Log())
	}
	c.cpu, _ = strconv.ParseFloat(m[1], 64)
	c.server = rig.Seconds(s.Usage) - c.cpu
	return c, v
}

// download joins a rendition's segments into one file, which lies as long as the test runs.
func download(t *testing.T, s *rig.Server, v rig.Video, rung string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), rung+".mp4")
	base := strings.TrimSuffix(v.Playback.HLS, "index.m3u8") + rung + "/"
	_, playlist := rig.Get(t, base+"index.m3u8")
	_, whole := rig.Get(t, base+"init.mp4")
	for _, line := range strings.Split(string(playlist), "\n") {
		if line != "" && !strings.HasPrefix(line, "#") {
			_, segment := rig.Get(t, base+line)
			whole = append(whole, segment...)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// handTuned makes the same rungs and audio in one process, as an engineer would write it: one decode, a split, a scale a rung.
func handTuned(t *testing.T, file, dir string, v rig.Video) cost {
	t.Helper()
	var graph strings.Builder
	fmt.Fprintf(&graph, "[0:V:0]split=%d", len(v.Renditions))
	for i := range v.Renditions {
		fmt.Fprintf(&graph, "[s%d]", i)
	}
	for i, r := range v.Renditions {
		fmt.Fprintf(&graph, ";[s%d]scale=%d:%d,format=yuv420p[v%d]", i, r.Width, r.Height, i)
	}
	args := []string{"-nostdin", "-v", "error", "-y", "-i", file, "-filter_complex", graph.String()}
	c := cost{rungs: map[string]string{}}
	for i, r := range v.Renditions {
		rate := caps[r.Name]
		out := filepath.Join(dir, r.Name+".mp4")
		c.rungs[r.Name] = out
		args = append(args, "-map", fmt.Sprintf("[v%d]", i), "-c:v", "libx264", "-preset", "veryfast", "-crf", "23",
			"-maxrate", fmt.Sprint(rate), "-bufsize", fmt.Sprint(2*rate), "-force_key_frames", "expr:gte(t,n_forced*2)", "-sc_threshold", "0", "-profile:v", "high",
			"-movflags", "+frag_keyframe+empty_moov", out)
	}
	if len(v.Audio) > 0 {
		args = append(args, "-map", "0:a:0", "-c:a", "aac", "-b:a", "128k", "-ac", "2", "-ar", "48000", "-movflags", "+frag_keyframe+empty_moov", filepath.Join(dir, "audio.mp4"))
	}
	cmd := exec.Command("ffmpeg", args...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ffmpeg: %v\n%s", err, out)
	}
	c.wall = time.Since(start)
	usage := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	c.cpu, c.peak = rig.Seconds(usage), usage.Maxrss
	return c
}

// caps are the ladder's caps in bits a second (issue: rungs by short side).
var caps = map[string]int64{"1080p": 5_000_000, "720p": 3_000_000, "480p": 1_500_000, "360p": 800_000, "240p": 400_000}

// ssim compares a rendition with the source scaled to its size.
func ssim(t *testing.T, rendition, source string, width, height int) float64 {
	t.Helper()
	graph := fmt.Sprintf("[1:V:0]scale=%d:%d:flags=bicubic,format=yuv420p,settb=AVTB,setpts=N[ref];[0:V:0]settb=AVTB,setpts=N[made];[made][ref]ssim", width, height)
	out, err := exec.Command("ffmpeg", "-nostdin", "-i", rendition, "-i", source, "-filter_complex", graph, "-f", "null", "-").CombinedOutput()
	m := regexp.MustCompile(`All:([0-9.]+)`).FindSubmatch(out)
	if err != nil || m == nil {
		t.Fatalf("ssim: %v\n%s", err, out)
	}
	value, _ := strconv.ParseFloat(string(m[1]), 64)
	return value
}

// watchPeak returns the largest resident size in kB that a descendant of parent reached.
func watchPeak(parent int, stop <-chan struct{}) (peak int64) {
	for {
		select {
		case <-stop:
			return peak
		case <-time.After(50 * time.Millisecond):
			for pid := range rig.Children(parent) {
				peak = max(peak, high(pid))
			}
		}
	}
}

// high is a process's peak resident size in kB.
func high(pid int) int64 {
	body, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(body)
	if m == nil {
		return 0
	}
	n, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return n
}

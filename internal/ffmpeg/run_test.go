package ffmpeg

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/sandbox"
	"sluice/internal/video"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// found is the Tool that New finds once for all tests: it starts a sandbox and ffmpeg, which costs half a CPU second.
var found struct {
	sync.Once
	tool *Tool
	err  error
}

// newTool makes a Tool with the limits of a small server, or those given.
func newTool(t testing.TB, limits ...video.Limits) *Tool {
	t.Helper()
	c := Config{Limits: video.Limits{Pixels: 8192 * 4320, Streams: 32, CPU: 10 * time.Minute, Memory: 4 << 30, Output: 4 << 30}}
	if len(limits) > 0 {
		c.Limits = limits[0]
	}
	found.Do(func() { found.tool, found.err = New(c) })
	if found.err != nil {
		t.Fatal(found.err)
	}
	return &Tool{
		ffmpeg: found.tool.ffmpeg, ffprobe: found.tool.ffprobe, version: found.tool.version, patience: found.tool.patience,
		log: found.tool.log, config: Config{Limits: c.Limits, ProbeTimeout: found.tool.config.ProbeTimeout},
	}
}

// makeMedia runs ffmpeg with args in a new folder and returns the path of the file name in it.
func makeMedia(t testing.TB, tool *Tool, name string, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := tool.run(t.Context(), spec{op: "test", args: append(args, "-y", name), dir: dir}); err != nil {
		t.Fatalf("%v\n%s", err, Detail(err))
	}
	return filepath.Join(dir, name)
}

// codeOf is the stable code of an error, empty for none.
func codeOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestARunReportsProgressAndCountsItsCost(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	var last progress
	r, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), progress: func(p progress) { last = p },
		args: []string{"-f", "lavfi", "-i", "testsrc2=r=25:d=2:s=320x180", "-c:v", "libx264", "out.mp4"}})
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	if last.Frames != 50 {
		t.Errorf("progress ends at %+v", last)
	}
	if r.CPU <= 0 || r.MaxRSS <= 0 || tool.Usage().CPU < r.CPU || tool.Usage().Runs != 1 {
		t.Errorf("cost %+v, total %+v", r, tool.Usage())
	}
}

func TestABadEndHasAStableCode(t *testing.T) {
	t.Parallel()
	source := []string{"-f", "lavfi", "-i", "testsrc2=r=25:d=600:s=1280x720"}
	raw := append(source, "-c:v", "rawvideo", "out.avi")
	for name, tc := range map[string]struct {
		limits  video.Limits
		args    []string
		timeout time.Duration
		cancel  bool
		code    string
	}{
		"CPU time":  {limits: video.Limits{CPU: time.Second}, args: append(source, "-c:v", "libx264", "-f", "null", "-"), code: "too_costly"},
		"file size": {limits: video.Limits{Output: 1 << 20}, args: raw, code: "output_too_large"},
		"memory": {limits: video.Limits{Memory: 700 << 20}, code: "out_of_memory",
			args: []string{"-f", "lavfi", "-i", "color=r=25:d=60:s=1920x1080", "-vf", "reverse", "-c:v", "rawvideo", "-f", "null", "-"}},
		"option":  {args: []string{"-no_such_option"}, code: "unsupported_media"},
		"timeout": {args: append(source, "-c:v", "libx264", "-f", "null", "-"), timeout: 300 * time.Millisecond, code: "timeout"},
		"cancel":  {args: append(source, "-c:v", "libx264", "-f", "null", "-"), cancel: true, code: "canceled"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tool := newTool(t, tc.limits)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.timeout > 0 {
				ctx, cancel = context.WithTimeout(ctx, tc.timeout)
				defer cancel()
			}
			if tc.cancel {
				time.AfterFunc(300*time.Millisecond, cancel)
			}
			_, err := tool.run(ctx, spec{op: "test", dir: t.TempDir(), args: tc.args})
			if codeOf(err) != tc.code {
				t.Errorf("got %v\n%s", err, Detail(err))
			}
		})
	}
}

func TestAProcessThatDoesNothingIsEnded(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	tool.patience = 300 * time.Millisecond
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "never"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := tool.run(t.Context(), spec{op: "test", dir: dir, args: []string{"-i", "file:never", "-f", "null", "-"}})
	if codeOf(err) != "tool_stalled" {
		t.Errorf("got %v", err)
	}
}

func TestAFullDiskIsToldApart(t *testing.T) {
	t.Parallel()
	tool, err := New(Config{Unsandboxed: true}) // the sandbox does not let a child write to a device
	if err != nil {
		t.Fatal(err)
	}
	_, err = tool.run(t.Context(), spec{op: "test", dir: t.TempDir(),
		args: []string{"-f", "lavfi", "-i", "testsrc2=r=25:d=1", "-c:v", "rawvideo", "-f", "avi", "-y", "/dev/full"}})
	if codeOf(err) != "disk_full" || !fault.Is(err, fault.Unavailable) {
		t.Errorf("got %v", err)
	}
}

func TestATailKeepsTheLastWholeLines(t *testing.T) {
	t.Parallel()
	w := &tail{size: 10}
	for range 100 {
		_, _ = w.Write([]byte("abcdef\n"))
	}
	_, _ = w.Write([]byte("end\xff\n"))
	if got := w.String(); got != "end?\n" {
		t.Errorf("%q", got)
	}
	heeding := &tail{size: 10, heed: []byte("turned")}
	for _, part := range []string{"it tur", "ned\n", strings.Repeat("a later line\n", 100)} {
		_, _ = heeding.Write([]byte(part))
	}
	if !heeding.heeded || strings.Contains(heeding.String(), "turned") {
		t.Errorf("heeded: %v, of %q", heeding.heeded, heeding.String())
	}
	if strings.Contains((&tail{size: 10}).String(), "\n") {
		t.Error("an empty tail has lines")
	}
}

package ffmpeg

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// writeFile makes a file of content in a new folder.
func writeFile(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWhatAFileIsItsBytesDecide(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, content := range map[string]string{
		"empty.mp4":    "",
		"text.mp4":     "This is not a film.\n",
		"page.mp4":     "<!doctype html><title>x</title>",
		"playlist.mp4": "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
		"bom.mp4":      "\xef\xbb\xbf  #EXTM3U\n",
		"concat.mp4":   "ffconcat version 1.0\nfile /etc/passwd\n",
		"mpd.mp4":      "<?xml version=\"1.0\"?><MPD></MPD>",
		"zip.mp4":      "PK\x03\x04\x00\x00\x00\x00",
		"jpeg.mp4":     "\xff\xd8\xff\xe0\x00\x10JFIF",
		"noise.mp4":    strings.Repeat("\x00\x91\x13\xfe\x80\x05\x7f", 1000),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := tool.Probe(t.Context(), Whole(writeFile(t, name, content)), name)
			if codeOf(err) != "not_media" || !fault.Permanent(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestASourceOverALimitIsRefused(t *testing.T) {
	t.Parallel()
	maker := newTool(t)
	src := makeMedia(t, maker, "in.mkv", "-f", "lavfi", "-i", "testsrc2=r=25:d=2:s=320x180", "-f", "lavfi", "-i", "sine=d=2",
		"-map", "0", "-map", "1", "-map", "1", "-map", "1", "-c:v", "libx264", "-c:a", "aac")
	for code, limits := range map[string]video.Limits{
		"too_large":        {Bytes: 1000},
		"too_long":         {Duration: time.Second},
		"too_many_pixels":  {Pixels: 10_000},
		"too_many_streams": {Streams: 3},
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			if _, err := newTool(t, limits).Probe(t.Context(), Whole(src), "in.mkv"); codeOf(err) != code || !fault.Permanent(err) {
				t.Errorf("got %v", err)
			}
		})
	}
	facts, err := newTool(t, video.Limits{Bytes: 1 << 30, Duration: 3 * time.Second, Pixels: 320 * 180, Streams: 4}).Probe(t.Context(), Whole(src), "in.mkv")
	if err != nil || len(facts.Audio) != 3 {
		t.Errorf("within its limits: %v, %d audio tracks", err, len(facts.Audio))
	}
}

func TestProbe_TimeIsOver_BlamesTheSourceOnlyWhereToolsComputed(t *testing.T) {
	src := makeMedia(t, newTool(t), "in.mp4", "-f", "lavfi", "-i", "testsrc2=r=25:d=1:s=320x180", "-c:v", "libx264")
	for _, c := range []struct{ name, script, code string }{
		{"idle", "exec sleep 60", "probe_timeout"},
		{"computing", "while :; do :; done", "too_costly"},
	} {
		t.Run(c.name, func(t *testing.T) {
			slow := filepath.Join(t.TempDir(), "ffprobe")
			if err := os.WriteFile(slow, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil { //nolint:gosec // a program
				t.Fatal(err)
			}
			tool, err := New(Config{FFprobe: slow, Unsandboxed: true})
			if err != nil {
				t.Fatal(err)
			}
			// It does not run beside tests that encode. Another busy package may still give even the one that computes too little time: then a longer limit tells.
			for limit := 200 * time.Millisecond; ; limit *= 2 {
				tool.config.ProbeTimeout = limit
				_, err := tool.Probe(t.Context(), Whole(src), "in.mp4")
				if codeOf(err) == c.code && fault.Permanent(err) == (c.code == "too_costly") {
					return
				}
				if codeOf(err) != "probe_timeout" || c.code == "probe_timeout" || limit > 20*time.Second {
					t.Fatalf("within %s: %v", limit, err)
				}
			}
		})
	}
}

func TestACutUploadIsTold(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	source := []string{"-f", "lavfi", "-i", "testsrc2=r=25:d=4:s=320x180", "-c:v", "libx264"}
	for _, c := range []struct {
		name, movflags string
		left           int64 // tenths of the file
		refused        bool
	}{
		{"the index is lost", "0", 6, true},
		{"most pictures are lost", "+faststart", 4, true},
		{"most pictures are there", "+faststart", 8, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := makeMedia(t, tool, "in.mp4", append(source, "-movflags", c.movflags)...)
			info, err := os.Stat(src)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(src, info.Size()*c.left/10); err != nil {
				t.Fatal(err)
			}
			f, err := tool.Probe(t.Context(), Whole(src), "in.mp4")
			if c.refused && codeOf(err) != "truncated" {
				t.Errorf("got %v", err)
			}
			if !c.refused && (err != nil || len(f.Warnings) != 1 || f.Warnings[0].Code != "truncated") {
				t.Errorf("got %v, warnings %v", err, f.Warnings)
			}
		})
	}
}

func TestMeasuredFactsOfMadeSources(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	picture := func(rate string) []string {
		return []string{"-f", "lavfi", "-i", "testsrc2=s=320x180:d=3:r=" + rate}
	}
	for _, tc := range []struct {
		name, file string
		args       []string
		rate       video.Ratio
		vfr        bool
		interlaced bool
		seekable   bool
		remux      string
	}{
		{name: "film rate in milliseconds", file: "a.mkv", args: append(picture("24000/1001"), "-c:v", "libx264"), rate: video.Ratio{Num: 24000, Den: 1001}, seekable: true},
		{name: "29.97 in 90 kHz", file: "a.ts", args: append(picture("30000/1001"), "-c:v", "libx264"), rate: video.Ratio{Num: 30000, Den: 1001}, remux: "mp4"},
		{name: "25 in AVI", file: "a.avi", args: append(picture("25"), "-c:v", "mpeg4", "-bf", "2"), rate: video.Ratio{Num: 25, Den: 1}, seekable: true},
		{name: "an odd rate", file: "a.mp4", args: append(picture("17"), "-c:v", "libx264"), rate: video.Ratio{Num: 17, Den: 1}, seekable: true},
		{name: "120 is halved", file: "a.mp4", args: append(picture("120"), "-c:v", "libx264"), rate: video.Ratio{Num: 60, Den: 1}, seekable: true},
		{name: "1 is multiplied", file: "a.mp4", args: append(picture("1"), "-c:v", "libx264"), rate: video.Ratio{Num: 5, Den: 1}, seekable: true},
		{name: "VFR becomes the nearest standard rate", file: "a.mp4", vfr: true, seekable: true, rate: video.Ratio{Num: 30000, Den: 1001},
			args: append(picture("60"), "-vf", "select='mod(n,2)+not(mod(n,5))',setpts='(N/28+0.012*mod(N,3))/TB'", "-fps_mode", "vfr", "-c:v", "libx264", "-video_track_timescale", "90000")},
		{name: "interlaced", file: "a.mp4", args: append(picture("50"), "-vf", "interlace", "-c:v", "libx264", "-flags", "+ildct+ilme"), rate: video.Ratio{Num: 25, Den: 1}, interlaced: true, seekable: true},
		{name: "fragmented", file: "a.mp4", args: append(picture("25"), "-c:v", "libx264", "-movflags", "+frag_keyframe+empty_moov"), rate: video.Ratio{Num: 25, Den: 1}, remux: "mp4"},
		{name: "no cues", file: "a.mkv", args: append(picture("25"), "-c:v", "mpeg4", "-live", "1"), rate: video.Ratio{Num: 25, Den: 1}, remux: "mp4"},
		{name: "bare pictures", file: "a.h264", args: append(picture("25"), "-c:v", "libx264"), rate: video.Ratio{Num: 25, Den: 1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := tool.Probe(t.Context(), Whole(makeMedia(t, tool, tc.file, tc.args...)), tc.file)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			v := f.Video
			if v.Rate != tc.rate || v.VFR != tc.vfr || v.Interlaced != tc.interlaced || f.Seekable != tc.seekable || RemuxFor(f) != tc.remux {
				t.Error(summary(f, nil))
			}
			if !tc.vfr && (v.Duration < 2960*time.Millisecond || v.Duration > 3040*time.Millisecond) {
				t.Errorf("3 s measured as %v", v.Duration)
			}
		})
	}
}

func TestALateStartIsMeasuredFromTheEarliestStream(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "a.mkv", "-f", "lavfi", "-i", "sine=d=4", "-itsoffset", "1.6", "-f", "lavfi", "-i", "testsrc2=s=320x180:d=2:r=25",
		"-map", "1", "-map", "0", "-c:v", "libx264", "-c:a", "flac", "-metadata:s:a:0", "language=ger")
	f, err := tool.Probe(t.Context(), Whole(src), "a.mkv")
	if err != nil {
		t.Fatal(err)
	}
	a := f.Audio[0]
	if off := f.Video.Start - 1600*time.Millisecond; off.Abs() > 5*time.Millisecond || a.Start != 0 || (a.Duration-4*time.Second).Abs() > 100*time.Millisecond || a.Language != "de" {
		t.Error(summary(f, nil))
	}
}

func TestAHeaderThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	corpusFiles(t)
	tool := newTool(t)
	for name, longest := range map[string]time.Duration{
		"structure/fragmented.mp4":           2 * time.Second, // ffprobe says 143,165 s
		"broken/duration-lies-165s.webm":     3 * time.Second,
		"broken/no-duration.webm":            6 * time.Second,
		"long/bbb-720p25-h264-aac51-100s.ts": 102 * time.Second,
	} {
		f, err := tool.Probe(t.Context(), Whole(filepath.Join(corpus, name)), name)
		if err != nil || f.Duration > longest || f.Duration < longest/3 {
			t.Errorf("%s: %v, %v", name, f.Duration, err)
		}
	}
}

// canary counts connections on ports of the loopback.
func canary(t *testing.T, ports ...int) *atomic.Int64 {
	t.Helper()
	var met atomic.Int64
	for _, port := range ports {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			t.Logf("no canary on port %d: %v", port, err)
			continue
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				met.Add(1)
				_ = c.Close()
			}
		}()
	}
	return &met
}

func TestAHostileFileReachesNeitherFilesNorNetwork(t *testing.T) {
	tool := newTool(t)
	met := canary(t, 81, 80)
	for _, file := range corpusFiles(t) {
		if !strings.HasPrefix(file.name, "hostile/") {
			continue
		}
		_, err := tool.Probe(t.Context(), Whole(filepath.Join(corpus, file.name)), file.name)
		if err != nil && regexp.MustCompile(`root:|/bin/(ba)?sh`).MatchString(err.Error()+Detail(err)) {
			t.Errorf("%s read a host file: %v", file.name, err)
		}
	}
	if n := met.Load(); n > 0 {
		t.Errorf("%d connections were made", n)
	}
}

func TestAnOptionThatOpensAnAddressFailsInTheSandboxToo(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	secret := writeFile(t, "canary", "the canary's own words")
	for name, input := range map[string]string{"an address": "http://" + l.Addr().String() + "/x", "a file": "file:" + secret} {
		// No whitelist: what is left is the sandbox.
		r, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), args: []string{"-i", input, "-f", "null", "-"}})
		if err == nil || !strings.Contains(r.Tail, "ermission") && !strings.Contains(r.Tail, "not permitted") {
			t.Errorf("%s: %v\n%s", name, err, r.Tail)
		}
	}
}

func TestLayoutOfAHugeNumberOfBoxesEnds(t *testing.T) {
	t.Parallel()
	box := "\x00\x00\x00\x08free"
	content := strings.Repeat(box, maxBoxes+1000) + "\x00\x00\x00\x08moov"
	start := time.Now()
	l := readLayout(strings.NewReader(content), int64(len(content)), []byte(content[:64]))
	if l.moov || time.Since(start) > time.Minute {
		t.Errorf("%+v after %v", l, time.Since(start))
	}
	deep := strings.Repeat("\x00\x00\x00\x00moov", 10000)
	readLayout(strings.NewReader(deep), int64(len(deep)), []byte(deep[:64]))
}

func TestAPacketScanHoldsLittle(t *testing.T) {
	t.Parallel()
	tr := &track{base: video.Ratio{Num: 1, Den: 90000}}
	s := &scan{tracks: map[int]*track{0: tr}}
	if _, err := io.WriteString(s, strings.Repeat("x", 100_000)); err != nil || len(s.rest) > 4096 {
		t.Errorf("an overlong line keeps %d bytes", len(s.rest))
	}
	_, _ = io.WriteString(s, "\n")
	for i := range 20_000 {
		_, _ = fmt.Fprintf(s, "0,%d,%d,3000,K_\n", i*3000+i*i%2999, i*3000)
	}
	tr.finish()
	if tr.packets != 20_000 || cap(tr.pending) > 4*reorder || len(tr.shown.counts) > maxIntervals {
		t.Errorf("%d packets, %d pending, %d intervals", tr.packets, cap(tr.pending), len(tr.shown.counts))
	}
}

func TestEveryCodeOfTheseRoomsIsInTheTable(t *testing.T) {
	t.Parallel()
	codes := errorCodes(t)
	made := regexp.MustCompile(`fault\.New\(fault\.\w+, [\w".]+,\s*"([a-z_]+)"`)
	found := 0
	for _, pattern := range []string{"*.go", "../sandbox/*.go", "../pipeline/*.go", "../video/plan*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range made.FindAllSubmatch(b, -1) {
				found++
				if !codes[string(m[1])] {
					t.Errorf("%s: code %q is not in docs/ERRORS.md", file, m[1])
				}
			}
		}
	}
	if found < 30 {
		t.Errorf("only %d codes were found", found)
	}
}

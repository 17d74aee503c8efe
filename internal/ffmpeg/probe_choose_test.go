package ffmpeg

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

var full = flag.Bool("full", false, "probe, mix and decode every kind of track")

// The inputs of the tests of choice: a small film, a small still, a tone and silence, each of 3 s.
const (
	film    = "testsrc2=s=160x90:r=25:d=3"
	preview = "color=red:s=80x60:r=10:d=3"
	tone    = "sine=d=3:r=48000"
	silence = "anullsrc=r=48000:cl=stereo,atrim=0:3"
)

// inputs are the lavfi inputs of a command, all mapped in their order, and the options of the outputs.
func inputs(sources []string, options ...string) (args []string) {
	for _, s := range sources {
		args = append(args, "-f", "lavfi", "-i", s)
	}
	for i := range sources {
		args = append(args, "-map", string(rune('0'+i)))
	}
	return append(append(args, "-c:v", "mpeg4", "-pix_fmt", "yuv420p", "-c:a", "aac"), options...)
}

// patched makes src anew with its bytes changed by change.
func patched(t *testing.T, src string, change func([]byte) []byte) string {
	t.Helper()
	dst := filepath.Join(t.TempDir(), filepath.Base(src))
	if err := os.WriteFile(dst, change(read(t, src)), 0o600); err != nil {
		t.Fatal(err)
	}
	return dst
}

// unknownSound names the codec of the n-th AAC track of an MP4 or MOV by letters that no decoder knows.
func unknownSound(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		at := 0
		for left := n; ; at += 4 { // the sample entry: behind the head of its stsd
			at += bytes.Index(b[at:], []byte("mp4a"))
			if string(b[at-16:at-12]) != "stsd" {
				continue
			}
			if left == 0 {
				break
			}
			left--
		}
		copy(b[at:], "apac")
		copy(b[at+bytes.Index(b[at:], []byte("esds")):], "dapa")
		return b
	}
}

// withoutPIDs drops the packets of a transport stream that have one of the PIDs.
func withoutPIDs(pids ...int) func([]byte) []byte {
	return func(b []byte) (kept []byte) {
		for p := b; len(p) >= 188; p = p[188:] {
			if !slices.Contains(pids, int(p[1]&31)<<8|int(p[2])) {
				kept = append(kept, p[:188]...)
			}
		}
		return kept
	}
}

func TestProbe_SeveralTracks_ChoosesTheFilmAndItsSound(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	programs := []string{"-program", "title=One:st=0:st=1", "-program", "title=Two:st=2:st=3", "-c:a", "mp2", "-c:v", "mpeg2video", "-r", "25"}
	for _, c := range []struct {
		name, file   string
		long         bool // only with -full
		args         []string
		change       func([]byte) []byte
		video, sound int    // index in the file; -1 for none
		left         string // what the notes name, in order
	}{
		{long: true, name: "one of each", file: "a.mp4", args: inputs([]string{film, tone}), video: 0, sound: 1},
		{long: true, name: "sound first", file: "a.mkv", args: inputs([]string{tone, film}), video: 1, sound: 0},
		{name: "first sound in an unknown codec", file: "a.mov", args: inputs([]string{film, tone, tone}), change: unknownSound(0), video: 0, sound: 2, left: "Track 1"},
		{long: true, name: "second sound in an unknown codec", file: "a.mov", args: inputs([]string{film, tone, tone}), change: unknownSound(1), video: 0, sound: 1, left: "Track 2"},
		{long: true, name: "only sound in an unknown codec", file: "a.mov", args: inputs([]string{film, tone}), change: unknownSound(0), video: 0, sound: -1, left: "Track 1"},
		{name: "first sound empty", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-filter:a:0", "aselect=0"), video: 0, sound: 2, left: "Track 1"},
		{long: true, name: "first sound ends at once", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-filter:a:0", "atrim=0:0.3", "-disposition:a", "0"), video: 0, sound: 2},
		{name: "default flag on the second sound", file: "a.mkv", args: inputs([]string{film, silence, tone}, "-disposition:a:0", "0", "-disposition:a:1", "default"), video: 0, sound: 2},
		{name: "commentary with the default flag first", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-disposition:a:0", "default+comment", "-disposition:a:1", "0"), video: 0, sound: 2},
		{long: true, name: "sound for the hard of hearing first", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-disposition:a:0", "hearing_impaired", "-disposition:a:1", "0"), video: 0, sound: 2},
		{long: true, name: "a dub before the original", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-disposition:a:0", "dub", "-disposition:a:1", "original"), video: 0, sound: 2},
		{long: true, name: "only a commentary", file: "a.mkv", args: inputs([]string{film, tone}, "-disposition:a:0", "comment"), video: 0, sound: 1},
		{long: true, name: "no flags at all", file: "a.mkv", args: inputs([]string{film, tone, tone}, "-disposition:a", "0"), video: 0, sound: 1},
		{name: "one still first", file: "a.mkv", args: inputs([]string{preview, film, tone}, "-c:v:0", "mjpeg", "-pix_fmt:v:0", "yuvj420p", "-filter:v:0", "trim=end_frame=1", "-disposition:v:0", "default"), video: 1, sound: 2},
		{long: true, name: "thumbnails first", file: "a.mp4", args: inputs([]string{preview, film, tone}, "-c:v:0", "mjpeg", "-pix_fmt:v:0", "yuvj420p", "-r:v:0", "0.5"), video: 1, sound: 2},
		{long: true, name: "a preview that ends early first", file: "a.mkv", args: inputs([]string{preview, film, tone}, "-filter:v:0", "trim=0:1", "-disposition:v", "0"), video: 1, sound: 2},
		{long: true, name: "an empty picture first", file: "a.mkv", args: inputs([]string{preview, film, tone}, "-filter:v:0", "select=0"), video: 1, sound: 2, left: "Track 0"},
		{long: true, name: "the larger of two films", file: "a.mkv", args: inputs([]string{preview, film, tone}, "-disposition:v", "0"), video: 1, sound: 2},
		{long: true, name: "the film with the default flag", file: "a.mkv", args: inputs([]string{preview, film, tone}, "-disposition:v:0", "default", "-disposition:v:1", "0"), video: 0, sound: 2},
		{name: "a picture that may not be decoded first", file: "a.mov", args: inputs([]string{film, film, tone}, "-c:v:0", "sgi", "-pix_fmt:v:0", "rgb24"), video: 1, sound: 2, left: "Track 0"},
		{name: "an empty program first", file: "a.ts", args: inputs([]string{preview, tone, film, tone}, programs...), change: withoutPIDs(0x100, 0x101), video: 2, sound: 3},
		{long: true, name: "the sound of the film's program", file: "a.ts", args: inputs([]string{preview, tone, film, tone}, programs...), video: 2, sound: 3},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !*full {
				t.Skip("only with -full")
			}
			t.Parallel()
			src := makeMedia(t, tool, c.file, c.args...)
			if c.change != nil {
				src = patched(t, src, c.change)
			}
			f, err := tool.Probe(t.Context(), Whole(src), c.file)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			if got := trackOf(f.Video); got != c.video {
				t.Errorf("the film is track %d instead of %d", got, c.video)
			}
			sound := -1
			if a := f.MainAudio(); a != nil {
				sound = a.Index
			}
			if sound != c.sound {
				t.Errorf("the sound is track %d instead of %d", sound, c.sound)
			}
			var left []string
			for _, w := range f.Warnings {
				if w.Code != "track_left_out" {
					t.Errorf("warned of %+v", w)
				}
				left = append(left, strings.Join(strings.Fields(w.Message)[:2], " "))
			}
			if got := strings.Join(left, ", "); got != c.left {
				t.Errorf("left out %q instead of %q: %+v", got, c.left, f.Warnings)
			}
			if (f.Duration - 3*time.Second).Abs() > 200*time.Millisecond {
				t.Errorf("3 s measured as %v", f.Duration)
			}
		})
	}
}

func trackOf(v *video.VideoFacts) int {
	if v == nil {
		return -1
	}
	return v.Index
}

func TestRemux_SecondTrackIsChosen_CopyHasTheSameChoice(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "a.ts", inputs([]string{preview, tone, film, tone, silence}, "-program", "st=0:st=1", "-program", "st=2:st=3:st=4", "-c:a", "mp2", "-c:v", "mpeg2video", "-r", "25",
		"-disposition:a:2", "visual_impaired")...)
	f, err := tool.Probe(t.Context(), Whole(src), "a.ts")
	if err != nil {
		t.Fatal(err)
	}
	copied, got := seekable(t, tool, src)
	if got.Video.Width != 160 || len(got.Audio) != len(f.Audio) {
		t.Fatalf("the copy has %s", summary(got, nil))
	}
	for i, a := range got.Audio {
		if a.Main != f.Audio[i].Main {
			t.Errorf("audio track %d of %s: main is %v", i, filepath.Base(copied), a.Main)
		}
	}
}

package ffmpeg

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/video"
)

// copyAndProbe remuxes src if its facts ask for it, and probes the copy.
func copyAndProbe(t *testing.T, tool *Tool, src string) (before, after video.Facts) {
	t.Helper()
	before, err := tool.Probe(t.Context(), Whole(src), filepath.Base(src))
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	container := RemuxFor(before)
	if container == "" {
		t.Fatalf("needs no copy: %s", summary(before, nil))
	}
	dst := filepath.Join(t.TempDir(), "copy")
	if err := tool.Remux(t.Context(), src, dst, before, container); err != nil {
		t.Fatal(err, Detail(err))
	}
	after, err = tool.Probe(t.Context(), Whole(dst), "copy")
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	if !after.Seekable || RemuxFor(after) != "" {
		t.Errorf("the copy cannot be sought in: %s", summary(after, nil))
	}
	return before, after
}

// together reports whether two times are one within a frame of sound.
func together(a, b time.Duration) bool { return (a - b).Abs() < 30*time.Millisecond }

func TestACopyKeepsTheOffsetOfSoundAndPicture(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for _, name := range []string{"a.ts", "a.flv", "a.mpg", "a.asf"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := []string{"-f", "lavfi", "-i", "sine=d=4:r=44100", "-itsoffset", "1.2", "-f", "lavfi", "-i", "testsrc2=s=320x180:d=2:r=25", "-map", "1", "-map", "0"}
			switch name {
			case "a.ts", "a.flv":
				args = append(args, "-c:v", "libx264", "-c:a", "aac")
			case "a.mpg":
				args = append(args, "-c:v", "mpeg2video", "-c:a", "mp2")
			case "a.asf":
				args = append(args, "-c:v", "msmpeg4v3", "-c:a", "wmav2")
			}
			before, after := copyAndProbe(t, tool, makeMedia(t, tool, name, args...))
			if !together(before.Video.Start-before.Audio[0].Start, after.Video.Start-after.Audio[0].Start) ||
				!together(before.Duration, after.Duration) || before.Video.Rate != after.Video.Rate || before.Video.Packets != after.Video.Packets {
				t.Errorf("before %s\nafter %s", summary(before, nil), summary(after, nil))
			}
		})
	}
}

func TestABreakInTheClockOfATransportStreamIsMended(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	var joined bytes.Buffer
	for _, offset := range []string{"0", "5000", "100"} {
		part := makeMedia(t, tool, "part.ts", "-f", "lavfi", "-i", "testsrc2=s=320x180:d=2:r=25", "-f", "lavfi", "-i", "sine=d=2:r=48000", "-c:v", "libx264", "-bf", "0",
			"-c:a", "aac", "-output_ts_offset", offset)
		b, err := os.ReadFile(part)
		if err != nil {
			t.Fatal(err)
		}
		joined.Write(b)
	}
	before, after := copyAndProbe(t, tool, writeFile(t, "joined.ts", joined.String()))
	for _, f := range []video.Facts{before, after} {
		if f.Duration < 5800*time.Millisecond || f.Duration > 6500*time.Millisecond || f.Video.Packets != 150 {
			t.Errorf("3 × 2 s became %s", summary(f, nil))
		}
	}
}

func TestRealSourcesWithoutAnIndexCanBeCopied(t *testing.T) {
	t.Parallel()
	corpusFiles(t)
	tool := newTool(t)
	for i, name := range []string{
		"broken/brokensps.flv", "broken/duration-lies-165s.webm", "broken/no-initial-keyframe.ts", "camera/avchd-1080i-ac3.mts", "codec/h264-aac.flv",
		"codec/mpeg1-weird-aspect.mpg", "codec/mpeg2-480i-scte20-captions.ts", "codec/mpeg2-pal-576i-sar64x45.ts", "codec/msmpeg4v3-wma2-160x120.asf",
		"codec/theora-vorbis-sar.ogv", "long/bbb-720p25-h264-aac51-100s.ts", "structure/fragmented.mp4", "structure/te[s]t_ video ' _ .flv",
	} {
		if !*full && i%3 > 0 {
			continue // make drill takes all
		}
		t.Run(name, func(t *testing.T) {
			src, err := filepath.Abs(filepath.Join(corpus, name))
			if err != nil {
				t.Fatal(err)
			}
			before, after := copyAndProbe(t, tool, src)
			t.Logf("\nbefore %s\nafter  %s", summary(before, nil), summary(after, nil))
			if (before.Duration - after.Duration).Abs() > max(500*time.Millisecond, before.Duration/100) {
				t.Errorf("%v became %v", before.Duration, after.Duration)
			}
			if !before.Video.VFR && before.Video.Rate != after.Video.Rate {
				t.Errorf("%v frames a second became %v", before.Video.Rate, after.Video.Rate)
			}
		})
	}
}

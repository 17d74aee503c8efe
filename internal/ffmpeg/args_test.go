package ffmpeg

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// golden compares lines with testdata/name; -update rewrites it.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	got := strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want := string(read(t, path)); got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// perLine puts each option on a line of its own with its value, without the lists of what may be opened.
func perLine(args []string) (lines []string) {
	for i, a := range args {
		option := strings.HasPrefix(a, "-") && a != "-1"
		switch {
		case strings.HasSuffix(a, "_whitelist") || i > 0 && strings.HasSuffix(args[i-1], "_whitelist"):
		case option || len(lines) == 0 || strings.Contains(lines[len(lines)-1], " "):
			lines = append(lines, a)
		default:
			lines[len(lines)-1] += " " + a
		}
	}
	return lines
}

func TestTheCommandOfAChunk(t *testing.T) {
	t.Parallel()
	limits := video.Limits{Pixels: 8192 * 4320, Streams: 32}
	for _, c := range []struct {
		name      string
		rate      video.Ratio
		chunk     video.Chunk
		fromStart bool
		change    func(*video.VideoFacts, *video.Plan)
	}{
		{name: "first", rate: video.Ratio{Num: 25, Den: 1}, chunk: video.Chunk{Frames: 400}},
		{name: "middle", rate: video.Ratio{Num: 30000, Den: 1001}, chunk: video.Chunk{N: 1, Start: 480, Frames: 480}},
		{name: "middle-from-start", rate: video.Ratio{Num: 30000, Den: 1001}, chunk: video.Chunk{N: 1, Start: 480, Frames: 480}, fromStart: true},
		{name: "last-one-rung-interlaced", rate: video.Ratio{Num: 25, Den: 1}, chunk: video.Chunk{N: 2, Start: 800}, change: func(v *video.VideoFacts, p *video.Plan) {
			v.Width, v.Height, v.Matrix = 720, 576, "bt470bg"
			p.Rungs, p.Filter.Deinterlace = p.Rungs[:1], true
		}},
		{name: "rotated-between-frames", rate: video.Ratio{Num: 30, Den: 1}, chunk: video.Chunk{Frames: 480}, change: func(v *video.VideoFacts, p *video.Plan) {
			v.Start, p.Filter.Rotation = 45*time.Millisecond, 270
		}},
		{name: "hdr", rate: video.Ratio{Num: 24, Den: 1}, chunk: video.Chunk{Frames: 480}, change: func(v *video.VideoFacts, p *video.Plan) {
			v.PixFmt, v.Transfer, v.Primaries, v.Matrix = "yuv420p10le", "smpte2084", "bt2020", "bt2020nc"
			p.Filter.ToneMap = true
		}},
		{name: "alpha", rate: video.Ratio{Num: 24, Den: 1}, chunk: video.Chunk{Frames: 480}, change: func(v *video.VideoFacts, _ *video.Plan) { v.PixFmt = "yuva444p12le" }},
		{name: "rgb", rate: video.Ratio{Num: 24, Den: 1}, chunk: video.Chunk{Frames: 480}, change: func(v *video.VideoFacts, _ *video.Plan) { v.PixFmt = "bgr24" }},
		{name: "wide-gamut", rate: video.Ratio{Num: 24, Den: 1}, chunk: video.Chunk{Frames: 480}, change: func(v *video.VideoFacts, _ *video.Plan) {
			v.PixFmt, v.Primaries, v.Matrix, v.FullRange = "yuv420p10le", "bt2020", "bt2020nc", true
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, p := clip(c.rate, 1280, 720, 1200, 400)
			if c.change != nil {
				c.change(f.Video, &p)
			}
			args := chunkArgs(limits, "/data/source.mp4", f, p, c.chunk, 1, decoding{fromStart: c.fromStart})
			golden(t, "chunk-"+c.name+".txt", perLine(args))
		})
	}
}

func TestTheCommandsOfTheSound(t *testing.T) {
	t.Parallel()
	a := video.AudioRung{Bitrate: 128_000, Channels: 2, SampleRate: 48_000}
	golden(t, "audio.txt", perLine(audioArgs(video.Limits{}, "/data/source.mp4", sound{left: 1}, a, 0, "-copyts", "-start_at_zero")))
	golden(t, "audio-shifted.txt", perLine(audioArgs(video.Limits{}, "/data/level.mkv", sound{}, a, -0.0117, "-copyts")))
	golden(t, "audio-level.txt", perLine(levelArgs(video.Limits{}, "/data/source.mkv", sound{}, a)))
}

package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

// matrixOf reads a pan filter back: the gain of each channel on either side.
func matrixOf(t *testing.T, filter string, channels int) (sides [2][]float64) {
	t.Helper()
	parts := strings.Split(filter, "|")
	if len(parts) != 3 || parts[0] != "pan=stereo" {
		t.Fatalf("%q is no mix to stereo", filter)
	}
	for side := range sides {
		sides[side] = make([]float64, channels)
		for _, m := range regexp.MustCompile(`([+-]?[0-9.]+)\*c(\d+)`).FindAllStringSubmatch(parts[side+1], -1) {
			gain, _ := strconv.ParseFloat(m[1], 64)
			n, _ := strconv.Atoi(m[2])
			if n >= channels {
				t.Fatalf("%q names channel %d of %d", filter, n, channels)
			}
			sides[side][n] = gain
		}
	}
	return sides
}

func TestMixed_AnyCountAndLayout_HearsEachChannelAndCannotClip(t *testing.T) {
	t.Parallel()
	tracks := map[string]video.AudioFacts{
		"FL alone": {Channels: 1, Layout: "1 channels (FL)"}, "LFE alone": {Channels: 1, Layout: "1 channels (LFE)"},
		"left only": {Channels: 2, Layout: "2 channels (FL+BL)"}, "unheard of": {Channels: 3, Layout: "3 channels (FL+XYZ+USR7)"},
		"a name of tomorrow": {Channels: 13, Layout: "11.1.1"}, "ambisonic 1": {Channels: 4, Layout: "ambisonic 1"},
		"ambisonic 3 with a head": {Channels: 18, Layout: "ambisonic 3+stereo"},
	}
	for n := 3; n <= maxChannels; n++ {
		tracks[fmt.Sprintf("%d without a layout", n)] = video.AudioFacts{Channels: n}
	}
	for name, list := range layouts {
		tracks[name] = video.AudioFacts{Channels: strings.Count(list, "+") + 1, Layout: name}
	}
	for name, a := range tracks {
		filters := mixed(a)
		if len(filters) != 1 {
			t.Errorf("%s: %q", name, filters)
			continue
		}
		sides := matrixOf(t, filters[0], a.Channels)
		for side, gains := range sides {
			sum := 0.0
			for _, g := range gains {
				sum += math.Abs(g)
			}
			if sum > 1.0001 || sum == 0 {
				t.Errorf("%s: side %d has gains of %.4f in all", name, side, sum)
			}
		}
		heard := 0
		for c := range a.Channels {
			if sides[0][c] != 0 || sides[1][c] != 0 {
				heard++
			}
		}
		silent := strings.Count(layouts[a.Layout], "LFE")
		if strings.HasPrefix(a.Layout, "ambisonic") {
			silent = 16 - 2
			if a.Channels == 4 {
				silent = 4 - 2
			}
		}
		if heard != a.Channels-silent {
			t.Errorf("%s: %d of %d channels are heard: %s", name, heard, a.Channels, filters[0])
		}
	}
	for _, name := range cinema {
		if got := mixed(video.AudioFacts{Channels: 6, Layout: name}); got != nil {
			t.Errorf("%s: %q instead of ffmpeg's own mix", name, got)
		}
	}
}

// TestSoundOf_FactsOfAnOlderVersion_LeavesTheMixToFFmpeg encodes a generation whose facts were recorded before layouts
// were: six channels of 5.1, which are not six of which nothing is known.
func TestSoundOf_FactsOfAnOlderVersion_LeavesTheMixToFFmpeg(t *testing.T) {
	t.Parallel()
	for main, mixes := range map[bool]bool{false: false, true: true} {
		f := video.Facts{Audio: []video.AudioFacts{{Index: 1, Main: main, Codec: "ac3", Channels: 6}}}
		if got := soundOf(f, video.AudioRung{Stream: 1}).mix; (got != nil) != mixes {
			t.Errorf("main %v: %q", main, got)
		}
	}
}

// levels are the peaks of both sides of a stereo track, 0 to 1.
func levels(t *testing.T, tool *Tool, path string) (sides [2]float64) {
	t.Helper()
	var out bytes.Buffer
	if _, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), reads: []string{path}, stdout: &out,
		args: []string{"-i", path, "-f", "s16le", "-ac", "2", "pipe:1"}}); err != nil {
		t.Fatal(err, Detail(err))
	}
	for b := out.Bytes(); len(b) >= 4; b = b[4:] {
		for side := range sides {
			sides[side] = max(sides[side], math.Abs(float64(int16(binary.LittleEndian.Uint16(b[2*side:]))))/32768)
		}
	}
	return sides
}

func TestEncodeAudio_ManyChannels_MixesThem(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	const sine = "0.5*sin(2*PI*500*t)"
	in := func(channel, of int, layout string) []string { // a tone in one channel of so many
		all := slices.Repeat([]string{"0"}, of)
		all[channel] = sine
		return []string{"-f", "lavfi", "-i", fmt.Sprintf("aevalsrc='%s':d=0.5:s=48000%s", strings.Join(all, "|"), layout), "-c:a", "pcm_s16le"}
	}
	// merged makes channels without a layout.
	merged := func(channel, of int) []string {
		args := []string{"-f", "lavfi", "-i", "aevalsrc=" + sine + ":d=0.5:s=48000:c=mono", "-f", "lavfi", "-i", "aevalsrc=0:d=0.5:s=48000:c=mono"}
		graph, inputs := fmt.Sprintf("[1:a]asplit=%d", of), ""
		for i := range of {
			graph += fmt.Sprintf("[z%d]", i)
			if i == channel {
				inputs += "[0:a]"
			} else {
				inputs += fmt.Sprintf("[z%d]", i)
			}
		}
		return append(args, "-filter_complex", graph+";"+inputs+fmt.Sprintf("amerge=inputs=%d[a];[z%d]anullsink", of, channel), "-map", "[a]", "-c:a", "pcm_s16le")
	}
	for _, c := range []struct {
		long        bool // only with -full
		name, file  string
		args        []string
		left, right bool
	}{
		{true, "3 without a layout", "a.mkv", merged(2, 3), true, true},
		{false, "10 without a layout", "a.mkv", merged(9, 10), false, true},
		{true, "64 without a layout", "a.wav", merged(0, 64), true, false},
		{false, "a top channel", "a.wav", in(9, 12, ":c=FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR"), false, true},
		{true, "22.2", "a.wav", in(12, 24, ":c=22.2"), true, false},
		{true, "hexadecagonal", "a.wav", in(15, 16, ":c=hexadecagonal"), false, true},
		{false, "one channel that is named left", "a.wav", in(0, 1, ":c=FL"), true, true},
		{true, "5.1", "a.wav", in(4, 6, ":c=5.1"), true, false},
		{false, "a stereo pair of tracks", "a.mxf", append(append([]string{"-f", "lavfi", "-i", "color=s=320x180:r=25:d=0.5"}, in(0, 1, ":c=mono")...),
			"-f", "lavfi", "-i", "aevalsrc=0:d=0.5:s=48000:c=mono", "-map", "0", "-map", "1", "-map", "2"), true, false},
		{true, "a stereo pair in MOV", "a.mov", append(append([]string{"-f", "lavfi", "-i", "aevalsrc=0:d=0.5:s=48000:c=mono"}, in(0, 1, ":c=mono")...),
			"-map", "0", "-map", "1"), false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.long && !*full {
				t.Skip("only with -full")
			}
			t.Parallel()
			src, f := seekable(t, tool, makeMedia(t, tool, c.file, c.args...))
			if c.file == "a.mxf" {
				f.Container = "mxf" // as ingest has it of the original
			}
			p, err := video.MakePlan(f, video.Settings{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			made, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			sides := levels(t, tool, joined(t, made))
			if sides[0] > 0.005 != c.left || sides[1] > 0.005 != c.right || sides[0] > 0.9 || sides[1] > 0.9 {
				t.Errorf("the peaks are %.3f and %.3f; facts %s", sides[0], sides[1], summary(f, nil))
			}
		})
	}
}

// TestEncodeAudio_PairOfUnequalLength_LastsAsLongAsTheLonger encodes a stereo pair of two tracks of one channel each.
func TestEncodeAudio_PairOfUnequalLength_LastsAsLongAsTheLonger(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for _, seconds := range [][2]int{{3, 2}, {2, 3}} {
		src := makeMedia(t, tool, "a.mov", "-f", "lavfi", "-i", fmt.Sprint("sine=f=440:r=48000:d=", seconds[0]),
			"-f", "lavfi", "-i", fmt.Sprint("sine=f=880:r=48000:d=", seconds[1]), "-map", "0", "-map", "1", "-c:a", "pcm_s16le", "-ac", "1")
		f, err := tool.Probe(t.Context(), Whole(src), "a.mov")
		if err != nil {
			t.Fatal(err, Detail(err))
		}
		p, err := video.MakePlan(f, video.Settings{}, 1)
		if err != nil {
			t.Fatal(err)
		}
		made, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
		if err != nil {
			t.Fatal(err, Detail(err))
		}
		last := made.Track.Segments[len(made.Track.Segments)-1]
		length := time.Duration(last.Start+last.Duration) * time.Second / 48000
		if p.Audio.Right == 0 || length < 2900*time.Millisecond || p.Sound(f).Duration < 2900*time.Millisecond || made.Added > 0 {
			t.Errorf("%d s and %d s make %s, %s of it added; the source has %s", seconds[0], seconds[1], length, made.Added, p.Sound(f).Duration)
		}
	}
}

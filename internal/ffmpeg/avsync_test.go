package ffmpeg

import (
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/video"
)

// allowed is how far sound and picture may be moved against each other: seconds (ITU-R BT.1359 finds 45 ms detectable).
const allowed = 0.020

// printed runs path's stream through a filter that prints metadata and returns the values of key with their times.
func printed(t *testing.T, tool *Tool, path, stream, filter, key string) (times, values []float64) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-copyts", "-i", path, "-map", "0:" + stream + ":0", "-" + stream + "f",
		filter + "=print:key=" + key + ":file=out.txt", "-f", "null", "-"}
	if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{path}, args: args}); err != nil {
		t.Fatal(err, Detail(err))
	}
	now := 0.0
	for line := range strings.Lines(string(read(t, filepath.Join(dir, "out.txt")))) {
		if _, after, ok := strings.Cut(line, "pts_time:"); ok {
			now, _ = strconv.ParseFloat(strings.TrimSpace(after), 64)
		} else if _, after, ok := strings.Cut(line, key+"="); ok {
			if v, err := strconv.ParseFloat(strings.TrimSpace(after), 64); err == nil {
				times, values = append(times, now), append(values, v)
			}
		}
	}
	return times, values
}

// flashes are the times at which the picture turns from black to white: seconds.
func flashes(t *testing.T, tool *Tool, path string) (onsets []float64) {
	times, values := printed(t, tool, path, "v", "signalstats,metadata", "lavfi.signalstats.YAVG")
	for i := 1; i < len(times); i++ {
		if values[i-1] < 120 && values[i] > 120 {
			onsets = append(onsets, times[i])
		}
	}
	return onsets
}

// beeps are the times at which silence ends: seconds, to the sample.
func beeps(t *testing.T, tool *Tool, path string) []float64 {
	_, ends := printed(t, tool, path, "a", "silencedetect=noise=-20dB:duration=0.3,ametadata", "lavfi.silence_end")
	return ends
}

// lags are how much later the picture comes than the sound, in the order of the beeps: seconds.
func lags(flashes, beeps []float64) (all []float64) {
	for _, b := range beeps {
		for _, f := range flashes {
			if math.Abs(f-b) < 0.4 {
				all = append(all, f-b)
			}
		}
	}
	return all
}

// shifted moves the picture of src by some seconds.
func shifted(t *testing.T, tool *Tool, src, by string) string {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-itsoffset", by, "-i", src, "-i", src, "-map", "0:v", "-map", "1:a", "-c", "copy", "shifted.mkv"}
	if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{src}, args: args}); err != nil {
		t.Fatal(err, Detail(err))
	}
	return filepath.Join(dir, "shifted.mkv")
}

func TestFlashesAndBeepsStayTogether(t *testing.T) {
	t.Parallel()
	const flash = "color=black:s=160x96:d=6:r=%s,drawbox=enable='lt(mod(t\\,1)\\,0.1)':color=white:t=fill"
	const sound = "aevalsrc=" + beep + ":s=%d:d=6"
	for _, c := range []struct {
		name, file      string
		rate, source    string // of the output, and of the source where it is another one
		hz              int
		picture, sound  string // input options
		filter, options string
		shift           string // seconds by which the picture is moved behind the sound, between the frames too
	}{
		{name: "CFR 25", file: "a.mp4", rate: "25/1", hz: 48000},
		{name: "29.97", file: "a.mp4", rate: "30000/1001", hz: 44100},
		{name: "VFR", file: "a.mp4", rate: "30/1", source: "60/1", hz: 48000,
			filter: "select='gt(random(7)\\,0.4)',setpts=PTS+mod(N*37\\,11)*0.001/TB", options: "-fps_mode vfr -video_track_timescale 90000"},
		{name: "late video", file: "a.mp4", rate: "25/1", hz: 44100, picture: "-itsoffset 1.313"},
		{name: "pictures between the frames", file: "a.mp4", rate: "25/1", hz: 48000, shift: "0.019"},
		{name: "pictures half way between the frames", file: "a.mp4", rate: "15/1", hz: 48000, shift: "0.1"},
		{name: "late sound", file: "a.mp4", rate: "25/1", hz: 44100, sound: "-itsoffset 0.737"},
		{name: "slightly late sound", file: "a.mkv", rate: "25/1", hz: 48000, sound: "-itsoffset 0.055"},
		{name: "transport stream", file: "a.ts", rate: "25/1", hz: 48000, sound: "-itsoffset 0.31"},
		{name: "transport stream with sound ahead", file: "a.ts", rate: "30000/1001", hz: 48000, picture: "-itsoffset 0.31"},
		{name: "Matroska, 59.94", file: "a.mkv", rate: "60000/1001", hz: 44100},
		{name: "a hole in the sound", file: "a.mkv", rate: "25/1", hz: 48000, options: "-af aselect='not(between(t\\,3.3\\,5.35))' -c:a libopus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tool := newTool(t)
			if c.source == "" {
				c.source = c.rate
			}
			picture := fmt.Sprintf(flash, c.source)
			if c.filter != "" {
				picture += "," + c.filter
			}
			args := append(strings.Fields(c.picture), "-f", "lavfi", "-i", picture)
			args = append(append(args, strings.Fields(c.sound)...), "-f", "lavfi", "-i", fmt.Sprintf(sound, c.hz))
			args = append(append(args, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "60"), strings.Fields(c.options)...)
			source := makeMedia(t, tool, c.file, args...)
			if c.shift != "" {
				source = shifted(t, tool, source, c.shift)
			}

			src, f := seekable(t, tool, source)
			p, err := video.MakePlan(f, video.Settings{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprintf("%d/%d", p.Rate.Num, p.Rate.Den); got != c.rate {
				t.Fatalf("planned %s frames a second instead of %s", got, c.rate)
			}
			p.Rungs, p.Chunks, p.SegmentFrames = p.Rungs[:1], nil, p.GOP
			for start := int64(0); start < p.Frames; start += int64(p.GOP) {
				p.Chunks = append(p.Chunks, video.Chunk{N: len(p.Chunks), Start: start, Frames: int64(p.GOP)})
			}
			if last := &p.Chunks[len(p.Chunks)-1]; p.Pictures == 0 {
				last.Frames = 0
			} else { // the sound is longer, and the last picture is held to its end
				last.Frames = p.Frames - last.Start
			}
			tracks, _ := encodeAll(t, tool, src, f, p)
			sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			before := lags(flashes(t, tool, source), beeps(t, tool, source))
			after := lags(flashes(t, tool, joined(t, tracks[0])), beeps(t, tool, joined(t, sound)))
			if len(before) < 3 || len(after) < len(before) {
				t.Fatalf("%d flashes with a beep, in the source %d", len(after), len(before))
			}
			after = after[len(after)-len(before):] // a late sound begins in silence only where it was filled
			for i, b := range before {
				if a := after[i]; math.Abs(a-b) > allowed {
					t.Errorf("beep %d: the picture comes %+.1f ms after the sound, in the source %+.1f ms", i, a*1000, b*1000)
				}
			}
			t.Log(before, after)
		})
	}
}

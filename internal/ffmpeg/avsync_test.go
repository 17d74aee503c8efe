package ffmpeg

import (
	"bytes"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

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

// lag is how much later the picture comes than the sound, per second of the clip.
func lag(flashes, beeps []float64) map[int]float64 {
	lags := map[int]float64{}
	for _, f := range flashes {
		for _, b := range beeps {
			if math.Abs(f-b) < 0.4 {
				lags[int(math.Round(b))] = f - b
			}
		}
	}
	return lags
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

// videoStart is when the first picture is shown, counted from the start of the earliest stream.
func videoStart(t *testing.T, tool *Tool, path string) time.Duration {
	t.Helper()
	var out bytes.Buffer
	args := []string{"-show_entries", "format=start_time:stream=start_time", "-select_streams", "v:0", "-of", "csv=p=0", "-i", path}
	if _, err := tool.run(t.Context(), spec{op: "test", probe: true, dir: t.TempDir(), reads: []string{path}, stdout: &out, args: args}); err != nil {
		t.Fatal(err)
	}
	var stream, file float64
	if _, err := fmt.Sscanf(out.String(), "%f\n%f", &stream, &file); err != nil {
		t.Fatal(err, out.String())
	}
	return time.Duration((stream - file) * float64(time.Second))
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
		copy            string
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
		{name: "transport stream", file: "a.ts", rate: "25/1", hz: 48000, copy: "matroska", sound: "-itsoffset 0.31"},
		{name: "transport stream into MP4", file: "a.ts", rate: "30000/1001", hz: 48000, copy: "mp4", picture: "-itsoffset 0.31"},
		{name: "Matroska, 59.94", file: "a.mkv", rate: "60000/1001", hz: 44100},
		{name: "a hole in the sound", file: "a.mkv", rate: "25/1", hz: 48000, options: "-af aselect='not(between(t\\,3.3\\,5.35))' -c:a libopus"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tool := newTool(t)
			var rate video.Ratio
			if _, err := fmt.Sscanf(c.rate, "%d/%d", &rate.Num, &rate.Den); err != nil {
				t.Fatal(err)
			}
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
			src := copied(t, tool, makeMedia(t, tool, c.file, args...), c.copy)
			if c.shift != "" {
				src = shifted(t, tool, src, c.shift)
			}

			f, p := clip(rate, 160, 96, int64(6*rate.Float()), 2*int64(rate.Float()+0.5))
			f.Video.VFR, f.Video.Start = c.source != c.rate, videoStart(t, tool, src)
			p.Rungs = p.Rungs[:1]
			f.Audio = []video.AudioFacts{{Index: 1}}
			p.Audio = &video.AudioRung{Stream: 1, Name: "audio", Bitrate: 128_000, Channels: 2, SampleRate: 48_000}
			tracks, _ := encodeAll(t, tool, src, f, p)
			sound, err := tool.EncodeAudio(t.Context(), src, f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			before := lag(flashes(t, tool, src), beeps(t, tool, src))
			after := lag(flashes(t, tool, joined(t, tracks[0])), beeps(t, tool, joined(t, sound)))
			if len(before) < 3 {
				t.Fatalf("only %d flashes with a beep in the source", len(before))
			}
			for k, b := range before {
				a, ok := after[k]
				if !ok {
					t.Errorf("second %d: a flash or a beep is gone", k)
				} else if math.Abs(a-b) > allowed {
					t.Errorf("second %d: the picture comes %+.1f ms after the sound, in the source %+.1f ms", k, a*1000, b*1000)
				}
			}
			t.Log(before, after)
		})
	}
}

package drill

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/test/rig"
)

// The film of these inputs is 320×180 and flashes, and its sound beeps; everything else is smaller or silent.
const (
	flashing = "color=c=black:s=320x180:r=25:d=6,drawbox=c=white:t=fill:enable='lt(mod(t,1),0.1)'"
	beeping  = "aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)':s=48000:d=6"
	mute     = "anullsrc=r=48000:cl=stereo:d=6"
)

// tracksFaults are files of several tracks, many channels and codecs of captures and archives.
var tracksFaults = []faultInput{
	{name: "apac-first", make: script("apac-first", ".mov"), right: heard("track_left_out")},
	{name: "ch10-no-layout", make: script("ch10-no-layout", ".mkv"), right: heard("")},
	{name: "commentary-first", make: script("commentary-first", ".mkv"), right: heard("")},
	{name: "still-track-first", make: script("still-track-first", ".mkv"), right: heard("")},
	{name: "two-programs-first-empty", make: script("two-programs-first-empty", ".ts"), right: heard("")},
	{name: "zmbv-70", make: script("zmbv-70", ".avi"), right: heard("")},
	{name: "jpeg2000-mxf", make: script("jpeg2000-mxf", ".mxf"), right: heard("")},
	{name: "empty sound first", make: tracks("a.mkv", []string{flashing, mute, beeping}, "-filter:a:0", "aselect=0"), right: heard("track_left_out")},
	{name: "commentary with the default flag", make: tracks("a.mkv", []string{flashing, mute, beeping}, "-disposition:a:0", "default+comment",
		"-disposition:a:1", "0"), right: heard("")},
	{name: "empty picture first", make: tracks("a.mkv", []string{"color=s=80x60:d=1", flashing, beeping}, "-filter:v:0", "select=0"), right: heard("track_left_out")},
	{name: "thumbnails first", make: tracks("a.mp4", []string{"color=s=80x60:r=1:d=6", flashing, beeping}, "-c:v:0", "mjpeg"), right: heard("")},
	{name: "sound in a cinema's 22.2", make: channels("22.2", 24), right: heard("")},
	{name: "sound in 7.1.4", make: channels("FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR", 12), right: heard("")},
	{name: "a pair of mono tracks in MXF", make: tracks("a.mxf", []string{flashing, "anullsrc=r=48000:cl=mono:d=6", beeping}, "-c:v", "mpeg2video", "-c:a", "pcm_s16le"), right: heard("")},
	{name: "audio in Matroska", make: tracks("a.mka", []string{beeping}), right: heard("")},
	{name: "FFV1 in Matroska", make: tracks("a.mkv", []string{flashing, beeping}, "-c:v", "ffv1", "-c:a", "wavpack"), right: heard("")},
	{name: "UT Video in AVI", make: tracks("a.avi", []string{flashing, beeping}, "-c:v", "utvideo", "-c:a", "adpcm_ms"), right: heard("")},
	{name: "RealVideo", make: tracks("a.rm", []string{flashing, beeping}, "-c:v", "rv20", "-c:a", "ac3", "-s", "352x288"), right: heard("")},
	{name: "a picture that fades in", make: lavfi("a.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=6,fade=in:st=1:d=1", "-c:v", "libx264", "-pix_fmt", "yuv420p"),
		right: func(t *testing.T, _ *rig.Server, v rig.Video) {
			mustBeReady(t, v)
			if _, body := rig.Get(t, v.Playback.Poster); lightOf(t, body) < 60 {
				t.Error("the poster is dark")
			}
		}},
}

// tracks has ffmpeg make a file of lavfi sources, one track each.
func tracks(name string, sources []string, more ...string) func(*testing.T) string {
	var args []string
	for _, s := range sources {
		args = append(args, "-f", "lavfi", "-i", s)
	}
	for i := range sources {
		args = append(args, "-map", fmt.Sprint(i))
	}
	return lavfi(name, append(append(args, "-pix_fmt", "yuv420p"), more...)...)
}

// channels has ffmpeg make a film whose sound beeps in the last channel of a layout.
func channels(layout string, n int) func(*testing.T) string {
	beep := strings.TrimSuffix(strings.TrimPrefix(beeping, "aevalsrc="), ":s=48000:d=6")
	return tracks("a.mkv", []string{flashing, "aevalsrc=" + strings.Repeat("0|", n-1) + beep + ":s=48000:d=6:c=" + layout}, "-c:a", "pcm_s16le")
}

// heard wants a video whose picture, if any, is the film's, whose sound is not silent, and whose source warns of this.
func heard(warning string) func(*testing.T, *rig.Server, rig.Video) {
	return func(t *testing.T, _ *rig.Server, v rig.Video) {
		mustBeReady(t, v)
		if len(v.Renditions) > 0 && v.Renditions[0].Width < 300 {
			t.Errorf("the picture is %s", v.Sizes())
		}
		var body struct {
			Source struct{ Warnings []struct{ Code string } }
		}
		if err := json.Unmarshal(v.Raw, &body); err != nil {
			t.Fatal(err)
		}
		var codes []string
		for _, w := range body.Source.Warnings {
			codes = append(codes, w.Code)
		}
		if warning == "" && slices.Contains(codes, "track_left_out") || warning != "" && !slices.Contains(codes, warning) {
			t.Errorf("the source warns of %v; want %q", codes, warning)
		}
		if loudest(t, v.Playback.HLS) < 0.02 {
			t.Error("the sound is silent")
		}
	}
}

// loudest is the peak of the sound of a presentation, 0 to 1.
func loudest(t *testing.T, address string) float64 {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", address, "-map", "0:a:0", "-f", "s8", "-ac", "1", "-").Output()
	if err != nil {
		t.Fatal(err)
	}
	peak := 0
	for _, b := range out {
		peak = max(peak, int(int8(b)), -int(int8(b)))
	}
	return float64(peak) / 128
}

// lightOf is the mean luma of a picture.
func lightOf(t *testing.T, picture []byte) int {
	t.Helper()
	path := filepath.Join(t.TempDir(), "picture.jpg")
	if err := os.WriteFile(path, picture, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", path, "-vf", "scale=1:1:flags=area,format=gray", "-f", "rawvideo", "-").Output()
	if err != nil || len(out) != 1 {
		t.Fatal(err, bytes.TrimSpace(out))
	}
	return int(out[0])
}

package drill

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/test/rig"
)

// endsFaults are tracks of unequal length, and sizes and rates that change.
var endsFaults = []faultInput{
	{name: "sound-ends-early", make: script("sound-ends-early", ".mp4"), right: played(5, 60)},
	{name: "picture-ends-early", make: script("picture-ends-early", ".mp4"), right: played(5, 60)},
	{name: "sound-ends-early, TS", make: lavfi("a.ts", unequal("30", "4", "0", "0")...), right: together(30)},
	{name: "picture-ends-early, TS", make: lavfi("a.ts", unequal("4", "30", "0", "0")...), right: together(30)},
	{name: "sound-starts-late", make: lavfi("a.mkv", unequal("20", "10", "0", "10")...), right: together(20)},
	{name: "picture-starts-late", make: lavfi("a.mkv", unequal("10", "40", "25", "0")...), right: together(40)},
	{name: "sound-tail-of-0.1-s", make: lavfi("a.mp4", unequal("6", "6.1", "0", "0")...), right: together(6.1)},
	{name: "one-picture-and-sound", make: lavfi("a.mp4", unequal("0.04", "60", "0", "0")...), right: together(60)},
	{name: "sound-with-a-hole", make: soundWithHole, right: together(20)},
	{name: "picture-ends-15-minutes-early", make: lavfi("a.mp4", unequal("5", "900", "0", "0")...), right: played(5, 900)},
	{name: "sound-ends-15-minutes-early", make: lavfi("a.mp4", append(unequal("900", "5", "0", "0"), "-r", "5",
		"-s", "128x72")...), right: played(5, 900)},
	{name: "picture-starts-15-minutes-late", make: lavfi("a.mkv", unequal("5", "905", "900", "0")...), right: played(900, 905)},
	{name: "sound-starts-15-minutes-late", make: lavfi("a.mkv", append(unequal("905", "5", "0", "900"), "-r", "5",
		"-s", "128x72")...), right: played(900, 905)},
	{name: "size-grows", make: script("size-grows", ".webm"), right: sized(1280, 720)},
	{name: "size-grows, own", make: joined("1280x720", "320x180:1", "1280x720:4"), right: sized(1280, 720)},
	{name: "turned-midway", make: script("turned-midway", ".webm"), right: sized(360, 640)},
	{name: "turned-midway, own", make: joined("640x360", "640x360:4", "360x640:2"), right: sized(640, 360)},
	{name: "rate-60-0988", make: script("rate-60-0988", ".mp4"), right: rated("60/1")},
	{name: "rate-120-2", make: lavfi("a.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=1202/10:d=4", "-c:v", "libx264",
		"-preset", "ultrafast", "-pix_fmt", "yuv420p"), right: rated("60/1")},
}

// unequal are ffmpeg's arguments for a picture and a sound of those lengths that start at those times, all in seconds.
func unequal(picture, sound, pictureAt, soundAt string) []string {
	return []string{"-itsoffset", pictureAt, "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=" + picture,
		"-itsoffset", soundAt, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=" + sound,
		"-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"}
}

// soundWithHole has a sound that pauses without packets from 5 s to 15 s.
func soundWithHole(t *testing.T) string {
	return rig.Make(t, "hole.mkv", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25:d=20", "-f", "lavfi", "-i", "sine=r=48000:d=20",
		"-af", "aselect='lt(t,5)+gt(t,15)'", "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac")
}

// joined makes WebM whose pictures change their size on the way: parts are "WIDTHxHEIGHT:SECONDS". The header says size.
func joined(size string, parts ...string) func(*testing.T) string {
	return func(t *testing.T) string {
		dir := t.TempDir()
		var out []byte
		var frames uint64
		for i, p := range append(parts, size+":1") {
			size, seconds, _ := strings.Cut(p, ":")
			path := rig.Make(t, "part.ivf", "-f", "lavfi", "-i", "testsrc2=s="+size+":r=25:d="+seconds, "-c:v", "libvpx",
				"-b:v", "1M", "-deadline", "realtime", "-cpu-used", "8")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if i == len(parts) { // for its header alone
				out = append(b[:32:32], out...)
				break
			}
			for at := 32; at+12 <= len(b); {
				n := int(binary.LittleEndian.Uint32(b[at:]))
				out = binary.LittleEndian.AppendUint32(out, uint32(n))
				out = binary.LittleEndian.AppendUint64(out, frames)
				out = append(out, b[at+12:at+12+n]...)
				at, frames = at+12+n, frames+1
			}
		}
		ivf := filepath.Join(dir, "joined.ivf")
		if err := os.WriteFile(ivf, out, 0o600); err != nil {
			t.Fatal(err)
		}
		return rig.Make(t, "joined.webm", "-i", ivf, "-f", "lavfi", "-i", "sine=r=48000:d=5", "-map", "0", "-map", "1",
			"-c:v", "copy", "-c:a", "libopus")
	}
}

// together wants all tracks to end at about that many seconds.
func together(seconds float64) func(*testing.T, *rig.Server, rig.Video) {
	return func(t *testing.T, _ *rig.Server, v rig.Video) { mustEndTogether(t, v, seconds) }
}

// played wants what together wants, and that players reach the end past where one track of the source ends or begins.
func played(gap, end float64) func(*testing.T, *rig.Server, rig.Video) {
	return func(t *testing.T, _ *rig.Server, v rig.Video) {
		mustEndTogether(t, v, end)
		rig.Node(t, "ends.test.mjs", "SLUICE_HLS="+v.Playback.HLS, "SLUICE_DASH="+v.Playback.DASH,
			fmt.Sprint("SLUICE_GAP=", gap), fmt.Sprint("SLUICE_END=", end))
	}
}

// sized wants the top rendition to have that size.
func sized(width, height int) func(*testing.T, *rig.Server, rig.Video) {
	return func(t *testing.T, _ *rig.Server, v rig.Video) {
		mustBeReady(t, v)
		if len(v.Renditions) == 0 || v.Renditions[0].Width != width || v.Renditions[0].Height != height {
			t.Errorf("want %d×%d on top; got %s", width, height, v.Sizes())
		}
	}
}

// rated wants that many pictures a second.
func rated(rate string) func(*testing.T, *rig.Server, rig.Video) {
	return func(t *testing.T, _ *rig.Server, v rig.Video) {
		mustBeReady(t, v)
		if got := pictureOf(t, v.Playback.HLS).Rate; got != rate {
			t.Errorf("want %s pictures a second; got %s", rate, got)
		}
	}
}

package ffmpeg

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/video"
)

// changingMedia is VP8 whose pictures change their size on the way: parts are "WIDTHxHEIGHT:SECONDS", 10 pictures a
// second. Each picture is gray with a white square of half its short side in the middle.
func changingMedia(t *testing.T, tool *Tool, parts ...string) string {
	t.Helper()
	var all []byte
	var frames uint64
	for _, part := range parts {
		size, seconds, _ := strings.Cut(part, ":")
		var w, h int
		if _, err := fmt.Sscanf(size, "%dx%d", &w, &h); err != nil {
			t.Fatal(err)
		}
		side := min(w, h) / 2
		path := makeMedia(t, tool, "part.ivf", "-f", "lavfi", "-i", fmt.Sprintf("color=gray:s=%s:r=10:d=%s,drawbox=x=%d:y=%d:w=%d:h=%d:c=white:t=fill",
			size, seconds, (w-side)/2, (h-side)/2, side, side), "-c:v", "libvpx", "-b:v", "400k", "-deadline", "realtime", "-cpu-used", "8")
		b := read(t, path)
		if all == nil {
			all = append(all, b[:32]...)
		}
		for at := 32; at+12 <= len(b); frames++ {
			n := int(binary.LittleEndian.Uint32(b[at:]))
			all = binary.LittleEndian.AppendUint32(all, uint32(n))
			all = binary.LittleEndian.AppendUint64(all, frames)
			all = append(all, b[at+12:at+12+n]...)
			at += 12 + n
		}
	}
	binary.LittleEndian.PutUint32(all[24:], uint32(frames))
	ivf := filepath.Join(t.TempDir(), "all.ivf")
	if err := os.WriteFile(ivf, all, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"-i", ivf, "-c:v", "copy", "file:all.webm"}
	if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{ivf}, args: args}); err != nil {
		t.Fatal(err, Detail(err))
	}
	return filepath.Join(dir, "all.webm")
}

// TestEncode_SizeChanges_KeepsShapesInTheUsualSize encodes pictures that change their size: the most usual shape is
// chosen, in a size that a fair share of it has, and what has another shape stands between black borders, unsqueezed.
func TestEncode_SizeChanges_KeepsShapesInTheUsualSize(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for _, c := range []struct {
		name     string
		parts    []string
		w, h     int
		rotation int
		unseen   bool // as if the probe had seen no change
	}{
		{name: "grows step by step", parts: []string{"80x46:1", "160x90:2", "320x180:3"}, w: 320, h: 180},
		{name: "turned midway", parts: []string{"320x180:2", "180x320:3"}, w: 180, h: 320},
		{name: "turned, with a rotation of the whole", parts: []string{"320x180:3", "180x320:2"}, w: 320, h: 180, rotation: 90},
		{name: "turned where nobody looked", parts: []string{"320x180:3", "180x320:2"}, w: 320, h: 180, unseen: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			src := changingMedia(t, tool, c.parts...)
			f, err := tool.Probe(t.Context(), Whole(src), "all.webm")
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			if f.Video.Width != c.w || f.Video.Height != c.h || !f.Video.Changes {
				t.Fatalf("%d×%d is chosen (changes: %v); want %d×%d", f.Video.Width, f.Video.Height, f.Video.Changes, c.w, c.h)
			}
			f.Video.Rotation, f.Video.Changes = c.rotation, !c.unseen
			p, err := video.MakePlan(f, video.Settings{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			tracks, _ := encodeAll(t, tool, src, f, p)
			shapes := squares(t, tool, joined(t, tracks[0]), p.Rungs[0])
			if len(shapes) < int(p.Frames) {
				t.Fatalf("%d pictures of %d", len(shapes), p.Frames)
			}
			for i, shape := range shapes {
				if shape < 0.9 || shape > 1.1 {
					t.Fatalf("the square of picture %d is %.2f times as wide as high", i, shape)
				}
			}
		})
	}
}

// TestProbe_MP4GrowsLater_PartialWantsTheWhole probes what is read of an MP4 on a remote storage, whose pictures become
// larger long after its opening, and one whose size stays.
func TestProbe_MP4GrowsLater_PartialWantsTheWhole(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, sizes := range map[string][]string{"grows": {"320x180", "640x360"}, "stays": {"640x360", "640x360"}} {
		t.Run(name, func(t *testing.T) {
			var all []byte
			for i, size := range sizes {
				all = append(all, read(t, makeMedia(t, tool, fmt.Sprintf("%d.ts", i), "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=s=%s:r=25:d=%d", size, 4+8*i),
					"-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-output_ts_offset", strconv.Itoa(4*i)))...)
			}
			raw := filepath.Join(t.TempDir(), "all.ts")
			if err := os.WriteFile(raw, all, 0o600); err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			args := []string{"-i", raw, "-c:v", "copy", "file:all.mp4"}
			if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{raw}, args: args}); err != nil {
				t.Fatal(err, Detail(err))
			}
			path := filepath.Join(dir, "all.mp4")
			whole, err := tool.Probe(t.Context(), Whole(path), "all.mp4")
			if err != nil || whole.Video.Width != 640 || whole.Video.Changes != (name == "grows") {
				t.Fatalf("%+v, %v", whole.Video, err)
			}
			body := read(t, path)
			part, _ := partial(t, body, indexOf(t, body).Probed(), 0)
			got, err := tool.Probe(t.Context(), part, "all.mp4")
			switch {
			case name == "grows" && !errors.Is(err, ErrPartial):
				t.Errorf("the part is enough: %+v, %v", got.Video, err)
			case name == "stays" && (err != nil || got.Video.Width != 640):
				t.Errorf("the part is not enough: %+v, %v; %v", got.Video, err, whole.Warnings)
			}
		})
	}
}

// squares are the shapes, width by height, of the white area in each picture of a track.
func squares(t *testing.T, tool *Tool, path string, r video.Rung) (shapes []float64) {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-i", path, "-pix_fmt", "gray", "-f", "rawvideo", "file:out.raw"}
	if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{path}, args: args}); err != nil {
		t.Fatal(err, Detail(err))
	}
	raw := read(t, filepath.Join(dir, "out.raw"))
	for size := r.Width * r.Height; len(raw) >= size; raw = raw[size:] {
		wide, high := 0, 0
		for x := range r.Width {
			if raw[r.Height/2*r.Width+x] > 190 {
				wide++
			}
		}
		for y := range r.Height {
			if raw[y*r.Width+r.Width/2] > 190 {
				high++
			}
		}
		shapes = append(shapes, float64(wide)/float64(max(high, 1)))
	}
	return shapes
}

func TestUsual_SizesOfFrames_ChoosesShapeThenSize(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sizes, want string }{
		{"320x180 1280x720 1280x720 1280x720", "1280x720 "},
		{"320x180 640x360 960x540 1280x720", "1280x720 "},
		{"640x360 640x360 640x360 640x360 640x360 1280x720", "640x360 "},
		{"640x360 640x360 360x640 360x640 360x640", "360x640 "},
		{"640x360 640x360 360x640 360x640", "640x360 "},
		{"1280x720 640x360 640x360 360x640 360x640", "1280x720 "},
		{"720x576,16:15 720x576,64:45 720x576,64:45", "720x576 64:45"},
	} {
		var all []frame
		for size := range strings.FieldsSeq(c.sizes) {
			var f frame
			size, f.Aspect, _ = strings.Cut(size, ",")
			if _, err := fmt.Sscanf(size, "%dx%d", &f.Width, &f.Height); err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
		if f := usual(all); fmt.Sprintf("%dx%d %s", f.Width, f.Height, f.Aspect) != c.want {
			t.Errorf("%s: %dx%d %s is chosen; want %s", c.sizes, f.Width, f.Height, f.Aspect, c.want)
		}
	}
}

func TestProbe_OneSize_LooksNoCloser(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", "testsrc2=r=10:d=6:s=160x90", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10")
	before := tool.runs.Load()
	f, err := tool.Probe(t.Context(), Whole(src), "src.mp4")
	if err != nil || f.Video.Changes {
		t.Fatalf("%v, %+v", err, f.Video)
	}
	if n := tool.runs.Load() - before; n != 3 { // header, first frames, packets
		t.Errorf("the probe ran %d processes; an ordinary file costs 3", n)
	}
}

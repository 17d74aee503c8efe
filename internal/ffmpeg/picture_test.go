package ffmpeg

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

// pictures are the MD5 sums of what the encoders of a chunk would get, by rung and output frame.
func pictures(t *testing.T, tool *Tool, src string, f video.Facts, p video.Plan, c video.Chunk, fromStart bool) []map[int64]string {
	t.Helper()
	dir := t.TempDir()
	args := decodeArgs(tool.config.Limits, src, f, p, c, 1, decoding{fromStart: fromStart})
	for i := range p.Rungs {
		args = append(args, "-map", fmt.Sprintf("[v%d]", i), "-fps_mode", "passthrough", "-f", "framemd5", fmt.Sprintf("file:v%d.md5", i))
	}
	if _, err := tool.run(t.Context(), spec{op: "test", args: args, reads: []string{src}, dir: dir}); err != nil && !noOutput(err) {
		t.Fatalf("%v\n%s", err, Detail(err))
	}
	sums := make([]map[int64]string, len(p.Rungs))
	for i := range sums {
		sums[i] = map[int64]string{}
		for line := range strings.Lines(string(read(t, filepath.Join(dir, fmt.Sprintf("v%d.md5", i))))) {
			var stream, dts, pts, length, size int64
			var sum string
			if n, _ := fmt.Sscanf(line, "%d, %d, %d, %d, %d, %s", &stream, &dts, &pts, &length, &size, &sum); n == 6 {
				sums[i][pts] = sum
			}
		}
	}
	return sums
}

// comparePictures proves that the plan's chunks show what one pass shows, picture for picture.
func comparePictures(t *testing.T, tool *Tool, src string, f video.Facts, p video.Plan) {
	t.Helper()
	whole := pictures(t, tool, src, f, p, video.Chunk{}, true)
	total := int64(len(whole[0]))
	if different := distinct(whole[0]); different < len(whole[0])/6 {
		t.Fatalf("the source has only %d different pictures in %d: nothing would be seen", different, total)
	}
	t.Log(total, "pictures")
	for n := range total {
		if whole[0][n] == "" {
			t.Fatalf("one pass lacks picture %d of %d", n, total)
		}
	}
	var made int64
	for _, c := range p.Chunks {
		end := c.Start + c.Frames
		if c.Frames == 0 {
			end = total
		}
		part := pictures(t, tool, src, f, p, c, false)
		if c.Start > 0 && (int64(len(part[0])) < end-c.Start) {
			t.Logf("chunk %d is short (%d of %d): decoded from the start", c.N, len(part[0]), end-c.Start)
			part = pictures(t, tool, src, f, p, c, true)
		}
		made += int64(len(part[0]))
		for i := range p.Rungs {
			wrong := 0
			for n := c.Start; n < end; n++ {
				if part[i][n] == "" || part[i][n] != whole[i][n] {
					wrong++
				}
			}
			if wrong > 0 || int64(len(part[i])) != end-c.Start {
				t.Errorf("chunk %d, rung %d: %d of %d pictures differ from one pass (%d made)", c.N, i, wrong, end-c.Start, len(part[i]))
			}
		}
	}
	if made != total {
		t.Errorf("%d pictures in chunks, %d in one pass", made, total)
	}
}

func distinct(sums map[int64]string) int {
	set := map[string]bool{}
	for _, s := range sums {
		set[s] = true
	}
	return len(set)
}

// sources are clips of 10 s with the timing troubles of real ones. Every picture of testsrc2 differs from its neighbours.
var sources = []struct {
	name string
	rate video.Ratio
	file string
	args string // of ffmpeg; {} is the test picture without its rate
	copy string // container to copy into before the use, as the plan's Remux says
	edit func(*video.Facts, *video.Plan)
}{
	{name: "CFR 25 in MP4", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4", args: "-f lavfi -i {}:r=25 -g 250"},
	{name: "29.97 in MP4", rate: video.Ratio{Num: 30000, Den: 1001}, file: "a.mp4", args: "-f lavfi -i {}:r=30000/1001 -g 70"},
	{name: "open GOP", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4", args: "-f lavfi -i {}:r=25 -g 25 -x264-params open-gop=1:bframes=3"},
	{name: "intra refresh instead of key frames", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4", args: "-f lavfi -i {}:r=25 -g 100 -x264-params intra-refresh=1"},
	{name: "HEVC with open GOPs", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4",
		args: "-f lavfi -i {}:r=25 -c:v libx265 -preset ultrafast -x265-params keyint=40:min-keyint=40:open-gop=1:bframes=4:log-level=error"},
	{name: "29.97 in Matroska's milliseconds", rate: video.Ratio{Num: 30000, Den: 1001}, file: "a.mkv", args: "-f lavfi -i {}:r=30000/1001 -g 90"},
	{name: "59.94 in Matroska's milliseconds", rate: video.Ratio{Num: 60000, Den: 1001}, file: "a.mkv", args: "-f lavfi -i {}:r=60000/1001 -g 90"},
	{name: "120 to 60", rate: video.Ratio{Num: 60, Den: 1}, file: "a.mp4", args: "-f lavfi -i {}:r=120 -g 240"},
	{name: "VFR", rate: video.Ratio{Num: 30, Den: 1}, file: "a.mp4",
		args: "-f lavfi -i {}:r=60 -vf select='gt(random(7)\\,0.55)',setpts=PTS+mod(N*37\\,11)*0.001/TB -fps_mode vfr -g 70 -video_track_timescale 90000"},
	{name: "late start", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4",
		args: "-f lavfi -i sine=d=10 -itsoffset 1.313 -f lavfi -i {}:r=25 -g 60 -map 0 -map 1 -c:a aac",
		edit: func(f *video.Facts, _ *video.Plan) { f.Video.Index = 1 }},
	{name: "transport stream", rate: video.Ratio{Num: 25, Den: 1}, file: "a.ts", args: "-f lavfi -i {}:r=25 -g 40", copy: "mp4"},
	{name: "transport stream with sound ahead", rate: video.Ratio{Num: 30000, Den: 1001}, file: "a.ts",
		args: "-f lavfi -i sine=d=10 -itsoffset 0.7 -f lavfi -i {}:r=30000/1001 -g 40 -map 0 -map 1 -c:a aac", copy: "matroska",
		edit: func(f *video.Facts, _ *video.Plan) { f.Video.Index = 1 }},
	{name: "AVI", rate: video.Ratio{Num: 25, Den: 1}, file: "a.avi", args: "-f lavfi -i {}:r=25 -c:v mpeg4 -bf 2 -g 60 -q:v 5"},
	{name: "interlaced", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4",
		args: "-f lavfi -i {}:r=50 -vf tinterlace=interleave_top,fieldorder=tff -flags +ildct+ilme -g 50",
		edit: func(_ *video.Facts, p *video.Plan) { p.Filter.Deinterlace = true }},
	{name: "rotated", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4", args: "-f lavfi -i {}:r=25 -g 50",
		edit: func(_ *video.Facts, p *video.Plan) {
			p.Filter.Rotation = 90
			for i := range p.Rungs {
				p.Rungs[i].Width, p.Rungs[i].Height = p.Rungs[i].Height, p.Rungs[i].Width
			}
		}},
	{name: "a hold longer than the preroll", rate: video.Ratio{Num: 25, Den: 1}, file: "a.mp4",
		args: "-f lavfi -i {}:r=25 -vf select='not(between(t\\,3.1\\,7.3))' -fps_mode vfr -g 30"},
}

// makeSource makes a source of the list, its facts and a plan of chunks of 2 s.
func makeSource(t *testing.T, tool *Tool, i int) (string, video.Facts, video.Plan) {
	t.Helper()
	s := sources[i]
	args := strings.Fields(strings.ReplaceAll(s.args, "{}", "testsrc2=d=10:s=160x96"))
	if !strings.Contains(s.args, "-c:v") {
		args = append(args, "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p")
	}
	src := makeMedia(t, tool, s.file, args...)
	src = copied(t, tool, src, s.copy)
	seconds := int64(10)
	f, p := clip(s.rate, 160, 96, seconds*s.rate.Num/s.rate.Den, int64(2*s.rate.Float()+0.5))
	p.Preroll = 2 * time.Second
	if s.edit != nil {
		s.edit(&f, &p)
	}
	return src, f, p
}

// copied copies the streams of src into another container as the remux step does; into "" it stays as it is.
func copied(t *testing.T, tool *Tool, src, format string) string {
	t.Helper()
	if format == "" {
		return src
	}
	dir := t.TempDir()
	args := []string{"-i", src, "-map", "0", "-c", "copy", "-f", format, "copy"}
	if _, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{src}, args: args}); err != nil {
		t.Fatal(err, Detail(err))
	}
	return filepath.Join(dir, "copy")
}

func TestChunksShowWhatOnePassShowsPictureForPicture(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for i, s := range sources {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			src, f, p := makeSource(t, tool, i)
			comparePictures(t, tool, src, f, p)
		})
	}
}

func TestChunksOfRealFilesShowWhatOnePassShows(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for _, name := range []string{
		"broken/bitrot-middle.mp4", "broken/no-initial-keyframe.ts", "camera/kpy-uno-1186x664-vfr.mp4", "camera/iphone-h264-rot90-568x320.mov",
		"codec/hevc-main10-360p.ts", "codec/mpeg2-480i-scte20-captions.ts", "codec/mpeg2-pal.mxf", "codec/mpeg4-asp-packed-bframes.avi",
		"structure/editlist-starts-on-b-frame.mp4", "structure/first-pts-10s.mp4", "structure/slow-motion-android.mp4",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := filepath.Abs(filepath.Join(corpus, name))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(src); err != nil {
				t.Skip("the media corpus is not here")
			}
			src, f := seekable(t, tool, src)
			p, err := video.MakePlan(f, video.Settings{MaxResolution: 240}, 1)
			if err != nil {
				t.Fatal(err)
			}
			p.Rungs, p.Chunks = p.Rungs[:1], nil
			for n := int64(0); n < 3; n++ {
				p.Chunks = append(p.Chunks, video.Chunk{N: int(n), Start: n * p.Frames / 3, Frames: (n+1)*p.Frames/3 - n*p.Frames/3})
			}
			p.Chunks[2].Frames = 0
			comparePictures(t, tool, src, f, p)
		})
	}
}

// seekable probes src, and copies it first where it cannot be cut as it is, as the pipeline does.
func seekable(t *testing.T, tool *Tool, src string) (string, video.Facts) {
	t.Helper()
	f, err := tool.Probe(t.Context(), Whole(src), filepath.Base(src))
	if err != nil {
		t.Fatal(err)
	}
	container := RemuxFor(f)
	if container == "" {
		return src, f
	}
	copied := filepath.Join(t.TempDir(), "copy")
	if err := tool.Remux(t.Context(), src, copied, f, container); err != nil {
		t.Fatal(err)
	}
	if f, err = tool.Probe(t.Context(), Whole(copied), filepath.Base(src)); err != nil {
		t.Fatal(err)
	}
	return copied, f
}

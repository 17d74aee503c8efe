package ffmpeg

import (
	"bytes"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/video"
)

// stillsOf makes the stills of a file and returns the poster and both files.
func stillsOf(t *testing.T, tool *Tool, src string) (image.Image, []StillFile) {
	t.Helper()
	src, err := filepath.Abs(src)
	if err != nil {
		t.Fatal(err)
	}
	f, err := tool.Probe(t.Context(), Whole(src), filepath.Base(src))
	if err != nil {
		t.Fatal(err)
	}
	p, err := video.MakePlan(f, video.Settings{}, 1)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tool.Stills(t.Context(), Whole(src), f, p, t.TempDir())
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	if len(files) != 2 || files[0].Name != "poster.jpg" || files[1].Name != "poster-thumbnail.jpg" {
		t.Fatalf("made %+v", files)
	}
	if files[0].Width != p.Rungs[0].Width || files[0].Height != p.Rungs[0].Height {
		t.Errorf("the poster is %dx%d, the top rung %dx%d", files[0].Width, files[0].Height, p.Rungs[0].Width, p.Rungs[0].Height)
	}
	if min(files[1].Width, files[1].Height) > thumbnailSide {
		t.Errorf("the thumbnail is %dx%d", files[1].Width, files[1].Height)
	}
	b, err := os.ReadFile(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	for _, mark := range []string{"Exif", "Lavc", "http://"} {
		if bytes.Contains(b, []byte(mark)) {
			t.Errorf("the poster holds %q", mark)
		}
	}
	picture, err := jpeg.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return picture, files
}

// brightness is the mean luma, 0..255, of a part of a picture given in tenths of its sides.
func brightness(picture image.Image, x0, y0, x1, y1 int) int {
	b := picture.Bounds()
	sum, n := 0, 0
	for y := b.Dy() * y0 / 10; y < b.Dy()*y1/10; y += 2 {
		for x := b.Dx() * x0 / 10; x < b.Dx()*x1/10; x += 2 {
			r, g, bl, _ := picture.At(b.Min.X+x, b.Min.Y+y).RGBA()
			sum += int(299*r+587*g+114*bl) / 1000 >> 8
			n++
		}
	}
	return sum / max(n, 1)
}

func TestAPosterIsNotBlackWhereTheVideoIsNot(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "fade.mp4", "-f", "lavfi", "-i", "color=white:s=320x180:r=25:d=6,fade=in:st=4:d=0.2", "-c:v", "libx264", "-g", "250")
	if picture, _ := stillsOf(t, tool, src); brightness(picture, 0, 0, 10, 10) < 100 {
		t.Error("the poster is dark")
	}
}

func TestABlackVideoHasAPosterAllTheSame(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "black.mp4", "-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=3", "-c:v", "libx264")
	if picture, _ := stillsOf(t, tool, src); brightness(picture, 0, 0, 10, 10) > 20 {
		t.Error("the poster is not black")
	}
}

func TestAPosterStandsUprightInSquarePixelsAndRightColours(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	// The upper quarter of the picture is white. This display matrix (ffprobe: rotation=90) turns it to the left, as
	// ffmpeg's own player shows it.
	src := makeMedia(t, tool, "flat.mp4", "-f", "lavfi", "-i", "color=0x404040:s=320x180:r=25:d=3,drawbox=0:0:320:45:white:fill", "-c:v", "libx264", "-vf", "setsar=4/3")
	turned := filepath.Join(filepath.Dir(src), "turned.mp4")
	if _, err := tool.run(t.Context(), spec{op: "test", dir: filepath.Dir(src),
		args: []string{"-i", src, "-c", "copy", "-metadata:s:v:0", "rotate=90", turned}}); err != nil {
		t.Fatal(err, Detail(err))
	}
	picture, files := stillsOf(t, tool, turned)
	if files[0].Width >= files[0].Height {
		t.Errorf("%dx%d is not portrait", files[0].Width, files[0].Height)
	}
	left, middle := brightness(picture, 0, 1, 2, 9), brightness(picture, 3, 1, 7, 9)
	right := brightness(picture, 8, 1, 10, 9)
	if left < 240 || right > 80 || middle < 55 || middle > 75 {
		t.Errorf("brightness left %d, middle %d, right %d", left, middle, right)
	}
}

func TestRealFilesHaveStills(t *testing.T) {
	t.Parallel()
	corpusFiles(t)
	tool := newTool(t)
	for i, name := range []string{
		"camera/iphone-dolbyvision84-hlg-hevc10-1080p-rot90.mov", "hdr/hdr10-av1-720x1280.mp4", "camera/phone-720p-rot180-vfr.mp4",
		"camera/screenrec-1080x2280-vfr-90k.mp4", "codec/prores4444-alpha-tmcd.mov", "codec/dnxhd-1440x1080.mov", "codec/mpeg4-asp-packed-bframes.avi",
		"structure/first-pts-10s.mp4", "codec/mpeg1-weird-aspect.mpg", "broken/no-initial-keyframe.ts", "structure/mp4-cover-art.mp4", "codec/wmv2-wma2.wmv",
	} {
		if !*full && i%3 > 0 {
			continue // make drill takes all
		}
		t.Run(name, func(t *testing.T) {
			picture, _ := stillsOf(t, tool, filepath.Join(corpus, name))
			t.Log(brightness(picture, 0, 0, 10, 10))
		})
	}
}

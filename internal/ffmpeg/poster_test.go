package ffmpeg

import (
	"math/rand/v2"
	"testing"
	"time"

	"sluice/internal/video"
)

// swatch makes the luma of a picture of 160×90.
func swatch(at func(x, y int) float64) []byte {
	luma := make([]byte, 160*90)
	for i := range luma {
		luma[i] = byte(min(235, max(16, at(i%160, i/160))))
	}
	return luma
}

// scene is a picture with light, shades and edges; faded is how far it has come out of black.
func scene(faded float64) []byte {
	noise := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a picture
	return swatch(func(x, y int) float64 {
		base := 60 + float64(x)*0.8 + 40*float64((x/16+y/12)%2)
		return 16 + (base-16+noise.Float64()*12)*faded
	})
}

func TestQuality_PicturesOfEachKind_RanksThemAsPeopleDo(t *testing.T) {
	t.Parallel()
	black := swatch(func(_, _ int) float64 { return 16 })
	title := swatch(func(x, y int) float64 {
		if y > 40 && y < 50 && x > 40 && x < 120 && x%4 < 2 {
			return 235
		}
		return 16
	})
	blurred := swatch(func(x, y int) float64 { return 60 + float64(x)*0.6 + float64(y)*0.4 })
	white := swatch(func(_, _ int) float64 { return 235 })
	ranked := []struct {
		name string
		luma []byte
	}{{"a scene", scene(1)}, {"a blurred scene", blurred}, {"a scene in a fade", scene(0.25)}, {"a title on black", title}, {"black", black}}
	for i := 1; i < len(ranked); i++ {
		a, b := quality(ranked[i-1].luma, 160), quality(ranked[i].luma, 160)
		if a <= b {
			t.Errorf("%s has %.3f, %s %.3f", ranked[i-1].name, a, ranked[i].name, b)
		}
	}
	if q := quality(scene(1), 160); q < good {
		t.Errorf("a scene has %.3f, which is not good enough", q)
	}
	for name, luma := range map[string][]byte{"a fade": scene(0.25), "a title": title, "white": white} {
		if q := quality(luma, 160); q >= good {
			t.Errorf("%s has %.3f: nothing better would be looked for", name, q)
		}
	}
	if quality(white, 160) <= quality(black, 160) {
		t.Error("white is no better than black")
	}
	if still, fading := steadiness(scene(1), scene(1)), steadiness(scene(0.8), scene(0.95)); still != 1 || fading > 0.6 {
		t.Errorf("a still picture has %.3f, a fading one %.3f", still, fading)
	}
}

func TestSurveys_AnyLength_LookOnlyInsideTheVideo(t *testing.T) {
	t.Parallel()
	for _, length := range []time.Duration{40 * time.Millisecond, time.Second, short, 13 * time.Second, time.Minute, 10 * time.Hour} {
		f := video.Facts{Seekable: true, Video: &video.VideoFacts{Rate: video.Ratio{Num: 25, Den: 1}, Start: time.Second, Duration: length + time.Second}}
		for i, looks := range surveys(f) {
			for _, l := range looks {
				if l.seek && (l.at <= time.Second || l.at >= time.Second+length || i == 0 && l.at > time.Second+early) || l.most < 1 || l.step < 1 {
					t.Errorf("%v: look %+v", length, l)
				}
			}
			if pictures := len(looks) * looks[0].most * looks[0].step; i == 0 && pictures > 100 {
				t.Errorf("%v: %d pictures are decoded", length, pictures)
			}
		}
	}
}

func TestStills_PoorBeginning_TakesTheFirstGoodPicture(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, picture := range map[string]string{
		"a fade in at 1 s":          "testsrc2=s=320x180:r=25:d=5,fade=in:st=1:d=1",
		"a flash, then dark":        "testsrc2=s=320x180:r=25:d=5,lutyuv=y='if(lt(val,0),0,val)',drawbox=t=fill:c=white:enable='lt(t,0.5)',drawbox=t=fill:c=black:enable='between(t,0.5,3)'",
		"a long black, then a film": "testsrc2=s=160x90:r=10:d=30,drawbox=t=fill:c=black:enable='lt(t,16)'",
		"a title, then a film":      "testsrc2=s=160x90:r=25:d=15,drawbox=t=fill:c=black:enable='lt(t,5)',drawbox=x=40:y=40:w=60:h=8:c=white:t=fill:enable='between(t,1,4)'",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := makeMedia(t, tool, "a.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "250")
			poster, _ := stillsOf(t, tool, src)
			if light := brightness(poster, 0, 0, 10, 10); light < 70 || light > 200 {
				t.Errorf("the poster has a brightness of %d", light)
			}
		})
	}
}

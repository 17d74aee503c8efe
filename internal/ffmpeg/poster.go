package ffmpeg

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/internal/video"
)

// Which picture of a video is its poster.

const (
	// early is the part of a video that a poster is taken from: later pictures give the story away.
	early = 90 * time.Second
	// short is the length up to which key pictures are too few to choose from.
	short = 12 * time.Second
	// windows are how many places of a longer video are looked at.
	windows = 8
	// gap is how many pictures lie between the two that are compared in each place: a fade changes them by more than
	// steady luma.
	gap    = 5
	steady = 3.0
	// surveyed is the long side of the pictures that are judged: pixels.
	surveyed = 160
	// good is the score from which no better picture is looked for. Films and phone clips have 0.5 to 0.9, titles on
	// black 0.1, a fade that has half begun 0.3.
	good = 0.4
)

// look is one place where pictures are taken: from the key picture at or before a time, or from the video's beginning.
type look struct {
	seek bool
	at   time.Duration
	step int           // of the pictures decoded, every step-th is judged
	most int           // of those
	span time.Duration // from the beginning, no further than that; 0: as far as most
}

// shot is one picture of a look and its score.
type shot struct {
	look
	n     int // of the pictures that the look judges
	score float64
}

// options are the input options of a look.
func (l look) options() []string {
	options := []string{"-threads", "1", "-noautorotate", "-reinit_filter", "0"}
	if l.seek {
		return append(options, "-noaccurate_seek", "-ss", seconds(l.at))
	}
	if l.step > 1 { // the others are only passed by; a decoder need not show what nothing refers to
		options = append(options, "-skip_frame", "noref")
	}
	if l.span > 0 {
		options = append(options, "-t", seconds(l.span))
	}
	return options
}

// pictures are the first filters of a look, on input n: decoded pictures in the form of the facts, every step-th.
func (l look) pictures(f video.Facts, p video.Plan, n int) []string {
	chain := append(normalize(*f.Video, p.Filter.Fit), deinterlace(p.Filter)...)
	chain[0] = fmt.Sprintf("[%d:%d]%s", n, f.Video.Index, chain[0])
	if l.step > 1 {
		chain = append(chain, fmt.Sprintf("select=not(mod(n\\,%d))", l.step))
	}
	return chain
}

// surveys are the looks to take, in turn, until one shows a good picture.
func surveys(f video.Facts) [][]look {
	v := *f.Video
	length := v.Duration - v.Start
	step := max(2, int(math.Round(v.Rate.Float()*0.3))) // pictures that are left out by the decoder make it about 0.5 s
	begin := look{step: step, most: 8, span: v.Start + 2200*time.Millisecond}
	begin12 := look{step: step, most: 40, span: v.Start + short}
	if !f.Seekable || length <= short {
		return [][]look{{begin}, {begin12}}
	}
	return [][]look{places(v, min(length, early), windows), {begin12}, places(v, length, windows)}
}

// places are n places in the first part of a video, denser at its beginning.
func places(v video.VideoFacts, part time.Duration, n int) (list []look) {
	for i := range n {
		share := math.Pow(float64(i+1)/float64(n+1), 1.5)
		list = append(list, look{seek: true, at: v.Start + time.Duration(share*float64(part)), step: gap, most: 2})
	}
	return list
}

// StillPart is what the first survey of Stills reads of an indexed source: what a partial one must have.
func StillPart(x *Index, f video.Facts) []video.Extent {
	wanted := x.Opening()
	for _, l := range surveys(f)[0] {
		if l.seek {
			wanted = append(wanted, x.keyed(l.at, 2*gap+behind)...)
		} else {
			wanted = append(wanted, x.Pictures(0, l.span)...)
		}
	}
	return wanted
}

// survey takes looks and judges their pictures. What cannot be decoded has none.
func (t *Tool) survey(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string, looks []look) (shots []shot, err error) {
	// Each input of a process holds the pictures of a decoder: as many as for eight of Full HD.
	side := max(1, min(len(looks), windows*1920*1080/max(1, f.Video.Width*f.Video.Height)))
	for len(looks) > 0 {
		side = min(side, len(looks))
		some, err := t.surveySome(ctx, src, f, p, dir, looks[:side])
		if err != nil {
			return nil, err
		}
		shots, looks = append(shots, some...), looks[side:]
	}
	return shots, nil
}

func (t *Tool) surveySome(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string, looks []look) (shots []shot, err error) {
	scratch, err := os.MkdirTemp(dir, "survey-")
	if err != nil {
		return nil, unwritable(opStills, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	width, height := surveySize(p.Rungs[0])
	_, err = t.run(ctx, spec{op: opStills, args: surveyArgs(t.config.Limits, src.Path, f, p, looks), reads: []string{src.Path}, partial: src.Partial, dir: scratch})
	if err != nil && (!failed(err) || errors.Is(err, ErrPartial)) {
		return nil, err
	}
	for i, l := range looks {
		gray, err := os.ReadFile(filepath.Join(scratch, fmt.Sprintf("%d.gray", i)))
		if err != nil {
			continue
		}
		size := width * height
		for n := 0; (n+1)*size <= len(gray); n++ {
			s := shot{look: l, n: n, score: quality(gray[n*size:(n+1)*size], width)}
			if n > 0 {
				s.score *= steadiness(gray[(n-1)*size:n*size], gray[n*size:(n+1)*size])
			}
			if (n+2)*size <= len(gray) {
				s.score *= steadiness(gray[n*size:(n+1)*size], gray[(n+1)*size:(n+2)*size])
			}
			shots = append(shots, s)
		}
	}
	return shots, nil
}

// surveySize is the size of the pictures that are judged.
func surveySize(top video.Rung) (width, height int) {
	long := max(top.Width, top.Height)
	if long <= surveyed {
		return top.Width, top.Height
	}
	return max(2, even(top.Width*surveyed/long)), max(2, even(top.Height*surveyed/long))
}

func even(n int) int { return n / 2 * 2 }

// surveyArgs writes the luma of the pictures of each look, small and as a viewer sees it, to 0.gray, 1.gray …
func surveyArgs(limits video.Limits, src string, f video.Facts, p video.Plan, looks []look) []string {
	width, height := surveySize(p.Rungs[0])
	args := []string{"-max_error_rate", "1"}
	var graphs []string
	for i, l := range looks {
		args = append(args, inputArgs(limits, src, l.options()...)...)
		chain := append(l.pictures(f, p, i), fmt.Sprintf("trim=end_frame=%d", l.most))
		chain = append(chain, upright(*f.Video, p.Filter, width, height)...)
		graphs = append(graphs, strings.Join(chain, ",")+fmt.Sprintf(",extractplanes=y[g%d]", i))
	}
	args = append(args, "-filter_complex", strings.Join(graphs, ";"))
	for i, l := range looks {
		args = append(args, "-map", fmt.Sprintf("[g%d]", i))
		args = append(args, strip()...)
		args = append(args, "-fps_mode", "passthrough", "-frames:v", fmt.Sprint(l.most), "-c:v", "rawvideo", "-f", "rawvideo", "-y", fmt.Sprintf("file:%d.gray", i))
	}
	return args
}

// quality is how much a picture shows, 0 to 1, by its luma in limited range (16 black, 235 white): neither dark nor burnt
// out, of high contrast, with many shades, and sharp. A title on black has little of each but contrast; a plain colour,
// a fog and a blur lack one.
func quality(luma []byte, width int) float64 {
	var shades [256]int
	sum, edges := 0, 0
	for i, y := range luma {
		shades[y]++
		sum += int(y)
		if i%width > 0 {
			edges += abs8(y, luma[i-1])
		}
		if i >= width {
			edges += abs8(y, luma[i-width])
		}
	}
	n := float64(len(luma))
	entropy, passed, dark, bright := 0.0, 0, 0, 255
	for y, count := range shades {
		if count == 0 {
			continue
		}
		entropy -= float64(count) / n * math.Log2(float64(count)/n)
		if passed < len(luma)*3/100 {
			dark = y
		}
		if passed < len(luma)*97/100 {
			bright = y
		}
		passed += count
	}
	mean := float64(sum) / n
	light := (0.02 + 0.98*ramp(mean, 22, 80)) * (1 - 0.6*ramp(mean, 190, 230))
	contrast := ramp(float64(bright-dark), 15, 140)
	detail := ramp(float64(edges)/n, 1, 12)
	return light * (0.05 + 0.35*contrast + 0.25*detail + 0.35*ramp(entropy, 2, 6.5))
}

// steadiness is near 1 for two pictures between which the light stays, and falls the more they differ in brightness as a
// whole: in a fade, or over a flash.
func steadiness(a, b []byte) float64 {
	sum := 0
	for i := range a {
		sum += int(b[i]) - int(a[i])
	}
	drift := math.Abs(float64(sum)) / float64(len(a))
	return 1 / (1 + max(0, drift-steady)/12)
}

// ramp rises from 0 at low to 1 at high.
func ramp(x, low, high float64) float64 { return min(1, max(0, (x-low)/(high-low))) }

func abs8(a, b byte) int { return max(int(a), int(b)) - min(int(a), int(b)) }

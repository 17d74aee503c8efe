package ffmpeg

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// How many key frames, spread over a source, the probe decodes to see whether pictures change their size (calls, phones
// that are turned, files joined without an encode): a few of every source, and many where one differs. What lies between
// them is seen by the encode.
const (
	fewLooks  = 4
	manyLooks = 24
	// longest is the length in seconds from which a header's length is not believed.
	longest = 1e7
)

// lookAt is when the look i of n is, in a source of that length: in the middle of its part.
func lookAt(i, n int, length time.Duration) time.Duration {
	return time.Duration((float64(i) + 0.5) / float64(n) * float64(length))
}

// looks are n intervals of one packet each, evenly spread over the length that the header gives, behind a comma each;
// "" where it gives none.
func (p *probe) looks(n int) string {
	length, err := strconv.ParseFloat(p.header.Format.Lasts, 64)
	if err != nil || length <= 0 || length > longest {
		return ""
	}
	start, _ := strconv.ParseFloat(p.header.Format.Start, 64)
	text := ""
	for i := range n {
		at := lookAt(i, n, time.Duration(length*float64(time.Second)))
		text += fmt.Sprintf(",%.3f%%+#1", max(0, start+at.Seconds()))
	}
	return text
}

// chooseSize looks closer where the frames seen, or the header, differ in size or shape. It chooses the frame that stands for
// the source.
func (p *probe) chooseSize(ctx context.Context, v *stream, seen frames) error {
	differ := v.Width > 0 && (v.Width != p.shown.Width || v.Height != p.shown.Height)
	for _, f := range seen.Frames {
		differ = differ || !sameSize(f, p.shown)
	}
	if !differ {
		return nil
	}
	if p.partial { // its few looks do not choose a size
		return ErrPartial
	}
	intervals := p.looks(manyLooks)
	if intervals == "" {
		return nil
	}
	found, err := p.firstFrames(ctx, v, intervals, 1)
	if err != nil {
		return err
	}
	all := append(seen.Frames, found.Frames...)
	for _, f := range all {
		p.changes = p.changes || !sameSize(f, all[0])
	}
	if len(found.Frames) > 1 {
		p.shown = usual(found.Frames[1:]) // without the beginning, which is looked at anyhow
	}
	return nil
}

// sameSize reports whether two frames are of one size and shape.
func sameSize(a, b frame) bool {
	return a.Width == b.Width && a.Height == b.Height && math.Abs(a.shape()/b.shape()-1) < 0.01
}

// shape is the width of the picture as it is shown, for a height of 1.
func (f frame) shape() float64 {
	pixel := ratio(strings.Replace(f.Aspect, ":", "/", 1)).Float()
	if pixel == 0 {
		pixel = 1
	}
	return max(float64(f.Width)*pixel/float64(max(f.Height, 1)), 1e-6)
}

// worthy is the share of the frames of the usual shape that a larger size must have to be chosen.
const worthy = 0.25

// usual is a frame of the shape that most of the frames have, in the largest size that a fair share of those has: a call
// begins small and grows, and what was sharp for a quarter of it stays so.
func usual(all []frame) frame {
	count := func(of []frame, same func(frame) bool) (n int) {
		for _, f := range of {
			if same(f) {
				n++
			}
		}
		return n
	}
	area := func(f frame) int { return f.Width * f.Height }
	best, most := all[0], 0
	for _, f := range all {
		n := count(all, func(g frame) bool { return math.Abs(f.shape()/g.shape()-1) < 0.05 })
		if n > most || n == most && area(f) > area(best) {
			best, most = f, n
		}
	}
	chosen, chosenCount := best, 0
	for _, f := range all {
		if math.Abs(f.shape()/best.shape()-1) >= 0.05 {
			continue
		}
		n := count(all, func(g frame) bool { return sameSize(f, g) })
		fair, chosenFair := float64(n) >= worthy*float64(most), float64(chosenCount) >= worthy*float64(most)
		switch {
		case fair && !chosenFair, fair && area(f) > area(chosen), !fair && !chosenFair && n > chosenCount:
			chosen, chosenCount = f, n
		}
	}
	return chosen
}

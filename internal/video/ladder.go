package video

import (
	"fmt"
	"math"
	"slices"

	"sluice/internal/fault"
)

// rung sizes by short side with their caps in bits a second, largest first.
var sizes = []struct {
	short int
	rate  int64
}{
	{2160, 12_000_000},
	{1440, 8_000_000},
	{1080, 5_000_000},
	{720, 3_000_000},
	{480, 1_500_000},
	{360, 800_000},
	{240, 400_000},
}

const (
	// DefaultResolution is the largest short side that is made where nobody says otherwise.
	DefaultResolution = 1080
	// crf is the quality that the cap bounds ("capped CRF", MediaConvert's QVBR).
	crf = 23
	// smallest is the least side that is worth a rendition; x264 wants one macroblock.
	smallest = 16
)

// Resolutions lists the values that Settings.MaxResolution may have, largest first.
func Resolutions() []int {
	all := make([]int, len(sizes))
	for i, s := range sizes {
		all[i] = s.short
	}
	return all
}

// Validate refuses settings that name no resolution of the ladder.
func (s Settings) Validate() error {
	if s.MaxResolution == 0 || slices.Contains(Resolutions(), s.MaxResolution) {
		return nil
	}
	return fault.New(fault.Invalid, "video.settings", "bad_max_resolution",
		fmt.Sprintf("max_resolution is %d; use one of %v.", s.MaxResolution, Resolutions()), nil)
}

// Display is the size of the upright picture in square pixels, before it is made even.
func (v VideoFacts) Display() (width, height float64) {
	width, height = float64(v.Width), float64(v.Height)
	if a := v.Aspect.Float(); a > 0 {
		width *= a
	}
	if v.Rotation%180 != 0 {
		width, height = height, width
	}
	return width, height
}

// ladder lists the rungs of a picture of that size at rate frames a second: never larger than the source, its own size on top where it lies between
// two rungs, one rung where it is smaller than the smallest. A rung within 5 % of the top one is left out: it would cost an encode that nobody can tell
// from the top.
func ladder(width, height float64, rate Ratio, limit int) []Rung {
	short := math.Min(width, height)
	top := math.Min(short, float64(limit))
	rungs := []Rung{rung(width, height, top, rate)}
	own := float64(min(rungs[0].Width, rungs[0].Height))
	for _, s := range sizes {
		if float64(s.short) <= own*0.95 {
			rungs = append(rungs, rung(width, height, float64(s.short), rate))
		}
	}
	return rungs
}

// rung scales the picture to a short side of target pixels.
func rung(width, height, target float64, rate Ratio) Rung {
	scale := target / math.Min(width, height)
	w, h := even(width*scale), even(height*scale)
	short := min(w, h)
	maxRate := rateCap(float64(short))
	return Rung{
		Name:    fmt.Sprintf("%dp", short),
		Width:   w,
		Height:  h,
		MaxRate: maxRate,
		BufSize: 2 * maxRate,
		CRF:     crf,
		Profile: "high",
		Level:   level(w, h, rate, maxRate),
	}
}

// even rounds to the nearest even number, an odd one downwards so that nothing grows: 4:2:0 halves both sides.
func even(x float64) int {
	return max(2, 2*int(math.Ceil(x/2-0.5)))
}

// rateCap interpolates between the rungs' caps, so that a source of its own size gets a cap of its own.
func rateCap(short float64) int64 {
	for i, s := range sizes {
		if short < float64(s.short) {
			continue
		}
		if i == 0 || short == float64(s.short) {
			return s.rate
		}
		above := sizes[i-1]
		part := (short - float64(s.short)) / float64(above.short-s.short)
		return s.rate + int64(part*float64(above.rate-s.rate))
	}
	least := sizes[len(sizes)-1]
	return max(int64(float64(least.rate)*short/float64(least.short)), 100_000)
}

// levels are the limits of ITU-T H.264 table A-1: macroblocks a second, macroblocks a frame, and bits a second in the High profile (1.25 × MaxBR).
var levels = []struct {
	name            string
	perSecond, size int64
	rate            int64
}{
	{"1.0", 1485, 99, 80_000},
	{"1.1", 3000, 396, 240_000},
	{"1.2", 6000, 396, 480_000},
	{"1.3", 11880, 396, 960_000},
	{"2.0", 11880, 396, 2_500_000},
	{"2.1", 19800, 792, 5_000_000},
	{"2.2", 20250, 1620, 5_000_000},
	{"3.0", 40500, 1620, 12_500_000},
	{"3.1", 108000, 3600, 17_500_000},
	{"3.2", 216000, 5120, 25_000_000},
	{"4.0", 245760, 8192, 25_000_000},
	{"4.2", 522240, 8704, 62_500_000},
	{"5.0", 589824, 22080, 168_750_000},
	{"5.1", 983040, 36864, 300_000_000},
	{"5.2", 2073600, 36864, 300_000_000},
}

// level is the lowest level that holds the rung. A frame's side may be at most √(8 × size) macroblocks (A.3.1 f, g).
func level(width, height int, rate Ratio, maxRate int64) string {
	across, down := int64((width+15)/16), int64((height+15)/16)
	macroblocks := across * down
	perSecond := int64(math.Ceil(float64(macroblocks) * rate.Float()))
	for _, l := range levels {
		side := int64(math.Sqrt(float64(8 * l.size)))
		if macroblocks <= l.size && perSecond <= l.perSecond && maxRate <= l.rate && across <= side && down <= side {
			return l.name
		}
	}
	return levels[len(levels)-1].name
}

package ffmpeg

import (
	"maps"
	"math"
	"slices"

	"sluice/internal/video"
)

// maxRate is the most frames a second that Sluice makes.
const maxRate = 60

// minRate is the fewest; a source with fewer shows each picture several times.
const minRate = 5

// standard are the rates that a VFR source may become.
var standard = []video.Ratio{{Num: 24000, Den: 1001}, {Num: 24, Den: 1}, {Num: 25, Den: 1}, {Num: 30000, Den: 1001}, {Num: 30, Den: 1},
	{Num: 48, Den: 1}, {Num: 50, Den: 1}, {Num: 60000, Den: 1001}, {Num: 60, Den: 1}}

// common are further rates that cameras and programs make; a measured CFR source near one has that one.
var common = append([]video.Ratio{{Num: 5, Den: 1}, {Num: 6, Den: 1}, {Num: 8, Den: 1}, {Num: 10, Den: 1}, {Num: 12, Den: 1}, {Num: 12000, Den: 1001},
	{Num: 25, Den: 2}, {Num: 15000, Den: 1001}, {Num: 15, Den: 1}, {Num: 20, Den: 1}, {Num: 90, Den: 1}, {Num: 100, Den: 1},
	{Num: 120000, Den: 1001}, {Num: 120, Den: 1}, {Num: 240000, Den: 1001}, {Num: 240, Den: 1}}, standard...)

// cadence is what the times between pictures tell. Times are ticks of base seconds.
type cadence struct {
	base   video.Ratio
	counts map[int64]int64 // how often each interval was met; nil after too many different ones
	n      int64           // intervals
	sum    int64
	max    int64
}

// maxIntervals bounds the memory of a cadence: a source with more different intervals is VFR anyway.
const maxIntervals = 4096

func (c *cadence) add(interval int64) {
	if c.n == 0 {
		c.counts = map[int64]int64{}
	}
	c.n++
	c.sum += interval
	c.max = max(c.max, interval)
	if c.counts != nil {
		c.counts[interval]++
		if len(c.counts) > maxIntervals {
			c.counts = nil
		}
	}
}

// rate decides between CFR and VFR. Timestamps are rounded to ticks, so that intervals of one rate differ by a tick;
// a picture left out doubles one. frame is the interval of decoded pictures in ticks, 0 for unknown: where it is twice that
// of the packets, each packet holds one field (PAFF). claimed are the rates that the header gives.
func (c *cadence) rate(frame int64, claimed ...video.Ratio) (r video.Ratio, vfr bool) {
	if c.n == 0 || c.sum <= 0 {
		for _, r := range claimed {
			if f := r.Float(); f >= 1 && f <= 120 {
				if known := nearest(f, common); near(f, known.Float(), 1e-3) {
					r = known
				}
				return bounded(r), false
			}
		}
		return video.Ratio{Num: 25, Den: 1}, false
	}
	mean, spread, regular := c.regular()
	if !regular {
		interval := float64(c.sum) / float64(c.n)
		if near(float64(frame), 2*interval, 0.1) {
			interval *= 2
		}
		rate := 1 / (interval * c.base.Float())
		return c.family(rate, nearest(rate, standard), claimed), true
	}
	r = c.exact(mean, spread, claimed)
	if near(float64(frame), 2*mean, 0.1) {
		r = reduce(r.Num, r.Den*2)
	}
	return bounded(r), false
}

// families are the rates that differ by 1000/1001 alone: of NTSC, and whole.
var families = [][2]video.Ratio{
	{{Num: 24000, Den: 1001}, {Num: 24, Den: 1}}, {{Num: 30000, Den: 1001}, {Num: 30, Den: 1}}, {{Num: 60000, Den: 1001}, {Num: 60, Den: 1}},
}

// family corrects r, the standard rate nearest to what was measured, where a short source cannot tell 24000/1001 from
// 24 by its mean: soft telecine shows pictures for two and three fields by turns, and its fields tell. The intervals of
// one family are whole fields of it; where ticks are too coarse to tell, the header's claims decide.
func (c *cadence) family(measured float64, r video.Ratio, claimed []video.Ratio) video.Ratio {
	for _, pair := range families {
		if (r != pair[0] && r != pair[1]) || !near(measured, r.Float(), 3e-3) {
			continue
		}
		ntsc, whole := c.off(video.Ratio{Num: 60000, Den: 1001}), c.off(video.Ratio{Num: 60, Den: 1})
		switch {
		case whole-ntsc > 0.5:
			return pair[0]
		case ntsc-whole > 0.5:
			return pair[1]
		}
		for _, claim := range claimed {
			for _, known := range families {
				for i := range known {
					if claim == known[i] {
						return pair[i]
					}
				}
			}
		}
	}
	return r
}

// off is by how many ticks the intervals miss whole fields, in the mean; 0 where that is unknown.
func (c *cadence) off(fields video.Ratio) (mean float64) {
	if c.counts == nil || c.base.IsZero() {
		return 0
	}
	field := 1 / (fields.Float() * c.base.Float())
	for interval, count := range c.counts {
		whole := math.Round(float64(interval)/field) * field
		mean += math.Abs(float64(interval)-whole) * float64(count) / float64(c.n)
	}
	return mean
}

// jitter is how far the clock of a camera that means one rate may waver.
const jitter = 1e-3 // seconds

// regular finds the usual interval, and whether nine of ten intervals are it and the others whole multiples, give or
// take a tick or the jitter of a clock. mean is the average of the usual intervals in ticks, spread how far they lie
// apart.
func (c *cadence) regular() (mean, spread float64, ok bool) {
	if c.counts == nil || c.base.IsZero() {
		return 0, 0, false
	}
	slack := max(1, int64(jitter/c.base.Float()))
	usual := c.median()
	var n, sum int64
	low, high := int64(math.MaxInt64), int64(0)
	for interval, count := range c.counts {
		if abs(interval-usual) <= slack && interval > 0 {
			n, sum = n+count, sum+interval*count
			low, high = min(low, interval), max(high, interval)
		}
	}
	if n == 0 || float64(n) < 0.9*float64(c.n) {
		return 0, 0, false
	}
	mean = float64(sum) / float64(n)
	for interval := range c.counts {
		multiple := math.Round(float64(interval) / mean)
		if multiple < 1 || math.Abs(float64(interval)-multiple*mean) > float64(slack)+0.5 {
			return 0, 0, false
		}
	}
	return mean, float64(high - low), true
}

func (c *cadence) median() int64 {
	passed := int64(0)
	for _, interval := range slices.Sorted(maps.Keys(c.counts)) {
		if passed += c.counts[interval]; 2*passed >= c.n {
			return interval
		}
	}
	return 0
}

// exact turns the mean interval into a rate: the nearest known one that lies within what rounding to ticks can hide,
// else the interval as it is.
func (c *cadence) exact(mean, spread float64, claimed []video.Ratio) video.Ratio {
	// Over all intervals together, rounding and jitter can hide no more than that of the first and the last.
	tolerance := max(1.5, spread) / (float64(c.n) * mean)
	if spread == 0 && mean >= 200 {
		tolerance = 1e-6 // a fine clock that never wavers is exact
	}
	measured := 1 / (mean * c.base.Float())
	if r := nearest(measured, common); near(measured, r.Float(), tolerance) {
		return r
	}
	if spread == 0 {
		return reduce(c.base.Den, c.base.Num*int64(mean))
	}
	for _, r := range claimed {
		if near(measured, r.Float(), tolerance) && r.Den <= 100_000 {
			return r
		}
	}
	return reduce(int64(math.Round(measured*1000)), 1000)
}

// slightly is the share by which a rate may be above maxRate and become that: one picture in 20 is left out at most,
// where half of them would be. Consoles make 60.0988, timers of 16 ms make 62.5.
const slightly = 1.05

// bounded leaves out all but each second, third and so on picture of what is above maxRate, the fewest that it can, and
// a picture now and then of what is only slightly above. It multiplies what is below minRate, which repeats whole pictures.
func bounded(r video.Ratio) video.Ratio {
	if each := int64(math.Ceil(r.Float() / (maxRate * slightly))); each > 1 {
		r = reduce(r.Num, r.Den*each)
	}
	if r.Float() > maxRate {
		r = video.Ratio{Num: maxRate, Den: 1}
	}
	if f := r.Float(); f > 0 && f < minRate {
		r = reduce(r.Num*int64(math.Ceil(minRate/f)), r.Den)
	}
	return r
}

func nearest(rate float64, of []video.Ratio) video.Ratio {
	best := of[0]
	for _, r := range of {
		if math.Abs(r.Float()-rate) < math.Abs(best.Float()-rate) {
			best = r
		}
	}
	return best
}

// near reports whether a lies within a share tolerance of b.
func near(a, b, tolerance float64) bool { return b > 0 && math.Abs(a-b) <= tolerance*b }

func reduce(num, den int64) video.Ratio {
	a, b := num, den
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 {
		return video.Ratio{Num: num, Den: den}
	}
	return video.Ratio{Num: num / a, Den: den / a}
}

func abs(n int64) int64 { return max(n, -n) }

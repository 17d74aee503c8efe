package ffmpeg

import (
	"fmt"
	"testing"

	"sluice/internal/video"
)

func TestBounded_RateAboveTheMost_LeavesOutTheFewestPictures(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ num, den, wantNum, wantDen int64 }{
		{60, 1, 60, 1}, {60000, 1001, 60000, 1001},
		{39375000, 655171, 60, 1}, {60099, 1000, 60, 1}, {61, 1, 60, 1}, {625, 10, 60, 1}, {63, 1, 60, 1},
		{70086, 1000, 35043, 1000}, {75, 1, 75, 2}, {90, 1, 45, 1}, {100, 1, 50, 1}, {120, 1, 60, 1}, {120000, 1001, 60000, 1001},
		{1202, 10, 60, 1}, {144, 1, 48, 1}, {165, 1, 55, 1}, {240, 1, 60, 1}, {241, 1, 60, 1}, {1, 1, 5, 1}, {24, 1, 24, 1},
	} {
		got := bounded(video.Ratio{Num: c.num, Den: c.den})
		if got.Num*c.wantDen != c.wantNum*got.Den {
			t.Errorf("%d/%d becomes %d/%d; want %d/%d", c.num, c.den, got.Num, got.Den, c.wantNum, c.wantDen)
		}
	}
}

// TestRate_SoftTelecine_IsOfItsFamily gives intervals of two and three fields by turns, for a few seconds only.
func TestRate_SoftTelecine_IsOfItsFamily(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		base      video.Ratio
		intervals []int64
		claimed   video.Ratio
		want      string
	}{
		{"film as NTSC, a fine clock", video.Ratio{Num: 1, Den: 90000}, []int64{3003, 4504, 3003, 4505}, video.Ratio{Num: 29, Den: 1}, "24000/1001"},
		{"film at 24, a fine clock", video.Ratio{Num: 1, Den: 90000}, []int64{3000, 4500}, video.Ratio{Num: 60000, Den: 1001}, "24/1"},
		{"film as NTSC, milliseconds", video.Ratio{Num: 1, Den: 1000}, []int64{33, 50, 34, 50}, video.Ratio{Num: 60000, Den: 1001}, "24000/1001"},
		{"film at 24, milliseconds", video.Ratio{Num: 1, Den: 1000}, []int64{33, 50, 34, 50}, video.Ratio{Num: 60, Den: 1}, "24/1"},
	} {
		for n := 60; n < 70; n++ { // the mean of a few pictures is off either way
			cadence := cadence{base: c.base}
			for i := range n {
				cadence.add(c.intervals[i%len(c.intervals)])
			}
			got, vfr := cadence.rate(0, c.claimed)
			if text := fmt.Sprintf("%d/%d", got.Num, got.Den); text != c.want || !vfr {
				t.Errorf("%s, %d pictures: %s (vfr %v); want %s", c.name, n, text, vfr, c.want)
			}
		}
	}
}

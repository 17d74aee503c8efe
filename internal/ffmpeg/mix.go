package ffmpeg

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/video"
)

// How sound of any number of channels becomes stereo. ffmpeg 5.1 mixes the layouts of home cinema by itself. It refuses
// layouts that it does not know, those without a front pair, and ambisonics, and leaves the channels above and below the
// listener out without a word; those are mixed here. Each mix is scaled so that it cannot clip.

// halfPower is the gain of a channel that is heard from both sides, or from behind: -3 dB (ITU-R BS.775-3, table 2).
const halfPower = math.Sqrt2 / 2

// cinema are the layouts that ffmpeg mixes as BS.775 does: LFE is left out, centre and surround have -3 dB.
var cinema = []string{
	"mono", "stereo", "downmix", "2.1", "3.0", "3.0(back)", "3.1", "4.0", "4.1", "quad", "quad(side)", "5.0", "5.0(side)", "5.1", "5.1(side)",
	"6.0", "6.0(front)", "6.1", "6.1(back)", "6.1(front)", "hexagonal", "7.0", "7.0(front)", "7.1", "7.1(wide)", "7.1(wide-side)", "octagonal",
}

// layouts are the channels of those that have a name and channels that ffmpeg leaves out (ffmpeg -layouts, up to 8.0).
var layouts = map[string]string{
	"hexadecagonal": "FL+FR+FC+BL+BR+BC+SL+SR+TFL+TFC+TFR+TBL+TBC+TBR+WL+WR",
	"22.2":          "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL+SR+TC+TFL+TFC+TFR+TBL+TBC+TBR+LFE2+TSL+TSR+BFC+BFL+BFR",
	"cube":          "FL+FR+BL+BR+TFL+TFR+TBL+TBR",
	"3.1.2":         "FL+FR+FC+LFE+TFL+TFR",
	"5.1.2":         "FL+FR+FC+LFE+SL+SR+TFL+TFR",
	"5.1.2(back)":   "FL+FR+FC+LFE+BL+BR+TFL+TFR",
	"5.1.4":         "FL+FR+FC+LFE+BL+BR+TFL+TFR+TBL+TBR",
	"7.1(top)":      "FL+FR+FC+LFE+BL+BR+TFL+TFR",
	"7.1.2":         "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR",
	"7.1.4":         "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR",
	"7.2.3":         "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBC+LFE2",
	"9.1.4":         "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR",
	"9.1.6":         "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR+TSL+TSR",
	"binaural":      "BIL+BIR",
}

// unnamed are the channels of a track that does not name them, by their number: the order of WAVE and FLAC. LFE stands for
// a channel that may as well be a microphone, and is heard. Other numbers are pairs, as in broadcast masters and field
// recorders (EBU R 123).
var unnamed = map[int]string{
	3: "FL+FR+FC", 5: "FL+FR+FC+BL+BR", 6: "FL+FR+FC+MIC+BL+BR", 7: "FL+FR+FC+MIC+BC+SL+SR", 8: "FL+FR+FC+MIC+BL+BR+SL+SR",
}

// gains are how loud a channel is on the left and on the right.
var gains = map[string][2]float64{
	"FL": {1, 0}, "FR": {0, 1}, "DL": {1, 0}, "DR": {0, 1}, "BIL": {1, 0}, "BIR": {0, 1}, "FLC": {1, halfPower}, "FRC": {halfPower, 1},
	"BL": {halfPower, 0}, "BR": {0, halfPower}, "SL": {halfPower, 0}, "SR": {0, halfPower}, "WL": {halfPower, 0}, "WR": {0, halfPower}, "SDL": {halfPower, 0}, "SDR": {0, halfPower},
	"TFL": {halfPower, 0}, "TFR": {0, halfPower}, "TBL": {halfPower, 0}, "TBR": {0, halfPower}, "TSL": {halfPower, 0}, "TSR": {0, halfPower}, "BFL": {halfPower, 0}, "BFR": {0, halfPower},
	"FC": {halfPower, halfPower}, "BC": {0.5, 0.5}, "TC": {0.5, 0.5}, "TFC": {0.5, 0.5}, "TBC": {0.5, 0.5}, "BFC": {0.5, 0.5}, "MIC": {0.5, 0.5},
	"LFE": {0, 0}, "LFE2": {0, 0},
}

var (
	listed     = regexp.MustCompile(`^\d+ channels \(([^)]*)\)$`)
	ambisonics = regexp.MustCompile(`^ambisonic (\d+)`)
)

// mixed is the filter that makes stereo of a track; empty where ffmpeg's own mix is right.
func mixed(a video.AudioFacts) []string {
	if a.Channels < 1 || slices.Contains(cinema, a.Layout) || a.Layout == "" && a.Channels <= 2 {
		return nil
	}
	matrix := named(a)
	var left, right float64
	for _, g := range matrix {
		left, right = left+math.Abs(g[0]), right+math.Abs(g[1])
	}
	if left == 0 || right == 0 { // all on one side, or LFE alone
		left, right = float64(a.Channels), float64(a.Channels)
		for i := range matrix {
			matrix[i] = [2]float64{1, 1}
		}
	}
	scale := 1 / max(left, right)
	var sides [2]strings.Builder
	for i, g := range matrix {
		for side := range sides {
			if g[side] != 0 {
				fmt.Fprintf(&sides[side], "%+.5f*c%d", math.Trunc(g[side]*scale*1e5)/1e5, i) // rounded up, 64 of them could clip
			}
		}
	}
	return []string{fmt.Sprintf("pan=stereo|c0=%s|c1=%s", strings.TrimPrefix(sides[0].String(), "+"), strings.TrimPrefix(sides[1].String(), "+"))}
}

// named are the gains of each channel of a track.
func named(a video.AudioFacts) [][2]float64 {
	matrix := make([][2]float64, a.Channels)
	if m := ambisonics.FindStringSubmatch(a.Layout); m != nil {
		order, _ := strconv.Atoi(m[1])
		if sphere := (order + 1) * (order + 1); sphere >= 4 && sphere <= a.Channels {
			// The channels are in ACN order: W is all round, Y points to the left. Half of each is a cardioid to one side.
			matrix[0], matrix[1] = [2]float64{0.5, 0.5}, [2]float64{0.5, -0.5}
			for i := sphere; i < a.Channels; i++ { // sound for the head, which does not turn with it
				matrix[i] = pair(i-sphere, a.Channels-sphere)
			}
			return matrix
		}
	}
	text := layouts[a.Layout]
	if m := listed.FindStringSubmatch(a.Layout); m != nil {
		text = m[1]
	}
	if text == "" {
		text = unnamed[a.Channels]
	}
	if names := strings.Split(text, "+"); len(names) == a.Channels {
		for i, n := range names {
			g, known := gains[n]
			if !known {
				g = gains["MIC"]
			}
			matrix[i] = g
		}
		return matrix
	}
	for i := range matrix {
		matrix[i] = pair(i, a.Channels)
	}
	return matrix
}

// pair are the gains of channel i of n without names: odd ones left, even ones right, one that is left over on both.
func pair(i, n int) [2]float64 {
	switch {
	case i == n-1 && n%2 == 1:
		return [2]float64{halfPower, halfPower}
	case i%2 == 0:
		return [2]float64{1, 0}
	default:
		return [2]float64{0, 1}
	}
}

package ffmpeg

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sluice/internal/video"
)

// The picture's way, the same for encodes and stills: normalize → deinterlace → (time) → upright. Everything in it
// depends on the source's facts alone, never on the chunk, so that cutting a source cannot change a picture.

// negligible is a shift in time that is not worth a filter: the rounding of Matroska's milliseconds, in seconds.
const negligible = 0.0006

// colour names the tags that go with upright pictures, in ffmpeg's words.
type colour struct {
	matrix, primaries, transfer string
}

// normalize undoes what a source may change in mid-stream: pictures of another size or pixel format are brought to
// those of the facts. It is a no-op on all others. It is the only guard: -reinit_filter 0 keeps ffmpeg from building
// the graph anew at a change, which would start the time line again.
//
// With fit, pictures of another shape (also by their pixels' shape) keep it, between black borders. That costs a copy of
// each picture, so that it is for sources whose pictures are known to change.
func normalize(v video.VideoFacts, fit bool) []string {
	filters := []string{fmt.Sprintf("scale=%d:%d:flags=bicubic+accurate_rnd+bitexact", v.Width, v.Height)}
	if fit {
		shape := v.Aspect
		if shape.IsZero() {
			shape = video.Ratio{Num: 1, Den: 1}
		}
		filters = []string{
			fmt.Sprintf("scale=w='round(min(%[1]d,iw*sar*%[4]d/%[3]d*%[2]d/ih))':h='round(min(%[2]d,ih*%[3]d/%[4]d*%[1]d/(iw*sar)))':"+
				"eval=frame:flags=bicubic+accurate_rnd+bitexact", v.Width, v.Height, shape.Num, shape.Den),
			fmt.Sprintf("pad=%d:%d:(ow-iw)/2:(oh-ih)/2:eval=frame", v.Width, v.Height),
		}
	}
	if strings.HasPrefix(v.PixFmt, "yuv") || strings.HasPrefix(v.PixFmt, "gbr") || strings.HasPrefix(v.PixFmt, "gray") {
		filters = append(filters, "format="+v.PixFmt)
	}
	return filters
}

// deinterlace makes one picture of each two fields, of those frames that the source marks as interlaced.
func deinterlace(f video.Filter) []string {
	if !f.Deinterlace {
		return nil
	}
	return []string{"bwdif=mode=send_frame:deint=interlaced"}
}

// upright brings a decoded picture to width×height as a viewer sees it: square pixels, turned, over black where it is
// transparent, 8-bit 4:2:0 in limited range, SDR, tagged with its colours.
func upright(v video.VideoFacts, f video.Filter, width, height int) []string {
	across, down := width, height
	if f.Rotation%180 != 0 {
		across, down = height, width
	}
	var filters []string
	if hasAlpha(v.PixFmt) {
		filters = append(filters, "premultiply=inplace=1")
	}
	filters = append(filters, toSDR(v, f, fmt.Sprintf("scale=%d:%d:flags=bicubic+accurate_rnd+bitexact", across, down))...)
	switch f.Rotation {
	case 90:
		filters = append(filters, "transpose=clock")
	case 180:
		filters = append(filters, "hflip", "vflip")
	case 270:
		filters = append(filters, "transpose=cclock")
	}
	c := colours(v, f)
	return append(filters, "setsar=1", fmt.Sprintf("setparams=field_mode=prog:range=tv:color_primaries=%s:color_trc=%s:colorspace=%s",
		c.primaries, c.transfer, c.matrix))
}

// toSDR scales and converts to limited-range 8-bit 4:2:0. HDR and wide gamut are scaled first, because the tone curve
// works on 32-bit floats and costs by the pixel.
func toSDR(v video.VideoFacts, f video.Filter, scale string) []string {
	span := "limited"
	if v.FullRange {
		span = "full"
	}
	matrix := known(v.Matrix, "bt2020nc", "bt709", "bt2020c")
	if isRGB(v.PixFmt) {
		matrix = "gbr"
	}
	input := fmt.Sprintf("min=%s:pin=%s:rin=%s", matrix, known(v.Primaries, "bt2020", "bt709", "smpte432"), span)
	switch {
	case f.ToneMap:
		// 1 is the reference white of 100 cd/m² that both PQ and HLG are brought to; 10 is the 1000 cd/m² that nearly
		// all PQ is mastered for and the nominal peak of HLG (ITU-R BT.2408). Explicit, because the filter's own guess
		// follows side data that may come and go.
		return []string{scale,
			fmt.Sprintf("zscale=%s:tin=%s:t=linear:npl=100", input, known(v.Transfer, "smpte2084", "arib-std-b67")),
			"format=gbrpf32le", "zscale=p=bt709", "tonemap=tonemap=hable:desat=0:peak=10",
			"zscale=t=bt709:m=bt709:r=limited", "format=yuv420p"}
	case wideGamut(v):
		return []string{scale, fmt.Sprintf("zscale=%s:tin=bt709:t=bt709:p=bt709:m=bt709:r=limited", input), "format=yuv420p"}
	case isRGB(v.PixFmt):
		return []string{scale + ":out_color_matrix=bt709:out_range=tv", "format=yuv420p"}
	default:
		return []string{scale + ":out_range=tv", "format=yuv420p"}
	}
}

// colours are the tags of upright pictures. SDR keeps the source's matrix (converting BT.601 to BT.709 would cost a
// trip through RGB and gain nothing: every player reads the tags); where it gives none, the size tells, as players guess.
func colours(v video.VideoFacts, f video.Filter) colour {
	if f.ToneMap || wideGamut(v) || isRGB(v.PixFmt) {
		return colour{"bt709", "bt709", "bt709"}
	}
	guess := "smpte170m"
	if v.Height >= 720 || v.Width >= 1280 {
		guess = "bt709"
	}
	c := colour{matrix: known(v.Matrix, guess, "bt709", "smpte170m", "bt470bg")}
	c.primaries = known(v.Primaries, c.matrix, "bt709", "smpte170m", "bt470bg")
	c.transfer = known(v.Transfer, "bt709", "smpte170m", "iec61966-2-1") // BT.601 and BT.709 share one curve
	return c
}

// wideGamut reports SDR whose colours BT.709 cannot name.
func wideGamut(v video.VideoFacts) bool {
	return !isRGB(v.PixFmt) && (strings.HasPrefix(v.Matrix, "bt2020") || v.Primaries == "bt2020" || v.Primaries == "smpte432")
}

func hasAlpha(pixFmt string) bool {
	for _, s := range []string{"yuva", "gbrap", "rgba", "bgra", "argb", "abgr", "ya8", "ya16"} {
		if strings.HasPrefix(pixFmt, s) {
			return true
		}
	}
	return false
}

func isRGB(pixFmt string) bool {
	for _, s := range []string{"gbr", "rgb", "bgr", "argb", "abgr", "0rgb", "0bgr", "pal8"} {
		if strings.HasPrefix(pixFmt, s) {
			return true
		}
	}
	return false
}

// known returns value if it is one of the names, else the first of them.
func known(value string, names ...string) string {
	if slices.Contains(names, value) {
		return value
	}
	return names[0]
}

// phase is how far everything of a source is moved so that the pictures of a constant rate fall onto the output's frames:
// at most half a frame, in seconds. A track that starts between two frames would otherwise be rounded by up to 20 ms at
// 25 frames a second, and one that starts half way would stutter, its jitter rounded up and down by turns. The sound is
// moved along. Pictures of a varying rate have no phase; they are rounded one by one.
func phase(f video.Facts, p video.Plan) float64 {
	if f.Video == nil || f.Video.VFR || p.Rate.IsZero() {
		return 0
	}
	start := f.Video.Start.Seconds()
	return math.Round(start*p.Rate.Float())/p.Rate.Float() - start
}

// timing brings pictures to the output's rate and cuts the chunk [Start, Start+Frames) out of them. Without a start_time
// the fps filter begins at the first picture it gets; so a chunk whose first picture is missing, because the source
// holds one for longer than the preroll, comes out short instead of wrong. From the source's beginning, the first
// picture is shown from time 0 on, as in one pass. hold are filters between the rate and the cut.
func timing(f video.Facts, p video.Plan, c video.Chunk, fromStart bool, hold ...string) []string {
	fps := fmt.Sprintf("fps=%d/%d", p.Rate.Num, p.Rate.Den)
	if shift := phase(f, p); math.Abs(shift) > negligible {
		fps = fmt.Sprintf("setpts=PTS+round(%.6f/TB),%s", shift, fps)
	}
	if fromStart || c.Start == 0 {
		fps += ":start_time=0"
	}
	filters := append([]string{fps}, hold...)
	switch {
	case c.Start == 0 && c.Frames == 0:
		return filters
	case c.Frames == 0:
		return append(filters, fmt.Sprintf("trim=start_pts=%d", c.Start))
	default:
		return append(filters, fmt.Sprintf("trim=start_pts=%d:end_pts=%d", c.Start, c.Start+c.Frames))
	}
}

// holdLast counts the pictures of a chunk that are the source's as the output [real], and holds the last one for as
// long as the chunk needs.
func holdLast(c video.Chunk) []string {
	return []string{fmt.Sprintf("split=2[held][counted];[counted]trim=start_pts=%d[real];[held]tpad=stop_mode=clone:stop=-1", c.Start)}
}

// graph is the filter graph of one chunk: one decode in, one labelled output [v0], [v1] … a rung. The lower rungs are
// scaled from the top one: it has the source's own size, or already is the cheaper picture to scale. With how.hold it also
// has the output of holdLast.
func graph(f video.Facts, p video.Plan, c video.Chunk, how decoding) string {
	v, top := *f.Video, p.Rungs[0]
	stem := append(normalize(v, p.Filter.Fit || how.fit), deinterlace(p.Filter)...)
	if how.hold {
		stem = append(stem, timing(f, p, c, how.fromStart, holdLast(c)...)...)
	} else {
		stem = append(stem, timing(f, p, c, how.fromStart)...)
	}
	stem = append(stem, upright(v, p.Filter, top.Width, top.Height)...)
	if len(p.Rungs) == 1 {
		return fmt.Sprintf("[0:%d]%s[v0]", v.Index, strings.Join(stem, ","))
	}
	text := fmt.Sprintf("[0:%d]%s,split=%d[v0]", v.Index, strings.Join(stem, ","), len(p.Rungs))
	for i := range p.Rungs[1:] {
		text += fmt.Sprintf("[s%d]", i+1)
	}
	for i, r := range p.Rungs[1:] {
		text += fmt.Sprintf(";[s%d]scale=%d:%d:flags=bicubic+accurate_rnd+bitexact,setsar=1[v%d]", i+1, r.Width, r.Height, i+1)
	}
	return text
}

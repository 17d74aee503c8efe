package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// thumbnailSide is the short side of the small still: pixels.
const thumbnailSide = 180

// StillFile is one still that was made.
type StillFile struct {
	Name   string // below the generation's prefix: "poster.jpg"
	Path   string
	Width  int // pixels
	Height int
}

// Stills makes poster.jpg, in the size of the top rung, and poster-thumbnail.jpg below dir, from the first picture
// from 1 s on that shows something well (the middle of a shorter clip); where all that were tried are dark, from the
// first that is not black, and where all are black, from the first. They stand upright, have square pixels and SDR colours, and carry no metadata. An audio-only source has none.
//
// Cost: decoding from the key frame before the picture.
func (t *Tool) Stills(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string) ([]StillFile, error) {
	if f.Video == nil || len(p.Rungs) == 0 {
		return nil, nil
	}
	times := stillTimes(*f.Video)
	for _, dark := range darkness {
		for _, at := range times {
			files, err := t.still(ctx, src, f, p, dir, at, dark)
			if err != nil || files != nil {
				return files, err
			}
			if src.Partial {
				return nil, ErrPartial
			}
		}
	}
	return nil, fault.New(fault.Invalid, opStills, "damaged", "No picture of the file can be decoded. Make it anew, or upload another copy.", nil)
}

const opStills = "ffmpeg.stills"

// dark says which pictures are too dark: those with that share of pixels (percent) below that luma (0-255).
type dark struct{ share, luma int }

// darkness is what to ask of a picture, less each time: no fade that has hardly begun; no black with a logo in its
// corner; nothing.
var darkness = []dark{{85, 48}, {98, 32}, {}}

// FirstStill is when the picture is that Stills tries first, and the end of what it looks through for it: what a partial source must have.
func FirstStill(v video.VideoFacts) (from, to time.Duration) {
	at := stillTimes(v)[0]
	return at, at + 2*time.Second + period(v.Rate)
}

// stillTimes are the times to try, in order: 1 s, then deeper into the video.
func stillTimes(v video.VideoFacts) []time.Duration {
	length := v.Duration - v.Start
	if length < 2*time.Second {
		return []time.Duration{v.Start + length/2, v.Start}
	}
	times := []time.Duration{v.Start + time.Second}
	for _, at := range []time.Duration{3 * time.Second, 8 * time.Second, length / 4, length / 2} {
		if at > time.Second && at < length {
			times = append(times, v.Start+at)
		}
	}
	return append(times, v.Start)
}

// still makes both files from the first picture at or after at that is not too dark, among those of 2 s. It returns nil
// where there is none.
func (t *Tool) still(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string, at time.Duration, not dark) ([]StillFile, error) {
	_, err := t.run(ctx, spec{op: opStills, args: stillArgs(t.config.Limits, src.Path, f, p, at, not), reads: []string{src.Path}, partial: src.Partial, dir: dir})
	if err != nil && (fault.Of(err).Code != "tool_failed" || errors.Is(err, ErrPartial)) {
		return nil, err
	}
	var files []StillFile
	for _, name := range []string{"poster.jpg", "poster-thumbnail.jpg"} {
		file := StillFile{Name: name, Path: filepath.Join(dir, name)}
		b, err := os.ReadFile(file.Path)
		if err != nil {
			return nil, nil // no picture came this far
		}
		picture, err := jpeg.DecodeConfig(bytes.NewReader(b))
		if err != nil {
			return nil, nil
		}
		file.Width, file.Height = picture.Width, picture.Height
		files = append(files, file)
	}
	return files, nil
}

// stillArgs decodes from a little before at, drops what is dark, and writes one picture in two sizes.
func stillArgs(limits video.Limits, src string, f video.Facts, p video.Plan, at time.Duration, not dark) []string {
	top := p.Rungs[0]
	options := []string{"-threads", "1", "-copyts", "-start_at_zero", "-noautorotate"}
	// Seeking lands on the key frame before; without an index, reading begins at the start.
	if f.Seekable && at > 0 {
		options = append(options, "-ss", seconds(at))
	}
	chain := append(normalize(*f.Video, p.Filter.Fit), deinterlace(p.Filter)...)
	chain = append(chain, fmt.Sprintf("trim=start=%s:duration=2", seconds(at-period(f.Video.Rate)/2)), "framestep=8")
	chain = append(chain, upright(*f.Video, p.Filter, top.Width, top.Height)...)
	if not != (dark{}) {
		chain = append(chain, fmt.Sprintf("blackframe=amount=0:threshold=%d", not.luma),
			fmt.Sprintf("metadata=mode=select:key=lavfi.blackframe.pblack:value=%d:function=less", not.share))
	}
	chain = append(chain, "trim=end_frame=1", "scale=out_range=pc:out_color_matrix=bt601", "format=yuvj420p", "split=2[full][s]")
	width, height := thumbnail(top.Width, top.Height)
	graph := fmt.Sprintf("[0:V:0]%s;[s]scale=%d:%d:flags=lanczos+accurate_rnd+bitexact,setsar=1[small]", strings.Join(chain, ","), width, height)
	args := append([]string{"-max_error_rate", "1"}, inputArgs(limits, src, options...)...)
	args = append(args, "-filter_complex", graph)
	for _, output := range [][2]string{{"[full]", "poster.jpg"}, {"[small]", "poster-thumbnail.jpg"}} {
		args = append(args, "-map", output[0])
		args = append(args, strip()...)
		args = append(args, "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", "-flags:v", "+bitexact", "-fflags", "+bitexact",
			"-f", "image2", "-update", "1", "-y", "file:"+output[1])
	}
	return args
}

// thumbnail is the size of the small still: even, and never larger than the full one.
func thumbnail(width, height int) (int, int) {
	side := min(width, height)
	if side <= thumbnailSide {
		return width, height
	}
	even := func(n int) int { return max(2, (n*thumbnailSide+side/2)/side/2*2) }
	return even(width), even(height)
}

func seconds(d time.Duration) string {
	return strconv.FormatFloat(max(0, d.Seconds()), 'f', 6, 64)
}

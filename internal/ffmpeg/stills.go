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

// Stills makes poster.jpg, in the size of the top rung, and poster-thumbnail.jpg below dir, both from one picture: the
// best of some candidates of the first part of the video, by brightness, contrast and detail, and not in a fade (see
// quality). They stand upright, have square pixels and SDR colours, and carry no metadata. An audio-only source has none.
//
// Cost: for a long video, some pictures from each of eight key pictures; for a short one, the first two seconds; where
// all of those are poor, the first twelve seconds; then the chosen picture once more.
func (t *Tool) Stills(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string) ([]StillFile, error) {
	if f.Video == nil || len(p.Rungs) == 0 {
		return nil, nil
	}
	best, found := shot{}, false
	for _, looks := range surveys(f) {
		candidates, err := t.survey(ctx, src, f, p, dir, looks)
		if err != nil {
			return nil, err
		}
		for _, c := range candidates {
			if !found || c.score > best.score {
				best, found = c, true
			}
		}
		if found && best.score >= good {
			break
		}
		if src.Partial {
			return nil, ErrPartial
		}
	}
	files, err := t.still(ctx, src, f, p, dir, best)
	if err == nil && files == nil && !src.Partial { // what was looked at cannot be made again, or there was nothing
		files, err = t.still(ctx, src, f, p, dir, shot{look: look{step: 1}})
	}
	switch {
	case err != nil || files != nil:
		return files, err
	case src.Partial:
		return nil, ErrPartial
	}
	return nil, fault.New(fault.Invalid, opStills, "damaged", "No picture of the file can be decoded. Make it anew, or upload another copy.", nil)
}

const opStills = "ffmpeg.stills"

// still makes both files from one picture. It returns nil where that cannot be decoded.
func (t *Tool) still(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string, s shot) ([]StillFile, error) {
	_, err := t.run(ctx, spec{op: opStills, args: stillArgs(t.config.Limits, src.Path, f, p, s), reads: []string{src.Path}, partial: src.Partial, dir: dir})
	if err != nil && (!failed(err) || errors.Is(err, ErrPartial)) {
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

// stillArgs decodes up to one picture and writes it in two sizes.
func stillArgs(limits video.Limits, src string, f video.Facts, p video.Plan, s shot) []string {
	top := p.Rungs[0]
	chain := append(s.pictures(f, p, 0), fmt.Sprintf("trim=start_frame=%d:end_frame=%d", s.n, s.n+1))
	chain = append(chain, upright(*f.Video, p.Filter, top.Width, top.Height)...)
	chain = append(chain, "scale=out_range=pc:out_color_matrix=bt601", "format=yuvj420p", "split=2[full][s]")
	width, height := thumbnail(top.Width, top.Height)
	graph := fmt.Sprintf("%s;[s]scale=%d:%d:flags=lanczos+accurate_rnd+bitexact,setsar=1[small]", strings.Join(chain, ","), width, height)
	args := append([]string{"-max_error_rate", "1"}, inputArgs(limits, src, s.options()...)...)
	args = append(args, "-filter_complex", graph)
	for _, output := range [][2]string{{"[full]", "poster.jpg"}, {"[small]", "poster-thumbnail.jpg"}} {
		args = append(args, "-map", output[0])
		args = append(args, strip()...)
		// A key picture before the time that was sought has a time below 0, which the default mode drops.
		args = append(args, "-fps_mode", "passthrough", "-frames:v", "1", "-c:v", "mjpeg", "-q:v", "3", "-flags:v", "+bitexact", "-fflags", "+bitexact",
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

package ffmpeg

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// inMP4 are the codecs that a copy into MP4 keeps; others go into Matroska.
var inMP4 = []string{"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}

// elementary are the demuxers of bare pictures. They have no clock to copy, and decode from the start in one piece.
var elementary = []string{"h264", "hevc", "mpegvideo", "m4v", "h263", "av1", "obu"}

// RemuxFor says into which container a source must be copied before it can be cut into chunks: "mp4" or "matroska";
// "" where it can be cut as it is, or never (Facts.Seekable tells which).
func RemuxFor(f video.Facts) string {
	if f.Video == nil || f.Seekable || slices.Contains(elementary, f.Container) {
		return ""
	}
	if !slices.Contains(inMP4, f.Video.Codec) {
		return "matroska"
	}
	for _, a := range f.Audio {
		if !slices.Contains(inMP4, a.Codec) {
			return "matroska"
		}
	}
	return "mp4"
}

// remuxArgs copies the streams of f into dst, with their offsets to each other. Without -copyts, ffmpeg mends the breaks
// in a transport stream's clock; genpts fills in what AVI and program streams leave out; pictures before the first key
// frame, which cannot be decoded, are left behind.
func remuxArgs(limits video.Limits, src, dst string, f video.Facts, container string) []string {
	args := inputArgs(limits, src, "-fflags", "+genpts")
	if f.Video != nil {
		args = append(args, "-map", fmt.Sprintf("0:%d", f.Video.Index))
	}
	for _, a := range f.Audio {
		args = append(args, "-map", fmt.Sprintf("0:%d", a.Index))
	}
	args = append(args, strip()...)
	for i, a := range f.Audio { // the copy has neither programs nor dispositions: a probe of it chooses by this flag alone
		flag := "0"
		if a.Main {
			flag = "default"
		}
		args = append(args, fmt.Sprintf("-disposition:a:%d", i), flag)
	}
	return append(args, "-c", "copy", "-f", container, "-y", "file:"+dst)
}

// Uncut reports whether a source that cannot be copied may be encoded as it is, in one piece. A container whose clock may
// jump may not: sound and picture would lose each other.
func Uncut(f video.Facts) bool {
	return !strings.HasPrefix(f.Container, "mpeg") && f.Container != "ogg"
}

// Remux copies the streams of src, without decoding them, into the file dst of the container that RemuxFor named. Probe
// the result before use: times and indices differ. It fails with "remux_failed" where the streams do not fit.
//
// Cost: reading and writing the source once.
func (t *Tool) Remux(ctx context.Context, src, dst string, f video.Facts, container string) error {
	const op = "ffmpeg.remux"
	_, err := t.run(ctx, spec{op: op, args: remuxArgs(t.config.Limits, src, dst, f, container), reads: []string{src}, dir: filepath.Dir(dst)})
	if err != nil && !failed(err) {
		return err
	}
	if info, statErr := os.Stat(dst); err != nil || statErr != nil || info.Size() == 0 {
		return fault.New(fault.Unsupported, op, "remux_failed",
			"The tracks of the file cannot be copied into a container that can be cut. Upload an MP4, MOV, Matroska or WebM file.", err)
	}
	return nil
}

package ffmpeg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

const (
	maxHeader = 8 << 20 // bytes of ffprobe's JSON
	// maxChannels is what the resampler takes (SWR_CH_MAX in ffmpeg 5.1).
	maxChannels = 64
	// scanSpeed is the slowest disk that a packet scan allows for: bytes a second.
	scanSpeed = 10 << 20
	// complete is the share of an MP4's samples that must be there: a cut upload lacks more, a camera that lost power less.
	complete = 0.98
	// worth is the share from which what is there is played, with a warning.
	worth = 0.5
)

// Probe finds out what the file src is. Of a partial one, Index.Probed is enough; whatever is wrong with that is ErrPartial. name is what people call it, and serves the log alone: what a file is,
// its bytes decide. It fails with a fault.Error whose code says what is wrong with the source ("not_media",
// "truncated", "unsupported_codec" and so on, all in docs/ERRORS.md), and reads no other file and no network.
//
// Cost: the file is read once from end to end (MP4 as well, so that its samples are known to be there), and a few
// pictures are decoded. Wall time is bounded by Config.ProbeTimeout plus reading at 10 MiB/s: a source that needs more
// is
// refused as "too_costly" if the tools used the processor for a good part of that time, else the machine is busy or its
// disk is
// slow, and the error is fault.Unavailable "probe_timeout".
func (t *Tool) Probe(ctx context.Context, src Source, name string) (video.Facts, error) {
	path, err := filepath.Abs(src.Path) // the tools run in another folder
	if err != nil {
		return video.Facts{}, fault.New(fault.Internal, opProbe, "source_unavailable", "The source cannot be read now; try again.", err)
	}
	file, err := os.Open(path)
	if err != nil {
		return video.Facts{}, fault.New(fault.Unavailable, opProbe, "source_unavailable", "The source cannot be read now; try again.", err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		return video.Facts{}, fault.New(fault.Unavailable, opProbe, "source_unavailable", "The source cannot be read now; try again.", err)
	}
	limit := t.config.ProbeTimeout + time.Duration(info.Size()/scanSpeed)*time.Second
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	p := &probe{tool: t, path: path, partial: src.Partial, size: info.Size()}
	began := time.Now()
	facts, err := p.run(bounded, file)
	t.log.DebugContext(ctx, "probed", "source", name, "container", facts.Container, "took", time.Since(began), "refused", err != nil)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = outOfTime(p.cpu, limit, err)
	}
	if src.Partial && ctx.Err() == nil && (err != nil && !fault.Is(err, fault.Unavailable) || len(facts.Warnings) > 0) {
		err = errors.Join(ErrPartial, err)
	}
	if err != nil {
		return video.Facts{}, err
	}
	return facts, nil
}

// costlyShare is the part of a probe's time limit that its tools must have computed for the source to be at fault: on
// two cores that eight processes
// share, a tool gets a quarter of a core.
const costlyShare = 4

// outOfTime tells a source that costs too much from a machine that is too busy to look into it.
func outOfTime(cpu, limit time.Duration, cause error) error {
	if cpu >= limit/costlyShare {
		return fault.New(fault.TooLarge, opProbe, "too_costly",
			"Reading the file's structure takes longer than the server allows. Upload a simpler version, made with a common program.", cause)
	}
	return fault.New(fault.Unavailable, opProbe, "probe_timeout",
		"The server was too busy to read the file's structure in time. It tries again by itself.", cause)
}

// probe is one source under examination.
type probe struct {
	tool    *Tool
	path    string
	partial bool
	size    int64
	layout  layout
	header  header
	opened  []string  // options that let ffprobe open the decoders of tracks that are never decoded
	video   *stream   // the chosen video stream that decodes; nil for none
	shown   frame     // its first decoded frame
	pace    int64     // ticks between its first decoded frames
	changes bool      // its frames change their size or shape
	audio   []*stream // those that decode
	main    *stream   // the one of audio that is encoded; nil for none
	lost    []*stream // those that would have been used if they could be decoded
	scan    scan
	cpu     time.Duration // of the tools so far
}

func (p *probe) run(ctx context.Context, file io.ReaderAt) (video.Facts, error) {
	limits := p.tool.config.Limits
	if limits.Bytes > 0 && p.size > limits.Bytes {
		return video.Facts{}, fault.New(fault.TooLarge, opProbe, "too_large",
			fmt.Sprintf("The file has %d MB; the server takes up to %d MB. Upload a smaller version.", p.size>>20, limits.Bytes>>20), nil)
	}
	head := make([]byte, min(sniffSize, p.size))
	if _, err := file.ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return video.Facts{}, fault.New(fault.Unavailable, opProbe, "source_unavailable", "The source cannot be read now; try again.", err)
	}
	if err := sniff(head); err != nil {
		return video.Facts{}, err
	}
	p.layout = readLayout(file, p.size, head)
	for _, step := range []func(context.Context) error{p.checkLayout, p.readHeader, p.admit, p.measure, p.chooseVideo, p.chooseAudio} {
		if err := step(ctx); err != nil {
			return video.Facts{}, err
		}
	}
	return p.facts()
}

// checkLayout refuses what no tool can read for reasons that the file's structure tells better than a tool.
func (p *probe) checkLayout(context.Context) error {
	l := p.layout
	switch {
	case l.mp4 && !l.moov && !l.fragments && !l.mdat:
		return fault.New(fault.Invalid, opProbe, "not_media", "The file calls itself MP4 and holds no media. Upload the media file itself.", nil)
	case l.mp4 && !l.moov && !l.fragments:
		return fault.New(fault.Invalid, opProbe, "truncated",
			"The file's index (moov) is missing: the upload or the recording was cut off. Upload the whole file.", nil)
	case slices.Contains(l.entries, "encv") || slices.Contains(l.entries, "enca"):
		return fault.New(fault.Unsupported, opProbe, "encrypted", "The file is encrypted (DRM). Upload a version without encryption.", nil)
	}
	return nil
}

// ffprobe runs ffprobe on the source with args and returns what it wrote.
func (p *probe) ffprobe(ctx context.Context, stdout io.Writer, args ...string) (result, error) {
	all := append(append(guardArgs(p.tool.config.Limits), p.opened...), args...)
	return p.exec(ctx, spec{op: opProbe, probe: true, args: append(all, "file:"+p.path), reads: []string{p.path}, partial: p.partial, stdout: stdout})
}

// exec runs one process of the probe and adds up what it cost.
func (p *probe) exec(ctx context.Context, s spec) (result, error) {
	r, err := p.tool.run(ctx, s)
	p.cpu += r.CPU
	return r, err
}

// readHeader reads what the container says of its tracks. ffprobe 5.1 opens the decoder of every track, also of those
// that nobody asked for, and ends where one may not be opened. Such a decoder is then permitted for its own track
// alone: it reads the track's configuration and never a packet, because neither the demuxer nor Sluice uses it.
func (p *probe) readHeader(ctx context.Context) error {
	for range maxStreams + 1 {
		var out bytes.Buffer
		r, err := p.ffprobe(ctx, &limitedWriter{w: &out, left: maxHeader}, "-of", "json", "-show_format", "-show_streams", "-show_programs")
		if err == nil {
			p.header, err = decode[header](out.Bytes())
		}
		if err == nil {
			return nil
		}
		codec, track := codecRefused.FindAllStringSubmatch(r.Tail, -1), codecUnopened.FindStringSubmatch(r.Tail)
		if !failed(err) || codec == nil || track == nil || slices.Contains(p.opened, "-codec_whitelist:"+track[1]) {
			return p.explain(r, err)
		}
		p.opened = append(p.opened, "-codec_whitelist:"+track[1], codec[len(codec)-1][1])
	}
	return tooManyStreams(p.tool.config.Limits, nil)
}

// explain tells why ffprobe could not open the source.
func (p *probe) explain(r result, err error) error {
	switch {
	case strings.Contains(r.Tail, "max_streams"):
		return tooManyStreams(p.tool.config.Limits, err)
	case strings.Contains(r.Tail, "max pixel count"):
		return tooManyPixels(p.tool.config.Limits, err)
	case codecRefused.MatchString(r.Tail):
		return unsupportedCodec(codecRefused.FindStringSubmatch(r.Tail)[1])
	case strings.Contains(r.Tail, "Audio object type 42 "): // ISO/IEC 14496-3: USAC
		return unsupportedCodec("xHE-AAC")
	case strings.Contains(r.Tail, "Format not on whitelist"):
		return fault.New(fault.Unsupported, opProbe, "unsupported_container",
			"The file is of a kind that Sluice does not take. Upload MP4, MOV, Matroska, WebM, AVI, MPEG-TS or another common video or audio file.", err)
	case !failed(err):
		return err // a limit, the sandbox, the disk, or the context
	case p.layout.mp4 && p.layout.pastEnd:
		return fault.New(fault.Invalid, opProbe, "truncated", "The file ends before its media does: the upload was cut off. Upload the whole file.", err)
	case p.layout.mp4, strings.Contains(r.Tail, "[matroska"), strings.Contains(r.Tail, "[avi"), strings.Contains(r.Tail, "[ogg"):
		return damaged(err)
	default:
		return fault.New(fault.Invalid, opProbe, "not_media",
			"The file is not a video or audio file that Sluice knows. Upload MP4, MOV, Matroska, WebM, AVI, MPEG-TS or another common one.", err)
	}
}

// codecRefused is what ffmpeg says of a decoder that is not on the list.
var codecRefused = regexp.MustCompile(`Codec \((\S+)\) not on whitelist`)

// codecUnopened is what ffprobe says before it ends because a track's decoder could not be opened.
var codecUnopened = regexp.MustCompile(`Could not open codec for input stream (\d+)`)

func damaged(cause error) error {
	return fault.New(fault.Invalid, opProbe, "damaged", "The file is damaged: nothing in it can be decoded. Make it anew, or upload another copy.", cause)
}

func tooManyStreams(limits video.Limits, cause error) error {
	most := limits.Streams
	if most <= 0 {
		most = maxStreams
	}
	return fault.New(fault.TooLarge, opProbe, "too_many_streams",
		fmt.Sprintf("The file has more than %d tracks. Upload a version with only the tracks that are needed.", most), cause)
}

func tooManyPixels(limits video.Limits, cause error) error {
	return fault.New(fault.TooLarge, opProbe, "too_many_pixels",
		fmt.Sprintf("The picture has more than the %.1f million pixels that the server takes. Upload a version of smaller resolution.", float64(limits.Pixels)/1e6), cause)
}

// firstFrames decodes as many packets of the stream as each of counts until one gives a frame, and at more intervals, in
// ffprobe's words, after them. A source that starts between key frames needs more packets than one, so the number grows.
func (p *probe) firstFrames(ctx context.Context, s *stream, more string, counts ...int) (frames, error) {
	if !s.known() || p.refused(s) {
		return frames{}, nil
	}
	for _, n := range counts {
		var out bytes.Buffer
		r, err := p.ffprobe(ctx, &limitedWriter{w: &out, left: maxHeader}, "-of", "json", "-select_streams", strconv.Itoa(s.Index),
			"-read_intervals", fmt.Sprintf("%%+#%d%s", n, more), "-show_entries", "frame=best_effort_timestamp,media_type,pix_fmt,width,height,"+
				"sample_aspect_ratio,interlaced_frame,color_range,color_space,color_transfer,color_primaries,channels,channel_layout")
		if err != nil && !failed(err) {
			return frames{}, p.explain(r, err)
		}
		// What was decoded before ffprobe gave up counts: the end of its list may be missing.
		found, _ := decode[frames](out.Bytes())
		found.Frames = slices.DeleteFunc(found.Frames, func(f frame) bool { return f.Kind != s.Kind })
		if len(found.Frames) > 0 {
			return found, nil
		}
	}
	return frames{}, nil
}

// refused reports whether the decoder of a track is not on the list.
func (p *probe) refused(s *stream) bool {
	return slices.Contains(p.opened, "-codec_whitelist:"+strconv.Itoa(s.Index))
}

// undecodable tells a codec that this ffmpeg lacks from damaged media.
func (p *probe) undecodable(s *stream) error {
	switch {
	case s.Channels > maxChannels:
		return fault.New(fault.Unsupported, opProbe, "unsupported_codec",
			fmt.Sprintf("The sound has %d channels; Sluice takes up to %d. Upload a version with fewer.", s.Channels, maxChannels), nil)
	case !s.known() || p.refused(s):
		return unsupportedCodec(s.name())
	default:
		return damaged(nil)
	}
}

func unsupportedCodec(name string) error {
	if name = printable(name); name == "" {
		return fault.New(fault.Unsupported, opProbe, "unsupported_codec",
			"The file names a codec that is unknown here. Upload a version in H.264, HEVC, VP9, AV1 or another common codec.", nil)
	}
	return fault.New(fault.Unsupported, opProbe, "unsupported_codec",
		fmt.Sprintf("The codec %s cannot be decoded here. Upload a version in H.264, HEVC, VP9, AV1 or another common codec.", name), nil)
}

// printable keeps letters, digits and a few signs of a name that came out of a file.
func printable(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x7f && r > 0x20 && !strings.ContainsRune(`<>&"'/\`, r) {
			return r
		}
		return -1
	}, name)
}

// measure reads all packets.
func (p *probe) measure(ctx context.Context) error {
	p.scan = scan{tracks: map[int]*track{}, breaks: strings.HasPrefix(p.header.Format.Name, "mpeg")}
	for _, s := range append(p.header.films(), p.header.audio()...) {
		p.scan.tracks[s.Index] = &track{base: ratio(s.Base), clock: p.scan.clockOf(p.header.program(s.Index))}
	}
	tables := *p
	tables.partial = false // what is asked of packets stands in the sample tables; that their bytes don't parse is no news
	r, err := tables.ffprobe(ctx, &p.scan, "-of", "csv=p=0", "-show_entries", "packet=stream_index,pts,dts,duration,flags")
	if err != nil && !failed(err) {
		return p.explain(r, err)
	}
	for _, t := range p.scan.tracks {
		t.finish()
	}
	return nil
}

// limitedWriter drops what is too much, so that a hostile file cannot fill memory; what was cut does not parse.
type limitedWriter struct {
	w    io.Writer
	left int
}

func (l *limitedWriter) Write(p []byte) (int, error) {
	keep := p[:min(len(p), l.left)]
	l.left -= len(keep)
	if _, err := l.w.Write(keep); err != nil {
		return 0, err
	}
	return len(p), nil
}

package ffmpeg

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// preset is x264's trade of CPU for bytes; docs/adr/0002-chunks.md has the figures.
const preset = "veryfast"

// pyramid is how many frames x264's B-pyramid is shown after it is decoded: the composition offsets of a track are that
// much larger than they would be without B-frames, and the edit list of its init segment takes them back.
const pyramid = 2

// slow is the rate below which pictures are encoded without B-frames, in frames a second. hls.js (1.7.4) counts a track's
// end with its composition offsets and without its edit list; from a quarter of a second on it waits for more.
const slow = 10

// lead is how many frames a picture is shown after it is decoded, at most.
func lead(p video.Plan) int64 {
	if p.Rate.Float() < slow {
		return 0
	}
	return pyramid
}

// errShort says that a chunk lacks pictures that its plan promises.
var errShort = errors.New("the chunk lacks pictures")

// timescale is how many ticks a second a video track counts, and how many ticks one frame lasts: whole at every rate,
// and fine enough (≥ 10,000) for players that round.
func timescale(rate video.Ratio) (scale uint32, frame int64) {
	scale, frame = uint32(rate.Num), rate.Den
	for scale < 10_000 {
		scale, frame = scale*10, frame*10
	}
	return scale, frame
}

// decoding is how the pictures of a chunk are made.
type decoding struct {
	fromStart bool // decode everything before the chunk instead of its preroll
	fit       bool // keep the shape of pictures of another size
	hold      bool // hold the source's last picture until the chunk's end, and count the pictures before
}

// changing is what ffmpeg's source filter says of a picture of another size or format than the first one's.
const changing = "Changing video frame properties on the fly"

// countFile lists the source's own pictures of a chunk that holds the last one, a line each.
const countFile = "real.txt"

// decodeArgs opens src and makes the pictures of one chunk as the outputs [v0], [v1] … of a filter graph, one a rung.
// Times are the source's own throughout (-copyts -start_at_zero), so that each picture says which output frame it is. They
// count from the earliest stream; in a container whose clock may jump (transport and program streams, Ogg) ffmpeg would
// count from the earliest stream in use, so those are copied into another one before.
func decodeArgs(limits video.Limits, src string, f video.Facts, p video.Plan, c video.Chunk, threads int, how decoding) []string {
	n := strconv.Itoa(threads)
	options := []string{"-threads", n, "-copyts", "-start_at_zero", "-noautorotate", "-reinit_filter", "0"}
	// A chunk behind the source's last picture needs that one: seeking drops what comes before the time it is given.
	from := c.Start
	if p.Pictures > 0 {
		from = min(from, p.Pictures)
	}
	if start := float64(from)/p.Rate.Float() - p.Preroll.Seconds(); start > 0 && !how.fromStart {
		options = append(options, "-ss", strconv.FormatFloat(start, 'f', 6, 64))
	}
	// A source may be damaged in most of its packets and still be worth its pictures: the checks on what comes out decide.
	args := []string{"-max_error_rate", "1", "-filter_complex_threads", n}
	args = append(args, inputArgs(limits, src, options...)...)
	return append(args, "-filter_complex", graph(f, p, c, how))
}

// chunkArgs is the command of one chunk: one decode, one output v0.mp4, v1.mp4 … a rung.
func chunkArgs(limits video.Limits, src string, f video.Facts, p video.Plan, c video.Chunk, threads int, how decoding) []string {
	args := decodeArgs(limits, src, f, p, c, threads, how)
	scale, _ := timescale(p.Rate)
	for i, r := range p.Rungs {
		args = append(args, "-map", fmt.Sprintf("[v%d]", i))
		args = append(args, strip()...)
		args = append(args, "-c:v", "libx264", "-preset", preset, "-profile:v", r.Profile, "-level:v", r.Level,
			"-crf", strconv.FormatFloat(r.CRF, 'f', -1, 64), "-maxrate", fmt.Sprint(r.MaxRate), "-bufsize", fmt.Sprint(r.BufSize),
			"-g", strconv.Itoa(p.GOP), "-keyint_min", strconv.Itoa(p.GOP), "-sc_threshold", "0", "-a53cc", "0", "-flags:v", "+cgop+bitexact",
			"-threads", strconv.Itoa(threads), "-fps_mode", "passthrough")
		if lead(p) == 0 {
			args = append(args, "-bf", "0")
		}
		args = append(args, muxArgs("+frag_keyframe")...)
		args = append(args, "-video_track_timescale", fmt.Sprint(scale), fmt.Sprintf("file:v%d.mp4", i))
	}
	if how.hold { // wrapped_avframe copies no picture
		args = append(args, "-map", "[real]", "-c:v", "wrapped_avframe", "-fps_mode", "passthrough", "-f", "framecrc", "file:"+countFile)
	}
	return args
}

// muxArgs, with flags added, writes a fragmented MP4 whose boxes tell decode and presentation times as they are: without edit lists and
// without the shifts by which the muxer would otherwise begin at 0.
func muxArgs(flags string) []string {
	return []string{"-f", "mp4", "-movflags", "+empty_moov+default_base_moof+frag_discont+skip_trailer" + flags,
		"-use_editlist", "0", "-avoid_negative_ts", "disabled", "-fflags", "+bitexact"}
}

// EncodeChunk encodes all rungs of one chunk from one decode of src and writes their init and media segments below dir,
// one track a rung in the plan's order; it also returns how many frames each track has. The pictures are those that one
// pass over the source would show at output frames [Start, Start+Frames): measured by the times in the files made, not
// presumed. Where the preroll does not reach the picture before the chunk, the chunk is decoded from the source's
// beginning instead, which costs that decoding and is always exact.
//
// Where the sound outlasts the pictures, the last one is held; TrackFiles.Added says for how long. A chunk that is Held
// costs the encoding of one segment, however long it is.
//
// src may be partial: Index.Pictures from the chunk's start less the preroll. report is told the frames made so far; it may be nil. threads bounds each encoder, the decoder and the filters. It
// fails as run does, with fault.Invalid "truncated" where the video ends before the chunk does, and "damaged" where
// there is no picture at all.
func (t *Tool) EncodeChunk(ctx context.Context, src Source, f video.Facts, p video.Plan, c video.Chunk, dir string, threads int,
	report func(frames int64)) ([]TrackFiles, int64, error) {
	e := chunkEncode{tool: t, src: src, facts: f, plan: p, chunk: c, dir: dir, threads: threads, report: report}
	tracks, frames, err := e.anyhow(ctx)
	switch missing := p.Frames - c.Start - frames; {
	case err != nil || c.Frames > 0 || p.Audio == nil || missing <= int64(p.SegmentFrames)/2:
		return tracks, frames, err
	default:
		// Less could be decoded than was measured, and the sound goes on.
		t.log.InfoContext(ctx, "the last picture is held to the end of the plan", "chunk", c.N, "missing", missing)
		e.chunk.Frames = p.Frames - c.Start
		return e.anyhow(ctx)
	}
}

// chunkEncode is the encode of one chunk.
type chunkEncode struct {
	tool    *Tool
	src     Source
	facts   video.Facts
	plan    video.Plan
	chunk   video.Chunk
	dir     string
	threads int
	report  func(frames int64)
}

// anyhow decodes from the chunk's preroll, and from the source's beginning where that is not enough.
func (e chunkEncode) anyhow(ctx context.Context) ([]TrackFiles, int64, error) {
	const op = "ffmpeg.encode"
	c := e.chunk
	// Where the picture begins after the preroll does, nothing comes before it.
	if begin := float64(c.Start)/e.plan.Rate.Float() - e.plan.Preroll.Seconds(); begin > e.facts.Video.Start.Seconds() {
		tracks, frames, err := e.once(ctx, false)
		if !errors.Is(err, errShort) {
			return tracks, frames, err
		}
		if e.src.Partial {
			return nil, 0, errors.Join(ErrPartial, err)
		}
		e.tool.log.InfoContext(ctx, "a chunk is decoded from the source's beginning", "chunk", c.N, "why", err)
	}
	tracks, frames, err := e.once(ctx, true)
	switch {
	case !errors.Is(err, errShort):
		return tracks, frames, err
	case e.src.Partial:
		return nil, 0, errors.Join(ErrPartial, err)
	case frames == 0 && c.Start == 0:
		return nil, 0, fault.New(fault.Invalid, op, "damaged", "No picture of the video can be decoded; export it again and upload that.", err)
	default:
		end := time.Duration(float64(c.Start+frames) / e.plan.Rate.Float() * float64(time.Second))
		return nil, 0, fault.New(fault.Invalid, op, "truncated",
			fmt.Sprintf("The video cannot be decoded beyond %s although the file says that it goes on; upload the whole file.", end.Round(time.Millisecond)), err)
	}
}

// holds reports whether the chunk shows the source's last picture after its time. The length of a source is measured to
// a picture or two, so that a chunk that ends with the last picture counts too.
func (e chunkEncode) holds() bool {
	c, end := e.chunk, e.plan.Pictures
	if end == 0 {
		end = e.plan.Frames
	}
	last := c.Start+c.Frames >= end-int64(e.plan.GOP)
	return c.Frames > 0 && last && (e.plan.Pictures > 0 || c.Start+c.Frames == e.plan.Frames)
}

// once is one try. With errShort, the frames are how many pictures there were from the chunk's start.
func (e chunkEncode) once(ctx context.Context, fromStart bool) ([]TrackFiles, int64, error) {
	how := decoding{fromStart: fromStart, hold: e.holds()}
	size := int64(e.plan.SegmentFrames)
	if !e.chunk.Held || e.chunk.Frames < 2*size {
		tracks, frames, _, err := e.run(ctx, e.chunk, how, 0)
		return tracks, frames, err
	}
	part := e.chunk // one segment to repeat, and what is left of the last one
	part.Frames = size + e.chunk.Frames%size
	repeats := (e.chunk.Frames - part.Frames) / size
	tracks, frames, real, err := e.run(ctx, part, how, repeats)
	if err == nil && real > 0 { // the source shows more than was measured
		e.tool.log.InfoContext(ctx, "a chunk of one picture has more", "chunk", e.chunk.N, "pictures", real)
		tracks, frames, _, err = e.run(ctx, e.chunk, how, 0)
	}
	return tracks, frames, err
}

// run has ffmpeg make the frames of c, and packs them; the first segment is repeated that many times. real is how many
// frames are the source's own where how.hold is set, else 0.
func (e chunkEncode) run(ctx context.Context, c video.Chunk, how decoding, repeats int64) (tracks []TrackFiles, frames, real int64, err error) {
	const op = "ffmpeg.encode"
	scratch, err := os.MkdirTemp(e.dir, "encode-")
	if err != nil {
		return nil, 0, 0, unwritable(op, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	how.fit = how.fit || e.plan.Filter.Fit
	args := chunkArgs(e.tool.config.Limits, e.src.Path, e.facts, e.plan, c, e.threads, how)
	s := spec{op: op, args: args, reads: []string{e.src.Path}, partial: e.src.Partial, dir: scratch, heed: changing}
	if e.report != nil {
		s.progress = func(p progress) { e.report(p.Frames) }
	}
	said, err := e.tool.run(ctx, s)
	if err != nil {
		if noOutput(err) {
			err = fmt.Errorf("%w: %w", errShort, err)
		}
		return nil, 0, 0, err
	}
	if !how.fit && said.Heeded { // what the probe looked at did not tell
		e.tool.log.InfoContext(ctx, "a chunk is encoded again because its pictures change their size", "chunk", c.N)
		how.fit = true
		return e.run(ctx, c, how, repeats)
	}
	var added time.Duration
	if how.hold {
		if real, err = countLines(filepath.Join(scratch, countFile)); err != nil {
			return nil, 0, 0, packed(op, err)
		}
		held := max(0, c.Frames-real) + repeats*int64(e.plan.SegmentFrames)
		added = time.Duration(float64(held) / e.plan.Rate.Float() * float64(time.Second))
	}
	for i, r := range e.plan.Rungs {
		track, n, err := packVideo(filepath.Join(scratch, fmt.Sprintf("v%d.mp4", i)), e.dir, e.plan, c, r, repeats)
		if err != nil {
			return nil, n, real, packed(op, err)
		}
		if i > 0 && n != frames {
			return nil, 0, real, packed(op, fmt.Errorf("%s has %d frames, %s %d", r.Name, n, e.plan.Rungs[0].Name, frames))
		}
		track.Added = added
		frames, tracks = n, append(tracks, track)
	}
	return tracks, frames, real, nil
}

// countLines is how many frames a framecrc file lists: its lines but for the header's.
func countLines(path string) (n int64, err error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { _ = file.Close() }()
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if !strings.HasPrefix(lines.Text(), "#") {
			n++
		}
	}
	return n, lines.Err()
}

// packVideo cuts what the encoder made of a chunk into segments of p.SegmentFrames and checks each picture's time. The
// first segment is written 1+repeats times, each at its own time.
func packVideo(in, dir string, p video.Plan, c video.Chunk, r video.Rung, repeats int64) (TrackFiles, int64, error) {
	m, err := openMovie(in)
	if err != nil {
		return TrackFiles{}, 0, fmt.Errorf("%s: %w", r.Name, err)
	}
	defer m.close()
	scale, tick := timescale(p.Rate)
	if m.scale != scale {
		return TrackFiles{}, 0, fmt.Errorf("%s: %d ticks a second instead of %d", r.Name, m.scale, scale)
	}
	entry, codec, err := avcEntry(m, r)
	if err != nil {
		return TrackFiles{}, 0, fmt.Errorf("%s: %w", r.Name, err)
	}
	pack, err := newPackager(dir, video.Track{Kind: video.VideoTrack, Name: r.Name, Codec: codec, Width: r.Width, Height: r.Height,
		FrameRate: p.Rate, Timescale: scale}, c.Start/int64(p.SegmentFrames)+1)
	if err != nil {
		return TrackFiles{}, 0, err
	}
	if err := pack.writeInit(entry, lead(p)*tick); err != nil {
		return TrackFiles{}, 0, err
	}
	frames, err := packFrames(m, pack, p, c.Start, tick, repeats)
	if c.Frames > 0 {
		c.Frames += repeats * int64(p.SegmentFrames)
	}
	if err == nil && (frames == 0 || c.Frames > 0 && frames < c.Frames) {
		err = fmt.Errorf("%w: %d of %d", errShort, frames, c.Frames)
	} else if err == nil && c.Frames > 0 && frames > c.Frames {
		err = fmt.Errorf("%d frames instead of %d", frames, c.Frames)
	}
	if err != nil {
		return TrackFiles{}, frames, fmt.Errorf("%s: %w", r.Name, err)
	}
	return pack.files, frames, nil
}

// packFrames moves the frames from m to pack, a segment at a time, the first segment 1+repeats times. The frames in m
// are start, start+1, … and each lasts tick.
func packFrames(m *movie, pack *packager, p video.Plan, start, tick, repeats int64) (frames int64, err error) {
	var queue []sample
	var later int64 // ticks by which repeated segments move what follows
	flush := func(count int) error {
		for {
			err := errors.Join(checkFrames(queue[:count], p, start+frames, tick), pack.writeSegment(queue[:count], (start+frames)*tick))
			frames += int64(count)
			if err != nil || repeats == 0 {
				queue = append(queue[:0:0], queue[count:]...)
				return err
			}
			repeats--
			later += int64(count) * tick
			for i := range queue { // those of the segment for its next time, and those that follow it
				queue[i].present += int64(count) * tick
			}
		}
	}
	for {
		samples, err := m.fragment()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return frames, err
		}
		for _, s := range samples {
			s.length = uint32(tick)
			s.present += lead(p)*tick + later
			queue = append(queue, s)
		}
		if frames == 0 && len(queue) > 0 && queue[0].present != (start+lead(p))*tick {
			return 0, fmt.Errorf("%w: the first is at %d ticks instead of %d", errShort, queue[0].present-lead(p)*tick, start*tick)
		}
		for len(queue) > p.SegmentFrames {
			if err := flush(p.SegmentFrames); err != nil {
				return frames, err
			}
		}
	}
	if len(queue) > 0 {
		err = flush(len(queue))
	}
	return frames, err
}

// checkFrames proves that samples show each of the frames first, first+1, … once, with an IDR at each GOP's start.
func checkFrames(samples []sample, p video.Plan, first, tick int64) error {
	seen := make([]bool, len(samples))
	for i, s := range samples {
		if i%p.GOP == 0 && !s.sync {
			return fmt.Errorf("frame %d is no IDR", first+int64(i))
		}
		if s.present < (first+int64(i))*tick {
			return fmt.Errorf("the picture at %d ticks comes before it is decoded", s.present)
		}
		at := s.present - (lead(p)+first)*tick
		n := at / tick
		if at < 0 || at%tick != 0 || n >= int64(len(seen)) || seen[n] {
			return fmt.Errorf("a picture at %d ticks is out of place in the segment of frame %d", s.present, first)
		}
		seen[n] = true
	}
	return nil
}

// avcEntry is the sample entry of a rung's init segment, and its codec string (RFC 6381).
func avcEntry(m *movie, r video.Rung) (mp4.Box, string, error) {
	box, err := m.sampleEntry()
	if err != nil {
		return nil, "", err
	}
	made, ok := box.(*mp4.VisualSampleEntryBox)
	if !ok || made.AvcC == nil {
		return nil, "", errors.New("no H.264 in the output")
	}
	entry := mp4.CreateVisualSampleEntryBox("avc1", uint16(r.Width), uint16(r.Height), made.AvcC)
	entry.CompressorName = ""
	for _, child := range made.Children {
		switch child.(type) {
		case *mp4.ColrBox, *mp4.PaspBox:
			entry.AddChild(child)
		}
	}
	c := made.AvcC
	return entry, fmt.Sprintf("avc1.%02x%02x%02x", c.AVCProfileIndication, c.ProfileCompatibility, c.AVCLevelIndication), nil
}

// noOutput reports whether a run ended badly because nothing could be decoded.
func noOutput(err error) bool {
	if !failed(err) {
		return false
	}
	said := Detail(err)
	for _, s := range []string{"Cannot determine format of input stream", "does not contain any stream", "matches no streams", "Output file is empty"} {
		if strings.Contains(said, s) {
			return true
		}
	}
	return false
}

// unwritable is the fault of a scratch folder that takes no files.
func unwritable(op string, err error) error {
	return fault.New(fault.Unavailable, op, "scratch_unavailable", "The server cannot write its scratch files; free some disk space. The work is tried again.", err)
}

// packed is the fault of an output that is not what its plan says; errShort and errBroken stay for the caller to judge.
func packed(op string, err error) error {
	var disk *fs.PathError
	switch {
	case err == nil, errors.Is(err, errShort), errors.Is(err, errBroken):
		return err
	case errors.As(err, &disk) && !errors.Is(err, fs.ErrNotExist): // what the tool did not make is the tool's doing
		return unwritable(op, err)
	default:
		return fault.New(fault.Internal, op, "bad_output", "The encoder's output is not what was planned; see the details of the attempt.", err)
	}
}

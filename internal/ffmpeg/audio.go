package ffmpeg

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/fault"
	"sluice/internal/video"
)

const (
	// aacFrame is how many samples a channel one AAC-LC access unit holds (ISO/IEC 14496-3).
	aacFrame = 1024
	// audioSegment is the length of audio segments where there is no video to follow.
	audioSegment = 4 * time.Second
	// shortTail is how many access units (0.4 s) stay with the last segment instead of making one of their own.
	shortTail = 18
	// largestGap is how many seconds sound may be from its time before silence is put in or samples are dropped: half of the
	// 20 ms that A/V may differ by.
	largestGap = "0.010"
)

// errBroken says that encoded audio is not one unbroken run of access units from time 0.
var errBroken = errors.New("the audio does not run on")

// sound says which tracks of a file are encoded, and how they are mixed.
type sound struct {
	left  int      // index of the track, or of the one that holds the left channel
	right int      // index of the one that holds the right channel; 0: there is none
	mix   []string // filters that make stereo of the track; empty: ffmpeg's own mix

	length time.Duration // of the longer one of two tracks
}

// soundOf is the sound of a plan.
func soundOf(f video.Facts, a video.AudioRung) sound {
	s := sound{left: a.Stream, right: a.Right}
	// Facts without a main track come from a version that recorded no layout either, and left the mix to ffmpeg.
	layoutsRecorded := slices.ContainsFunc(f.Audio, func(track video.AudioFacts) bool { return track.Main })
	for _, track := range f.Audio {
		switch {
		case s.right == 0 && track.Index == a.Stream && layoutsRecorded:
			s.mix = mixed(track)
		case s.right != 0 && (track.Index == s.left || track.Index == s.right):
			s.length = max(s.length, track.Duration)
		}
	}
	return s
}

// filtered are the options that lead the sound through filters: of two tracks each by itself, then both as one.
func (s sound) filtered(filters string, channels int) []string {
	if s.right == 0 {
		return []string{"-map", fmt.Sprintf("0:%d", s.left), "-vn",
			"-af", strings.Join(append(slices.Clone(s.mix), filters+":channel_layouts="+channelLayout(channels)), ",")}
	}
	// A single channel may have any name: it is taken for mono.
	one := "pan=mono|c0=c0," + filters + ":channel_layouts=mono"
	if s.length > 0 { // join ends with its shorter input
		one += fmt.Sprintf(",apad=whole_dur=%.6f", s.length.Seconds())
	}
	return []string{"-filter_complex", fmt.Sprintf("[0:%d]%s[l];[0:%d]%s[r];[l][r]join=inputs=2:channel_layout=stereo:map=0.0-FL|1.0-FR[sound]",
		s.left, one, s.right, one), "-map", "[sound]", "-vn"}
}

// audioArgs is the one command that encodes the audio of src. Silence fills what is missing before the first sample and
// in gaps, so that sample n of the output always belongs to time n/SampleRate. shift is the phase of
// the pictures in seconds; times are the input options that say what time 0 is.
func audioArgs(limits video.Limits, src string, s sound, a video.AudioRung, shift float64, times ...string) []string {
	filter := fmt.Sprintf("aresample=%d:async=1:min_hard_comp=%s:first_pts=0,aformat=sample_fmts=fltp:sample_rates=%d",
		a.SampleRate, largestGap, a.SampleRate)
	if math.Abs(shift) > negligible {
		filter = fmt.Sprintf("asetpts=PTS+round(%.6f/TB),%s", shift, filter)
	}
	args := []string{"-y", "-max_error_rate", "1"}
	args = append(args, inputArgs(limits, src, times...)...)
	args = append(args, s.filtered(filter, a.Channels)...)
	args = append(args, strip()...)
	return append(args, aacArgs(a, "audio.mp4")...)
}

// aacArgs encodes as AAC-LC into a fragmented MP4.
func aacArgs(a video.AudioRung, name string) []string {
	args := []string{"-c:a", "aac", "-b:a", fmt.Sprint(a.Bitrate), "-flags:a", "+bitexact"}
	args = append(args, muxArgs("")...)
	return append(args, "-frag_duration", "1000000", "file:"+name)
}

// levelArgs is the command that brings audio whose form changes on its way (5.1 to stereo and back, as in broadcasts)
// to one form, times untouched: the filters of audioArgs begin anew at each change and would fill from 0 again.
func levelArgs(limits video.Limits, src string, s sound, a video.AudioRung) []string {
	args := []string{"-y", "-max_error_rate", "1"}
	args = append(args, inputArgs(limits, src, "-copyts", "-start_at_zero")...)
	args = append(args, s.filtered(fmt.Sprintf("aformat=sample_fmts=s16:sample_rates=%d", a.SampleRate), a.Channels)...)
	args = append(args, strip()...)
	return append(args, "-c:a", "flac", "-avoid_negative_ts", "disabled", "-f", "matroska", "file:level.mkv")
}

func channelLayout(channels int) string {
	if channels == 1 {
		return "mono"
	}
	return "stereo"
}

// EncodeAudio encodes the plan's audio stream of src in one pass as AAC-LC, and writes its init and media segments
// below dir. Sample 1024 of the media is time 0: what comes before is the encoder's priming, which the edit list of the
// init segment takes away again; Segment.Start counts from the first sample of the media, priming included.
//
// report is told the time reached; it may be nil. It fails as run does, and with fault.Invalid "damaged_audio" where
// no sound can be decoded.
func (t *Tool) EncodeAudio(ctx context.Context, src Source, f video.Facts, p video.Plan, dir string, report func(time.Duration)) (TrackFiles, error) {
	const op = "ffmpeg.audio"
	a := *p.Audio
	scratch, err := os.MkdirTemp(dir, "audio-")
	if err != nil {
		return TrackFiles{}, unwritable(op, err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	s := spec{op: op, reads: []string{src.Path}, partial: src.Partial, dir: scratch, args: audioArgs(t.config.Limits, src.Path, soundOf(f, a), a, phase(f, p), "-copyts", "-start_at_zero")}
	if report != nil {
		s.progress = func(p progress) { report(p.Time) }
	}
	track, err := t.encodeAudio(ctx, s, dir, p)
	if errors.Is(err, errBroken) {
		t.log.InfoContext(ctx, "audio is brought to one form first", "why", err)
		level := filepath.Join(scratch, "level.mkv")
		if _, err := t.run(ctx, spec{op: op, reads: s.reads, partial: src.Partial, dir: scratch, args: levelArgs(t.config.Limits, src.Path, soundOf(f, a), a)}); err != nil {
			return TrackFiles{}, err
		}
		s.reads, s.partial, s.args = []string{level}, false, audioArgs(t.config.Limits, level, sound{}, a, phase(f, p), "-copyts")
		track, err = t.encodeAudio(ctx, s, dir, p)
	}
	return track, err
}

// encodeAudio runs s, which makes audio.mp4, and packs that.
func (t *Tool) encodeAudio(ctx context.Context, s spec, dir string, p video.Plan) (TrackFiles, error) {
	var track TrackFiles
	_, err := t.run(ctx, s)
	if err == nil {
		track, err = packAudio(filepath.Join(s.dir, "audio.mp4"), dir, p, func() ([]byte, error) { return t.silentUnit(ctx, s.dir, *p.Audio) })
		err = packed(s.op, err)
	}
	switch {
	case errors.Is(err, ErrPartial):
		return track, err
	case errors.Is(err, errShort), err != nil && noOutput(err):
		return TrackFiles{}, fault.New(fault.Invalid, s.op, "damaged_audio", "The sound cannot be decoded; export the file again, or without its sound.", err)
	case err != nil && fault.Of(err).Code == "unsupported_media":
		return TrackFiles{}, fault.New(fault.Unsupported, s.op, "unsupported_audio", badSound, err)
	}
	return track, err
}

// silentUnit is an access unit of silence, made by the encoder that makes the sound, in scratch.
func (t *Tool) silentUnit(ctx context.Context, scratch string, a video.AudioRung) ([]byte, error) {
	const units = 8
	wav := filepath.Join(scratch, "silence.wav")
	if err := os.WriteFile(wav, silentWAV(a, units*aacFrame), 0o600); err != nil {
		return nil, err
	}
	args := append([]string{"-y"}, inputArgs(t.config.Limits, wav)...)
	args = append(args, aacArgs(a, "silence.mp4")...)
	if _, err := t.run(ctx, spec{op: "ffmpeg.audio", args: args, reads: []string{wav}, dir: scratch}); err != nil {
		return nil, err
	}
	m, err := openMovie(filepath.Join(scratch, "silence.mp4"))
	if err != nil {
		return nil, err
	}
	defer m.close()
	samples, err := m.fragment()
	if err != nil {
		return nil, err
	}
	return samples[min(units/2, len(samples)-1)].data, nil // one with silence on both sides
}

// silentWAV is a WAV file of that many samples of silence a channel, 16 bits each.
func silentWAV(a video.AudioRung, samples int) []byte {
	frame := 2 * a.Channels
	b := []byte("RIFF")
	b = binary.LittleEndian.AppendUint32(b, uint32(36+samples*frame))
	b = append(b, "WAVEfmt \x10\x00\x00\x00\x01\x00"...) // 16 bytes of format, PCM
	b = binary.LittleEndian.AppendUint16(b, uint16(a.Channels))
	b = binary.LittleEndian.AppendUint32(b, uint32(a.SampleRate))
	b = binary.LittleEndian.AppendUint32(b, uint32(a.SampleRate*frame))
	b = binary.LittleEndian.AppendUint16(b, uint16(frame))
	b = binary.LittleEndian.AppendUint16(b, 16)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(samples*frame))
	return append(b, make([]byte, samples*frame)...)
}

// packAudio cuts what the encoder made into segments that begin as near as access units can to those of the video. Where
// the pictures last longer, copies of silent fill the track up to their end; TrackFiles.Added says how much.
func packAudio(in, dir string, p video.Plan, silent func() ([]byte, error)) (TrackFiles, error) {
	a := *p.Audio
	m, err := openMovie(in)
	if err != nil {
		return TrackFiles{}, err
	}
	defer m.close()
	if int(m.scale) != a.SampleRate {
		return TrackFiles{}, fmt.Errorf("%d ticks a second instead of %d", m.scale, a.SampleRate)
	}
	entry, codec, err := aacEntry(m, a)
	if err != nil {
		return TrackFiles{}, err
	}
	pack, err := newPackager(dir, video.Track{Kind: video.AudioTrack, Name: a.Name, Codec: codec, Channels: a.Channels, SampleRate: a.SampleRate,
		Language: a.Language, Timescale: m.scale}, 1)
	if err != nil {
		return TrackFiles{}, err
	}
	if err := pack.writeInit(entry, aacFrame); err != nil {
		return TrackFiles{}, err
	}
	added, err := packUnits(m, pack, segmentLength(p), unitsOf(p), silent)
	pack.files.Added = time.Duration(float64(added*aacFrame) / float64(a.SampleRate) * float64(time.Second))
	return pack.files, err
}

// unitsOf is how many access units, priming included, last as long as the pictures; 0 without pictures.
func unitsOf(p video.Plan) int64 {
	if len(p.Rungs) == 0 {
		return 0
	}
	return 1 + int64(math.Round(float64(p.Frames)/p.Rate.Float()*float64(p.Audio.SampleRate)/aacFrame))
}

// segmentLength is the length of video segments in seconds.
func segmentLength(p video.Plan) float64 {
	if p.SegmentFrames == 0 {
		return audioSegment.Seconds()
	}
	return float64(p.SegmentFrames) / p.Rate.Float()
}

// packUnits moves access units from m to pack, a segment of about length seconds at a time. The times that the encoder
// gave them must run on from the priming without a break. Where there are fewer than wanted, by more than is let pass,
// copies of silent follow; it returns how many.
func packUnits(m *movie, pack *packager, length float64, wanted int64, silent func() ([]byte, error)) (added int64, err error) {
	var queue []sample
	var units, first int64 // units seen, and the first of the queue
	flush := func(end int64) error {
		err := pack.writeSegment(queue[:end-first], first*aacFrame)
		first, queue = end, append([]sample(nil), queue[end-first:]...)
		return err
	}
	flushWhole := func() error {
		for end := segmentEnd(pack.next, length, m.scale); units > end+shortTail; end = segmentEnd(pack.next, length, m.scale) {
			if err := flush(end); err != nil {
				return err
			}
		}
		return nil
	}
	for {
		samples, err := m.fragment()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return 0, err
		}
		for _, s := range samples {
			if want := (units - 1) * aacFrame; s.present != want {
				return 0, fmt.Errorf("%w: an access unit is at %d instead of %d", errBroken, s.present, want)
			}
			s.present += aacFrame
			s.length, s.sync = aacFrame, true
			queue = append(queue, s)
			units++
		}
		if err := flushWhole(); err != nil {
			return 0, err
		}
	}
	if units < 2 { // the priming alone
		return 0, fmt.Errorf("%w: no sound", errShort)
	}
	if missing := wanted - units; float64(missing*aacFrame)/float64(m.scale) > video.Together.Seconds() {
		data, err := silent()
		if err != nil {
			return 0, err
		}
		for ; units < wanted; added++ {
			queue = append(queue, sample{present: units * aacFrame, length: aacFrame, sync: true, data: data})
			units++
			if err := flushWhole(); err != nil {
				return 0, err
			}
		}
	}
	if len(queue) > 0 {
		err = flush(units)
	}
	return added, err
}

// segmentEnd is the access unit whose start is nearest to the end of the n-th video segment, counted from the priming's.
func segmentEnd(n int64, length float64, rate uint32) int64 {
	return 1 + int64(math.Round(float64(n)*length*float64(rate)/aacFrame))
}

// aacEntry is the sample entry of the audio's init segment, and its codec string (RFC 6381).
func aacEntry(m *movie, a video.AudioRung) (mp4.Box, string, error) {
	box, err := m.sampleEntry()
	if err != nil {
		return nil, "", err
	}
	made, ok := box.(*mp4.AudioSampleEntryBox)
	if !ok || made.Esds == nil {
		return nil, "", errors.New("no AAC in the output")
	}
	return mp4.CreateAudioSampleEntryBox("mp4a", uint16(a.Channels), 16, uint16(a.SampleRate), made.Esds), "mp4a.40.2", nil
}

package ffmpeg

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// Which tracks of a source are used. Tracks are named by their index in the file, from 0, as ffprobe counts them: a
// number among the tracks of one kind ("the first video track") names another one as soon as a tool counts otherwise.

// few is how many times fewer pictures than the longest video track one has that holds stills: thumbnails for seeking,
// a slide for each chapter, a preview.
const few = 10

// alternative are the dispositions of tracks that are made for some viewers, or to be mixed with another track.
var alternative = []string{"comment", "lyrics", "karaoke", "hearing_impaired", "visual_impaired", "clean_effects", "descriptions", "dependent", "non_diegetic", "still_image"}

// admit refuses what the container's list of tracks alone rules out.
func (p *probe) admit(context.Context) error {
	limits := p.tool.config.Limits
	if limits.Streams > 0 && len(p.header.Streams) > limits.Streams {
		return tooManyStreams(limits, nil)
	}
	films := p.header.films()
	if len(films) == 0 && len(p.header.audio()) == 0 {
		return fault.New(fault.Invalid, opProbe, "no_streams", "The file has neither a picture nor sound. Upload one that has.", nil)
	}
	return nil
}

// chooseVideo decides which track is the film: of those that hold packets, the first in the order of better that can be
// decoded. One that holds stills takes the place of a film only where there is no film. A source whose pictures cannot be
// decoded is refused; one whose video tracks are all empty is taken as sound alone.
func (p *probe) chooseVideo(ctx context.Context) error {
	declared := p.header.films()
	films := slices.DeleteFunc(slices.Clone(declared), p.empty)
	if len(films) == 0 && len(declared) > 0 { // its sound alone would not be what was uploaded
		return p.undecodable(declared[0])
	}
	most, longest := int64(0), time.Duration(0)
	for _, s := range films {
		most = max(most, p.scan.tracks[s.Index].packets)
		longest = max(longest, p.scan.tracks[s.Index].length())
	}
	moves := func(s *stream) bool {
		n := p.scan.tracks[s.Index].packets
		return n*few >= most && (n > 1 || most == 1)
	}
	slices.SortStableFunc(films, func(a, b *stream) int {
		return cmp.Or(
			first(moves(a), moves(b)),
			first(2*p.scan.tracks[a.Index].length() >= longest, 2*p.scan.tracks[b.Index].length() >= longest),
			first(!a.has(alternative...), !b.has(alternative...)),
			first(a.has("default"), b.has("default")),
			cmp.Compare(b.Width*b.Height, a.Width*a.Height),
		)
	})
	for _, s := range films {
		if moves(films[0]) && !moves(s) {
			break
		}
		if limit := p.tool.config.Limits.Pixels; limit > 0 && int64(s.Width)*int64(s.Height) > limit {
			return tooManyPixels(p.tool.config.Limits, fmt.Errorf("%d × %d pixels", s.Width, s.Height))
		}
		if s.noBaseLayer() {
			return fault.New(fault.Unsupported, opProbe, "unsupported_codec",
				"The picture is Dolby Vision profile 5, which has no layer that other decoders show right. Upload a version in profile 8, HDR10, HLG or SDR.", nil)
		}
		found, err := p.firstFrames(ctx, s, p.looks(fewLooks), 8, 120, 1500)
		if err != nil {
			return err
		}
		if len(found.Frames) > 0 {
			p.video, p.shown, p.pace = s, found.Frames[0], found.interval()
			return p.chooseSize(ctx, s, found)
		}
		p.lost = append(p.lost, s)
	}
	if len(films) > 0 {
		return p.undecodable(films[0])
	}
	return nil
}

// chooseAudio tries the first packets of each audio track, and decides which of those that decode is encoded: one of the
// film's own program; not one that ends before half of the longest; the programme's sound rather than a commentary or
// description; the one that the container marks as default; the original rather than a dub; the first.
func (p *probe) chooseAudio(ctx context.Context) error {
	for _, s := range p.header.audio() {
		if p.empty(s) {
			continue
		}
		found, err := p.firstFrames(ctx, s, "", 16, 400)
		switch {
		case err != nil:
			return err
		case len(found.Frames) == 0 || s.Channels <= 0 || s.Channels > maxChannels:
			p.lost = append(p.lost, s)
			continue
		case found.Frames[0].Channels > 0: // what the decoder gives is what is mixed
			s.Channels, s.Layout = found.Frames[0].Channels, found.Frames[0].Layout
		}
		p.audio = append(p.audio, s)
	}
	if p.video == nil && len(p.audio) == 0 {
		if len(p.lost) > 0 {
			return p.undecodable(p.lost[0])
		}
		return damaged(nil)
	}
	ranked := slices.Clone(p.audio)
	longest := time.Duration(0)
	for _, s := range ranked {
		if p.ownProgram(s) {
			longest = max(longest, p.scan.tracks[s.Index].length())
		}
	}
	slices.SortStableFunc(ranked, func(a, b *stream) int {
		return cmp.Or(
			first(p.ownProgram(a), p.ownProgram(b)),
			first(2*p.scan.tracks[a.Index].length() >= longest, 2*p.scan.tracks[b.Index].length() >= longest),
			first(!a.has(alternative...), !b.has(alternative...)),
			first(a.has("default"), b.has("default")),
			first(!a.has("dub"), !b.has("dub")),
		)
	})
	if len(ranked) > 0 {
		p.main = ranked[0]
	}
	return nil
}

// first sorts what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// empty reports whether a track holds no packets. A file that was cut off may lack those that its tables promise; then
// the track is not empty but lost.
func (p *probe) empty(s *stream) bool {
	t := p.scan.tracks[s.Index]
	return t.packets == 0 && (!p.layout.pastEnd || s.Frames == "" || s.Frames == "0")
}

// length is how long a track plays.
func (t *track) length() time.Duration {
	if !t.timed {
		return timeOf(t.duration, t.base)
	}
	return timeOf(t.end-t.first, t.base)
}

// ownProgram reports whether a track belongs to the film's program, as each does where there are no programs.
func (p *probe) ownProgram(s *stream) bool {
	if p.video == nil {
		return true
	}
	for _, program := range p.header.Programs {
		film, own := false, false
		for _, member := range program.Streams {
			film, own = film || member.Index == p.video.Index, own || member.Index == s.Index
		}
		if film {
			return own
		}
	}
	return true
}

// notes say which tracks were passed over because they cannot be decoded or hold nothing, so that a viewer who misses one
// learns why. Tracks of other programs are not part of the film.
func (p *probe) notes() (list []video.Failure) {
	for _, s := range p.lost {
		if !p.ownProgram(s) {
			continue
		}
		why := "cannot be decoded"
		if s.Channels > maxChannels {
			why = fmt.Sprintf("has %d channels, more than %d", s.Channels, maxChannels)
		}
		list = append(list, p.note(s, why, " To use it, upload a version with this track in a common codec."))
	}
	for _, s := range append(p.header.films(), p.header.audio()...) {
		if p.empty(s) && p.ownProgram(s) {
			list = append(list, p.note(s, "holds no data", ""))
		}
	}
	return list
}

// note is the sentence about one track that was passed over.
func (p *probe) note(s *stream, why, advice string) video.Failure {
	kind, used := "sound", p.main
	if s.Kind == "video" {
		kind, used = "picture", p.video
	}
	instead := "the video has no " + kind
	if used != nil {
		instead = fmt.Sprintf("track %d is used", used.Index)
	}
	return video.Failure{Code: "track_left_out",
		Message: fmt.Sprintf("Track %d (%s, %s) %s and was left out; %s.%s", s.Index, kind, or(printable(s.name()), "unknown codec"), why, instead, advice)}
}

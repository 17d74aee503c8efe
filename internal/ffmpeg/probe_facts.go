package ffmpeg

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// facts puts together what was claimed, shown and measured.
func (p *probe) facts() (video.Facts, error) {
	f := video.Facts{Container: p.header.Format.Name, Bytes: p.size}
	start := p.start()
	if v := p.video; v != nil {
		warning, err := p.checkComplete(v)
		if err != nil {
			return f, err
		}
		f.Warnings = append(f.Warnings, warning...)
		f.Video = p.measured(v, start)
		f.Duration = f.Video.Duration
	}
	for _, a := range p.audio {
		t := p.scan.tracks[a.Index]
		facts := a.audioFacts()
		facts.Main = a == p.main
		facts.Start = max(0, timeOf(t.first, t.base)-start)
		facts.Duration = p.soundEnding(t) - start
		if !t.timed {
			facts.Duration = timeOf(t.duration, t.base)
		}
		f.Audio = append(f.Audio, facts)
		if facts.Main {
			f.Duration = max(f.Duration, facts.Duration)
		}
	}
	f.Warnings = append(f.Warnings, p.notes()...)
	if f.Video != nil && f.Video.Packets == 0 || f.Duration <= 0 {
		return f, damaged(nil)
	}
	if limit := p.tool.config.Limits.Duration; limit > 0 && f.Duration > limit {
		return f, fault.New(fault.TooLarge, opProbe, "too_long",
			fmt.Sprintf("The file plays for %v; the server takes up to %v. Upload it in parts.", f.Duration.Round(time.Second), limit), nil)
	}
	f.Bitrate = int64(float64(p.size) * 8 / f.Duration.Seconds())
	f.Seekable = p.seekable()
	return f, nil
}

// start is the time that ffmpeg calls 0 under -copyts -start_at_zero: the container's own start. Of several programs,
// whose clocks have nothing in common, it is that of the tracks that are used, which are copied before they are encoded.
func (p *probe) start() time.Duration {
	tracks := p.scan.tracks
	if len(p.header.Programs) > 1 {
		tracks = map[int]*track{}
		for _, s := range []*stream{p.video, p.main} {
			if s != nil {
				tracks[s.Index] = p.scan.tracks[s.Index]
			}
		}
	} else if seconds, err := strconv.ParseFloat(p.header.Format.Start, 64); err == nil {
		return time.Duration(seconds * float64(time.Second))
	}
	start, found := time.Duration(0), false
	for _, t := range tracks {
		if first := timeOf(t.first, t.base); t.timed && (!found || first < start) {
			start, found = first, true
		}
	}
	return start
}

// ending is when the last packet ends.
func (t *track) ending() time.Duration { return timeOf(t.end, t.base) }

// soundEnding is when the last packet of an audio track ends. Packets of some codecs have no duration (WavPack in
// Matroska: one each second): then the header says when the last one ends, within the usual time of a packet, and half of
// that is taken where it does not.
func (p *probe) soundEnding(t *track) time.Duration {
	end := t.ending()
	if t.end != t.last || t.packets < 2 {
		return end
	}
	usual := timeOf((t.last-t.first)/(t.packets-1), t.base)
	lasts, err := strconv.ParseFloat(p.header.Format.Lasts, 64)
	if header := time.Duration(lasts * float64(time.Second)); err == nil && lasts < longest && header > end {
		return min(header, end+usual)
	}
	return end + usual/2
}

// checkComplete holds an MP4's pictures against its tables: it warns where some are missing behind the end of the file,
// and refuses it where most are.
func (p *probe) checkComplete(v *stream) (warning []video.Failure, err error) {
	promised, err := strconv.ParseInt(v.Frames, 10, 64)
	t := p.scan.tracks[v.Index]
	found := t.packets + t.skipped
	switch share := float64(found) / float64(max(promised, 1)); {
	case err != nil || !p.layout.mp4 || !p.layout.pastEnd || share >= complete:
		return nil, nil
	case share < worth:
		return nil, fault.New(fault.Invalid, opProbe, "truncated",
			fmt.Sprintf("Only %d of %d pictures are in the file: the upload was cut off. Upload the whole file.", found, promised), nil)
	default:
		return []video.Failure{{Code: "truncated",
			Message: fmt.Sprintf("The file was cut off: %d of its %d pictures are there and play. Upload the whole file to have all.", found, promised)}}, nil
	}
}

// measured joins a stream's facts with its packets.
func (p *probe) measured(s *stream, start time.Duration) *video.VideoFacts {
	t, v := p.scan.tracks[s.Index], s.videoFacts(p.shown)
	v.Packets, v.Changes = t.packets, p.changes
	c := t.cadence()
	pace := p.pace
	if !v.Interlaced {
		pace = 0 // progressive pictures further apart than packets are damage, not fields
	}
	v.Rate, v.VFR = c.rate(pace, ratio(s.Average), ratio(s.Rate))
	v.MaxHold = max(timeOf(c.max, t.base), period(v.Rate))
	if !t.timed { // raw pictures without a clock
		v.Duration = timeOf(t.duration, t.base)
		if v.Duration <= 0 {
			v.Duration = time.Duration(t.packets) * period(v.Rate)
		}
		return v
	}
	v.Start = max(0, timeOf(t.first, t.base)-start)
	// A last packet without a duration of its own is shown for one period.
	v.Duration = max(t.ending(), timeOf(t.last, t.base)+period(v.Rate)/2) - start
	if t.end == t.last {
		v.Duration = timeOf(t.last, t.base) + period(v.Rate) - start
	}
	return v
}

func period(rate video.Ratio) time.Duration {
	return time.Duration(float64(time.Second) / rate.Float())
}

// seekable reports whether ffmpeg seeks exactly in the source: measured on sources cut in chunks, only containers with an
// index of their own do. Audio is never sought in.
func (p *probe) seekable() bool {
	name := p.header.Format.Name
	switch {
	case p.layout.mp4 || strings.HasPrefix(name, "matroska") || name == "avi":
		return p.layout.index
	default:
		return p.video == nil || name == "dv" // MXF has an index, but ffmpeg 5.1 lands frames beside it
	}
}

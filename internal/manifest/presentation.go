// Package manifest writes the HLS playlists (RFC 8216 and Apple's HLS Authoring Specification) and the DASH MPD
// (ISO/IEC 23009-1) of one generation, all over the same CMAF segments; and it makes of one that is stored what a device is
// offered (Choice) and a viewer may fetch (Template).
//
// It is pure: the same goes in, the same bytes come out. Choosing and cutting cost one pass over the text each, with no document built, and are done once
// for all viewers of a sort; signing for one is a copy. Both refuse a text that they can't read without a doubt, as the
// fault manifest_unfit, and leave nothing out of what they don't know.
//
// Writing costs one pass over the segments and can't fail. What it relies on, and publish verifies: every track has a Timescale and at least one segment, every
// segment has a duration, numbers count up by one, the file name of a segment holds its number with five digits
// (SegmentName), and all segments of a video track begin with an IDR picture.
package manifest

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strings"
	"time"

	"sluice/internal/video"
)

// File names: of HLS and DASH at the generation's root, of HLS and IFrame again in the folder of each track.
const (
	HLS    = "index.m3u8"
	DASH   = "index.mpd"
	IFrame = "iframes.m3u8"
)

// Presentation is what one generation plays: its tracks with their segments, video first, largest first, then audio.
// Average and Peak of each track are filled in (Rate).
type Presentation struct {
	Tracks   []video.Track
	Duration time.Duration // of the longest track
}

// SegmentName is the object name, below the generation's prefix, of a track's segment: "1080p/00001.m4s".
func SegmentName(track string, number int64) string { return fmt.Sprintf("%s/%05d.m4s", track, number) }

// InitName is the object name, below the generation's prefix, of a track's init segment: "1080p/init.mp4".
func InitName(track string) string { return track + "/init.mp4" }

// Rate fills in what a track's segments weigh: Bytes with the init segment; Average and Peak, bits a second, over the
// media segments alone (RFC 8216 §4.1).
func Rate(t *video.Track) {
	pieces := pieces(*t, func(s video.Segment) int64 { return s.Bytes })
	t.Bytes = t.Init.Bytes
	for _, s := range t.Segments {
		t.Bytes += s.Bytes
	}
	t.Average = average(pieces)
	t.Peak = peak(pieces)
}

// piece is what one line of a media playlist weighs.
type piece struct {
	bytes  int64
	micros int64 // its EXTINF
}

// pieces weighs each segment by bytes. Durations are differences of rounded times, so that their sum stays within a
// microsecond of the track's, however many segments there are.
func pieces(t video.Track, bytes func(video.Segment) int64) []piece {
	list := make([]piece, len(t.Segments))
	var ticks uint64
	var before int64
	for i, s := range t.Segments {
		ticks += s.Duration
		now := micros(ticks, t.Timescale)
		list[i] = piece{bytes: bytes(s), micros: now - before}
		before = now
	}
	return list
}

// micros is ticks as microseconds, rounded to the nearest.
func micros(ticks uint64, timescale uint32) int64 {
	scale := uint64(timescale)
	whole, rest := ticks/scale, ticks%scale
	return int64(whole*1e6 + (rest*1e6+scale/2)/scale)
}

// target is the EXT-X-TARGETDURATION in seconds: no EXTINF rounded to the nearest second is above it (RFC 8216 §4.3.3.1). It
// is never 0, which players divide by.
func target(list []piece) int64 {
	most := int64(1)
	for _, p := range list {
		most = max(most, (p.micros+500_000)/1_000_000)
	}
	return most
}

func average(list []piece) int64 {
	var sum piece
	for _, p := range list {
		sum.bytes += p.bytes
		sum.micros += p.micros
	}
	return sum.rate()
}

// peak is the peak segment bit rate: the largest of any contiguous run of segments that lasts between 0.5 and 1.5 target
// durations (RFC 8216 §4.1), and never below the average, which stands in for a track too short to have such a run.
func peak(list []piece) int64 {
	half := target(list) * 500_000
	most := average(list)
	for i := range list {
		var run piece
		for _, p := range list[i:] {
			run.bytes += p.bytes
			run.micros += p.micros
			if run.micros > 3*half {
				break
			}
			if run.micros >= half {
				most = max(most, run.rate())
			}
		}
	}
	return most
}

// rate is the piece's bits a second, rounded up: BANDWIDTH is an upper bound.
func (p piece) rate() int64 {
	if p.micros <= 0 {
		return 0
	}
	return int64(math.Ceil(float64(p.bytes) * 8e6 / float64(p.micros)))
}

// split parts the tracks by kind, and keeps their order.
func split(tracks []video.Track) (pictures, sounds []video.Track) {
	for _, t := range tracks {
		if t.Kind == video.AudioTrack {
			sounds = append(sounds, t)
		} else {
			pictures = append(pictures, t)
		}
	}
	return pictures, sounds
}

// tag is what xs:language allows, which the MPD's schema asks for (RFC 5646 tags are within it).
var tag = regexp.MustCompile(`^[a-zA-Z]{1,8}(-[a-zA-Z0-9]{1,8})*$`)

// language is the track's, empty where it says nothing ("und" is ISO 639-2 for undetermined) or isn't a language tag: it
// came from the source's metadata.
func language(t video.Track) string {
	if t.Language == "und" || !tag.MatchString(t.Language) {
		return ""
	}
	return t.Language
}

// relative is the reference to an object of the generation from the playlist in a track's folder.
func relative(t video.Track, name string) string {
	if below, ok := strings.CutPrefix(name, t.Name+"/"); ok {
		return escape(below)
	}
	return "../" + escape(name)
}

// escape makes a relative reference (RFC 3986 §4.2) of a path: each element percent-encoded, the colon too, which would
// make a scheme of the first one. Nothing is left that could end a quoted string of a playlist.
func escape(name string) string {
	elements := strings.Split(name, "/")
	for i, e := range elements {
		elements[i] = strings.ReplaceAll(url.PathEscape(e), ":", "%3A")
	}
	return strings.Join(elements, "/")
}

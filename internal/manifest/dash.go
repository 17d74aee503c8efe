package manifest

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/internal/video"
)

// The elements of an MPD that Sluice writes, in the order and under the names of the DASH-MPD schema (ISO/IEC 23009-1 §5).
type (
	mpd struct {
		XMLName   xml.Name `xml:"urn:mpeg:dash:schema:mpd:2011 MPD"`
		Profiles  string   `xml:"profiles,attr"`
		Type      string   `xml:"type,attr"`
		Duration  string   `xml:"mediaPresentationDuration,attr"`
		MinBuffer string   `xml:"minBufferTime,attr"`
		Period    period   `xml:"Period"`
	}
	period struct {
		ID    string          `xml:"id,attr"`
		Start string          `xml:"start,attr"`
		Sets  []adaptationSet `xml:"AdaptationSet"`
	}
	adaptationSet struct {
		ID              int              `xml:"id,attr"`
		ContentType     string           `xml:"contentType,attr"`
		MimeType        string           `xml:"mimeType,attr"`
		Lang            string           `xml:"lang,attr,omitempty"`
		Par             string           `xml:"par,attr,omitempty"`
		MaxWidth        int              `xml:"maxWidth,attr,omitempty"`
		MaxHeight       int              `xml:"maxHeight,attr,omitempty"`
		MaxFrameRate    string           `xml:"maxFrameRate,attr,omitempty"`
		SegmentAligned  bool             `xml:"segmentAlignment,attr"`
		StartWithSAP    int              `xml:"startWithSAP,attr"`
		Role            descriptor       `xml:"Role"`
		Representations []representation `xml:"Representation"`
	}
	representation struct {
		ID           string      `xml:"id,attr"`
		Bandwidth    int64       `xml:"bandwidth,attr"`
		Codecs       string      `xml:"codecs,attr"`
		Width        int         `xml:"width,attr,omitempty"`
		Height       int         `xml:"height,attr,omitempty"`
		Sar          string      `xml:"sar,attr,omitempty"`
		FrameRate    string      `xml:"frameRate,attr,omitempty"`
		SamplingRate int         `xml:"audioSamplingRate,attr,omitempty"`
		Channels     *descriptor `xml:"AudioChannelConfiguration"`
		Template     template    `xml:"SegmentTemplate"`
	}
	descriptor struct {
		Scheme string `xml:"schemeIdUri,attr"`
		Value  string `xml:"value,attr"`
	}
	template struct {
		Timescale   uint32  `xml:"timescale,attr"`
		Offset      uint64  `xml:"presentationTimeOffset,attr"`
		StartNumber int64   `xml:"startNumber,attr"`
		Init        string  `xml:"initialization,attr"`
		Media       string  `xml:"media,attr"`
		Timeline    []entry `xml:"SegmentTimeline>S"`
	}
	// entry is a run of segments of one duration. The first entry and one after a gap say when it begins.
	entry struct {
		Time     *uint64 `xml:"t,attr"`
		Duration uint64  `xml:"d,attr"`
		Repeat   int     `xml:"r,attr,omitempty"` // how many more of them
	}
)

// MPD writes the DASH manifest, "index.mpd" at the generation's root: static, of the isoff-live profile, one adaptation
// set with all video tracks, which tells the largest of them (DASH-IF IOP §3.2.4), and one for each audio track.
func MPD(p Presentation) []byte {
	pictures, sounds := split(p.Tracks)
	doc := mpd{
		Profiles:  "urn:mpeg:dash:profile:isoff-live:2011",
		Type:      "static",
		Duration:  seconds(p.Duration),
		MinBuffer: seconds(longest(p.Tracks)),
		Period:    period{ID: "0", Start: "PT0S"},
	}
	if len(pictures) > 0 {
		set := aligned("video", "main")
		set.Par = ratio(int64(pictures[0].Width), int64(pictures[0].Height))
		fastest := rational{0, 1}
		for _, t := range pictures {
			r := represent(t)
			set.Representations = append(set.Representations, r)
			set.MaxWidth, set.MaxHeight = max(set.MaxWidth, r.Width), max(set.MaxHeight, r.Height)
			if rate, ok := parseRational(r.FrameRate); ok && fastest.less(rate) {
				fastest, set.MaxFrameRate = rate, r.FrameRate
			}
		}
		doc.Period.Sets = append(doc.Period.Sets, set)
	}
	for i, t := range sounds {
		role := "main"
		if i > 0 {
			role = "alternate"
		}
		set := aligned("audio", role)
		set.ID = len(doc.Period.Sets)
		set.Lang = language(t)
		set.Representations = []representation{represent(t)}
		doc.Period.Sets = append(doc.Period.Sets, set)
	}
	out, err := xml.MarshalIndent(doc, "", "  ")
	if err != nil {
		panic("manifest: " + err.Error()) // only a type that encoding/xml doesn't know could bring this about
	}
	return append([]byte(xml.Header), append(out, '\n')...)
}

// aligned is an adaptation set whose segments begin with a picture or frame that needs none before it (SAP type 1) at the
// same times in all representations.
func aligned(content, role string) adaptationSet {
	return adaptationSet{ContentType: content, MimeType: content + "/mp4", SegmentAligned: true, StartWithSAP: 1,
		Role: descriptor{Scheme: "urn:mpeg:dash:role:2011", Value: role}}
}

// longest is the duration of the longest segment. It serves as minBufferTime: at @bandwidth bits a second, a player that
// has waited that long holds each segment before it is due (ISO/IEC 23009-1 §5.3.5.4).
func longest(tracks []video.Track) time.Duration {
	var most int64
	for _, t := range tracks {
		for _, s := range t.Segments {
			most = max(most, micros(s.Duration, t.Timescale))
		}
	}
	return time.Duration(most) * time.Microsecond
}

// represent describes one track. Its pixels are square: that is how the ladder makes them.
func represent(t video.Track) representation {
	r := representation{ID: escape(t.Name), Bandwidth: t.Peak, Codecs: t.Codec, Template: timeline(t)}
	if t.Kind == video.AudioTrack {
		r.SamplingRate = t.SampleRate
		// For up to 6 channels, which the ladder stays below, the configuration's index is their number (ISO/IEC 23001-8, ChannelConfiguration).
		r.Channels = &descriptor{"urn:mpeg:dash:23003:3:audio_channel_configuration:2011", strconv.Itoa(t.Channels)}
		return r
	}
	r.Width, r.Height, r.Sar = t.Width, t.Height, "1:1"
	if !t.FrameRate.IsZero() {
		r.FrameRate = strings.TrimSuffix(fmt.Sprintf("%d/%d", t.FrameRate.Num, t.FrameRate.Den), "/1")
	}
	return r
}

// timeline lists the track's segments, runs of one duration in one entry.
func timeline(t video.Track) template {
	out := template{Timescale: t.Timescale, Init: literal(escape(t.Init.Name))}
	var end uint64
	for i, s := range t.Segments {
		last := len(out.Timeline) - 1
		switch {
		case i == 0:
			out.StartNumber, out.Media = s.Number, pattern(s)
			out.Timeline = []entry{{Time: &s.Start, Duration: s.Duration}}
		case s.Start != end:
			out.Timeline = append(out.Timeline, entry{Time: &s.Start, Duration: s.Duration})
		case s.Duration == out.Timeline[last].Duration:
			out.Timeline[last].Repeat++
		default:
			out.Timeline = append(out.Timeline, entry{Duration: s.Duration})
		}
		end = s.Start + s.Duration
	}
	return out
}

// pattern is the name of a segment with its number left open (ISO/IEC 23009-1 §5.3.9.4.4).
func pattern(s video.Segment) string {
	name, number := s.Name, fmt.Sprintf("%05d", s.Number)
	at := strings.LastIndex(name, number)
	if at < 0 {
		return literal(escape(name))
	}
	return literal(escape(name[:at])) + "$Number%05d$" + literal(escape(name[at+len(number):]))
}

// literal is s in a template, where a dollar sign begins an identifier.
func literal(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// seconds is d as an xs:duration, to the microsecond.
func seconds(d time.Duration) string {
	us := d.Microseconds()
	return "PT" + strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%d.%06d", us/1e6, us%1e6), "0"), ".") + "S"
}

// ratio is w:h in lowest terms.
func ratio(w, h int64) string {
	a, b := w, h
	for b != 0 {
		a, b = b, a%b
	}
	if a == 0 {
		return ""
	}
	return fmt.Sprintf("%d:%d", w/a, h/a)
}

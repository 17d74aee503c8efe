package manifest

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
	"math/rand/v2"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"sluice/internal/video"
)

// FuzzManifestsParseBackToTheirTracks reads everything back with a strict HLS parser and with encoding/xml, follows every
// reference as a player does, and compares what it finds with the tracks.
func FuzzManifestsParseBackToTheirTracks(f *testing.F) {
	for seed := range uint64(150) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		check(t, random(rand.New(rand.NewPCG(seed, 1))))
	})
}

func TestFixturesParseBackToTheirTracks(t *testing.T) {
	for name, p := range fixtures() {
		t.Run(name, func(t *testing.T) { check(t, p) })
	}
}

func check(t *testing.T, p Presentation) {
	t.Helper()
	objects := map[string]video.Track{}
	for _, track := range p.Tracks {
		objects[track.Name+"/"+HLS] = track
		objects[track.Name+"/"+IFrame] = track
	}
	checkMultivariant(t, p, objects)
	for _, track := range p.Tracks {
		checkMedia(t, track)
	}
	checkMPD(t, p)
}

// follow resolves a reference as a client does, and returns the object's name below the generation.
func follow(t *testing.T, from, ref string) string {
	t.Helper()
	base, err := url.Parse("https://edge.example/stream/x/1/")
	if err != nil {
		t.Fatal(err)
	}
	to, err := base.JoinPath(escape(from)).Parse(ref)
	if err != nil {
		t.Fatalf("%s refers to %q: %v", from, ref, err)
	}
	name, ok := strings.CutPrefix(to.Path, "/stream/x/1/")
	if !ok {
		t.Fatalf("%s refers to %q, outside its generation", from, ref)
	}
	return name
}

func checkMultivariant(t *testing.T, p Presentation, playlists map[string]video.Track) {
	t.Helper()
	list, kind, err := m3u8.DecodeFrom(bytes.NewReader(Multivariant(p)), true)
	if err != nil || kind != m3u8.MASTER {
		t.Fatalf("the multivariant playlist doesn't parse: %v\n%s", err, Multivariant(p))
	}
	pictures, sounds := split(p.Tracks)
	variants, tricks, audio := 0, 0, map[string]bool{}
	for _, v := range list.(*m3u8.MasterPlaylist).Variants {
		track, ok := playlists[follow(t, HLS, v.URI)]
		if !ok {
			t.Fatalf("variant %q is nobody's", v.URI)
		}
		if v.Bandwidth < v.AverageBandwidth {
			t.Errorf("%s: BANDWIDTH %d below AVERAGE-BANDWIDTH %d", v.URI, v.Bandwidth, v.AverageBandwidth)
		}
		if track.Kind == video.VideoTrack && v.Resolution != fmt.Sprintf("%dx%d", track.Width, track.Height) {
			t.Errorf("%s: RESOLUTION %s", v.URI, v.Resolution)
		}
		if v.Iframe {
			tricks++
			continue
		}
		variants++
		for _, a := range v.Alternatives {
			audio[follow(t, HLS, a.URI)] = true
		}
		if want := track.Peak; int64(v.Bandwidth) < want {
			t.Errorf("%s: BANDWIDTH %d hides its own peak %d", v.URI, v.Bandwidth, want)
		}
		if len(pictures) > 0 && math.Abs(v.FrameRate-track.FrameRate.Float()) > 0.0005001 {
			t.Errorf("%s: FRAME-RATE %v of %v", v.URI, v.FrameRate, track.FrameRate)
		}
	}
	if want := max(len(pictures), 1); variants != want || tricks != len(pictures) {
		t.Errorf("%d variants and %d I-frame variants of %d video tracks", variants, tricks, len(pictures))
	}
	if want := len(sounds); len(audio) != want && (want > 1 || len(pictures) > 0) {
		t.Errorf("%d audio renditions of %d tracks", len(audio), want)
	}
}

func checkMedia(t *testing.T, track video.Track) {
	t.Helper()
	for file, content := range map[string][]byte{HLS: Media(track), IFrame: IFrames(track)} {
		if content == nil {
			continue
		}
		parsed, kind, err := m3u8.DecodeFrom(bytes.NewReader(content), true)
		if err != nil || kind != m3u8.MEDIA {
			t.Fatalf("%s of %s doesn't parse: %v\n%s", file, track.Name, err, content)
		}
		list := parsed.(*m3u8.MediaPlaylist)
		segments := list.GetAllSegments()
		if len(segments) != len(track.Segments) || !list.Closed || list.MediaType != m3u8.VOD || list.Iframe != (file == IFrame) {
			t.Fatalf("%s of %s: %d segments of %d, closed %v, type %v", file, track.Name, len(segments), len(track.Segments), list.Closed, list.MediaType)
		}
		from := track.Name + "/" + file
		if got := follow(t, from, list.Map.URI); got != track.Init.Name {
			t.Errorf("%s: init segment %q", from, got)
		}
		sum, ticks := 0.0, uint64(0)
		for i, s := range segments {
			want := track.Segments[i]
			sum += s.Duration
			ticks += want.Duration
			if got := follow(t, from, s.URI); got != want.Name {
				t.Errorf("%s: segment %q, want %q", from, got, want.Name)
			}
			if math.Floor(s.Duration+0.5) > float64(list.TargetDuration) {
				t.Errorf("%s: EXTINF %f over the target duration %d", from, s.Duration, list.TargetDuration)
			}
			if file == IFrame && (s.Limit != want.Sync || s.Offset != want.Offset) {
				t.Errorf("%s: byte range %d@%d", from, s.Limit, s.Offset)
			}
		}
		if want := float64(ticks) / float64(track.Timescale); math.Abs(sum-want) > 2e-6 {
			t.Errorf("%s: segments of %f s, the track has %f s", from, sum, want)
		}
	}
}

// read is an MPD as a client reads it, written apart from the types it is made with.
type read struct {
	Duration string `xml:"mediaPresentationDuration,attr"`
	Sets     []struct {
		Content string `xml:"contentType,attr"`
		Reps    []struct {
			Bandwidth int64 `xml:"bandwidth,attr"`
			Template  struct {
				Timescale uint32 `xml:"timescale,attr"`
				Start     int64  `xml:"startNumber,attr"`
				Init      string `xml:"initialization,attr"`
				Media     string `xml:"media,attr"`
				Timeline  []struct {
					T *uint64 `xml:"t,attr"`
					D uint64  `xml:"d,attr"`
					R int     `xml:"r,attr"`
				} `xml:"SegmentTimeline>S"`
			} `xml:"SegmentTemplate"`
		} `xml:"Representation"`
	} `xml:"Period>AdaptationSet"`
}

var identifier = regexp.MustCompile(`\$(Number%05d)?\$`)

func checkMPD(t *testing.T, p Presentation) {
	t.Helper()
	var doc read
	if err := xml.Unmarshal(MPD(p), &doc); err != nil {
		t.Fatal(err)
	}
	total, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(doc.Duration, "PT"), "S"), 64)
	if err != nil || math.Abs(total-p.Duration.Seconds()) > 1e-6 {
		t.Errorf("mediaPresentationDuration %s of %v (%v)", doc.Duration, p.Duration, err)
	}
	next := 0
	for _, set := range doc.Sets {
		for _, rep := range set.Reps {
			track := p.Tracks[next]
			next++
			fill := func(number int64) string {
				return identifier.ReplaceAllStringFunc(rep.Template.Media, func(s string) string {
					if s == "$$" {
						return "$"
					}
					return fmt.Sprintf("%05d", number)
				})
			}
			if set.Content != string(track.Kind) || rep.Bandwidth != track.Peak || rep.Template.Timescale != track.Timescale {
				t.Errorf("%s: %s, bandwidth %d, timescale %d", track.Name, set.Content, rep.Bandwidth, rep.Template.Timescale)
			}
			if got := follow(t, DASH, strings.ReplaceAll(rep.Template.Init, "$$", "$")); got != track.Init.Name {
				t.Errorf("%s: init segment %q", track.Name, got)
			}
			n, at := 0, uint64(0)
			for _, s := range rep.Template.Timeline {
				if s.T != nil {
					at = *s.T
				}
				for range s.R + 1 {
					want := track.Segments[n]
					if name := follow(t, DASH, fill(rep.Template.Start+int64(n))); name != want.Name || at != want.Start || s.D != want.Duration {
						t.Fatalf("%s: segment %d is %q at %d for %d, want %+v", track.Name, n, name, at, s.D, want)
					}
					n++
					at += s.D
				}
			}
			if n != len(track.Segments) {
				t.Errorf("%s: %d segments of %d", track.Name, n, len(track.Segments))
			}
		}
	}
	if next != len(p.Tracks) {
		t.Errorf("%d representations of %d tracks", next, len(p.Tracks))
	}
}

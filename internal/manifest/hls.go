package manifest

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/video"
)

// version is 6 because a playlist that isn't I-frames-only carries EXT-X-MAP (RFC 8216 §7).
const version = "#EXTM3U\n#EXT-X-VERSION:6\n"

// group is the GROUP-ID of the audio renditions.
const group = "audio"

// firstRate is the average bits a second of the variant that players begin with: Apple's HLS Authoring Specification asks
// for the 2000 kbit/s variant first on Wi-Fi.
const firstRate = 2_000_000

// Multivariant writes the multivariant playlist, "index.m3u8" at the generation's root.
//
// A player begins with the variant listed first: that is the best one of at most 2 Mbit/s on average with its audio (the
// smallest where all are above); the others follow, largest first. Without video the variant is the first audio track itself.
func Multivariant(p Presentation) []byte {
	var b bytes.Buffer
	b.WriteString(version + "#EXT-X-INDEPENDENT-SEGMENTS\n")
	pictures, sounds := split(p.Tracks)
	var with []string // attributes that each variant takes from the audio group
	heaviest, codecs := weigh(sounds)
	if len(sounds) > 1 || len(sounds) == 1 && len(pictures) > 0 {
		renditions(&b, sounds)
		with = append(with, "AUDIO="+quote(group))
	}
	if len(pictures) == 0 {
		if len(sounds) > 0 {
			stream(&b, heaviest, codecs, with, sounds[0])
		}
		return b.Bytes()
	}
	with = append(with, "VIDEO-RANGE=SDR", "CLOSED-CAPTIONS=NONE")
	for _, t := range order(pictures, heaviest.Average) {
		sum := video.Track{Average: t.Average + heaviest.Average, Peak: t.Peak + heaviest.Peak}
		stream(&b, sum, append([]string{t.Codec}, codecs...), append(picture(t), with...), t)
	}
	for _, t := range pictures {
		trick(&b, t)
	}
	return b.Bytes()
}

// weigh returns the largest rates of the audio renditions, which a variant's BANDWIDTH has to allow for (RFC 8216
// §4.3.4.2: the largest sum of any playable combination), and their codecs, each once.
func weigh(sounds []video.Track) (heaviest video.Track, codecs []string) {
	for _, t := range sounds {
		heaviest.Average = max(heaviest.Average, t.Average)
		heaviest.Peak = max(heaviest.Peak, t.Peak)
		if !slices.Contains(codecs, t.Codec) {
			codecs = append(codecs, t.Codec)
		}
	}
	return heaviest, codecs
}

// order puts the variant to begin with first. extra is the average of its audio.
func order(pictures []video.Track, extra int64) []video.Track {
	first := len(pictures) - 1
	for i, t := range pictures {
		if t.Average+extra <= firstRate {
			first = i
			break
		}
	}
	rest := slices.Delete(slices.Clone(pictures), first, first+1)
	return slices.Insert(rest, 0, pictures[first])
}

// renditions writes the audio group. Names differ within a group, and so do the languages of those that a player may
// choose by itself (RFC 8216 §4.3.4.1.1).
func renditions(b *bytes.Buffer, sounds []video.Track) {
	names, languages := map[string]bool{}, map[string]bool{}
	for i, t := range sounds {
		language := language(t)
		label := cmp.Or(language, "Audio")
		for n := 2; names[label]; n++ {
			label = cmp.Or(language, "Audio") + " " + strconv.Itoa(n)
		}
		attributes := []string{"TYPE=AUDIO", "GROUP-ID=" + quote(group), "NAME=" + quote(label)}
		if language != "" {
			attributes = append(attributes, "LANGUAGE="+quote(language))
		}
		attributes = append(attributes, "DEFAULT="+yes(i == 0), "AUTOSELECT="+yes(!languages[language]),
			"CHANNELS="+quote(strconv.Itoa(t.Channels)), "URI="+quote(escape(t.Name)+"/"+HLS))
		names[label], languages[language] = true, true
		line(b, "EXT-X-MEDIA", attributes)
	}
}

// stream writes one variant: what it weighs, what decodes it, what else is to be said, and where its playlist is.
func stream(b *bytes.Buffer, weight video.Track, codecs, more []string, t video.Track) {
	attributes := append(rates(weight), "CODECS="+quote(strings.Join(codecs, ",")))
	line(b, "EXT-X-STREAM-INF", append(attributes, more...))
	b.WriteString(escape(t.Name) + "/" + HLS + "\n")
}

// trick writes the reference to the track's I-frame playlist, where it has one.
func trick(b *bytes.Buffer, t video.Track) {
	if !synced(t) {
		return
	}
	pieces := pieces(t, func(s video.Segment) int64 { return s.Sync })
	weight := video.Track{Average: average(pieces), Peak: peak(pieces)}
	attributes := append(rates(weight), "CODECS="+quote(t.Codec), resolution(t), "VIDEO-RANGE=SDR",
		"URI="+quote(escape(t.Name)+"/"+IFrame))
	line(b, "EXT-X-I-FRAME-STREAM-INF", attributes)
}

func rates(t video.Track) []string {
	return []string{fmt.Sprintf("BANDWIDTH=%d", t.Peak), fmt.Sprintf("AVERAGE-BANDWIDTH=%d", t.Average)}
}

func picture(t video.Track) []string {
	attributes := []string{resolution(t)}
	if !t.FrameRate.IsZero() {
		attributes = append(attributes, fmt.Sprintf("FRAME-RATE=%.3f", t.FrameRate.Float()))
	}
	return attributes
}

func resolution(t video.Track) string { return fmt.Sprintf("RESOLUTION=%dx%d", t.Width, t.Height) }

// Media writes a track's media playlist, "<track>/index.m3u8".
func Media(t video.Track) []byte {
	return media(t, "#EXT-X-INDEPENDENT-SEGMENTS\n", func(*bytes.Buffer, video.Segment) {})
}

// IFrames writes a track's I-frame playlist, "<track>/iframes.m3u8": the first picture of each segment, as the bytes from
// the start of its moof to the end of its first sample (RFC 8216 §4.3.3.6). It is nil for a track that doesn't say where those end.
func IFrames(t video.Track) []byte {
	if !synced(t) {
		return nil
	}
	return media(t, "#EXT-X-I-FRAMES-ONLY\n", func(b *bytes.Buffer, s video.Segment) {
		fmt.Fprintf(b, "#EXT-X-BYTERANGE:%d@%d\n", s.Sync, s.Offset)
	})
}

// synced reports whether every segment says where its first picture ends.
func synced(t video.Track) bool {
	return len(t.Segments) > 0 && !slices.ContainsFunc(t.Segments, func(s video.Segment) bool { return s.Sync <= 0 })
}

// media writes a playlist of the track's segments. head is what the whole playlist says beside the usual, each what a
// segment says.
func media(t video.Track, head string, each func(*bytes.Buffer, video.Segment)) []byte {
	var b bytes.Buffer
	pieces := pieces(t, func(s video.Segment) int64 { return s.Bytes })
	fmt.Fprintf(&b, version+"#EXT-X-TARGETDURATION:%d\n", target(pieces))
	if len(t.Segments) > 0 {
		fmt.Fprintf(&b, "#EXT-X-MEDIA-SEQUENCE:%d\n", t.Segments[0].Number)
	}
	b.WriteString("#EXT-X-PLAYLIST-TYPE:VOD\n" + head)
	fmt.Fprintf(&b, "#EXT-X-MAP:URI=%s\n", quote(relative(t, t.Init.Name)))
	for i, s := range t.Segments {
		fmt.Fprintf(&b, "#EXTINF:%d.%06d,\n", pieces[i].micros/1e6, pieces[i].micros%1e6)
		each(&b, s)
		b.WriteString(relative(t, s.Name) + "\n")
	}
	b.WriteString("#EXT-X-ENDLIST\n")
	return b.Bytes()
}

func line(b *bytes.Buffer, tag string, attributes []string) {
	b.WriteString("#" + tag + ":" + strings.Join(attributes, ",") + "\n")
}

// quote makes a quoted-string, which can't hold quotes or line ends (RFC 8216 §4.2).
func quote(s string) string {
	return `"` + strings.Map(func(r rune) rune {
		if r == '"' || r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, s) + `"`
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

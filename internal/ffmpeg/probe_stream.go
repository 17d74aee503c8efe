package ffmpeg

import (
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/text/language"

	"sluice/internal/video"
)

// header is what ffprobe says of a source before its packets are read: claims, to be measured.
type header struct {
	Streams  []stream `json:"streams"`
	Programs []struct {
		Streams []struct {
			Index int `json:"index"`
		} `json:"streams"`
	} `json:"programs"` // of a transport stream, or of another container that groups its tracks
	Format struct {
		Name  string `json:"format_name"`
		Start string `json:"start_time"`
		Lasts string `json:"duration"`
	} `json:"format"`
}

type stream struct {
	Index       int               `json:"index"`
	Kind        string            `json:"codec_type"`
	Codec       string            `json:"codec_name"`
	Tag         string            `json:"codec_tag_string"`
	Profile     string            `json:"profile"`
	PixFmt      string            `json:"pix_fmt"`
	Width       int               `json:"width"`
	Height      int               `json:"height"`
	Aspect      string            `json:"sample_aspect_ratio"`
	FieldOrder  string            `json:"field_order"`
	Rate        string            `json:"r_frame_rate"`
	Average     string            `json:"avg_frame_rate"`
	Base        string            `json:"time_base"`
	Frames      string            `json:"nb_frames"` // MP4: as many samples as the tables count
	Channels    int               `json:"channels"`
	Layout      string            `json:"channel_layout"` // empty: unknown
	SampleRate  string            `json:"sample_rate"`
	Disposition map[string]int    `json:"disposition"`
	Tags        map[string]string `json:"tags"`
	SideData    []sideData        `json:"side_data_list"`
	picture
}

// picture is what both a stream and a decoded frame say of their colours.
type picture struct {
	Range     string `json:"color_range"`
	Matrix    string `json:"color_space"`
	Transfer  string `json:"color_transfer"`
	Primaries string `json:"color_primaries"`
}

type sideData struct {
	Type     string  `json:"side_data_type"`
	Rotation float64 `json:"rotation"` // degrees counterclockwise
	Profile  int     `json:"dv_profile"`
}

// frames is what ffprobe says of decoded frames.
type frames struct {
	Frames []frame `json:"frames"`
}

type frame struct {
	Kind       string `json:"media_type"`
	PixFmt     string `json:"pix_fmt"`
	Width      int    `json:"width"`
	Height     int    `json:"height"`
	Aspect     string `json:"sample_aspect_ratio"`
	Interlaced int    `json:"interlaced_frame"`
	Time       *int64 `json:"best_effort_timestamp"` // ticks of the stream
	Channels   int    `json:"channels"`
	Layout     string `json:"channel_layout"`
	picture
}

// interval is the middle one of the times between frames: ticks, 0 where fewer than three tell.
func (f frames) interval() int64 {
	var intervals []int64
	var before *int64
	for _, frame := range f.Frames {
		if frame.Time == nil {
			continue
		}
		if before != nil {
			intervals = append(intervals, *frame.Time-*before)
		}
		before = frame.Time
	}
	if len(intervals) < 2 {
		return 0
	}
	slices.Sort(intervals)
	return intervals[len(intervals)/2]
}

// films are the video tracks that may be the film: no attached picture and no thumbnails of chapters.
func (h header) films() []*stream {
	var list []*stream
	for i, s := range h.Streams {
		if s.Kind == "video" && s.Disposition["attached_pic"] == 0 && s.Disposition["timed_thumbnails"] == 0 {
			list = append(list, &h.Streams[i])
		}
	}
	return list
}

// program is the first program that a track belongs to, from 0; -1 for none.
func (h header) program(index int) int {
	for n, p := range h.Programs {
		for _, s := range p.Streams {
			if s.Index == index {
				return n
			}
		}
	}
	return -1
}

func (h header) audio() []*stream {
	var list []*stream
	for i, s := range h.Streams {
		if s.Kind == "audio" {
			list = append(list, &h.Streams[i])
		}
	}
	return list
}

// known reports whether ffprobe has a name for the codec.
func (s *stream) known() bool { return s.Codec != "" && s.Codec != "none" && s.Codec != "unknown" }

// name is the codec's name; of an unknown one, its four letters in the container.
func (s *stream) name() string {
	if s.known() {
		return s.Codec
	}
	if strings.Trim(s.Tag, "[0]") == "" { // no tag, as ffmpeg writes four bytes of zero
		return ""
	}
	return s.Tag
}

// has reports whether one of the dispositions is set.
func (s *stream) has(names ...string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return s.Disposition[n] != 0 })
}

// videoFacts joins what the header claims with what a decoded frame showed; the frame wins, because it is what the
// encoder will be given.
func (s *stream) videoFacts(shown frame) *video.VideoFacts {
	v := &video.VideoFacts{
		Index: s.Index, Codec: s.Codec, Profile: s.Profile, PixFmt: or(shown.PixFmt, s.PixFmt), Width: s.Width, Height: s.Height,
		Aspect: aspect(s.Aspect), Rotation: s.rotation(),
		Interlaced: shown.Interlaced == 1 || s.interlaced(),
		Transfer:   stated(shown.Transfer, s.Transfer), Primaries: stated(shown.Primaries, s.Primaries), Matrix: stated(shown.Matrix, s.Matrix),
		FullRange: stated(shown.Range, s.Range) == "pc",
	}
	if shown.Width > 0 && shown.Height > 0 {
		v.Width, v.Height = shown.Width, shown.Height
	}
	if !ratio(strings.Replace(shown.Aspect, ":", "/", 1)).IsZero() {
		v.Aspect = aspect(shown.Aspect)
	}
	v.BitDepth = bitDepth(v.PixFmt)
	v.FullRange = v.FullRange || strings.HasPrefix(v.PixFmt, "yuvj")
	return v
}

func (s *stream) interlaced() bool {
	switch s.FieldOrder {
	case "tt", "bb", "tb", "bt":
		return true
	}
	return false
}

// rotation is how far the picture must be turned clockwise, in whole quarters.
func (s *stream) rotation() int {
	for _, d := range s.SideData {
		if d.Type == "Display Matrix" && !math.IsNaN(d.Rotation) {
			quarters := int(math.Round(-d.Rotation/90)) % 4
			return (quarters + 4) % 4 * 90
		}
	}
	return 0
}

// noBaseLayer reports Dolby Vision whose base layer is in its own colours (IPT-PQ).
func (s *stream) noBaseLayer() bool {
	for _, d := range s.SideData {
		if d.Type == "DOVI configuration record" && d.Profile == 5 {
			return true
		}
	}
	return false
}

func (s *stream) audioFacts() video.AudioFacts {
	rate, _ := strconv.Atoi(s.SampleRate)
	return video.AudioFacts{Index: s.Index, Codec: s.Codec, Channels: s.Channels, Layout: s.Layout, SampleRate: rate, Language: bcp47(s.Tags["language"])}
}

// bcp47 turns a container's ISO 639-2 code into a BCP 47 tag; empty for unknown.
func bcp47(code string) string {
	tag, err := language.Parse(code)
	if err != nil || tag == language.Und {
		return ""
	}
	return tag.String()
}

// aspect reads "40:33"; square where it is missing or too far from square to be meant.
func aspect(s string) video.Ratio {
	r := ratio(strings.Replace(s, ":", "/", 1))
	if f := r.Float(); f < 0.1 || f > 10 {
		return video.Ratio{Num: 1, Den: 1}
	}
	return r
}

// ratio reads "30000/1001"; zero where it is none.
func ratio(s string) video.Ratio {
	a, b, _ := strings.Cut(s, "/")
	num, err1 := strconv.ParseInt(a, 10, 64)
	den, err2 := strconv.ParseInt(b, 10, 64)
	if err1 != nil || err2 != nil || num <= 0 || den <= 0 {
		return video.Ratio{}
	}
	return video.Ratio{Num: num, Den: den}
}

// bitDepth reads the bits a component from a pixel format's name: "yuv420p10le", "p010le", "gray12le", "rgb48be".
func bitDepth(pixFmt string) int {
	name := strings.TrimSuffix(strings.TrimSuffix(pixFmt, "le"), "be")
	for _, d := range []struct {
		suffix string
		bits   int
	}{{"p9", 9}, {"p10", 10}, {"p12", 12}, {"p14", 14}, {"p16", 16}, {"010", 10}, {"210", 10}, {"410", 10}, {"012", 12}, {"016", 16}, {"216", 16}, {"416", 16},
		{"gray9", 9}, {"gray10", 10}, {"gray12", 12}, {"gray14", 14}, {"gray16", 16}, {"48", 16}, {"64", 16}, {"f32", 32}} {
		if strings.HasSuffix(name, d.suffix) {
			return d.bits
		}
	}
	return 8
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// stated returns the first value that says something.
func stated(values ...string) string {
	for _, v := range values {
		if v != "" && v != "unknown" && v != "reserved" {
			return v
		}
	}
	return ""
}

func decode[T any](b []byte) (T, error) {
	var v T
	err := json.Unmarshal(b, &v)
	return v, err
}

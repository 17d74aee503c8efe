package video

import (
	"slices"
	"strings"
	"time"
)

// Facts is what probing found in a source. Times count from the start of the earliest stream (ffmpeg's
// -copyts -start_at_zero), so a stream that starts late has a Start above 0.
type Facts struct {
	Container string        `json:"container"` // ffprobe's format name: "mov,mp4,m4a,3gp,3g2,mj2"
	Duration  time.Duration `json:"duration"`  // measured over the packets of the chosen streams, never the header's claim
	Bytes     int64         `json:"bytes"`
	Bitrate   int64         `json:"bitrate"`            // bits a second over all
	Seekable  bool          `json:"seekable"`           // the container has an index that ffmpeg seeks exactly by
	Video     *VideoFacts   `json:"video,omitempty"`    // the track that is the film (no cover art, no thumbnails); nil for audio only
	Audio     []AudioFacts  `json:"audio,omitempty"`    // in the container's order
	Warnings  []Failure     `json:"warnings,omitempty"` // what is wrong with the source and does not keep it from being played
}

// VideoFacts describes the video stream.
type VideoFacts struct {
	Index      int           `json:"index"` // in the container
	Codec      string        `json:"codec"`
	Profile    string        `json:"profile,omitempty"`
	PixFmt     string        `json:"pix_fmt"`
	BitDepth   int           `json:"bit_depth"`
	Width      int           `json:"width"`             // coded, before rotation and aspect; of most pictures where it changes
	Height     int           `json:"height"`            // coded
	Changes    bool          `json:"changes,omitempty"` // pictures of other sizes or shapes were seen
	Aspect     Ratio         `json:"sample_aspect"`
	Rotation   int           `json:"rotation"`   // clockwise degrees the picture must be turned to stand upright: 0, 90, 180, 270
	Rate       Ratio         `json:"frame_rate"` // the rate of a CFR source; the nearest standard rate of a VFR one
	VFR        bool          `json:"vfr"`
	Interlaced bool          `json:"interlaced"`
	Transfer   string        `json:"transfer,omitempty"` // color_transfer: "smpte2084" and "arib-std-b67" are HDR
	Primaries  string        `json:"primaries,omitempty"`
	Matrix     string        `json:"matrix,omitempty"`
	FullRange  bool          `json:"full_range"`
	Start      time.Duration `json:"start"`    // of the first picture
	Duration   time.Duration `json:"duration"` // from time 0 to the end of the last picture
	Packets    int64         `json:"packets"`
	MaxHold    time.Duration `json:"max_hold"` // longest time between two pictures
}

// AudioFacts describes one audio stream.
type AudioFacts struct {
	Index      int           `json:"index"`          // in the container
	Main       bool          `json:"main,omitempty"` // the track that is encoded
	Codec      string        `json:"codec"`
	Channels   int           `json:"channels"`
	Layout     string        `json:"layout,omitempty"` // ffmpeg's name of the channel layout; empty where it is unknown
	SampleRate int           `json:"sample_rate"`      // Hz
	Language   string        `json:"language,omitempty"`
	Start      time.Duration `json:"start"`
	Duration   time.Duration `json:"duration"` // from time 0 to the end of the last packet
}

// MainAudio is the track of the sound that is encoded; nil where there is none. Facts that an older version recorded mark
// none: it encoded the first.
func (f Facts) MainAudio() *AudioFacts {
	for i := range f.Audio {
		if f.Audio[i].Main {
			return &f.Audio[i]
		}
	}
	if len(f.Audio) > 0 {
		return &f.Audio[0]
	}
	return nil
}

// OfCopy joins the facts of f's copy, whose streams are cut, with what only f tells: the container, the size, and of each
// audio track the language, the layout and the choice. The copy has the tracks in the same order, and no programmes, by
// which the main track of a transport stream is chosen.
func (f Facts) OfCopy(timed Facts) Facts {
	timed.Container, timed.Bytes, timed.Bitrate = f.Container, f.Bytes, f.Bitrate
	timed.Warnings = append(slices.Clone(f.Warnings), timed.Warnings...)
	timed.Audio = slices.Clone(timed.Audio)
	if len(timed.Audio) == len(f.Audio) {
		for i, a := range f.Audio {
			t := &timed.Audio[i]
			t.Language, t.Layout, t.Main = a.Language, a.Layout, a.Main
		}
	}
	return timed
}

// Encoded reports whether the audio rendition is made of the track with an index: of the main one, or of the one that
// holds its right channel.
func (f Facts) Encoded(index int) bool {
	main := f.MainAudio()
	if main == nil {
		return false
	}
	right := f.right(main)
	return index == main.Index || right != 0 && index == right
}

// right is the track that holds the right channel of the sound whose left one is in a; 0 for none. Masters in MXF and
// MOV have each channel in a track of its own, the first two of which are the stereo pair (EBU R 123); MOV may also name
// them. Elsewhere tracks of one channel are different sounds.
func (f Facts) right(a *AudioFacts) int {
	if a.Channels != 1 || len(f.Audio) < 2 || a.Index != f.Audio[0].Index {
		return 0
	}
	b := f.Audio[1]
	master := (f.Container == "mxf" || strings.HasPrefix(f.Container, "mov,")) && strings.HasPrefix(a.Codec, "pcm_")
	for _, t := range f.Audio {
		master = master && t.Channels == 1
	}
	named := strings.HasSuffix(a.Layout, "(FL)") && strings.HasSuffix(b.Layout, "(FR)")
	if b.Channels == 1 && b.Codec == a.Codec && b.SampleRate == a.SampleRate && (master || named) {
		return b.Index
	}
	return 0
}

// Extent is a run of a file's bytes: [From, To).
type Extent struct{ From, To int64 }

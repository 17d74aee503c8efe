package video

import "time"

// Facts is what probing found in a source. Times count from the start of the earliest stream (ffmpeg's
// -copyts -start_at_zero), so a stream that starts late has a Start above 0.
type Facts struct {
	Container string        `json:"container"` // ffprobe's format name: "mov,mp4,m4a,3gp,3g2,mj2"
	Duration  time.Duration `json:"duration"`  // measured over the packets of the chosen streams, never the header's claim
	Bytes     int64         `json:"bytes"`
	Bitrate   int64         `json:"bitrate"`            // bits a second over all
	Seekable  bool          `json:"seekable"`           // the container has an index that ffmpeg seeks exactly by
	Video     *VideoFacts   `json:"video,omitempty"`    // the stream ffmpeg calls 0:V:0 (no cover art); nil for audio only
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
	Index      int           `json:"index"`
	Codec      string        `json:"codec"`
	Channels   int           `json:"channels"`
	SampleRate int           `json:"sample_rate"` // Hz
	Language   string        `json:"language,omitempty"`
	Start      time.Duration `json:"start"`
	Duration   time.Duration `json:"duration"` // from time 0 to the end of the last packet
}

// Extent is a run of a file's bytes: [From, To).
type Extent struct{ From, To int64 }

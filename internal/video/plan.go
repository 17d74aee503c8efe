package video

import "time"

// Settings are what a person may choose for one encode.
type Settings struct {
	MaxResolution int `json:"max_resolution,omitempty"` // largest short side in pixels: one of Resolutions; 0 means the server's default (1080)
}

// Plan is what will be made of a source: a pure function of its facts and the settings.
type Plan struct {
	Rate   Ratio `json:"rate"`   // output frames a second
	Frames int64 `json:"frames"` // expected output frames; the last chunk decides where it is open
	// Pictures is how many of Frames come before the source's last picture ends. The frames after them hold that
	// picture until the sound ends. 0: all.
	Pictures      int64         `json:"pictures,omitempty"`
	GOP           int           `json:"gop"`            // frames from one IDR to the next, ~2 s
	SegmentFrames int           `json:"segment_frames"` // a multiple of GOP, ~4 s
	Preroll       time.Duration `json:"preroll"`        // how far before a chunk decoding starts
	Rungs         []Rung        `json:"rungs"`          // largest first; empty for audio only
	Chunks        []Chunk       `json:"chunks"`         // in order; empty for audio only
	Threads       int           `json:"threads"`        // of each encoder; part of the plan because x264's bytes depend on it
	Audio         *AudioRung    `json:"audio,omitempty"`
	Duration      time.Duration `json:"duration"` // expected, of the longest track
	Remux         string        `json:"remux"`    // "": use the source as it is; "mp4" or "matroska": copy the streams into that container first
	Filter        Filter        `json:"filter"`
	// Together: sound and picture are made to end within a segment of each other. Plans that versions before 0.10
	// stored lack it, and their tracks end where those of the source do.
	Together bool `json:"together,omitempty"`
}

// Rung is one video rendition of the ladder.
type Rung struct {
	Name    string  `json:"name"` // "1080p", by the short side
	Width   int     `json:"width"`
	Height  int     `json:"height"`
	MaxRate int64   `json:"max_rate"` // bits a second, the cap
	BufSize int64   `json:"buf_size"` // bits, of the rate control's buffer
	CRF     float64 `json:"crf"`
	Profile string  `json:"profile"` // x264's name: "high", "main"
	Level   string  `json:"level"`   // "4.0"
}

// AudioRung is the audio rendition.
type AudioRung struct {
	Stream     int    `json:"stream"`          // index in the container
	Right      int    `json:"right,omitempty"` // index of the track that holds the right channel; 0 where Stream holds all
	Name       string `json:"name"`            // "audio"
	Bitrate    int64  `json:"bitrate"`
	Channels   int    `json:"channels"`
	SampleRate int    `json:"sample_rate"`
	Language   string `json:"language,omitempty"`
}

// Chunk is a run of whole segments, the unit of encode work: output frames [Start, Start+Frames).
type Chunk struct {
	N      int   `json:"n"` // from 0
	Start  int64 `json:"start"`
	Frames int64 `json:"frames"` // 0: to the end (the last chunk)
	// Held: all frames show one picture, the source's first or last. The first segment is encoded and repeated.
	Held bool `json:"held,omitempty"`
}

// Filter is what the picture needs on its way, before it is scaled.
type Filter struct {
	Deinterlace bool `json:"deinterlace,omitempty"` // bwdif, one frame out a frame in
	ToneMap     bool `json:"tone_map,omitempty"`    // HDR (PQ, HLG) to BT.709
	Rotation    int  `json:"rotation,omitempty"`    // clockwise degrees
	Fit         bool `json:"fit,omitempty"`         // pictures of another shape keep it, between black borders
}

// Limits bound what a source may cost. Zero means no limit.
type Limits struct {
	Bytes    int64         // of the source
	Duration time.Duration // of the source
	Pixels   int64         // width × height of the source
	Streams  int           // of the source
	CPU      time.Duration // CPU seconds of one tool process
	Memory   int64         // bytes of address space of one tool process
	Output   int64         // bytes one tool process may write to one file
}

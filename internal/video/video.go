// Package video is the domain: what a video is, the facts of a source, the ladder it becomes, and the states it goes
// through. It is pure: values and functions of values, no clock, no disk, no database.
package video

import (
	"crypto/rand"
	"time"

	"github.com/oklog/ulid/v2"
)

// ID names a video: a ULID in lower case (26 letters and digits), so that ids sort by the time they were made.
type ID string

// NewID makes an id from the time now and 80 random bits.
func NewID(now time.Time) ID {
	return ID(lower(ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()))
}

// Admin owns the videos that nobody of those with accounts put.
const Admin = "admin"

// ParseID returns s as an ID and whether it is one.
func ParseID(s string) (ID, bool) {
	if _, err := ulid.ParseStrict(s); err != nil || s != lower(s) {
		return "", false
	}
	return ID(s), true
}

func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// Status is where a video is on its way, as the API tells it. docs/STATES.md draws the moves.
type Status string

// The statuses of a video.
const (
	Waiting    Status = "waiting"    // an upload was granted, no object has come yet; or the object waits for ingest
	Processing Status = "processing" // ingest, encode or publish is under way (and nothing older plays)
	Ready      Status = "ready"      // a generation is published
	Failed     Status = "failed"     // no generation is published and the newest one failed for good
	Deleting   Status = "deleting"   // gone for every reader; its objects are being removed
)

// Statuses lists what a reader can meet, for filters.
func Statuses() []Status { return []Status{Waiting, Processing, Ready, Failed} }

// Failure is why something failed, safe to show: a stable code and a sentence that says what to do.
type Failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// Policy is who may watch a video.
type Policy string

// The policies. The edge heeds them.
const (
	Public  Policy = "public"  // whoever knows the address
	Signed  Policy = "signed"  // whoever has a signature of this server
	Members Policy = "members" // who is signed in and may see the video
)

// Policies returns every policy.
func Policies() []Policy { return []Policy{Public, Signed, Members} }

// Video is one video with what is published of it.
type Video struct {
	ID          ID
	Owner       string // who shares the machines with other owners, fairly; Admin where nobody else is named
	Workspace   string // whose members may see it
	Policy      Policy // who may watch it
	Name        string // the source's name: the filename of the upload, or the object's key
	Title       string
	Description string
	Tags        []string
	Metadata    map[string]string
	Status      Status
	Failure     *Failure // why the newest generation failed; nil while it has not
	Source      *Source  // nil until the object is there
	Facts       *Facts   // nil until ingest has probed it
	Settings    Settings // of the newest generation
	Newest      int      // number of the newest generation, 0 before ingest began
	Published   int      // number of the published generation, 0 for none
	Prefix      string   // key prefix of the outputs in the media bucket: "streams/<stem>-<id>"
	Output      *Output  // of the published generation; nil while there is none
	Created     time.Time
	Updated     time.Time
	Received    time.Time     // when the source's ObjectCreated was recorded; zero before
	Playable    time.Time     // when it first could be played; zero before
	NextLook    time.Time     // of a waiting video: when the server looks for its source by itself; zero where no look is scheduled
	Spent       time.Duration // what the newest generation's steps took, of attempts that succeeded or are under way, added up
	Running     int           // how many of its steps are under way
	Progress    float64       // of the newest generation, 0..1
}

// Source is the uploaded object, pinned: which bytes this video is made from.
type Source struct {
	Bucket   string    `json:"bucket"`
	Key      string    `json:"key"`
	ETag     string    `json:"etag"` // without quotes
	Size     int64     `json:"size"` // bytes
	Modified time.Time `json:"modified"`
	Pin      string    `json:"pin"` // key of the pinned copy (hard link) in the media bucket: "sources/<id>"
}

// Output is what one generation published.
type Output struct {
	Duration  time.Duration `json:"duration"` // of the longest track
	HLS       string        `json:"hls"`      // keys in the media bucket
	DASH      string        `json:"dash"`
	Poster    string        `json:"poster,omitempty"` // empty where there is no picture
	Thumbnail string        `json:"thumbnail,omitempty"`
	Tracks    []Track       `json:"tracks"` // without their segments; video first, largest first
	Bytes     int64         `json:"bytes"`  // of every object of the generation
	Added     []Addition    `json:"added,omitempty"`
}

// TrackKind tells video from audio.
type TrackKind string

// The kinds of track.
const (
	VideoTrack TrackKind = "video"
	AudioTrack TrackKind = "audio"
)

// Track is one rendition: a sequence of CMAF segments behind one init segment.
type Track struct {
	Kind       TrackKind `json:"kind"`
	Name       string    `json:"name"`             // also its folder: "1080p", "audio-1"
	Codec      string    `json:"codec"`            // RFC 6381: "avc1.64001f", "mp4a.40.2"
	Width      int       `json:"width,omitempty"`  // pixels
	Height     int       `json:"height,omitempty"` // pixels
	FrameRate  Ratio     `json:"frame_rate,omitzero"`
	Channels   int       `json:"channels,omitempty"`
	SampleRate int       `json:"sample_rate,omitempty"` // Hz
	Language   string    `json:"language,omitempty"`    // BCP 47, empty for unknown
	Timescale  uint32    `json:"timescale"`             // ticks a second of Segment times
	Average    int64     `json:"average"`               // bits a second over the whole track
	Peak       int64     `json:"peak"`                  // bits a second of the worst segment (RFC 8216 §4.3.4.2 BANDWIDTH)
	Bytes      int64     `json:"bytes"`                 // init and all segments
	Init       Object    `json:"init"`
	Segments   []Segment `json:"segments,omitempty"`
}

// Object is a file of a rendition, as it was made: its name below the generation's prefix, size and hash.
type Object struct {
	Name   string `json:"name"` // "1080p/init.mp4"
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hex
	// At is the object's key in the media bucket until publish moves it to its name, where another attempt had put
	// other bytes under that; else empty.
	At string `json:"at,omitempty"`
}

// Segment is one CMAF media segment.
type Segment struct {
	Object
	Number   int64  `json:"number"`   // from 1, over the whole track
	Start    uint64 `json:"start"`    // presentation time, Track.Timescale ticks
	Duration uint64 `json:"duration"` // ticks
	Sync     int64  `json:"sync"`     // bytes from the start of the segment's moof to the end of its first sample, for I-frame playlists; 0 for audio
	Offset   int64  `json:"offset"`   // where that moof starts, bytes into the object (after styp)
}

// Ratio is a fraction, for frame rates and aspect ratios.
type Ratio struct {
	Num int64 `json:"num"`
	Den int64 `json:"den"`
}

// Float is the ratio as a number; 0 where the denominator is 0.
func (r Ratio) Float() float64 {
	if r.Den == 0 {
		return 0
	}
	return float64(r.Num) / float64(r.Den)
}

// IsZero reports whether the ratio says nothing.
func (r Ratio) IsZero() bool { return r.Num == 0 || r.Den == 0 }

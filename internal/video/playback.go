package video

import (
	"crypto/rand"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"
)

// PlaybackID names one more way to watch a video, apart from its own address: "p-" and a ULID in lower case.
type PlaybackID string

const playbackPrefix = "p-"

// NewPlaybackID makes an id from the time now and 80 random bits.
func NewPlaybackID(now time.Time) PlaybackID {
	return PlaybackID(playbackPrefix + lower(ulid.MustNew(ulid.Timestamp(now), rand.Reader).String()))
}

// ParsePlaybackID returns s as a PlaybackID and whether it has the form of one. The folder of a video whose source was called "p.mp4" has it too.
func ParsePlaybackID(s string) (PlaybackID, bool) {
	rest, ok := strings.CutPrefix(s, playbackPrefix)
	if !ok {
		return "", false
	}
	if _, ok := ParseID(rest); !ok {
		return "", false
	}
	return PlaybackID(s), true
}

// Playback is a way to watch a video: who may, on which pages, and how large. The zero Playback is none.
type Playback struct {
	ID     PlaybackID // empty: the video's own, at the video's own address
	Video  ID
	Prefix string // key prefix of the video's outputs in the media bucket: "streams/<stem>-<id>"
	// Who may see the video, apart from signatures.
	Owner, Workspace string
	Ready            bool
	Policy           Policy
	Origins          []string // of the pages that may play it ("https://www.example.com"); none: every page
	MaxResolution    int      // short side in pixels above which no rung is given out; 0: all are
	Revoked          bool     // it was good, and will never be again
}

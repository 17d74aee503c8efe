package video

import "time"

// PlaybackForm is a Playback as it is kept: what was asked for, and who asked for it.
type PlaybackForm struct {
	ID            PlaybackID
	Video         ID
	Base          string // of a form that grants with a cap made: the PlaybackID, or the ID of the video, that it is a smaller form of; else empty
	Name          string
	Policy        Policy   // empty: the base's, and the video's where that has none
	Origins       []string // as in Playback
	MaxResolution int      // as in Playback
	Created       time.Time
	Revoked       time.Time // zero: it is good
}

// PlaybackEdit is a change of a PlaybackForm; nil leaves a field as it is.
type PlaybackEdit struct {
	Name          *string
	Policy        *Policy
	Origins       *[]string
	MaxResolution *int
}

// LowerCap is the stricter of two caps on resolution, of which 0 is none.
func LowerCap(a, b int) int {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}

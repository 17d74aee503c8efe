// Package event names what happened. An event is a row: written in the transaction that made it true, never changed.
package event

import (
	"encoding/json"
	"time"
)

// Type says what happened.
type Type string

// The types. docs/STATES.md says which move writes which.
const (
	UploadGranted     Type = "upload.granted"
	SourceReceived    Type = "source.received"
	VideoPlanned      Type = "video.planned"
	StepFinished      Type = "step.finished"
	StepFailed        Type = "step.failed"
	VideoPlayable     Type = "video.playable"
	VideoReady        Type = "video.ready"
	VideoFailed       Type = "video.failed"
	VideoRecovered    Type = "video.recovered" // ready, after a generation had failed
	VideoUpdated      Type = "video.updated"
	EncodeRequested   Type = "video.encode_requested"
	VideoRedriven     Type = "video.redriven"
	VideoDeleted      Type = "video.deleted"
	UploadAbandoned   Type = "upload.abandoned"
	SourceLost        Type = "source.lost"
	OutputsLost       Type = "outputs.lost"
	GenerationRetired Type = "generation.retired"
	PlaybackMade      Type = "playback.made"
	PlaybackChanged   Type = "playback.changed"
	PlaybackRevoked   Type = "playback.revoked"
)

// Failure reports whether the data of such events tells what failed and why.
func (t Type) Failure() bool {
	return t == StepFailed || t == VideoFailed || t == SourceLost || t == OutputsLost
}

// Event is one thing that happened to a video.
type Event struct {
	ID    int64           `json:"id"` // grows with time
	Video string          `json:"video"`
	Type  Type            `json:"type"`
	Time  time.Time       `json:"time"`
	Data  json.RawMessage `json:"data,omitempty"`
}

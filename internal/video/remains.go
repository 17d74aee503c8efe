package video

import "time"

// ObjectsToDelete is what the records know of a video, whatever has become of it.
type ObjectsToDelete struct {
	Known       bool // it has a row
	Deleting    bool
	Updated     time.Time
	Generations map[int]GenerationState // by number
}

// GenerationState is where a generation is. docs/STATES.md draws the moves.
type GenerationState struct {
	State   string // "waiting", "planned", "published", "superseded", "failed", "canceled" or "retired"
	Updated time.Time
}

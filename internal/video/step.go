package video

import (
	"errors"
	"time"
)

// ErrStale says that a step has been done, ended or overtaken: there is nothing left to do, and nothing went wrong.
var ErrStale = errors.New("the step is no longer due")

// StepName names a step of the way of a video.
type StepName string

// The steps, in the order of the way.
const (
	Ingest  StepName = "ingest"
	Encode  StepName = "encode" // one a chunk
	Audio   StepName = "audio"
	Stills  StepName = "stills"
	Publish StepName = "publish"
)

// StepState is where a step is. Moves are fenced: each is an UPDATE … WHERE state = ….
type StepState string

// The states of a step.
const (
	StepWaiting  StepState = "waiting"
	StepRunning  StepState = "running"
	StepDone     StepState = "done"
	StepFailed   StepState = "failed"   // for good
	StepCanceled StepState = "canceled" // a sibling failed for good, or the video was deleted
)

// StepRef says which step: also the arguments of its job.
type StepRef struct {
	Video      ID       `json:"video"`
	Generation int      `json:"generation"` // from 1
	Name       StepName `json:"step"`
	N          int      `json:"n"` // the chunk, for encode; else 0
}

// Step is one step as it stands.
type Step struct {
	StepRef
	State    StepState
	Attempts []Attempt
	Progress float64 // 0..1 while running
	Started  time.Time
	Finished time.Time
}

// Attempt is one try at a step.
type Attempt struct {
	Number   int // from 1
	Worker   string
	Started  time.Time
	Finished time.Time // zero while it runs, or when its worker was lost
	Failure  *Failure
	Detail   string // the tail of the tool's output, for operators only
}

// StepInput is what a step needs to begin: everything known of its generation.
type StepInput struct {
	Video    Video
	Settings Settings
	Plan     *Plan // nil before ingest is done
	Attempt  int   // number of this attempt, from 1
}

// Result is what one step made.
type Result struct {
	Tracks []Track  `json:"tracks,omitempty"` // encode: the segments of this chunk, one track a rung; audio: the whole track
	Stills []Object `json:"stills,omitempty"` // poster first, then thumbnail
	Frames int64    `json:"frames,omitempty"` // encode: frames made
	// Added is how much of the end of these tracks is not of the source: the last picture held, or silence.
	Added time.Duration `json:"added,omitempty"`
}

// Part is the result of one finished step of a generation.
type Part struct {
	StepRef
	Result Result
}

// StepFailure is how an attempt at a step failed.
type StepFailure struct {
	Failure
	Detail string // the tail of the tool's output, for operators
	Final  bool   // trying again cannot help, or was tried enough
	Waits  bool   // a part of the server is away or full: the attempt does not count against the step
}

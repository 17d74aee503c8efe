package video

import "time"

// StepError is a failed attempt at a step, as it is kept after the video is gone.
type StepError struct {
	StepRef
	Failure
	ID      int64  // grows with time
	Source  string // the video's name
	Attempt int    // which one failed, from 1
	Final   bool   // the generation failed with it; else the step was tried again
	Time    time.Time
	Worker  string // which process tried; empty after the video's deletion
	Detail  string // the tail of the tool's output, for operators; empty after the video's deletion
}

// ErrorQuery chooses errors; what is zero chooses all, but for Within. An error is no video, and ready or not doesn't count.
type ErrorQuery struct {
	Within
	Video  ID
	Step   StepName
	Code   string
	Since  time.Time
	Before int64 // only ids below this one
	Limit  int
}

// ErrorGroup is the errors of one code at one step.
type ErrorGroup struct {
	Code        string
	Step        StepName
	Message     string // of the newest one
	Count       int
	Videos      int // how many have one or more of them
	Final       int // how many ended a generation
	First, Last time.Time
}

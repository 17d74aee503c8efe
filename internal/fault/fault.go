// Package fault says what went wrong in a form that is safe to show.
//
// An Error joins a Kind (what class of trouble; it decides the HTTP status and whether a job is worth trying again),
// a stable Code (what scripts match on), a Message (one sentence that tells a person what to do, free of host paths and
// secrets) and the wrapped cause (for the log alone). Rooms make errors; they are logged once, at the edge.
package fault

import (
	"context"
	"errors"
	"fmt"
)

// Kind is the class of an error.
type Kind int

// The kinds. Unavailable and Internal are worth trying again; every other kind is final.
const (
	Internal     Kind = iota // a defect or an unexpected failure of a part: try again
	Invalid                  // the request or the media is wrong
	Unauthorized             // nobody is signed in
	Forbidden                // somebody is, and may not
	NotFound                 // there is no such thing
	Conflict                 // the thing is in another state
	Gone                     // there was such a thing
	TooLarge                 // over a limit of size, time or number
	Unsupported              // a form of media or content that Sluice does not take
	Limited                  // too many requests
	Unavailable              // a part is away or full: try again later
	Canceled                 // somebody asked to stop it
)

// Error is an error with a kind, a stable code and a message that is safe to show.
type Error struct {
	Kind    Kind
	Op      string // where: "ffmpeg.probe"
	Code    string // stable, lower snake case: "not_media"
	Message string // a sentence that says what to do
	Cause   error
}

// New makes an Error. cause may be nil.
func New(kind Kind, op, code, message string, cause error) *Error {
	return &Error{Kind: kind, Op: op, Code: code, Message: message, Cause: cause}
}

func (e *Error) Error() string {
	s := fmt.Sprintf("%s: %s: %s", e.Op, e.Code, e.Message)
	if e.Cause != nil {
		s += ": " + e.Cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.Cause }

// Of returns the outermost Error of err. An error without one becomes Internal, code "internal" (Canceled, code
// "canceled", where a context was canceled), with a message that gives nothing away.
func Of(err error) *Error {
	var e *Error
	switch {
	case errors.As(err, &e):
		return e
	case errors.Is(err, context.Canceled):
		return New(Canceled, "", "canceled", "The work was canceled.", err)
	case errors.Is(err, context.DeadlineExceeded):
		return New(Unavailable, "", "timeout", "The work took too long; try again.", err)
	default:
		return New(Internal, "", "internal", "Something went wrong on the server; try again, and see the server's log if it goes on.", err)
	}
}

// Is reports whether err carries kind.
func Is(err error, kind Kind) bool { return err != nil && Of(err).Kind == kind }

// Permanent reports whether trying again cannot help.
func Permanent(err error) bool {
	switch Of(err).Kind {
	case Internal, Unavailable, Limited, Canceled:
		return false
	default:
		return true
	}
}

package event

import "time"

// Subscription is an address that is told of events by mail.
type Subscription struct {
	ID        string
	Address   string // local@domain, nothing else
	Events    []Type // of Notable
	Created   time.Time
	Waiting   int  // notices that no message has taken yet
	Suspended bool // the address refused message after message: nothing is sent until it is subscribed again
}

// Notable are the events that an address can be told of.
func Notable() []Type { return []Type{VideoFailed, VideoRecovered} }

// State is where a notice, or the message that took it, is.
type State string

// The states of a notice.
const (
	Waiting State = "waiting" // for its message
	Sending State = "sending" // its message is tried
	Sent    State = "sent"    // the mail server took its message
	Refused State = "refused" // for good
	Dead    State = "dead"    // tried often enough
)

// Notification is one event to be told to one address.
type Notification struct {
	ID         int64 // grows with time
	Address    string
	Event      Type
	Video      string
	Name       string // of the video
	Generation int
	Step       string // that failed; empty for a recovery, as are code and message
	Code       string
	Message    string
	Time       time.Time
	State      State
	Mail       int64     // the message that took it; 0 while it waits
	Tries      int       // of that message
	Trouble    Trouble   // of its last try
	Finished   time.Time // when the message was sent or given up; zero before
}

// Trouble is why a message was not sent: a stable code and a sentence that says what to do. The zero Trouble is none.
type Trouble struct {
	Code    string
	Message string
}

// Mail is one message to one address.
type Mail struct {
	ID           int64
	Subscription string
	Address      string
	Created      time.Time
	Groups       []NotificationGroup // failures first
	Notices      []Notification      // the first of those it tells, oldest first
}

// NotificationGroup counts the notices of a message that have an event and a code in common.
type NotificationGroup struct {
	Event Type
	Code  string // empty for recoveries
	Count int
}

// Aged is what the records keep of failed attempts and of notices that are older than they need be.
type Aged struct {
	Errors, Notices         int
	FirstError, FirstNotice time.Time // of the oldest; zero where there is none
}

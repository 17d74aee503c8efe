package engine

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// Job is work to be done: what a store method inserts in the transaction that makes it due.
type Job struct {
	Kind     string          // which worker: "ingest"
	Args     json.RawMessage // what the worker reads: a JSON object
	Group    string          // what it belongs to (a video's id), for cancelling
	Owner    string          // who shares the queue with others, fairly; empty is an owner like any other
	Queue    string          // which limit it runs under
	Priority int             // 1 first … 4 last; 0 means 2
	After    time.Time       // not before; zero means now
	Attempts int             // tries before it is dead; 0 means 8
}

const (
	defaultPriority = 2
	defaultAttempts = 8
	maxAttempts     = 32767 // River's column is a smallint
)

// Handle is a job that this process is running, so that a store can complete it in its own transaction. The zero Handle is no job, and completing it
// does nothing.
type Handle struct {
	id     int64
	number int // of the try
	worker string
}

// ID is the job's number in the database, 0 for the zero Handle.
func (h Handle) ID() int64 { return h.id }

// Number is which try this is, from 1.
func (h Handle) Number() int { return h.number }

// args carries a Job's arguments through River, which asks for one Go type a kind: ours has its kind as a field.
type args struct {
	kind string
	raw  json.RawMessage
}

func (a args) Kind() string { return a.kind }

func (a args) MarshalJSON() ([]byte, error) {
	if len(a.raw) == 0 {
		return []byte("{}"), nil
	}
	return a.raw, nil
}

func (a *args) UnmarshalJSON(b []byte) error {
	a.raw = append(a.raw[:0], b...)
	return nil
}

// metadata is what a job's row keeps beside its arguments. SQL reads it by these names.
type metadata struct {
	Group string `json:"group,omitempty"`
	Wait  *wait  `json:"wait,omitempty"`
	Owner string `json:"owner,omitempty"`
}

func (j Job) params() (river.InsertManyParams, error) {
	meta, err := json.Marshal(metadata{Group: j.Group, Owner: j.Owner})
	if err != nil {
		return river.InsertManyParams{}, err
	}
	opts := &river.InsertOpts{
		MaxAttempts: j.Attempts,
		Metadata:    meta,
		Priority:    j.Priority,
		Queue:       j.Queue,
		ScheduledAt: j.After,
	}
	if opts.MaxAttempts == 0 {
		opts.MaxAttempts = defaultAttempts
	}
	if opts.Priority == 0 {
		opts.Priority = defaultPriority
	}
	return river.InsertManyParams{Args: args{kind: j.Kind, raw: j.Args}, InsertOpts: opts}, nil
}

// jobOf reads a Job back from its row, and how it has waited.
func jobOf(row *rivertype.JobRow) (Job, *wait, error) {
	var meta metadata
	if err := json.Unmarshal(row.Metadata, &meta); err != nil {
		return Job{Kind: row.Kind}, nil, err
	}
	return Job{
		Kind:     row.Kind,
		Args:     row.EncodedArgs,
		Group:    meta.Group,
		Owner:    meta.Owner,
		Queue:    row.Queue,
		Priority: row.Priority,
		After:    row.ScheduledAt,
		Attempts: row.MaxAttempts,
	}, meta.Wait, nil
}

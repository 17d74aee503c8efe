package engine

import (
	"encoding/json"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// Job is work to be done: what a store method inserts in the transaction that makes it due.
type Job struct {
	Kind     string          // which worker: "ingest"
	Args     json.RawMessage // what the worker reads
	Group    string          // what it belongs to (a video's id), for cancelling
	Queue    string          // which limit it runs under
	Priority int             // 1 first … 4 last; 0 means 2
	After    time.Time       // not before; zero means now
	Attempts int             // tries before it is dead; 0 means 8
}

// Handle is a job that this process is running, so that a store can complete it in its own transaction. The zero Handle is no job, and completing it
// does nothing.
type Handle struct {
	row *rivertype.JobRow
}

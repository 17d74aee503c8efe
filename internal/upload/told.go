package upload

import (
	"context"
	"encoding/json"
	"errors"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
)

// EventQueue is the limit under which the jobs of notices run, apart from the pipeline's, so that a flood of events holds up no publishing.
const EventQueue = "events"

// noticeKind is the kind of the job that looks after one notice.
const noticeKind = "notice"

// Tell takes notices of objects: each that may start a video becomes a job that looks at the object itself, all in one transaction. When Tell returns
// nil they are as safe as the database is, and their sender may forget them; how many times a write is told doesn't matter. It returns the number of jobs.
func (d *Service) Tell(ctx context.Context, notices []StorageEvent) (int, error) {
	var jobs []engine.Job
	for _, n := range notices {
		var keys []string
		for _, key := range n.Keys {
			if d.starts(n.Bucket, key) {
				keys = append(keys, key)
			}
		}
		if len(keys) == 0 {
			continue
		}
		args, err := json.Marshal(StorageEvent{Bucket: n.Bucket, Keys: keys})
		if err != nil {
			return 0, err
		}
		jobs = append(jobs, engine.Job{Kind: noticeKind, Args: args, Queue: EventQueue})
	}
	if len(jobs) == 0 {
		return 0, nil
	}
	return len(jobs), d.Store.Enqueue(ctx, jobs)
}

// Handlers maps each kind of job to the function that does it.
func (d *Service) Handlers() map[string]engine.Worker {
	return map[string]engine.Worker{noticeKind: d.look, lookKind: d.scheduled}
}

// look makes the facts of what a notice may mean. A job that has failed for good is no loss: the reconciler finds the object.
func (d *Service) look(ctx context.Context, a engine.Attempt) error {
	var n StorageEvent
	if err := json.Unmarshal(a.Job.Args, &n); err != nil {
		return fault.New(fault.Invalid, "upload.notice", "bad_job", "The job's arguments are not those of a notice.", err)
	}
	var errs []error
	for _, key := range n.Keys {
		if err := d.Created(ctx, bucket.Object{Bucket: n.Bucket, Key: key}); err != nil && fault.Of(err).Code != "bad_key" {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// Job is one durable job. A time is zero where the server does not know it (yet).
type Job struct {
	ID          int64           `json:"id"`
	Kind        string          `json:"kind"`
	State       string          `json:"state"` // "available", "scheduled", "running", "completed", "canceled" or "dead"
	Queue       string          `json:"queue"`
	Priority    int             `json:"priority"` // 1 first, 4 last
	Owner       string          `json:"owner"`
	Video       string          `json:"video,omitempty"` // empty for removals
	Step        *JobStep        `json:"step,omitempty"`  // nil for removals
	Attempt     int             `json:"attempt"`         // tries begun
	MaxAttempts int             `json:"max_attempts"`
	Worker      string          `json:"worker,omitempty"`
	Created     time.Time       `json:"created"`
	Due         time.Time       `json:"due"`
	Started     time.Time       `json:"started,omitzero"`
	Finished    time.Time       `json:"finished,omitzero"`
	Error       string          `json:"error,omitempty"` // of the last failed try
	Args        json.RawMessage `json:"args"`
	Errors      []JobError      `json:"errors,omitempty"`   // in lists always empty
	Attempts    []Attempt       `json:"attempts,omitempty"` // in lists always empty
}

// JobStep names a step of a video's generation.
type JobStep struct {
	Generation int    `json:"generation"`
	Name       string `json:"name"`
	N          int    `json:"n"`
}

// JobError is how one try ended.
type JobError struct {
	Attempt int       `json:"attempt"`
	Time    time.Time `json:"time"`
	Error   string    `json:"error"`
}

// What says in a word or two what the job does: "encode 3", "retire".
func (j Job) What() string {
	if j.Step != nil && j.Step.Name == "encode" {
		return fmt.Sprintf("encode %d", j.Step.N)
	}
	return j.Kind
}

// JobQuery chooses jobs. What is empty chooses all.
type JobQuery struct {
	State, Queue, Owner, Video string
}

// Queue is a kind of work that shares a limit.
type Queue struct {
	Name      string    `json:"name"`
	Paused    bool      `json:"paused"`
	Since     time.Time `json:"paused_since,omitzero"`
	Available int       `json:"available"` // due, and waiting for a slot
	Scheduled int       `json:"scheduled"` // due later
	Running   int       `json:"running"`   // in processes that are up
	Lost      int       `json:"lost"`      // in processes that are silent; others take them over
	Dead      int       `json:"dead"`
	Workers   *int      `json:"workers,omitempty"` // limit of every machine without one of its own; nil for none
	Machines  []Machine `json:"machines"`
}

// Machine is what one machine does of a queue.
type Machine struct {
	Name    string `json:"name"`
	Up      bool   `json:"up"`
	Workers int    `json:"workers"`         // side by side in each of its processes, as in force
	Limit   *int   `json:"limit,omitempty"` // its own; nil for none
	Running int    `json:"running"`

	Processes []Process `json:"processes"`
}

// Process is one process of a machine.
type Process struct {
	ID      string    `json:"id"` // as attempts name it
	PID     int       `json:"pid"`
	Roles   string    `json:"roles"` // separated by commas
	Up      bool      `json:"up"`
	Seen    time.Time `json:"last_seen"`
	Running int       `json:"running"`
	Lost    int       `json:"lost_attempts"` // that others took over because it was silent
}

// QueueEdit changes a queue while it works; nil leaves a field as it is.
type QueueEdit struct {
	Paused    *bool
	Machine   string // whose limit; empty for every machine without one of its own
	Workers   *int   // 0 to 128
	Unlimited bool   // takes the limit away
}

// MarshalJSON writes what changes.
func (e QueueEdit) MarshalJSON() ([]byte, error) {
	body := map[string]any{}
	if e.Paused != nil {
		body["paused"] = *e.Paused
	}
	if e.Workers != nil || e.Unlimited {
		body["workers"] = e.Workers
		if e.Machine != "" {
			body["machine"] = e.Machine
		}
	}
	return json.Marshal(body)
}

func jobPath(id int64) string { return "/v1/jobs/" + strconv.FormatInt(id, 10) }

// Jobs goes through all jobs that q chooses, newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Jobs(ctx context.Context, q JobQuery) iter.Seq2[Job, error] {
	return func(yield func(Job, error) bool) {
		query := url.Values{"limit": {"200"}}
		for name, value := range map[string]string{"state": q.State, "queue": q.Queue, "owner": q.Owner, "video": q.Video} {
			if value != "" {
				query.Set(name, value)
			}
		}
		for {
			var page struct {
				Items []Job
				Next  int64
			}
			if err := c.call(ctx, http.MethodGet, "/v1/jobs?"+query.Encode(), nil, &page); err != nil {
				yield(Job{}, err)
				return
			}
			for _, j := range page.Items {
				if !yield(j, nil) {
					return
				}
			}
			if page.Next == 0 {
				return
			}
			query.Set("before", strconv.FormatInt(page.Next, 10))
		}
	}
}

// Job returns one job with its errors and attempts.
func (c *Client) Job(ctx context.Context, id int64) (Job, error) {
	var j Job
	err := c.call(ctx, http.MethodGet, jobPath(id), nil, &j)
	return j, err
}

// RedriveJob tries a job again and returns the jobs that are there for it now.
func (c *Client) RedriveJob(ctx context.Context, id int64) ([]Job, error) {
	var page struct{ Items []Job }
	err := c.call(ctx, http.MethodPost, jobPath(id)+"/redrive", nil, &page)
	return page.Items, err
}

// RedriveVideo goes on with a video that failed, and returns its jobs. step, where it is not empty, must have failed; n is the chunk, for encode.
func (c *Client) RedriveVideo(ctx context.Context, id, step string, n int) ([]Job, error) {
	body := map[string]any{}
	if step != "" {
		body["step"], body["n"] = step, n
	}
	if err := c.call(ctx, http.MethodPost, videoPath(id)+"/redrive", body, nil); err != nil {
		return nil, err
	}
	var jobs []Job
	for j, err := range c.Jobs(ctx, JobQuery{Video: id}) {
		if err != nil {
			return jobs, err
		}
		jobs = append(jobs, j)
	}
	return jobs, nil
}

// CancelJob ends the encode that a job belongs to and returns the job.
func (c *Client) CancelJob(ctx context.Context, id int64) (Job, error) {
	var j Job
	err := c.call(ctx, http.MethodPost, jobPath(id)+"/cancel", nil, &j)
	return j, err
}

// Queues returns all queues by name.
func (c *Client) Queues(ctx context.Context) ([]Queue, error) {
	var page struct{ Items []Queue }
	err := c.call(ctx, http.MethodGet, "/v1/queues", nil, &page)
	return page.Items, err
}

// EditQueue changes a queue and returns it as it is then.
func (c *Client) EditQueue(ctx context.Context, name string, e QueueEdit) (Queue, error) {
	var q Queue
	err := c.call(ctx, http.MethodPatch, "/v1/queues/"+url.PathEscape(name), e, &q)
	return q, err
}

package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Job is one durable job: a try, or several, to advance one step of a video, or to remove something.
type Job struct {
	ID          int64           `json:"id" example:"4711" doc:"Grows with time"`
	Kind        string          `json:"kind" example:"encode" doc:"What it does: the step, or retire, delete"`
	State       string          `json:"state" enum:"available,scheduled,running,completed,canceled,dead" example:"dead" doc:"available: due, waits for a slot; scheduled: due later, told so or after a failure; dead: failed for good, and kept"`
	Queue       string          `json:"queue" example:"encode" doc:"Which limit it runs under"`
	Priority    int             `json:"priority" example:"1" doc:"1 first, 4 last"`
	Owner       string          `json:"owner" example:"admin" doc:"Whose video it works on: owners share a queue fairly"`
	Video       string          `json:"video,omitempty" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video it belongs to; absent for removals"`
	Step        *JobStep        `json:"step,omitempty" doc:"The step it tries to advance; absent for removals"`
	Attempt     int             `json:"attempt" example:"2" doc:"Tries begun"`
	MaxAttempts int             `json:"max_attempts" example:"8" doc:"Tries before it is dead"`
	Worker      string          `json:"worker,omitempty" example:"media-1-k3v9q2x7m4t8" doc:"The process that tried it last; absent before"`
	Created     Time            `json:"created" doc:"When it was inserted"`
	Due         Time            `json:"due" doc:"When it may begin, or could"`
	Started     Time            `json:"started,omitzero" doc:"When its last try began; absent before"`
	Finished    Time            `json:"finished,omitzero" doc:"When it was over; absent before"`
	Error       string          `json:"error,omitempty" example:"no_space: The disk is full; free some space." doc:"How its last failed try ended, for operators; absent where none failed"`
	Args        json.RawMessage `json:"args" doc:"What the worker reads"`
}

// JobStep names a step of a video's generation.
type JobStep struct {
	Generation int    `json:"generation" example:"1" doc:"From 1"`
	Name       string `json:"name" enum:"ingest,encode,audio,stills,publish" example:"encode" doc:"Which step"`
	N          int    `json:"n" example:"0" doc:"Number of the chunk, for encode; else 0"`
}

// JobDetail is one job with all that its tries left.
type JobDetail struct {
	Job
	Errors   []JobError `json:"errors" doc:"How its failed tries ended, first to last"`
	Attempts []Attempt  `json:"attempts" doc:"Its tries at the step, with the end of the tool's output; empty for removals"`
}

// JobError is how one try ended.
type JobError struct {
	Attempt int    `json:"attempt" example:"1" doc:"Which try, from 1"`
	Time    Time   `json:"time" doc:"When it ended"`
	Error   string `json:"error" example:"tool_failed: ffmpeg ended with 1." doc:"For operators"`
}

// JobPage is one page of jobs, newest first.
type JobPage struct {
	Items []Job `json:"items" doc:"Newest first"`
	Next  int64 `json:"next,omitempty" example:"4711" doc:"Pass as before for the next page; absent on the last one"`
}

// RedriveRequest asks for one step.
type RedriveRequest struct {
	Step string `json:"step,omitempty" enum:"ingest,encode,audio,stills,publish" example:"encode" doc:"The step that must have failed or been canceled. Absent: any"`
	N    int    `json:"n,omitempty" minimum:"0" maximum:"1000000" example:"3" doc:"Number of the chunk, for encode"`
}

type jobsInput struct {
	State  string `query:"state" enum:"available,scheduled,running,completed,canceled,dead" doc:"Only jobs in this state"`
	Queue  string `query:"queue" maxLength:"100" doc:"Only jobs of this queue"`
	Owner  string `query:"owner" maxLength:"200" doc:"Only jobs of this owner"`
	Video  string `query:"video" maxLength:"26" doc:"Only jobs of this video's steps"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Largest number of jobs to answer with"`
	Before int64  `query:"before" minimum:"0" default:"0" doc:"Where to go on: next of the page before"`
}

type jobInput struct {
	ID int64 `path:"id" minimum:"1" example:"4711" doc:"The job's id"`
}

type redriveInput struct {
	ID   string `path:"id" example:"01jq3v8k2m4n5p6r7s8t9v0w1x" doc:"The video's id"`
	Body *RedriveRequest
}

type jobsOutput struct {
	Body JobPage
}

type jobOutput struct {
	Body JobDetail
}

func (s *service) routeJobs() {
	missing := problems{http.StatusNotFound: {"no_job"}}
	tags := []string{"jobs"}
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "listJobs", Method: http.MethodGet, Path: "/v1/jobs", Tags: tags,
		Summary:     "List jobs, newest first",
		Description: "Jobs that ended well or were canceled are forgotten after a day; dead ones are kept until they are redriven or their video is deleted."}, nil, s.jobs)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "getJob", Method: http.MethodGet, Path: "/v1/jobs/{id}", Tags: tags,
		Summary: "Get one job, with its errors, its attempts and the end of the tool's output"}, missing, s.job)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "redriveJob", Method: http.MethodPost, Path: "/v1/jobs/{id}/redrive", Tags: tags,
		Summary: "Try a job again",
		Description: "A job that waits for its time is due at once. One that is dead or canceled has its tries again; the encode that it belongs to goes on with it, " +
			"and what was finished stays. Answers with the jobs that are due for it.",
		DefaultStatus: http.StatusAccepted},
		problems{http.StatusNotFound: {"no_job", codeNoVideo}, http.StatusConflict: {"job_running", "job_done", "not_failed", "busy"}}, s.redriveJob)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "cancelJob", Method: http.MethodPost, Path: "/v1/jobs/{id}/cancel", Tags: tags,
		Summary: "Cancel the encode that a job belongs to",
		Description: "A video can't be made of some of its steps, so all jobs of this encode end, wherever they run, within seconds. The video fails with the code encode_canceled " +
			"unless an older generation plays, and may be redriven. Removals can't be canceled.",
		DefaultStatus: http.StatusAccepted},
		problems{http.StatusNotFound: {"no_job", codeNoVideo}, http.StatusConflict: {"job_done", codeUncancelable}}, s.cancelJob)
	route(s, needs(account.VideosWrite), huma.Operation{OperationID: "redriveVideo", Method: http.MethodPost, Path: "/v1/videos/{id}/redrive", Tags: []string{"videos"},
		Summary: "Go on with a video, or one of its steps, that failed",
		Description: "The newest generation goes on where it failed: its failed and canceled steps are due again, and what was finished stays. Where what it had made is " +
			"gone already, a new generation begins with the same settings. The body may be left out.",
		DefaultStatus: http.StatusAccepted, MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoVideo}, http.StatusForbidden: {codeForbidden}, http.StatusConflict: {"no_source", "busy", "not_failed"}}, s.redriveVideo)
}

func (s *service) jobs(ctx context.Context, in *jobsInput) (*jobsOutput, error) {
	found, err := s.Jobs.Jobs(ctx, engine.JobQuery{State: engine.State(in.State), Queue: in.Queue, Owner: in.Owner, Group: in.Video, Before: in.Before, Limit: in.Limit + 1})
	if err != nil {
		return nil, err
	}
	page := JobPage{Items: make([]Job, 0, len(found))}
	for i, j := range found {
		if i == in.Limit {
			page.Next = page.Items[i-1].ID
			break
		}
		page.Items = append(page.Items, s.viewJob(j))
	}
	return &jobsOutput{Body: page}, nil
}

func (s *service) job(ctx context.Context, in *jobInput) (*jobOutput, error) {
	j, err := s.Jobs.Job(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	detail := JobDetail{Job: s.viewJob(j), Errors: make([]JobError, 0, len(j.Errors)), Attempts: []Attempt{}}
	for _, e := range j.Errors {
		detail.Errors = append(detail.Errors, JobError{Attempt: e.Attempt, Time: Time(e.At), Error: e.Message})
	}
	if ref, ok := s.StepOf(j.Job); ok {
		tries, err := s.Redriver.JobAttempts(ctx, ref, j.ID)
		if err != nil {
			return nil, err
		}
		detail.Attempts = attempts(tries)
	}
	return &jobOutput{Body: detail}, nil
}

func (s *service) redriveJob(ctx context.Context, in *jobInput) (*jobsOutput, error) {
	j, err := s.Jobs.Job(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ref, ok := s.StepOf(j.Job)
	if !ok || j.State != engine.Dead && j.State != engine.Canceled {
		if j, err = s.Jobs.Retry(ctx, in.ID); err != nil {
			return nil, err
		}
		return &jobsOutput{Body: JobPage{Items: []Job{s.viewJob(j)}}}, nil
	}
	if _, err := s.Redriver.Redrive(ctx, ref.Video, &ref, s.StepJobs); err != nil {
		return nil, err
	}
	return s.jobs(ctx, &jobsInput{Video: string(ref.Video), Limit: 200})
}

func (s *service) cancelJob(ctx context.Context, in *jobInput) (*jobOutput, error) {
	j, err := s.Jobs.Job(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	ref, ok := s.StepOf(j.Job)
	switch {
	case !ok:
		return nil, fault.New(fault.Conflict, "api.job", codeUncancelable, "This job removes what nobody needs any more, and can't be canceled; pause its queue to hold it up.", nil)
	case j.State == engine.Completed, j.State == engine.Canceled, j.State == engine.Dead:
		return nil, fault.New(fault.Conflict, "api.job", "job_done", "The job is over; there is nothing to cancel.", nil)
	}
	if err := s.Redriver.CancelStep(ctx, ref, s.Abandon(ref)); err != nil {
		return nil, err
	}
	return s.job(ctx, in)
}

func (s *service) redriveVideo(ctx context.Context, in *redriveInput) (*videoOutput, error) {
	v, err := s.changeable(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var only *video.StepRef
	if in.Body != nil && in.Body.Step != "" {
		only = &video.StepRef{Video: v.ID, Generation: v.Newest, Name: video.StepName(in.Body.Step), N: in.Body.N}
	}
	if v, err = s.Redriver.Redrive(ctx, v.ID, only, s.StepJobs); err != nil {
		return nil, err
	}
	return &videoOutput{Body: s.whole(ctx, v)}, nil
}

// viewJob tells a job as JSON.
func (s *service) viewJob(j engine.Status) Job {
	out := Job{ID: j.ID, Kind: j.Kind, State: string(j.State), Queue: j.Queue, Priority: j.Priority, Owner: j.Owner, Video: j.Group,
		Attempt: j.Attempt, MaxAttempts: j.Attempts, Worker: j.Worker, Args: j.Args,
		Created: Time(j.Created), Due: Time(j.Due), Started: Time(j.Started), Finished: Time(j.Finished)}
	if ref, ok := s.StepOf(j.Job); ok {
		out.Step = &JobStep{Generation: ref.Generation, Name: string(ref.Name), N: ref.N}
	}
	if n := len(j.Errors); n > 0 {
		out.Error = j.Errors[n-1].Message
	}
	return out
}

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"sluice/client"
)

// Jobs are the commands that show the work and try it again.
type Jobs struct {
	List    ListJobs   `cmd:"" help:"List jobs, newest first."`
	Show    ShowJob    `cmd:"" help:"Show one job with its errors, its attempts and the end of the tool's output."`
	Redrive RedriveJob `cmd:"" help:"Try a job, or a video, again that failed: what was finished stays."`
	Cancel  CancelJob  `cmd:"" help:"Cancel the encode that a job belongs to."`
}

// Operate is what the operators' commands share. Results go to stdout.
type Operate struct {
	ServerFlags `embed:""`
	JSON        bool `help:"Print JSON, as the API answers: one object a line."`
}

// do connects and calls f; what the server refuses is a wrong use.
func (o Operate) do(command string, f func(ctx context.Context, c *client.Client, out io.Writer) error) error {
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	if err := o.ask(command, func(ctx context.Context, c *client.Client) error { return f(ctx, c, table) }); err != nil {
		return err
	}
	return table.Flush()
}

// ListJobs lists jobs.
type ListJobs struct {
	Operate `embed:""`
	State   string `help:"Only jobs in this state: ${enum}." enum:",available,scheduled,running,completed,canceled,dead" default:""`
	Queue   string `help:"Only jobs of this queue." placeholder:"QUEUE"`
	Owner   string `help:"Only jobs of this owner." placeholder:"OWNER"`
	Video   string `help:"Only jobs of this video." placeholder:"ID"`
	Limit   int    `help:"Most jobs to list." default:"50"`
}

// Run lists.
func (l *ListJobs) Run() error {
	return l.do("jobs", func(ctx context.Context, c *client.Client, out io.Writer) error {
		n := 0
		for j, err := range c.Jobs(ctx, client.JobQuery{State: l.State, Queue: l.Queue, Owner: l.Owner, Video: l.Video}) {
			if err != nil || n == l.Limit {
				return err
			}
			if err := l.print(out, n, j); err != nil {
				return err
			}
			n++
		}
		return nil
	})
}

// print prints job n of a list.
func (o Operate) print(out io.Writer, n int, j client.Job) error {
	if o.JSON {
		return json.NewEncoder(out).Encode(j)
	}
	if n == 0 {
		fmt.Fprintln(out, "ID\tSTATE\tQUEUE\tWHAT\tTRY\tOWNER\tVIDEO\tDUE\tERROR")
	}
	_, err := fmt.Fprintf(out, "%d\t%s\t%s\t%s\t%d/%d\t%s\t%s\t%s\t%s\n", j.ID, j.State, j.Queue, j.What(), j.Attempt, j.MaxAttempts, plain(j.Owner), j.Video,
		j.Due.Local().Format(time.DateTime), plain(j.Error))
	return err
}

// ShowJob shows one job.
type ShowJob struct {
	Operate `embed:""`
	ID      int64 `arg:"" name:"JOB" help:"The job's id."`
}

// Run shows.
func (s *ShowJob) Run() error {
	return s.do("jobs", func(ctx context.Context, c *client.Client, out io.Writer) error {
		j, err := c.Job(ctx, s.ID)
		if err != nil {
			return err
		}
		if err := s.print(out, 0, j); err != nil || s.JSON {
			return err
		}
		for i, a := range j.Attempts {
			ended := "lost: its process ended or fell silent, and another attempt follows"
			if j.State == "running" && i == len(j.Attempts)-1 {
				ended = "running"
			}
			if a.Error != nil {
				ended = a.Error.Message + " (" + a.Error.Code + ")"
			} else if !a.Finished.IsZero() {
				ended = "done"
			}
			fmt.Fprintf(out, "\nattempt %d on %s, %s: %s\n", a.Number, plain(a.Worker), a.Started.Local().Format(time.DateTime), plain(ended))
			for line := range strings.Lines(a.Detail) {
				fmt.Fprintf(out, "    %s\n", plain(strings.TrimRight(line, "\r\n")))
			}
		}
		for _, e := range j.Errors {
			fmt.Fprintf(out, "\ntry %d, %s: %s\n", e.Attempt, e.Time.Local().Format(time.DateTime), plain(e.Error))
		}
		return nil
	})
}

// RedriveJob tries a job or a video again.
type RedriveJob struct {
	Operate `embed:""`
	What    string `arg:"" name:"JOB|VIDEO" help:"Id of a job, or of a video."`
	Step    string `help:"The step of the video that must have failed, such as audio or encode/3." placeholder:"STEP"`
}

// Run redrives.
func (r *RedriveJob) Run() error {
	name, text, numbered := strings.Cut(r.Step, "/")
	n, err := strconv.Atoi(text)
	if numbered && err != nil {
		return exitError{exitUsage, fmt.Errorf("jobs: step is %q; write a step such as audio or encode/3", r.Step)}
	}
	id, err := strconv.ParseInt(r.What, 10, 64)
	job := err == nil && len(r.What) < 20 // a video's id has 26 letters and digits
	if job && r.Step != "" {
		return exitError{exitUsage, fmt.Errorf("jobs: --step goes with a video's id")}
	}
	return r.do("jobs", func(ctx context.Context, c *client.Client, out io.Writer) error {
		var due []client.Job
		if job {
			due, err = c.RedriveJob(ctx, id)
		} else {
			due, err = c.RedriveVideo(ctx, r.What, name, n)
		}
		for i := 0; i < len(due) && err == nil; i++ {
			err = r.print(out, i, due[i])
		}
		return err
	})
}

// CancelJob cancels.
type CancelJob struct {
	Operate `embed:""`
	ID      int64 `arg:"" name:"JOB" help:"The job's id."`
}

// Run cancels.
func (k *CancelJob) Run() error {
	return k.do("jobs", func(ctx context.Context, c *client.Client, out io.Writer) error {
		j, err := c.CancelJob(ctx, k.ID)
		if err != nil {
			return err
		}
		return k.print(out, 0, j)
	})
}

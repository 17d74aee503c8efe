package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"text/tabwriter"
	"time"

	"sluice/client"
	"sluice/internal/text"
)

// Errors is the command that shows what went wrong. Results go to stdout, all else to stderr.
type Errors struct {
	ServerFlags `embed:""`
	JSON        bool   `help:"Print one JSON object an error (or group), each on its own line, as the API answers."`
	Summary     bool   `help:"Count by code and step instead of listing."`
	Video       string `help:"Only errors of this video, which may be deleted." placeholder:"ID"`
	Step        string `help:"Only errors at this step: ingest, encode, audio, stills or publish." placeholder:"STEP"`
	Code        string `help:"Only errors with this code." placeholder:"CODE"`
	Since       string `help:"Only errors from then on: a time span such as 24h, or a moment such as 2026-03-09T14:00:00Z." placeholder:"WHEN"`
	Limit       int    `help:"Most errors to list." default:"50"`

	screen io.Writer // where all else than results goes
}

// Run lists or counts.
func (e *Errors) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	e.screen = os.Stderr
	return e.show(ctx, os.Stdout, time.Now())
}

func (e *Errors) show(ctx context.Context, out io.Writer, now time.Time) error {
	since, err := moment(e.Since, now)
	if err == nil && e.Summary && e.Video+e.Step+e.Code != "" {
		err = fmt.Errorf("errors: --summary counts all errors; leave --video, --step and --code away")
	}
	if err != nil {
		return exitError{exitUsage, err}
	}
	c, _, err := e.connect("errors")
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if e.Summary {
		err = e.count(ctx, c, table, out, since)
	} else {
		err = e.list(ctx, c, table, out, since)
	}
	if err != nil {
		return refusedBy(ctx, "errors", err)
	}
	return table.Flush()
}

// list prints errors, newest first.
func (e *Errors) list(ctx context.Context, c *client.Client, table, out io.Writer, since time.Time) (err error) {
	n := 0
	defer func() {
		if err == nil && n == 0 {
			e.none(since)
		}
	}()
	for raw, err := range c.ErrorsJSON(ctx, client.ErrorQuery{Video: e.Video, Step: e.Step, Code: e.Code, Since: since}) {
		if err != nil || n == e.Limit {
			return err
		}
		if n++; e.JSON {
			fmt.Fprintf(out, "%s\n", raw)
			continue
		}
		var it client.StepError
		if err := json.Unmarshal(raw, &it); err != nil {
			return err
		}
		if n == 1 {
			fmt.Fprintln(table, "TIME\tVIDEO\tSTEP\tATTEMPT\tCODE\tNAME\tMESSAGE")
		}
		step, attempt := it.Step, fmt.Sprint(it.Attempt)
		if it.Step == "encode" {
			step += fmt.Sprintf(" %d", it.N)
		}
		if it.Final {
			attempt += ", last"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", it.Time.Local().Format(time.DateTime), it.Video, step, attempt, it.Code, plain(it.Name), plain(it.Message))
	}
	return nil
}

// count prints groups, the most frequent first.
func (e *Errors) count(ctx context.Context, c *client.Client, table, out io.Writer, since time.Time) error {
	groups, err := c.ErrorGroups(ctx, since)
	if err != nil {
		return err
	}
	if len(groups) == 0 {
		e.none(since)
	}
	for i, g := range groups {
		if e.JSON {
			if err := json.NewEncoder(out).Encode(g); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(table, "COUNT\tVIDEOS\tCODE\tSTEP\tLAST\tMESSAGE")
		}
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%s\t%s\n", g.Count, g.Videos, g.Code, g.Step, g.Last.Local().Format(time.DateTime), plain(g.Message))
	}
	return nil
}

// none says on stderr that there is nothing to print, so that an empty answer and a command that did nothing look
// different.
func (e *Errors) none(since time.Time) {
	what := "There are no errors"
	if e.Video+e.Step+e.Code != "" {
		what = "No error matches"
	}
	if !since.IsZero() {
		what += " since " + since.Local().Format(time.DateTime)
	}
	fmt.Fprintln(e.screen, what+".")
}

// moment reads a time span before now, or a moment; nothing is the zero time.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("since is %q; use a time span such as 24h, or a moment such as 2026-03-09T14:00:00Z", text)
	}
	return t, nil
}

// plain takes out of a name what would move a terminal's cursor or break a line.
func plain(s string) string { return text.Line(s) }

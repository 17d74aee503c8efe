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

	"sluice/internal/engine"
	"sluice/internal/pipeline"
	"sluice/internal/sweep"
	"sluice/internal/video"
)

// openSweeper makes what sweeps.
func (a *App) openSweeper() *sweep.Sweeper {
	return sweep.New(sweep.Config{
		Store: stageSweep(a.store), Objects: stageLeftovers(a.objects), Uploads: a.settings.S3.UploadsBucket, Media: a.settings.S3.MediaBucket, After: a.settings.Sweep.After, RetireAfter: a.settings.RetireAfter,
		History: stageHistory(a.store), ForgetAfter: a.settings.Sweep.ForgetAfter,
		Pins: a.uploads.StrayPins, Scratch: a.scratch(),
		InUse: func(dir string) bool { return a.inUse != nil && a.inUse(dir) },
		Now:   now, Logger: a.log,
		Retire: func(id video.ID, generation int) engine.Job { return pipeline.RetireJob(id, generation, now()) },
		Delete: func(id video.ID, prefix string) []engine.Job {
			return pipeline.DeleteJobs(id, prefix, time.Time{}, now().Add(deleteAgain))
		},
	})
}

// SweepUp is the command that shows and removes leftovers. Results go to stdout, all else to stderr.
type SweepUp struct {
	ServerFlags `embed:""`
	Delete      bool `help:"Remove what is found. Without it, it is only shown."`
	JSON        bool `help:"Print the answer of the API as it is."`
}

// Run sweeps.
func (s *SweepUp) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return s.sweep(ctx, os.Stdout)
}

func (s *SweepUp) sweep(ctx context.Context, out io.Writer) error {
	c, _, err := s.connect("sweep")
	if err != nil {
		return err
	}
	swept, err := c.Sweep(ctx, s.Delete)
	if err != nil {
		return refusedBy(ctx, "sweep", err)
	}
	if s.JSON {
		return json.NewEncoder(out).Encode(swept)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, l := range swept.Items {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.Kind, l.Since.Format(time.RFC3339), Size(l.Bytes), plain(l.Name))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	said := "left over; remove it with --delete"
	if s.Delete {
		said = "removed"
	}
	_, err = fmt.Fprintf(out, "%d things, %d bytes: %s\n", swept.Count, swept.Bytes, said)
	return err
}

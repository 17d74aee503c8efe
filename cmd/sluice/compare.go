package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"sluice/client"
)

// Compare is the command that shows when the storage is compared with the records, and has it done. Results go to
// stdout, all else to stderr.
type Compare struct {
	ServerFlags `embed:""`
	Now         bool `help:"Compare now. The command does not wait for the end."`
	JSON        bool `help:"Print the answer of the API as it is."`
}

// Run asks the server.
func (c *Compare) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return c.compare(ctx, os.Stdout)
}

func (c *Compare) compare(ctx context.Context, out io.Writer) error {
	server, _, err := c.connect("reconcile")
	if err != nil {
		return err
	}
	ask := server.Reconciliation
	if c.Now {
		ask = server.Reconcile
	}
	state, err := ask(ctx)
	if err != nil {
		return refusedBy(ctx, "reconcile", err)
	}
	if c.JSON {
		return json.NewEncoder(out).Encode(state)
	}
	_, err = fmt.Fprintln(out, compared(state))
	return err
}

// compared says in a sentence when the comparison is due.
func compared(r client.Reconciliation) string {
	every := time.Duration(r.Every * float64(time.Second))
	left := time.Until(r.Next).Round(time.Second)
	switch {
	case r.Running:
		return fmt.Sprintf("A comparison is running; the next one follows %s after its end.", every)
	case r.Next.IsZero() || left <= 0:
		return fmt.Sprintf("A comparison is due now; the next one follows %s after its end.", every)
	}
	return fmt.Sprintf("The next comparison begins in %s, at %s; then every %s.", left, r.Next.Local().Format(time.DateTime), every)
}

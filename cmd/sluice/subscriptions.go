package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"sluice/client"
)

// Subscriptions is the commands about who is told of failures by mail.
type Subscriptions struct {
	List   ListSubscriptions  `cmd:"" help:"List who is told, and of what."`
	Add    AddSubscription    `cmd:"" help:"Tell an address when videos fail and when they are ready again."`
	Remove RemoveSubscription `cmd:"" help:"Tell an address no more."`
	Outbox ShowOutbox         `cmd:"" help:"Show what is told to whom, newest first, and what became of it."`
}

// ListSubscriptions lists them.
type ListSubscriptions struct {
	ServerFlags `embed:""`
	JSON        bool `help:"Print one JSON object a subscription, each on its own line."`
}

// AddSubscription makes one.
type AddSubscription struct {
	ServerFlags `embed:""`
	Events      []string `help:"What to tell: video.failed, video.recovered. Default: both." placeholder:"EVENT"`
	Address     string   `arg:"" name:"ADDRESS" help:"Mail address."`
}

// RemoveSubscription ends one.
type RemoveSubscription struct {
	ServerFlags `embed:""`
	Address     string `arg:"" name:"ADDRESS" help:"Mail address."`
}

// ShowOutbox lists notices.
type ShowOutbox struct {
	ServerFlags `embed:""`
	State       string `help:"Only notices in this state: ${enum}." enum:",waiting,sending,sent,refused,dead" default:"" placeholder:"STATE"`
	Limit       int    `help:"Largest number of notices to show." default:"50"`
	JSON        bool   `help:"Print one JSON object a notice, each on its own line."`
}

const subscriptionsCommand = "subscriptions"

// ask runs f against the server that r names.
func (r ServerFlags) ask(command string, f func(context.Context, *client.Client) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	c, _, err := r.connect(command)
	if err != nil {
		return err
	}
	if err := f(ctx, c); err != nil {
		return refusedBy(ctx, command, err)
	}
	return nil
}

// Run lists.
func (l *ListSubscriptions) Run() error {
	return l.ask(subscriptionsCommand, func(ctx context.Context, c *client.Client) error {
		all, err := c.Subscriptions(ctx)
		if err != nil {
			return err
		}
		return l.print(os.Stdout, all)
	})
}

func (l *ListSubscriptions) print(out io.Writer, all []client.Subscription) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for i, s := range all {
		if l.JSON {
			if err := json.NewEncoder(out).Encode(s); err != nil {
				return err
			}
			continue
		}
		if i == 0 {
			fmt.Fprintln(table, "ADDRESS\tEVENTS\tWAITING\tSTATE")
		}
		state := "active"
		if s.Suspended {
			state = "suspended: the mail server refuses it; add it again to go on"
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\n", s.Address, strings.Join(s.Events, ","), s.Waiting, state)
	}
	return table.Flush()
}

// Run subscribes.
func (a *AddSubscription) Run() error {
	return a.ask(subscriptionsCommand, func(ctx context.Context, c *client.Client) error {
		s, err := c.Subscribe(ctx, a.Address, a.Events...)
		if err == nil {
			fmt.Printf("%s is told of %s\n", s.Address, strings.Join(s.Events, " and "))
		}
		return err
	})
}

// Run unsubscribes.
func (r *RemoveSubscription) Run() error {
	return r.ask(subscriptionsCommand, func(ctx context.Context, c *client.Client) error {
		all, err := c.Subscriptions(ctx)
		if err != nil {
			return err
		}
		for _, s := range all {
			if strings.EqualFold(s.Address, r.Address) {
				return c.Unsubscribe(ctx, s.ID)
			}
		}
		return fmt.Errorf("%s is not subscribed", r.Address)
	})
}

// Run lists.
func (s *ShowOutbox) Run() error {
	return s.ask(subscriptionsCommand, func(ctx context.Context, c *client.Client) error { return s.show(ctx, c, os.Stdout) })
}

func (s *ShowOutbox) show(ctx context.Context, c *client.Client, out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	shown := 0
	for n, err := range c.Outbox(ctx, s.State) {
		if err != nil {
			return err
		}
		if shown == s.Limit {
			break
		}
		if s.JSON {
			if err := json.NewEncoder(out).Encode(n); err != nil {
				return err
			}
		} else {
			if shown == 0 {
				fmt.Fprintln(table, "TIME\tADDRESS\tEVENT\tVIDEO\tSTATE\tTROUBLE")
			}
			trouble := "-"
			if n.Trouble != nil {
				trouble = n.Trouble.Code
			}
			fmt.Fprintf(table, "%s\t%s\t%s\t%s %s\t%s\t%s\n", n.Time.Format(time.RFC3339), n.Address, n.Event, n.Video, plain(n.Name), n.State, trouble)
		}
		shown++
	}
	return table.Flush()
}

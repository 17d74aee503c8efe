package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"sluice/client"
)

// Queues are the commands that hold work up and limit it.
type Queues struct {
	List   ListQueues  `cmd:"" help:"List the queues: what waits, runs and failed, and how much may run where."`
	Pause  PauseQueue  `cmd:"" help:"Begin nothing more of a queue, on any machine; what runs goes on."`
	Resume ResumeQueue `cmd:"" help:"Begin jobs of a queue again."`
	Limit  LimitQueue  `cmd:"" help:"Limit how many jobs of a queue run side by side in each process."`
}

// ListQueues lists queues.
type ListQueues struct {
	Operate `embed:""`
}

// Run lists.
func (l *ListQueues) Run() error {
	return l.do("queues", func(ctx context.Context, c *client.Client, out io.Writer) error {
		all, err := c.Queues(ctx)
		for i := 0; i < len(all) && err == nil; i++ {
			err = l.printQueue(out, i, all[i])
		}
		return err
	})
}

// printQueue prints queue n of a list.
func (o Operate) printQueue(out io.Writer, n int, q client.Queue) error {
	if o.JSON {
		return json.NewEncoder(out).Encode(q)
	}
	if n == 0 {
		fmt.Fprintln(out, "QUEUE\tSTATE\tWAIT\tLATER\tRUN\tLOST\tDEAD\tLIMIT\tPROCESSES (RUNNING/SLOTS)")
	}
	state, limit := "open", "-"
	if q.Paused {
		state = "paused"
	}
	if q.Workers != nil {
		limit = fmt.Sprint(*q.Workers)
	}
	var processes []string
	for _, m := range q.Machines {
		processes = append(processes, describeMachine(m)...)
	}
	_, err := fmt.Fprintf(out, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", q.Name, state, q.Available, q.Scheduled, q.Running, q.Lost, q.Dead, limit, strings.Join(processes, "; "))
	return err
}

// describeMachine is one text for each process of a machine, as "media-1 pid 4711 (worker) 2/2".
func describeMachine(m client.Machine) []string {
	if len(m.Processes) == 0 { // listed for its limit alone
		return []string{fmt.Sprintf("%s down, limit %d", plain(m.Name), m.Workers)}
	}
	var all []string
	for _, p := range m.Processes {
		text := fmt.Sprintf("%s pid %d (%s) ", plain(m.Name), p.PID, plain(p.Roles))
		if p.Up {
			text += fmt.Sprintf("%d/%d", p.Running, m.Workers)
		} else {
			text += "down since " + p.Seen.Local().Format(time.DateTime)
		}
		if lost := p.Lost + map[bool]int{false: p.Running}[p.Up]; lost > 0 {
			text += fmt.Sprintf(", %d attempts lost", lost)
		}
		all = append(all, text)
	}
	return all
}

// PauseQueue pauses.
type PauseQueue struct {
	Operate `embed:""`
	Queue   string `arg:"" name:"QUEUE" help:"The queue's name."`
}

// Run pauses.
func (p *PauseQueue) Run() error {
	return p.edit(p.Queue, client.QueueEdit{Paused: new(true)})
}

// ResumeQueue resumes.
type ResumeQueue struct {
	Operate `embed:""`
	Queue   string `arg:"" name:"QUEUE" help:"The queue's name."`
}

// Run resumes.
func (r *ResumeQueue) Run() error {
	return r.edit(r.Queue, client.QueueEdit{Paused: new(false)})
}

// LimitQueue limits.
type LimitQueue struct {
	Operate `embed:""`
	Queue   string `arg:"" name:"QUEUE" help:"The queue's name."`
	Workers int    `arg:"" name:"WORKERS" optional:"" default:"-1" help:"Jobs side by side in each process, 0 to 128; leave it away to go back to the configuration."`
	Machine string `help:"Only on this machine, by its host name." placeholder:"MACHINE"`
}

// Run limits.
func (l *LimitQueue) Run() error {
	edit := client.QueueEdit{Machine: l.Machine, Unlimited: l.Workers < 0}
	if l.Workers >= 0 {
		edit.Workers = &l.Workers
	}
	return l.edit(l.Queue, edit)
}

func (o Operate) edit(name string, e client.QueueEdit) error {
	return o.do("queues", func(ctx context.Context, c *client.Client, out io.Writer) error {
		q, err := c.EditQueue(ctx, name, e)
		if err != nil {
			return err
		}
		return o.printQueue(out, 0, q)
	})
}

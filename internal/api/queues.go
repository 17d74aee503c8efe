package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/engine"
)

// Queue is a kind of work that shares a limit.
type Queue struct {
	Name      string    `json:"name" example:"encode" doc:"ingest; encode: chunks; still: audio and stills; control: publishing and removals"`
	Paused    bool      `json:"paused" example:"false" doc:"Whether nothing is begun; what runs goes on"`
	Since     Time      `json:"paused_since,omitzero" doc:"When it was paused; absent where it is not"`
	Available int       `json:"available" example:"120" doc:"Jobs that are due and wait for a slot"`
	Scheduled int       `json:"scheduled" example:"3" doc:"Jobs that are due later: told so, or after a failure"`
	Running   int       `json:"running" example:"8" doc:"Jobs that run in processes that are up, on all machines"`
	Lost      int       `json:"lost" example:"0" doc:"Jobs whose process is silent; another process takes them over"`
	Dead      int       `json:"dead" example:"1" doc:"Jobs that failed for good"`
	Workers   *int      `json:"workers,omitempty" example:"2" doc:"Limit of every machine without one of its own; absent where each does what its configuration says"`
	Machines  []Machine `json:"machines" doc:"Who works on it, and who has a limit of its own"`
}

// Machine is what one machine does of a queue.
type Machine struct {
	Name    string `json:"name" example:"media-1" doc:"The machine's name"`
	Up      bool   `json:"up" example:"true" doc:"Whether a process of it works on the queue now"`
	Workers int    `json:"workers" example:"2" doc:"Jobs side by side in each of its processes, as now in force"`
	Limit   *int   `json:"limit,omitempty" example:"2" doc:"Its own limit; absent where it has none"`
	Running int    `json:"running" example:"2" doc:"Jobs that run there, in all of its processes that are up"`

	Processes []Process `json:"processes" doc:"Its processes that work on the queue, and those that were lost with jobs of it within seven days"`
}

// Process is one process of a machine.
type Process struct {
	ID      string `json:"id" example:"media-1-q4ovp3wezxtb" doc:"As attempts name it"`
	PID     int    `json:"pid" example:"4711" doc:"Its process id on the machine; 0 where that is not known"`
	Roles   string `json:"roles" example:"worker" doc:"Its roles, separated by commas"`
	Up      bool   `json:"up" example:"true" doc:"Whether it was heard within five seconds"`
	Seen    Time   `json:"last_seen" doc:"When it was last heard, by the database's clock"`
	Running int    `json:"running" example:"2" doc:"Jobs under way in it; where it is not up, jobs that another process takes over"`
	Lost    int    `json:"lost_attempts" example:"0" doc:"Attempts that other processes took over because it was silent"`
}

// QueueEdit changes a queue while it works. What is absent stays as it is.
type QueueEdit struct {
	Paused  *bool        `json:"paused,omitempty" example:"true" doc:"true begins nothing more, on any machine; what runs goes on"`
	Workers change[*int] `json:"workers,omitempty" minimum:"0" maximum:"128" example:"4" doc:"Jobs side by side in each process, from within a second on; 0 begins nothing; null goes back to the configuration"`
	Machine string       `json:"machine,omitempty" maxLength:"60" pattern:"^[^\\x00-\\x1f\\x7f]*$" patternDescription:"free of control characters" example:"media-1" doc:"Whose limit workers is. Absent: every machine without one of its own"`
}

type queueInput struct {
	Name string `path:"name" example:"encode" doc:"The queue's name"`
	Body QueueEdit
}

type queuesOutput struct {
	Body struct {
		Items []Queue `json:"items" doc:"By name"`
	}
}

type queueOutput struct {
	Body Queue
}

func (s *service) routeQueues() {
	tags := []string{"queues"}
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "listQueues", Method: http.MethodGet, Path: "/v1/queues", Tags: tags,
		Summary: "List the queues: how much waits, runs and failed, and how much may run where"}, nil, s.queues)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "editQueue", Method: http.MethodPatch, Path: "/v1/queues/{name}", Tags: tags,
		Summary:      "Pause or resume a queue, or limit how much of it runs side by side",
		Description:  "Takes hold within about a second, on every machine, and outlives restarts. A lower limit stops nothing that runs: it ends first.",
		MaxBodyBytes: smallBody}, problems{http.StatusNotFound: {"no_queue"}, http.StatusUnprocessableEntity: {"bad_limit"}}, s.editQueue)
}

func (s *service) queues(ctx context.Context, _ *struct{}) (*queuesOutput, error) {
	found, err := s.Queues.Queues(ctx)
	if err != nil {
		return nil, err
	}
	out := &queuesOutput{}
	out.Body.Items = make([]Queue, 0, len(found))
	for _, q := range found {
		out.Body.Items = append(out.Body.Items, viewQueue(q))
	}
	return out, nil
}

func (s *service) editQueue(ctx context.Context, in *queueInput) (*queueOutput, error) {
	if err := plainText("body.machine", in.Body.Machine); err != nil {
		return nil, err
	}
	change := engine.QueueChange{Paused: in.Body.Paused, Machine: in.Body.Machine, Workers: in.Body.Workers.pointer()}
	q, err := s.Queues.SetQueue(ctx, in.Name, change)
	if err != nil {
		return nil, err
	}
	return &queueOutput{Body: viewQueue(q)}, nil
}

// viewQueue tells a queue as JSON.
func viewQueue(q engine.QueueState) Queue {
	out := Queue{Name: q.Name, Paused: !q.Paused.IsZero(), Since: Time(q.Paused), Available: q.Available, Scheduled: q.Scheduled, Running: q.Running, Lost: q.Lost, Dead: q.Dead,
		Workers: q.Default, Machines: make([]Machine, 0, len(q.Machines))}
	for _, m := range q.Machines {
		machine := Machine{Name: m.Name, Up: m.Up, Workers: m.Workers, Limit: m.Limit, Running: m.Running, Processes: make([]Process, 0, len(m.Processes))}
		for _, p := range m.Processes {
			machine.Processes = append(machine.Processes, Process{ID: p.ID, PID: p.PID, Roles: p.Roles, Up: p.Up, Seen: Time(p.Seen), Running: p.Running, Lost: p.Lost})
		}
		out.Machines = append(out.Machines, machine)
	}
	return out
}

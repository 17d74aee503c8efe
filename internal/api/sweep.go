package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/sweep"
)

// Sweeper finds and removes what nobody needs any more.
type Sweeper interface {
	// Sweep returns what is left over, and removes it where told to.
	Sweep(ctx context.Context, remove bool) ([]sweep.Item, error)
}

// SweepRequest says what to do with leftovers.
type SweepRequest struct {
	Delete bool `json:"delete,omitempty" example:"false" doc:"Remove what is found; else it is only told"`
}

// Swept is what was left over.
type Swept struct {
	Deleted bool     `json:"deleted" example:"false" doc:"Whether it was removed; outputs of a generation that is over go some seconds later"`
	Count   int      `json:"count" example:"1" doc:"How many things were left over"`
	Bytes   int64    `json:"bytes" example:"1048576" doc:"Their size, as far as it is known"`
	Items   []Orphan `json:"items" doc:"The first 1000 of them"`
}

// Orphan is one thing that nobody needs.
type Orphan struct {
	Kind  string `json:"kind" enum:"upload,multipart,pin,generation,scratch,record" example:"multipart" doc:"upload: a grant that was never used, and its video; multipart: an upload in parts that nobody goes on with; pin: the kept source of no video; generation: outputs of a generation or video that is over; scratch: files of a step that is over; record: failed attempts and notices older than the setting sweep.forget_after"`
	Name  string `json:"name" example:"uploads/films/one.mp4" doc:"The video's id, a key, a folder of keys, a name in the scratch folder, or how many records"`
	Bytes int64  `json:"bytes" example:"1048576" doc:"Its size; 0 where that isn't known"`
	Since Time   `json:"since" doc:"Its last change"`
}

type sweepInput struct {
	Body SweepRequest
}

type sweepOutput struct {
	Body Swept
}

// mostItems is how many leftovers one answer names.
const mostItems = 1000

func (s *service) routeSweep() {
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "sweep", Method: http.MethodPost, Path: "/v1/sweep", Tags: []string{"storage"},
		Summary: "Find, and remove, what nobody needs any more",
		Description: "Looks for abandoned uploads, sources and outputs of no video, and scratch, all left alone for the time of the setting sweep.after. " +
			"Nothing is removed unless delete is true. The server does this daily by itself. With many videos it takes minutes.",
		MaxBodyBytes: smallBody}, problems{}, s.sweep)
}

func (s *service) sweep(ctx context.Context, in *sweepInput) (*sweepOutput, error) {
	found, err := s.Sweeper.Sweep(ctx, in.Body.Delete)
	if err != nil {
		return nil, err
	}
	out := Swept{Deleted: in.Body.Delete, Count: len(found), Items: []Orphan{}}
	for i, f := range found {
		out.Bytes += f.Bytes
		if i < mostItems {
			out.Items = append(out.Items, Orphan{Kind: string(f.Kind), Name: f.Name, Bytes: f.Bytes, Since: Time(f.Since)})
		}
	}
	return &sweepOutput{Body: out}, nil
}

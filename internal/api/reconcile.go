package api

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/video"
)

// Reconciliation is when the storage and the records are compared.
type Reconciliation struct {
	Every   float64 `json:"every_seconds" example:"300" doc:"Seconds from the end of one comparison to the next (setting reconcile.every)"`
	Next    Time    `json:"next,omitzero" doc:"When the next one is due; not after now while one is due or runs. Absent before the first"`
	Running bool    `json:"running" example:"false" doc:"Whether a process is at it"`
}

// Waiting is what a video waits for.
type Waiting struct {
	For      string `json:"for" enum:"source,worker" example:"source" doc:"source: its file was not uploaded, or the server has not found it yet; worker: a free worker"`
	NextLook Time   `json:"next_look,omitzero" doc:"When the server looks for the file by itself; POST /v1/uploads/{id}/complete has it look now. Absent on the embedded storage, where the PUT records the file, and where a worker is waited for"`
}

type reconcileOutput struct {
	Body Reconciliation
}

func (s *service) routeReconcile() {
	tags := []string{"storage"}
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "getReconciliation", Method: http.MethodGet, Path: "/v1/reconcile", Tags: tags,
		Summary:     "Show when the storage is next compared with the records",
		Description: "The comparison finds objects in the uploads bucket that no event and no client reported, and ready videos whose objects are gone. One process of all does it."},
		nil, s.reconciliation)
	route(s, needs(account.JobsAdmin), huma.Operation{OperationID: "reconcile", Method: http.MethodPost, Path: "/v1/reconcile", Tags: tags,
		Summary: "Compare the storage with the records now",
		Description: "Makes the next comparison due: the process that answers begins it at once, and one that runs already is followed by another within 23 seconds. " +
			"Answers without waiting for it.",
		DefaultStatus: http.StatusAccepted}, nil, s.reconcile)
}

func (s *service) reconciliation(ctx context.Context, _ *struct{}) (*reconcileOutput, error) {
	state, err := s.Reconciler.Reconciliation(ctx)
	if err != nil {
		return nil, err
	}
	return &reconcileOutput{Body: Reconciliation{Every: s.ReconcileEvery.Seconds(), Next: Time(state.Due), Running: state.Running}}, nil
}

func (s *service) reconcile(ctx context.Context, _ *struct{}) (*reconcileOutput, error) {
	if err := s.Reconciler.Reconcile(ctx); err != nil {
		return nil, err
	}
	return s.reconciliation(ctx, nil)
}

// looker says what videos wait for. It reads when the reconciler is due once at most, however many videos are shown.
func (s *service) looker(ctx context.Context) func(video.Video) *Waiting {
	due := sync.OnceValue(func() time.Time {
		state, err := s.Reconciler.Reconciliation(ctx)
		if err != nil { // the videos can be shown without it
			return time.Time{}
		}
		return earliest(s.Now(), state)
	})
	return func(v video.Video) *Waiting {
		switch {
		case v.Status != video.Waiting:
			return nil
		case v.Source != nil:
			return &Waiting{For: "worker"}
		case !s.Looks:
			return &Waiting{For: "source"}
		}
		next := due()
		if now := s.Now(); v.NextLook.After(now) && (next.IsZero() || v.NextLook.Before(next)) {
			next = v.NextLook
		}
		return &Waiting{For: "source", NextLook: Time(next)}
	}
}

// earliest is when a duty is next done: not before now. Zero where that isn't known.
func earliest(now time.Time, state engine.DutyState) time.Time {
	if state.Due.IsZero() || state.Due.After(now) {
		return state.Due
	}
	return now
}

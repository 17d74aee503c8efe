package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/engine"
)

// Reconciliation is when the storage and the records are compared.
type Reconciliation struct {
	Every   float64 `json:"every_seconds" example:"300" doc:"Seconds from the end of one comparison to the next (setting reconcile.every)"`
	Next    Time    `json:"next,omitzero" doc:"When the next one is due; not after now while one is due or runs. Absent before the first"`
	Running bool    `json:"running" example:"false" doc:"Whether a process is at it"`
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

// earliest is when a duty is next done: not before now. Zero where that isn't known.
func earliest(now time.Time, state engine.DutyState) time.Time {
	if state.Due.IsZero() || state.Due.After(now) {
		return state.Due
	}
	return now
}

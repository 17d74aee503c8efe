package client

import (
	"context"
	"net/http"
	"time"
)

// Reconciliation is when the server compares its storage with its records.
type Reconciliation struct {
	Every   float64   `json:"every_seconds"` // from the end of one comparison to the next
	Next    time.Time `json:"next,omitzero"` // not after now while one is due or runs
	Running bool      `json:"running"`
}

// Reconciliation returns when the next comparison is due.
func (c *Client) Reconciliation(ctx context.Context) (r Reconciliation, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/reconcile", nil, &r)
	return r, err
}

// Reconcile makes a comparison due now and does not wait for it.
func (c *Client) Reconcile(ctx context.Context) (r Reconciliation, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/reconcile", nil, &r)
	return r, err
}

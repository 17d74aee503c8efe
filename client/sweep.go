package client

import (
	"context"
	"net/http"
	"time"
)

// Swept is what nobody needed any more.
type Swept struct {
	Deleted bool     `json:"deleted"`
	Count   int      `json:"count"`
	Bytes   int64    `json:"bytes"`
	Items   []Orphan `json:"items"` // the first 1000
}

// Orphan is one thing that nobody needed.
type Orphan struct {
	Kind  string    `json:"kind"` // "upload", "multipart", "pin", "generation" or "scratch"
	Name  string    `json:"name"`
	Bytes int64     `json:"bytes"`
	Since time.Time `json:"since"` // of its last change
}

// sweepLimit is how long a sweep may take: a server with many videos has much to list.
const sweepLimit = time.Hour

// Sweep has the server look for what nobody needs any more, and remove it where told to. With many videos it takes minutes.
func (c *Client) Sweep(ctx context.Context, remove bool) (s Swept, err error) {
	err = c.callWithin(ctx, sweepLimit, http.MethodPost, "/v1/sweep", map[string]bool{"delete": remove}, &s)
	return s, err
}

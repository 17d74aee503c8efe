package client

import (
	"context"
	"net/http"
	"time"
)

// Grant is the right to watch a video, in addresses that play everywhere until it ends. For a public video they are the plain ones.
type Grant struct {
	Policy  string    `json:"policy"`           // who may watch: "public", "signed" or "members"
	Expires time.Time `json:"expires,omitzero"` // zero where it never ends
	HLS     string    `json:"hls"`
	DASH    string    `json:"dash"`
	Poster  string    `json:"poster,omitempty"` // empty for audio alone
}

// Grant asks for the right to watch a video that is playable, for as long as the server gives by itself.
func (c *Client) Grant(ctx context.Context, id string) (Grant, error) {
	var g Grant
	err := c.call(ctx, http.MethodPost, "/v1/keys", map[string]string{"video": id}, &g)
	return g, err
}

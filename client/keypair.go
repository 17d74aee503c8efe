package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// KeyPair is one that playback is signed with, without its private key.
type KeyPair struct {
	ID          string    `json:"id"`
	Purpose     string    `json:"purpose"`              // playback, or members: the server's own
	Workspaces  []string  `json:"workspaces,omitempty"` // of members: all that it opens; empty for everything
	Algorithm   string    `json:"algorithm"`            // rsa-2048 or ecdsa-p256
	Hash        string    `json:"hash"`                 // SHA1 or SHA256
	Signs       bool      `json:"signs"`                // its private key is on the server
	State       string    `json:"state"`                // active, retiring or retired
	Public      string    `json:"public,omitempty"`     // PEM, as CloudFront takes it; empty for members
	Fingerprint string    `json:"fingerprint"`          // SHA-256 of the public key, in hexadecimal digits
	Created     time.Time `json:"created"`
	Retiring    time.Time `json:"retiring,omitzero"` // signs no more from then on; zero: no such plan
	Retired     time.Time `json:"retired,omitzero"`  // what it signed is refused from then on; zero: no such plan
}

// NewKeyPair asks for a key pair. The zero value has one made: ECDSA P-256 with SHA-256.
type NewKeyPair struct {
	Algorithm string // of one that is made
	Hash      string
	PEM       string        // of one that is brought, private or public
	ID        string        // that CloudFront gave to one that is brought
	Replaces  string        // id of the one to retire in its favour
	After     time.Duration // how long what that one signed stays good, in whole seconds; 0: as long as grants may be
}

// KeyPairs returns all of them, the oldest first.
func (c *Client) KeyPairs(ctx context.Context) ([]KeyPair, error) {
	var list struct{ Items []KeyPair }
	err := c.call(ctx, http.MethodGet, "/v1/key-pairs", nil, &list)
	return list.Items, err
}

// AddKeyPair makes or brings a key pair.
func (c *Client) AddKeyPair(ctx context.Context, n NewKeyPair) (KeyPair, error) {
	var k KeyPair
	err := c.call(ctx, http.MethodPost, "/v1/key-pairs", struct {
		Algorithm string `json:"algorithm,omitempty"`
		Hash      string `json:"hash,omitempty"`
		PEM       string `json:"pem,omitempty"`
		ID        string `json:"id,omitempty"`
		Replaces  string `json:"replaces,omitempty"`
		After     int64  `json:"after,omitempty"`
	}{n.Algorithm, n.Hash, n.PEM, n.ID, n.Replaces, int64(n.After.Seconds())}, &k)
	return k, err
}

// RetireKeyPair has a key pair sign no more, and ends what it signed after a time.
func (c *Client) RetireKeyPair(ctx context.Context, id string, after time.Duration) (KeyPair, error) {
	var k KeyPair
	err := c.call(ctx, http.MethodPost, "/v1/key-pairs/"+url.PathEscape(id)+"/retire", map[string]int64{"after": int64(after.Seconds())}, &k)
	return k, err
}

// RemoveKeyPair removes one that is retired.
func (c *Client) RemoveKeyPair(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/key-pairs/"+url.PathEscape(id), nil, nil)
}

package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// OAuthClient is a program that may ask for tokens.
type OAuthClient struct {
	ID         string    `json:"id"` // its client_id
	Name       string    `json:"name"`
	Kind       string    `json:"kind"`       // web, spa, native or service
	Redirects  []string  `json:"redirects"`  // where people come back to
	Logouts    []string  `json:"logouts"`    // where people come back to after signing out
	Scopes     []string  `json:"scopes"`     // most that its tokens may allow
	Role       string    `json:"role"`       // of a service
	Workspaces []string  `json:"workspaces"` // of a service
	Created    time.Time `json:"created"`
	Rotated    time.Time `json:"rotated"` // when its secret was made; zero where it has none
	Secret     string    `json:"secret"`  // only in the answers of AddOAuthClient and RotateOAuthClient
}

// OAuthClientEdit changes what is not nil.
type OAuthClientEdit struct {
	Name       *string   `json:"name,omitempty"`
	Redirects  *[]string `json:"redirects,omitempty"`
	Logouts    *[]string `json:"logouts,omitempty"`
	Scopes     *[]string `json:"scopes,omitempty"`
	Role       *string   `json:"role,omitempty"`
	Workspaces *[]string `json:"workspaces,omitempty"`
}

// AddOAuthClient registers a program. What it has but id, times and secret is taken.
func (c *Client) AddOAuthClient(ctx context.Context, o OAuthClient) (OAuthClient, error) {
	err := c.call(ctx, http.MethodPost, "/v1/clients", struct {
		Name       string   `json:"name"`
		Kind       string   `json:"kind"`
		Redirects  []string `json:"redirects,omitempty"`
		Logouts    []string `json:"logouts,omitempty"`
		Scopes     []string `json:"scopes"`
		Role       string   `json:"role,omitempty"`
		Workspaces []string `json:"workspaces,omitempty"`
	}{o.Name, o.Kind, o.Redirects, o.Logouts, o.Scopes, o.Role, o.Workspaces}, &o)
	return o, err
}

// OAuthClients returns all of them, by name.
func (c *Client) OAuthClients(ctx context.Context) ([]OAuthClient, error) {
	var list struct{ Items []OAuthClient }
	err := c.call(ctx, http.MethodGet, "/v1/clients", nil, &list)
	return list.Items, err
}

// EditOAuthClient changes one. One that is not there is an *Error of status 404.
func (c *Client) EditOAuthClient(ctx context.Context, id string, edit OAuthClientEdit) (o OAuthClient, err error) {
	err = c.call(ctx, http.MethodPatch, "/v1/clients/"+url.PathEscape(id), edit, &o)
	return o, err
}

// RotateOAuthClient gives one another secret, which is in the answer; the old one is good no more.
func (c *Client) RotateOAuthClient(ctx context.Context, id string) (o OAuthClient, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/clients/"+url.PathEscape(id)+"/secret", nil, &o)
	return o, err
}

// SigningKey is a key that signs access tokens.
type SigningKey struct {
	ID    string    `json:"id"`
	Signs time.Time `json:"signs"`
	Until time.Time `json:"until"`
}

// RotateKeys has a new key sign access tokens at once. Where withdraw is set the keys before it are known no more, and with them every access token that is out.
func (c *Client) RotateKeys(ctx context.Context, withdraw bool) (k SigningKey, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/token-keys", struct {
		Withdraw bool `json:"withdraw,omitempty"`
	}{withdraw}, &k)
	return k, err
}

// RemoveOAuthClient removes one; its tokens are good no more. One that is not there is an *Error of status 404.
func (c *Client) RemoveOAuthClient(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/clients/"+url.PathEscape(id), nil, nil)
}

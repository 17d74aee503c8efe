package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// User is a person with an account.
type User struct {
	ID         string    `json:"id"`
	Email      string    `json:"email"`
	Name       string    `json:"name"`
	Role       string    `json:"role"`       // admin, editor or viewer
	State      string    `json:"state"`      // invited, active or disabled
	Workspaces []string  `json:"workspaces"` // ids
	MustChange bool      `json:"must_change"`
	Factored   time.Time `json:"second_factor_since,omitzero"` // since when they have a second factor; zero for none
	Created    time.Time `json:"created"`
	SignedIn   time.Time `json:"signed_in,omitzero"` // last; zero for never
}

// Invitation asks for a new user.
type Invitation struct {
	Email      string   `json:"email"`
	Name       string   `json:"name,omitempty"`
	Role       string   `json:"role"`
	Workspaces []string `json:"workspaces,omitempty"` // nil for main
}

// UserEdit changes a user. What is nil stays as it is.
type UserEdit struct {
	Name       *string   `json:"name,omitempty"`
	Role       *string   `json:"role,omitempty"`
	Workspaces *[]string `json:"workspaces,omitempty"`
	State      *string   `json:"state,omitempty"` // active or disabled
}

// Session is a browser that is signed in.
type Session struct {
	ID      string    `json:"id"`
	Created time.Time `json:"created"`
	Seen    time.Time `json:"seen"`
	Expires time.Time `json:"expires"`
	Address string    `json:"address"`
	Agent   string    `json:"agent"`
}

// Message is a message to the holder of an account.
type Message struct {
	ID      int64    `json:"id"` // grows with time
	Kind    string   `json:"kind"`
	User    string   `json:"user"`
	Address string   `json:"address"`
	State   string   `json:"state"` // waiting, sent, refused, dead or void
	Trouble *Failure `json:"trouble"`
	Text    string   `json:"text"` // only of a letter that waits on a server without a mail server
}

// AuditEntry is something that was done to accounts.
type AuditEntry struct {
	ID      int64             `json:"id"` // grows with time
	Time    time.Time         `json:"time"`
	What    string            `json:"what"`
	By      *Actor            `json:"by"`
	User    *Actor            `json:"user"`
	Address string            `json:"address"`
	Detail  map[string]string `json:"detail"`
}

// Actor is somebody as they were called then.
type Actor struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Invite makes a user and has a letter written to them.
func (c *Client) Invite(ctx context.Context, i Invitation) (u User, err error) {
	return u, c.call(ctx, http.MethodPost, "/v1/users", i, &u)
}

// InviteAgain has another letter written to a user who has not accepted yet; the one before is good no more.
func (c *Client) InviteAgain(ctx context.Context, id string) (u User, err error) {
	return u, c.call(ctx, http.MethodPost, "/v1/users/"+url.PathEscape(id)+"/invite", nil, &u)
}

// ResetUser ends what a user has open and has a letter with a temporary password written to them.
func (c *Client) ResetUser(ctx context.Context, id string) (u User, err error) {
	return u, c.call(ctx, http.MethodPost, "/v1/users/"+url.PathEscape(id)+"/reset", nil, &u)
}

// ResetFactor removes the second factor of a user who has lost it, and ends their sessions; a letter tells them.
func (c *Client) ResetFactor(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(id)+"/factor", nil, nil)
}

// EditUser changes a user.
func (c *Client) EditUser(ctx context.Context, id string, e UserEdit) (u User, err error) {
	return u, c.call(ctx, http.MethodPatch, "/v1/users/"+url.PathEscape(id), e, &u)
}

// RemoveUser removes a user. Their videos stay.
func (c *Client) RemoveUser(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(id), nil, nil)
}

// UserSessions returns where a user is signed in, the newest first.
func (c *Client) UserSessions(ctx context.Context, id string) ([]Session, error) {
	var list struct{ Items []Session }
	err := c.call(ctx, http.MethodGet, "/v1/sessions?user="+url.QueryEscape(id), nil, &list)
	return list.Items, err
}

// EndUserSessions ends all sessions of a user.
func (c *Client) EndUserSessions(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/sessions?user="+url.QueryEscape(id), nil, nil)
}

// ConnectedApp is a program that a user has let in, by signing in there.
type ConnectedApp struct {
	ID      string    `json:"id"` // its client_id
	Name    string    `json:"name"`
	Kind    string    `json:"kind"` // web, spa or native
	Scopes  []string  `json:"scopes"`
	SignIns int       `json:"sign_ins"` // that hold what is good still
	Since   time.Time `json:"since"`
	Used    time.Time `json:"used"` // when it last got tokens
	Expires time.Time `json:"expires"`
}

// UserPrograms returns the programs that a user has let in, by name.
func (c *Client) UserPrograms(ctx context.Context, id string) ([]ConnectedApp, error) {
	var list struct{ Items []ConnectedApp }
	err := c.call(ctx, http.MethodGet, "/v1/programs?user="+url.QueryEscape(id), nil, &list)
	return list.Items, err
}

// EndUserProgram takes back what a user gave a program. One that holds nothing of theirs is an *Error of status 404.
func (c *Client) EndUserProgram(ctx context.Context, id, program string) error {
	return c.call(ctx, http.MethodDelete, "/v1/programs/"+url.PathEscape(program)+"?user="+url.QueryEscape(id), nil, nil)
}

// Users goes through all users, oldest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Users(ctx context.Context) iter.Seq2[User, error] {
	return pages[User](ctx, c, "/v1/users", url.Values{})
}

// Letters goes through the letters in a state (empty for all), newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Letters(ctx context.Context, state string) iter.Seq2[Message, error] {
	query := url.Values{}
	if state != "" {
		query.Set("state", state)
	}
	return pages[Message](ctx, c, "/v1/outbox/letters", query)
}

// Letter returns one letter, with its text where it waits and the server has no mail server.
func (c *Client) Letter(ctx context.Context, id int64) (l Message, err error) {
	return l, c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/outbox/letters/%d", id), nil, &l)
}

// Audit goes through what was done by or to a user (empty for all), newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Audit(ctx context.Context, user string) iter.Seq2[AuditEntry, error] {
	query := url.Values{}
	if user != "" {
		query.Set("user", user)
	}
	return pages[AuditEntry](ctx, c, "/v1/audit", query)
}

// pages goes through a list, page by page.
func pages[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		query.Set("limit", "200")
		for {
			var page struct {
				Items []T
				Next  string
			}
			if err := c.call(ctx, http.MethodGet, path+"?"+query.Encode(), nil, &page); err != nil {
				var none T
				yield(none, err)
				return
			}
			for _, one := range page.Items {
				if !yield(one, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

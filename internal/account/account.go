// Package account is who may do what: users and their roles, workspaces, scopes, and the one policy that decides.
//
// Promise. Every decision about a person, a service or a token is made here, by pure functions of values: the store filters by a Reach that was made here,
// and decides nothing of its own. What isn't allowed in so many words is refused: the zero Principal may do nothing.
//
// Cost. Nothing is read or kept; a decision is a few comparisons.
//
// Failure. Refusals are fault.Errors: Unauthorized where nobody is known, Forbidden where somebody is and may not. What lies outside somebody's reach is not
// refused but not there (NotFound), so that nobody learns what others have.
package account

import (
	"context"
	"slices"
	"time"
)

// Role is what a user may do at most.
type Role string

// The roles. Each may what the next one may.
const (
	Admin  Role = "admin"  // everything, in every workspace
	Editor Role = "editor" // puts, changes and removes videos in the workspaces of theirs
	Viewer Role = "viewer" // watches what is ready in the workspaces of theirs
)

// Roles returns every role, the strongest first.
func Roles() []Role { return []Role{Admin, Editor, Viewer} }

// Valid reports whether r is a role.
func (r Role) Valid() bool { return slices.Contains(Roles(), r) }

// State is where a user stands.
type State string

// The states. docs/STATES.md draws the moves.
const (
	Invited  State = "invited"  // has a temporary password and never signed in for good
	Active   State = "active"   // has a password of their own
	Disabled State = "disabled" // may not sign in, and nothing of theirs is good any more
)

// DefaultWorkspace is the one that is always there: where videos lie that name none. Its id.
const DefaultWorkspace = "main"

// Workspace is a group of users and videos.
type Workspace struct {
	ID      string
	Name    string
	Created time.Time
}

// User is a person with an account.
type User struct {
	ID         string // a ULID in lower case, for ever
	Email      string // as given; compared without case
	Name       string
	Role       Role
	State      State
	Workspaces []string  // ids, sorted; an admin reaches the others too
	MustChange bool      // the password is temporary: nothing else is allowed until it is changed
	Factored   time.Time // since when they have a second factor; zero for none
	Created    time.Time
	SignedIn   time.Time // last; zero for never
}

// Kind says what a Principal is.
type Kind string

// The kinds.
const (
	Root    Kind = "root"    // the holder of the admin token: the machine's own operator
	Person  Kind = "person"  // a user
	Service Kind = "service" // a program with credentials of its own (client credentials)
)

// Principal is who asks: what credentials became. The zero value may do nothing.
type Principal struct {
	Kind       Kind
	ID         string // a user's or a client's id; "admin" for Root: what owns the videos that it puts
	Name       string // to show: an e-mail address, a client's name
	Role       Role
	Workspaces []string  // ids; an admin's reach is not bounded by them
	Scopes     Scopes    // what the credentials allow, already cut to what the role does
	MustProve  bool      // only the second factor may be shown
	MustChange bool      // only the password may be changed
	MustEnrol  bool      // only a second factor may be set up
	Session    string    // the id of a browser's session; empty for tokens
	SignedIn   time.Time // when that session began; zero for tokens
	Proven     time.Time // when its user showed a second factor; zero for never, and for tokens
}

// Operator is the holder of the admin token.
func Operator() Principal {
	return Principal{Kind: Root, ID: "admin", Name: "admin", Role: Admin, Workspaces: []string{DefaultWorkspace}, Scopes: AllScopes()}
}

// Home is the workspace that a video lies in where its uploader names none; false where the principal has none.
func (p Principal) Home() (string, bool) {
	if slices.Contains(p.Workspaces, DefaultWorkspace) || (p.Role == Admin && len(p.Workspaces) == 0) {
		return DefaultWorkspace, true
	}
	if len(p.Workspaces) == 0 {
		return "", false
	}
	return p.Workspaces[0], true
}

type contextKey struct{}

// With returns a context that carries who asks.
func With(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, contextKey{}, p)
}

// From returns who asks, and whether anybody is known.
func From(ctx context.Context) (Principal, bool) {
	p, ok := ctx.Value(contextKey{}).(Principal)
	return p, ok
}

package account

import (
	"fmt"
	"slices"

	"sluice/internal/fault"
)

// Subject is what the policy asks of a video.
type Subject struct {
	Owner     string
	Workspace string
	Ready     bool // can be watched
}

// AccessScope is what a principal may see: what the store filters lists by. The zero Reach sees nothing.
type AccessScope struct {
	All        bool     // every workspace
	Workspaces []string // else these
	ReadyOnly  bool     // of them, what is ready
}

// Reach returns what p may see.
func (p Principal) Reach() AccessScope {
	switch {
	case p.Settled() != nil || !p.Scopes.Has(VideosRead):
		return AccessScope{}
	case p.Role == Admin:
		return AccessScope{All: true}
	default:
		return AccessScope{Workspaces: p.Workspaces, ReadyOnly: p.Role != Editor}
	}
}

// Making is what of a reach may be seen while it is made, with what failed: nothing where only what is ready may be seen.
func (r AccessScope) Making() AccessScope {
	if r.ReadyOnly {
		return AccessScope{}
	}
	return r
}

// Holds reports whether s is within the reach.
func (r AccessScope) Holds(s Subject) bool {
	return (r.All || slices.Contains(r.Workspaces, s.Workspace)) && (s.Ready || !r.ReadyOnly)
}

// MaySee reports whether p may see a video and its history.
func (p Principal) MaySee(s Subject) bool { return p.Reach().Holds(s) }

// MaySeeWork reports whether p may see how a video that it sees is made: every try at it, what failed and why, and what the tools said.
func (p Principal) MaySeeWork(s Subject) bool { return p.Reach().Making().Holds(s) }

// MayChange reports whether p may change, encode again or remove a video that it sees.
func (p Principal) MayChange(s Subject) bool {
	return p.MaySee(s) && p.Scopes.Has(VideosWrite) && (p.Role == Admin || p.Role == Editor)
}

// MayPut reports whether p may put videos into a workspace.
func (p Principal) MayPut(workspace string) bool {
	if p.Settled() != nil || !p.Scopes.Has(UploadsWrite) {
		return false
	}
	return p.Role == Admin || (p.Role == Editor && slices.Contains(p.Workspaces, workspace))
}

// MayEnter reports whether p belongs to a workspace, or reaches it as an administrator does.
func (p Principal) MayEnter(workspace string) bool {
	return p.Settled() == nil && (p.Role == Admin || slices.Contains(p.Workspaces, workspace))
}

// Known says whether anybody is known. The error is Unauthorized, code "unauthorized".
func (p Principal) Known() error {
	if p.Kind == "" {
		return fault.New(fault.Unauthorized, "account.allow", "unauthorized", "Sign in, or send a token as 'Authorization: Bearer …'.", nil)
	}
	return nil
}

// Authenticated says whether somebody is known who has shown what proves it: the second factor too, where they have one. The errors are Known's, and Forbidden,
// code "second_factor_required".
func (p Principal) Authenticated() error {
	if err := p.Known(); err != nil {
		return err
	}
	if p.MustProve {
		return fault.New(fault.Forbidden, "account.allow", "second_factor_required", "Show the second factor first, a code of your app: POST /v1/session/factor.", nil)
	}
	return nil
}

// Enrolling says whether somebody may set up a second factor. The errors are Authenticated's, and Forbidden, code "password_change_required".
func (p Principal) Enrolling() error {
	if err := p.Authenticated(); err != nil {
		return err
	}
	if p.MustChange {
		return fault.New(fault.Forbidden, "account.allow", "password_change_required", "Change the temporary password first: POST /v1/session/password.", nil)
	}
	return nil
}

// Settled says whether somebody is known of whom nothing more is asked. The errors are Enrolling's, and Forbidden, code "second_factor_enrolment_required".
func (p Principal) Settled() error {
	if err := p.Enrolling(); err != nil {
		return err
	}
	if p.MustEnrol {
		return fault.New(fault.Forbidden, "account.allow", "second_factor_enrolment_required", "This server asks for a second factor; set one up first: POST /v1/factor.", nil)
	}
	return nil
}

// Allow says whether p may use a route that asks for a scope. The errors are Settled's, and Forbidden, code "missing_scope".
func (p Principal) Allow(needs Scope) error {
	if err := p.Settled(); err != nil {
		return err
	}
	if !p.Scopes.Has(needs) {
		return fault.New(fault.Forbidden, "account.allow", "missing_scope", fmt.Sprintf("This needs the scope %s; use credentials that have it.", needs), nil)
	}
	return nil
}

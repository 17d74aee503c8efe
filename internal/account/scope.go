package account

import (
	"slices"
	"strings"
)

// Scope is one thing that a token may allow (RFC 6749 §3.3).
type Scope string

// The scopes. Every route of the API names the one that it asks for.
const (
	VideosRead   Scope = "videos/read"
	VideosWrite  Scope = "videos/write"
	UploadsWrite Scope = "uploads/write"
	ImagesRead   Scope = "images/read"
	UsersAdmin   Scope = "users/admin"
	JobsAdmin    Scope = "jobs/admin"
)

// AllScopes returns every scope.
func AllScopes() Scopes {
	return Scopes{VideosRead, VideosWrite, UploadsWrite, ImagesRead, UsersAdmin, JobsAdmin}
}

// Scopes is a set of scopes.
type Scopes []Scope

// Has reports whether s is in the set.
func (all Scopes) Has(s Scope) bool { return slices.Contains(all, s) }

// Within returns what of the set is in other too, in the set's order.
func (all Scopes) Within(other Scopes) Scopes {
	var both Scopes
	for _, s := range all {
		if other.Has(s) && !both.Has(s) {
			both = append(both, s)
		}
	}
	return both
}

// String is the set as OAuth writes it: names with a space between.
func (all Scopes) String() string {
	names := make([]string, len(all))
	for i, s := range all {
		names[i] = string(s)
	}
	return strings.Join(names, " ")
}

// ParseScopes reads a list of scopes with spaces between. Names that are no scope of ours (openid, another resource's) are left out.
func ParseScopes(text string) Scopes {
	named := Scopes{}
	for name := range strings.FieldsSeq(text) {
		named = append(named, Scope(name))
	}
	return named.Within(AllScopes())
}

// Scopes returns what a role may do at most.
func (r Role) Scopes() Scopes {
	switch r {
	case Admin:
		return AllScopes()
	case Editor:
		return Scopes{VideosRead, VideosWrite, UploadsWrite, ImagesRead}
	case Viewer:
		return Scopes{VideosRead, ImagesRead}
	default:
		return nil
	}
}

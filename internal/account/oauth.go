package account

import (
	"crypto/subtle"
	"slices"
	"strings"
	"time"
)

// ClientKind says what a program that asks for tokens is, and so how it proves who it is.
type ClientKind string

// The kinds of clients.
const (
	WebClient     ClientKind = "web"     // runs on a server, which keeps a secret; signs people in
	SPAClient     ClientKind = "spa"     // runs in a browser, without a secret; signs people in
	NativeClient  ClientKind = "native"  // runs on a person's machine, without a secret; signs people in
	ServiceClient ClientKind = "service" // acts for itself, with a secret (client credentials)
)

// ClientKinds returns every kind.
func ClientKinds() []ClientKind {
	return []ClientKind{WebClient, SPAClient, NativeClient, ServiceClient}
}

// Secret reports whether clients of this kind have one.
func (k ClientKind) Secret() bool { return k == WebClient || k == ServiceClient }

// Client is a program that admins let ask for tokens.
type Client struct {
	ID         string
	Name       string
	Kind       ClientKind
	Secret     string   // hash, in hex; empty where the kind has none
	Redirects  []string // where people come back to; none for a service
	Logouts    []string // where people come back to after signing out
	Scopes     Scopes   // most that its tokens may allow
	Role       Role     // of a service
	Workspaces []string // of a service
	Created    time.Time
	Rotated    time.Time // when the secret was made
}

// Principal is a service as the one who asks, with what its tokens may allow at most.
func (c Client) Principal() Principal {
	return Principal{Kind: Service, ID: c.ID, Name: c.Name, Role: c.Role, Workspaces: c.Workspaces, Scopes: c.Scopes.Within(c.Role.Scopes())}
}

// ClientEdit changes what is not nil. Secret is a hash.
type ClientEdit struct {
	Name                           *string
	Redirects, Logouts, Workspaces *[]string
	Scopes                         *Scopes
	Role                           *Role
	Secret                         *string
}

// Apply returns the client as it is after the edit.
func (e ClientEdit) Apply(c Client, now time.Time) Client {
	set(&c.Name, e.Name)
	set(&c.Redirects, e.Redirects)
	set(&c.Logouts, e.Logouts)
	set(&c.Workspaces, e.Workspaces)
	set(&c.Scopes, e.Scopes)
	set(&c.Role, e.Role)
	if e.Secret != nil {
		c.Secret, c.Rotated = *e.Secret, now
	}
	return c
}

func set[T any](into *T, value *T) {
	if value != nil {
		*into = *value
	}
}

// Code is an authorization code (RFC 6749 §4.1.2): what it was given for. The code itself is known by its hash alone.
type Code struct {
	Hash      string
	Client    string
	User      string
	Redirect  string
	Challenge string // S256 (RFC 7636 §4.2)
	Nonce     string
	Scope     string // with openid and the like
	SignedIn  time.Time
	Proven    time.Time // when a second factor was shown; zero for never
	Expires   time.Time
	Family    string // the grant that it gave; empty before
}

// TokenExchange is a try to make tokens of a code.
type TokenExchange struct {
	Client    string
	Redirect  string
	Challenge string // of the verifier that was shown
	Family    string // the new grant's id
	Refresh   string // the first refresh token's hash; used only where the code's scope has offline_access
	Access    time.Time
	Idle      time.Time // until when the refresh token is good
	Address   string    // from where it was shown
}

// Rotation is a try to make new tokens of a refresh token.
type Rotation struct {
	Client  string
	Refresh string // the next one's hash
	Access  time.Time
	Idle    time.Time     // until when the next one is good
	Most    time.Duration // how long a family lives at most
	Address string        // from where it was shown
}

// Outcome says what became of a code or a refresh token that was shown.
type Outcome string

// The outcomes.
const (
	Granted  Outcome = "granted"
	Unknown  Outcome = "unknown"  // no such code or token, or one of another client
	TooLate  Outcome = "expired"  // it was good once
	Mismatch Outcome = "mismatch" // another redirect URI or verifier: the code is spent
	Reused   Outcome = "reused"   // it was used before: whatever it gave has ended
	Over     Outcome = "over"     // its family has ended
)

// Try says what becomes of a code at a redemption.
func (c Code) Try(r TokenExchange, now time.Time) Outcome {
	switch {
	case c.Family != "":
		return Reused
	case c.Client != r.Client:
		return Unknown // it is not spent: who has another client's code must not be able to spoil it
	case !now.Before(c.Expires):
		return TooLate
	case c.Redirect != r.Redirect || subtle.ConstantTimeCompare([]byte(c.Challenge), []byte(r.Challenge)) != 1:
		return Mismatch
	default:
		return Granted
	}
}

// Consent is what a person gave a client by signing in there. All tokens of it are one family, and end together.
type Consent struct {
	ID       string
	Client   string
	User     string
	Scope    string
	Nonce    string
	SignedIn time.Time
	Proven   time.Time // when a second factor was shown; zero for never
	Created  time.Time
	Expires  time.Time // when the last of its tokens does
	Ended    time.Time // zero while it is good
}

// Live reports whether tokens of the grant are good at that time.
func (g Consent) Live(now time.Time) bool { return g.Ended.IsZero() && now.Before(g.Expires) }

// ConnectedApp is a client that a person has let in: its live grants as one.
type ConnectedApp struct {
	ID      string // of the client
	Name    string
	Kind    ClientKind
	Scopes  []string // of all of them, with openid and the like, sorted
	Grants  int      // sign-ins there
	Since   time.Time
	Used    time.Time // when it last got tokens, of any of them
	Expires time.Time // when the last token of all is over, unless it gets others
}

// SigningKey is a key that signs tokens, as it is kept.
type SigningKey struct {
	ID        string
	Algorithm string
	Public    string    // JWK
	Sealed    string    // the private key, encrypted
	Signs     time.Time // from when it signs
	Until     time.Time // and to when
	Expires   time.Time // when it is published no more
}

// Renewal is a key that takes the place of all others at once.
type Renewal struct {
	Key     SigningKey
	Expires time.Time // until when the others are published at most
	Act     AuditEntry
}

// Offline reports whether a scope asks for refresh tokens (OpenID Connect Core §11).
func Offline(scope string) bool { return slices.Contains(strings.Fields(scope), "offline_access") }

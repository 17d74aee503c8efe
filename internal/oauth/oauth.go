// Package oauth is the OpenID Connect provider of Sluice, and turns access tokens, its own or an external issuer's, into a Principal. Where there is an external issuer, it signs
// people in there, on the page (Party).
//
// Promise. Programs sign people in by authorization code with PKCE (S256 alone), and themselves by client credentials; nothing else gives tokens. A code works
// once, a refresh token works once, and the second use of either ends everything that came of it. Access tokens are JWTs of type at+jwt (RFC 9068), signed with
// RS256; an ID token is never taken for one. A scope is granted only where it was asked for, the client may have it and the user's role allows it, and all three
// are looked at again whenever a token is shown: what was taken away ends within Fresh, in every process. A redirect goes only where the client is registered
// to be (RFC 9700 §2.1).
//
// Cost. A sign-in is two transactions, a refresh is one, client credentials are none. To verify a token costs one RSA verification (50 µs in all: BenchmarkVerify) and, every
// Fresh, a read of its user or client and of what was revoked. Keys are read from the store once a minute.
//
// Failure. Where the store is away, nothing is issued and nothing verified (fault.Unavailable). A lost answer of the token endpoint is a spent code or
// refresh token: the person signs in again. Who loses the sealing secret loses no tokens that are out: a new key signs, and the old ones are still published. A
// server asks before (cmd/sluice/seal.go).
package oauth

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// Fresh is how old what is known of users, clients and revoked tokens may be: the longest that a change needs to be heeded.
const Fresh = 5 * time.Second

// Lifetimes of what is issued.
const (
	codeLife    = time.Minute      // RFC 6749 §4.1.2: at most ten
	requestLife = 15 * time.Minute // to sign in
)

// Grants is what the provider needs of the store about codes and what they gave. Each method is one transaction.
type Grants interface {
	// PutCode keeps a code.
	PutCode(ctx context.Context, c account.Code) error
	// Redeem makes a grant of a code, once.
	Redeem(ctx context.Context, hash string, r account.TokenExchange) (account.Consent, account.Outcome, error)
	// Rotate makes the next refresh token of one, once.
	Rotate(ctx context.Context, hash string, r account.Rotation) (account.Consent, account.Outcome, error)
	// Refreshable returns the grant of a refresh token that would be taken now.
	Refreshable(ctx context.Context, hash string) (account.Consent, bool, error)
}

// Revoker is what the provider needs of the store to take back what it gave. Each method is one transaction.
type Revoker interface {
	// EndFamily ends the grant of a client that a refresh token belongs to. It reports whether that is another client's, which stays as it is.
	EndFamily(ctx context.Context, client, hash string) (others bool, err error)
	// EndGrant ends a grant.
	EndGrant(ctx context.Context, id string) error
	// Deny makes an access token bad until it expires.
	Deny(ctx context.Context, id string, expires time.Time) error
	// Denied returns what is bad although it has not expired: ids of access tokens and of grants.
	Denied(ctx context.Context, longest time.Duration) ([]string, error)
}

// Keys is what the provider needs of the store about its keys. Each method is one transaction.
type Keys interface {
	// SigningKeys returns the keys that are published, the one that signs first at first.
	SigningKeys(ctx context.Context) ([]account.SigningKey, error)
	// PutSigningKey keeps a key.
	PutSigningKey(ctx context.Context, k account.SigningKey) error
	// RenewSigningKey keeps a key that signs in the place of all others.
	RenewSigningKey(ctx context.Context, r account.Renewal) error
}

// Clients finds clients; fault.NotFound for none.
type Clients interface {
	Client(ctx context.Context, id string) (account.Client, error)
}

// Users finds users; fault.NotFound for none.
type Users interface {
	User(ctx context.Context, id string) (account.User, error)
}

// Store is all of these.
type Store interface {
	Grants
	Revoker
	Keys
	Clients
}

// Config is what a Provider works on.
type Config struct {
	Store  Store
	Users  Users
	Issuer string        // an address without path: public_url
	Secret []byte        // seals the private keys in the store; 32 random bytes
	Access time.Duration // how long an access token is good: at most an hour
	Idle   time.Duration // how long a refresh token is good
	Most   time.Duration // how long a family of refresh tokens lives
	Rotate time.Duration // how long a key signs
	// SignOut ends a browser's session and returns the cookie that takes it from the browser.
	SignOut func(ctx context.Context, who account.Principal) (cookie string, err error)
	Now     func() time.Time
	Logger  *slog.Logger
}

// Provider issues tokens and verifies them. It may be used by many goroutines.
type Provider struct {
	Config
	ring    *ring
	users   memo[account.User]
	clients memo[account.Client]
	denied  denials
	handler http.Handler
}

// New makes a provider. fault.Invalid, code "bad_issuer", where the issuer can be none.
func New(c Config) (*Provider, error) {
	ring, err := newRing(c.Store, c.Secret, c.Rotate, c.Now, c.Logger)
	if err != nil {
		return nil, err
	}
	p := &Provider{Config: c, ring: ring}
	p.users = memo[account.User]{read: c.Users.User, now: c.Now}
	p.clients = memo[account.Client]{read: c.Store.Client, now: c.Now}
	p.denied = denials{read: func(ctx context.Context) ([]string, error) { return c.Store.Denied(ctx, c.Access+leeway) }, now: c.Now}
	p.handler = p.routes()
	return p, nil
}

// ServeHTTP serves /oauth/… and the two documents under /.well-known/.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) { p.handler.ServeHTTP(w, r) }

// page is an address of the page, by its fragment.
func (p *Provider) page(fragment string) string { return p.Issuer + "/#/" + fragment }

// refused is what a bearer token that is not good is answered with.
func refused(why string, cause error) error {
	return fault.New(fault.Unauthorized, "oauth.verify", "invalid_token", why, cause)
}

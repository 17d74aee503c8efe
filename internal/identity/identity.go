// Package identity is the life of an account: invitations, sign-in, passwords, second factors, sessions and personal tokens. It turns a session's cookie or a personal token into
// an account.Principal.
//
// Promise. What a user may do follows from their record as it is at that moment: a role, a workspace, a reset or a removal counts from the next request on, for
// sessions and tokens alike. A temporary password opens one session, however many try it at once, and only until it expires; that session may do nothing but change
// the password. Passwords are kept as argon2id hashes, cookies, tokens and codes as SHA-256 of 256 random bits. Who asks with a wrong password, an unknown address,
// a disabled account or an expired invitation gets the same answer for the same work. Failures make the next try wait, longer each time, and never for ever.
// Every change is one transaction with its record of who did what, and with the letter that tells of it.
//
// Cost. A request with a cookie or a token is one indexed query. A sign-in is an argon2id run of 19 MiB, at most one a core side by side, and two short transactions.
//
// Failure. Refusals are fault.Errors with stable codes (docs/ERRORS.md). A crash loses what was not committed: a letter is committed with what it tells, and sent by a
// job. Where the database is away nobody is known, and nothing is let through.
package identity

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"time"

	"sluice/internal/account"
	"sluice/internal/seal"
	"sluice/internal/video"
)

// Config is what a Service is made from.
type Config struct {
	Store  Store
	Cookie string                     // name of the session's cookie
	Secure bool                       // whether the cookie goes over TLS alone
	Mail   bool                       // whether letters are sent; else they wait in the outbox
	Hashes int                        // argon2id runs side by side; 0 for one
	Site   string                     // what the apps of second factors call this server
	Seal   *seal.Box                  // of the secrets of second factors; nil where nobody signs in
	Demand account.SecondFactorPolicy // who must have a second factor; empty for nobody
	Now    func() time.Time
	Log    *slog.Logger
}

// Service does what people and their browsers ask for.
type Service struct {
	Config
	hasher *hasher
}

// New makes a Service.
func New(c Config) *Service {
	return &Service{Config: c, hasher: newHasher(max(c.Hashes, 1))}
}

// How long things are good for.
const (
	temporaryFor = 7 * 24 * time.Hour   // a temporary password
	codeFor      = time.Hour            // a code for a new password
	sessionFor   = 30 * 24 * time.Hour  // a session, whatever happens
	idleFor      = 7 * 24 * time.Hour   // a session that nobody uses
	externalFor  = 12 * time.Hour       // a session of somebody whom another issuer signed in: so long may it go unheeded that it would do so no more
	challengeFor = 15 * time.Minute     // a session that may only show the second factor
	changeFor    = time.Hour            // a session that may only change the password, or set up a second factor
	seenEvery    = time.Minute          // how exactly the last use is known
	tokenFor     = 90 * 24 * time.Hour  // a token that names no end
	longestToken = 366 * 24 * time.Hour // a token
	mostTokens   = 50                   // of one user
	keepLetters  = 30 * 24 * time.Hour  // after their end
	keepActs     = 400 * 24 * time.Hour // a year, and some
	keepFailures = 30 * 24 * time.Hour  // failed sign-ins: strangers can make as many as they like
	pruneEvery   = time.Hour            // how often what has expired is forgotten
	patPrefix    = "sluice_pat_"        // tells a personal token apart, for chains of credentials and for scanners of leaked secrets
)

// secret is 256 random bits in URL-safe text.
func secret() string {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return base64.RawURLEncoding.EncodeToString(b)
}

// digest is what is kept of a secret with 256 random bits: nobody can try them all, so a fast hash does.
func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

func (s *Service) id() string { return string(video.NewID(s.Now())) }

// act is what by does to a user.
func (s *Service) act(ctx context.Context, what string, by account.Principal, to account.User, detail ...string) account.AuditEntry {
	a := account.AuditEntry{Time: s.Now(), What: what, By: by.ID, ByName: by.Name, User: to.ID, UserName: to.Email, Address: account.CallerOf(ctx).Address}
	for i := 0; i+1 < len(detail); i += 2 {
		if a.Detail == nil {
			a.Detail = map[string]string{}
		}
		a.Detail[detail[i]] = detail[i+1]
	}
	return a
}

// self is a user as who does something to their own account.
func self(u account.User) account.Principal {
	return account.Principal{Kind: account.Person, ID: u.ID, Name: u.Email}
}

// principal is what a user's credentials become, cut to scopes.
func principal(u account.User, scopes account.Scopes) account.Principal {
	return account.Principal{
		Kind: account.Person, ID: u.ID, Name: u.Email, Role: u.Role, Workspaces: u.Workspaces, Scopes: scopes.Within(u.Role.Scopes()), MustChange: u.MustChange,
	}
}

// PruneEvery is how often Prune is due.
const PruneEvery = pruneEvery

// Prune forgets what has expired.
func (s *Service) Prune(ctx context.Context) error {
	return s.Store.Prune(ctx, account.Expired{
		Now: s.Now(), Idle: idleFor, Strikes: 24 * time.Hour, Letters: keepLetters, Acts: keepActs, Failures: keepFailures,
	})
}

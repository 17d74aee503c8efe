package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func fold(email string) string { return strings.ToLower(email) }

// cookie writes the header Set-Cookie (RFC 6265bis): not to be read by scripts, and not sent where another site makes the browser ask.
func (s *Service) cookie(value string, until time.Time) string {
	c := http.Cookie{Name: s.Config.Cookie, Value: value, Path: "/", Secure: s.Secure, HttpOnly: true, SameSite: http.SameSiteLaxMode, Expires: until.UTC()}
	if value == "" {
		c.MaxAge, c.Expires = -1, time.Time{}
	}
	return c.String()
}

// SignIn opens a session for the user whose password this is; where they have a second factor, the session serves only
// for showing it (Prove). Every failure is fault.Unauthorized, code "sign_in_failed", or, while the address or the user
// waits, fault.Limited, code "try_later". A session that the browser had ends.
func (s *Service) SignIn(ctx context.Context, email, password string) (account.Admission, error) {
	caller := account.CallerOf(ctx)
	login, err := s.Store.Login(ctx, email, caller.Address)
	if err != nil {
		return account.Admission{}, err
	}
	try, err := s.attempt(ctx, login, email, caller)
	if err != nil {
		return account.Admission{}, err
	}
	failed := func() error {
		if try.held > 0 {
			return s.hold(ctx, login, try)
		}
		return s.failed(ctx, login.User)
	}
	same, stale, err := s.hasher.compare(ctx, login.Hash, password, try.held > 0)
	if err != nil {
		return account.Admission{}, err
	}
	open := try.held == 0 || login.Known && !try.shut // others' failures, from here or elsewhere, do not keep a known user out
	if !same || !open || !s.mayOpen(login) {
		return account.Admission{}, failed()
	}
	what := account.SignedIn
	if login.Factor.Sealed != "" {
		what = account.SignInBegun
	}
	opening := account.NewSession{Login: login, Rehashed: login.Hash, Forgives: try.forgives, Act: s.act(ctx, what, self(login.User), login.User)}
	if stale {
		if opening.Rehashed, err = s.hasher.hash(ctx, password); err != nil {
			return account.Admission{}, err
		}
	}
	if caller.Cookie != "" {
		opening.Ends = digest(caller.Cookie)
	}
	var value string
	opening.Session, value = s.newSession(ctx, login.User, time.Time{})
	opening.Hash = digest(value)
	if err := s.Store.Open(ctx, opening); errors.Is(err, video.ErrStale) {
		return account.Admission{}, failed() // another try with the temporary password was first, or an administrator
	} else if err != nil {
		return account.Admission{}, err
	}
	return s.admission(login.User, opening.Rehashed, opening.Session, value), nil
}

// mayOpen reports whether the right password opens a session.
func (s *Service) mayOpen(l account.Login) bool {
	return l.State != account.Disabled && (l.Temporary.IsZero() || !l.Used && l.Temporary.After(s.Now()))
}

// failed records a sign-in that failed and returns its refusal.
func (s *Service) failed(ctx context.Context, u account.User) error {
	act := s.act(ctx, account.SignInFailed, account.Principal{}, u)
	if err := s.blame(ctx, addressStrikes(act.Address), act); err != nil {
		return err
	}
	s.Log.Warn("a sign-in failed", "user", u.ID, "address", act.Address)
	return fault.New(fault.Unauthorized, "identity.sign_in", "sign_in_failed",
		"E-mail address and password don't go together, or the account can't be used; ask for a new password, or ask an administrator.", nil)
}

// owed is what is left to do for somebody whose password was right, in a session in which a second factor was shown then: to show it, or to get one.
func (s *Service) owed(u account.User, proven time.Time) (prove, enrol bool) {
	has := !u.Factored.IsZero()
	return has && proven.IsZero(), !has && s.Demand.Of(u)
}

// newSession makes a session, in which a second factor was shown then, and the value of its cookie.
func (s *Service) newSession(ctx context.Context, u account.User, proven time.Time) (account.Session, string) {
	caller, now := account.CallerOf(ctx), s.Now()
	last := sessionFor
	if prove, enrol := s.owed(u, proven); prove {
		last = challengeFor
	} else if enrol || u.MustChange {
		last = changeFor
	}
	return account.Session{ID: s.id(), User: u.ID, Created: now, Seen: now, Expires: now.Add(last), Address: caller.Address, Agent: caller.Agent, Proven: proven}, secret()
}

// admission is what a browser receives with a new session of a user whose password has that hash, empty for none. One that has proven all becomes a known device.
func (s *Service) admission(u account.User, hash string, session account.Session, value string) account.Admission {
	a := account.Admission{User: u, Cookie: s.cookie(value, session.Expires)}
	a.MustProve, a.MustEnrol = s.owed(u, session.Proven)
	if !a.MustProve && !u.MustChange {
		a.Device = s.device(u, hash)
	}
	return a
}

// SignOut ends the session that by came with, and returns what is left to do of that.
func (s *Service) SignOut(ctx context.Context, by account.Principal) (account.SignOut, error) {
	if by.Session == "" {
		return account.SignOut{}, needsSession()
	}
	hint, err := s.Store.Leave(ctx, by.ID, by.Session, s.act(ctx, account.SignedOut, by, account.User{ID: by.ID, Email: by.Name}))
	if fault.Is(err, fault.NotFound) {
		err = nil // somebody else ended it a moment ago
	}
	return account.SignOut{Cookie: s.cookie("", time.Time{}), Hint: hint}, err
}

func needsSession() error {
	return fault.New(fault.Forbidden, "identity.session", "session_required", "This is for people who are signed in with a browser; tokens can't do it.", nil)
}

// ChangePassword gives by, who is signed in with a browser, another password. Every session of theirs ends, and a new one begins. fault.Invalid, codes "wrong_password" and
// "weak_password"; fault.Limited, code "try_later"; fault.Conflict, codes "password_changed", where that happened meanwhile, and "external_user" for who has none here.
func (s *Service) ChangePassword(ctx context.Context, by account.Principal, current, fresh string) (account.Admission, error) {
	const op = "identity.password"
	if by.Session == "" {
		return account.Admission{}, needsSession()
	}
	if err := by.Authenticated(); err != nil {
		return account.Admission{}, err
	}
	login, err := s.Store.Account(ctx, by.ID)
	if err != nil {
		return account.Admission{}, err
	}
	if login.Hash == "" {
		return account.Admission{}, fault.New(fault.Conflict, op, "external_user", "You sign in by another issuer and have no password here; change it there.", nil)
	}
	if err := check(fresh, login.Email, login.Name); err != nil {
		return account.Admission{}, err
	}
	if err := s.samePassword(ctx, by, login, current); err != nil {
		return account.Admission{}, err
	}
	if normal(current) == normal(fresh) {
		return account.Admission{}, fault.New(fault.Invalid, op, "weak_password", "This is the password that you have; choose another.", nil)
	}
	hash, err := s.hasher.hash(ctx, fresh)
	if err != nil {
		return account.Admission{}, err
	}
	u := login.User
	u.MustChange, u.State = false, account.Active
	session, value := s.newSession(ctx, u, by.Proven)
	err = s.Store.SetPassword(ctx, account.NewPassword{
		Login: login, Fresh: hash, Session: &session, Hash: digest(value), Forgives: changeStrikes(login.ID), Act: s.act(ctx, account.PasswordChanged, by, login.User),
	})
	if errors.Is(err, video.ErrStale) {
		err = fault.New(fault.Conflict, op, "password_changed", "The password was changed meanwhile; sign in again.", nil)
	}
	if err != nil {
		return account.Admission{}, err
	}
	return s.admission(u, hash, session, value), nil
}

// samePassword counts a try at the password of by, who is signed in, and refuses another one. fault.Invalid, code "wrong_password"; fault.Limited, code "try_later".
func (s *Service) samePassword(ctx context.Context, by account.Principal, login account.Login, password string) error {
	if err := s.admit(ctx, changeStrikes(login.ID), ""); err != nil { // a session is known wherever it is
		return err
	}
	same, _, err := s.hasher.compare(ctx, login.Hash, password, false)
	if err == nil && !same {
		err = errors.Join(fault.New(fault.Invalid, "identity.password", "wrong_password", "The current password is another one; type it again.", nil),
			s.blame(ctx, addressStrikes(account.CallerOf(ctx).Address), s.act(ctx, account.PasswordFailed, by, login.User)))
	}
	return err
}

package identity

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Authenticate returns who a request's personal token or cookie stands for. ok is false where it carries neither; a bearer token that isn't a personal one is another's
// matter, and so is the cookie beside it. fault.Unauthorized, code "unauthorized", where what it carries is no good any more.
func (s *Service) Authenticate(r *http.Request) (p account.Principal, ok bool, err error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ") // a scheme's name has no case (RFC 9110 §11.1)
		if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, patPrefix) {
			return p, false, nil
		}
		p, err = s.byToken(r.Context(), token)
		return p, true, err
	}
	c, err := r.Cookie(s.Config.Cookie)
	if err != nil || c.Value == "" {
		return p, false, nil
	}
	p, err = s.bySession(r.Context(), c.Value)
	return p, true, err
}

func unknown(message string) error {
	return fault.New(fault.Unauthorized, "identity.authenticate", "unauthorized", message, nil)
}

func (s *Service) bySession(ctx context.Context, cookie string) (account.Principal, error) {
	session, u, err := s.Store.Session(ctx, digest(cookie))
	now := s.Now()
	if fault.Is(err, fault.NotFound) || err == nil && (!session.Expires.After(now) || now.Sub(session.Seen) > idleFor || u.State == account.Disabled) {
		return account.Principal{}, unknown("The session is over; sign in again.")
	}
	if err != nil {
		return account.Principal{}, err
	}
	if now.Sub(session.Seen) >= seenEvery {
		if err := s.Store.SeeSession(ctx, session.ID, now); err != nil {
			return account.Principal{}, err
		}
	}
	p := principal(u, account.AllScopes())
	p.Session, p.SignedIn, p.Proven = session.ID, session.Created, session.Proven
	p.MustProve, p.MustEnrol = s.owed(u, session.Proven)
	return p, nil
}

func (s *Service) byToken(ctx context.Context, token string) (account.Principal, error) {
	k, u, err := s.Store.Token(ctx, digest(token))
	now := s.Now()
	if fault.Is(err, fault.NotFound) || err == nil && (!k.Expires.After(now) || u.State != account.Active) {
		return account.Principal{}, unknown("The token was revoked, has expired, or its user is disabled; make another.")
	}
	if err != nil {
		return account.Principal{}, err
	}
	if now.Sub(k.Used) >= seenEvery {
		if err := s.Store.SeeToken(ctx, k.ID, now); err != nil {
			return account.Principal{}, err
		}
	}
	return principal(u, k.Scopes), nil
}

// whose returns the user that by asks about: another one's sessions and tokens are for administrators, one's own for who is signed in with a browser.
func (s *Service) whose(ctx context.Context, by account.Principal, user string) (account.User, error) {
	if err := by.Settled(); err != nil {
		return account.User{}, err
	}
	if user == "" || user == by.ID {
		if by.Session == "" {
			return account.User{}, needsSession()
		}
		return account.User{ID: by.ID, Email: by.Name}, nil
	}
	if err := by.Allow(account.UsersAdmin); err != nil {
		return account.User{}, err
	}
	login, err := s.Store.Account(ctx, user)
	return login.User, err
}

// CurrentSession returns the session that by came with. fault.Forbidden, code "session_required", where they came by other means.
func (s *Service) CurrentSession(ctx context.Context, by account.Principal) (account.Session, error) {
	if by.Session == "" {
		return account.Session{}, needsSession()
	}
	all, err := s.Store.Sessions(ctx, by.ID)
	if err != nil {
		return account.Session{}, err
	}
	for _, one := range all {
		if one.ID == by.Session {
			return one, nil
		}
	}
	return account.Session{}, unknown("The session is over; sign in again.")
}

// Sessions returns the sessions of by, or of another user, the newest first.
func (s *Service) Sessions(ctx context.Context, by account.Principal, user string) ([]account.Session, error) {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Sessions(ctx, u.ID)
	live := all[:0]
	for _, one := range all {
		if now := s.Now(); one.Expires.After(now) && now.Sub(one.Seen) <= idleFor {
			live = append(live, one)
		}
	}
	return live, err
}

// EndSession ends a session of by, or of another user. fault.NotFound, code "no_session".
func (s *Service) EndSession(ctx context.Context, by account.Principal, user, id string) error {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return err
	}
	return s.Store.EndSession(ctx, u.ID, id, s.act(ctx, account.SessionEnded, by, u, "session", id))
}

// EndSessions ends all sessions of by but the one they came with, or all of another user.
func (s *Service) EndSessions(ctx context.Context, by account.Principal, user string) error {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return err
	}
	but := ""
	if u.ID == by.ID {
		but = by.Session
	}
	return s.Store.EndSessions(ctx, u.ID, but, s.act(ctx, account.SessionEnded, by, u, "session", "all others"))
}

// Tokens returns the personal tokens of by, or of another user, the newest first.
func (s *Service) Tokens(ctx context.Context, by account.Principal, user string) ([]account.Token, error) {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return nil, err
	}
	return s.Store.Tokens(ctx, u.ID)
}

// MakeToken makes a personal token of by and returns it with the token itself, which nobody can read again. It expires in 90 days where expires is zero. fault.Forbidden,
// code "session_required" or, for a scope that the user's role lacks, "missing_scope"; fault.Invalid, code "bad_expiry"; fault.Conflict, code "too_many_tokens".
func (s *Service) MakeToken(ctx context.Context, by account.Principal, k account.Token) (account.Token, string, error) {
	const op = "identity.token"
	u, err := s.whose(ctx, by, "")
	if err != nil {
		return k, "", err
	}
	now := s.Now()
	if k.Expires.IsZero() {
		k.Expires = now.Add(tokenFor)
	}
	if !k.Expires.After(now) || k.Expires.After(now.Add(longestToken)) {
		return k, "", fault.New(fault.Invalid, op, "bad_expiry", "A token's end lies in the future, and no more than 366 days away; name another day.", nil)
	}
	for _, scope := range k.Scopes {
		if err := by.Allow(scope); err != nil {
			return k, "", err
		}
	}
	k.ID, k.User, k.Created = s.id(), u.ID, now
	token := patPrefix + secret()
	err = s.Store.AddToken(ctx, account.NewToken{
		Token: k, Hash: digest(token), Session: by.Session, Most: mostTokens,
		Act: s.act(ctx, account.TokenMade, by, u, "token", k.ID, "name", k.Name, "scopes", k.Scopes.String()),
	})
	if errors.Is(err, video.ErrStale) {
		err = unknown("The session is over; sign in again.")
	}
	return k, token, err
}

// RevokeToken ends a personal token of by, or of another user. fault.NotFound, code "no_token".
func (s *Service) RevokeToken(ctx context.Context, by account.Principal, user, id string) error {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return err
	}
	return s.Store.RevokeToken(ctx, u.ID, id, s.act(ctx, account.TokenRevoked, by, u, "token", id))
}

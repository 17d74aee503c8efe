package identity

import (
	"context"
	"strings"
	"time"

	"sluice/internal/account"
)

// Admit opens a session for somebody whom an external issuer has signed in. They are a user of this server from then on, with the role and the workspaces that the issuer
// tells at each sign-in; nobody who has a password here becomes one of them, whatever their e-mail address. A session that the browser had ends. fault.Forbidden, code
// "user_disabled".
func (s *Service) Admit(ctx context.Context, who account.ExternalUser) (account.Admission, error) {
	u := account.User{ID: who.ID, Email: who.Email, Name: who.Name, Role: who.Role, State: account.Active, Workspaces: who.Workspaces}
	session, value := s.newSession(ctx, u, time.Time{})
	session.Expires = session.Created.Add(externalFor)
	session.Party, session.Hint = who.Party, who.Hint
	entry := account.SignIn{User: u, Session: session, Hash: digest(value),
		Act: s.act(ctx, account.SignedIn, self(u), u, "issuer", who.Issuer, "role", string(u.Role), "workspaces", strings.Join(u.Workspaces, " "))}
	if old := account.CallerOf(ctx).Cookie; old != "" {
		entry.Ends = digest(old)
	}
	if err := s.Store.Enter(ctx, entry); err != nil {
		return account.Admission{}, err
	}
	return s.admission(u, "", session, value), nil
}

// Refused records that a sign-in by an external issuer failed, and by which code, and reports whether it did: strangers can fail as often as they like, so of an address that
// does, no more is recorded than where passwords are guessed. It keeps nobody out.
func (s *Service) Refused(ctx context.Context, who account.ExternalUser, code string) (recorded bool, err error) {
	act := s.act(ctx, account.SignInFailed, account.Principal{}, account.User{ID: who.ID, Email: who.Email}, "issuer", who.Issuer, "code", code)
	now := act.Time
	err = s.Store.Strike(ctx, []string{visitStrikes(act.Address)}, func(_ string, was account.FailureCount) account.FailureCount {
		if recorded = !was.Until.After(now); !recorded {
			act.What = ""
			return was
		}
		return perAddress.strike(was, now)
	}, &act)
	return recorded, err
}

// Expel ends the sessions of somebody who has signed out at the external issuer, as that says, and returns how many.
func (s *Service) Expel(ctx context.Context, issuer string, e account.BackchannelLogout) (int, error) {
	e.Act = s.act(ctx, account.SessionEnded, account.Principal{}, account.User{}, "session", "of the issuer", "issuer", issuer)
	return s.Store.Expel(ctx, e)
}

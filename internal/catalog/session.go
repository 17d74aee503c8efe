package catalog

import (
	"context"
	"slices"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/fault"
)

// Strike reads the strikes of these names, has change say what they are then, and records an act where there is one that change has not emptied, all at once: of several that
// ask side by side, each sees what the others made of it.
func (s *Store) Strike(ctx context.Context, names []string, change func(name string, was account.FailureCount) account.FailureCount, act *account.AuditEntry) error {
	names = slices.Clone(names)
	slices.Sort(names) // locks are taken in one order
	return s.write(ctx, func(t tx) error {
		for _, name := range slices.Compact(names) {
			row, err := t.LockStrike(ctx, name)
			if err != nil {
				return err
			}
			was := account.FailureCount{Count: int(row.Count), Last: timeOf(row.Last), Until: timeOf(row.Until)}
			if now := change(name, was); now != was {
				if err := t.SetStrike(ctx, sqlc.SetStrikeParams{Name: name, Count: int64(now.Count), Last: millis(now.Last), Until: millis(now.Until)}); err != nil {
					return err
				}
			}
		}
		if act == nil || act.What == "" {
			return nil
		}
		return t.act(ctx, *act)
	})
}

// millis is epoch milliseconds; 0 for the zero time.
func millis(at time.Time) int64 {
	if at.IsZero() {
		return 0
	}
	return at.UnixMilli()
}

// Open opens a session. video.ErrStale where the password is not the one that was compared any more, the user was disabled or removed, or the password was a
// temporary one that was used: of many that try it at once, one opens a session.
func (s *Store) Open(ctx context.Context, o account.NewSession) error {
	return s.write(ctx, func(t tx) error {
		now := o.Session.Created.UnixMilli()
		if err := fenced(t.SignIn(ctx, sqlc.SignInParams{Rehashed: o.Rehashed, Now: now, ID: o.Login.ID, Secret: o.Login.Hash})); err != nil {
			return err
		}
		if !o.Login.Temporary.IsZero() { // it opens nothing more, so nobody needs to read it
			if err := t.VoidLetters(ctx, sqlc.VoidLettersParams{Now: now, Account: o.Login.ID}); err != nil {
				return err
			}
		}
		if o.Ends != "" {
			if err := t.RemoveSessionByHash(ctx, o.Ends); err != nil {
				return err
			}
		}
		if err := t.admit(ctx, o.Session, o.Hash); err != nil {
			return err
		}
		if err := t.forgive(ctx, o.Forgives); err != nil {
			return err
		}
		return t.act(ctx, o.Act)
	})
}

// Enter opens a session for somebody whom an external issuer has signed in. Their account is made, or becomes what the issuer tells: role, names, and those of the workspaces that are
// here. fault.Forbidden, code "user_disabled".
func (s *Store) Enter(ctx context.Context, e account.SignIn) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.LockAccounts(ctx); err != nil { // workspaces stay while this looks at them
			return err
		}
		u := e.User
		rows, err := t.PutVisitor(ctx, sqlc.PutVisitorParams{ID: u.ID, Email: u.Email, Name: u.Name, Role: string(u.Role), Created: e.Session.Created.UnixMilli()})
		if err != nil {
			return err
		}
		if rows == 0 {
			return fault.New(fault.Forbidden, "catalog.enter", "user_disabled", "Your account here is disabled; ask an administrator.", nil)
		}
		if err := t.RemoveMembers(ctx, u.ID); err != nil {
			return err
		}
		for _, w := range u.Workspaces {
			if _, err := t.AddMember(ctx, sqlc.AddMemberParams{Account: u.ID, Workspace: w}); err != nil {
				return err
			}
		}
		if e.Ends != "" {
			if err := t.RemoveSessionByHash(ctx, e.Ends); err != nil {
				return err
			}
		}
		if err := t.admit(ctx, e.Session, e.Hash); err != nil {
			return err
		}
		return t.act(ctx, e.Act)
	})
}

func (t tx) admit(ctx context.Context, s account.Session, hash string) error {
	return t.InsertSession(ctx, sqlc.InsertSessionParams{
		ID: s.ID, Hash: hash, Account: s.User, Created: s.Created.UnixMilli(), Expires: s.Expires.UnixMilli(), Address: s.Address, Agent: s.Agent,
		Proven: millis(s.Proven), Party: s.Party, Hint: s.Hint,
	})
}

// Session returns the session whose cookie has that hash, with its user as they are now. fault.NotFound, code "no_session", where there is none.
func (s *Store) Session(ctx context.Context, hash string) (found account.Session, u account.User, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.SessionByHash(ctx, hash)
		if err != nil {
			return absent(err, noSession())
		}
		found = sessionOf(sqlc.SessionsOfRow{ID: row.ID, Account: row.Owner, Created: row.Created, Seen: row.Seen, Expires: row.Expires, Address: row.Address, Agent: row.Agent,
			Proven: row.Proven, Offer: row.Offer, Offered: row.Offered})
		u = loginOf(row.Account, row.Workspaces).User
		return nil
	})
	return found, u, err
}

func sessionOf(r sqlc.SessionsOfRow) account.Session {
	return account.Session{ID: r.ID, User: r.Account, Created: timeOf(r.Created), Seen: timeOf(r.Seen), Expires: timeOf(r.Expires), Address: r.Address, Agent: r.Agent,
		Proven: timeOf(r.Proven), Offer: r.Offer, Offered: timeOf(r.Offered)}
}

func noSession() error {
	return fault.New(fault.NotFound, "catalog.session", "no_session", "There is no such session; look at the list of sessions.", nil)
}

// SeeSession notes that a session was used.
func (s *Store) SeeSession(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, func(t tx) error { return t.SeeSession(ctx, sqlc.SeeSessionParams{ID: id, Seen: now.UnixMilli()}) })
}

// Sessions returns the sessions of a user, the newest first.
func (s *Store) Sessions(ctx context.Context, user string) (all []account.Session, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.SessionsOf(ctx, user)
		for _, r := range rows {
			all = append(all, sessionOf(r))
		}
		return err
	})
	return all, err
}

// EndSession ends a session of a user. fault.NotFound, code "no_session", where they have none of that id.
func (s *Store) EndSession(ctx context.Context, user, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		rows, err := t.RemoveSession(ctx, sqlc.RemoveSessionParams{Account: user, ID: id})
		if err != nil {
			return err
		}
		if rows == 0 {
			return noSession()
		}
		return t.act(ctx, act)
	})
}

// Leave ends the session that a user signs out of, and returns what it takes to sign out at its issuer too. fault.NotFound, code "no_session", where they have none of that id.
func (s *Store) Leave(ctx context.Context, user, id string, act account.AuditEntry) (hint string, err error) {
	err = s.write(ctx, func(t tx) error {
		if hint, err = t.LeaveSession(ctx, sqlc.LeaveSessionParams{Account: user, ID: id}); err != nil {
			return absent(err, noSession())
		}
		return t.act(ctx, act)
	})
	return hint, err
}

// Expel ends sessions of somebody who has signed out at the external issuer, and returns how many. One that is told once more ends none: it may be another's telling.
func (s *Store) Expel(ctx context.Context, e account.BackchannelLogout) (ended int, err error) {
	err = s.write(ctx, func(t tx) error {
		if err := t.SweepDenied(ctx, t.now); err != nil {
			return err
		}
		if rows, err := t.DenyOnce(ctx, sqlc.DenyOnceParams{ID: e.Token, Expires: e.Expires.UnixMilli()}); err != nil || rows == 0 {
			return err
		}
		whose, err := t.LeaveByIssuer(ctx, sqlc.LeaveByIssuerParams{Party: e.Party, Account: e.User})
		if err != nil {
			return err
		}
		ended = len(whose)
		slices.Sort(whose)
		for _, id := range slices.Compact(whose) {
			row, err := t.Account(ctx, id)
			if err := absent(err, nil); err != nil {
				return err
			}
			act := e.Act
			act.User, act.UserName = id, row.Account.Email
			if err := t.act(ctx, act); err != nil {
				return err
			}
		}
		return nil
	})
	return ended, err
}

// EndSessions ends all sessions of a user but one, which may be none.
func (s *Store) EndSessions(ctx context.Context, user, but string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.RemoveSessionsBut(ctx, sqlc.RemoveSessionsButParams{Account: user, ID: but}); err != nil {
			return err
		}
		return t.act(ctx, act)
	})
}

// SetPassword gives a user a password of their own and ends every session. video.ErrStale where what it rests upon has changed since it was compared: the old
// password, or the code, which one of many wins.
func (s *Store) SetPassword(ctx context.Context, p account.NewPassword) error {
	return s.write(ctx, func(t tx) error {
		now := p.Act.Time
		if p.Code != "" {
			if err := fenced(t.TakeResetCode(ctx, sqlc.TakeResetCodeParams{Hash: p.Code, Expires: now.UnixMilli()})); err != nil {
				return err
			}
		}
		if err := fenced(t.Queries.SetPassword(ctx, sqlc.SetPasswordParams{Fresh: p.Fresh, ID: p.Login.ID, Secret: p.Login.Hash})); err != nil {
			return err
		}
		if err := t.shut(ctx, p.Login.ID, now, false); err != nil {
			return err
		}
		if p.Session != nil {
			if err := t.admit(ctx, *p.Session, p.Hash); err != nil {
				return err
			}
		}
		if p.Forgives != "" {
			if err := t.RemoveStrike(ctx, p.Forgives); err != nil {
				return err
			}
		}
		if err := t.act(ctx, p.Act); err != nil || p.Login.State == account.Invited {
			return err // who accepts an invitation needn't be told
		}
		return t.write(ctx, account.Message{Kind: account.ChangedLetter, User: p.Login.ID, Address: p.Login.Email, Created: now})
	})
}

// OfferCode replaces a user's code for a new password, writes the letter that tells it, and completes the job that asks for it. Nothing but the job changes where
// nobody has that e-mail address, or the user is disabled, signs in by another issuer, or was invited and their temporary password has expired.
func (s *Store) OfferCode(ctx context.Context, email, hash string, l account.Message, act account.AuditEntry, done engine.Handle) error {
	return s.write(ctx, func(t tx) error {
		row, err := t.AccountByAddress(ctx, fold(email))
		if err := absent(err, nil); err != nil {
			return err
		}
		has := loginOf(row.Account, row.Workspaces)
		if err == nil && has.Hash != "" && (has.State == account.Active || has.State == account.Invited && has.Temporary.After(l.Created)) {
			if err := t.offer(ctx, has, hash, l, act); err != nil {
				return err
			}
		}
		return t.complete(ctx, done)
	})
}

func (t tx) offer(ctx context.Context, to account.Login, hash string, l account.Message, act account.AuditEntry) error {
	if err := t.PutResetCode(ctx, sqlc.PutResetCodeParams{Account: to.ID, Hash: hash, Expires: l.Expires.UnixMilli()}); err != nil {
		return err
	}
	if err := t.VoidForgottenLetters(ctx, sqlc.VoidForgottenLettersParams{Now: l.Created.UnixMilli(), Account: to.ID}); err != nil {
		return err
	}
	act.User, act.UserName = to.ID, to.Email
	if err := t.act(ctx, act); err != nil {
		return err
	}
	l.User, l.Address = to.ID, to.Email
	return t.write(ctx, l)
}

// CodeOwner returns the user who may get a new password by the code of that hash. fault.NotFound, code "no_user", where it is no good.
func (s *Store) CodeOwner(ctx context.Context, hash string, now time.Time) (l account.Login, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		code, err := q.ResetCode(ctx, sqlc.ResetCodeParams{Hash: hash, Expires: now.UnixMilli()})
		if err != nil {
			return absent(err, noUser())
		}
		row, err := q.Account(ctx, code.Account)
		if err == nil {
			l = loginOf(row.Account, row.Workspaces)
		}
		return absent(err, noUser())
	})
	return l, err
}

// AddToken adds a personal token of a user. fault.Conflict, code "too_many_tokens", where they have as many as they may; video.ErrStale where the session that asked
// for it has ended: a request that was under way while all tokens of its user ended leaves none behind.
func (s *Store) AddToken(ctx context.Context, made account.NewToken) error {
	k := made.Token
	return s.write(ctx, func(t tx) error {
		row, err := t.LockAccount(ctx, k.User)
		if err != nil {
			return absent(err, noUser())
		}
		if err := t.living(ctx, row.ID, made.Session); err != nil {
			return err
		}
		n, err := t.CountTokens(ctx, row.ID)
		if err != nil {
			return err
		}
		if int(n) >= made.Most {
			return fault.New(fault.Conflict, "catalog.token", "too_many_tokens", "You have as many tokens as you may; revoke one first.", nil)
		}
		if err := t.InsertToken(ctx, sqlc.InsertTokenParams{
			ID: k.ID, Hash: made.Hash, Account: k.User, Name: k.Name, Scopes: k.Scopes.String(), Created: k.Created.UnixMilli(), Expires: k.Expires.UnixMilli(),
		}); err != nil {
			return err
		}
		return t.act(ctx, made.Act)
	})
}

func tokenOf(r sqlc.Token) account.Token {
	return account.Token{ID: r.ID, User: r.Account, Name: r.Name, Scopes: account.ParseScopes(r.Scopes), Created: timeOf(r.Created), Expires: timeOf(r.Expires), Used: timeOf(r.Used)}
}

func noToken() error {
	return fault.New(fault.NotFound, "catalog.token", "no_token", "There is no such token; look at the list of tokens.", nil)
}

// Token returns the token of that hash, with its user as they are now. fault.NotFound, code "no_token", where there is none.
func (s *Store) Token(ctx context.Context, hash string) (k account.Token, u account.User, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.TokenByHash(ctx, hash)
		if err != nil {
			return absent(err, noToken())
		}
		k, u = tokenOf(row.Token), loginOf(row.Account, row.Workspaces).User
		return nil
	})
	return k, u, err
}

// SeeToken notes that a token was used.
func (s *Store) SeeToken(ctx context.Context, id string, now time.Time) error {
	return s.write(ctx, func(t tx) error { return t.SeeToken(ctx, sqlc.SeeTokenParams{ID: id, Used: now.UnixMilli()}) })
}

// Tokens returns the tokens of a user, the newest first.
func (s *Store) Tokens(ctx context.Context, user string) (all []account.Token, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.TokensOf(ctx, user)
		for _, r := range rows {
			all = append(all, tokenOf(r))
		}
		return err
	})
	return all, err
}

// RevokeToken ends a token of a user. fault.NotFound, code "no_token", where they have none of that id.
func (s *Store) RevokeToken(ctx context.Context, user, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		rows, err := t.RemoveToken(ctx, sqlc.RemoveTokenParams{Account: user, ID: id})
		if err != nil {
			return err
		}
		if rows == 0 {
			return noToken()
		}
		return t.act(ctx, act)
	})
}

// Prune forgets what has expired, and takes what was erased out of the database's files.
func (s *Store) Prune(ctx context.Context, e account.Expired) error {
	err := s.prune(ctx, e)
	if err == nil {
		s.scrub(ctx)
	}
	return err
}

func (s *Store) prune(ctx context.Context, e account.Expired) error {
	return s.write(ctx, func(t tx) error {
		before := func(d time.Duration) int64 { return e.Now.Add(-d).UnixMilli() }
		now := before(0)
		for _, prune := range []func() error{
			func() error { return t.PruneSessions(ctx, sqlc.PruneSessionsParams{Now: now, Idle: before(e.Idle)}) },
			func() error { return t.PruneTokens(ctx, now) },
			func() error { return t.PruneResetCodes(ctx, now) },
			func() error { return t.PruneStrikes(ctx, before(e.Strikes)) },
			func() error { return t.VoidExpiredLetters(ctx, now) },
			func() error { return t.PruneLetters(ctx, before(e.Letters)) },
			func() error {
				return t.PruneAudit(ctx, sqlc.PruneAuditParams{Before: before(e.Acts), Failures: before(e.Failures)})
			},
		} {
			if err := prune(); err != nil {
				return err
			}
		}
		return nil
	})
}

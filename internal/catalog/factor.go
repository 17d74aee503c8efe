package catalog

import (
	"context"
	"slices"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// spend takes the second factor that somebody has shown, for this transaction alone: of several that show the same, one goes on. video.ErrStale where it was taken
// before. The user's row is locked then. Who has none shows none. That password, factor and user are those that were compared, the session tells that asks: all of a
// user's end with a change of any.
func (t tx) spend(ctx context.Context, l account.Login, shown account.SecondFactorProof) error {
	row, err := t.LockAccount(ctx, l.ID)
	if err != nil {
		return absent(err, video.ErrStale)
	}
	switch {
	case row.Factor == "":
		return nil
	case shown.Recovery != "":
		return fenced(t.TakeRecoveryCode(ctx, sqlc.TakeRecoveryCodeParams{Account: l.ID, Hash: shown.Recovery}))
	case shown.Step <= row.Step:
		return video.ErrStale
	default:
		return t.TakeStep(ctx, sqlc.TakeStepParams{ID: l.ID, Step: shown.Step})
	}
}

// told writes the letter that tells that a recovery code was used.
func (t tx) told(ctx context.Context, l account.Login, shown account.SecondFactorProof, now time.Time) error {
	if shown.Recovery == "" {
		return nil
	}
	return t.write(ctx, account.Message{Kind: account.RecoveryLetter, User: l.ID, Address: l.Email, Created: now})
}

// living wants a session that has not ended.
func (t tx) living(ctx context.Context, user, session string) error {
	open, err := t.SessionsOf(ctx, user)
	if err == nil && !slices.ContainsFunc(open, func(s sqlc.SessionsOfRow) bool { return s.ID == session }) {
		err = video.ErrStale
	}
	return err
}

func (t tx) forgive(ctx context.Context, names []string) error {
	for _, name := range names {
		if err := t.RemoveStrike(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// Prove opens a session for who has shown a second factor, in the place of the one that waited for it. video.ErrStale where that has ended, or what was shown was
// used before: of many that show the same code at once, one opens a session.
func (s *Store) Prove(ctx context.Context, p account.Proof) error {
	return s.write(ctx, func(t tx) error {
		if err := t.spend(ctx, p.Login, p.Shown); err != nil {
			return err
		}
		if err := fenced(t.RemoveSession(ctx, sqlc.RemoveSessionParams{Account: p.Login.ID, ID: p.Waited})); err != nil {
			return err
		}
		if err := t.admit(ctx, p.Session, p.Hash); err != nil {
			return err
		}
		if err := t.SeeSignIn(ctx, sqlc.SeeSignInParams{ID: p.Login.ID, SignedIn: p.Act.Time.UnixMilli()}); err != nil {
			return err
		}
		if err := t.forgive(ctx, p.Forgives); err != nil {
			return err
		}
		if err := t.told(ctx, p.Login, p.Shown, p.Act.Time); err != nil {
			return err
		}
		return t.act(ctx, p.Act)
	})
}

// OfferFactor keeps a second factor for a session, until its first code is shown there. One that it was offered before is gone. video.ErrStale where the session has ended, or
// what was shown was used before.
func (s *Store) OfferFactor(ctx context.Context, o account.SecondFactorSetup) error {
	return s.write(ctx, func(t tx) error {
		if err := t.spend(ctx, o.Login, o.Shown); err != nil {
			return err
		}
		if err := t.told(ctx, o.Login, o.Shown, o.Time); err != nil {
			return err
		}
		if err := fenced(t.Queries.OfferFactor(ctx, sqlc.OfferFactorParams{Account: o.Login.ID, ID: o.Session, Offer: o.Sealed, Offered: o.Time.UnixMilli()})); err != nil {
			return err
		}
		return t.forgive(ctx, o.Forgives)
	})
}

// SetFactor gives a user the second factor that their session was offered, and recovery codes; every session ends, and another begins. video.ErrStale where the session or
// its offer is gone.
func (s *Store) SetFactor(ctx context.Context, f account.NewFactor) error {
	return s.write(ctx, func(t tx) error {
		id, now := f.Login.ID, f.Act.Time
		if _, err := t.LockAccount(ctx, id); err != nil {
			return absent(err, video.ErrStale)
		}
		if err := fenced(t.TakeOffer(ctx, sqlc.TakeOfferParams{Account: id, ID: f.Asked.ID, Offer: f.Asked.Offer})); err != nil {
			return err
		}
		if err := t.Queries.SetFactor(ctx, sqlc.SetFactorParams{ID: id, Factor: f.Factor.Sealed, Factored: now.UnixMilli(), Step: f.Factor.Step}); err != nil {
			return err
		}
		if err := t.recover(ctx, id, f.Codes); err != nil {
			return err
		}
		if err := t.turn(ctx, id, f.Session, f.Hash); err != nil {
			return err
		}
		if err := t.act(ctx, f.Act); err != nil {
			return err
		}
		return t.write(ctx, account.Message{Kind: account.FactorSetLetter, User: id, Address: f.Login.Email, Created: now})
	})
}

// turn ends all sessions of a user, and opens another.
func (t tx) turn(ctx context.Context, id string, next account.Session, hash string) error {
	if _, err := t.RemoveSessionsBut(ctx, sqlc.RemoveSessionsButParams{Account: id}); err != nil {
		return err
	}
	return t.admit(ctx, next, hash)
}

// recover gives a user these recovery codes and no others.
func (t tx) recover(ctx context.Context, id string, hashes []string) error {
	if err := t.RemoveRecoveryCodes(ctx, id); err != nil {
		return err
	}
	for _, hash := range hashes {
		if err := t.InsertRecoveryCode(ctx, sqlc.InsertRecoveryCodeParams{Account: id, Hash: hash}); err != nil {
			return err
		}
	}
	return nil
}

// unfactor takes a user's second factor, and the recovery codes. It reports whether they had one. Their row is locked.
func (t tx) unfactor(ctx context.Context, row sqlc.Account) (bool, error) {
	if row.Factor == "" {
		return false, nil
	}
	if err := t.Queries.SetFactor(ctx, sqlc.SetFactorParams{ID: row.ID}); err != nil {
		return true, err
	}
	return true, t.recover(ctx, row.ID, nil)
}

// SetCodes gives a user other recovery codes. video.ErrStale where the session that asked has ended, or what was shown was used before.
func (s *Store) SetCodes(ctx context.Context, c account.NewCodes) error {
	return s.write(ctx, func(t tx) error {
		if err := t.spend(ctx, c.Login, c.Shown); err != nil {
			return err
		}
		if err := t.living(ctx, c.Login.ID, c.Session); err != nil {
			return err
		}
		if err := t.recover(ctx, c.Login.ID, c.Codes); err != nil {
			return err
		}
		if err := t.forgive(ctx, c.Forgives); err != nil {
			return err
		}
		return t.act(ctx, c.Act)
	})
}

// EndFactor takes a user's second factor because they said so; every session ends, and another begins. video.ErrStale where the session that asked has ended, or what was shown was
// used before.
func (s *Store) EndFactor(ctx context.Context, e account.FactorEnd) error {
	return s.write(ctx, func(t tx) error {
		if err := t.spend(ctx, e.Login, e.Shown); err != nil {
			return err
		}
		if err := t.living(ctx, e.Login.ID, e.Asked); err != nil {
			return err
		}
		row, err := t.LockAccount(ctx, e.Login.ID)
		if err != nil {
			return err
		}
		if _, err := t.unfactor(ctx, row); err != nil {
			return err
		}
		if err := t.turn(ctx, e.Login.ID, e.Session, e.Hash); err != nil {
			return err
		}
		if err := t.forgive(ctx, e.Forgives); err != nil {
			return err
		}
		if err := t.act(ctx, e.Act); err != nil {
			return err
		}
		return t.write(ctx, account.Message{Kind: account.FactorEndLetter, User: e.Login.ID, Address: e.Login.Email, Created: e.Act.Time})
	})
}

// ResetFactor takes a user's second factor, ends their sessions and tells them by a letter. fault.NotFound, code "no_user"; fault.Conflict, code "no_factor".
func (s *Store) ResetFactor(ctx context.Context, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		row, err := t.LockAccount(ctx, id)
		if err != nil {
			return absent(err, noUser())
		}
		had, err := t.unfactor(ctx, row)
		if err != nil {
			return err
		}
		if !had {
			return noFactor()
		}
		if _, err := t.RemoveSessionsBut(ctx, sqlc.RemoveSessionsButParams{Account: id}); err != nil {
			return err
		}
		if err := t.act(ctx, act); err != nil {
			return err
		}
		return t.write(ctx, account.Message{Kind: account.FactorEndLetter, User: id, Address: row.Email, Created: act.Time})
	})
}

func noFactor() error {
	return fault.New(fault.Conflict, "catalog.factor", "no_factor", "There is no second factor; set one up first.", nil)
}

// CodesLeft returns how many recovery codes a user has.
func (s *Store) CodesLeft(ctx context.Context, id string) (left int, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		n, err := q.CountRecoveryCodes(ctx, id)
		left = int(n)
		return err
	})
	return left, err
}

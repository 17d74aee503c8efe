package catalog

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
)

// How long what is over is kept.
const (
	keepCodes  = 24 * time.Hour // codes, so that a late second use is still known for one
	keepGrants = 24 * time.Hour // ended grants: longer than any access token of theirs is good
)

// mostClients bounds the list that the API answers with in one piece.
const mostClients = 1000

// AddClient keeps a client. fault.Conflict, code "too_many_clients", where there are as many as may be.
func (s *Store) AddClient(ctx context.Context, c account.Client, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		n, err := t.CountClients(ctx)
		if err != nil {
			return err
		}
		if n >= mostClients {
			return fault.New(fault.Conflict, "catalog.client", "too_many_clients", "There are as many clients as may be; remove one.", nil)
		}
		redirects, logouts, workspaces, err := lists(c)
		if err != nil {
			return err
		}
		err = t.InsertClient(ctx, sqlc.InsertClientParams{
			ID: c.ID, Name: c.Name, Kind: string(c.Kind), Secret: c.Secret, Redirects: redirects, Logouts: logouts,
			Scopes: c.Scopes.String(), Role: string(c.Role), Workspaces: workspaces, Created: c.Created.UnixMilli(), Rotated: millis(c.Rotated),
		})
		if err != nil {
			return err
		}
		return t.act(ctx, act)
	})
}

func lists(c account.Client) (redirects, logouts, workspaces string, err error) {
	redirects, err1 := marshal(c.Redirects)
	logouts, err2 := marshal(c.Logouts)
	workspaces, err3 := marshal(c.Workspaces)
	return redirects, logouts, workspaces, errors.Join(err1, err2, err3)
}

func clientOf(r sqlc.OauthClient) (account.Client, error) {
	c := account.Client{
		ID: r.ID, Name: r.Name, Kind: account.ClientKind(r.Kind), Secret: r.Secret, Scopes: account.ParseScopes(r.Scopes), Role: account.Role(r.Role),
		Created: timeOf(r.Created), Rotated: timeOf(r.Rotated),
	}
	err := errors.Join(unmarshal(r.Redirects, &c.Redirects), unmarshal(r.Logouts, &c.Logouts), unmarshal(r.Workspaces, &c.Workspaces))
	return c, err
}

func noClient(op string) error {
	return fault.New(fault.NotFound, op, "no_client", "There is no such client; check its id.", nil)
}

// Clients returns all clients, by name.
func (s *Store) Clients(ctx context.Context) ([]account.Client, error) {
	var all []account.Client
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Clients(ctx)
		for _, r := range rows {
			c, bad := clientOf(r)
			all, err = append(all, c), errors.Join(err, bad)
		}
		return err
	})
	return all, err
}

// Client returns one client. fault.NotFound, code "no_client", where there is none.
func (s *Store) Client(ctx context.Context, id string) (c account.Client, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		r, err := q.Client(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			return noClient("catalog.client")
		}
		if err == nil {
			c, err = clientOf(r)
		}
		return err
	})
	return c, err
}

// EditClient changes a client and returns it as it is then. fault.NotFound, code "no_client", where there is none.
func (s *Store) EditClient(ctx context.Context, id string, edit account.ClientEdit, act account.AuditEntry) (c account.Client, err error) {
	err = s.write(ctx, func(t tx) error {
		r, err := t.LockClient(ctx, id)
		if errors.Is(err, sql.ErrNoRows) {
			return noClient("catalog.client")
		}
		if err != nil {
			return err
		}
		if c, err = clientOf(r); err != nil {
			return err
		}
		c = edit.Apply(c, timeOf(t.now))
		redirects, logouts, workspaces, err := lists(c)
		if err != nil {
			return err
		}
		err = t.UpdateClient(ctx, sqlc.UpdateClientParams{
			ID: id, Name: c.Name, Redirects: redirects, Logouts: logouts, Scopes: c.Scopes.String(), Role: string(c.Role), Workspaces: workspaces,
			Secret: c.Secret, Rotated: millis(c.Rotated),
		})
		if err != nil {
			return err
		}
		return t.act(ctx, act)
	})
	return c, err
}

// RemoveClient removes a client and ends what people gave it. fault.NotFound, code "no_client", where there is none.
func (s *Store) RemoveClient(ctx context.Context, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		rows, err := t.Queries.RemoveClient(ctx, id)
		if err != nil {
			return err
		}
		if rows == 0 {
			return noClient("catalog.client")
		}
		if err := t.EndGrantsOfClient(ctx, sqlc.EndGrantsOfClientParams{Client: id, Ended: t.now}); err != nil {
			return err
		}
		return t.act(ctx, act)
	})
}

// PutCode keeps a code, and forgets those that are long over.
func (s *Store) PutCode(ctx context.Context, c account.Code) error {
	return s.write(ctx, func(t tx) error {
		if err := t.SweepCodes(ctx, t.now-keepCodes.Milliseconds()); err != nil {
			return err
		}
		return t.InsertCode(ctx, sqlc.InsertCodeParams{
			Hash: c.Hash, Client: c.Client, Account: c.User, Redirect: c.Redirect, Challenge: c.Challenge, Nonce: c.Nonce, Scope: c.Scope,
			SignedIn: c.SignedIn.UnixMilli(), Expires: c.Expires.UnixMilli(), Proven: millis(c.Proven),
		})
	})
}

// Redeem makes a grant of a code, once. A code that was used before ends what it gave then, and one that is shown with another redirect URI or verifier is
// spent.
func (s *Store) Redeem(ctx context.Context, hash string, r account.TokenExchange) (g account.Consent, outcome account.Outcome, err error) {
	err = s.write(ctx, func(t tx) error {
		row, err := t.LockCode(ctx, hash)
		if errors.Is(err, sql.ErrNoRows) {
			outcome = account.Unknown
			return nil
		}
		if err != nil {
			return err
		}
		c := account.Code{Client: row.Client, Redirect: row.Redirect, Challenge: row.Challenge, Expires: timeOf(row.Expires), Family: row.Family}
		switch outcome = c.Try(r, timeOf(t.now)); outcome {
		case account.Reused:
			err = t.reused(ctx, account.Consent{ID: row.Family, Client: row.Client, User: row.Account}, "code", r.Address)
		case account.Mismatch:
			err = t.RedeemCode(ctx, sqlc.RedeemCodeParams{Hash: hash, Family: r.Family}) // a grant that never is
		case account.Granted:
			g = account.Consent{
				ID: r.Family, Client: row.Client, User: row.Account, Scope: row.Scope, Nonce: row.Nonce, SignedIn: timeOf(row.SignedIn), Proven: timeOf(row.Proven),
				Created: timeOf(t.now), Expires: r.Access,
			}
			err = t.grant(ctx, hash, g, r)
		}
		return err
	})
	return g, outcome, err
}

// grant keeps what a code gave, and forgets grants that are over.
func (t tx) grant(ctx context.Context, code string, g account.Consent, r account.TokenExchange) error {
	before := t.now - keepGrants.Milliseconds()
	err := errors.Join(
		t.SweepRefreshes(ctx, sqlc.SweepRefreshesParams{Now: t.now, Before: before}),
		t.SweepGrants(ctx, sqlc.SweepGrantsParams{Now: t.now, Before: before}),
		t.RedeemCode(ctx, sqlc.RedeemCodeParams{Hash: code, Family: g.ID}),
	)
	if err == nil && account.Offline(g.Scope) {
		g.Expires = r.Idle
		err = t.InsertRefresh(ctx, sqlc.InsertRefreshParams{Hash: r.Refresh, Family: g.ID, Expires: r.Idle.UnixMilli()})
	}
	if err != nil {
		return err
	}
	return t.InsertGrant(ctx, sqlc.InsertGrantParams{
		ID: g.ID, Client: g.Client, Account: g.User, Scope: g.Scope, Nonce: g.Nonce, SignedIn: g.SignedIn.UnixMilli(), Proven: millis(g.Proven),
		Created: g.Created.UnixMilli(), Expires: g.Expires.UnixMilli(),
	})
}

// Rotate makes the next refresh token of one, once. One that was used before ends its family.
func (s *Store) Rotate(ctx context.Context, hash string, r account.Rotation) (g account.Consent, outcome account.Outcome, err error) {
	err = s.write(ctx, func(t tx) error {
		token, err := t.Queries.Refresh(ctx, hash)
		if errors.Is(err, sql.ErrNoRows) {
			outcome = account.Unknown
			return nil
		}
		if err != nil {
			return err
		}
		row, err := t.LockGrant(ctx, token.Family)
		switch {
		case errors.Is(err, sql.ErrNoRows) || err == nil && row.Client != r.Client:
			outcome = account.Unknown
			return nil
		case err != nil:
			return err
		}
		g = grantOf(row)
		outcome, err = t.rotate(ctx, token, g, r)
		return err
	})
	return g, outcome, err
}

// rotate decides on a refresh token while its grant is locked. The row that was read before may have been used since: the update tells.
func (t tx) rotate(ctx context.Context, token sqlc.OauthRefresh, g account.Consent, r account.Rotation) (account.Outcome, error) {
	now := timeOf(t.now)
	last := g.Created.Add(r.Most)
	switch {
	case !g.Ended.IsZero():
		return account.Over, nil
	case !now.Before(timeOf(token.Expires)) || !now.Before(last):
		return account.TooLate, nil
	}
	used, err := t.UseRefresh(ctx, sqlc.UseRefreshParams{Hash: token.Hash, Used: t.now})
	if err != nil {
		return "", err
	}
	if used == 0 {
		return account.Reused, t.reused(ctx, g, "refresh token", r.Address)
	}
	until := r.Idle
	if last.Before(until) {
		until = last
	}
	err = t.InsertRefresh(ctx, sqlc.InsertRefreshParams{Hash: r.Refresh, Family: g.ID, Expires: until.UnixMilli()})
	if err == nil {
		err = t.ExtendGrant(ctx, sqlc.ExtendGrantParams{ID: g.ID, Expires: max(until.UnixMilli(), r.Access.UnixMilli())})
	}
	return account.Granted, err
}

// reused ends a grant of which something was used a second time, and records that, once.
func (t tx) reused(ctx context.Context, g account.Consent, what, address string) error {
	rows, err := t.Queries.EndGrant(ctx, sqlc.EndGrantParams{ID: g.ID, Ended: t.now})
	if err != nil || rows == 0 {
		return err
	}
	user, err := t.Account(ctx, g.User)
	if err := absent(err, nil); err != nil {
		return err
	}
	return t.act(ctx, account.AuditEntry{Time: timeOf(t.now), What: account.RefreshTokenReused, User: g.User, UserName: user.Account.Email, Address: address,
		Detail: map[string]string{"client": g.Client, "grant": g.ID, "used": what}})
}

func grantOf(r sqlc.OauthGrant) account.Consent {
	return account.Consent{
		ID: r.ID, Client: r.Client, User: r.Account, Scope: r.Scope, Nonce: r.Nonce, SignedIn: timeOf(r.SignedIn), Proven: timeOf(r.Proven),
		Created: timeOf(r.Created), Expires: timeOf(r.Expires), Ended: timeOf(r.Ended),
	}
}

// Refreshable returns the grant of a refresh token that would be taken now; false where it would not.
func (s *Store) Refreshable(ctx context.Context, hash string) (g account.Consent, ok bool, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		token, err := q.Refresh(ctx, hash)
		if err != nil {
			return err
		}
		row, err := q.Grant(ctx, token.Family)
		g = grantOf(row)
		now := s.now()
		ok = err == nil && token.Used == 0 && now.Before(timeOf(token.Expires)) && g.Live(now)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return g, false, nil
	}
	return g, ok, err
}

// EndFamily ends the grant of a client that a refresh token belongs to, used or not. One that is not known, or of another client, which it reports, changes nothing.
func (s *Store) EndFamily(ctx context.Context, client, hash string) (others bool, err error) {
	err = s.write(ctx, func(t tx) error {
		token, err := t.Queries.Refresh(ctx, hash)
		if err == nil {
			var g sqlc.OauthGrant
			if g, err = t.LockGrant(ctx, token.Family); err == nil && g.Client != client {
				others = true
			} else if err == nil {
				_, err = t.Queries.EndGrant(ctx, sqlc.EndGrantParams{ID: g.ID, Ended: t.now})
			}
		}
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		return err
	})
	return others, err
}

// EndGrant ends a grant, with all tokens that came of it. One that is not there, or over, stays as it is.
func (s *Store) EndGrant(ctx context.Context, id string) error {
	return s.write(ctx, func(t tx) error {
		_, err := t.Queries.EndGrant(ctx, sqlc.EndGrantParams{ID: id, Ended: t.now})
		return err
	})
}

// Deny makes an access token bad until it expires.
func (s *Store) Deny(ctx context.Context, id string, expires time.Time) error {
	return s.write(ctx, func(t tx) error {
		if err := t.SweepDenied(ctx, t.now); err != nil {
			return err
		}
		return t.Queries.Deny(ctx, sqlc.DenyParams{ID: id, Expires: expires.UnixMilli()})
	})
}

// Denied returns the ids of access tokens, and of grants, whose access tokens are bad although they have not expired. longest is how long access tokens live at most.
func (s *Store) Denied(ctx context.Context, longest time.Duration) (ids []string, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		now := s.now().UnixMilli()
		ids, err = q.Denied(ctx, sqlc.DeniedParams{Since: now - longest.Milliseconds(), Now: now})
		return err
	})
	return ids, err
}

// SigningKeys returns the keys that are published, the one that signs first at first.
func (s *Store) SigningKeys(ctx context.Context) ([]account.SigningKey, error) {
	var all []account.SigningKey
	err := s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.SigningKeys(ctx, s.now().UnixMilli())
		for _, r := range rows {
			all = append(all, account.SigningKey{ID: r.ID, Algorithm: r.Algorithm, Public: r.Public, Sealed: r.Sealed,
				Signs: timeOf(r.Signs), Until: timeOf(r.Until), Expires: timeOf(r.Expires)})
		}
		return err
	})
	return all, err
}

// PutSigningKey keeps a key, and forgets those that are over.
func (s *Store) PutSigningKey(ctx context.Context, k account.SigningKey) error {
	return s.write(ctx, func(t tx) error { return t.putKey(ctx, k) })
}

// RenewSigningKey has a key sign from now on, and no other.
func (s *Store) RenewSigningKey(ctx context.Context, r account.Renewal) error {
	return s.write(ctx, func(t tx) error {
		if err := t.RetireSigningKeys(ctx, sqlc.RetireSigningKeysParams{Now: r.Key.Signs.UnixMilli(), Latest: r.Expires.UnixMilli()}); err != nil {
			return err
		}
		if err := t.putKey(ctx, r.Key); err != nil {
			return err
		}
		return t.act(ctx, r.Act)
	})
}

func (t tx) putKey(ctx context.Context, k account.SigningKey) error {
	if err := t.SweepSigningKeys(ctx, t.now); err != nil {
		return err
	}
	return t.InsertSigningKey(ctx, sqlc.InsertSigningKeyParams{ID: k.ID, Algorithm: k.Algorithm, Public: k.Public, Sealed: k.Sealed,
		Signs: k.Signs.UnixMilli(), Until: k.Until.UnixMilli(), Expires: k.Expires.UnixMilli()})
}

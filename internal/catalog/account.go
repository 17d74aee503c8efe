package catalog

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
)

// loginOf reads a user's row.
func loginOf(r sqlc.Account, workspaces string) account.Login {
	l := account.Login{
		User: account.User{
			ID: r.ID, Email: r.Email, Name: r.Name, Role: account.Role(r.Role), State: account.State(r.State), Workspaces: strings.Fields(workspaces),
			MustChange: r.Temporary > 0, Factored: timeOf(r.Factored), Created: timeOf(r.Created), SignedIn: timeOf(r.SignedIn),
		},
		Hash: r.Secret, Factor: account.Factor{Sealed: r.Factor, Step: r.Step}, Temporary: timeOf(r.Temporary), Used: r.Used != 0,
	}
	slices.Sort(l.Workspaces)
	return l
}

// fold is what addresses are compared by.
func fold(email string) string { return strings.ToLower(email) }

func noUser() error {
	return fault.New(fault.NotFound, "catalog.user", "no_user", "There is no such user; look at the list of users.", nil)
}

// absent turns the absence of a row into err.
func absent(got, err error) error {
	if errors.Is(got, sql.ErrNoRows) {
		return err
	}
	return got
}

// Login returns what proves that somebody is the user with an e-mail address, and whether they have signed in before from
// the network of the address client (account.Network). The zero Login where there is no such user: the same queries are
// made.
func (s *Store) Login(ctx context.Context, email, client string) (l account.Login, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		known, err := knownFrom(ctx, q, fold(email), client)
		if err != nil {
			return err
		}
		row, err := q.AccountByAddress(ctx, fold(email))
		if err == nil {
			l = loginOf(row.Account, row.Workspaces)
		}
		l.Known = known
		return absent(err, nil)
	})
	return l, err
}

// knownFrom reports whether the user with an e-mail address has signed in from the network of the address client.
func knownFrom(ctx context.Context, q *sqlc.Queries, email, client string) (bool, error) {
	if net := account.Network(client); strings.Contains(net, "/") {
		all, err := q.KnownAddresses(ctx, email)
		return slices.ContainsFunc(all, func(a string) bool { return account.Network(a) == net }), err
	}
	n, err := q.KnownAddress(ctx, sqlc.KnownAddressParams{Account: email, Client: client})
	return n > 0, err
}

// Account returns a user with what proves that it is them. fault.NotFound, code "no_user", where there is none.
func (s *Store) Account(ctx context.Context, id string) (l account.Login, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		row, err := q.Account(ctx, id)
		if err == nil {
			l = loginOf(row.Account, row.Workspaces)
		}
		return absent(err, noUser())
	})
	return l, err
}

// Accounts returns up to limit users (1000 where it is 0 or more than that) with ids above after, by id: the oldest first.
func (s *Store) Accounts(ctx context.Context, after string, limit int) (all []account.User, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Accounts(ctx, sqlc.AccountsParams{ID: after, Limit: page(limit)})
		for _, r := range rows {
			all = append(all, loginOf(r.Account, r.Workspaces).User)
		}
		return err
	})
	return all, err
}

// HasAdmin reports whether there is a user who is an administrator, in whatever state.
func (s *Store) HasAdmin(ctx context.Context) (has bool, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		n, err := q.CountAnyAdmins(ctx)
		has = n > 0
		return err
	})
	return has, err
}

// FirstAdmin makes the default workspace where it is missing, and an administrator with a temporary password where there is none. It reports whether it made one; of
// several processes that try, one does.
func (s *Store) FirstAdmin(ctx context.Context, u account.User, temp account.Temporary) (made bool, err error) {
	err = s.write(ctx, func(t tx) error {
		made = false
		if _, err := t.PutWorkspace(ctx, sqlc.PutWorkspaceParams{ID: account.DefaultWorkspace, Name: "Main", Created: u.Created.UnixMilli()}); err != nil {
			return err
		}
		if _, err := t.LockAccounts(ctx); err != nil {
			return err
		}
		if n, err := t.CountAnyAdmins(ctx); err != nil || n > 0 {
			return err
		}
		made = true
		return t.join(ctx, u, temp)
	})
	return made, err
}

// Invite adds a user with a temporary password, and the letter that tells it. fault.Conflict, code "email_taken"; fault.Invalid, code "no_such_workspace".
func (s *Store) Invite(ctx context.Context, u account.User, temp account.Temporary) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.LockAccounts(ctx); err != nil {
			return err
		}
		if err := t.join(ctx, u, temp); err != nil {
			return err
		}
		return t.write(ctx, account.Message{Kind: temp.Kind, User: u.ID, Address: u.Email, Secret: temp.Secret, Expires: temp.Expires, Created: temp.Act.Time})
	})
}

// join adds a user.
func (t tx) join(ctx context.Context, u account.User, temp account.Temporary) error {
	rows, err := t.PutAccount(ctx, sqlc.PutAccountParams{
		ID: u.ID, Email: u.Email, Address: fold(u.Email), Name: u.Name, Role: string(u.Role), State: string(account.Invited), Secret: temp.Hash,
		Temporary: temp.Expires.UnixMilli(), Created: u.Created.UnixMilli(),
	})
	if err != nil {
		return err
	}
	if rows == 0 {
		return fault.New(fault.Conflict, "catalog.invite", "email_taken", "There is a user with this e-mail address; change that one, or invite another address.", nil)
	}
	if err := t.enroll(ctx, u.ID, u.Workspaces); err != nil {
		return err
	}
	return t.act(ctx, temp.Act)
}

// enroll makes a user a member of these workspaces and of no other.
func (t tx) enroll(ctx context.Context, id string, workspaces []string) error {
	if err := t.RemoveMembers(ctx, id); err != nil {
		return err
	}
	for _, w := range workspaces {
		rows, err := t.AddMember(ctx, sqlc.AddMemberParams{Account: id, Workspace: w})
		if err != nil {
			return err
		}
		if rows == 0 {
			return fault.New(fault.Invalid, "catalog.enroll", "no_such_workspace", "One of the workspaces does not exist, or is named twice; look at the list of workspaces.", nil)
		}
	}
	return nil
}

// external refuses a password to a user whom another issuer signs in.
func external(op string) error {
	return fault.New(fault.Conflict, op, "external_user", "This user signs in by another issuer and has no password here; see to it there, or disable the account.", nil)
}

// Reissue gives a user a temporary password; temp.Kind says to whom (see account.Temporary). Every session of theirs ends. fault.NotFound, code "no_user";
// fault.Conflict, codes "not_invited", "user_disabled" and "external_user".
func (s *Store) Reissue(ctx context.Context, temp account.Temporary) error {
	const op = "catalog.reissue"
	return s.write(ctx, func(t tx) error {
		row, err := t.LockAccount(ctx, temp.User)
		if err != nil {
			return absent(err, noUser())
		}
		switch {
		case row.Secret == "":
			return external(op)
		case account.State(row.State) == account.Disabled:
			return fault.New(fault.Conflict, op, "user_disabled", "This user is disabled; enable the account first.", nil)
		case temp.Kind == account.InvitationLetter && account.State(row.State) != account.Invited:
			return fault.New(fault.Conflict, op, "not_invited", "This user has accepted the invitation; reset the password instead.", nil)
		}
		if err := t.SetTemporary(ctx, sqlc.SetTemporaryParams{ID: row.ID, Secret: temp.Hash, Temporary: temp.Expires.UnixMilli()}); err != nil {
			return err
		}
		if err := t.shut(ctx, row.ID, temp.Act.Time, temp.Kind == account.ForcedLetter); err != nil {
			return err
		}
		if err := t.act(ctx, temp.Act); err != nil {
			return err
		}
		return t.write(ctx, account.Message{Kind: temp.Kind, User: row.ID, Address: row.Email, Secret: temp.Secret, Expires: temp.Expires, Created: temp.Act.Time})
	})
}

// shut ends what a user has open: sessions, codes, what programs were given, letters that tell a secret, and tokens where they go too.
func (t tx) shut(ctx context.Context, id string, now time.Time, tokens bool) error {
	if _, err := t.RemoveSessionsBut(ctx, sqlc.RemoveSessionsButParams{Account: id}); err != nil {
		return err
	}
	if err := t.RemoveResetCode(ctx, id); err != nil {
		return err
	}
	if err := t.RemoveCodesOf(ctx, id); err != nil { // first: this waits for a code that is being redeemed, and then its grant is seen
		return err
	}
	if err := t.EndGrantsOfAccount(ctx, sqlc.EndGrantsOfAccountParams{Account: id, Ended: t.now}); err != nil {
		return err
	}
	if err := t.VoidLetters(ctx, sqlc.VoidLettersParams{Now: now.UnixMilli(), Account: id}); err != nil || !tokens {
		return err
	}
	_, err := t.RemoveTokens(ctx, id)
	return err
}

// EditUser changes a user and returns what they are then. fault.NotFound, code "no_user"; fault.Conflict, code "last_admin"; fault.Invalid, code
// "no_such_workspace".
func (s *Store) EditUser(ctx context.Context, id string, e account.UserEdit, act account.AuditEntry) (u account.User, err error) {
	err = s.write(ctx, func(t tx) error {
		if _, err := t.LockAccounts(ctx); err != nil {
			return err
		}
		row, err := t.LockAccount(ctx, id)
		if err != nil {
			return absent(err, noUser())
		}
		next := row
		if e.Name != nil {
			next.Name = *e.Name
		}
		if e.Role != nil {
			next.Role = string(*e.Role)
		}
		if e.Disabled != nil {
			next.State = string(settled(row, *e.Disabled))
		}
		if !governs(next) {
			if err := t.keepAdmin(ctx, row); err != nil {
				return err
			}
		}
		if err := t.EditAccount(ctx, sqlc.EditAccountParams{ID: id, Name: next.Name, Role: next.Role, State: next.State}); err != nil {
			return err
		}
		if e.Workspaces != nil {
			if err := t.enroll(ctx, id, *e.Workspaces); err != nil {
				return err
			}
		}
		if e.Disabled != nil && *e.Disabled {
			if err := t.shut(ctx, id, act.Time, true); err != nil {
				return err
			}
			if _, err := t.unfactor(ctx, row); err != nil {
				return err
			}
		}
		if err := t.act(ctx, act); err != nil {
			return err
		}
		now, err := t.Account(ctx, id)
		u = loginOf(now.Account, now.Workspaces).User
		return err
	})
	return u, err
}

// settled is the state of a user who is disabled, or enabled again: then what it was before.
func settled(r sqlc.Account, disabled bool) account.State {
	switch {
	case disabled:
		return account.Disabled
	case account.State(r.State) != account.Disabled:
		return account.State(r.State)
	case r.Temporary > 0 && r.SignedIn == 0:
		return account.Invited
	default:
		return account.Active
	}
}

// governs reports whether a user is an administrator who can sign in, whatever becomes of other issuers.
func governs(r sqlc.Account) bool {
	return account.Role(r.Role) == account.Admin && account.State(r.State) == account.Active && r.Secret != ""
}

// keepAdmin refuses where a user is the last administrator who can sign in. Accounts are locked.
func (t tx) keepAdmin(ctx context.Context, row sqlc.Account) error {
	if !governs(row) {
		return nil
	}
	n, err := t.CountAdmins(ctx)
	if err == nil && n < 2 {
		return fault.New(fault.Conflict, "catalog.user", "last_admin", "This is the last administrator who can sign in; make another user one first.", nil)
	}
	return err
}

// RemoveUser removes a user with all that is theirs but videos and the record of what was done. fault.NotFound, code "no_user"; fault.Conflict, code "last_admin".
func (s *Store) RemoveUser(ctx context.Context, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.LockAccounts(ctx); err != nil {
			return err
		}
		row, err := t.LockAccount(ctx, id)
		if err != nil {
			return absent(err, noUser())
		}
		if err := t.keepAdmin(ctx, row); err != nil {
			return err
		}
		if err := t.shut(ctx, id, act.Time, true); err != nil {
			return err
		}
		if err := t.RemoveMembers(ctx, id); err != nil {
			return err
		}
		if err := t.RemoveRecoveryCodes(ctx, id); err != nil {
			return err
		}
		if _, err := t.RemoveAccount(ctx, id); err != nil {
			return err
		}
		return t.act(ctx, act)
	})
}

package catalog

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
	"sluice/internal/signing"
)

// mostKeyPairs bounds what every edge reads again and again.
const mostKeyPairs = 1000

// KeyPairs returns all key pairs, the oldest first.
func (s *Store) KeyPairs(ctx context.Context) (all []signing.Record, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.KeyPairs(ctx)
		for i := 0; i < len(rows) && err == nil; i++ {
			var r signing.Record
			r, err = keyPairOf(rows[i])
			all = append(all, r)
		}
		return err
	})
	return all, err
}

// AddKeyPair keeps a key pair, and retires the one that it replaces, if any: both or neither. fault.Conflict where its id is taken, or where there are too many; the faults of
// RetireKeyPair for the one that it replaces.
func (s *Store) AddKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry, replaced *account.Retirement) error {
	return s.write(ctx, func(t tx) error {
		all, err := t.KeyPairs(ctx)
		if err != nil {
			return err
		}
		if len(all) >= mostKeyPairs {
			return fault.New(fault.Conflict, "catalog.keypair", "too_many_key_pairs", "There are 1,000 key pairs; remove those that are retired.", nil)
		}
		added, err := t.addKeyPair(ctx, r, r.ID)
		if err == nil && !added {
			err = fault.New(fault.Conflict, "catalog.keypair", "key_id_taken", "Another key pair has this id; give it a different one.", nil)
		}
		if err == nil {
			err = t.act(ctx, act)
		}
		if err == nil && replaced != nil {
			_, err = t.retireKeyPair(ctx, *replaced)
		}
		return err
	})
}

// FirstKeyPair keeps a key pair that is needed because there is none for its purpose and workspaces, and returns the one that is kept: of several that are made at
// once, one.
func (s *Store) FirstKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry) (kept signing.Record, err error) {
	slot := string(r.Purpose) + ":" + strings.Join(r.Workspaces, ",")
	err = s.write(ctx, func(t tx) error {
		added, err := t.addKeyPair(ctx, r, slot)
		if err == nil && added {
			err = t.act(ctx, act)
		}
		if err != nil {
			return err
		}
		row, err := t.KeyPairOfSlot(ctx, slot)
		if err != nil {
			return err
		}
		kept, err = keyPairOf(row)
		return err
	})
	return kept, err
}

func (t tx) addKeyPair(ctx context.Context, r signing.Record, slot string) (bool, error) {
	workspaces, err := listed(r.Workspaces)
	if err != nil {
		return false, err
	}
	n, err := t.InsertKeyPair(ctx, sqlc.InsertKeyPairParams{ID: r.ID, Purpose: string(r.Purpose), Workspaces: workspaces, Algorithm: string(r.Algorithm), Hash: string(r.Hash),
		Public: r.Public, Sealed: r.Sealed, Created: r.CreatedAt.UnixMilli(), Slot: slot})
	return n == 1, err
}

// RetireKeyPair has a key pair sign no more from one time on, and open nothing from another. The rules are signing.KeyPair.Retiring's. fault.NotFound where there is none.
func (s *Store) RetireKeyPair(ctx context.Context, end account.Retirement) (r signing.Record, err error) {
	err = s.write(ctx, func(t tx) error {
		r, err = t.retireKeyPair(ctx, end)
		return err
	})
	return r, err
}

func (t tx) retireKeyPair(ctx context.Context, end account.Retirement) (r signing.Record, err error) {
	row, err := t.lockKeyPair(ctx, end.KeyPair)
	if err != nil {
		return r, err
	}
	if r, err = keyPairOf(row); err != nil {
		return r, err
	}
	k, err := signing.KeyPair{RetiringAt: r.RetiringAt, RetiredAt: r.RetiredAt}.Retiring(end.From, end.Until)
	if err != nil {
		return r, err
	}
	r.RetiringAt, r.RetiredAt = k.RetiringAt, k.RetiredAt
	if err := t.Queries.RetireKeyPair(ctx, sqlc.RetireKeyPairParams{ID: r.ID, Retiring: r.RetiringAt.UnixMilli(), Retired: r.RetiredAt.UnixMilli()}); err != nil {
		return r, err
	}
	return r, t.act(ctx, end.Act)
}

// RemoveKeyPair removes a key pair that is retired. fault.Conflict where it is not yet, fault.NotFound where there is none.
func (s *Store) RemoveKeyPair(ctx context.Context, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		row, err := t.lockKeyPair(ctx, id)
		if err != nil {
			return err
		}
		r, err := keyPairOf(row)
		if err != nil {
			return err
		}
		if r.State(time.UnixMilli(t.now)) != signing.Retired {
			return fault.New(fault.Conflict, "catalog.keypair", "key_not_retired", "This key pair is not retired: what it signed may still be in use; retire it first.", nil)
		}
		if err := t.Queries.RemoveKeyPair(ctx, id); err != nil {
			return err
		}
		return t.act(ctx, act)
	})
}

// ForgetSealed forgets private keys, by the ids of keys that sign tokens and of key pairs. Their public halves stay, and what they signed.
func (s *Store) ForgetSealed(ctx context.Context, tokens, pairs []string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		for _, id := range tokens {
			if err := t.UnsealSigningKey(ctx, id); err != nil {
				return err
			}
		}
		for _, id := range pairs {
			if err := t.UnsealKeyPair(ctx, id); err != nil {
				return err
			}
		}
		return t.act(ctx, act)
	})
}

func (t tx) lockKeyPair(ctx context.Context, id string) (sqlc.KeyPair, error) {
	row, err := t.LockKeyPair(ctx, id)
	if errors.Is(err, sql.ErrNoRows) {
		err = fault.New(fault.NotFound, "catalog.keypair", "no_key_pair", "There is no key pair with this id.", nil)
	}
	return row, err
}

func keyPairOf(r sqlc.KeyPair) (signing.Record, error) {
	out := signing.Record{ID: r.ID, Purpose: signing.Purpose(r.Purpose), Algorithm: signing.Algorithm(r.Algorithm), Hash: signing.Hash(r.Hash),
		Public: r.Public, Sealed: r.Sealed, CreatedAt: timeOf(r.Created), RetiringAt: timeOf(r.Retiring), RetiredAt: timeOf(r.Retired)}
	return out, unmarshal(r.Workspaces, &out.Workspaces)
}

package catalog

import (
	"context"
	"encoding/json"
	"math"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
)

// act records what was done.
func (t tx) act(ctx context.Context, a account.AuditEntry) error {
	detail := "{}"
	if len(a.Detail) > 0 {
		b, err := json.Marshal(a.Detail)
		if err != nil {
			return err
		}
		detail = string(b)
	}
	return t.InsertAudit(ctx, sqlc.InsertAuditParams{
		Time: a.Time.UnixMilli(), What: a.What, ByID: a.By, ByName: a.ByName, UserID: a.User, UserName: a.UserName, Address: a.Address, Detail: detail,
	})
}

// RecordAct records what was done without a change of the records, as the use of a link that the server printed.
func (s *Store) RecordAct(ctx context.Context, a account.AuditEntry) error {
	return s.write(ctx, func(t tx) error { return t.act(ctx, a) })
}

// Acts returns up to limit acts (1000 where it is 0 or more than that) with ids below before (0 for the newest) by or to a user (empty for all), newest first.
func (s *Store) Acts(ctx context.Context, user string, before int64, limit int) (all []account.AuditEntry, err error) {
	if before == 0 {
		before = math.MaxInt64
	}
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Audit(ctx, sqlc.AuditParams{Before: before, Who: user, Most: page(limit)})
		if err != nil {
			return err
		}
		for _, r := range rows {
			a := account.AuditEntry{ID: r.ID, Time: timeOf(r.Time), What: r.What, By: r.ByID, ByName: r.ByName, User: r.UserID, UserName: r.UserName, Address: r.Address}
			if err := unmarshal(r.Detail, &a.Detail); err != nil {
				return err
			}
			all = append(all, a)
		}
		return nil
	})
	return all, err
}

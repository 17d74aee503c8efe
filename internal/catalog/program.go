package catalog

import (
	"context"
	"maps"
	"slices"
	"strings"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
)

// Programs returns the clients that a user has let in and that hold what is good still, by name.
func (s *Store) Programs(ctx context.Context, user string) (all []account.ConnectedApp, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.GrantsOfAccount(ctx, sqlc.GrantsOfAccountParams{Account: user, Now: s.now().UnixMilli()})
		for _, r := range rows {
			used := timeOf(max(r.Created, r.Refreshed))
			if n := len(all); n == 0 || all[n-1].ID != r.Client {
				all = append(all, account.ConnectedApp{ID: r.Client, Name: r.Name, Kind: account.ClientKind(r.Kind), Since: timeOf(r.Created), Used: used, Expires: timeOf(r.Expires)})
			}
			one := &all[len(all)-1]
			one.Grants++
			one.Scopes = append(one.Scopes, strings.Fields(r.Scope)...)
			if used.After(one.Used) {
				one.Used = used
			}
			if end := timeOf(r.Expires); end.After(one.Expires) {
				one.Expires = end
			}
		}
		return err
	})
	for i := range all {
		slices.Sort(all[i].Scopes)
		all[i].Scopes = slices.Compact(all[i].Scopes)
	}
	return all, err
}

// EndProgram takes back from a client what a user gave it: every grant, and codes that are not redeemed yet. fault.NotFound, code "no_program", where there is nothing.
func (s *Store) EndProgram(ctx context.Context, user, client string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		codes, err := t.RemoveCodesOfPair(ctx, sqlc.RemoveCodesOfPairParams{Account: user, Client: client}) // first: this waits for a code that is being redeemed, and then its grant is seen
		if err != nil {
			return err
		}
		grants, err := t.EndGrantsOfPair(ctx, sqlc.EndGrantsOfPairParams{Account: user, Client: client, Now: t.now})
		if err != nil {
			return err
		}
		if codes+grants == 0 {
			return fault.New(fault.NotFound, "catalog.program", "no_program", "This program holds nothing of this user; look at the list of programs.", nil)
		}
		c, err := t.Client(ctx, client)
		if err := absent(err, nil); err != nil {
			return err
		}
		detail := map[string]string{"name": c.Name}
		maps.Copy(detail, act.Detail)
		act.Detail = detail
		return t.act(ctx, act)
	})
}

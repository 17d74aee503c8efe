package catalog

import (
	"context"

	"sluice/internal/account"
	"sluice/internal/catalog/sqlc"
	"sluice/internal/fault"
)

// Workspaces returns all workspaces, by id.
func (s *Store) Workspaces(ctx context.Context) (all []account.Workspace, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Workspaces(ctx)
		for _, r := range rows {
			all = append(all, workspaceOf(r))
		}
		return err
	})
	return all, err
}

func workspaceOf(r sqlc.Workspace) account.Workspace {
	return account.Workspace{ID: r.ID, Name: r.Name, Created: timeOf(r.Created)}
}

func noWorkspace() error {
	return fault.New(fault.NotFound, "catalog.workspace", "no_workspace", "There is no such workspace; look at the list of workspaces.", nil)
}

// AddWorkspace adds a workspace. fault.Conflict, code "workspace_taken", where there is one of that id.
func (s *Store) AddWorkspace(ctx context.Context, w account.Workspace, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		rows, err := t.PutWorkspace(ctx, sqlc.PutWorkspaceParams{ID: w.ID, Name: w.Name, Created: w.Created.UnixMilli()})
		if err != nil {
			return err
		}
		if rows == 0 {
			return fault.New(fault.Conflict, "catalog.workspace", "workspace_taken", "There is a workspace of this id; choose another.", nil)
		}
		return t.act(ctx, act)
	})
}

// RenameWorkspace gives a workspace another name. fault.NotFound, code "no_workspace".
func (s *Store) RenameWorkspace(ctx context.Context, id, name string, act account.AuditEntry) (w account.Workspace, err error) {
	err = s.write(ctx, func(t tx) error {
		row, err := t.Queries.RenameWorkspace(ctx, sqlc.RenameWorkspaceParams{ID: id, Name: name})
		if err != nil {
			return absent(err, noWorkspace())
		}
		w = workspaceOf(row)
		return t.act(ctx, act)
	})
	return w, err
}

// RemoveWorkspace removes a workspace to which nobody and no video belongs. fault.NotFound, code "no_workspace"; fault.Conflict, code "workspace_in_use".
func (s *Store) RemoveWorkspace(ctx context.Context, id string, act account.AuditEntry) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.LockAccounts(ctx); err != nil {
			return err
		}
		rows, err := t.Queries.RemoveWorkspace(ctx, id)
		if err != nil {
			return err
		}
		if rows == 0 {
			return noWorkspace()
		}
		members, err := t.CountMembers(ctx, id)
		if err != nil {
			return err
		}
		videos, err := t.CountVideosIn(ctx, id)
		if err != nil {
			return err
		}
		if members+videos > 0 {
			return fault.New(fault.Conflict, "catalog.workspace", "workspace_in_use", "Users or videos belong to this workspace; move or remove them first.", nil)
		}
		return t.act(ctx, act)
	})
}

package identity

import (
	"context"
	"fmt"
	"strings"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// Users returns up to limit users with ids above after, by id: the oldest first.
func (s *Service) Users(ctx context.Context, after string, limit int) ([]account.User, error) {
	return s.Store.Accounts(ctx, after, limit)
}

// User returns one user. fault.NotFound, code "no_user".
func (s *Service) User(ctx context.Context, id string) (account.User, error) {
	login, err := s.Store.Account(ctx, id)
	return login.User, err
}

// temporary makes a temporary password for a user.
func (s *Service) temporary(ctx context.Context, kind account.MessageKind, what string, by account.Principal, u account.User) (account.Temporary, error) {
	password := secret()
	hash, err := s.hasher.hash(ctx, password)
	return account.Temporary{
		User: u.ID, Hash: hash, Secret: password, Expires: s.Now().Add(temporaryFor), Kind: kind,
		Act: s.act(ctx, what, by, u, "role", string(u.Role), "workspaces", strings.Join(u.Workspaces, " ")),
	}, err
}

// Invite makes a user and writes them a letter with a temporary password. fault.Conflict, code "email_taken"; fault.Invalid, code "no_such_workspace".
func (s *Service) Invite(ctx context.Context, by account.Principal, u account.User) (account.User, error) {
	u.ID, u.State, u.Created, u.MustChange = s.id(), account.Invited, s.Now(), true
	temp, err := s.temporary(ctx, account.InvitationLetter, account.UserInvited, by, u)
	if err != nil {
		return u, err
	}
	if err := s.Store.Invite(ctx, u, temp); err != nil {
		return u, err
	}
	return s.User(ctx, u.ID)
}

// InviteAgain writes another letter to a user who has not signed in for good; the temporary password of the one before is good no more. fault.NotFound, code "no_user";
// fault.Conflict, codes "not_invited" and "user_disabled".
func (s *Service) InviteAgain(ctx context.Context, by account.Principal, id string) (account.User, error) {
	return s.reissue(ctx, by, id, account.InvitationLetter, account.UserInvitedAgain)
}

// ForceReset ends all that a user has open, and writes them a letter with a temporary password. fault.NotFound, code "no_user"; fault.Conflict, code "user_disabled".
func (s *Service) ForceReset(ctx context.Context, by account.Principal, id string) (account.User, error) {
	return s.reissue(ctx, by, id, account.ForcedLetter, account.PasswordForced)
}

func (s *Service) reissue(ctx context.Context, by account.Principal, id string, kind account.MessageKind, what string) (account.User, error) {
	u, err := s.User(ctx, id)
	if err != nil {
		return u, err
	}
	temp, err := s.temporary(ctx, kind, what, by, u)
	if err != nil {
		return u, err
	}
	if err := s.Store.Reissue(ctx, temp); err != nil {
		return u, err
	}
	return s.User(ctx, id)
}

// EditUser changes a user; it counts from their next request on. fault.NotFound, code "no_user"; fault.Conflict, code "last_admin"; fault.Invalid, code "no_such_workspace".
func (s *Service) EditUser(ctx context.Context, by account.Principal, id string, e account.UserEdit) (account.User, error) {
	u, err := s.User(ctx, id)
	if err != nil {
		return u, err
	}
	var detail []string
	if e.Name != nil {
		detail = append(detail, "name", *e.Name)
	}
	if e.Role != nil {
		detail = append(detail, "role", string(*e.Role))
	}
	if e.Disabled != nil {
		detail = append(detail, "disabled", fmt.Sprint(*e.Disabled))
	}
	if e.Workspaces != nil {
		detail = append(detail, "workspaces", strings.Join(*e.Workspaces, " "))
	}
	return s.Store.EditUser(ctx, id, e, s.act(ctx, account.UserEdited, by, u, detail...))
}

// RemoveUser removes a user. Their videos stay. fault.NotFound, code "no_user"; fault.Conflict, code "last_admin".
func (s *Service) RemoveUser(ctx context.Context, by account.Principal, id string) error {
	u, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	return s.Store.RemoveUser(ctx, id, s.act(ctx, account.UserRemoved, by, u))
}

// First makes an administrator with that e-mail address where there is none, and returns the temporary password; empty where there is one.
func (s *Service) First(ctx context.Context, email string) (password string, err error) {
	u := account.User{ID: s.id(), Email: email, Role: account.Admin, Workspaces: []string{account.DefaultWorkspace}, Created: s.Now()}
	if has, err := s.Store.HasAdmin(ctx); err != nil || has {
		return "", err
	}
	temp, err := s.temporary(ctx, account.InvitationLetter, account.FirstAdministrator, account.Operator(), u)
	if err != nil {
		return "", err
	}
	made, err := s.Store.FirstAdmin(ctx, u, temp)
	if err != nil || !made {
		return "", err
	}
	return temp.Secret, nil
}

// Workspaces returns the workspaces that by belongs to, by id; an administrator's are all.
func (s *Service) Workspaces(ctx context.Context, by account.Principal) ([]account.Workspace, error) {
	all, err := s.Store.Workspaces(ctx)
	mine := all[:0]
	for _, w := range all {
		if by.MayEnter(w.ID) {
			mine = append(mine, w)
		}
	}
	return mine, err
}

// AddWorkspace makes a workspace. fault.Conflict, code "workspace_taken".
func (s *Service) AddWorkspace(ctx context.Context, by account.Principal, w account.Workspace) (account.Workspace, error) {
	w.Created = s.Now()
	return w, s.Store.AddWorkspace(ctx, w, s.act(ctx, account.WorkspaceMade, by, account.User{}, "workspace", w.ID))
}

// RenameWorkspace gives a workspace another name. fault.NotFound, code "no_workspace".
func (s *Service) RenameWorkspace(ctx context.Context, by account.Principal, id, name string) (account.Workspace, error) {
	return s.Store.RenameWorkspace(ctx, id, name, s.act(ctx, account.WorkspaceRenamed, by, account.User{}, "workspace", id, "name", name))
}

// RemoveWorkspace removes a workspace to which nothing and nobody belongs. fault.NotFound, code "no_workspace"; fault.Conflict, code "workspace_in_use", also for the default one.
func (s *Service) RemoveWorkspace(ctx context.Context, by account.Principal, id string) error {
	if id == account.DefaultWorkspace {
		return fault.New(fault.Conflict, "identity.workspace", "workspace_in_use", "This workspace is always there: what names no other lies in it.", nil)
	}
	return s.Store.RemoveWorkspace(ctx, id, s.act(ctx, account.WorkspaceRemoved, by, account.User{}, "workspace", id))
}

// Acts returns what was done by or to a user (empty for all), newest first.
func (s *Service) Acts(ctx context.Context, user string, before int64, limit int) ([]account.AuditEntry, error) {
	return s.Store.Acts(ctx, user, before, limit)
}

// Letters returns letters in a state (empty for all), newest first, without their secrets.
func (s *Service) Letters(ctx context.Context, state account.MessageState, before int64, limit int) ([]account.Message, error) {
	return s.Store.Letters(ctx, state, before, limit)
}

// Letter returns one letter. Its secret comes along where there is no mail server to take it, and who read it is recorded. fault.NotFound, code "no_letter".
func (s *Service) Letter(ctx context.Context, by account.Principal, id int64) (account.Message, error) {
	return s.Store.Letter(ctx, id, s.act(ctx, account.LetterRead, by, account.User{}, "letter", fmt.Sprint(id)))
}

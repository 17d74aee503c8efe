package identity

import (
	"context"

	"sluice/internal/account"
)

// Programs returns the programs that by, or another user, has let in by signing in there, and that hold what is good still, by name.
func (s *Service) Programs(ctx context.Context, by account.Principal, user string) ([]account.ConnectedApp, error) {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return nil, err
	}
	return s.Store.Programs(ctx, u.ID)
}

// EndProgram takes back what by, or another user, gave a program: its refresh tokens are good no more, and its access tokens are refused as soon as each process hears of it.
// fault.NotFound, code "no_program".
func (s *Service) EndProgram(ctx context.Context, by account.Principal, user, id string) error {
	u, err := s.whose(ctx, by, user)
	if err != nil {
		return err
	}
	return s.Store.EndProgram(ctx, u.ID, id, s.act(ctx, account.ProgramEnded, by, u, "program", id))
}

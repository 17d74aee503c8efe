package identity

import (
	"context"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
)

// Store is what this room needs of the records. Each method is one transaction.
type Store interface {
	Users
	Sessions
	Passwords
	Factors
	Tokens
	Programs
	Workspaces
	AuditStore
}

// Users are who may sign in.
type Users interface {
	// Login returns the user with an e-mail address, and whether they have signed in before from the address client; without a Hash where there is none.
	Login(ctx context.Context, email, client string) (account.Login, error)
	// Account returns the user of an id. fault.NotFound, code "no_user".
	Account(ctx context.Context, id string) (account.Login, error)
	// Accounts returns up to limit users with ids above after, by id.
	Accounts(ctx context.Context, after string, limit int) ([]account.User, error)
	// Invite adds a user with a temporary password, and its letter. fault.Conflict, "email_taken"; fault.Invalid, "no_such_workspace".
	Invite(ctx context.Context, u account.User, temp account.Temporary) error
	// EditUser changes a user. fault.NotFound, "no_user"; fault.Conflict, "last_admin"; fault.Invalid, "no_such_workspace".
	EditUser(ctx context.Context, id string, e account.UserEdit, act account.AuditEntry) (account.User, error)
	// RemoveUser removes a user. fault.NotFound, "no_user"; fault.Conflict, "last_admin".
	RemoveUser(ctx context.Context, id string, act account.AuditEntry) error
	// HasAdmin reports whether any user is an administrator.
	HasAdmin(ctx context.Context) (bool, error)
	// FirstAdmin makes the default workspace, and an administrator where there is none; of several that try, one does.
	FirstAdmin(ctx context.Context, u account.User, temp account.Temporary) (bool, error)
}

// Sessions are browsers that are signed in.
type Sessions interface {
	// Open opens a session. video.ErrStale where what was compared has changed since.
	Open(ctx context.Context, o account.NewSession) error
	// Enter opens a session for somebody whom another issuer has signed in, and makes or changes their account. fault.Forbidden, "user_disabled".
	Enter(ctx context.Context, e account.SignIn) error
	// Session returns the session of a cookie's hash, with its user. fault.NotFound, "no_session".
	Session(ctx context.Context, hash string) (account.Session, account.User, error)
	// SeeSession notes that a session was used.
	SeeSession(ctx context.Context, id string, now time.Time) error
	// Sessions returns those of a user, the newest first.
	Sessions(ctx context.Context, user string) ([]account.Session, error)
	// EndSession ends one of a user. fault.NotFound, "no_session".
	EndSession(ctx context.Context, user, id string, act account.AuditEntry) error
	// Leave ends one that its user signs out of, and returns what it takes to sign out at its issuer, sealed; empty for none. fault.NotFound, "no_session".
	Leave(ctx context.Context, user, id string, act account.AuditEntry) (hint string, err error)
	// Expel ends those of somebody who has signed out at an external issuer, and returns how many.
	Expel(ctx context.Context, e account.BackchannelLogout) (int, error)
	// EndSessions ends all of a user but one, which may be none.
	EndSessions(ctx context.Context, user, but string, act account.AuditEntry) error
}

// Passwords are how users prove who they are.
type Passwords interface {
	// Strike reads the strikes of these names and has change say what they are then; it records an act where there is one that change has not emptied.
	Strike(ctx context.Context, names []string, change func(name string, was account.FailureCount) account.FailureCount, act *account.AuditEntry) error
	// SetPassword gives a user a password of their own. video.ErrStale where what was compared has changed since.
	SetPassword(ctx context.Context, p account.NewPassword) error
	// Reissue gives a user a temporary password. fault.NotFound, "no_user"; fault.Conflict, "not_invited", "user_disabled" and "external_user".
	Reissue(ctx context.Context, temp account.Temporary) error
	// OfferCode gives the user of an e-mail address, where there is one who may have it, a code for a new password, writes its letter and completes the job.
	OfferCode(ctx context.Context, email, hash string, l account.Message, act account.AuditEntry, done engine.Handle) error
	// CodeOwner returns whose code has that hash. fault.NotFound, "no_user".
	CodeOwner(ctx context.Context, hash string, now time.Time) (account.Login, error)
	// Enqueue inserts jobs.
	Enqueue(ctx context.Context, jobs []engine.Job) error
}

// Factors are what users prove it with beside their password.
type Factors interface {
	// Prove opens a session for who has shown a second factor. video.ErrStale where what was shown was used before, or the session that waited has ended.
	Prove(ctx context.Context, p account.Proof) error
	// OfferFactor keeps a second factor for a session until its first code is shown. video.ErrStale as with Prove.
	OfferFactor(ctx context.Context, o account.SecondFactorSetup) error
	// SetFactor gives a user what their session was offered. video.ErrStale where session or offer is gone.
	SetFactor(ctx context.Context, f account.NewFactor) error
	// SetCodes gives a user other recovery codes. video.ErrStale as with Prove.
	SetCodes(ctx context.Context, c account.NewCodes) error
	// EndFactor takes a user's second factor, by their will. video.ErrStale as with Prove.
	EndFactor(ctx context.Context, e account.FactorEnd) error
	// ResetFactor takes a user's second factor, by another's will. fault.NotFound, "no_user"; fault.Conflict, "no_factor".
	ResetFactor(ctx context.Context, id string, act account.AuditEntry) error
	// CodesLeft returns how many recovery codes a user has.
	CodesLeft(ctx context.Context, id string) (int, error)
}

// Tokens are personal API tokens.
type Tokens interface {
	// AddToken adds one to a user. fault.Conflict, "too_many_tokens"; video.ErrStale where the session that asked has ended.
	AddToken(ctx context.Context, k account.NewToken) error
	// Token returns the token of a hash, with its user. fault.NotFound, "no_token".
	Token(ctx context.Context, hash string) (account.Token, account.User, error)
	// SeeToken notes that a token was used.
	SeeToken(ctx context.Context, id string, now time.Time) error
	// Tokens returns those of a user, the newest first.
	Tokens(ctx context.Context, user string) ([]account.Token, error)
	// RevokeToken ends one of a user. fault.NotFound, "no_token".
	RevokeToken(ctx context.Context, user, id string, act account.AuditEntry) error
}

// Programs are clients that users have let in.
type Programs interface {
	// Programs returns those that hold what is good still of a user, by name.
	Programs(ctx context.Context, user string) ([]account.ConnectedApp, error)
	// EndProgram takes back from one what a user gave it. fault.NotFound, "no_program".
	EndProgram(ctx context.Context, user, client string, act account.AuditEntry) error
}

// Workspaces are groups of users and videos.
type Workspaces interface {
	// Workspaces returns all of them, by id.
	Workspaces(ctx context.Context) ([]account.Workspace, error)
	// AddWorkspace adds one. fault.Conflict, "workspace_taken".
	AddWorkspace(ctx context.Context, w account.Workspace, act account.AuditEntry) error
	// RenameWorkspace gives one another name. fault.NotFound, "no_workspace".
	RenameWorkspace(ctx context.Context, id, name string, act account.AuditEntry) (account.Workspace, error)
	// RemoveWorkspace removes one that is empty. fault.NotFound, "no_workspace"; fault.Conflict, "workspace_in_use".
	RemoveWorkspace(ctx context.Context, id string, act account.AuditEntry) error
}

// AuditStore are what was done and written.
type AuditStore interface {
	// Acts returns up to limit acts with ids below before (0 for the newest) by or to a user (empty for all), newest first.
	Acts(ctx context.Context, user string, before int64, limit int) ([]account.AuditEntry, error)
	// Letters returns up to limit letters with ids below before (0 for the newest) in a state (empty for all), newest first, without their secrets.
	Letters(ctx context.Context, state account.MessageState, before int64, limit int) ([]account.Message, error)
	// Letter returns one, with its secret where it waits and none are sent, and records who read it. fault.NotFound, "no_letter".
	Letter(ctx context.Context, id int64, act account.AuditEntry) (account.Message, error)
	// Prune forgets what has expired.
	Prune(ctx context.Context, e account.Expired) error
}

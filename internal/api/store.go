package api

import (
	"context"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

// Videos is what the video routes need of the store. Each method is one transaction.
type Videos interface {
	// Video returns one video with its progress; fault.NotFound for none or a deleted one.
	Video(ctx context.Context, id video.ID) (video.Video, error)
	// Videos returns up to q.Limit videos, newest first, that are not deleted.
	Videos(ctx context.Context, q video.Query) ([]video.Video, error)
	// Edit changes what a person may change.
	Edit(ctx context.Context, id video.ID, edit video.Edit) (video.Video, error)
	// Delete marks a video deleted, cancels its jobs and inserts next.
	Delete(ctx context.Context, id video.ID, next []engine.Job) error
	// Encode begins a new generation with settings: its ingest step and next(generation). fault.Conflict where the source is not there yet or an encode is under way.
	Encode(ctx context.Context, id video.ID, settings video.Settings, next func(generation int) []engine.Job) (video.Video, error)
}

// History is what the history routes need of the store.
type History interface {
	// Detail returns a video and the steps of its newest generation with their attempts, in the order of the way, as they are at one moment;
	// fault.NotFound for none or a deleted one.
	Detail(ctx context.Context, id video.ID) (video.Video, []video.Step, error)
	// Events returns up to limit events of a video with ids above after, oldest first. They outlive their video.
	Events(ctx context.Context, id video.ID, after int64, limit int) ([]event.Event, error)
}

// Errors is what the error routes need of the store.
type Errors interface {
	// Errors returns up to q.Limit failed attempts, newest first. They outlive their video.
	Errors(ctx context.Context, q video.ErrorQuery) ([]video.StepError, error)
	// ErrorGroups counts the errors since q.Since by code and step, the most frequent first.
	ErrorGroups(ctx context.Context, q video.ErrorQuery) ([]video.ErrorGroup, error)
}

// Jobs is what the job routes need of the engine.
type Jobs interface {
	// Jobs returns jobs, newest first.
	Jobs(ctx context.Context, q engine.JobQuery) ([]engine.Status, error)
	// Job returns one job; fault.NotFound for none.
	Job(ctx context.Context, id int64) (engine.Status, error)
	// Retry makes a job due now that is dead, canceled or waits for its time. fault.Conflict where it runs or has ended well.
	Retry(ctx context.Context, id int64) (engine.Status, error)
}

// QueuePositions is what the video routes need of the engine.
type QueuePositions interface {
	// Standings says where the next job of each group stands in its queue, of the jobs of some kinds, by group.
	Standings(ctx context.Context, groups, kinds []string) (map[string]engine.QueuePosition, error)
}

// Queues is what the queue routes need of the engine.
type Queues interface {
	// Queues returns every queue that ever was worked on, by name.
	Queues(ctx context.Context) ([]engine.QueueState, error)
	// SetQueue changes a queue and returns it as it is then. fault.NotFound for none.
	SetQueue(ctx context.Context, name string, change engine.QueueChange) (engine.QueueState, error)
}

// Redriver is what the job routes need of the store. Each method is one transaction.
type Redriver interface {
	// Redrive goes on with a video whose newest generation failed, where only, if not nil, is one of the steps that failed or were canceled. fault.Conflict where
	// there is nothing to redrive.
	Redrive(ctx context.Context, id video.ID, only *video.StepRef, jobs func(video.StepRef) []engine.Job) (video.Video, error)
	// CancelStep ends the generation that a step belongs to and inserts next. fault.Conflict where it is over.
	CancelStep(ctx context.Context, ref video.StepRef, next []engine.Job) error
	// JobAttempts returns the attempts at a step that a job made.
	JobAttempts(ctx context.Context, ref video.StepRef, job int64) ([]video.Attempt, error)
}

// CDNCopies is what the route that purges needs of the store.
type CDNCopies interface {
	// DropCopies notes that a CDN is to drop all copies of a video. fault.NotFound for none, fault.Conflict where no CDN is told.
	DropCopies(ctx context.Context, id video.ID) error
}

// Subscriptions is what the notification routes need of the store.
type Subscriptions interface {
	// Subscribe makes a subscription; an address that has one gets these events instead, and is no longer suspended. fault.Conflict where there
	// are as many as may be.
	Subscribe(ctx context.Context, s event.Subscription) (event.Subscription, error)
	// Subscriptions returns all of them, by address.
	Subscriptions(ctx context.Context) ([]event.Subscription, error)
	// Unsubscribe ends a subscription, with what waits for it. fault.NotFound where there is none.
	Unsubscribe(ctx context.Context, id string) error
	// Outbox returns up to limit notices with ids below before (0 for the newest) that are in a state (empty for all), newest first.
	Outbox(ctx context.Context, state event.State, before int64, limit int) ([]event.Notification, error)
}

// Identity is what the routes of users, sessions, tokens and workspaces need of the room of accounts.
type Identity interface {
	Passwords
	Factors
	Recovery
	Sessions
	Tokens
	Programs
	Users
	Workspaces
	AuditStore
}

// Passwords are how users prove who they are.
type Passwords interface {
	// SignIn opens a session. fault.Unauthorized, code "sign_in_failed", for every reason; fault.Limited, code "try_later".
	SignIn(ctx context.Context, email, password string) (account.Admission, error)
	// SignOut ends the session that by came with and returns what is left to do of that.
	SignOut(ctx context.Context, by account.Principal) (account.SignOut, error)
	// ChangePassword ends all sessions of by and opens a new one.
	ChangePassword(ctx context.Context, by account.Principal, current, fresh string) (account.Admission, error)
	// Forgot has a code mailed to whoever has that address.
	Forgot(ctx context.Context, email string) error
	// Reset gives whose code it is another password. fault.Gone, code "code_gone".
	Reset(ctx context.Context, code, fresh string) error
}

// Factors are what users prove it with after their password. All are about by, who is signed in with a browser.
type Factors interface {
	// Prove opens a session for who shows a second factor. fault.Invalid, code "wrong_code"; fault.Limited, code "try_later".
	Prove(ctx context.Context, by account.Principal, code string) (account.Admission, error)
	Factor(ctx context.Context, by account.Principal) (account.FactorState, error)
	// OfferFactor makes a second factor that counts once SetFactor is shown a code of it; FactorImage is its QR code, a PNG. fault.Gone, code "offer_gone".
	OfferFactor(ctx context.Context, by account.Principal, password, code string) (account.Enrolment, error)
	FactorImage(ctx context.Context, by account.Principal) ([]byte, error)
	SetFactor(ctx context.Context, by account.Principal, code string) (account.SecondFactorEnabled, error)
}

// Recovery is what becomes of a second factor.
type Recovery interface {
	// MakeRecoveryCodes replaces by's recovery codes.
	MakeRecoveryCodes(ctx context.Context, by account.Principal, password, code string) ([]string, error)
	// RemoveFactor ends by's second factor, and all their sessions but a new one.
	RemoveFactor(ctx context.Context, by account.Principal, password, code string) (account.Admission, error)
	// ResetFactor ends that of another user. fault.Conflict, code "no_factor"; fault.Forbidden, code "own_factor".
	ResetFactor(ctx context.Context, by account.Principal, user string) error
}

// Sessions are browsers that are signed in: those of by where user is empty.
type Sessions interface {
	CurrentSession(ctx context.Context, by account.Principal) (account.Session, error)
	Sessions(ctx context.Context, by account.Principal, user string) ([]account.Session, error)
	// EndSession ends one. fault.NotFound, code "no_session".
	EndSession(ctx context.Context, by account.Principal, user, id string) error
	// EndSessions ends all but the one that by came with.
	EndSessions(ctx context.Context, by account.Principal, user string) error
}

// Tokens are personal API tokens: those of by where user is empty.
type Tokens interface {
	Tokens(ctx context.Context, by account.Principal, user string) ([]account.Token, error)
	// MakeToken makes one of by and returns it with the token itself.
	MakeToken(ctx context.Context, by account.Principal, want account.Token) (made account.Token, token string, err error)
	// RevokeToken ends one. fault.NotFound, code "no_token".
	RevokeToken(ctx context.Context, by account.Principal, user, id string) error
}

// Programs are clients that somebody has let in: by where user is empty.
type Programs interface {
	Programs(ctx context.Context, by account.Principal, user string) ([]account.ConnectedApp, error)
	// EndProgram takes back what it holds. fault.NotFound, code "no_program".
	EndProgram(ctx context.Context, by account.Principal, user, id string) error
}

// Users are who may sign in. That by may administer them, the routes have asked.
type Users interface {
	// Users returns up to limit users with ids above after, by id.
	Users(ctx context.Context, after string, limit int) ([]account.User, error)
	// User returns one. fault.NotFound, code "no_user".
	User(ctx context.Context, id string) (account.User, error)
	Invite(ctx context.Context, by account.Principal, u account.User) (account.User, error)
	InviteAgain(ctx context.Context, by account.Principal, id string) (account.User, error)
	ForceReset(ctx context.Context, by account.Principal, id string) (account.User, error)
	EditUser(ctx context.Context, by account.Principal, id string, e account.UserEdit) (account.User, error)
	RemoveUser(ctx context.Context, by account.Principal, id string) error
}

// Workspaces are groups of users and videos.
type Workspaces interface {
	// Workspaces returns those that by belongs to, by id.
	Workspaces(ctx context.Context, by account.Principal) ([]account.Workspace, error)
	AddWorkspace(ctx context.Context, by account.Principal, w account.Workspace) (account.Workspace, error)
	RenameWorkspace(ctx context.Context, by account.Principal, id, name string) (account.Workspace, error)
	RemoveWorkspace(ctx context.Context, by account.Principal, id string) error
}

// AuditStore are what was done and written, newest first: up to limit, with ids below before (0 for the newest).
type AuditStore interface {
	Acts(ctx context.Context, user string, before int64, limit int) ([]account.AuditEntry, error)
	Letters(ctx context.Context, state account.MessageState, before int64, limit int) ([]account.Message, error)
	// Letter returns one, with its secret where no mail server takes it. fault.NotFound, code "no_letter".
	Letter(ctx context.Context, by account.Principal, id int64) (account.Message, error)
}

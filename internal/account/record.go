package account

import "time"

// Login is a user with what proves that it is them.
type Login struct {
	User
	Hash      string // of the password, a PHC string; empty where nobody has this address
	Factor    Factor
	Temporary time.Time // until when the password may be used, where it is a temporary one; else zero
	Used      bool      // a temporary password has opened its session
	Known     bool      // they have signed in before, with their second factor where they have one, from the Network that asks
}

// ExternalPrefix begins the ids of people whom an external issuer signs in. They have no password here.
const ExternalPrefix = "oidc:"

// ExternalUser is somebody whom an external issuer has signed in, as it tells them.
type ExternalUser struct {
	ID         string // ExternalPrefix and a hash of issuer and subject
	Issuer     string
	Email      string // to show; nobody is found by it
	Name       string
	Role       Role
	Workspaces []string // those that are not here count for nothing
	Party      string   // the issuer's session, hashed; empty where it names none
	Hint       string   // what it takes to sign out there, sealed
}

// Session is a browser that is signed in.
type Session struct {
	ID      string
	User    string // id
	Created time.Time
	Seen    time.Time // to the minute
	Expires time.Time // whatever happens
	Address string    // from where it was opened
	Agent   string    // by what browser
	Proven  time.Time // when a second factor was shown in it; zero for never
	Offer   string    // a second factor that waits for its first code: its secret, encrypted; empty for none
	Offered time.Time // when that was
	Party   string    // the session of the issuer by which it was opened, hashed; set when it is made, and empty for none
	Hint    string    // what it takes to sign out at the issuer, sealed; the same
}

// Token is a personal API token: what is known of it, without the token itself.
type Token struct {
	ID      string
	User    string // id
	Name    string
	Scopes  Scopes
	Created time.Time
	Expires time.Time
	Used    time.Time // last, to the minute; zero for never
}

// FailureCount are failures in a row. The zero value is none.
type FailureCount struct {
	Count int
	Last  time.Time // the last failure
	Until time.Time // nothing is tried before
}

// What an Act can be.
const (
	SignedIn           = "sign_in"
	SignInFailed       = "sign_in.failed"
	SignInBegun        = "sign_in.password" // the password was right, and the second factor is still to be shown
	SignedInByLink     = "sign_in.link"     // the operator, by the one-time link that the start of the server printed
	SignedOut          = "sign_out"
	SessionEnded       = "session.ended"
	PasswordChanged    = "password.changed"
	PasswordFailed     = "password.failed"
	PasswordForgotten  = "password.forgotten"
	PasswordReset      = "password.reset"        // by a mailed code
	PasswordForced     = "password.reset_forced" // by an administrator
	FactorSet          = "factor.set"
	FactorRemoved      = "factor.removed"
	FactorReset        = "factor.reset" // by an administrator
	FactorFailed       = "factor.failed"
	FactorCodes        = "factor.codes" // other recovery codes took the place of those before
	UserInvited        = "user.invited"
	UserInvitedAgain   = "user.invited_again"
	UserEdited         = "user.edited"
	UserRemoved        = "user.removed"
	TokenMade          = "token.made"
	TokenRevoked       = "token.revoked"
	WorkspaceMade      = "workspace.made"
	WorkspaceRenamed   = "workspace.renamed"
	WorkspaceRemoved   = "workspace.removed"
	LetterRead         = "letter.read" // an administrator has read a secret that waited for a mail server
	FirstAdministrator = "user.first"
	KeyPairMade        = "key_pair.made" // or brought
	KeyPairRetired     = "key_pair.retired"
	KeyPairRemoved     = "key_pair.removed"
	ClientAdded        = "client.added"
	ClientEdited       = "client.edited"
	ClientRotated      = "client.rotated" // has another secret
	ClientRemoved      = "client.removed"
	RefreshTokenReused = "grant.reused"  // a code or a refresh token was used a second time, which ended what it gave
	ProgramEnded       = "program.ended" // what somebody gave a program was taken back
	KeysRotated        = "keys.rotated"
	KeysForgotten      = "keys.forgotten" // private ones, sealed with a secret that was lost
)

// AuditEntry is something that was done and that matters for security. It holds no secret.
type AuditEntry struct {
	ID       int64
	Time     time.Time
	What     string
	By       string // id of who did it; empty where nobody is known
	ByName   string
	User     string // id of the user whose account it was done to; empty for none
	UserName string
	Address  string            // from where
	Detail   map[string]string // what changed
}

// MessageKind says what a letter is about.
type MessageKind string

// The kinds of letters.
const (
	InvitationLetter MessageKind = "invitation" // a temporary password, for somebody new
	ForcedLetter     MessageKind = "reset"      // a temporary password, asked for by an administrator
	ForgottenLetter  MessageKind = "forgot"     // a code, asked for by whoever knows the address
	ChangedLetter    MessageKind = "changed"    // that the password was changed
	FactorSetLetter  MessageKind = "factor_set" // that there is a second factor
	FactorEndLetter  MessageKind = "factor_end" // that there is none any more
	RecoveryLetter   MessageKind = "recovery"   // that a recovery code was used
)

// MessageState says where a letter is.
type MessageState string

// The states of a letter.
const (
	LetterWaiting MessageState = "waiting" // for the mail server
	LetterSent    MessageState = "sent"
	LetterRefused MessageState = "refused" // for good
	LetterDead    MessageState = "dead"    // tried often enough
	LetterVoid    MessageState = "void"    // what it told was replaced, used, or expired before it was sent
)

// Message is a message to the holder of an account.
type Message struct {
	ID       int64
	Kind     MessageKind
	User     string    // id
	Address  string    // to whom
	Secret   string    // the password or code that it tells; empty once it is sent or of no use any more
	Expires  time.Time // of the secret
	State    MessageState
	Tries    int
	Code     string // of the trouble of its last try
	Message  string
	Created  time.Time
	Finished time.Time // when it was sent or given up; zero before
}

// Trouble is why a letter was not sent: a stable code and a sentence that says what to do. The zero Trouble is none.
type Trouble struct {
	Code    string
	Message string
}

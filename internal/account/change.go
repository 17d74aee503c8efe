package account

import "time"

// NewSession is a session that begins, with all that goes with it.
type NewSession struct {
	Login    Login  // as it was compared: where it changed meanwhile, nothing is opened
	Rehashed string // what the password's hash is from now on
	Session  Session
	Hash     string   // of the cookie
	Ends     string   // hash of the cookie that the browser had; empty for none
	Forgives []string // names of strikes that are forgotten
	Act      AuditEntry
}

// SignIn is a session that begins for somebody whom an external issuer has signed in, with all that goes with it.
type SignIn struct {
	User    User // is made, or changed to what the issuer tells
	Session Session
	Hash    string // of the cookie
	Ends    string // hash of the cookie that the browser had; empty for none
	Act     AuditEntry
}

// NewPassword is a password of their own that a user gets, with all that goes with it: every session ends.
type NewPassword struct {
	Login    Login    // as it was compared: where it changed meanwhile, nothing does
	Fresh    string   // hash of the new one
	Code     string   // hash of the code by which they got it; empty where they knew the old one
	Session  *Session // that is opened instead; nil for none
	Hash     string   // of its cookie
	Forgives string   // name of strikes that are forgotten
	Act      AuditEntry
}

// NewToken is a personal token that a user gets, with all that goes with it.
type NewToken struct {
	Token   Token
	Hash    string // of the token itself
	Session string // id of the session that asked: where it ended meanwhile, so does what it asked for
	Most    int    // tokens that a user may have
	Act     AuditEntry
}

// Retirement has a key pair of playback sign no more from one time on, and open nothing from another.
type Retirement struct {
	KeyPair string // id
	From    time.Time
	Until   time.Time
	Act     AuditEntry
}

// Temporary is a temporary password that a user gets, with the letter that tells it. Sessions, codes and temporary passwords from before end.
type Temporary struct {
	User    string // id
	Hash    string
	Secret  string // the password itself, for the letter
	Expires time.Time
	Kind    MessageKind // InvitationLetter: for users who are still invited; ForcedLetter: for all, and their tokens end
	Act     AuditEntry
}

// UserEdit changes a user. What is nil stays as it is.
type UserEdit struct {
	Name       *string
	Role       *Role
	Disabled   *bool // true ends sessions, tokens and codes
	Workspaces *[]string
}

// Expired says what is old enough to be forgotten.
type Expired struct {
	Now      time.Time     // sessions, tokens, codes and secrets in letters that expired before
	Idle     time.Duration // how long a session may go unused
	Strikes  time.Duration // how long failures are remembered
	Letters  time.Duration // how long letters are kept after their end
	Acts     time.Duration // how long acts are kept
	Failures time.Duration // how long failed sign-ins are kept
}

// Admission is what a sign-in gives a browser.
type Admission struct {
	User   User
	Cookie string // the header Set-Cookie
	Device string // the same of the cookie by which the browser is known at its next sign-in; empty for none
	// What is left to do before anything else may be done, in this order: User.MustChange is between the two.
	MustProve, MustEnrol bool
}

// SignOut is what a sign-out leaves to do.
type SignOut struct {
	Cookie string // the header Set-Cookie that takes the cookie from the browser
	Hint   string // of the session: what it takes to sign out at its issuer, sealed; empty where it had none
}

// BackchannelLogout is what an external issuer says of somebody who has signed out there (OpenID Connect Back-Channel Logout).
type BackchannelLogout struct {
	Token   string     // what tells the token that says it from all others: it counts once
	Expires time.Time  // when that is good no more
	User    string     // id; empty where the issuer names a session alone
	Party   string     // the issuer's session, hashed; empty where it means all of the user
	Act     AuditEntry // for each user whose sessions end
}

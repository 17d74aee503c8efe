package account

import (
	"strings"
	"time"
)

// Factor is a user's second factor as it is kept: the secret of time-based one-time passwords (RFC 6238). The zero Factor is none.
type Factor struct {
	Sealed string // the secret, encrypted; empty for none
	Step   int64  // the newest step whose code was taken: no code of it, or of one before, is taken again
}

// SecondFactorProof is a second factor that somebody has shown, and which it spends: a code of their app, or one of their recovery codes. The zero Shown is none.
type SecondFactorProof struct {
	Step     int64  // of the app's code
	Recovery string // hash of a recovery code; empty for none
}

// SecondFactorPolicy says who must have a second factor.
type SecondFactorPolicy string

// The demands.
const (
	Optional SecondFactorPolicy = "optional" // nobody must
	Admins   SecondFactorPolicy = "admins"
	Everyone SecondFactorPolicy = "everyone"
)

// Of reports whether a user must have a second factor. Whom another issuer signs in has theirs there, or none.
func (d SecondFactorPolicy) Of(u User) bool {
	return !strings.HasPrefix(u.ID, ExternalPrefix) && (d == Everyone || d == Admins && u.Role == Admin)
}

// Enrolment is a second factor that was offered to a session, for its user's app. It counts for nothing until a code of it is shown.
type Enrolment struct {
	Secret  string // base32, as people type it
	URI     string // otpauth://totp/…, as a QR code holds it
	Expires time.Time
}

// FactorState is what a user may know of their second factor.
type FactorState struct {
	Since    time.Time // zero where they have none
	Demanded bool      // whether they must have one
	Left     int       // recovery codes
}

// SecondFactorEnabled is what the making of a second factor gives a browser.
type SecondFactorEnabled struct {
	Admission
	Recovery []string // codes, each good once; they are shown here and never again
}

// SecondFactorSetup is a second factor that a session gets offered, with all that goes with it.
type SecondFactorSetup struct {
	Login    Login
	Shown    SecondFactorProof // of the factor that the user has
	Session  string            // id: where it ended meanwhile, nothing is offered
	Sealed   string            // the secret, encrypted
	Time     time.Time
	Forgives []string // names of strikes that are forgotten
}

// NewFactor is a second factor that a user has from now on, with all that goes with it: every session ends, and the recovery codes from before.
type NewFactor struct {
	Login   Login
	Asked   Session // with its offer: where either is gone, or another, nothing changes
	Factor  Factor
	Codes   []string // hashes of recovery codes
	Session Session  // that is opened instead
	Hash    string   // of its cookie
	Act     AuditEntry
}

// NewCodes are recovery codes that take the place of those from before, with all that goes with it.
type NewCodes struct {
	Login    Login
	Shown    SecondFactorProof
	Session  string   // id: where it ended meanwhile, nothing changes
	Codes    []string // hashes
	Forgives []string
	Act      AuditEntry
}

// FactorEnd is the end of a second factor by its user, with all that goes with it: every session ends.
type FactorEnd struct {
	Login    Login
	Shown    SecondFactorProof
	Asked    string  // id of the session that asked: where it ended meanwhile, nothing changes
	Session  Session // that is opened instead
	Hash     string  // of its cookie
	Forgives []string
	Act      AuditEntry
}

// Proof is a second factor that was shown after the password, with all that goes with it: the session that waited for it ends, and another begins.
type Proof struct {
	Login    Login
	Shown    SecondFactorProof
	Waited   string // id of the session that waited
	Session  Session
	Hash     string // of its cookie
	Forgives []string
	Act      AuditEntry
}

package identity

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"image/png"
	"strings"
	"time"

	"github.com/boombuler/barcode"
	"github.com/boombuler/barcode/qr"
	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"
	"github.com/pquerna/otp/totp"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// The second factor: time-based one-time passwords (RFC 6238) as every app makes them, and recovery codes for who has lost theirs.
const (
	stepSeconds   = 30 // RFC 6238 §5.2
	skew          = 1  // steps that a clock may be off, either way: the network and the hand take their time (RFC 6238 §5.2)
	secretBytes   = 20 // as HMAC-SHA-1 has (RFC 4226 §4)
	recoveryCodes = 10
	recoveryBytes = 15 // 120 bits: more than OWASP ASVS 5.0 §6.5.2 asks of what is kept as a fast hash
	recoveryChars = recoveryBytes * 8 / 5
	offerFor      = 15 * time.Minute
	freshFor      = 10 * time.Minute // so long after signing in the password isn't asked again, for a first factor
	quietModules  = 4                // white around a QR code (ISO/IEC 18004 §5.3.8)
	modulePixels  = 4
)

var recoveryText = base32.StdEncoding.WithPadding(base32.NoPadding)

// Prove opens a session for who has signed in by password and shows the second factor: a code of their app, or a recovery code. The session that waited for it ends.
// fault.Invalid, code "wrong_code", for one that is wrong, used or too old; fault.Limited, code "try_later"; fault.Conflict, code "factor_not_asked".
func (s *Service) Prove(ctx context.Context, by account.Principal, code string) (account.Admission, error) {
	if by.Session == "" {
		return account.Admission{}, needsSession()
	}
	if !by.MustProve {
		return account.Admission{}, fault.New(fault.Conflict, "identity.factor", "factor_not_asked", "Nobody asks this session for a second factor; go on.", nil)
	}
	login, err := s.self(ctx, by)
	if err != nil {
		return account.Admission{}, err
	}
	shown, strikes, err := s.shown(ctx, by, login, code)
	if err != nil {
		return account.Admission{}, err
	}
	session, value := s.newSession(ctx, login.User, s.Now())
	what := "app"
	if shown.Recovery != "" {
		what = "recovery code"
	}
	err = s.Store.Prove(ctx, account.Proof{
		Login: login, Shown: shown, Waited: by.Session, Session: session, Hash: digest(value), Forgives: []string{strikes},
		Act: s.act(ctx, account.SignedIn, by, login.User, "factor", what),
	})
	if err != nil {
		return account.Admission{}, s.unspent(ctx, by, login, err)
	}
	return s.admission(login.User, login.Hash, session, value), nil
}

// self is the user that by is, with what proves it, and whether they are known where they come from.
func (s *Service) self(ctx context.Context, by account.Principal) (account.Login, error) {
	login, err := s.Store.Login(ctx, by.Name, account.CallerOf(ctx).Address)
	if err == nil && login.ID != by.ID {
		err = unknown("The session is over; sign in again.") // and the account removed
	}
	return login, err
}

// shown counts a try at a user's second factor and reads what it stands for. Where it is an app's code that is wrong, that is recorded; what may only be spent once is found
// out when it is spent.
func (s *Service) shown(ctx context.Context, by account.Principal, login account.Login, code string) (shown account.SecondFactorProof, strikes string, err error) {
	caller := account.CallerOf(ctx)
	strikes, address := factorStrikes(login.ID), addressStrikes(caller.Address)
	if own, ok := s.factorPlace(login, caller); ok { // somebody who has the password alone does not keep the user out
		strikes, address = own, ""
	}
	if err := s.admit(ctx, strikes, address); err != nil {
		return shown, strikes, err
	}
	plain := strings.ToUpper(strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' {
			return -1
		}
		return r
	}, code))
	if len(plain) == recoveryChars {
		return account.SecondFactorProof{Recovery: recoveryDigest(login.ID, plain)}, strikes, nil
	}
	secret, ok := s.Seal.Open(login.ID, login.Factor.Sealed)
	if !ok {
		s.Log.Error("a second factor can't be opened: seal_key is not the one it was sealed with", "user", login.ID)
		return shown, strikes, fault.New(fault.Conflict, "identity.factor", "factor_lost", "The server has lost what your app's codes are checked by; use a recovery code, or ask an administrator to reset your second factor.", nil)
	}
	if step, ok := stepOf(string(secret), plain, s.Now()); ok && step > login.Factor.Step {
		return account.SecondFactorProof{Step: step}, strikes, nil
	}
	return shown, strikes, s.wrong(ctx, by, login)
}

// stepOf finds the step that a code is of, among those that are good now. All are compared, so that time tells nothing.
func stepOf(secret, code string, now time.Time) (step int64, ok bool) {
	today := now.Unix() / stepSeconds
	for at := today - skew; at <= today+skew; at++ {
		want, err := hotp.GenerateCodeCustom(secret, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			step, ok = at, true
		}
	}
	return step, ok
}

// recoveryDigest is what is kept of a recovery code, in its plain form.
func recoveryDigest(user, plain string) string { return digest("recovery " + user + " " + plain) }

// wrong records that a second factor was not what was shown, and returns the refusal.
func (s *Service) wrong(ctx context.Context, by account.Principal, login account.Login) error {
	act := s.act(ctx, account.FactorFailed, by, login.User)
	if err := s.blame(ctx, addressStrikes(act.Address), act); err != nil {
		return err
	}
	s.Log.Warn("a second factor was not right", "user", login.ID, "address", act.Address)
	return fault.New(fault.Invalid, "identity.factor", "wrong_code", "This code is not good: it is wrong, was used, or is too old; type the one that your app shows now, or a recovery code.", nil)
}

// unspent says why what was shown could not be spent.
func (s *Service) unspent(ctx context.Context, by account.Principal, login account.Login, err error) error {
	switch {
	case !errors.Is(err, video.ErrStale):
		return err
	case login.Factor.Sealed == "":
		return unknown("The session is over; sign in again.")
	default: // it was used before, or the session has ended
		return s.wrong(ctx, by, login)
	}
}

// again has by, who is signed in with a browser, prove once more who they are, before anything about their second factor changes: by password, and by the factor that
// they have. For a first one it does that they have just signed in. fault.Forbidden, codes "password_required" and "code_required"; fault.Invalid, codes "wrong_password" and
// "wrong_code"; fault.Limited, code "try_later"; fault.Conflict, code "external_user".
func (s *Service) again(ctx context.Context, by account.Principal, password, code string) (login account.Login, shown account.SecondFactorProof, forgives []string, err error) {
	const op = "identity.factor"
	if by.Session == "" {
		return login, shown, nil, needsSession()
	}
	if err := by.Enrolling(); err != nil {
		return login, shown, nil, err
	}
	if strings.HasPrefix(by.ID, account.ExternalPrefix) {
		return login, shown, nil, fault.New(fault.Conflict, op, "external_user", "You sign in by another issuer; set up a second factor there.", nil)
	}
	if login, err = s.self(ctx, by); err != nil {
		return login, shown, nil, err
	}
	has := login.Factor.Sealed != ""
	switch {
	case !has && password == "" && s.Now().Sub(by.SignedIn) <= freshFor:
		return login, shown, nil, nil
	case password == "":
		return login, shown, nil, fault.New(fault.Forbidden, op, "password_required", "Send your password too: your second factor is about to change.", nil)
	case has && code == "":
		return login, shown, nil, fault.New(fault.Forbidden, op, "code_required", "Send a code of your app, or a recovery code, too: your second factor is about to change.", nil)
	}
	if err := s.samePassword(ctx, by, login, password); err != nil {
		return login, shown, nil, err
	}
	forgives = []string{changeStrikes(login.ID)}
	if has {
		var strikes string
		if shown, strikes, err = s.shown(ctx, by, login, code); err != nil {
			return login, shown, nil, err
		}
		forgives = append(forgives, strikes)
	}
	return login, shown, forgives, nil
}

// OfferFactor offers by a second factor for their app. It counts from the first code on that is shown in the same session (SetFactor); the one that they have counts until then.
// The errors are again's.
func (s *Service) OfferFactor(ctx context.Context, by account.Principal, password, code string) (account.Enrolment, error) {
	login, shown, forgives, err := s.again(ctx, by, password, code)
	if err != nil {
		return account.Enrolment{}, err
	}
	key, err := totp.Generate(totp.GenerateOpts{Issuer: s.Site, AccountName: login.Email, Period: stepSeconds, SecretSize: secretBytes, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	if err != nil {
		return account.Enrolment{}, err
	}
	now := s.Now()
	err = s.Store.OfferFactor(ctx, account.SecondFactorSetup{Login: login, Shown: shown, Session: by.Session, Sealed: s.Seal.Close(by.Session, []byte(key.String())), Time: now, Forgives: forgives})
	if err != nil {
		return account.Enrolment{}, s.unspent(ctx, by, login, err)
	}
	return account.Enrolment{Secret: key.Secret(), URI: key.String(), Expires: now.Add(offerFor)}, nil
}

// offered is what the session of by was offered. fault.Gone, code "offer_gone".
func (s *Service) offered(ctx context.Context, by account.Principal) (account.Session, *otp.Key, error) {
	session, err := s.CurrentSession(ctx, by)
	if err != nil {
		return session, nil, err
	}
	uri, ok := s.Seal.Open(session.ID, session.Offer)
	if !ok || s.Now().Sub(session.Offered) > offerFor {
		return session, nil, offerGone()
	}
	key, err := otp.NewKeyFromURL(string(uri))
	return session, key, err
}

func offerGone() error {
	return fault.New(fault.Gone, "identity.factor", "offer_gone", "No second factor waits for its first code here: it has one, or was offered over 15 minutes ago; begin again.", nil)
}

// FactorImage is a PNG of the QR code of what by was offered, for the camera of their app. fault.Gone, code "offer_gone".
func (s *Service) FactorImage(ctx context.Context, by account.Principal) ([]byte, error) {
	if err := by.Enrolling(); err != nil {
		return nil, err
	}
	_, key, err := s.offered(ctx, by)
	if err != nil {
		return nil, err
	}
	code, err := qr.Encode(key.String(), qr.M, qr.Auto)
	if err != nil {
		return nil, err
	}
	side := (code.Bounds().Dx() + 2*quietModules) * modulePixels
	if code, err = barcode.Scale(code, side, side); err != nil {
		return nil, err
	}
	var body bytes.Buffer
	err = png.Encode(&body, code)
	return body.Bytes(), err
}

// SetFactor makes what by was offered their second factor, once a code shows that their app has it. Every session of theirs ends, and a new one begins. fault.Gone, code
// "offer_gone"; fault.Invalid, code "wrong_code".
func (s *Service) SetFactor(ctx context.Context, by account.Principal, code string) (account.SecondFactorEnabled, error) {
	if err := by.Enrolling(); err != nil {
		return account.SecondFactorEnabled{}, err
	}
	asked, key, err := s.offered(ctx, by)
	if err != nil {
		return account.SecondFactorEnabled{}, err
	}
	login, err := s.self(ctx, by)
	if err != nil {
		return account.SecondFactorEnabled{}, err
	}
	step, ok := stepOf(key.Secret(), strings.ReplaceAll(code, " ", ""), s.Now())
	if !ok { // nothing is to be guessed here: the session was told the secret
		return account.SecondFactorEnabled{}, fault.New(fault.Invalid, "identity.factor", "wrong_code", "This is not the code that the app shows for this server now; type it again, and check the clock of the app's device.", nil)
	}
	codes, hashes := recovery(login.ID)
	u, act := login.User, s.act(ctx, account.FactorSet, by, login.User)
	if login.Factor.Sealed != "" {
		act.Detail = map[string]string{"instead": "of another"}
	}
	u.Factored = s.Now()
	session, value := s.newSession(ctx, u, s.Now())
	err = s.Store.SetFactor(ctx, account.NewFactor{
		Login: login, Asked: asked, Factor: account.Factor{Sealed: s.Seal.Close(login.ID, []byte(key.Secret())), Step: step}, Codes: hashes,
		Session: session, Hash: digest(value), Act: act,
	})
	if errors.Is(err, video.ErrStale) {
		err = offerGone()
	}
	if err != nil {
		return account.SecondFactorEnabled{}, err
	}
	return account.SecondFactorEnabled{Admission: s.admission(u, login.Hash, session, value), Recovery: codes}, nil
}

// recovery makes recovery codes, as people keep them, and what is kept of them here.
func recovery(user string) (codes, hashes []string) {
	for range recoveryCodes {
		b := make([]byte, recoveryBytes)
		_, _ = rand.Read(b) // never fails (crypto/rand)
		plain := recoveryText.EncodeToString(b)
		hashes = append(hashes, recoveryDigest(user, plain))
		var parts []string
		for i := 0; i < len(plain); i += 4 {
			parts = append(parts, plain[i:i+4])
		}
		codes = append(codes, strings.ToLower(strings.Join(parts, "-")))
	}
	return codes, hashes
}

// MakeRecoveryCodes gives by other recovery codes; those from before are good no more. The errors are again's, and fault.Conflict, code "no_factor".
func (s *Service) MakeRecoveryCodes(ctx context.Context, by account.Principal, password, code string) ([]string, error) {
	login, shown, forgives, err := s.having(ctx, by, password, code)
	if err != nil {
		return nil, err
	}
	codes, hashes := recovery(login.ID)
	err = s.Store.SetCodes(ctx, account.NewCodes{Login: login, Shown: shown, Session: by.Session, Codes: hashes, Forgives: forgives, Act: s.act(ctx, account.FactorCodes, by, login.User)})
	if err != nil {
		return nil, s.unspent(ctx, by, login, err)
	}
	return codes, nil
}

// having is again for who has a second factor.
func (s *Service) having(ctx context.Context, by account.Principal, password, code string) (account.Login, account.SecondFactorProof, []string, error) {
	if err := by.Settled(); err != nil {
		return account.Login{}, account.SecondFactorProof{}, nil, err
	}
	if by.Session != "" && by.Proven.IsZero() {
		return account.Login{}, account.SecondFactorProof{}, nil, fault.New(fault.Conflict, "identity.factor", "no_factor", "You have no second factor; set one up first.", nil)
	}
	return s.again(ctx, by, password, code)
}

// RemoveFactor takes the second factor of by, and the recovery codes. Every session of theirs ends, and a new one begins. The errors are again's, and fault.Conflict, codes
// "no_factor" and "factor_demanded" where they must have one.
func (s *Service) RemoveFactor(ctx context.Context, by account.Principal, password, code string) (account.Admission, error) {
	if by.Session == "" {
		return account.Admission{}, needsSession()
	}
	if s.Demand.Of(account.User{ID: by.ID, Role: by.Role}) {
		return account.Admission{}, fault.New(fault.Conflict, "identity.factor", "factor_demanded", "This server asks you for a second factor; set up another one in its place.", nil)
	}
	login, shown, forgives, err := s.having(ctx, by, password, code)
	if err != nil {
		return account.Admission{}, err
	}
	u := login.User
	u.Factored = time.Time{}
	session, value := s.newSession(ctx, u, time.Time{})
	err = s.Store.EndFactor(ctx, account.FactorEnd{
		Login: login, Shown: shown, Asked: by.Session, Session: session, Hash: digest(value), Forgives: forgives, Act: s.act(ctx, account.FactorRemoved, by, u),
	})
	if err != nil {
		return account.Admission{}, s.unspent(ctx, by, login, err)
	}
	return s.admission(u, login.Hash, session, value), nil
}

// ResetFactor takes the second factor of another user, who has lost theirs: their sessions end, and a letter tells them. fault.NotFound, code "no_user"; fault.Conflict, code
// "no_factor"; fault.Forbidden, code "own_factor", for one's own, which asks for password and code.
func (s *Service) ResetFactor(ctx context.Context, by account.Principal, id string) error {
	if by.ID == id {
		return fault.New(fault.Forbidden, "identity.factor", "own_factor", "Change your own second factor under your account, by password and code; or have another administrator reset it.", nil)
	}
	u, err := s.User(ctx, id)
	if err != nil {
		return err
	}
	return s.Store.ResetFactor(ctx, id, s.act(ctx, account.FactorReset, by, u))
}

// Factor is what by may know of their second factor. fault.Forbidden, code "session_required", where they came by other means than a browser's session.
func (s *Service) Factor(ctx context.Context, by account.Principal) (account.FactorState, error) {
	if by.Session == "" {
		return account.FactorState{}, needsSession()
	}
	if err := by.Enrolling(); err != nil {
		return account.FactorState{}, err
	}
	u, err := s.User(ctx, by.ID)
	if err != nil {
		return account.FactorState{}, err
	}
	left, err := s.Store.CodesLeft(ctx, by.ID)
	return account.FactorState{Since: u.Factored, Demanded: s.Demand.Of(u), Left: left}, err
}

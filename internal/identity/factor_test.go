package identity_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/totp"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/identity"
	"sluice/internal/seal"
)

// app is what makes the codes of a second factor: another reader of the address than the one that wrote it.
type app struct {
	w      *world
	secret string
	spare  []string // recovery codes
}

// code is what the app shows at a time so far from now.
func (a app) code(off time.Duration) string {
	a.w.Helper()
	code, err := totp.GenerateCodeCustom(a.secret, a.w.now().Add(off), totp.ValidateOpts{Period: 30, Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
	a.w.must(err)
	return code
}

// enrolled is a user with a second factor, and the cookie of their session.
func (w *world) enrolled(email string, role account.Role) (u account.User, cookie string, a app) {
	w.Helper()
	u, cookie = w.user(email, role)
	cookie, a = w.enrol(cookie, "", "")
	return u, cookie, a
}

// enrol sets up a second factor in a session and returns the next one's cookie.
func (w *world) enrol(cookie, password, code string) (string, app) {
	w.Helper()
	p, err := w.ask(cookie)
	w.must(err)
	offer, err := w.OfferFactor(w.from(home, cookie), p, password, code)
	w.must(err)
	a := app{w: w, secret: offer.Secret}
	w.pass(time.Minute) // so that the code is none that was used
	done, err := w.SetFactor(w.from(home, cookie), p, a.code(0))
	w.must(err)
	a.spare = done.Recovery
	w.pass(time.Minute)
	return value(w.T, done.Cookie), a
}

// asked is a user's session that waits for a second factor.
func (w *world) asked(from, email string) account.Principal {
	w.Helper()
	p, err := w.ask(w.signIn(from, email, own))
	w.must(err)
	if !p.MustProve {
		w.Fatalf("nobody asks for a second factor: %+v", p)
	}
	return p
}

func TestAfterThePasswordASecondFactorIsAskedForAndNothingElseIsAllowed(t *testing.T) {
	each(t, func(w *world) {
		u, before, a := w.enrolled("ada@example.com", account.Admin)
		in, err := w.SignIn(w.from(home, before), u.Email, own)
		w.must(err)
		if !in.MustProve || in.MustEnrol {
			w.Errorf("%+v", in)
		}
		_, err = w.ask(before)
		w.refused(err, "unauthorized") // the browser's session from before
		cookie := value(w.T, in.Cookie)
		p, err := w.ask(cookie)
		w.must(err)
		if !p.MustProve || fault.Of(p.Allow(account.UsersAdmin)).Code != "second_factor_required" || p.MaySee(account.Subject{Workspace: "main", Ready: true}) || p.MayPut("main") || p.MayEnter("main") {
			w.Errorf("%+v", p)
		}
		for name, try := range map[string]func() error{
			"a token":      func() error { _, _, err := w.MakeToken(w.Context(), p, account.Token{Name: "t"}); return err },
			"sessions":     func() error { _, err := w.Sessions(w.Context(), p, ""); return err },
			"a password":   func() error { _, err := w.ChangePassword(w.from(home, ""), p, own, own+"!"); return err },
			"an offer":     func() error { _, err := w.OfferFactor(w.from(home, ""), p, own, a.code(0)); return err },
			"the image":    func() error { _, err := w.FactorImage(w.Context(), p); return err },
			"a first code": func() error { _, err := w.SetFactor(w.Context(), p, a.code(0)); return err },
			"its state":    func() error { _, err := w.Factor(w.Context(), p); return err },
			"codes":        func() error { _, err := w.MakeRecoveryCodes(w.from(home, ""), p, own, a.code(0)); return err },
			"its end":      func() error { _, err := w.RemoveFactor(w.from(home, ""), p, own, a.code(0)); return err },
		} {
			if err := try(); fault.Of(err).Code != "second_factor_required" {
				w.Errorf("%s: %v", name, err)
			}
		}
		done, err := w.Prove(w.from(home, cookie), p, a.code(0))
		w.must(err)
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized") // rotated
		p, err = w.ask(value(w.T, done.Cookie))
		w.must(err)
		if p.MustProve || p.Allow(account.UsersAdmin) != nil || p.Proven.IsZero() || !p.SignedIn.Equal(w.now()) {
			w.Errorf("%+v", p)
		}
		_, err = w.Prove(w.from(home, ""), p, a.code(time.Minute))
		w.refused(err, "factor_not_asked")
		changed, err := w.ChangePassword(w.from(home, ""), p, own, own+"!")
		w.must(err)
		if p, err = w.ask(value(w.T, changed.Cookie)); err != nil || p.MustProve { // it was shown
			w.Errorf("%+v %v", p, err)
		}
		waits, err := w.ask(w.signIn(home, u.Email, own+"!"))
		w.must(err)
		w.pass(15*time.Minute + time.Second)
		_, err = w.Sessions(w.Context(), waits, "")
		w.refused(err, "second_factor_required")
		w.must(w.Prune(w.Context()))
		if _, err := w.CurrentSession(w.Context(), waits); fault.Of(err).Code != "unauthorized" {
			w.Errorf("a session waits for its second factor longer than a quarter of an hour: %v", err)
		}
	})
}

func TestACodeWorksOnceInItsStepAndThoseBesideIt(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		_, _, b := w.enrolled("bob@example.com", account.Viewer)
		prove := func(code string) error {
			p := w.asked(home, u.Email)
			_, err := w.Prove(w.from(home, ""), p, code)
			return err
		}
		for _, c := range []struct {
			name string
			at   int64 // second within a step
			off  time.Duration
			want string
		}{
			{"two steps before", 0, -31 * time.Second, "wrong_code"}, {"two steps after", 29, 31 * time.Second, "wrong_code"},
			{"far in the future", 0, time.Hour, "wrong_code"},
			{"one step before, at the end of the step", 29, -30 * time.Second, ""}, {"now, at the start", 0, 0, ""}, {"now, at the end", 29, 0, ""},
			{"one step after, at the start", 0, 30 * time.Second, ""},
		} {
			w.pass(5 * time.Minute)
			w.pass(time.Duration(30+c.at-w.now().Unix()%30) * time.Second)
			code := a.code(c.off)
			if err := prove(code); (c.want == "") != (err == nil) || err != nil && fault.Of(err).Code != c.want {
				w.Errorf("%s: %v", c.name, err)
			}
			if c.want == "" {
				w.refused(prove(code), "wrong_code") // again
				if c.off > 0 {
					w.refused(prove(a.code(0)), "wrong_code") // one before it
				}
			}
			w.pass(time.Hour) // and its failures
		}
		w.refused(prove(b.code(0)), "wrong_code")
		w.refused(prove(b.spare[0]), "wrong_code")
		for _, junk := range []string{"000000x", "", "12345", "1234567", "٠٠٠٠٠٠", "abcd-efgh-ijkl-mnop-qrst-uvwx", strings.Repeat("0", 64)} {
			w.pass(time.Hour)
			w.refused(prove(junk), "wrong_code")
		}
		w.pass(time.Hour)
		code := a.code(0)
		w.must(prove(code[:3] + " " + code[3:]))
	})
}

func TestOfManyWhoShowTheSameCodeAtOnceOneWins(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		for _, code := range []string{a.code(0), a.spare[3]} {
			var won, wrong, later sync.Map
			var all sync.WaitGroup
			waiting := make([]account.Principal, 50)
			p := w.asked(home, u.Email)
			for i := range waiting { // half wait in one session, half in sessions of their own
				if waiting[i] = p; i%10 == 0 {
					waiting[i] = w.asked(home, u.Email)
				}
			}
			for i, p := range waiting {
				all.Go(func() {
					done, err := w.Prove(w.from(fmt.Sprintf("198.51.100.%d", i), ""), p, code)
					switch c := fault.Of(err).Code; {
					case err == nil:
						won.Store(i, done)
					case c == "wrong_code":
						wrong.Store(i, err)
					case c == "try_later":
						later.Store(i, err)
					default:
						w.Errorf("number %d: %v", i, err)
					}
				})
			}
			all.Wait()
			if n := size(&won); n != 1 || size(&wrong)+size(&later) != 49 {
				w.Errorf("%d won, %d were wrong, %d were put off", n, size(&wrong), size(&later))
			}
			w.pass(time.Hour)
		}
		if n, err := w.store.CodesLeft(w.Context(), u.ID); err != nil || n != 9 {
			w.Errorf("%d recovery codes, %v", n, err)
		}
	})
}

func TestGuessesAtASecondFactorWaitAndNeverForEver(t *testing.T) {
	each(t, func(w *world) {
		u, cookie, a := w.enrolled("ada@example.com", account.Viewer)
		thief := w.asked("203.0.113.1", u.Email) // who has the password
		from := 0
		guess := func() error {
			from++
			_, err := w.Prove(w.from(fmt.Sprintf("198.51.100.%d", from%250), ""), thief, "000000")
			return err
		}
		wrong := 0
		for range 40 {
			switch code := fault.Of(guess()).Code; code {
			case "wrong_code":
				wrong++
			case "try_later":
			default:
				w.Fatal(code)
			}
		}
		if wrong != 5 {
			w.Errorf("%d guesses without a wait, want 5", wrong)
		}
		w.asked("203.0.113.2", u.Email) // the password again forgives none of them
		w.refused(guess(), "try_later")
		again := w.asked("203.0.113.2", u.Email)
		_, err := w.Prove(w.from("203.0.113.2", ""), again, a.code(0))
		w.refused(err, "try_later") // not even with the right code, from where nobody knows the user
		_, err = w.ask(cookie)
		w.must(err)
		_, err = w.Prove(w.from(home, ""), w.asked(home, u.Email), a.code(0)) // and the user is not kept out where they are known
		w.must(err)
		w.pass(16 * time.Minute)
		again = w.asked("203.0.113.3", u.Email)
		_, err = w.Prove(w.from("203.0.113.3", ""), again, a.code(0))
		w.must(err)
		address := w.asked(home, u.Email)
		for range 3 {
			_, err := w.Prove(w.from("203.0.113.9", ""), address, "000000")
			w.refused(err, "wrong_code")
		}
		w.must(w.store.Strike(w.Context(), []string{"address:203.0.113.9"}, func(_ string, was account.FailureCount) account.FailureCount {
			if was.Count != 3 {
				w.Errorf("an address has guessed %d times, want 3", was.Count)
			}
			return was
		}, nil))
	})
}

func TestWhoHasThePasswordAloneIsNotKnownByTheirAddress(t *testing.T) {
	each(t, func(w *world) {
		u, _, _ := w.enrolled("ada@example.com", account.Viewer)
		w.asked("203.0.113.1", u.Email)
		if l, err := w.store.Login(w.Context(), u.Email, "203.0.113.1"); err != nil || l.Known {
			w.Errorf("%+v %v", l, err)
		}
		if l, err := w.store.Login(w.Context(), u.Email, home); err != nil || !l.Known {
			w.Errorf("%+v %v", l, err)
		}
	})
}

func TestASecondFactorGoesWithItsAccountAndNotWithItsPassword(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		w.forgotten(u.Email)
		w.must(w.Reset(w.Context(), w.secret(u.ID), own+"!"))
		if in, err := w.SignIn(w.from(home, ""), u.Email, own+"!"); err != nil || !in.MustProve {
			w.Errorf("a new password takes the second factor: %+v %v", in, err)
		}
		_, err := w.ForceReset(w.Context(), account.Operator(), u.ID)
		w.must(err)
		temporary := w.secret(u.ID)
		in, err := w.SignIn(w.from(home, ""), u.Email, temporary)
		w.must(err)
		p, err := w.ask(value(w.T, in.Cookie))
		w.must(err)
		if !in.MustProve || !p.MustProve || !p.MustChange {
			w.Errorf("%+v", p)
		}
		_, err = w.ChangePassword(w.from(home, ""), p, temporary, own)
		w.refused(err, "second_factor_required") // first
		in, err = w.Prove(w.from(home, ""), p, a.code(0))
		w.must(err)
		p, err = w.ask(value(w.T, in.Cookie))
		w.must(err)
		if p.MustProve || fault.Of(p.Settled()).Code != "password_change_required" {
			w.Errorf("%+v", p)
		}
		in, err = w.ChangePassword(w.from(home, ""), p, temporary, own)
		w.must(err)
		if p, err = w.ask(value(w.T, in.Cookie)); err != nil || p.Settled() != nil {
			w.Errorf("%+v %v", p, err)
		}
		yes, no := true, false
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &yes}))
		if n, err := w.store.CodesLeft(w.Context(), u.ID); err != nil || n != 0 {
			w.Errorf("%d recovery codes, %v", n, err)
		}
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &no}))
		if in, err := w.SignIn(w.from(home, ""), u.Email, own); err != nil || in.MustProve {
			w.Errorf("%+v %v", in, err)
		}
		gone, _, _ := w.enrolled("bob@example.com", account.Viewer)
		w.must(w.RemoveUser(w.Context(), account.Operator(), gone.ID))
		if n, err := w.store.CodesLeft(w.Context(), gone.ID); err != nil || n != 0 {
			w.Errorf("%d recovery codes, %v", n, err)
		}
	})
}

func TestWhoMustHaveASecondFactorCanDoNothingButSetOneUp(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Admin)
		_, seen := w.user("bob@example.com", account.Viewer)
		p, err := w.ask(cookie)
		w.must(err)
		_, token, err := w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.must(err)
		w.Demand = account.Admins
		p, err = w.ask(cookie)
		w.must(err)
		if fault.Of(p.Settled()).Code != "second_factor_enrolment_required" || p.MaySee(account.Subject{Workspace: "main", Ready: true}) {
			w.Errorf("%+v", p)
		}
		_, _, err = w.MakeToken(w.Context(), p, account.Token{Name: "t"})
		w.refused(err, "second_factor_enrolment_required")
		_, err = w.MakeRecoveryCodes(w.from(home, ""), p, own, "")
		w.refused(err, "second_factor_enrolment_required")
		if p, err := w.bear(token); err != nil || p.Settled() != nil { // made before, and by a session that had done all that was asked
			w.Errorf("%+v %v", p, err)
		}
		if p, err := w.ask(seen); err != nil || p.Settled() != nil {
			w.Errorf("%+v %v", p, err)
		}
		in, err := w.SignIn(w.from(home, ""), u.Email, own)
		w.must(err)
		if !in.MustEnrol || in.MustProve {
			w.Errorf("%+v", in)
		}
		cookie, a := w.enrol(value(w.T, in.Cookie), "", "")
		p, err = w.ask(cookie)
		w.must(err)
		w.must(p.Settled())
		_, err = w.RemoveFactor(w.from(home, ""), p, own, a.code(0))
		w.refused(err, "factor_demanded")
		w.Demand = account.Everyone
		if p, err := w.ask(seen); err != nil || !p.MustEnrol {
			w.Errorf("%+v %v", p, err)
		}
		visitor, err := w.Admit(w.from(home, ""), account.ExternalUser{ID: account.ExternalPrefix + "x", Email: "x@example.com", Role: account.Admin})
		w.must(err)
		p, err = w.ask(value(w.T, visitor.Cookie))
		w.must(err)
		w.must(p.Settled()) // whom another issuer signs in has theirs there
		_, err = w.OfferFactor(w.from(home, ""), p, own, "")
		w.refused(err, "external_user")
	})
}

func TestWithoutItsSealASecondFactorIsShownByRecoveryCodesAlone(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		lost, err := seal.New([]byte("another secret of the seal"), "test")
		w.must(err)
		w.Seal = lost
		p := w.asked(home, u.Email)
		_, err = w.Prove(w.from(home, ""), p, a.code(0))
		w.refused(err, "factor_lost")
		_, err = w.Prove(w.from(home, ""), p, a.spare[0])
		w.must(err)
	})
}

// ended is a Store in which something happens between what a Service reads and what it writes.
type ended struct {
	identity.Store
	meanwhile func()
}

func (e *ended) Prove(ctx context.Context, p account.Proof) error {
	e.meanwhile()
	return e.Store.Prove(ctx, p)
}

func (e *ended) SetFactor(ctx context.Context, f account.NewFactor) error {
	e.meanwhile()
	return e.Store.SetFactor(ctx, f)
}

func TestOfTwoWhoShowTheSameCodeAtOnceTheFirstWins(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		records := w.Store
		for _, code := range []string{a.code(0), a.spare[0]} {
			first, second := w.asked(home, u.Email), w.asked(home, u.Email)
			w.Store = &ended{records, func() { // the second has compared it, and the first is done
				w.Store = records
				_, err := w.Prove(w.from(home, ""), first, code)
				w.must(err)
			}}
			_, err := w.Prove(w.from(home, ""), second, code)
			w.refused(err, "wrong_code")
		}
	})
}

func TestASecondFactorThatWasShownWhileEverythingEndedOpensNothing(t *testing.T) {
	each(t, func(w *world) {
		u, _, a := w.enrolled("ada@example.com", account.Viewer)
		p := w.asked(home, u.Email)
		records := w.Store
		yes, no := true, false
		w.Store = &ended{records, func() { w.must(edit(w, u.ID, account.UserEdit{Disabled: &yes})) }}
		_, err := w.Prove(w.from(home, ""), p, a.code(0))
		w.refused(err, "wrong_code")
		w.Store = records
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &no}))
		if all, err := w.store.Sessions(w.Context(), u.ID); err != nil || len(all) != 0 {
			w.Errorf("%+v %v", all, err)
		}
		p, err = w.ask(w.signIn(home, u.Email, own))
		w.must(err)
		offer, err := w.OfferFactor(w.from(home, ""), p, own, "")
		w.must(err)
		w.Store = &ended{records, func() { w.must(w.EndSession(w.Context(), account.Operator(), u.ID, p.Session)) }}
		_, err = w.SetFactor(w.from(home, ""), p, app{w: w, secret: offer.Secret}.code(0))
		w.refused(err, "offer_gone")
		if u, err := w.User(w.Context(), u.ID); err != nil || !u.Factored.IsZero() {
			w.Errorf("%+v %v", u, err)
		}
	})
}

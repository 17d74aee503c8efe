package identity_test

import (
	"bytes"
	"image/png"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

func TestASecondFactorIsSetUpByPasswordAndFirstCode(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Viewer)
		elsewhere := w.signIn(home, u.Email, own)
		p, err := w.ask(cookie)
		w.must(err)
		w.pass(11 * time.Minute) // not just signed in any more
		_, err = w.OfferFactor(w.from(home, cookie), p, "", "")
		w.refused(err, "password_required")
		_, err = w.OfferFactor(w.from(home, cookie), p, "wrong", "")
		w.refused(err, "wrong_password")
		_, err = w.SetFactor(w.from(home, cookie), p, "000000")
		w.refused(err, "offer_gone")
		_, err = w.FactorImage(w.Context(), p)
		w.refused(err, "offer_gone")
		offer, err := w.OfferFactor(w.from(home, cookie), p, own, "")
		w.must(err)
		uri, err := url.Parse(offer.URI)
		w.must(err)
		q := uri.Query()
		if uri.Scheme != "otpauth" || uri.Host != "totp" || uri.Path != "/Sluice test:ada@example.com" || q.Get("secret") != offer.Secret || q.Get("issuer") != "Sluice test" ||
			q.Get("algorithm") != "SHA1" || q.Get("digits") != "6" || q.Get("period") != "30" || len(offer.Secret) != 32 {
			w.Error(offer)
		}
		body, err := w.FactorImage(w.Context(), p)
		w.must(err)
		if picture, err := png.Decode(bytes.NewReader(body)); err != nil || picture.Bounds().Dx() < 100 {
			w.Error(picture.Bounds(), err) // test/browser reads what it says
		}
		if in, err := w.SignIn(w.from(home, ""), u.Email, own); err != nil || in.MustProve {
			w.Errorf("what was only offered is asked for: %+v %v", in, err)
		}
		a := app{w: w, secret: offer.Secret}
		_, err = w.SetFactor(w.from(home, cookie), p, "000000")
		w.refused(err, "wrong_code")
		w.pass(15*time.Minute + time.Second)
		_, err = w.SetFactor(w.from(home, cookie), p, a.code(0))
		w.refused(err, "offer_gone")
		cookie, a = w.enrol(cookie, own, "")
		_, err = w.ask(elsewhere)
		w.refused(err, "unauthorized")
		p, err = w.ask(cookie)
		w.must(err)
		state, err := w.Factor(w.Context(), p)
		w.must(err)
		if state.Since.IsZero() || state.Left != 10 || state.Demanded || p.Proven.IsZero() || len(a.spare) != 10 || len(a.spare[0]) != 29 {
			w.Errorf("%+v %+v %v", state, p, a.spare)
		}
		if l := letters(w)[0]; l.Kind != account.FactorSetLetter || l.User != u.ID {
			w.Errorf("%+v", l)
		}
		all, err := w.Users(w.Context(), "", 0)
		w.must(err)
		for _, one := range all {
			if one.Factored.IsZero() == (one.ID == u.ID) {
				w.Errorf("%+v", one)
			}
		}
	})
}

func TestASecondFactorIsReplacedByPasswordAndTheOneBefore(t *testing.T) {
	each(t, func(w *world) {
		u, cookie, a := w.enrolled("ada@example.com", account.Viewer)
		p, err := w.ask(cookie)
		w.must(err)
		for want, try := range map[string][2]string{"password_required": {"", a.code(0)}, "code_required": {own, ""}, "wrong_code": {own, "000000"}, "wrong_password": {"wrong", a.code(0)}} {
			_, err := w.OfferFactor(w.from(home, cookie), p, try[0], try[1])
			w.refused(err, want)
		}
		w.pass(time.Hour)
		cookie, b := w.enrol(cookie, own, a.code(0))
		p = w.asked(home, u.Email)
		for _, old := range []string{a.code(0), a.spare[0]} {
			_, err = w.Prove(w.from(home, ""), p, old)
			w.refused(err, "wrong_code")
		}
		_, err = w.Prove(w.from(home, ""), p, b.code(0))
		w.must(err)
		w.pass(time.Minute)
		p, err = w.ask(cookie)
		w.must(err)
		code := b.code(0)
		fresh, err := w.MakeRecoveryCodes(w.from(home, cookie), p, own, code)
		w.must(err)
		_, err = w.MakeRecoveryCodes(w.from(home, cookie), p, own, code)
		w.refused(err, "wrong_code") // used
		p = w.asked(home, u.Email)
		_, err = w.Prove(w.from(home, ""), p, b.spare[1])
		w.refused(err, "wrong_code")
		_, err = w.Prove(w.from(home, ""), p, " "+strings.ToUpper(strings.ReplaceAll(fresh[1], "-", " ")))
		w.must(err)
		if l := letters(w)[0]; l.Kind != account.RecoveryLetter || l.User != u.ID {
			w.Errorf("%+v", l)
		}
		p = w.asked(home, u.Email)
		_, err = w.Prove(w.from(home, ""), p, fresh[1])
		w.refused(err, "wrong_code")
	})
}

func TestWhatASecondSessionIsOfferedLeavesTheFirstAlone(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Viewer)
		mine, err := w.ask(cookie)
		w.must(err)
		theirs, err := w.ask(w.signIn("203.0.113.1", u.Email, own))
		w.must(err)
		first, err := w.OfferFactor(w.from(home, ""), mine, "", "")
		w.must(err)
		second, err := w.OfferFactor(w.from("203.0.113.1", ""), theirs, "", "")
		w.must(err)
		a, b := app{w: w, secret: first.Secret}, app{w: w, secret: second.Secret}
		_, err = w.SetFactor(w.from(home, ""), mine, b.code(0))
		w.refused(err, "wrong_code")
		var won sync.Map
		var all sync.WaitGroup
		for i, try := range []func() error{
			func() error { _, err := w.SetFactor(w.from(home, ""), mine, a.code(0)); return err },
			func() error { _, err := w.SetFactor(w.from("203.0.113.1", ""), theirs, b.code(0)); return err },
		} {
			all.Go(func() {
				switch err := try(); {
				case err == nil:
					won.Store(i, true)
				case fault.Of(err).Code != "offer_gone" && fault.Of(err).Code != "unauthorized":
					w.Error(err)
				}
			})
		}
		all.Wait()
		if n := size(&won); n != 1 {
			w.Errorf("%d second factors were set up", n)
		}
	})
}

func TestASecondFactorIsRemovedByItsUserAndResetByAnother(t *testing.T) {
	each(t, func(w *world) {
		u, cookie, a := w.enrolled("ada@example.com", account.Admin)
		p, err := w.ask(cookie)
		w.must(err)
		_, err = w.RemoveFactor(w.from(home, cookie), p, own, "")
		w.refused(err, "code_required")
		_, err = w.RemoveFactor(w.from(home, cookie), p, "", a.code(0))
		w.refused(err, "password_required")
		w.refused(w.ResetFactor(w.Context(), p, u.ID), "own_factor")
		done, err := w.RemoveFactor(w.from(home, cookie), p, own, a.code(0))
		w.must(err)
		if l := letters(w)[0]; l.Kind != account.FactorEndLetter || l.User != u.ID {
			w.Errorf("%+v", l)
		}
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		p, err = w.ask(value(w.T, done.Cookie))
		w.must(err)
		_, err = w.RemoveFactor(w.from(home, cookie), p, own, a.code(0))
		w.refused(err, "no_factor")
		_, err = w.MakeRecoveryCodes(w.from(home, cookie), p, own, a.code(0))
		w.refused(err, "no_factor")
		w.refused(w.ResetFactor(w.Context(), account.Operator(), u.ID), "no_factor")
		w.refused(w.ResetFactor(w.Context(), account.Operator(), "nobody"), "no_user")
		w.pass(time.Minute)
		cookie, _ = w.enrol(value(w.T, done.Cookie), "", "")
		w.must(w.ResetFactor(w.Context(), account.Operator(), u.ID))
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		if in, err := w.SignIn(w.from(home, ""), u.Email, own); err != nil || in.MustProve {
			w.Errorf("%+v %v", in, err)
		}
		if n, err := w.store.CodesLeft(w.Context(), u.ID); err != nil || n != 0 {
			w.Errorf("%d recovery codes, %v", n, err)
		}
		var acts []string
		for _, one := range audit(w, u.ID) {
			acts = append(acts, one.What+" by "+one.ByName)
		}
		said := strings.Join(acts, ", ")
		if !strings.HasPrefix(said, "sign_in by ada@example.com, factor.reset by admin, factor.set by ada@example.com, factor.removed by ada@example.com, factor.set by ada@example.com") {
			w.Error(said)
		}
	})
}

package oauth

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/account"
	"sluice/internal/fault"
)

func TestAnIDTokenTellsHowItsPersonSignedIn(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for want, proven := range map[string]bool{"[pwd]": false, "[pwd otp mfa]": true} {
			w.signIn("ed")
			p := *w.asks.Load()
			if proven {
				p.Proven = w.Now()
			}
			w.asks.Store(&p)
			a := w.redeem(w.get(pathAuthorize, w.ask()).to.Query().Get("code"))
			_, claims := parts(t, a.str("id_token"))
			if got := fmt.Sprint(claims["amr"]); got != want || int64(claims["auth_time"].(float64)) != p.SignedIn.Unix() {
				t.Errorf("amr %s at %v, want %s at %d", got, claims["auth_time"], want, p.SignedIn.Unix())
			}
			_, claims = parts(t, w.refresh(a.str("refresh_token")).str("id_token"))
			if got := fmt.Sprint(claims["amr"]); got != want {
				t.Errorf("after a refresh amr is %s, want %s", got, want)
			}
		}
	})
}

func TestWhoHasNotShownTheSecondFactorGivesProgramsNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for code, bind := range map[string]func(*account.Principal){
			"second_factor_required":           func(p *account.Principal) { p.MustProve = true },
			"second_factor_enrolment_required": func(p *account.Principal) { p.MustEnrol = true },
		} {
			w.signIn("ed")
			p := *w.asks.Load()
			bind(&p)
			w.asks.Store(&p)
			a := w.get(pathAuthorize, w.ask())
			_, id, ok := strings.Cut(a.to.String(), "#/signin?request=")
			if !ok {
				t.Fatalf("%s: %v", code, a.to)
			}
			if to, err := w.Complete(t.Context(), id, p, true); fault.Of(err).Code != code || to != "" {
				t.Errorf("%s %v, want %s", to, err, code)
			}
			if a := w.get(pathAuthorize, w.ask("prompt", "none")); a.to.Query().Get("error") != "login_required" {
				t.Errorf("%s: %v", code, a.to)
			}
		}
	})
}

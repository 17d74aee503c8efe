package drill

import (
	"fmt"
	"net/http"
	"time"

	"github.com/pquerna/otp/totp"
)

// app is what makes the codes of a second factor, with the recovery codes beside it.
type app struct {
	c      *company
	secret string
	step   int64 // the newest whose code was shown
	spare  []string
}

// code is one that was never shown. Codes of an app are good once each 30 seconds, so a recovery code is better where there is one.
func (a *app) code() string {
	a.c.Helper()
	if len(a.spare) > 0 {
		one := a.spare[0]
		a.spare = a.spare[1:]
		return one
	}
	const steps = 30
	for a.step++; time.Now().Unix()/steps+1 < a.step; { // the next step's is taken already
		time.Sleep(100 * time.Millisecond)
	}
	a.step = max(a.step, time.Now().Unix()/steps)
	code, err := totp.GenerateCode(a.secret, time.Unix(a.step*steps, 0))
	if err != nil {
		a.c.Fatal(err)
	}
	return code
}

// told keeps the recovery codes of an answer.
func (a *app) told(done answer) {
	a.spare = nil
	all, _ := done.said["recovery_codes"].([]any)
	for _, one := range all {
		a.spare = append(a.spare, fmt.Sprint(one))
	}
}

// factors has somebody set up a second factor, sign in by it, replace its recovery codes and remove it, and set up another, which the administrator resets.
func (c *company) factors(root *person) {
	fay := c.invited(root, "fay@example.com", "editor")
	a := c.secured(fay)
	c.ledger.note("fay's password alone", func() string {
		p := newPerson(c.T, c.k, fay.email)
		if in := p.signIn(fay.password); in.said["must_prove"] != true {
			return in.raw
		}
		if got := p.ask(http.MethodGet, "/v1/videos", nil); got.status != http.StatusForbidden {
			return got.raw
		}
		return ""
	})
	c.proves(fay, a)
	for {
		done := fay.ask(http.MethodPost, "/v1/factor/recovery-codes", map[string]any{"password": fay.password, "code": a.code()})
		if done.status == http.StatusCreated {
			a.told(done)
			break
		}
		if !done.lost || done.status != http.StatusUnprocessableEntity {
			c.Fatalf("recovery codes: %d %s", done.status, done.raw)
		}
		a.spare = nil // they were replaced, and nobody was told by what
	}
	c.proves(fay, a)

	c.ledger.drop("fay")
	done := fay.must(http.MethodPost, "/v1/factor/remove", map[string]any{"password": fay.password, "code": a.code()}, http.StatusOK, http.StatusUnauthorized)
	if done.status != http.StatusOK {
		c.in(fay) // it was removed, which ended the session
	}
	c.ledger.note("fay without a second factor", func() string {
		if in := newPerson(c.T, c.k, fay.email).signIn(fay.password); in.said["must_prove"] != false {
			return in.raw
		}
		return ""
	})
	c.ledger.drop("fay")
	c.secured(fay)
	c.operator.must(http.MethodDelete, "/v1/users/"+fay.id+"/factor", nil, http.StatusNoContent, http.StatusConflict)
	c.ledger.drop(fay.email)
	c.ledger.dead("a session before the second factor was reset", func() answer { return fay.ask(http.MethodGet, "/v1/sessions", nil) })
	again := newPerson(c.T, c.k, fay.email)
	again.password = fay.password
	c.in(again)
}

// secured has somebody set up a second factor.
func (c *company) secured(p *person) *app {
	c.Helper()
	offer := p.must(http.MethodPost, "/v1/factor", map[string]any{"password": p.password}, http.StatusCreated)
	a := &app{c: c, secret: offer.text("secret")}
	done := p.must(http.MethodPost, "/v1/factor/confirm", map[string]any{"code": a.code()}, http.StatusOK, http.StatusUnauthorized)
	if done.status == http.StatusOK {
		a.told(done)
	} else { // it counted, and ended the session: nobody was told the recovery codes
		c.proves(p, a)
	}
	c.known(p)
	return a
}

// proves has somebody sign in with password and second factor. What they showed is good no more.
func (c *company) proves(p *person, a *app) {
	c.Helper()
	for range 4 {
		if in := p.signIn(p.password); in.status != http.StatusCreated || in.said["must_prove"] != true {
			c.Fatalf("%s signs in: %d %s", p.email, in.status, in.raw)
		}
		code := map[string]any{"code": a.code()}
		done := p.ask(http.MethodPost, "/v1/session/factor", code)
		if done.status != http.StatusCreated && (!done.lost || done.status != http.StatusUnauthorized) {
			c.Fatalf("%s proves: %d %s", p.email, done.status, done.raw)
		}
		twice := newPerson(c.T, c.k, p.email)
		twice.signIn(p.password)
		if again := twice.ask(http.MethodPost, "/v1/session/factor", code); again.status != http.StatusUnprocessableEntity {
			c.Errorf("a second factor was good twice: %d %s", again.status, again.raw)
		}
		if done.status == http.StatusCreated {
			c.known(p)
			return
		}
	}
	c.Fatalf("%s shows one second factor after the other, and nobody answers", p.email)
}

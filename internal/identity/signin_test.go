package identity_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/identity"
)

func TestEveryFailedSignInIsTheSameAnswerForTheSameWork(t *testing.T) {
	each(t, func(w *world) {
		store := &counted{Store: w.Store}
		w.Store = store
		w.user("ada@example.com", account.Viewer)
		gone, _ := w.user("gone@example.com", account.Viewer)
		yes := true
		w.must(edit(w, gone.ID, account.UserEdit{Disabled: &yes}))
		late := w.invite("late@example.com", account.Viewer)
		password := w.secret(late.ID)
		w.pass(8 * 24 * time.Hour)
		var want, work string
		for i, try := range [][2]string{{"nobody@example.com", own}, {"ada@example.com", "wrong"}, {"gone@example.com", own}, {"late@example.com", password}, {"no address at all", own}, {"", ""}} {
			before, _ := w.Hashes()
			acts := len(audit(w, ""))
			store.asked = nil
			_, err := w.SignIn(w.from(fmt.Sprint("198.51.100.", i), ""), try[0], try[1])
			if did := fmt.Sprint(store.asked); work == "" {
				work = did
			} else if did != work {
				w.Errorf("%s: %s, others %s", try[0], did, work)
			}
			after, _ := w.Hashes()
			if got := sprint(err); want == "" {
				want = got
			} else if got != want {
				w.Errorf("%s: %s, others get %s", try[0], got, want)
			}
			if after-before != 1 || len(audit(w, ""))-acts != 1 {
				w.Errorf("%s: %d hashes, %d records", try[0], after-before, len(audit(w, ""))-acts)
			}
		}
		if !strings.Contains(want, "sign_in_failed") {
			w.Error(want)
		}
	})
}

func TestFailuresMakeTheNextTryWaitAndNeverForEver(t *testing.T) {
	each(t, func(w *world) {
		w.user("ada@example.com", account.Viewer)
		from := 0
		fail := func() error { // from another address each time: the limit is the user's
			from++
			_, err := w.SignIn(w.from(fmt.Sprintf("198.51.100.%d", from), ""), "ADA@example.com", "wrong")
			return err
		}
		for range 5 {
			w.refused(fail(), "sign_in_failed")
		}
		var waits []time.Duration
		for range 14 {
			err := fail()
			w.refused(err, "try_later")
			var wait identity.RetryAfterError
			if !errors.As(err, &wait) {
				w.Fatal(err)
			}
			waits = append(waits, time.Duration(wait.RetryAfter())*time.Second)
			w.pass(waits[len(waits)-1])
			w.refused(fail(), "sign_in_failed")
		}
		_, err := w.SignIn(w.from("203.0.113.1", ""), "ada@example.com", own)
		w.refused(err, "try_later")
		w.pass(15 * time.Minute)
		if waits[0] != time.Second || waits[1] != 2*time.Second || waits[2] != 4*time.Second || waits[13] != 15*time.Minute {
			w.Errorf("%v", waits)
		}
		w.signIn("203.0.113.1", "ada@example.com", own) // nobody is locked out, and it is forgiven:
		w.refused(fail(), "sign_in_failed")
	})
}

func TestWhoComesFromAKnownAddressIsNotKeptOut(t *testing.T) {
	each(t, func(w *world) {
		w.user("ada@example.com", account.Viewer) // signed in at home
		for i := range 12 {
			_, err := w.SignIn(w.from(fmt.Sprintf("198.51.100.%d", i), ""), "ada@example.com", "wrong")
			if code := fault.Of(err).Code; code != "sign_in_failed" && code != "try_later" {
				w.Fatal(err)
			}
		}
		_, err := w.SignIn(w.from("203.0.113.1", ""), "ada@example.com", own)
		w.refused(err, "try_later")
		w.signIn(home, "ada@example.com", own)
	})
}

func TestAnAddressThatGuessesManyUsersWaitsToo(t *testing.T) {
	each(t, func(w *world) {
		refused := 0
		for i := range 25 {
			_, err := w.SignIn(w.from("2001:db8::1", ""), fmt.Sprintf("u%d@example.com", i), "wrong")
			if fault.Of(err).Code == "try_later" {
				refused++
			}
		}
		if refused == 0 {
			w.Error("25 users were guessed at without a wait")
		}
		_, err := w.SignIn(w.from("2001:db8::ffff", ""), "x@example.com", "wrong") // the same customer's
		w.refused(err, "try_later")
		_, err = w.SignIn(w.from("2001:db8:0:1::1", ""), "x@example.com", "wrong")
		w.refused(err, "sign_in_failed")
		w.pass(time.Minute)
		_, err = w.SignIn(w.from("2001:db8::1", ""), "x@example.com", "wrong")
		w.refused(err, "sign_in_failed")
	})
}

// guessFrom puts an address where many guesses put it (TestAnAddressThatGuessesManyUsersWaitsToo), without their hashes.
func (w *world) guessFrom(address string) {
	w.Helper()
	w.must(w.store.Strike(w.Context(), []string{"address:" + address}, func(string, account.FailureCount) account.FailureCount {
		return account.FailureCount{Count: 30, Last: w.now(), Until: w.now().Add(time.Minute)}
	}, nil))
	_, err := w.SignIn(w.from(address, ""), "nobody@example.com", "wrong")
	w.refused(err, "try_later")
}

// TestSignIn_AddressUnderAttack_KnownUserGetsIn is of everybody behind one proxy: whoever has signed in from there before
// signs in, changes the password and shows a second factor while others guess; a stranger's guesses wait.
func TestSignIn_AddressUnderAttack_KnownUserGetsIn(t *testing.T) {
	each(t, func(w *world) {
		_, cookie := w.user("ada@example.com", account.Viewer)
		p, err := w.ask(cookie)
		w.must(err)
		_, err = w.Service.SignOut(w.from(home, cookie), p) // known by what was, not by what is open
		w.must(err)
		w.user("new@example.com", account.Viewer)
		w.guessFrom("198.51.100.9")
		_, err = w.SignIn(w.from("198.51.100.9", ""), "new@example.com", own)
		w.refused(err, "try_later") // never signed in from there
		w.guessFrom(home)
		p, err = w.ask(w.signIn(home, "ada@example.com", own))
		w.must(err)
		w.guessFrom(home)
		_, err = w.ChangePassword(w.from(home, ""), p, "wrong", "gravel sonnet umbrella 12")
		w.refused(err, "wrong_password")
		_, err = w.ChangePassword(w.from(home, ""), p, own, "gravel sonnet umbrella 12")
		w.must(err)
		w.must(w.Forgot(w.from(home, ""), "ada@example.com"))
		for range 5 { // the account's own limit still holds
			_, err = w.SignIn(w.from(home, ""), "ada@example.com", "wrong")
			w.refused(err, "try_later")
		}
		_, err = w.SignIn(w.from(home, ""), "ada@example.com", own)
		w.refused(err, "try_later")
	})
}

// TestSignIn_LimitIsSpent_AnswersAlikeForKnownUsersAndNobody compares, without a device cookie, what a stranger learns of
// a user who has signed in from the same address, another user and nobody, once the limit of the address or of the
// e-mail address is spent.
func TestSignIn_LimitIsSpent_AnswersAlikeForKnownUsersAndNobody(t *testing.T) {
	const away = "198.51.100.7"
	for name, spend := range map[string]func(w *world, email string){
		"address": func(w *world, _ string) { w.guessFrom(home) },
		"user": func(w *world, email string) {
			for range 5 {
				_, err := w.SignIn(w.from(away, ""), email, "wrong")
				w.refused(err, "sign_in_failed")
			}
		},
		"user, from the known address": func(w *world, email string) {
			for range 5 {
				_, err := w.SignIn(w.from(home, ""), email, "wrong")
				w.refused(err, "sign_in_failed")
			}
			_, err := w.SignIn(w.from(away, ""), email, "wrong")
			w.refused(err, "try_later")
		},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(w *world) {
				store := &counted{Store: w.Store}
				w.Store = store
				w.user("ada@example.com", account.Viewer) // known at home
				w.invite("new@example.com", account.Viewer)
				want := ""
				for _, email := range []string{"nobody@example.com", "new@example.com", "ada@example.com"} {
					spend(w, email)
					got := ""
					for range 7 { // more than the user's own counter lets pass
						store.asked = nil
						before, _ := w.Hashes()
						_, err := w.SignIn(w.from(home, ""), email, "wrong")
						w.refused(err, "try_later")
						after, _ := w.Hashes()
						work := strings.ReplaceAll(fmt.Sprint(store.asked), "true", "false") // a record is part of its transaction
						got += fmt.Sprintln(sprint(err), errors.Unwrap(err), after-before, work)
					}
					if want == "" {
						want = got
					} else if got != want {
						w.Errorf("%s:\n%s\nothers:\n%s", email, got, want)
					}
					w.pass(15 * time.Minute)
				}
			})
		})
	}
}

// TestSignIn_HeldGuessAtAKnownUser_IsRecorded is of the guesses that a spent limit of the address does not stop.
func TestSignIn_HeldGuessAtAKnownUser_IsRecorded(t *testing.T) {
	each(t, func(w *world) {
		w.user("ada@example.com", account.Viewer)
		w.guessFrom(home)
		before := len(audit(w, ""))
		for range 8 {
			_, err := w.SignIn(w.from(home, ""), "ada@example.com", "wrong")
			w.refused(err, "try_later")
		}
		if n := len(audit(w, "")) - before; n != 5 {
			w.Errorf("%d records, want the 5 guesses whose password was compared", n)
		}
	})
}

// TestSignIn_AnotherAddressOfTheKnownIPv6Network_IsKnown is of a browser whose IPv6 address changes daily (RFC 8981): the
// limit counts by /64, so what is known of a user does too.
func TestSignIn_AnotherAddressOfTheKnownIPv6Network_IsKnown(t *testing.T) {
	each(t, func(w *world) {
		u, _ := w.user("ada@example.com", account.Viewer)
		cookie := w.signIn("2001:db8::1", u.Email, own)
		for _, open := range []bool{true, false} { // known by the session, then by the record alone
			for address, want := range map[string]bool{
				"2001:db8::1": true, "2001:db8::1:0:0:2": true, "2001:db8:0:0:ffff:ffff:ffff:ffff": true, "2001:db8:0:1::1": false, "2001:db8:1::1": false,
			} {
				l, err := w.store.Login(w.Context(), u.Email, address)
				w.must(err)
				if l.Known != want {
					w.Errorf("%s: known %v, want %v (session open: %v)", address, l.Known, want, open)
				}
			}
			if open {
				p, err := w.ask(cookie)
				w.must(err)
				_, err = w.SignOut(w.from("2001:db8::1", cookie), p)
				w.must(err)
			}
		}
		w.must(w.store.Strike(w.Context(), []string{"address:2001:db8::/64"}, func(string, account.FailureCount) account.FailureCount {
			return account.FailureCount{Count: 30, Last: w.now(), Until: w.now().Add(time.Minute)}
		}, nil))
		w.signIn("2001:db8::2", u.Email, own)
		_, err := w.SignIn(w.from("2001:db8::2", ""), "new@example.com", own)
		w.refused(err, "try_later")
	})
}

// TestSignIn_DeviceCookie_CountsItsBrowserAlone is of somebody at whom others guess from the same address.
func TestSignIn_DeviceCookie_CountsItsBrowserAlone(t *testing.T) {
	each(t, func(w *world) {
		u, _ := w.user("ada@example.com", account.Viewer)
		other, _ := w.user("bob@example.com", account.Viewer)
		device := func(email string) string {
			in, err := w.SignIn(w.from(home, ""), email, own)
			w.must(err)
			c, err := http.ParseSetCookie(in.Device)
			if err != nil || c.Name != "__Host-sluice-device" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Domain != "" {
				w.Fatalf("%q: %v", in.Device, err)
			}
			return c.Value
		}
		adas, bobs := device(u.Email), device(other.Email)
		in := func(device, password string) (account.Admission, error) {
			return w.SignIn(account.WithCaller(w.Context(), account.Caller{Address: home, Agent: "test", Device: device}), u.Email, password)
		}
		for range 7 {
			_, _ = in("", "wrong")
		}
		w.guessFrom(home)
		for name, no := range map[string]string{"none": "", "another user's": bobs, "made up": "AAAA", "changed": adas[:len(adas)-2] + "AA"} {
			if _, err := in(no, own); fault.Of(err).Code != "try_later" {
				w.Errorf("%s: %v, want try_later", name, err)
			}
		}
		_, err := in(adas, own)
		w.must(err)
		for range 5 { // a cookie that was stolen guesses no faster than anybody
			_, err = in(adas, "wrong")
			w.refused(err, "sign_in_failed")
		}
		_, err = in(adas, own)
		w.refused(err, "try_later")
		w.pass(time.Hour)
		p, err := w.ask(w.signIn(home, u.Email, own))
		w.must(err)
		changed, err := w.ChangePassword(w.from(home, ""), p, own, "gravel sonnet umbrella 12")
		w.must(err)
		for range 7 {
			_, _ = in("", "wrong")
		}
		_, err = in(adas, "gravel sonnet umbrella 12") // it ended with the password that it was given for
		w.refused(err, "try_later")
		c, err := http.ParseSetCookie(changed.Device)
		w.must(err)
		_, err = in(c.Value, "gravel sonnet umbrella 12")
		w.must(err)
	})
}

func TestManySignInsAtOnceHashAFewAtATime(t *testing.T) {
	each(t, func(w *world) {
		var all sync.WaitGroup
		for i := range 40 { // test/bench has 200, and looks at the memory
			all.Go(func() {
				_, err := w.SignIn(w.from(fmt.Sprintf("203.0.113.%d", i), ""), fmt.Sprintf("u%d@example.com", i), own)
				if fault.Of(err).Code != "sign_in_failed" {
					w.Errorf("%v", err)
				}
			})
		}
		all.Wait()
		if runs, peak := w.Hashes(); runs < 40 || peak > 2 {
			w.Errorf("%d hashes, %d at once", runs, peak)
		}
	})
}

func TestAskingTooOftenForAMailboxIsDroppedWithoutAWord(t *testing.T) {
	each(t, func(w *world) {
		jobs := func() int {
			all, err := w.store.Jobs().Jobs(w.Context(), engine.JobQuery{Queue: identity.Queue, Limit: 100})
			w.must(err)
			return len(all)
		}
		for i := range 8 {
			for _, email := range []string{"root@example.com", "nobody@example.com"} {
				w.must(w.Forgot(w.from(fmt.Sprintf("198.51.100.%d", i), ""), email))
			}
		}
		if n := jobs(); n != 6 {
			w.Errorf("%d jobs, want 3 for each mailbox, whether there is a user or not", n)
		}
		var last error
		for i := range 25 {
			last = w.Forgot(w.from("203.0.113.1", ""), fmt.Sprintf("u%d@example.com", i))
		}
		w.refused(last, "try_later")
	})
}

func TestHash_OfAServer_HasTheCostOfOWASP(t *testing.T) {
	hash, err := identity.Served(own)
	if err != nil || !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Error(hash, err)
	}
}

func TestAHashOfAnotherCostIsMadeAnewAtTheNextSignIn(t *testing.T) {
	each(t, func(w *world) {
		u, _ := w.user("ada@example.com", account.Viewer)
		login, err := w.store.Account(w.Context(), u.ID)
		w.must(err)
		cheap, err := identity.CheapHash(own)
		w.must(err)
		w.must(w.store.SetPassword(w.Context(), account.NewPassword{Login: login, Fresh: cheap, Act: account.AuditEntry{Time: w.now()}}))
		w.signIn(home, u.Email, own)
		login, err = w.store.Account(w.Context(), u.ID)
		w.must(err)
		if !strings.HasPrefix(login.Hash, "$argon2id$v=19$m=64,t=1,p=1$") {
			w.Error(login.Hash)
		}
		w.signIn(home, u.Email, own)
	})
}

// counted tells which transactions a Service asks for.
type counted struct {
	identity.Store
	asked []string
}

func (c *counted) Login(ctx context.Context, email, client string) (account.Login, error) {
	c.asked = append(c.asked, "Login")
	return c.Store.Login(ctx, email, client)
}

func (c *counted) Account(ctx context.Context, id string) (account.Login, error) {
	c.asked = append(c.asked, "Account")
	return c.Store.Account(ctx, id)
}

func (c *counted) Strike(ctx context.Context, names []string, change func(string, account.FailureCount) account.FailureCount, act *account.AuditEntry) error {
	c.asked = append(c.asked, fmt.Sprint("Strike ", len(names), " ", act != nil))
	return c.Store.Strike(ctx, names, change, act)
}

func (c *counted) Open(ctx context.Context, o account.NewSession) error {
	c.asked = append(c.asked, "Open")
	return c.Store.Open(ctx, o)
}

package identity

import (
	"context"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// backoff is how failures make the next try wait: not at all for the first ones, then twice as long each time, up to an end. Failures are halved for each quiet
// spell, so that nobody is kept out for ever.
type backoff struct {
	free  int           // failures in a row that cost nothing
	first time.Duration // after the next one
	most  time.Duration // wait
	quiet time.Duration // spell that halves them
}

// The limits. An address may be shared by many people, or be a proxy's, so it has more to spend and waits less long.
var (
	perUser    = backoff{free: 5, first: time.Second, most: 15 * time.Minute, quiet: 15 * time.Minute}
	perAddress = backoff{free: 20, first: time.Second, most: time.Minute, quiet: time.Minute}
	perMailbox = backoff{free: 3, first: time.Minute, most: time.Hour, quiet: time.Hour} // messages that strangers may have sent to somebody
)

// strike is one failure more.
func (b backoff) strike(was account.FailureCount, now time.Time) account.FailureCount {
	count := was.Count
	since := was.Last
	if was.Until.After(since) { // having to wait is no quiet spell
		since = was.Until
	}
	if spells := now.Sub(since) / b.quiet; !since.IsZero() && spells > 0 {
		count >>= min(spells, 62)
	}
	s := account.FailureCount{Count: count + 1, Last: now, Until: was.Until}
	if over := s.Count - b.free; over >= 0 {
		wait := b.most
		if over < 30 {
			wait = min(b.most, b.first<<over)
		}
		s.Until = now.Add(wait)
	}
	return s
}

// later is the refusal of a try that comes too soon.
func later(wait time.Duration) error {
	return fault.New(fault.Limited, "identity.throttle", "try_later", "There were too many tries; wait a while, then try again.", RetryAfterError(wait))
}

// RetryAfterError is the cause of a refusal that ends by itself: how long that takes.
type RetryAfterError time.Duration

func (w RetryAfterError) Error() string { return "for " + time.Duration(w).Round(time.Second).String() }

// RetryAfter is the wait in whole seconds, at least one (RFC 9110 §10.2.3).
func (w RetryAfterError) RetryAfter() int {
	return int(max(time.Second, time.Duration(w)+time.Second-time.Nanosecond) / time.Second)
}

// The names of strikes. Those of people are hashed: what somebody types as an e-mail address may be anything.
func userStrikes(email string) string      { return "user:" + digest(fold(email))[:32] }
func addressStrikes(address string) string { return "address:" + account.Network(address) }
func forgotStrikes(address string) string  { return "forgot:" + account.Network(address) } // apart: guesses keep nobody from asking for a new password
func visitStrikes(address string) string   { return "visit:" + account.Network(address) }
func mailboxStrikes(email string) string   { return "mailbox:" + digest(fold(email))[:32] }
func changeStrikes(user string) string     { return "user:" + user }

func factorStrikes(user string) string { return "user:" + digest("factor " + user)[:32] }

// placeStrikes names the counter of tries at an e-mail address from one network. A user who is known there depends on it
// alone while the address or the user waits.
func placeStrikes(email, address string) string {
	return "user:" + digest("place " + fold(email) + " " + account.Network(address))[:32]
}

// admit counts a try by a user before its result is known, so that many at once do not pass the limit. fault.Limited, code "try_later", where the user's counter or, where one is
// named, the address's demands a wait; such a try is not counted.
func (s *Service) admit(ctx context.Context, user, address string) error {
	now, wait, names := s.Now(), time.Duration(0), []string{user}
	if address != "" {
		names = []string{address, user} // in this order: a < u
	}
	err := s.Store.Strike(ctx, names, func(name string, was account.FailureCount) account.FailureCount {
		if left := was.Until.Sub(now); left > 0 {
			wait = max(wait, left)
		}
		if wait > 0 || name == address {
			return was
		}
		return perUser.strike(was, now)
	}, nil)
	if err == nil && wait > 0 {
		err = later(wait)
	}
	return err
}

// attempt is a try to sign in, counted before its result is known.
type attempt struct {
	forgives []string      // counters that the right password clears
	held     time.Duration // what the address or the user in general still waits; zero where neither does
	place    string        // counter of the e-mail address in this network; empty with a device cookie
	shut     bool          // place waits too: the right password of a known user is refused
}

// attempt counts a try to sign in. fault.Limited, code "try_later", where a browser with the user's device cookie has to
// wait. Without that cookie the same counters are read and counted for a known user, any other user and an address
// without an account, so that no answer tells them apart: a held try is not refused before its password is compared.
func (s *Service) attempt(ctx context.Context, l account.Login, email string, caller account.Caller) (attempt, error) {
	if own, ok := s.deviceStrikes(l, caller, "password"); ok {
		return attempt{forgives: []string{own}}, s.admit(ctx, own, "")
	}
	now, general, address := s.Now(), userStrikes(email), addressStrikes(caller.Address)
	a := attempt{place: placeStrikes(email, caller.Address)}
	err := s.Store.Strike(ctx, []string{address, general, a.place}, func(name string, was account.FailureCount) account.FailureCount {
		left := max(0, was.Until.Sub(now))
		switch name {
		case address: // first, because a < u
			a.held = left
			return was
		case general:
			if a.held = max(a.held, left); a.held > 0 {
				return was
			}
		default:
			if a.shut = left > 0; a.shut {
				return was
			}
		}
		was = perUser.strike(was, now)
		return was
	}, nil)
	if a.forgives = []string{a.place}; a.held == 0 {
		a.forgives = append(a.forgives, general)
	}
	return a, err
}

// hold refuses a held try after its password was compared: like every other one from there, and without a failure more
// for the address, which would lengthen the wait for known users alone. A guess that was open is recorded.
func (s *Service) hold(ctx context.Context, l account.Login, a attempt) error {
	var act *account.AuditEntry
	if l.Known && !a.shut {
		failed := s.act(ctx, account.SignInFailed, account.Principal{}, l.User)
		act = &failed
		s.Log.Warn("a sign-in failed", "user", l.ID, "address", failed.Address)
	}
	same := func(_ string, was account.FailureCount) account.FailureCount { return was }
	if err := s.Store.Strike(ctx, []string{a.place}, same, act); err != nil {
		return err
	}
	return later(a.held)
}

// blame counts a failure from an address.
func (s *Service) blame(ctx context.Context, address string, act account.AuditEntry) error {
	return s.Store.Strike(ctx, []string{address}, func(_ string, was account.FailureCount) account.FailureCount { return perAddress.strike(was, act.Time) }, &act)
}

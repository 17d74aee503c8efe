package identity

import (
	"context"
	"net/netip"
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
func (b backoff) strike(was account.Strikes, now time.Time) account.Strikes {
	count := was.Count
	since := was.Last
	if was.Until.After(since) { // having to wait is no quiet spell
		since = was.Until
	}
	if spells := now.Sub(since) / b.quiet; !since.IsZero() && spells > 0 {
		count >>= min(spells, 62)
	}
	s := account.Strikes{Count: count + 1, Last: now, Until: was.Until}
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
	return fault.New(fault.Limited, "identity.throttle", "try_later", "There were too many tries; wait a while, then try again.", Wait(wait))
}

// Wait is the cause of a refusal that ends by itself: how long that takes.
type Wait time.Duration

func (w Wait) Error() string { return "for " + time.Duration(w).Round(time.Second).String() }

// RetryAfter is the wait in whole seconds, at least one (RFC 9110 §10.2.3).
func (w Wait) RetryAfter() int {
	return int(max(time.Second, time.Duration(w)+time.Second-time.Nanosecond) / time.Second)
}

// The names of strikes. Those of people are hashed: what somebody types as an e-mail address may be anything.
func userStrikes(email string) string      { return "user:" + digest(fold(email))[:32] }
func addressStrikes(address string) string { return "address:" + network(address) }
func forgotStrikes(address string) string  { return "forgot:" + network(address) } // apart: guesses keep nobody from asking for a new password
func visitStrikes(address string) string   { return "visit:" + network(address) }
func mailboxStrikes(email string) string   { return "mailbox:" + digest(fold(email))[:32] }
func changeStrikes(user string) string     { return "user:" + user }

func factorStrikes(user string) string { return "user:" + digest("factor " + user)[:32] }

// network is what counts as one address: of IPv6 the /64 that one customer has.
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	if ip = ip.Unmap(); ip.Is6() {
		if p, err := ip.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return ip.String()
}

// admit counts a try by a user before its result is known, so that many at once do not pass the limit. fault.Limited, code "try_later", where the user's counter or, where one is
// named, the address's demands a wait; such a try is not counted.
func (s *Service) admit(ctx context.Context, user, address string) error {
	now, wait, names := s.Now(), time.Duration(0), []string{user}
	if address != "" {
		names = []string{address, user} // in this order: a < u
	}
	err := s.Store.Strike(ctx, names, func(name string, was account.Strikes) account.Strikes {
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

// blame counts a failure from an address.
func (s *Service) blame(ctx context.Context, address string, act account.Act) error {
	return s.Store.Strike(ctx, []string{address}, func(_ string, was account.Strikes) account.Strikes { return perAddress.strike(was, act.Time) }, &act)
}

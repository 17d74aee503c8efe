package identity

import (
	"context"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

const (
	linkFor      = time.Hour      // the code of a link that nobody opened
	linkedFor    = 12 * time.Hour // what it was exchanged for
	linkedPrefix = "sluice_adm_"  // tells that apart, as patPrefix does
)

// Links are the one-time links that the start prints for the operator of the machine. A link's code is exchanged once
// for a token that acts as the admin token for twelve hours, so that no address ever holds what lasts.
//
// Promise. A code works once, for an hour, in the process that printed it; the audit log has each exchange and each
// sign-out. Cost. Memory for the few that live. Failure. A restart ends codes and tokens: the next start prints another
// link. Where the audit log cannot be written, the exchange fails and the code stays valid.
type Links struct {
	Now    func() time.Time
	Record func(ctx context.Context, act account.AuditEntry) error // writes to the audit log

	mu    sync.Mutex
	codes map[string]time.Time // digest → end
	given map[string]time.Time // digest of a token → end
}

// Make returns the code of a new link.
func (l *Links) Make() string {
	code := secret()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.codes == nil {
		l.codes = map[string]time.Time{}
	}
	l.codes[digest(code)] = l.Now().Add(linkFor)
	return code
}

// Take exchanges the code of a link for a token, and returns when that expires. fault.Gone, code "link_gone", if the code
// is wrong, was used, or is too old.
func (l *Links) Take(ctx context.Context, code string) (token string, until time.Time, err error) {
	now, key := l.Now(), digest(code)
	l.mu.Lock()
	end, ok := l.codes[key]
	delete(l.codes, key)
	l.mu.Unlock()
	if !ok || !end.After(now) {
		return "", time.Time{}, fault.New(fault.Gone, "identity.link", "link_gone", "This link was used, is over an hour old,"+
			" or is of an earlier start of the server; sign in, or restart the server for another link.", nil)
	}
	if err := l.record(ctx, account.SignedInByLink); err != nil {
		l.mu.Lock()
		l.codes[key] = end
		l.mu.Unlock()
		return "", time.Time{}, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.given == nil {
		l.given = map[string]time.Time{}
	}
	maps.DeleteFunc(l.given, func(_ string, end time.Time) bool { return !end.After(now) })
	token, until = linkedPrefix+secret(), now.Add(linkedFor)
	l.given[digest(token)] = until
	return token, until, nil
}

// End revokes the token of a header Authorization, if a link was exchanged for it, and reports whether it was valid.
func (l *Links) End(ctx context.Context, authorization string) (was bool, err error) {
	token, ok := linkToken(authorization)
	if !ok {
		return false, nil
	}
	l.mu.Lock()
	end, ok := l.given[digest(token)]
	delete(l.given, digest(token))
	l.mu.Unlock()
	if !ok || !end.After(l.Now()) {
		return false, nil
	}
	return true, l.record(ctx, account.SignedOut)
}

func (l *Links) record(ctx context.Context, what string) error {
	by := account.Operator()
	return l.Record(ctx, account.AuditEntry{Time: l.Now(), What: what, By: by.ID, ByName: by.Name, Address: account.CallerOf(ctx).Address})
}

// Authenticate knows the tokens that links were exchanged for.
func (l *Links) Authenticate(r *http.Request) (account.Principal, bool, error) {
	token, ok := linkToken(r.Header.Get("Authorization"))
	if !ok {
		return account.Principal{}, false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.given[digest(token)]; !ok || !end.After(l.Now()) {
		return account.Principal{}, true, unknown("What the server's link gave has ended; sign in again, or restart the server for another link.")
	}
	return account.Operator(), true, nil
}

// linkToken returns the token in the header Authorization, if it has the form of one that a link was exchanged for.
func linkToken(authorization string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(authorization, " ")
	token = strings.TrimSpace(token)
	return token, strings.EqualFold(scheme, "Bearer") && strings.HasPrefix(token, linkedPrefix)
}

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

// Links are the one-time links that the start prints for the operator of the machine. A link's code is exchanged once for a token that acts as the admin token for twelve hours,
// so that no address ever holds what lasts.
//
// Promise. A code works once, for an hour, in the process that printed it. Cost. Memory for the few that live. Failure. A restart ends codes and tokens: the next start prints
// another link.
type Links struct {
	Now func() time.Time

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

// Take exchanges the code of a link for a token, and says until when it is valid. fault.Gone, code "link_gone", where the code is wrong, was used, or is too old.
func (l *Links) Take(_ context.Context, code string) (token string, until time.Time, err error) {
	now := l.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	end, ok := l.codes[digest(code)]
	delete(l.codes, digest(code))
	if !ok || !end.After(now) {
		return "", time.Time{}, fault.New(fault.Gone, "identity.link", "link_gone",
			"This link was used, is over an hour old, or is of an earlier start of the server; sign in, or restart the server for another link.", nil)
	}
	if l.given == nil {
		l.given = map[string]time.Time{}
	}
	maps.DeleteFunc(l.given, func(_ string, end time.Time) bool { return !end.After(now) })
	token, until = linkedPrefix+secret(), now.Add(linkedFor)
	l.given[digest(token)] = until
	return token, until, nil
}

// Authenticate knows the tokens that links were exchanged for.
func (l *Links) Authenticate(r *http.Request) (account.Principal, bool, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, linkedPrefix) {
		return account.Principal{}, false, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if end, ok := l.given[digest(token)]; !ok || !end.After(l.Now()) {
		return account.Principal{}, true, unknown("What the server's link gave has ended; sign in again, or restart the server for another link.")
	}
	return account.Operator(), true, nil
}

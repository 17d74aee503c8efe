package delivery

import (
	"container/list"
	"crypto/sha256"
	"io"
	"net/http"
	"sync"
	"time"

	"sluice/internal/account"
)

// viewersKept bounds those who are remembered, some 500 bytes each.
const viewersKept = 4096

// viewers remembers for a moment who asks, by a hash of their credentials: a player sends them with every segment. Only somebody who is known is remembered, so that
// signing in shows at once, and signing out within freshFor.
type viewers struct {
	mu     sync.Mutex
	recent list.List // of viewerSeen, the last looked up first
	known  map[[sha256.Size]byte]*list.Element
}

type viewerSeen struct {
	credentials [sha256.Size]byte
	who         account.Principal
	asked       time.Time
}

// who asks look only where it hasn't a moment ago.
func (v *viewers) who(r *http.Request, look func(*http.Request) (account.Principal, bool, error), now time.Time) (account.Principal, bool, error) {
	sum := credentials(r.Header)
	v.mu.Lock()
	if at, ok := v.known[sum]; ok {
		if seen := at.Value.(viewerSeen); now.Sub(seen.asked) < freshFor {
			v.mu.Unlock()
			return seen.who, true, nil
		}
		v.recent.Remove(at)
		delete(v.known, sum)
	}
	v.mu.Unlock()
	who, known, err := look(r)
	if err != nil || !known {
		return who, known, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if _, ok := v.known[sum]; !ok {
		v.known[sum] = v.recent.PushFront(viewerSeen{sum, who, now})
		if v.recent.Len() > viewersKept {
			delete(v.known, v.recent.Remove(v.recent.Back()).(viewerSeen).credentials)
		}
	}
	return who, known, err
}

// credentials is a hash of all that may say who asks. Each value ends with a byte that no header has.
func credentials(h http.Header) (sum [sha256.Size]byte) {
	all := sha256.New()
	for _, name := range []string{"Authorization", "Cookie"} {
		for _, value := range h[name] {
			_, _ = io.WriteString(all, value+"\x00")
		}
		_, _ = io.WriteString(all, "\x00")
	}
	all.Sum(sum[:0])
	return sum
}

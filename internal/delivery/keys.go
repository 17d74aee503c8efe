package delivery

import (
	"container/list"
	"context"
	"strings"
	"sync"
	"time"

	"sluice/internal/fault"
	"sluice/internal/signing"
)

const (
	// ringFreshFor bounds how long a key pair that was retired or made is good, or unknown, here: with the time of an answer, well below signing.Settle.
	ringFreshFor = 20 * time.Second
	// askAgainAfter bounds how often unknown key ids make the edge ask for key pairs.
	askAgainAfter = 3 * time.Second
	// grantsKept bounds the signatures that needn't be verified again, of at most 10 KB each; with usual policies 1 KB.
	grantsKept = 4096
)

// ring is what the edge knows of key pairs. It never changes.
type ring struct {
	all      *signing.KeyRing
	users    *signing.KeyRing
	members  *signing.KeyRing // the internal ones
	internal map[string]bool  // ids
}

// everyone is the one question of the gate of key pairs.
type everyone struct{}

func (everyone) String() string { return "" }

// keyring keeps the key pairs, and what they have signed.
type keyring struct {
	gate *coalescingCache[everyone, ring]

	now    func() time.Time
	mu     sync.Mutex
	asked  time.Time // last, because of an unknown id
	recent list.List // of *grant, the last used first
	grants map[signing.Credential]*list.Element
}

// grant is a signature that was verified, and what was signed for parts of what it opens.
type grant struct {
	signing.Verified
	credential signing.Credential

	mu     sync.Mutex
	narrow map[string]string // query by resource
}

func newKeyring(keys Keys, now func() time.Time) *keyring {
	ask := func(ctx context.Context, _ everyone) (r ring, err error) {
		users, internal, err := keys.KeyPairs(ctx)
		if err != nil {
			return ring{}, err
		}
		if r.all, err = signing.NewKeyRing(append(append([]signing.KeyPair(nil), users...), internal...)...); err != nil {
			return ring{}, err
		}
		if r.users, err = signing.NewKeyRing(users...); err != nil {
			return ring{}, err
		}
		r.internal = make(map[string]bool, len(internal))
		for _, k := range internal {
			r.internal[k.ID] = true
		}
		r.members, err = signing.NewKeyRing(internal...)
		return r, err
	}
	return &keyring{now: now, gate: newCoalescingCache(ask, func(ring) bool { return true }, ringFreshFor, now), grants: map[signing.Credential]*list.Element{}}
}

// verify says what a credential opens, if it opens q. An unknown key id may be one that was made a moment ago.
func (k *keyring) verify(ctx context.Context, c signing.Credential, q *signing.Request) (*grant, ring, error) {
	known, err := k.gate.get(ctx, everyone{})
	if err != nil {
		return nil, ring{}, err
	}
	g := k.recall(c)
	if g == nil {
		fresh, err := known.all.Authenticate(c, q)
		if err != nil && fault.Of(err).Code == "key_unknown" {
			if known, err = k.newer(ctx, known); err == nil {
				fresh, err = known.all.Authenticate(c, q)
			}
		}
		if err != nil {
			return nil, ring{}, err
		}
		g = k.keep(fresh, c)
	}
	return g, known, g.Check(known.all, q)
}

// newer asks for the key pairs, unless that was done a moment ago.
func (k *keyring) newer(ctx context.Context, known ring) (ring, error) {
	if last, _, troubled := k.gate.recall(everyone{}); last != nil && (troubled || !k.mayAsk()) {
		return *last, nil
	}
	return k.gate.renew(ctx, everyone{}, &known)
}

// mayAsk reports whether an unknown id may make the edge ask, and counts it. What was read on time doesn't count: a key pair may have been made since.
func (k *keyring) mayAsk() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if !k.asked.IsZero() && now.Sub(k.asked) < askAgainAfter {
		return false
	}
	k.asked = now
	return true
}

func (k *keyring) recall(c signing.Credential) *grant {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.grants[c]
	if !ok {
		return nil
	}
	k.recent.MoveToFront(at)
	return at.Value.(*grant)
}

// keep remembers what was verified, and nothing of the request that it came with.
func (k *keyring) keep(fresh signing.Verified, c signing.Credential) *grant {
	c = signing.Credential{Policy: strings.Clone(c.Policy), Expires: strings.Clone(c.Expires), Signature: strings.Clone(c.Signature),
		KeyPairID: strings.Clone(c.KeyPairID), Hash: signing.Hash(strings.Clone(string(c.Hash)))}
	g := &grant{Verified: fresh, credential: c}
	k.mu.Lock()
	defer k.mu.Unlock()
	if at, ok := k.grants[c]; ok {
		return at.Value.(*grant)
	}
	k.grants[c] = k.recent.PushFront(g)
	if k.recent.Len() > grantsKept {
		oldest := k.recent.Remove(k.recent.Back()).(*grant)
		delete(k.grants, oldest.credential)
	}
	return g
}

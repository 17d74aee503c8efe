package signing

import (
	"crypto/sha256"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/internal/fault"
)

// Settle is how long a new key pair waits before it signs beside an older one: by then every edge has read it. A retired one is
// refused by then everywhere, for the same reason.
const Settle = time.Minute

// KeyRing holds the key pairs that are trusted. It never changes: who has other keys makes another ring. It may be used by many
// goroutines.
type KeyRing struct {
	pairs []KeyPair
	byID  map[string]int
}

// NewKeyRing makes one. No two key pairs may have one id.
func NewKeyRing(pairs ...KeyPair) (*KeyRing, error) {
	r := &KeyRing{pairs: append([]KeyPair(nil), pairs...), byID: make(map[string]int, len(pairs))}
	for i, k := range r.pairs {
		if _, there := r.byID[k.ID]; there || k.public == nil {
			return nil, fault.New(fault.Conflict, "signing.ring", "key_id_taken", "Another key pair has this id; give it a different one.", nil)
		}
		r.byID[k.ID] = i
	}
	return r, nil
}

// Signer is the key pair to sign with, of those that no workspaces bound: the newest active one that every edge has read; where there is none, the oldest
// active one.
func (r *KeyRing) Signer(now time.Time) (KeyPair, error) { return r.SignerFor(nil, now) }

// SignerFor is as Signer, of the key pairs that these workspaces bound.
func (r *KeyRing) SignerFor(workspaces []string, now time.Time) (KeyPair, error) {
	best := -1
	for i, k := range r.pairs {
		if k.private == nil || k.State(now) != Active || !slices.Equal(k.Workspaces, workspaces) {
			continue
		}
		if best < 0 || preferred(k, r.pairs[best], now) {
			best = i
		}
	}
	if best < 0 {
		return KeyPair{}, fault.New(fault.Conflict, "signing.ring", "no_signing_key", "No key pair here is active; make or import one.", nil)
	}
	return r.pairs[best], nil
}

// preferred reports whether a is to sign rather than b.
func preferred(a, b KeyPair, now time.Time) bool {
	settledA, settledB := now.Sub(a.CreatedAt) >= Settle, now.Sub(b.CreatedAt) >= Settle
	if settledA != settledB {
		return settledA
	}
	if a.CreatedAt.Equal(b.CreatedAt) {
		return a.ID < b.ID
	}
	return settledA == a.CreatedAt.After(b.CreatedAt)
}

// trusted is the key pair of an id, unless it is retired.
func (r *KeyRing) trusted(id string, now time.Time) (*KeyPair, error) {
	i, ok := r.byID[id]
	if !ok {
		return nil, errUnknownKey
	}
	if r.pairs[i].State(now) == Retired {
		return nil, errRetired
	}
	return &r.pairs[i], nil
}

// Request is what a policy is compared with.
type Request struct {
	Scheme string // "http" or "https", as the viewer wrote it
	Host   string // as CanonicalHost gives it
	Path   Path   // from Normalize; this path is then served
	Query  string // what FromQuery left
	Client netip.Addr
	Now    time.Time
	// Workspace is where the video lies that is asked for, for key pairs that are bounded; empty: these open nothing.
	Workspace string
}

// CanonicalHost is the Host header of a request without the port that its scheme has anyway, in lower case (RFC 3986 §6.2).
func CanonicalHost(scheme, host string) string {
	switch scheme {
	case "https":
		host = strings.TrimSuffix(host, ":443")
	case "http":
		host = strings.TrimSuffix(host, ":80")
	}
	return strings.ToLower(host)
}

// Verified is what a signature that verified says. Only Authenticate makes one, and it allows nothing by itself: Check does.
type Verified struct {
	policy    Policy
	keyID     string
	key       [sha256.Size]byte
	resource  pattern
	canned    bool
	url       Request // canned: the only URL
	expires   int64
	notBefore int64 // 0: none
}

// KeyPairID is the id of the key pair that signed.
func (g *Verified) KeyPairID() string { return g.keyID }

// Policy is what was signed; for a canned policy the resource is empty, and the one URL is known to Check alone.
func (g *Verified) Policy() Policy { return g.policy }

// Authenticate does the costly half: it verifies the credential's signature with its key pair and reads what was signed. Of the request it
// uses the time, for the key pair's state, and for a canned policy the URL, which is then all that the Grant is for. A Grant may
// be kept by its Credential, for as long as anyone likes, and serves any request with that Credential; a refusal of a canned one may not be.
//
// Nothing is allowed yet: times, resource and address are Check's.
func (r *KeyRing) Authenticate(c Credential, q *Request) (Verified, error) {
	if c == (Credential{}) {
		return Verified{}, errMissing
	}
	if err := c.wellFormed(); err != nil {
		return Verified{}, err
	}
	key, err := r.trusted(c.KeyPairID, q.Now)
	if err != nil {
		return Verified{}, err
	}
	var textSpace, signatureSpace [longestSignature]byte
	signature, err := alphabet.AppendDecode(signatureSpace[:0], []byte(c.Signature))
	if err != nil {
		return Verified{}, errMalformed
	}
	text := textSpace[:0]
	if c.Policy != "" {
		if text, err = alphabet.AppendDecode(text, []byte(c.Policy)); err != nil {
			return Verified{}, errMalformed
		}
	} else {
		var ok bool
		if text, ok = appendCanned(text, q, c.Expires); !ok {
			return Verified{}, errSignature
		}
	}
	if !key.verify(c.Hash, text, signature) {
		return Verified{}, errSignature
	}
	g := Verified{keyID: key.ID, key: key.print}
	if c.Policy == "" {
		g.expires, _ = seconds(c.Expires)
		g.canned, g.url = true, Request{Scheme: q.Scheme, Host: q.Host, Path: q.Path, Query: q.Query}
		g.policy.Expires = time.Unix(g.expires, 0).UTC()
		return g, nil
	}
	if g.policy, err = ParsePolicy(text); err != nil {
		return Verified{}, err
	}
	if g.resource, err = compile(g.policy.Resource); err != nil {
		return Verified{}, err
	}
	g.expires = g.policy.Expires.Unix()
	if !g.policy.NotBefore.IsZero() {
		g.notBefore = g.policy.NotBefore.Unix()
	}
	return g, nil
}

// Check is the cheap half, for every request: whether the key pair is still trusted in this ring, and whether the policy covers
// the request's time, URL and address. It allocates nothing.
func (g *Verified) Check(r *KeyRing, q *Request) error {
	key, err := r.trusted(g.keyID, q.Now)
	if err != nil {
		return err
	}
	if key.print != g.key {
		return errUnknownKey
	}
	now := q.Now.Unix()
	if now >= g.expires {
		return errExpired
	}
	if g.notBefore != 0 && now <= g.notBefore { // "on or before the specified date and time"
		return errEarly
	}
	if g.policy.Client.IsValid() && !g.policy.Client.Contains(q.Client.Unmap().WithZone("")) {
		return errClient
	}
	if q.Path == (Path{}) || !g.covers(q) {
		return errResource
	}
	if key.Workspaces != nil && !slices.Contains(key.Workspaces, q.Workspace) {
		return errResource
	}
	return nil
}

// covers compares the URL.
func (g *Verified) covers(q *Request) bool {
	if g.canned {
		return g.url.Scheme == q.Scheme && g.url.Host == q.Host && g.url.Path == q.Path && g.url.Query == q.Query
	}
	return g.resource.matches(q)
}

// Verify is Authenticate and Check, for one who keeps no Grants.
func (r *KeyRing) Verify(c Credential, q *Request) (Verified, error) {
	g, err := r.Authenticate(c, q)
	if err != nil {
		return Verified{}, err
	}
	if err := g.Check(r, q); err != nil {
		return Verified{}, err
	}
	return g, nil
}

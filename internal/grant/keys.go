// Package grant gives people and programs what lets them watch: it keeps the key pairs that playback is signed with, decides who may have a grant for what, and
// signs it by the rules of internal/signing.
//
// Promise. A grant is given to who may see the video (account.Principal.MaySee) and for what can be played, and to nobody else; it opens what it names and ends within the
// bounds of the settings. What members alone may watch is signed by key pairs for members, which are made here, serve nothing else and never leave. A private key lies in the
// store sealed (internal/seal), and is in no answer, log line or error. Of several processes that need a first key pair at once, all sign with one.
//
// Cost. One read of the key pairs in a few seconds, one or two of the records of the video, and one signature (docs/adr/0008-signed-manifests.md) a grant.
//
// Failure. Nothing is kept but for a few seconds, so a crash loses nothing. A private key that was sealed with another secret can't sign; another key pair is made in its place,
// and what it has signed stays good.
package grant

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/seal"
	"sluice/internal/signing"
)

// sealPurpose keeps the keys here apart from others that are sealed with the same secret.
const sealPurpose = "sluice playback key pairs"

// KeyStore keeps key pairs. Each method is one transaction, with the record of who did it.
type KeyStore interface {
	// KeyPairs returns all, the oldest first.
	KeyPairs(ctx context.Context) ([]signing.Record, error)
	// AddKeyPair keeps one more, and retires the one that it replaces, if any. fault.Conflict where its id is taken.
	AddKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry, replaced *account.Retirement) error
	// FirstKeyPair keeps one that is needed because there is none for its purpose and workspaces, and returns the one that is kept.
	FirstKeyPair(ctx context.Context, r signing.Record, act account.AuditEntry) (signing.Record, error)
	// RetireKeyPair has one sign no more from one time on, and open nothing from another.
	RetireKeyPair(ctx context.Context, end account.Retirement) (signing.Record, error)
	// RemoveKeyPair removes one that is retired. fault.Conflict where it is not yet.
	RemoveKeyPair(ctx context.Context, id string, act account.AuditEntry) error
}

// readKeys is how old the key pairs in memory may be that are signed with; edges ask for themselves.
const readKeys = 5 * time.Second

// Keys is the key pairs of this installation. It may be used by many goroutines and many processes.
type Keys struct {
	store KeyStore
	seal  *seal.Box
	now   func() time.Time
	log   *slog.Logger

	mu     sync.Mutex
	known  []trusted
	read   time.Time
	opened map[string]trusted // by id and what it was read from: parsing an RSA key costs a millisecond
}

// trusted is a key pair with what it is for.
type trusted struct {
	signing.Record
	pair signing.KeyPair
}

// OpenKeys makes Keys. secret is what private keys are sealed with; the same for all processes that share a store.
func OpenKeys(store KeyStore, secret []byte, now func() time.Time, log *slog.Logger) (*Keys, error) {
	s, err := seal.New(secret, sealPurpose)
	if err != nil {
		return nil, err
	}
	return &Keys{store: store, seal: s, now: now, log: log, opened: map[string]trusted{}}, nil
}

// Opens reports whether a secret is what the private key of a record was sealed with.
func Opens(secret []byte, r signing.Record) bool {
	s, err := seal.New(secret, sealPurpose)
	if err != nil {
		return false
	}
	_, ok := s.Open(r.ID, r.Sealed)
	return ok
}

// KeyPairs are those of users, and those by which the API itself grants what it has decided, as the store has them now.
func (k *Keys) KeyPairs(ctx context.Context) (users, internal []signing.KeyPair, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, 0); err != nil {
		return nil, nil, err
	}
	for _, t := range k.known {
		if t.Purpose == signing.ForMembers {
			internal = append(internal, t.pair)
		} else {
			users = append(users, t.pair)
		}
	}
	return users, internal, nil
}

// refresh reads the key pairs where what is known is older than that.
func (k *Keys) refresh(ctx context.Context, older time.Duration) error {
	now := k.now()
	if !k.read.IsZero() && now.Sub(k.read) < older {
		return nil
	}
	rows, err := k.store.KeyPairs(ctx)
	if err != nil {
		return err
	}
	known, opened := make([]trusted, 0, len(rows)), make(map[string]trusted, len(rows))
	for _, row := range rows {
		t, err := k.open(row)
		if err != nil {
			k.log.ErrorContext(ctx, "a key pair of the store can't be read, and is left out", "key_pair", row.ID, "error", err)
			continue
		}
		known, opened[row.ID+row.Sealed] = append(known, t), t
	}
	k.known, k.read, k.opened = known, now, opened
	return nil
}

// open reads a record; where it was sealed with another secret, without its private key.
func (k *Keys) open(r signing.Record) (trusted, error) {
	if t, ok := k.opened[r.ID+r.Sealed]; ok {
		t.Record, t.pair.RetiringAt, t.pair.RetiredAt = r, r.RetiringAt, r.RetiredAt
		return t, nil
	}
	private, _ := k.seal.Open(r.ID, r.Sealed)
	pair, err := r.KeyPair(private)
	return trusted{r, pair}, err
}

// Signer is the key pair to sign with, for a purpose and, for members, for what it opens. It is made where there is none.
func (k *Keys) Signer(ctx context.Context, p signing.Purpose, workspaces []string) (signing.KeyPair, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.refresh(ctx, readKeys); err != nil {
		return signing.KeyPair{}, err
	}
	if pair, err := k.signer(p, workspaces); err == nil {
		return pair, nil
	}
	r, pair, err := k.make(signing.ECDSAP256, signing.SHA256, p)
	if err != nil {
		return signing.KeyPair{}, err
	}
	r.Workspaces = workspaces
	kept, err := k.store.FirstKeyPair(ctx, r, k.act(ctx, account.KeyPairMade, r.ID))
	if err != nil {
		return signing.KeyPair{}, err
	}
	if t, err := k.open(kept); err == nil && signs(t.pair) {
		pair = t.pair
	} else if err := k.store.AddKeyPair(ctx, r, k.act(ctx, account.KeyPairMade, r.ID), nil); err != nil { // the first one was sealed with another secret
		return signing.KeyPair{}, err
	}
	if pair.ID == r.ID {
		k.log.InfoContext(ctx, "made a key pair: there was none to sign with", "key_pair", pair.ID, "purpose", p)
	}
	return pair, k.refresh(ctx, 0)
}

func (k *Keys) signer(p signing.Purpose, workspaces []string) (signing.KeyPair, error) {
	var fit []signing.KeyPair
	for _, t := range k.known {
		if t.Purpose == p {
			fit = append(fit, t.pair)
		}
	}
	ring, err := signing.NewKeyRing(fit...)
	if err != nil {
		return signing.KeyPair{}, err
	}
	return ring.SignerFor(workspaces, k.now())
}

// signs reports whether a key pair has its private key here.
func signs(pair signing.KeyPair) bool {
	_, err := pair.PrivatePEM()
	return err == nil
}

// make makes a key pair, sealed.
func (k *Keys) make(a signing.Algorithm, h signing.Hash, p signing.Purpose) (signing.Record, signing.KeyPair, error) {
	pair, err := signing.Make(a, h, k.now())
	if err != nil {
		return signing.Record{}, pair, err
	}
	r, err := k.sealed(pair, p)
	return r, pair, err
}

// sealed is the record of a key pair with its private key, if it has one.
func (k *Keys) sealed(pair signing.KeyPair, p signing.Purpose) (signing.Record, error) {
	r, err := pair.Record(p)
	if err != nil || !signs(pair) {
		return r, err
	}
	private, err := pair.PrivatePEM()
	if err == nil {
		r.Sealed = k.seal.Close(r.ID, private)
	}
	return r, err
}

// List returns all key pairs, the oldest first. Sealed is not empty where the private key is in the store.
func (k *Keys) List(ctx context.Context) ([]signing.Record, error) { return k.store.KeyPairs(ctx) }

// NewKeyPair asks for one more key pair for playback.
type NewKeyPair struct {
	Algorithm signing.Algorithm // of one that is made
	Hash      signing.Hash
	PEM       []byte        // of one that is brought, private or public; empty: it is made
	ID        string        // the id that a CDN gave to one that is brought; empty: made from the key
	Replaces  string        // id of the one that is retired in its favour as soon as every edge has read the new one; empty for none
	After     time.Duration // how long what that one signed stays good
}

// Add makes a key pair for playback, or takes one. fault.NotFound where there is none to replace, fault.Conflict where its id is taken, and the faults of internal/signing for
// a key that is no good.
func (k *Keys) Add(ctx context.Context, n NewKeyPair) (r signing.Record, err error) {
	if err := k.replaceable(ctx, n); err != nil {
		return r, err
	}
	if len(n.PEM) == 0 {
		r, _, err = k.make(n.Algorithm, n.Hash, signing.ForPlayback)
	} else {
		r, err = k.brought(n)
	}
	if err != nil {
		return r, err
	}
	var end *account.Retirement
	if n.Replaces != "" {
		end = k.retirement(ctx, n.Replaces, k.now().Add(signing.Settle), n.After)
	}
	if err = k.store.AddKeyPair(ctx, r, k.act(ctx, account.KeyPairMade, r.ID), end); err != nil {
		return r, err
	}
	k.changed(ctx, "added a key pair", r.ID)
	if end != nil {
		k.changed(ctx, "retired a key pair", end.KeyPair)
	}
	return r, nil
}

// replaceable looks for the key pair that another is to replace.
func (k *Keys) replaceable(ctx context.Context, n NewKeyPair) error {
	if n.Replaces == "" {
		return nil
	}
	all, err := k.store.KeyPairs(ctx)
	if err == nil && !slices.ContainsFunc(all, func(r signing.Record) bool { return r.ID == n.Replaces && r.Purpose == signing.ForPlayback }) {
		err = fault.New(fault.NotFound, "grant.keys", "no_key_pair", "There is no key pair with this id.", nil)
	}
	return err
}

// brought reads the key of a request.
func (k *Keys) brought(n NewKeyPair) (signing.Record, error) {
	read := func() (signing.KeyPair, error) { return signing.Import(n.PEM, n.ID, n.Hash, k.now()) }
	if bytes.Contains(n.PEM, []byte("PUBLIC KEY")) {
		read = func() (signing.KeyPair, error) { return signing.ImportPublic(n.PEM, n.ID, k.now()) }
	}
	pair, err := read()
	if err != nil {
		return signing.Record{}, err
	}
	return k.sealed(pair, signing.ForPlayback)
}

// Retire has a key pair sign no more from now on, and open nothing after a time: let that be after the expiry of all that it signed.
func (k *Keys) Retire(ctx context.Context, id string, after time.Duration) (signing.Record, error) {
	r, err := k.store.RetireKeyPair(ctx, *k.retirement(ctx, id, k.now(), after))
	if err == nil {
		k.changed(ctx, "retired a key pair", id)
	}
	return r, err
}

// Remove removes a key pair that is retired.
func (k *Keys) Remove(ctx context.Context, id string) error {
	err := k.store.RemoveKeyPair(ctx, id, k.act(ctx, account.KeyPairRemoved, id))
	if err == nil {
		k.changed(ctx, "removed a key pair", id)
	}
	return err
}

// retirement has a key pair sign no more from a time on, and what it signed end after another.
func (k *Keys) retirement(ctx context.Context, id string, from time.Time, after time.Duration) *account.Retirement {
	return &account.Retirement{KeyPair: id, From: from, Until: from.Add(after), Act: k.act(ctx, account.KeyPairRetired, id)}
}

// act is what somebody does to a key pair.
func (k *Keys) act(ctx context.Context, what, id string) account.AuditEntry {
	by, _ := account.From(ctx)
	return account.AuditEntry{Time: k.now(), What: what, By: by.ID, ByName: by.Name, Address: account.CallerOf(ctx).Address, Detail: map[string]string{"key_pair": id}}
}

// changed has the next signature look at the store again, and says so in the log.
func (k *Keys) changed(ctx context.Context, what, id string) {
	k.log.InfoContext(ctx, what, "key_pair", id)
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read = time.Time{}
}

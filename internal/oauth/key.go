package oauth

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/account"
	"sluice/internal/seal"
)

// How keys take turns.
const (
	keyBits    = 2048            // good to 2030 (NIST SP 800-57 part 1, table 2), and each key signs for a month
	ahead      = 24 * time.Hour  // a key is published that long before it signs, so that who caches the set has it
	afterwards = 24 * time.Hour  // and that long after it signed last: longer than any token is good
	readKeys   = time.Minute     // how old the set in memory may be
	askAgain   = 5 * time.Second // least time between two reads for a key that is not known
)

// sealPurpose keeps the keys here apart from others that are sealed with the same secret.
const sealPurpose = "sluice oauth signing keys"

// ring is the keys of this installation. Every process publishes all of them and signs with the newest that it can open, so that processes with another
// secret, or a folder that lost its own, work too.
type ring struct {
	store  Keys
	seal   *seal.Box
	rotate time.Duration
	now    func() time.Time
	log    *slog.Logger

	mu   sync.Mutex
	keys []ringKey
	read time.Time
}

type ringKey struct {
	account.SigningKey
	public  jose.JSONWebKey
	private *rsa.PrivateKey // nil where it was sealed with another secret
}

func newRing(store Keys, secret []byte, rotate time.Duration, now func() time.Time, log *slog.Logger) (*ring, error) {
	seal, err := seal.New(secret, sealPurpose)
	return &ring{store: store, seal: seal, rotate: rotate, now: now, log: log}, err
}

// Opens reports whether a secret is what the private half of a key was sealed with.
func Opens(secret []byte, k account.SigningKey) bool {
	s, err := seal.New(secret, sealPurpose)
	if err != nil {
		return false
	}
	_, ok := s.Open(k.ID, k.Sealed)
	return ok
}

// signer returns the key that signs now. Where there is none it is made, and its successor in time.
func (r *ring) signer(ctx context.Context) (ringKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.refresh(ctx, readKeys); err != nil {
		return ringKey{}, err
	}
	now := r.now()
	current, next := r.turn(now)
	if current == nil {
		if err := r.make(ctx, now); err != nil {
			return ringKey{}, err
		}
		current, next = r.turn(now)
	}
	if current == nil {
		return ringKey{}, errors.New("the key that was just made is not in the store")
	}
	chosen := *current
	if next == nil && chosen.Until.Sub(now) <= ahead {
		if err := r.make(ctx, chosen.Until); err != nil {
			return ringKey{}, err
		}
	}
	return chosen, nil
}

// turn finds the key that signs now and one that will.
func (r *ring) turn(now time.Time) (current, next *ringKey) {
	for i := range r.keys {
		k := &r.keys[i]
		switch {
		case k.private == nil || !now.Before(k.Until):
		case now.Before(k.Signs):
			next = k
		default:
			current = k // the newest of them
		}
	}
	return current, next
}

// make keeps a new key that signs from a time on.
func (r *ring) make(ctx context.Context, signs time.Time) error {
	k, err := r.forge(signs)
	if err != nil {
		return err
	}
	if err := r.store.PutSigningKey(ctx, k); err != nil {
		return err
	}
	r.log.Info("made a key that signs tokens", "key", k.ID, "signs", k.Signs.UTC(), "until", k.Until.UTC())
	return r.refresh(ctx, 0)
}

// renew has a new key sign at once. The others are published until then at most.
func (r *ring) renew(ctx context.Context, others time.Time, act account.AuditEntry) (account.SigningKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	k, err := r.forge(r.now())
	if err != nil {
		return k, err
	}
	act.Detail = map[string]string{"key": k.ID, "others_until": others.UTC().Format(time.RFC3339)}
	if err := r.store.RenewSigningKey(ctx, account.Renewal{Key: k, Expires: others, Act: act}); err != nil {
		return k, err
	}
	r.log.Warn("a new key signs tokens, as an administrator asked", "key", k.ID, "others_until", others.UTC())
	return k, r.refresh(ctx, 0)
}

// forge makes a key that signs from a time on.
func (r *ring) forge(signs time.Time) (k account.SigningKey, err error) {
	private, err := rsa.GenerateKey(rand.Reader, keyBits)
	if err != nil {
		return k, err
	}
	public := jose.JSONWebKey{Key: private.Public(), Algorithm: string(jose.RS256), Use: "sig"}
	print, err := public.Thumbprint(crypto.SHA256) // RFC 7638
	if err != nil {
		return k, err
	}
	public.KeyID = base64.RawURLEncoding.EncodeToString(print)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return k, err
	}
	text, err := json.Marshal(public)
	if err != nil {
		return k, err
	}
	until := signs.Add(r.rotate)
	return account.SigningKey{
		ID: public.KeyID, Algorithm: public.Algorithm, Public: string(text),
		Sealed: r.seal.Close(public.KeyID, der),
		Signs:  signs, Until: until, Expires: until.Add(afterwards),
	}, nil
}

// refresh reads the keys where what is known is older than that.
func (r *ring) refresh(ctx context.Context, older time.Duration) error {
	now := r.now()
	if r.keys != nil && now.Sub(r.read) < older {
		return nil
	}
	rows, err := r.store.SigningKeys(ctx)
	if err != nil {
		return err
	}
	keys := make([]ringKey, 0, len(rows))
	for _, row := range rows {
		k := ringKey{SigningKey: row}
		if err := json.Unmarshal([]byte(row.Public), &k.public); err != nil {
			return fmt.Errorf("signing key %s: %w", row.ID, err)
		}
		k.private = r.open(row)
		keys = append(keys, k)
	}
	r.keys, r.read = keys, now
	return nil
}

// open returns the private half of a key, or nil where it was sealed with another secret.
func (r *ring) open(k account.SigningKey) *rsa.PrivateKey {
	der, ok := r.seal.Open(k.ID, k.Sealed)
	if !ok {
		return nil
	}
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil
	}
	key, _ := private.(*rsa.PrivateKey)
	return key
}

// find returns the public key of that id. One that is not known may be another process's newest: the store is asked, but not for every token that somebody makes up.
func (r *ring) find(ctx context.Context, id string) (*jose.JSONWebKey, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, older := range []time.Duration{readKeys, askAgain} {
		if err := r.refresh(ctx, older); err != nil {
			return nil, err
		}
		for i := range r.keys {
			if r.keys[i].ID == id && r.now().Before(r.keys[i].Expires) {
				return &r.keys[i].public, nil
			}
		}
	}
	return nil, nil
}

// set returns the public keys.
func (r *ring) set(ctx context.Context) (jose.JSONWebKeySet, error) {
	if _, err := r.signer(ctx); err != nil { // so that there is one, and its successor in time
		return jose.JSONWebKeySet{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var set jose.JSONWebKeySet
	for _, k := range r.keys {
		set.Keys = append(set.Keys, k.public)
	}
	return set, nil
}

// Renew has a new key sign at once. Tokens of the others stay good until they expire; where withdraw is set the others are known no more, and no access token that is out is good
// after a minute in any process.
func (p *Provider) Renew(ctx context.Context, act account.AuditEntry, withdraw bool) (account.SigningKey, error) {
	others := p.Now()
	if !withdraw {
		others = others.Add(afterwards)
	}
	return p.ring.renew(ctx, others, act)
}

// sign writes claims as a JWT of a type.
func (k ringKey) sign(typ string, claims any) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: k.private, KeyID: k.ID}},
		(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(body)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

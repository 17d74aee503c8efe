package oauth

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/fault"
)

// How an external issuer is asked for its keys.
const (
	keysFresh   = 5 * time.Minute  // how old its set may be: a key that it takes back is heeded that long
	keysStale   = 24 * time.Hour   // how old it may be while the issuer can't be reached
	keysAgain   = 30 * time.Second // least time between two questions, whatever tokens name
	keysPatient = 10 * time.Second
	mostKeys    = 1 << 20 // bytes of a document
)

// keySet is the keys of an external issuer.
type keySet struct {
	issuer string
	at     string // the set's address; empty to ask the issuer for it
	client *http.Client
	now    func() time.Time
	log    *slog.Logger

	fetching sync.Mutex // held by who asks the issuer
	tried    time.Time

	mu   sync.Mutex
	keys []jose.JSONWebKey
	got  time.Time
	last error // of the last question
}

// newKeySet makes a set that is read when first needed. The client follows no redirect: keys come from where the configuration says, or not at all.
func newKeySet(issuer, at string, transport http.RoundTripper, now func() time.Time, log *slog.Logger) *keySet {
	return &keySet{issuer: issuer, at: at, now: now, log: log, client: &http.Client{Transport: transport, Timeout: keysPatient,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// find returns the key that a token names; nil where the issuer has none. fault.Unavailable, code "issuer_unavailable", where that can't be told.
func (k *keySet) find(ctx context.Context, kid, alg string) (*jose.JSONWebKey, error) {
	key, age, _ := k.look(kid, alg)
	if key != nil && age < keysFresh {
		return key, nil
	}
	if key != nil && age < keysStale {
		if !k.fetching.TryLock() { // somebody asks already
			return key, nil
		}
	} else {
		k.fetching.Lock()
	}
	if now := k.now(); now.Sub(k.tried) >= keysAgain {
		k.tried = now
		k.fetch(context.WithoutCancel(ctx))
	}
	k.fetching.Unlock()
	key, age, err := k.look(kid, alg)
	switch {
	case key != nil && age < keysStale:
		return key, nil
	case err != nil:
		return nil, fault.New(fault.Unavailable, "oauth.keys", "issuer_unavailable", "The issuer of this token can't be reached to verify it; try again later.", err)
	}
	return nil, nil
}

// look finds a key in what is known. A token without kid is verified by the only key that can have signed it.
func (k *keySet) look(kid, alg string) (key *jose.JSONWebKey, age time.Duration, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range k.keys {
		one := &k.keys[i]
		if kid != "" && one.KeyID == kid || kid == "" && len(k.keys) == 1 && (one.Algorithm == "" || one.Algorithm == alg) {
			return one, k.now().Sub(k.got), k.last
		}
	}
	return nil, 0, k.last
}

// fetch reads the set. Where that fails, what is known stays.
func (k *keySet) fetch(ctx context.Context) {
	keys, err := k.ask(ctx)
	if err != nil {
		k.log.Warn("the issuer's keys could not be read", "issuer", k.issuer, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.last = err; err == nil {
		k.keys, k.got = keys, k.now()
	}
}

func (k *keySet) ask(ctx context.Context) ([]jose.JSONWebKey, error) {
	at := k.at
	if at == "" {
		var doc struct {
			Issuer string `json:"issuer"`
			Keys   string `json:"jwks_uri"`
		}
		if err := k.discover(ctx, &doc); err != nil {
			return nil, err
		}
		if doc.Issuer != k.issuer {
			return nil, fmt.Errorf("it says that it is %q", doc.Issuer)
		}
		if at = doc.Keys; secureAs(k.issuer, at) != nil {
			return nil, secureAs(k.issuer, at)
		}
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, at, &set); err != nil {
		return nil, err
	}
	var keys []jose.JSONWebKey
	for _, text := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(text, &key) != nil { // of a kind that nobody here knows
			continue
		}
		if small, isRSA := key.Key.(*rsa.PublicKey); !key.IsPublic() || !key.Valid() || key.Use == "enc" || isRSA && small.N.BitLen() < 2048 {
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key that can be used")
	}
	return keys, nil
}

// discover reads what the issuer says of itself (OpenID Connect Discovery §4).
func (k *keySet) discover(ctx context.Context, into any) error {
	return k.get(ctx, strings.TrimRight(k.issuer, "/")+"/.well-known/openid-configuration", into)
}

// secureAs refuses an address that is less secure than that of the issuer.
func secureAs(issuer, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && !strings.HasPrefix(issuer, u.Scheme+"://") {
		return fmt.Errorf("it names %q, which is no address as secure as its own", address)
	}
	return nil
}

func (k *keySet) get(ctx context.Context, at string, into any) (err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, res.Body.Close()) }()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", at, res.Status)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, mostKeys+1))
	if err != nil {
		return err
	}
	if len(body) > mostKeys {
		return fmt.Errorf("%s answers with more than %d bytes", at, mostKeys)
	}
	return json.Unmarshal(body, into)
}

package signing

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/fault"
)

// noon is when the tests play.
var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

var made = sync.OnceValue(func() map[Algorithm]KeyPair {
	keys := map[Algorithm]KeyPair{}
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		k, err := Make(a, SHA1, noon.Add(-24*time.Hour))
		if err != nil {
			panic(err)
		}
		keys[a] = k
	}
	return keys
})

// key is a key pair of the tests; making one takes a while.
func key(a Algorithm, h Hash) KeyPair {
	k := made()[a]
	k.Hash = h
	return k
}

func ring(t testing.TB, pairs ...KeyPair) *KeyRing {
	t.Helper()
	r, err := NewKeyRing(pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func path(t testing.TB, raw string) Path {
	t.Helper()
	p, err := Normalize(raw)
	if err != nil {
		t.Fatalf("%q: %v", raw, err)
	}
	return p
}

// ask is the request for a URL at noon from 192.0.2.10, and the credential in its query.
func ask(t testing.TB, rawURL string) (Credential, *Request) {
	t.Helper()
	scheme, rest, _ := strings.Cut(rawURL, "://")
	rest, query, _ := strings.Cut(rest, "?")
	host, below, _ := strings.Cut(rest, "/")
	c, left, err := FromQuery(query)
	if err != nil {
		t.Fatalf("%s: %v", rawURL, err)
	}
	return c, &Request{Scheme: scheme, Host: CanonicalHost(scheme, host), Path: path(t, "/"+below), Query: left, Client: netip.MustParseAddr("192.0.2.10"), Now: noon}
}

// code is the stable code of an error, "" for none.
func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

// sign signs a policy, or fails the test.
func sign(t testing.TB, k KeyPair, p Policy) Credential {
	t.Helper()
	c, err := k.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// signText signs what no policy of ours would say.
func signText(t testing.TB, k KeyPair, text string) Credential {
	t.Helper()
	signature, err := k.sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Credential{Policy: alphabet.EncodeToString([]byte(text)), Signature: signature, KeyPairID: k.ID, Hash: k.Hash.written()}
}

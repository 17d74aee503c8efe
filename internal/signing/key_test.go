package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func encode(t *testing.T, kind string, der []byte, err error) []byte {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pkcs8(t *testing.T, private any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	return encode(t, "PRIVATE KEY", der, err)
}

func TestAKeyPairComesInEveryUsualForm(t *testing.T) {
	t.Parallel()
	rsaKey, ecKey := made()[RSA2048].private.(*rsa.PrivateKey), made()[ECDSAP256].private.(*ecdsa.PrivateKey)
	sec1, err := x509.MarshalECPrivateKey(ecKey)
	parameters := "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n" // openssl ecparam -genkey
	for name, c := range map[string]struct {
		text []byte
		like KeyPair
	}{
		"PKCS #1":                {encode(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), made()[RSA2048]},
		"PKCS #8 of RSA":         {pkcs8(t, rsaKey), made()[RSA2048]},
		"PKCS #8 of ECDSA":       {pkcs8(t, ecKey), made()[ECDSAP256]},
		"SEC 1":                  {encode(t, "EC PRIVATE KEY", sec1, err), made()[ECDSAP256]},
		"SEC 1 with parameters":  {append([]byte(parameters), encode(t, "EC PRIVATE KEY", sec1, err)...), made()[ECDSAP256]},
		"with blank lines after": {append(pkcs8(t, ecKey), "\n\r\n "...), made()[ECDSAP256]},
	} {
		k, err := Import(c.text, "", SHA256, noon)
		if err != nil || k.Algorithm != c.like.Algorithm || k.ID != c.like.ID || k.Fingerprint() != c.like.Fingerprint() || k.Hash != SHA256 || !k.CreatedAt.Equal(noon) {
			t.Errorf("%s: %v, %v", name, k, err)
			continue
		}
		text, err := k.PrivatePEM()
		if err != nil {
			t.Fatal(err)
		}
		if again, err := Import(text, "K2JCJMDEHXQW5F", "", noon); err != nil || again.Fingerprint() != k.Fingerprint() || again.ID != "K2JCJMDEHXQW5F" || again.Hash != SHA1 {
			t.Errorf("%s, kept and read: %v, %v", name, again, err)
		}
		public, err := k.PublicPEM()
		if err != nil {
			t.Fatal(err)
		}
		verifier, err := ImportPublic(public, k.ID, noon)
		if err != nil || verifier.Fingerprint() != k.Fingerprint() {
			t.Errorf("%s: %v, %v", name, verifier, err)
		}
		if _, err := verifier.Sign(Policy{Expires: noon}); code(err) != "key_public_only" {
			t.Errorf("a public key signed: %v", err)
		}
		if _, err := verifier.PrivatePEM(); code(err) != "key_public_only" {
			t.Errorf("a public key has a private one: %v", err)
		}
	}
	if id := made()[RSA2048].ID; !regexp.MustCompile(`^K[A-Z2-7]{13}$`).MatchString(id) {
		t.Errorf("the id %q isn't of CloudFront's form", id)
	}
}

func TestAKeyThatCloudFrontWouldNotTakeIsRefused(t *testing.T) {
	t.Parallel()
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := pkcs8(t, made()[ECDSAP256].private)
	longest := append(slices.Clone(good), bytes.Repeat([]byte("\n"), longestPEM-len(good))...)
	public, err := made()[ECDSAP256].PublicPEM()
	if err != nil {
		t.Fatal(err)
	}
	//nolint:staticcheck // what old tools write is what is refused
	legacy, err := x509.EncryptPEMBlock(rand.Reader, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small), []byte("x"), x509.PEMCipherAES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text []byte
		id   string
		code string
	}{
		"RSA of 1024 bits":     {encode(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(small), nil), "", "key_unsupported"},
		"RSA of 3072 bits":     {pkcs8(t, large), "", "key_unsupported"},
		"ECDSA on P-384":       {pkcs8(t, p384), "", "key_unsupported"},
		"Ed25519":              {pkcs8(t, edwards), "", "key_unsupported"},
		"nothing":              {nil, "", "key_malformed"},
		"no PEM":               {[]byte("hello"), "", "key_malformed"},
		"a public key":         {public, "", "key_malformed"},
		"two keys":             {append(append([]byte(nil), good...), good...), "", "key_malformed"},
		"something behind":     {append(append([]byte(nil), good...), "x"...), "", "key_malformed"},
		"damaged":              {encode(t, "PRIVATE KEY", []byte{0x30, 0x03, 1, 2, 3}, nil), "", "key_malformed"},
		"as long as allowed":   {longest, strings.Repeat("K", longestKeyID), ""},
		"too long":             {append(slices.Clone(longest), '\n'), "", "key_malformed"},
		"encrypted":            {encode(t, "ENCRYPTED PRIVATE KEY", []byte{1}, nil), "", "key_encrypted"},
		"encrypted by openssl": {pem.EncodeToMemory(legacy), "", "key_encrypted"},
		"an id with a slash":   {good, "K/1", "key_bad_id"},
		"an id of a quote":     {good, `K"`, "key_bad_id"},
		"a long id":            {good, strings.Repeat("K", longestKeyID+1), "key_bad_id"},
	} {
		if _, err := Import(c.text, c.id, SHA1, noon); code(err) != c.code {
			t.Errorf("%s: %v, want %s", name, err, c.code)
		}
	}
	odd := &rsa.PublicKey{N: made()[RSA2048].public.(*rsa.PublicKey).N, E: 3}
	even := &rsa.PublicKey{N: new(big.Int).Add(odd.N, big.NewInt(1)), E: 65537}
	for _, public := range []crypto.PublicKey{odd, even, "text"} {
		if _, err := keyPair("", public, nil, SHA1, noon); code(err) != "key_unsupported" {
			t.Errorf("%T: %v", public, err)
		}
	}
	if _, err := ImportPublic(good, "", noon); code(err) != "key_malformed" {
		t.Errorf("a private key as a public one: %v", err)
	}
	if _, err := Make("rsa-1024", SHA1, noon); code(err) != "key_unsupported" {
		t.Errorf("%v", err)
	}
	if _, err := Make(ECDSAP256, "MD5", noon); code(err) != "hash_unsupported" {
		t.Errorf("%v", err)
	}
}

func TestAKeyPairNeverShowsItsPrivateKey(t *testing.T) {
	t.Parallel()
	for _, k := range made() {
		var shown bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%T"} {
			fmt.Fprintf(&shown, verb+"\n", k)
			fmt.Fprintf(&shown, verb+"\n", &k)
			fmt.Fprintf(&shown, verb+"\n", []KeyPair{k})
		}
		slog.New(slog.NewTextHandler(&shown, nil)).Info("key", "key", k)
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("key", "key", k)
		b, err := json.Marshal(k)
		if err != nil {
			t.Fatal(err)
		}
		shown.Write(b)
		var secret *big.Int
		switch private := k.private.(type) {
		case *rsa.PrivateKey:
			secret = private.D
		case *ecdsa.PrivateKey:
			der, err := private.Bytes()
			if err != nil {
				t.Fatal(err)
			}
			secret = new(big.Int).SetBytes(der)
		}
		for _, s := range []string{secret.String(), secret.Text(16), strings.ToUpper(secret.Text(16)), "PRIVATE", "0xc0"} {
			if strings.Contains(shown.String(), s) {
				t.Errorf("%s is shown: %s", s, shown.String())
			}
		}
		if !strings.Contains(shown.String(), k.ID) {
			t.Error("nothing was shown")
		}
	}
}

func TestAKeyPairRetiresInOneDirection(t *testing.T) {
	t.Parallel()
	k := key(ECDSAP256, SHA1)
	day := 24 * time.Hour
	k, err := k.Retiring(noon, noon.Add(day))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Duration]State{-time.Second: Active, 0: Retiring, day - time.Second: Retiring, day: Retired, 100 * day: Retired} {
		if got := k.State(noon.Add(at)); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
	if _, err := k.Retiring(noon, noon.Add(2*day)); code(err) != "key_ends_earlier" {
		t.Errorf("its end was put off: %v", err)
	}
	if _, err := k.Retiring(noon, noon.Add(-day)); code(err) != "key_bad_times" {
		t.Errorf("it ended before it began to end: %v", err)
	}
	now, err := k.Retiring(noon.Add(time.Hour), noon.Add(time.Hour))
	if err != nil || now.State(noon.Add(time.Hour)) != Retired || now.State(noon) != Retiring {
		t.Errorf("it can't be retired at once: %v", err)
	}
}

func TestTheNewestKeyPairThatAllEdgesKnowSigns(t *testing.T) {
	t.Parallel()
	at := func(k KeyPair, id string, created time.Duration) KeyPair {
		k.ID, k.CreatedAt = id, noon.Add(created)
		return k
	}
	ec := key(ECDSAP256, SHA256)
	old, mid, fresh, fresher := at(ec, "OLD", -48*time.Hour), at(ec, "MID", -24*time.Hour), at(ec, "FRESH", -time.Second), at(ec, "FRESHER", 0)
	gone, err := mid.Retiring(noon, noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	public := mid
	public.private = nil
	for name, c := range map[string]struct {
		pairs []KeyPair
		now   time.Time
		want  string
	}{
		"one":                                     {[]KeyPair{fresh}, noon, "FRESH"},
		"the newer of two":                        {[]KeyPair{old, mid}, noon, "MID"},
		"not one that edges may not have read":    {[]KeyPair{fresh, old}, noon, "OLD"},
		"that one a minute later":                 {[]KeyPair{fresh, old}, noon.Add(Settle), "FRESH"},
		"of two that are new, the one made first": {[]KeyPair{fresher, fresh}, noon, "FRESH"},
		"not a retiring one":                      {[]KeyPair{old, gone}, noon, "OLD"},
		"a new one rather than a retiring one":    {[]KeyPair{gone, fresh}, noon, "FRESH"},
		"not a public one":                        {[]KeyPair{old, public}, noon, "OLD"},
	} {
		for range 2 {
			if k, err := ring(t, c.pairs...).Signer(c.now); err != nil || k.ID != c.want {
				t.Errorf("%s: %v, %v", name, k, err)
			}
			c.pairs = append([]KeyPair{c.pairs[len(c.pairs)-1]}, c.pairs[:len(c.pairs)-1]...)
		}
	}
	if _, err := ring(t, gone).Signer(noon); code(err) != "no_signing_key" {
		t.Errorf("%v", err)
	}
	if _, err := NewKeyRing(old, old); code(err) != "key_id_taken" {
		t.Errorf("two key pairs have one id: %v", err)
	}
	if _, err := NewKeyRing(KeyPair{ID: "K"}); err == nil {
		t.Error("a key pair without a key is in a ring")
	}
}

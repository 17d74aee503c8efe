package signing

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" // CloudFront's classic form; a key pair can be made to sign with SHA-256
	"crypto/sha256"
	"crypto/x509"
	"encoding/base32"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"time"

	"sluice/internal/fault"
)

// Algorithm is the kind of a key pair. CloudFront takes these two ("RSA 2048 or ECDSA 256 key signatures", API reference, PublicKey).
type Algorithm string

// The algorithms. RSA signs with PKCS #1 v1.5, ECDSA as DER (what the AWS SDKs' signers write), each over SHA-1 or SHA-256.
const (
	RSA2048   Algorithm = "rsa-2048"
	ECDSAP256 Algorithm = "ecdsa-p256"
)

const (
	rsaBits     = 2048
	rsaExponent = 65537
	longestPEM  = 16 << 10
)

// State is what a key pair is good for at some time.
type State string

// The states, in their only order.
const (
	Active   State = "active"   // signs and verifies
	Retiring State = "retiring" // verifies what it has signed
	Retired  State = "retired"  // nothing
)

// KeyPair is a value: who keeps it keeps its fields and PrivatePEM. It never prints its private key. One that was imported as a
// public key only verifies.
type KeyPair struct {
	ID         string // what CloudFront calls key pair id or public key id
	Algorithm  Algorithm
	Hash       Hash // what it signs with; it verifies both, as CloudFront does
	CreatedAt  time.Time
	RetiringAt time.Time // zero: no such plan
	RetiredAt  time.Time // zero: no such plan
	Workspaces []string  // ids of those whose videos it opens, whatever a policy names; nil: all. Check heeds it

	print   [sha256.Size]byte // SHA-256 of the public key
	public  crypto.PublicKey
	private crypto.Signer
}

// invalidKey is the error of one who brings a key.
func invalidKey(code, message string, cause error) error {
	return fault.New(fault.Invalid, "signing.key", code, message, cause)
}

// Make makes a key pair, with an id of CloudFront's form made from its public key.
func Make(a Algorithm, h Hash, now time.Time) (KeyPair, error) {
	var private crypto.Signer
	var err error
	switch a {
	case RSA2048:
		private, err = rsa.GenerateKey(rand.Reader, rsaBits)
	case ECDSAP256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	default:
		return KeyPair{}, invalidKey("key_unsupported", "Key pairs are rsa-2048 or ecdsa-p256; ask for one of these.", nil)
	}
	if err != nil {
		return KeyPair{}, fault.New(fault.Internal, "signing.key", "key_not_made", "No key could be made; try again.", err)
	}
	return keyPair("", private.Public(), private, h, now)
}

// Import reads a private key: one PEM block of PKCS #1, PKCS #8 or SEC 1. id is the one that CloudFront gave to its public key; empty: made from
// the key, as Make does.
func Import(text []byte, id string, h Hash, now time.Time) (KeyPair, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return KeyPair{}, err
	}
	var parsed any
	switch block.Type {
	case "RSA PRIVATE KEY":
		parsed, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		parsed, err = x509.ParseECPrivateKey(block.Bytes)
	case "PRIVATE KEY":
		parsed, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "ENCRYPTED PRIVATE KEY":
		return KeyPair{}, encryptedKey()
	default:
		return KeyPair{}, invalidKey("key_malformed", "The PEM block isn't a private key; send the one that begins with BEGIN PRIVATE KEY.", nil)
	}
	if err != nil {
		return KeyPair{}, unreadable(err)
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return KeyPair{}, unsupportedKey()
	}
	return keyPair(id, private.Public(), private, h, now)
}

// ImportPublic reads a public key (PKIX PEM, what CloudFront takes), for an edge that only verifies.
func ImportPublic(text []byte, id string, now time.Time) (KeyPair, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return KeyPair{}, err
	}
	if block.Type != "PUBLIC KEY" {
		return KeyPair{}, invalidKey("key_malformed", "The PEM block isn't a public key; send the one that begins with BEGIN PUBLIC KEY.", nil)
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return KeyPair{}, unreadable(err)
	}
	return keyPair(id, public, nil, SHA1, now)
}

// onlyBlock is the one PEM block of a text; openssl's EC PARAMETERS may stand before it.
func onlyBlock(text []byte) (*pem.Block, error) {
	malformed := invalidKey("key_malformed", "This isn't one key in PEM form; send the file that begins with -----BEGIN, and nothing else.", nil)
	if len(text) > longestPEM {
		return nil, malformed
	}
	block, rest := pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	if block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return nil, malformed
	}
	if block.Headers["Proc-Type"] != "" || block.Headers["DEK-Info"] != "" {
		return nil, encryptedKey()
	}
	return block, nil
}

func encryptedKey() error {
	return invalidKey("key_encrypted", "The key is encrypted; decrypt it first, for example with openssl pkey -in key.pem.", nil)
}

func unsupportedKey() error {
	return invalidKey("key_unsupported", "The key is neither RSA with 2048 bits (exponent 65537) nor ECDSA on P-256, and CloudFront takes no others; make one of these.", nil)
}

func unreadable(err error) error {
	return invalidKey("key_malformed", "The key can't be read; export it again as PKCS #8 PEM.", err)
}

// keyPair checks a key and puts the value together.
func keyPair(id string, public crypto.PublicKey, private crypto.Signer, h Hash, now time.Time) (KeyPair, error) {
	if h == "" {
		h = SHA1
	}
	if h != SHA1 && h != SHA256 {
		return KeyPair{}, invalidKey("hash_unsupported", "The hash is SHA1 or SHA256; choose one of these.", nil)
	}
	k := KeyPair{ID: id, Hash: h, CreatedAt: now, public: public, private: private}
	switch key := public.(type) {
	case *rsa.PublicKey:
		whole, isRSA := private.(*rsa.PrivateKey)
		if key.N.BitLen() != rsaBits || key.E != rsaExponent || key.N.Bit(0) == 0 || isRSA && len(whole.Primes) != 2 {
			return KeyPair{}, unsupportedKey()
		}
		k.Algorithm = RSA2048
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return KeyPair{}, unsupportedKey()
		}
		k.Algorithm = ECDSAP256
	default:
		return KeyPair{}, unsupportedKey()
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return KeyPair{}, unreadable(err)
	}
	k.print = sha256.Sum256(der)
	if k.ID == "" {
		// "K" and thirteen letters and digits, as CloudFront's own (K2JCJMDEHXQW5F); 65 bits of the fingerprint.
		k.ID = "K" + base32.StdEncoding.EncodeToString(k.print[:])[:13]
	}
	if len(k.ID) > longestKeyID || !base64Text(k.ID) {
		return KeyPair{}, invalidKey("key_bad_id", "The id has characters that don't fit into a URL, or more than 128; use the id that CloudFront shows.", nil)
	}
	return k, nil
}

// Fingerprint is the SHA-256 of the public key (PKIX DER), in hexadecimal digits.
func (k KeyPair) Fingerprint() string { return hex.EncodeToString(k.print[:]) }

// PublicPEM is the public key as CloudFront takes it (PKIX).
func (k KeyPair) PublicPEM() ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(k.public)
	if err != nil {
		return nil, unreadable(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// PrivatePEM is the private key (PKCS #8), for who stores it, and for nobody else.
func (k KeyPair) PrivatePEM() ([]byte, error) {
	if k.private == nil {
		return nil, fault.New(fault.NotFound, "signing.key", "key_public_only", "This key pair has no private key here.", nil)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, unreadable(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// State is the key pair's at a time.
func (k KeyPair) State(now time.Time) State {
	switch {
	case !k.RetiredAt.IsZero() && !now.Before(k.RetiredAt):
		return Retired
	case !k.RetiringAt.IsZero() && !now.Before(k.RetiringAt):
		return Retiring
	default:
		return Active
	}
}

// Retiring is the key pair as it shall be: from one time on it signs no more, and until another it verifies what it has signed,
// so let that be after the expiry of all of it. With both at the same time it is retired at once. An end can be brought forward and not put
// off, and what has ended signing stays so.
func (k KeyPair) Retiring(from, until time.Time) (KeyPair, error) {
	if !k.RetiringAt.IsZero() && from.After(k.RetiringAt) {
		from = k.RetiringAt
	}
	if until.Before(from) {
		return k, invalidKey("key_bad_times", "A key pair can't be retired before it stops signing; give a later time.", nil)
	}
	if !k.RetiredAt.IsZero() && until.After(k.RetiredAt) {
		return k, fault.New(fault.Conflict, "signing.key", "key_ends_earlier", "This key pair ends earlier, and that can't be taken back; make a new one.", nil)
	}
	k.RetiringAt, k.RetiredAt = from, until
	return k, nil
}

// Format prints the id and the algorithm, whatever is asked for: a key never gets into a log.
func (k KeyPair) Format(s fmt.State, _ rune) {
	_, _ = io.WriteString(s, k.ID+" ("+string(k.Algorithm)+")")
}

// sign is the signature of a policy's text, encoded.
func (k KeyPair) sign(text []byte) (string, error) {
	if k.private == nil {
		return "", fault.New(fault.Conflict, "signing.sign", "key_public_only", "This key pair has no private key here; sign with another.", nil)
	}
	hash, digest := k.Hash.sum(text)
	signature, err := k.private.Sign(rand.Reader, digest, hash)
	if err != nil {
		return "", fault.New(fault.Internal, "signing.sign", "not_signed", "The policy could not be signed; try again.", err)
	}
	return alphabet.EncodeToString(signature), nil
}

// sum hashes a text.
func (h Hash) sum(text []byte) (crypto.Hash, []byte) {
	if h == SHA256 {
		d := sha256.Sum256(text)
		return crypto.SHA256, d[:]
	}
	d := sha1.Sum(text)
	return crypto.SHA1, d[:]
}

// verify is the one public-key operation.
func (k *KeyPair) verify(h Hash, text, signature []byte) bool {
	hash, digest := h.sum(text)
	switch public := k.public.(type) {
	case *rsa.PublicKey:
		return rsa.VerifyPKCS1v15(public, hash, digest, signature) == nil
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(public, digest, signature)
	}
	return false
}

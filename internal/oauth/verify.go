package oauth

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// leeway is how far the clocks of issuers may be from ours.
	leeway = 30 * time.Second
	// mostToken bounds a token in bytes: tokens with hundreds of groups fit.
	mostToken = 16 << 10
	// mostKeyID bounds the name of a key.
	mostKeyID = 256
)

// Types of the JWTs that this room makes. A token of one is never taken for another (RFC 8725 §3.11).
const (
	typeAccess  = "at+jwt" // RFC 9068 §2.1
	typeID      = "JWT"
	typeRequest = "request+jwt"
	typeParting = "parting+jwt"
)

// badHeaders are the members of a JOSE header that bring a key, tell where one is, or change what the signature covers. A token with one is refused: its key is
// found by kid among those of its issuer, and nowhere else (RFC 8725 §3.10).
var badHeaders = []string{"jwk", "jku", "x5u", "x5c", "crit", "b64", "zip"}

// opened is a token whose header is in order, and whose signature is not verified yet.
type opened struct {
	jws *jose.JSONWebSignature
	kid string
	typ string // in lower case, without "application/"
}

// looksLikeJWT tells a JWT from any other bearer token.
func looksLikeJWT(token string) bool {
	return strings.Count(token, ".") == 2 && strings.HasPrefix(token, "ey")
}

// open reads the header of a token. Algorithms that are not in algs are refused; "none" and HMAC are in no list.
func open(token string, algs []jose.SignatureAlgorithm) (opened, error) {
	if len(token) > mostToken {
		return opened{}, errors.New("it is too long")
	}
	first, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil {
		return opened{}, errors.New("its header is not base64url")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return opened{}, errors.New("its header is not a JSON object")
	}
	for name := range members {
		if slices.Contains(badHeaders, strings.ToLower(name)) {
			return opened{}, errors.New("its header has " + strings.ToLower(name))
		}
	}
	jws, err := jose.ParseSignedCompact(token, algs)
	if err != nil {
		return opened{}, err
	}
	h := jws.Signatures[0].Protected
	if len(h.KeyID) > mostKeyID {
		return opened{}, errors.New("its kid is too long")
	}
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	return opened{jws: jws, kid: h.KeyID, typ: strings.TrimPrefix(strings.ToLower(typ), "application/")}, nil
}

// verify checks the signature and reads the payload. A key that names its algorithm signs with no other.
func (o opened) verify(key *jose.JSONWebKey, into any) error {
	if alg := o.jws.Signatures[0].Protected.Algorithm; key.Algorithm != "" && key.Algorithm != alg {
		return errors.New("its algorithm " + alg + " is not that of its key")
	}
	if key.Use != "" && key.Use != "sig" {
		return errors.New("its key is not one that signs")
	}
	payload, err := o.jws.Verify(key)
	if err != nil {
		return err
	}
	return json.Unmarshal(payload, into)
}

// window checks when a token is good (RFC 7519 §4.1.4 to §4.1.6). One without an end is not.
func window(now time.Time, expires, notBefore, issued *jwt.NumericDate) error {
	switch {
	case expires == nil:
		return errors.New("it has no exp")
	case !now.Before(expires.Time().Add(leeway)):
		return errExpired
	case notBefore != nil && now.Add(leeway).Before(notBefore.Time()):
		return errors.New("it is not good yet")
	case issued != nil && now.Add(leeway).Before(issued.Time()):
		return errors.New("it was issued in the future")
	}
	return nil
}

var errExpired = errors.New("it has expired")

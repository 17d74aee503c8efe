// Package seal encrypts the private keys that lie in the database, so that who reads the database, or a backup of it, has none of them.
//
// Promise. What was sealed opens with the same secret, for the same purpose and under the same name, and not otherwise: AES-256-GCM (NIST SP 800-38D) with a key that
// HKDF-SHA-256 (RFC 5869) makes of the secret and the purpose, and the name as additional data.
//
// Cost. Some microseconds a key; nothing is read or kept.
//
// Failure. A text of another secret, purpose or name, or one that was changed, does not open; there is no telling which it was. Who loses the secret makes new keys.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
)

// Least is the least number of bytes of a secret.
const Least = 16

// Box seals for one purpose. It may be used by many goroutines.
type Box struct{ aead cipher.AEAD }

// New makes the Seal of a secret for a purpose.
func New(secret []byte, purpose string) (*Box, error) {
	if len(secret) < Least {
		return nil, errors.New("the secret that seals private keys has fewer than 16 bytes")
	}
	key, err := hkdf.Key(sha256.New, secret, nil, purpose, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Box{aead}, err
}

// Close seals a text under a name, as unpadded URL-safe base64 of a random nonce and the ciphertext.
func (s *Box) Close(name string, text []byte) string {
	return base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, text, []byte(name)))
}

// Open returns what Close sealed under that name, and whether it could.
func (s *Box) Open(name, sealed string) ([]byte, bool) {
	body, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil {
		return nil, false
	}
	text, err := s.aead.Open(nil, nil, body, []byte(name))
	return text, err == nil
}

package identity

import "context"

// served is the cost of the hashes that a server makes. These tests run argon2id hundreds of times, at a cost of
// microseconds instead: they assert who may sign in and how often argon2id runs, and TestHash_OfAServer_HasTheCostOfOWASP
// the cost of a server.
var served = today

func init() { today = cost{memory: 64, time: 1, lanes: 1} }

// Served is the hash of a password as a server makes it.
func Served(password string) (string, error) {
	salt := make([]byte, saltBytes)
	key, err := newHasher(1).run(context.Background(), normal(password), salt, served, keyBytes)
	return encode(served, salt, key), err
}

// Hashes returns how many argon2id runs there were, and how many at most side by side.
func (s *Service) Hashes() (runs, peak int64) { return s.hasher.runs.Load(), s.hasher.peak.Load() }

// CheapHash is a password's hash of another cost than today's.
func CheapHash(password string) (string, error) {
	c, salt := cost{memory: 32, time: 1, lanes: 1}, make([]byte, saltBytes)
	key, err := newHasher(1).run(context.Background(), normal(password), salt, c, keyBytes)
	return encode(c, salt, key), err
}

// Check is the policy of passwords.
var Check = check

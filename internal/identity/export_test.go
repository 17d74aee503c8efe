package identity

import "context"

// Hashes returns how many argon2id runs there were, and how many at most side by side.
func (s *Service) Hashes() (runs, peak int64) { return s.hasher.runs.Load(), s.hasher.peak.Load() }

// Cheap is a password's hash of another cost than today's.
func Cheap(password string) (string, error) {
	c, salt := cost{memory: 64, time: 1, lanes: 1}, make([]byte, saltBytes)
	key, err := newHasher(1).run(context.Background(), normal(password), salt, c, keyBytes)
	return encode(c, salt, key), err
}

// Check is the policy of passwords.
var Check = check

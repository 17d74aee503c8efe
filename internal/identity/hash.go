package identity

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/argon2"
	"golang.org/x/sync/semaphore"

	"sluice/internal/fault"
)

// cost is how dear one guess is.
type cost struct {
	memory uint32 // KiB
	time   uint32
	lanes  uint8
}

// today is what OWASP's Password Storage Cheat Sheet gives as the least for argon2id: 19 MiB, 2 passes, 1 lane. Hashes of another cost are made anew at the next sign-in.
var today = cost{memory: 19 << 10, time: 2, lanes: 1}

// most bounds what a hash in the database may ask for: it costs memory before anything is known of it.
var most = cost{memory: 256 << 10, time: 16, lanes: 8}

const (
	saltBytes = 16
	keyBytes  = 32
	hashWait  = 20 * time.Second // for a turn
)

// hasher runs argon2id, a few at a time: each run takes 19 MiB, so that without a cap many sign-ins at once would be an outage.
type hasher struct {
	turns *semaphore.Weighted
	held  *semaphore.Weighted // of one
	dummy string

	runs, running, peak atomic.Int64
}

func newHasher(side int) *hasher {
	h := &hasher{turns: semaphore.NewWeighted(int64(side)), held: semaphore.NewWeighted(1)}
	h.dummy = encode(today, make([]byte, saltBytes), make([]byte, keyBytes)) // no password is known to have it
	return h
}

// turn waits for one of the turns. fault.Limited, code "try_later", where none came in time.
func turn(ctx context.Context, of *semaphore.Weighted) error {
	wait, cancel := context.WithTimeout(ctx, hashWait)
	defer cancel()
	err := of.Acquire(wait, 1)
	if err != nil && ctx.Err() == nil {
		return later(hashWait)
	}
	return err
}

// run is one argon2id run. fault.Limited, code "try_later", where no turn came in time.
func (h *hasher) run(ctx context.Context, password string, salt []byte, c cost, length uint32) ([]byte, error) {
	if err := turn(ctx, h.turns); err != nil {
		return nil, err
	}
	defer h.turns.Release(1)
	h.runs.Add(1)
	for now := h.running.Add(1); ; {
		if was := h.peak.Load(); now <= was || h.peak.CompareAndSwap(was, now) {
			break
		}
	}
	defer h.running.Add(-1)
	return argon2.IDKey([]byte(password), salt, c.time, c.memory, c.lanes, length), nil
}

// hash makes the PHC string of a password (github.com/P-H-C/phc-string-format).
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	key, err := h.run(ctx, normal(password), salt, today, keyBytes)
	if err != nil {
		return "", err
	}
	return encode(today, salt, key), nil
}

// compare reports whether a password has a hash, and whether that should be made anew. Without a hash it does the same
// work in vain. Tries that are held by a limit compare one at a time, so that a flood of them takes one turn of the others.
func (h *hasher) compare(ctx context.Context, hash, password string, held bool) (same, stale bool, err error) {
	if held {
		if err := turn(ctx, h.held); err != nil {
			return false, false, err
		}
		defer h.held.Release(1)
	}
	known := hash != ""
	if !known {
		hash = h.dummy
	}
	c, salt, want, err := decode(hash)
	if err != nil {
		return false, false, err
	}
	got, err := h.run(ctx, normal(password), salt, c, uint32(len(want)))
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, c != today, nil
}

func encode(c cost, salt, key []byte) string {
	b := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, c.memory, c.time, c.lanes, b.EncodeToString(salt), b.EncodeToString(key))
}

func decode(hash string) (c cost, salt, key []byte, err error) {
	bad := func(why error) error {
		return fault.New(fault.Internal, "identity.hash", "internal", "Something went wrong on the server; try again, and see the server's log if it goes on.",
			fmt.Errorf("a password's hash can't be read: %w", why))
	}
	parts := strings.Split(hash, "$")
	var version int
	if len(parts) != 6 || parts[1] != "argon2id" {
		return c, nil, nil, bad(fmt.Errorf("it is no argon2id hash"))
	}
	if _, err := fmt.Sscanf(parts[2], "v=%d", &version); err != nil || version != argon2.Version {
		return c, nil, nil, bad(fmt.Errorf("its version is not %d", argon2.Version))
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &c.memory, &c.time, &c.lanes); err != nil {
		return c, nil, nil, bad(err)
	}
	if c.memory > most.memory || c.time < 1 || c.time > most.time || c.lanes < 1 || c.lanes > most.lanes {
		return c, nil, nil, bad(fmt.Errorf("its cost is out of bounds"))
	}
	if salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err == nil {
		key, err = base64.RawStdEncoding.DecodeString(parts[5])
	}
	if err != nil || len(key) < 16 || len(key) > 128 {
		return c, nil, nil, bad(fmt.Errorf("its salt or key is not base64 of a fit length"))
	}
	return c, salt, key, nil
}

package signing

import (
	"time"

	"sluice/internal/fault"
)

// Purpose is what a key pair signs.
type Purpose string

// The purposes.
const (
	ForPlayback Purpose = "playback" // grants of whoever has the private key; opens what is signed
	ForMembers  Purpose = "members"  // grants that the server gave to somebody who may see the video; opens what is for members too. Its private key never leaves the server
)

// Record is a key pair as a store keeps it.
type Record struct {
	ID         string
	Purpose    Purpose
	Workspaces []string // as in KeyPair
	Algorithm  Algorithm
	Hash       Hash
	Public     string // PKIX PEM
	Sealed     string // the private key, encrypted by who keeps it; empty where others have it
	CreatedAt  time.Time
	RetiringAt time.Time // zero: no such plan
	RetiredAt  time.Time // zero: no such plan
}

// Record is what a store keeps of k, but for what seals its private key.
func (k KeyPair) Record(p Purpose) (Record, error) {
	public, err := k.PublicPEM()
	return Record{ID: k.ID, Purpose: p, Algorithm: k.Algorithm, Hash: k.Hash, Public: string(public),
		Workspaces: k.Workspaces, CreatedAt: k.CreatedAt, RetiringAt: k.RetiringAt, RetiredAt: k.RetiredAt}, err
}

// State is the key pair's at a time.
func (r Record) State(now time.Time) State {
	return KeyPair{RetiringAt: r.RetiringAt, RetiredAt: r.RetiredAt}.State(now)
}

// KeyPair reads a record back. private is the PEM of its private key, empty where there is none at hand: then it verifies, and signs nothing.
func (r Record) KeyPair(private []byte) (k KeyPair, err error) {
	if len(private) == 0 {
		k, err = ImportPublic([]byte(r.Public), r.ID, r.CreatedAt)
	} else {
		k, err = Import(private, r.ID, r.Hash, r.CreatedAt)
	}
	if err != nil {
		return KeyPair{}, fault.New(fault.Internal, "signing.record", "key_unreadable", "A stored key pair can't be read; restore the records from a backup, or remove it.", err)
	}
	k.Hash, k.RetiringAt, k.RetiredAt, k.Workspaces = r.Hash, r.RetiringAt, r.RetiredAt, r.Workspaces
	return k, nil
}

package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"sluice/internal/account"
	"sluice/internal/grant"
	"sluice/internal/signing"
)

// KeyPairs is what the key pair routes need.
type KeyPairs interface {
	// List returns all key pairs, the oldest first.
	List(ctx context.Context) ([]signing.Record, error)
	// Add makes a key pair, or takes one.
	Add(ctx context.Context, n grant.NewKeyPair) (signing.Record, error)
	// Retire has one sign no more from now on, and open nothing after a time. fault.NotFound for none.
	Retire(ctx context.Context, id string, after time.Duration) (signing.Record, error)
	// Remove removes one that is retired. fault.Conflict where it is not yet.
	Remove(ctx context.Context, id string) error
}

// KeyPairRequest asks for a key pair: one that is made here, or one that is brought.
type KeyPairRequest struct {
	Algorithm string `json:"algorithm,omitempty" enum:"rsa-2048,ecdsa-p256" example:"ecdsa-p256" doc:"Of one that is made here. Absent: ecdsa-p256, whose signatures are a quarter as long; rsa-2048 is for clients that know nothing else"`
	Hash      string `json:"hash,omitempty" enum:"SHA1,SHA256" example:"SHA256" doc:"What it signs with. Absent: SHA256; SHA1 is CloudFront's classic form. Both are verified"`
	PEM       string `json:"pem,omitempty" maxLength:"16384" example:"-----BEGIN PUBLIC KEY-----" doc:"A key of yours that is brought: RSA with 2048 bits or ECDSA on P-256, as one PEM block. A private key is kept sealed and never shown again; with a public one you sign elsewhere, and Sluice only verifies. Absent: a key pair is made"`
	ID        string `json:"id,omitempty" maxLength:"128" example:"K2JCJMDEHXQW5F" doc:"The id that CloudFront gave to the key that is brought. Absent: made from the key"`
	Replaces  string `json:"replaces,omitempty" maxLength:"128" example:"K36X4X2EO997HM" doc:"Id of a key pair that is to be retired in favour of this one: it signs for one more minute, until every edge knows the new one, and what it signed is good for after seconds more"`
	After     int64  `json:"after,omitempty" minimum:"0" maximum:"31536000" example:"604800" doc:"Seconds. Absent: the longest time that a grant may be asked for"`
}

// KeyPair is one key pair, without its private key.
type KeyPair struct {
	ID          string   `json:"id" example:"K2JCJMDEHXQW5F" doc:"What signatures name it by (Key-Pair-Id)"`
	Purpose     string   `json:"purpose" enum:"playback,members" example:"playback" doc:"playback: what it signs opens signed videos; members: made by the server for grants to those who may see a video, used for nothing else"`
	Workspaces  []string `json:"workspaces,omitempty" example:"[\"main\"]" doc:"Of members: all that it opens. Absent: everything"`
	Algorithm   string   `json:"algorithm" enum:"rsa-2048,ecdsa-p256" example:"ecdsa-p256" doc:"Kind of the key"`
	Hash        string   `json:"hash" enum:"SHA1,SHA256" example:"SHA256" doc:"What it signs with"`
	Signs       bool     `json:"signs" example:"true" doc:"Whether its private key is here; else it only verifies"`
	State       string   `json:"state" enum:"active,retiring,retired" example:"active" doc:"active: signs and verifies; retiring: verifies what it signed; retired: what it signed is refused"`
	Public      string   `json:"public,omitempty" example:"-----BEGIN PUBLIC KEY-----" doc:"The public key as PEM, as CloudFront takes it; absent for members, whose signatures are for Sluice's own edges"`
	Fingerprint string   `json:"fingerprint" example:"9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab" doc:"SHA-256 of the public key (PKIX DER), in hexadecimal digits"`
	Created     Time     `json:"created" doc:"When it was made or brought"`
	Retiring    Time     `json:"retiring,omitzero" doc:"From when on it signs no more; absent while there is no such plan"`
	Retired     Time     `json:"retired,omitzero" doc:"From when on what it signed is refused; absent while there is no such plan"`
}

// KeyPairList is all key pairs.
type KeyPairList struct {
	Items []KeyPair `json:"items" doc:"The oldest first"`
}

// RetireRequest says for how long what a key pair has signed stays good.
type RetireRequest struct {
	After *int64 `json:"after,omitempty" minimum:"0" maximum:"31536000" example:"604800" doc:"Seconds; 0 ends it at once, at every edge within a minute. Absent: the longest time that a grant may be asked for"`
}

type keyPairInput struct {
	ID string `path:"id" maxLength:"128" example:"K2JCJMDEHXQW5F" doc:"The key pair's id"`
}

type addKeyPairInput struct {
	Body KeyPairRequest
}

type retireInput struct {
	ID   string `path:"id" maxLength:"128" example:"K2JCJMDEHXQW5F" doc:"The key pair's id"`
	Body *RetireRequest
}

type keyPairOutput struct {
	Body KeyPair
}

type keyPairsOutput struct {
	Body KeyPairList
}

func (s *service) routeKeyPairs() {
	tags := []string{"playback"}
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "listKeyPairs", Method: http.MethodGet, Path: "/v1/key-pairs", Tags: tags,
		Summary: "List the key pairs that playback is signed with", Description: "Private keys are never shown."}, nil, s.keyPairs)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "addKeyPair", Method: http.MethodPost, Path: "/v1/key-pairs", Tags: tags,
		Summary:       "Make a key pair, or bring one; and retire another in its favour",
		Description:   "A new key pair signs as soon as every edge has read it, within a minute; until then the one before does. Where there is none, the first grant makes one.",
		DefaultStatus: http.StatusCreated, MaxBodyBytes: 64 << 10},
		problems{http.StatusNotFound: {codeNoKeyPair}, http.StatusConflict: {"key_id_taken", "key_ends_earlier", "too_many_key_pairs"},
			http.StatusUnprocessableEntity: {"key_malformed", "key_unsupported", "key_encrypted", "key_bad_id"}}, s.addKeyPair)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "retireKeyPair", Method: http.MethodPost, Path: "/v1/key-pairs/{id}/retire", Tags: tags,
		Summary:     "Have a key pair sign no more, and what it signed end after a time",
		Description: "An end can be brought forward and not put off. The body may be left out.", MaxBodyBytes: smallBody},
		problems{http.StatusNotFound: {codeNoKeyPair}, http.StatusConflict: {"key_ends_earlier"}}, s.retireKeyPair)
	route(s, needs(account.UsersAdmin), huma.Operation{OperationID: "removeKeyPair", Method: http.MethodDelete, Path: "/v1/key-pairs/{id}", Tags: tags,
		Summary: "Remove a key pair that is retired", DefaultStatus: http.StatusNoContent},
		problems{http.StatusNotFound: {codeNoKeyPair}, http.StatusConflict: {"key_not_retired"}}, s.removeKeyPair)
}

func (s *service) keyPairs(ctx context.Context, _ *struct{}) (*keyPairsOutput, error) {
	all, err := s.KeyPairs.List(ctx)
	if err != nil {
		return nil, err
	}
	list := KeyPairList{Items: make([]KeyPair, 0, len(all))}
	for _, one := range all {
		list.Items = append(list.Items, s.keyPair(one))
	}
	return &keyPairsOutput{Body: list}, nil
}

func (s *service) addKeyPair(ctx context.Context, in *addKeyPairInput) (*keyPairOutput, error) {
	b := in.Body
	n := grant.NewKeyPair{Algorithm: signing.Algorithm(b.Algorithm), Hash: signing.Hash(b.Hash), PEM: []byte(b.PEM), ID: b.ID, Replaces: b.Replaces,
		After: time.Duration(b.After) * time.Second}
	switch {
	case b.PEM != "" && b.Algorithm != "":
		return nil, invalid(codeInvalid, "body.algorithm", "expected none beside pem: the key says its own")
	case b.PEM == "" && b.ID != "":
		return nil, invalid(codeInvalid, "body.id", "expected none without pem: one that is made here has an id made from its key")
	case b.Replaces == "" && b.After != 0:
		return nil, invalid(codeInvalid, "body.after", "expected none without replaces")
	}
	if n.Algorithm == "" {
		n.Algorithm = signing.ECDSAP256
	}
	if n.Hash == "" {
		n.Hash = signing.SHA256
	}
	if b.After == 0 {
		n.After = s.LongestGrant
	}
	made, err := s.KeyPairs.Add(ctx, n)
	if err != nil {
		return nil, err
	}
	return &keyPairOutput{Body: s.keyPair(made)}, nil
}

func (s *service) retireKeyPair(ctx context.Context, in *retireInput) (*keyPairOutput, error) {
	after := s.LongestGrant
	if in.Body != nil && in.Body.After != nil {
		after = time.Duration(*in.Body.After) * time.Second
	}
	r, err := s.KeyPairs.Retire(ctx, in.ID, after)
	if err != nil {
		return nil, err
	}
	return &keyPairOutput{Body: s.keyPair(r)}, nil
}

func (s *service) removeKeyPair(ctx context.Context, in *keyPairInput) (*struct{}, error) {
	return nil, s.KeyPairs.Remove(ctx, in.ID)
}

func (s *service) keyPair(r signing.Record) KeyPair {
	out := KeyPair{ID: r.ID, Purpose: string(r.Purpose), Workspaces: r.Workspaces, Algorithm: string(r.Algorithm), Hash: string(r.Hash), Signs: r.Sealed != "",
		State: string(r.State(s.Now())), Created: Time(r.CreatedAt), Retiring: Time(r.RetiringAt), Retired: Time(r.RetiredAt)}
	if k, err := r.KeyPair(nil); err == nil {
		out.Fingerprint = k.Fingerprint()
	}
	if r.Purpose == signing.ForPlayback {
		out.Public = r.Public
	}
	return out
}

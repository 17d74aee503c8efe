package delivery

import (
	"net/http"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// Refusals, made once: an attacker can cause many.
var (
	errMembers = refusal("members_only", "This video is for members: sign in, or ask the server for a grant; signatures of key pairs don't open it.")
	errRevoked = refusal("playback_revoked", "This address was withdrawn; ask for another.")
	errOrigin  = refusal("playback_wrong_origin", "This video may not be played on this page; ask its owner to allow the page's origin.")
	errCapped  = refusal("over_max_resolution", "This resolution isn't part of what you may watch; use one that the playlist lists.")
)

func refusal(code, message string) error {
	return fault.New(fault.Forbidden, "delivery.admit", code, message, nil)
}

// request is a request on its way.
type request struct {
	target
	watched
	path       signing.Path
	credential signing.Credential // of its query
	query      string             // without the credential
	rights
}

// rights are what a request has proven.
type rights struct {
	shared bool      // what it gets may be kept for everyone: nobody had to prove anything, or a CDN has
	until  time.Time // when the rights end; zero for no known end
	grant  *grant    // the signature of its query that was verified; nil for every other proof
	ring   ring      // that it was verified with
}

// arrive reads what is asked for: the path in its one spelling, and the signature apart from the query, before anything is looked up.
func (e *edge) arrive(r *http.Request) (*request, error) {
	path, err := signing.Normalize(r.URL.EscapedPath())
	if err != nil {
		return nil, missing(nil)
	}
	t, ok := parse(path)
	if !ok {
		return nil, missing(nil)
	}
	v := &request{target: t, path: path}
	if v.credential, v.query, err = signing.FromQuery(r.URL.RawQuery); err != nil {
		return nil, err
	}
	v.watched, err = e.gate.get(r.Context(), t.generation)
	return v, err
}

// admit decides whether a request may have what it asks for. What is unknown is treated as a signed video that nobody has anything to do with, so that only
// who could see it learns that it isn't there.
func (e *edge) admit(r *http.Request, v *request) (err error) {
	if v.rights, err = e.prove(r, v); err != nil {
		return err
	}
	if v.Revoked {
		return errRevoked
	}
	if !e.pageMay(r, v.Playback) {
		return errOrigin
	}
	if !v.served {
		return missing(nil)
	}
	return nil
}

// prove finds the one proof that counts: that a CDN vouches, the signature in the address, the Authorization header, the signed cookies, or a session. The
// first that is there decides, but for cookies, which browsers send unasked: where theirs aren't good, a session still may be.
func (e *edge) prove(r *http.Request, v *request) (rights, error) {
	if v.Policy == video.Public {
		return rights{shared: len(v.Origins) == 0}, nil
	}
	// What a CDN knows of signatures is key pairs of users, which don't open what is for members.
	vouched := v.Policy != video.Members && e.fromTrustedCDN(r)
	if v.credential != (signing.Credential{}) {
		proven, err := e.verify(r, v, v.credential, true)
		proven.shared = vouched
		return proven, err
	}
	if vouched {
		return rights{shared: true}, nil
	}
	if len(r.Header["Authorization"]) > 0 {
		return e.look(r, v, signing.Missing())
	}
	c, err := signing.FromCookies(r.Header["Cookie"])
	if err == nil && c != (signing.Credential{}) {
		var proven rights
		if proven, err = e.verify(r, v, c, false); err == nil {
			return proven, nil
		}
	}
	if err == nil {
		err = signing.Missing()
	}
	return e.look(r, v, err)
}

// verify has a signature's rights.
func (e *edge) verify(r *http.Request, v *request, c signing.Credential, inQuery bool) (rights, error) {
	scheme, host := e.address(r)
	g, known, err := e.keys.verify(r.Context(), c, &signing.Request{
		Scheme: scheme, Host: host, Path: v.path, Query: v.query, Client: ClientAddress(r, e.Proxies), Now: e.Now(), Workspace: v.Workspace,
	})
	if err != nil {
		return rights{}, err
	}
	if v.Policy == video.Members && !known.internal[g.KeyPairID()] {
		return rights{}, errMembers
	}
	proven := rights{until: g.Policy().Expires, ring: known}
	if inQuery {
		proven.grant = g
	}
	return proven, nil
}

// look has the rights of who asks; otherwise is the refusal of a request that says nobody.
func (e *edge) look(r *http.Request, v *request, otherwise error) (rights, error) {
	who, known, err := e.viewers.who(r, e.Viewer, e.Now())
	switch {
	case err != nil:
		return rights{}, err
	case !known:
		return rights{}, otherwise
	case !who.MaySee(account.Subject{Owner: v.Owner, Workspace: v.Workspace, Ready: v.Ready}):
		return rights{}, missing(nil) // what lies outside somebody's reach is not there
	}
	return rights{until: e.Now().Add(lookedFor)}, nil
}

// lookedFor is how long a browser may keep what somebody got by being who they are: it ends when they sign out.
const lookedFor = time.Minute

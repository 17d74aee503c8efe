package delivery

import (
	"net/http"
	"net/url"

	"sluice/internal/fault"
)

// A trusted cache that can't check signatures asks before it serves what it keeps (nginx: auth_request). It names what it was asked for in these headers, and sends
// along the headers of its client.
const (
	verifyPath     = edgeRoot + "verify"
	originalURI    = "X-Original-URI"    // path and query, as they came
	originalMethod = "X-Original-Method" // absent: GET
)

// verifyFor says whether a CDN's client may have what it asks for: 204 or 403, and 401 where an access token is no good. The CORS headers are those of the answer. Nothing is vouched for here: the
// secret, or the certificate, proves who asks, not that its client may. To anybody else there is no such address.
func (e *edge) verifyFor(w http.ResponseWriter, r *http.Request) {
	if !e.fromTrustedCDN(r) {
		e.share(w.Header(), r, nil)
		e.fail(w, r, missing(nil))
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if m := r.Header.Get(originalMethod); m != "" && m != http.MethodGet && m != http.MethodHead {
		w.WriteHeader(http.StatusNoContent) // the edge answers these itself, and they tell nothing
		return
	}
	v, err := e.permits(r)
	e.share(w.Header(), r, v) // what it keeps was for another page
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Invalid):
		w.WriteHeader(http.StatusForbidden) // who asks knows three answers; the edge says the true one to the client
	default:
		e.fail(w, r, err)
	}
}

// permits decides about the request that a CDN tells of.
func (e *edge) permits(r *http.Request) (*request, error) {
	lines := r.Header.Values(originalURI)
	if len(lines) != 1 {
		return nil, missing(nil)
	}
	u, err := url.ParseRequestURI(lines[0])
	if err != nil || u.Host != "" {
		return nil, missing(nil)
	}
	asked := r.Clone(r.Context())
	asked.URL = u
	asked.Header.Del(e.CDN.Header)
	asked.TLS = nil // the connection is the CDN's, and what it asks about is its client's
	v, err := e.arrive(asked)
	if err == nil {
		err = e.admit(asked, v)
	}
	if err == nil {
		err = e.within(r.Context(), v)
	}
	return v, err
}

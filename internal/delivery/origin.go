package delivery

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"sluice/internal/signing"
	"sluice/internal/video"
)

// CDN is how the edge knows that a request comes from a CDN which has checked it: by a secret in a header, or by the certificate of its connection. The zero CDN is none.
type CDN struct {
	Header  string   // that carries a secret
	Secrets []string // each is good, so that they can be changed one after the other
	// Certificate says whether a connection is a CDN's, by what its client has proven; nil where none is.
	Certificate func(*tls.ConnectionState) bool
}

// address is the scheme and host that a signature has to be for: the edge's own, whatever the client calls it, unless that is another one of its names.
func (e *edge) address(r *http.Request) (scheme, host string) {
	for _, a := range e.addresses[min(1, len(e.addresses)):] {
		if signing.CanonicalHost(a.Scheme, r.Host) == a.Host {
			return a.Scheme, a.Host
		}
	}
	if len(e.addresses) == 0 {
		return "", ""
	}
	return e.addresses[0].Scheme, e.addresses[0].Host
}

// fromTrustedCDN reports whether a CDN that is trusted has sent a request, and answers for it. Where the header comes along, it alone decides: so a CDN whose connections all have its certificate says
// of a request that it has not checked it.
func (e *edge) fromTrustedCDN(r *http.Request) bool {
	given := r.Header.Values(e.CDN.Header)
	if len(given) == 0 {
		return e.CDN.Certificate != nil && e.CDN.Certificate(r.TLS)
	}
	if len(given) != 1 {
		return false
	}
	// Hashed, so that lengths are equal; all are compared, so that it takes the same time whichever fits.
	sum, fits := sha256.Sum256([]byte(given[0])), 0
	for _, secret := range e.secrets {
		fits |= subtle.ConstantTimeCompare(sum[:], secret[:])
	}
	return fits == 1
}

// ClientAddress is the address of the client: the peer's, or what trusted proxies say before it, from the right on. What a client itself wrote to the left is
// not believed, and neither is what can't be read. It is invalid where the peer has none.
func ClientAddress(r *http.Request, proxies []netip.Prefix) netip.Addr {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	at, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}
	}
	at = at.Unmap()
	trusted := func(p netip.Prefix) bool { return p.Contains(at) }
	if !slices.ContainsFunc(proxies, trusted) {
		return at
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		before, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil || !slices.ContainsFunc(proxies, trusted) {
			return at
		}
		at = before.Unmap()
	}
	return at
}

// pageMay reports whether the page that a request comes from may play p. Only browsers tell, so this binds pages and not programs: a request that names no page
// is one of no page, unless its browser says that it is.
func (e *edge) pageMay(r *http.Request, p video.Playback) bool {
	if len(p.Origins) == 0 {
		return true
	}
	origin := r.Header.Get("Origin")
	if origin == "" {
		if from, err := url.Parse(r.Header.Get("Referer")); err == nil && from.Host != "" {
			origin = from.Scheme + "://" + from.Host
		}
	}
	if origin == "" {
		site := r.Header.Get("Sec-Fetch-Site")
		return site != "cross-site" && site != "same-site"
	}
	return slices.Contains(p.Origins, origin) || slices.Contains(e.Pages, origin)
}

// Values of headers, made once.
var (
	exposed     = []string{"Accept-Ranges, Content-Length, Content-Range, ETag"}
	crossOrigin = []string{"cross-origin"}
	noSniff     = []string{"nosniff"}
	noReferrer  = []string{"no-referrer"}
	everyOrigin = []string{"*"}
	byOrigin    = []string{"Origin"}
)

// share says which pages may read the answer (https://fetch.spec.whatwg.org/#http-cors-protocol): every one where nothing depends on who asks; else those
// that are allowed, by name, and with cookies. It is set on refusals too, which players have to read.
func (e *edge) share(h http.Header, r *http.Request, v *request) {
	h["Access-Control-Expose-Headers"], h["Cross-Origin-Resource-Policy"] = exposed, crossOrigin
	h["X-Content-Type-Options"], h["Referrer-Policy"] = noSniff, noReferrer
	if v == nil || v.Policy == video.Public && len(v.Origins) == 0 {
		h["Access-Control-Allow-Origin"], h["Timing-Allow-Origin"] = everyOrigin, everyOrigin
		return
	}
	h["Vary"] = byOrigin
	origin := r.Header.Get("Origin")
	allowed := e.Origins
	if len(v.Origins) > 0 {
		allowed = v.Origins
	}
	if origin == "" || !slices.Contains(allowed, origin) && !slices.Contains(e.Pages, origin) {
		if slices.Contains(allowed, "*") {
			h.Set("Access-Control-Allow-Origin", "*") // browsers take this for requests without cookies alone
		}
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Timing-Allow-Origin", origin)
}

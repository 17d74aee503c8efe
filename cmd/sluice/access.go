package main

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"

	"golang.org/x/time/rate"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// Authenticator turns one kind of credentials into who asks.
type Authenticator interface {
	// Authenticate returns ok false where a request has no credentials of this kind. An error says that it has, and that they are not good (Unauthorized), or
	// can't be looked at now (any other kind).
	Authenticate(r *http.Request) (p account.Principal, ok bool, err error)
}

// access is who comes in by /v1/, and what is written down of those who don't.
type access struct {
	chain  []Authenticator // the first that knows the credentials decides
	origin *http.CrossOriginProtection
	lines  *rate.Limiter // of the log, about refusals: a flood of them is not to fill it
	unsaid *atomic.Int64 // refusals that no line told
}

const (
	refusalsPerSecond = 5 // lines of the log
	refusalsAtOnce    = 50
)

func newAccess(publicURL string, chain ...Authenticator) (access, error) {
	a := access{chain: chain, origin: http.NewCrossOriginProtection(), lines: rate.NewLimiter(refusalsPerSecond, refusalsAtOnce), unsaid: &atomic.Int64{}}
	// Behind a proxy the Host that a request has may be another than the one that the browser asked for. The pages of cors_origins are not added: they call with a
	// token, never by somebody's cookie.
	u, err := url.Parse(publicURL)
	if err != nil {
		return a, err
	}
	return a, a.origin.AddTrustedOrigin(u.Scheme + "://" + u.Host)
}

// adminBearer knows the admin token.
type adminBearer struct{ token string }

// Authenticate implements Authenticator. A token that is another one may be of another kind.
func (b adminBearer) Authenticate(r *http.Request) (account.Principal, bool, error) {
	token, ok := bearerOf(r)
	if !ok || !sameSecret(b.token, token) {
		return account.Principal{}, false, nil
	}
	return account.Operator(), true, nil
}

// bearerOf is the token of a request (RFC 6750 §2.1; the scheme's name has no case, RFC 9110 §11.1).
func bearerOf(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// identified puts who asks into the context. Nobody comes in too: each operation says whether it needs somebody. A request with an Authorization header is
// judged by that alone, and its cookies are dropped; one whose header is no good is refused. One without it may be a browser's, which sends cookies
// whatever page makes it ask: it changes nothing unless it comes from our own pages, and where it names another page its cookies are dropped. A cookie that is no
// good any more is as none.
func (a *App) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := r.Header.Values("Authorization")
		if len(header) > 0 {
			r.Header.Del("Cookie")
		} else if err := a.access.origin.Check(r); err != nil {
			a.refuse(w, r, fault.New(fault.Forbidden, "access.origin", "cross_site",
				"A page of another origin sent this; use this server's own pages, or send a token as 'Authorization: Bearer …'.", err))
			return
		} else if a.access.foreign(r) {
			r.Header.Del("Cookie")
		}
		who, ok, err := a.access.who(r)
		switch {
		case err != nil && !fault.Is(err, fault.Unauthorized):
			a.refuse(w, r, err)
		case len(header) > 1, len(header) == 1 && (err != nil || !ok):
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice", error="invalid_token"`)
			if err == nil {
				err = errToken()
			}
			a.refuse(w, r, err)
		case err != nil || !ok:
			next.ServeHTTP(w, r)
		default:
			next.ServeHTTP(w, r.WithContext(account.With(r.Context(), who)))
		}
	})
}

// foreign reports whether a browser says that a page of another origin asks, and may read the answer if it is let.
func (a access) foreign(r *http.Request) bool {
	if r.Header.Get("Origin") == "" {
		return false
	}
	changes := &http.Request{Method: http.MethodPost, Host: r.Host, URL: r.URL, Header: r.Header} // reads are checked as little as that
	return a.origin.Check(changes) != nil
}

// errToken is the refusal of an Authorization header.
func errToken() error {
	return fault.New(fault.Unauthorized, "access.token", "unauthorized",
		"The Authorization header has no token that is good here; send one as 'Authorization: Bearer …'. The admin token is in admin.token in the server's data folder.", nil)
}

// who asks the authenticators, one after the other.
func (a access) who(r *http.Request) (p account.Principal, ok bool, err error) {
	for _, one := range a.chain {
		if p, ok, err = one.Authenticate(r); ok || err != nil {
			return p, ok && err == nil, err
		}
	}
	return account.Principal{}, false, nil
}

// refuse answers with err and writes that down.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, err error) {
	a.refused(r.Context(), "", err)
	fault.Write(w, err)
}

// asking is what the log tells of a request that was refused: no header, no query and no body, where secrets are.
type asking struct{ method, path, from string }

// noted keeps what the log would tell of a request.
func noted(r *http.Request, proxies []netip.Prefix) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), askingKey{}, asking{method: r.Method, path: r.URL.Path, from: clientAddress(r, proxies)}))
}

type askingKey struct{}

const longestTold = 200 // characters of a client's text in a line of the log

// refused writes down that a request may not be made. operation is empty where it is not known.
func (a *App) refused(ctx context.Context, operation string, err error) {
	if !a.access.lines.Allow() {
		a.access.unsaid.Add(1)
		return
	}
	of, _ := ctx.Value(askingKey{}).(asking)
	who, _ := account.From(ctx)
	e := fault.Of(err)
	line := []any{"status", e.Kind.Status(), "code", e.Code, "method", printable(of.method, longestTold), "path", printable(of.path, longestTold), "from", of.from}
	if operation != "" {
		line = append(line, "operation", operation)
	}
	if who.ID != "" {
		line = append(line, "who", who.ID)
	}
	if n := a.access.unsaid.Swap(0); n > 0 {
		line = append(line, "refused_before_without_a_line", n)
	}
	a.log.InfoContext(ctx, "request refused", line...)
}

// Values of headers, made once: they are on every answer.
var (
	noSniff    = []string{"nosniff"}
	inert      = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	watchable  = []string{"default-src 'none'; media-src 'self'; frame-ancestors 'none'"}
	sameOrigin = []string{"same-origin"}
)

// playing puts on answers below /stream/ what a browser needs to play the manifest that it opened as a document: its own
// player loads media from the manifest's origin, and a sandbox gives the document an origin that matches no source.
// Scripts stay forbidden, and no answer there is a document of another kind: Content-Type is set and not sniffed.
func playing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Security-Policy"] = watchable
		next.ServeHTTP(w, r)
	})
}

// hardened puts on every answer what a browser is to heed. The page's own policy takes the place of the one here, which lets a document do nothing: what
// an S3 client put, and opens in a browser by a presigned address, is not to act in this origin.
func (a *App) hardened(next http.Handler) http.Handler {
	secure := strings.HasPrefix(a.settings.PublicURL, "https://")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["X-Content-Type-Options"], h["Content-Security-Policy"], h["Referrer-Policy"] = noSniff, inert, sameOrigin
		if secure {
			h.Set("Strict-Transport-Security", "max-age=31536000") // RFC 6797 §6.1; without subdomains: they may be others' servers
		}
		if !r.ProtoAtLeast(1, 1) {
			h.Set("Connection", "close") // RFC 9112 §6.1: a Transfer-Encoding of HTTP/1.0, which net/http drops unseen, is a faulty frame
		}
		next.ServeHTTP(w, r)
	})
}

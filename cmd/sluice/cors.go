package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"
)

// Pages of other origins call the API with a token. What they send and read, beside what every page may (https://fetch.spec.whatwg.org/#http-cors-protocol).
var (
	sharedMethods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete}
	sharedSends   = []string{"Authorization", "Content-Type"}
	sharedReads   = []string{"Allow", "Location", "Retry-After", "WWW-Authenticate"}
)

const sharedFor = 10 * 60 // seconds that a browser needn't ask again

// shared lets pages of cors_origins ask what next answers, and read it; "*" are all pages. They prove who asks by a token: a session's cookie counts for our
// own pages alone (identified). Where next gives cookies that open streams, browsers keep them for pages that are named, and for no others.
func (a *App) shared(next http.Handler, givesCookies bool) http.Handler {
	named := slices.DeleteFunc(slices.Clone(a.settings.CORSOrigins), func(o string) bool { return o == "*" })
	isNamed := func(origin string) bool { return slices.Contains(named, origin) }
	rules := cors.Options{AllowedMethods: sharedMethods, AllowedHeaders: sharedSends, ExposedHeaders: sharedReads, MaxAge: sharedFor}
	rules.AllowOriginFunc, rules.AllowCredentials = isNamed, givesCookies
	byName := cors.New(rules).Handler(next)
	if len(named) == len(a.settings.CORSOrigins) {
		return byName
	}
	rules.AllowOriginFunc, rules.AllowCredentials, rules.AllowedOrigins = nil, false, []string{"*"}
	all := cors.New(rules).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isNamed(r.Header.Get("Origin")) {
			byName.ServeHTTP(w, r)
			return
		}
		w.Header().Add("Vary", "Origin")
		all.ServeHTTP(w, r)
	})
}

// checkOrigin refuses what no browser sends as an Origin (RFC 6454 §6.2), so that nobody waits for a page that is never let in.
func checkOrigin(text string) error {
	if text == "*" {
		return nil
	}
	u, err := url.Parse(text)
	usual := map[string]string{"http": "80", "https": "443"}
	if err != nil || usual[u.Scheme] == "" || u.Hostname() == "" || text != u.Scheme+"://"+u.Host {
		return fmt.Errorf("cors_origins has %q; use * or an origin such as https://example.com: http or https, a host and perhaps a port, and nothing after it", text)
	}
	host := u.Hostname()
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if port := u.Port(); port != "" && port != usual[u.Scheme] {
		host = net.JoinHostPort(u.Hostname(), port)
	}
	if spelled := u.Scheme + "://" + strings.ToLower(host); spelled != text || strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' }) {
		return fmt.Errorf("cors_origins has %q, and browsers write origins in lower case, without the usual port and in ASCII; write %s", text, spelled)
	}
	return nil
}

package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"sluice/internal/api"
	"sluice/internal/delivery"
	"sluice/internal/grant"
)

// Grants bounds how long what lets people watch is good.
type Grants struct {
	Expiry  time.Duration `help:"How long a grant to watch is good that is asked for without a time; one of a video for its length more." default:"12h" env:"EXPIRY"`
	Longest time.Duration `help:"How long a grant may be asked for." default:"168h" env:"LONGEST"`
	Members time.Duration `help:"How long a grant is good at most for what members alone may watch, and for everything at once: who is no member any more goes on that long. One of a video is good for its length more." default:"1h" env:"MEMBERS"`
}

// CookieRules are the attributes of the cookies that grants travel in.
type CookieRules struct {
	Domain   string `help:"Domain of the cookies that grants travel in, such as example.com where the API is api.example.com and the edge cdn.example.com. Default: the API's host alone." env:"DOMAIN"`
	Path     string `help:"Path of these cookies. Default: the folder of what the grant opens." env:"PATH"`
	SameSite string `help:"Whether pages of other sites send these cookies: strict, lax or none." default:"lax" enum:"strict,lax,none" env:"SAME_SITE"`
}

func (g Grants) check() error {
	if g.Expiry < time.Minute || g.Members < time.Minute || g.Longest < g.Expiry || g.Longest > 7*24*time.Hour {
		return fmt.Errorf("grants.expiry is %s, grants.longest %s and grants.members %s; use 1m or more, and no more than 168h for grants.longest and than that for grants.expiry", g.Expiry, g.Longest, g.Members)
	}
	return nil
}

// check refuses what a browser would not keep.
func (p CookieRules) check(edge string) error {
	if strings.ContainsFunc(p.Domain, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(";,/:\"\\", r) }) {
		return fmt.Errorf("playback_cookies.domain is %q; use a name such as example.com", p.Domain)
	}
	if p.Path != "" && (p.Path[0] != '/' || strings.ContainsFunc(p.Path, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(";,\"\\", r) })) {
		return fmt.Errorf("playback_cookies.path is %q; use a path such as /stream/", p.Path)
	}
	if p.SameSite == "none" && strings.HasPrefix(edge, "http://") {
		return errors.New("playback_cookies.same_site is none, which browsers take over https alone; set edge_url to an https address")
	}
	return nil
}

// rules are the cookies' attributes, for an API and an edge at these addresses.
func (p CookieRules) rules(public, edge string) api.CookieRules {
	r := api.CookieRules{Domain: strings.TrimPrefix(p.Domain, "."), Path: p.Path, Secure: strings.HasPrefix(edge, "https://"), SameSite: http.SameSiteLaxMode}
	switch p.SameSite {
	case "strict":
		r.SameSite = http.SameSiteStrictMode
	case "none":
		r.SameSite = http.SameSiteNoneMode
	}
	from, to := hostOf(public), hostOf(edge)
	r.Set = from == to && r.Domain == "" || r.Domain != "" && under(from, r.Domain) && under(to, r.Domain)
	return r
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// under reports whether a cookie for a domain goes to a host (RFC 6265 §5.1.3).
func under(host, domain string) bool {
	domain = strings.ToLower(domain)
	return host == domain || strings.HasSuffix(host, "."+domain)
}

// openKeys wires the key pairs that playback is signed with.
func (a *App) openKeys() (err error) {
	a.keyPairs, err = grant.OpenKeys(stageKeyPairs(a.store), a.seal, now, a.log)
	return err
}

// giver decides about grants.
func (a *App) giver() *grant.Service {
	s := a.settings
	return grant.New(grant.Config{Store: stageGrants(a.store), Keys: a.keyPairs, EdgeURL: s.EdgeURL, Address: delivery.URL,
		Usual: s.Grants.Expiry, Longest: s.Grants.Longest, Members: s.Grants.Members, Now: now})
}

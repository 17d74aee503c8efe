package main

import (
	"fmt"
	"net"
	"net/http"
	"net/url"

	"sluice/internal/account"
	"sluice/internal/delivery"
	"sluice/internal/fault"
)

// CDN says how a CDN in front proves that a request is its own, and how it is told to drop copies.
type CDN struct {
	Header string   `help:"Header in which the CDN sends a secret." default:"X-Origin-Secret" env:"HEADER"`
	Secret []Secret `help:"Secrets of that header, each good: what comes with one is not asked for a signature, because the CDN has checked it. Two while one is changed." env:"SECRET" placeholder:"SECRET"`
	// A CDN's certificate does what the secret does; cmd/sluice/tls.go.
	ClientCA       string   `name:"client-ca" help:"PEM file of the CAs whose certificates prove that a connection is the CDN's: what comes on it is not asked for a signature, as with a secret. Needs tls.cert." env:"CLIENT_CA" type:"path" placeholder:"FILE"`
	ClientNames    []string `help:"Names of which such a certificate has one, as DNS name or common name. Default: any." env:"CLIENT_NAMES" placeholder:"NAME"`
	ClientRequired bool     `help:"Refuse connections without such a certificate in their handshake; for processes without the role api." env:"CLIENT_REQUIRED"`
	Purge          Purge    `embed:"" prefix:"purge-" envprefix:"PURGE_"`
}

// validateEdge refuses settings of the edge that can't be meant.
func (s *Settings) validateEdge() error {
	for _, a := range s.EdgeAliases {
		if err := checkURL(a); err != nil || a == "" {
			return fmt.Errorf("edge_aliases has %q; use http:// or https:// with a host and nothing after it", a)
		}
	}
	for _, secret := range s.CDN.Secret {
		if len(secret) < leastToken {
			return fmt.Errorf("cdn.secret has one of less than %d characters; use long random ones", leastToken)
		}
	}
	if len(s.CDN.Secret) > 0 && s.CDN.Header == "" {
		return fmt.Errorf("cdn.header is empty; name the header that carries cdn.secret")
	}
	return s.CDN.Purge.check()
}

// openEdge wires what plays.
func (a *App) openEdge() (err error) {
	s := a.settings
	c := delivery.Config{
		Objects: a.objects, Playbacks: a.store, Keys: a.keyPairs, Viewer: a.viewer, MediaBucket: s.S3.MediaBucket,
		Addresses: append([]string{s.EdgeURL}, s.EdgeAliases...), Pages: a.pages(), Proxies: a.proxies(),
		Origins: s.CORSOrigins, CDN: delivery.CDN{Header: s.CDN.Header}, Stall: s.Connections.Stall, Now: now, Logger: a.log,
	}
	if a.certificates != nil && s.CDN.ClientCA != "" {
		c.CDN.Certificate = a.certificates.Trusts
	}
	for _, secret := range s.CDN.Secret {
		c.CDN.Secrets = append(c.CDN.Secrets, string(secret))
	}
	a.edge, err = delivery.New(c)
	return err
}

// viewer is who watches: a header decides alone, as on the API, and a session that is over is none.
func (a *App) viewer(r *http.Request) (account.Principal, bool, error) {
	header := r.Header.Values("Authorization")
	if len(header) > 0 {
		r = r.Clone(r.Context())
		r.Header.Del("Cookie")
	}
	who, ok, err := a.access.who(r)
	if len(header) == 0 && fault.Is(err, fault.Unauthorized) {
		return account.Principal{}, false, nil
	}
	if len(header) > 1 || len(header) == 1 && err == nil && !ok {
		return account.Principal{}, false, errToken()
	}
	return who, ok, err
}

// pages are the origins of the server's own pages. A server on loopback is called by any of its names.
func (a *App) pages() []string {
	var all []string
	if u, err := url.Parse(a.settings.PublicURL); err == nil {
		all = append(all, u.Scheme+"://"+u.Host)
	}
	if at := a.listener.Addr().(*net.TCPAddr); at.IP.IsLoopback() {
		for _, host := range []string{"localhost", "127.0.0.1", "::1"} {
			all = append(all, a.scheme()+"://"+net.JoinHostPort(host, fmt.Sprint(at.Port)))
		}
	}
	return all
}

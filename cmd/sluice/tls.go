package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"sluice/internal/certificate"
	"sluice/internal/delivery"
)

// TLS is that of our own listener.
type TLS struct {
	Cert string `help:"PEM file of the server's certificate, with those between it and its CA. With it the listener speaks TLS alone. Files that change are read anew." env:"CERT" type:"path" placeholder:"FILE"`
	Key  string `help:"PEM file of its private key, without a password." env:"KEY" type:"path" placeholder:"FILE"`
}

// validateTLS refuses settings of TLS that can't be meant.
func (s *Settings) validateTLS() error {
	c := s.CDN
	switch {
	case (s.TLS.Cert == "") != (s.TLS.Key == ""):
		return errors.New("tls.cert and tls.key go together; set both or none")
	case s.TLS.Cert != "" && strings.HasPrefix(s.PublicURL, "http://"):
		return fmt.Errorf("public_url is %q and tls.cert is set; the listener speaks TLS alone: use https://", s.PublicURL)
	case c.ClientCA != "" && s.TLS.Cert == "":
		return errors.New("cdn.client_ca is set and tls.cert is not; certificates are shown over TLS of the server's own: set tls.cert and tls.key")
	case c.ClientCA == "" && (len(c.ClientNames) > 0 || c.ClientRequired):
		return errors.New("cdn.client_names and cdn.client_required belong to cdn.client_ca, which is not set")
	case c.ClientCA != "" && !s.has(roleEdge):
		return errors.New("cdn.client_ca is for processes with the role edge")
	case c.ClientRequired && s.has(roleAPI):
		return errors.New("cdn.client_required would shut people and programs out of the API; set it for processes without the role api")
	case slices.Contains(c.ClientNames, ""):
		return errors.New("cdn.client_names has an empty name; write the names that the CDN's certificate has")
	}
	return nil
}

// openTLS reads the certificates; nil where the listener speaks no TLS.
func (a *App) openTLS() (*certificate.Reloader, error) {
	s := a.settings
	if s.TLS.Cert == "" {
		return nil, nil
	}
	return certificate.Open(certificate.Config{Cert: s.TLS.Cert, Key: s.TLS.Key, ClientCA: s.CDN.ClientCA, Names: s.CDN.ClientNames, Required: s.CDN.ClientRequired, Now: now, Log: a.log})
}

// scheme is how the listener is spoken to.
func (a *App) scheme() string {
	if a.certificates != nil {
		return "https"
	}
	return "http"
}

// listen answers at the listener until the server is shut down.
func (a *App) listen(ctx context.Context, server *http.Server) error {
	if a.certificates == nil {
		return server.Serve(delivery.Listen(a.listener))
	}
	go a.certificates.Watch(ctx, func() {
		if err := a.writeServerFile(); err != nil {
			a.log.Error("other processes of this machine aren't told of the new certificate", "error", err)
		}
	})
	server.TLSConfig = a.certificates.TLS()
	return server.ServeTLS(a.listener, "", "")
}

// ownCertificate is what other processes of this machine are told of: the certificate that they will be shown, in PEM; empty without TLS.
func (a *App) ownCertificate() string {
	if a.certificates == nil {
		return ""
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificates.Leaf().Raw}))
}

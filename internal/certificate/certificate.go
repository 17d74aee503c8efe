// Package certificate is TLS at our own listener: the server's certificate, and those by which a CDN in front shows that it is one.
//
// Promise. Files are read when the server starts, and again whenever they have changed, without a connection being dropped; what is broken then is told, and what was good goes on. Connections are
// TLS 1.2 or newer. Whether a connection is a CDN's is asked for each request, by the files as they are then: a certificate that has expired since, or whose CA was taken out, is no proof any more, not on a connection that is open still, nor on one
// that goes on with an earlier session.
//
// Cost. The files are read every few seconds. A client's certificate is verified once, and then known by its hash, of a bounded number.
//
// Failure. What can't be read, doesn't belong together or has expired stops the start, with a code. A connection without a certificate, or with one that is no good, is an ordinary client's, unless
// certificates are required: then it has no end of its handshake.
package certificate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/fault"
)

// Config says which files there are. All are PEM.
type Config struct {
	Cert, Key string   // the server's certificate, with those between it and its CA, and its private key
	ClientCA  string   // CAs of a CDN's certificates, or such certificates themselves; empty: none is a CDN's
	Names     []string // one of which a CDN's certificate has, as DNS name or common name, none of them empty; none: any will do
	Required  bool     // connections without a CDN's certificate are refused in the handshake
	Now       func() time.Time
	Log       *slog.Logger
}

// look is how often the files are read.
const look = 5 * time.Second

// Reloader keeps what the files say.
type Reloader struct {
	Config

	mu      sync.Mutex
	read    [3][]byte // the files, as they were last looked at
	config  *tls.Config
	roots   *x509.CertPool // nil where no certificate is a CDN's
	checked map[[sha256.Size]byte]verdict
}

// verdict is what is known of a certificate.
type verdict struct {
	good  bool
	until time.Time
}

const (
	checkedKept = 64          // certificates that are known: a CDN has few
	doubtedFor  = time.Minute // how long one that is no good is not looked at again
)

// Open reads the files. Its errors are fault.Invalid: tls_unreadable, tls_mismatched, tls_expired, client_ca_unreadable.
func Open(c Config) (*Reloader, error) {
	k := &Reloader{Config: c}
	read, err := k.files()
	if err == nil {
		err = k.take(read)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// Watch looks whether the files have changed, until ctx is done. It tells changed of each change that is good.
func (k *Reloader) Watch(ctx context.Context, changed func()) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if k.Look() {
				changed()
			}
		}
	}
}

// Look reads the files once, and reports whether they have changed and what they say is good. What is not is logged, once for each change.
func (k *Reloader) Look() bool {
	read, err := k.files()
	k.mu.Lock()
	same := slices.EqualFunc(read[:], k.read[:], bytes.Equal)
	k.mu.Unlock()
	if same {
		return false
	}
	if err == nil {
		err = k.take(read)
	}
	if err != nil {
		k.mu.Lock()
		k.read = read
		k.mu.Unlock()
		k.Log.Error("the certificates have changed and can't be used; those from before go on", "error", err)
		return false
	}
	k.Log.Info("certificates read anew", "ends", k.Leaf().NotAfter)
	return true
}

// files reads them; what can't be read is nil.
func (k *Reloader) files() (read [3][]byte, err error) {
	for i, name := range []string{k.Cert, k.Key, k.ClientCA} {
		if name == "" {
			continue
		}
		body, rerr := os.ReadFile(name)
		if rerr != nil {
			code := "tls_unreadable"
			if i == 2 {
				code = "client_ca_unreadable"
			}
			err = errors.Join(err, refusal(code, "The file of "+[]string{"tls.cert", "tls.key", "cdn.client_ca"}[i]+" can't be read; check its name, and that this user may read it.", rerr))
		}
		read[i] = body
	}
	return read, err
}

func refusal(code, message string, cause error) error {
	return fault.New(fault.Invalid, "certificate.open", code, message, cause)
}

// take uses what was read, if it can be used.
func (k *Reloader) take(read [3][]byte) error {
	pair, err := k.pair(read[0], read[1])
	if err != nil {
		return err
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}}
	var roots *x509.CertPool
	if k.ClientCA != "" {
		roots = x509.NewCertPool()
		if !roots.AppendCertsFromPEM(read[2]) {
			return refusal("client_ca_unreadable", "The file of cdn.client_ca has no certificate in PEM; it is to have the CA that signs the CDN's.", nil)
		}
		// Asked for, and judged by trusts alone: whoever has none, or another, is a client.
		c.ClientAuth, c.ClientCAs = tls.RequestClientCert, roots
	}
	if k.Required {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyConnection = func(s tls.ConnectionState) error { // of sessions that go on, too
			if !k.Trusts(&s) {
				return errors.New("the certificate is not a CDN's")
			}
			return nil
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.read, k.config, k.roots, k.checked = read, c, roots, map[[sha256.Size]byte]verdict{}
	return nil
}

// pair is the server's certificate with its key.
func (k *Reloader) pair(cert, key []byte) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		code, message := "tls_unreadable", "The files of tls.cert and tls.key are to have a certificate and its private key in PEM, without a password."
		if strings.Contains(err.Error(), "does not match") { // crypto/tls has no error value for it
			code, message = "tls_mismatched", "The private key of tls.key is not that of the certificate of tls.cert; name the two files that belong together."
		}
		return pair, refusal(code, message, err)
	}
	now := k.Now()
	switch {
	case now.After(pair.Leaf.NotAfter):
		return pair, refusal("tls_expired", "The certificate of tls.cert was good until "+pair.Leaf.NotAfter.UTC().Format(time.RFC3339)+"; renew it.", nil)
	case now.Before(pair.Leaf.NotBefore):
		return pair, refusal("tls_expired", "The certificate of tls.cert is good from "+pair.Leaf.NotBefore.UTC().Format(time.RFC3339)+" on; check this machine's clock.", nil)
	}
	return pair, nil
}

// TLS is the configuration of a listener. It follows the files.
func (k *Reloader) TLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		return k.config, nil
	}}
}

// Leaf is the server's own certificate.
func (k *Reloader) Leaf() *x509.Certificate {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.config.Certificates[0].Leaf
}

// Trusts reports whether a connection is a CDN's: whether its client has proven, in this handshake or in the one whose session it goes on with, to have the key of a certificate that is good now.
// A nil state is of no TLS.
func (k *Reloader) Trusts(s *tls.ConnectionState) bool {
	if s == nil || len(s.PeerCertificates) == 0 {
		return false
	}
	sum, now := fingerprint(s.PeerCertificates), k.Now()
	k.mu.Lock()
	known, ok := k.checked[sum]
	roots, checked := k.roots, k.checked
	k.mu.Unlock()
	if ok && now.Before(known.until) {
		return known.good
	}
	found := verdict{until: now.Add(doubtedFor)}
	if until, err := k.verify(s.PeerCertificates, roots, now); err == nil {
		found = verdict{true, until}
	} else {
		k.Log.Debug("a client's certificate is not a CDN's", "subject", s.PeerCertificates[0].Subject.CommonName, "error", err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(checked) >= checkedKept {
		clear(checked)
	}
	checked[sum] = found // of these roots, which may be the ones from before by now
	return found.good
}

// verify says until when a certificate is a CDN's.
func (k *Reloader) verify(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) (until time.Time, err error) {
	if roots == nil {
		return until, errors.New("no CA is one of a CDN's")
	}
	between := x509.NewCertPool()
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	chains, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return until, err
	}
	if !k.named(chain[0]) {
		return until, errors.New("its name is another")
	}
	for i, c := range chains[0] {
		if i == 0 || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return until, nil
}

// named reports whether a certificate has one of the names, if names are asked for.
func (k *Reloader) named(c *x509.Certificate) bool {
	if len(k.Names) == 0 {
		return true
	}
	for _, has := range append([]string{c.Subject.CommonName}, c.DNSNames...) {
		if slices.ContainsFunc(k.Names, func(want string) bool { return strings.EqualFold(want, has) }) {
			return true
		}
	}
	return false
}

// fingerprint is a hash of certificates as they came. Each is DER, which says its length.
func fingerprint(chain []*x509.Certificate) (sum [sha256.Size]byte) {
	all := sha256.New()
	for _, c := range chain {
		_, _ = all.Write(c.Raw) // a hash takes everything
	}
	all.Sum(sum[:0])
	return sum
}

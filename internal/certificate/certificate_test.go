package certificate_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/certificate"
	"sluice/internal/certificate/certificatetest"
	"sluice/internal/fault"
)

// clock is a time that tests move on.
type clock struct {
	mu sync.Mutex
	by time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.by)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.by += d
}

// door is a server that says to each client what it takes it for.
type door struct {
	*certificate.Reloader
	clock *clock
	ca    *certificatetest.Authority // of its own certificate
	url   string
	log   *bytes.Buffer // read when nothing writes
}

func open(t *testing.T, change func(*certificate.Config)) *door {
	t.Helper()
	d := &door{clock: &clock{}, ca: certificatetest.New(t), log: &bytes.Buffer{}}
	pair := d.ca.Server(t)
	c := certificate.Config{Cert: pair.Cert, Key: pair.Key, Now: d.clock.now, Log: slog.New(slog.NewTextHandler(d.log, nil))}
	change(&c)
	var err error
	if d.Reloader, err = certificate.Open(c); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{TLSConfig: d.TLS(), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0), ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := "client"
		if d.Trusts(r.TLS) {
			who = "cdn"
		}
		if r.TLS.DidResume {
			who += " again"
		}
		_, _ = io.WriteString(w, who)
	})}
	go func() { _ = server.ServeTLS(listener, "", "") }()
	t.Cleanup(func() { _ = server.Close() })
	d.url = "https://" + listener.Addr().String()
	return d
}

// client is one that shows these certificates, and goes on with earlier sessions.
func (d *door) client(shown ...certificatetest.Pair) *http.Client {
	config := &tls.Config{RootCAs: d.ca.Pool(), ClientSessionCache: tls.NewLRUClientSessionCache(10), MinVersion: tls.VersionTLS12}
	for _, p := range shown {
		p := p.Certificate
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &p, nil } // whatever CAs are asked for
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}, Timeout: time.Minute}
}

// taken is what the server takes a client for: "cdn", "client", or "refused" in the handshake.
func (d *door) taken(c *http.Client) string {
	resp, err := c.Get(d.url)
	if err != nil {
		return "refused"
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return string(body)
}

// anew ends a client's connections, so that its next request begins one.
func anew(c *http.Client) *http.Client {
	c.CloseIdleConnections()
	return c
}

func TestACDNIsToldByItsCertificate(t *testing.T) {
	t.Parallel()
	cdn, other := certificatetest.New(t), certificatetest.New(t)
	server := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	early := func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	}
	dns := func(c *x509.Certificate) { c.DNSNames = []string{"Pull.CDN.example"} }
	for name, c := range map[string]struct {
		shown []certificatetest.Pair
		names []string
		want  string
	}{
		"its own":                    {[]certificatetest.Pair{cdn.Client(t, "cdn")}, nil, "cdn"},
		"none":                       {nil, nil, "client"},
		"of another CA":              {[]certificatetest.Pair{other.Client(t, "cdn")}, nil, "client"},
		"one that has expired":       {[]certificatetest.Pair{cdn.Client(t, "cdn", certificatetest.Expired)}, nil, "client"},
		"one that isn't good yet":    {[]certificatetest.Pair{cdn.Client(t, "cdn", early)}, nil, "client"},
		"one of a server":            {[]certificatetest.Pair{cdn.Client(t, "cdn", server)}, nil, "client"},
		"of its name":                {[]certificatetest.Pair{cdn.Client(t, "cdn")}, []string{"other", "CDN"}, "cdn"},
		"of its DNS name":            {[]certificatetest.Pair{cdn.Client(t, "x", dns)}, []string{"pull.cdn.example"}, "cdn"},
		"of another name":            {[]certificatetest.Pair{cdn.Client(t, "cdn2")}, []string{"cdn"}, "client"},
		"of a part of the name":      {[]certificatetest.Pair{cdn.Client(t, "a.cdn")}, []string{"cdn"}, "client"},
		"without any name":           {[]certificatetest.Pair{cdn.Client(t, "")}, []string{"cdn"}, "client"},
		"of its name, of another CA": {[]certificatetest.Pair{other.Client(t, "cdn")}, []string{"cdn"}, "client"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for required, want := range map[bool]string{false: c.want, true: map[string]string{"cdn": "cdn", "client": "refused"}[c.want]} {
				d := open(t, func(k *certificate.Config) { k.ClientCA, k.Names, k.Required = cdn.File, c.names, required })
				for range 2 { // the second of which is known
					if got := d.taken(d.client(c.shown...)); got != want {
						t.Errorf("required %v: taken for %q, want %q", required, got, want)
					}
				}
			}
		})
	}
}

func TestACertificateProvesNothingWhereNoneIsACDNs(t *testing.T) {
	t.Parallel()
	cdn := certificatetest.New(t)
	d := open(t, func(*certificate.Config) {})
	if got := d.taken(d.client(cdn.Client(t, "cdn"))); got != "client" {
		t.Errorf("taken for %q", got)
	}
	if d.Trusts(nil) || d.Trusts(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{cdn.Cert}}) {
		t.Error("trusted though no CA is set")
	}
}

func TestASessionThatGoesOnIsJudgedAnew(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			cdn, next := certificatetest.New(t), certificatetest.New(t)
			ca := filepath.Join(t.TempDir(), "client-ca.pem")
			copyTo(t, cdn.File, ca)
			d := open(t, func(k *certificate.Config) { k.ClientCA = ca })
			c := d.client(cdn.Client(t, "cdn"))
			c.Transport.(*http.Transport).TLSClientConfig.MaxVersion = version
			first, again := d.taken(c), d.taken(anew(c))
			if first != "cdn" || again != "cdn again" {
				t.Fatalf("%q, then %q: no session went on", first, again)
			}
			nobody := d.client()
			if first, again := d.taken(nobody), d.taken(anew(nobody)); first != "client" || !strings.HasPrefix(again, "client") {
				t.Errorf("without a certificate %q, then %q", first, again)
			}
			// The CA is another: neither the connection that is open nor the session is a CDN's any more.
			copyTo(t, next.File, ca)
			if !d.Look() {
				t.Fatal("the change was not seen")
			}
			if open, again := d.taken(c), d.taken(anew(c)); strings.HasPrefix(open, "cdn") || strings.HasPrefix(again, "cdn") {
				t.Errorf("with another CA %q, then %q", open, again)
			}
			if got := d.taken(d.client(next.Client(t, "cdn"))); got != "cdn" {
				t.Errorf("of the new CA: %q", got)
			}
			copyTo(t, cdn.File, ca)
			if !d.Look() || d.taken(anew(c)) == "client" {
				t.Error("of the first CA, which is back: a client")
			}
			d.clock.pass(25 * time.Hour)
			if open, again := d.taken(c), d.taken(anew(c)); strings.HasPrefix(open, "cdn") || strings.HasPrefix(again, "cdn") {
				t.Errorf("after its end %q, then %q", open, again)
			}
		})
	}
}

func TestACertificateIsRenewedWithoutAConnectionBeingDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	ca := certificatetest.New(t)
	first, second := ca.Server(t), ca.Server(t)
	copyTo(t, first.Cert, cert)
	copyTo(t, first.Key, key)
	d := open(t, func(k *certificate.Config) { k.Cert, k.Key = cert, key })
	d.ca = ca
	c := d.client()
	serial := func() string {
		t.Helper()
		resp, err := c.Get(d.url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		_, _ = io.Copy(io.Discard, resp.Body)
		if resp.ProtoMajor != 2 {
			t.Errorf("spoken: %s", resp.Proto)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.String()
	}
	old, fresh := first.Leaf.SerialNumber.String(), second.Leaf.SerialNumber.String()
	if got := serial(); got != old {
		t.Fatal(got)
	}
	copyTo(t, second.Cert, cert) // its key isn't there yet
	for range 2 {
		if d.Look() {
			t.Error("a certificate without its key was taken")
		}
	}
	if n := strings.Count(d.log.String(), "tls_mismatched"); n != 1 {
		t.Errorf("told %d times: %s", n, d.log)
	}
	if got := serial(); got != old {
		t.Error("the connection was dropped")
	}
	anew(c)
	if got := serial(); got != old {
		t.Error("a new connection has not the certificate from before")
	}
	copyTo(t, second.Key, key)
	taken, more := d.Look(), d.Look()
	if !taken || more || d.Leaf().SerialNumber.String() != fresh {
		t.Error("the renewed certificate was not taken, or more than once")
	}
	if got := serial(); got != old {
		t.Error("the connection that is open was dropped")
	}
	anew(c)
	c.Transport.(*http.Transport).TLSClientConfig.ClientSessionCache = nil
	if got := serial(); got != fresh {
		t.Error("a new connection has the certificate from before")
	}
	expired := ca.Server(t, certificatetest.Expired)
	copyTo(t, expired.Cert, cert)
	copyTo(t, expired.Key, key)
	if d.Look() || !strings.Contains(d.log.String(), "tls_expired") {
		t.Error("an expired certificate was taken")
	}
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	if d.Look() || !strings.Contains(d.log.String(), "tls_unreadable") {
		t.Error("no certificate was taken")
	}
	anew(c)
	if got := serial(); got != fresh {
		t.Error("what was good did not go on")
	}
}

func TestWatchTellsOfChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	copyTo(t, certificatetest.New(t).File, ca)
	d := open(t, func(k *certificate.Config) { k.ClientCA = ca })
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	changed := make(chan struct{}, 1)
	over := make(chan struct{})
	go func() { defer close(over); d.Watch(ctx, func() { changed <- struct{}{} }) }()
	copyTo(t, certificatetest.New(t).File, ca)
	select {
	case <-changed:
	case <-ctx.Done():
		t.Error("a change was not told")
	}
	stop()
	<-over
}

func TestOldTLSIsNotSpoken(t *testing.T) {
	t.Parallel()
	d := open(t, func(*certificate.Config) {})
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11, tls.VersionTLS12, tls.VersionTLS13} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(d.url, "https://"), &tls.Config{RootCAs: d.ca.Pool(), MinVersion: version, MaxVersion: version}) //nolint:gosec // that is the question
		if good := err == nil; good != (version >= tls.VersionTLS12) {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestFilesThatCannotBeUsedStopTheStart(t *testing.T) {
	t.Parallel()
	ca := certificatetest.New(t)
	pair, other, expired := ca.Server(t), ca.Server(t), ca.Server(t, certificatetest.Expired)
	early := ca.Server(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(time.Hour), time.Now().Add(2*time.Hour)
	})
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	table, err := os.ReadFile("../../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		cert, key, ca string
		code, names   string
	}{
		"no certificate":                 {none, pair.Key, "", "tls_unreadable", "tls.cert"},
		"no key":                         {pair.Cert, none, "", "tls_unreadable", "tls.key"},
		"a certificate that is text":     {text, pair.Key, "", "tls_unreadable", "PEM"},
		"a key that is text":             {pair.Cert, text, "", "tls_unreadable", "PEM"},
		"the two the other way round":    {pair.Key, pair.Cert, "", "tls_unreadable", "PEM"},
		"the key of another certificate": {pair.Cert, other.Key, "", "tls_mismatched", "tls.key"},
		"an expired certificate":         {expired.Cert, expired.Key, "", "tls_expired", "renew"},
		"one that isn't good yet":        {early.Cert, early.Key, "", "tls_expired", "clock"},
		"no CA":                          {pair.Cert, pair.Key, none, "client_ca_unreadable", "cdn.client_ca"},
		"a CA that is text":              {pair.Cert, pair.Key, text, "client_ca_unreadable", "cdn.client_ca"},
		"a CA that is a key":             {pair.Cert, pair.Key, pair.Key, "client_ca_unreadable", "cdn.client_ca"},
	} {
		_, err := certificate.Open(certificate.Config{Cert: c.cert, Key: c.key, ClientCA: c.ca, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
		if f := fault.Of(err); err == nil || f.Code != c.code || !strings.Contains(f.Message, c.names) || f.Kind != fault.Invalid {
			t.Errorf("%s: %v, want %s and a word of %s", what, err, c.code, c.names)
		}
		if !regexp.MustCompile("\\| .*`" + c.code + "`").Match(table) {
			t.Errorf("%s is not in docs/ERRORS.md", c.code)
		}
	}
}

func copyTo(t *testing.T, from, to string) {
	t.Helper()
	body, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, body, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Package notifytest gives tests a mail server of their own: a real one, on loopback, with STARTTLS and a login, that keeps what it takes.
package notifytest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/mail"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// The login that an Office takes.
const (
	User     = "sluice"
	Password = "open sesame, says the test"
)

// Authority is a certificate authority of the tests: a process that has its file in SSL_CERT_FILE trusts its Offices.
type Authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

// NewAuthority makes an authority and writes its certificate to a file.
func NewAuthority(file string) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &Authority{key: key}
	der, err := a.sign(&x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, key)
	if err != nil {
		return nil, err
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		return nil, err
	}
	return a, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

func (a *Authority) sign(cert, parent *x509.Certificate, key *ecdsa.PrivateKey) ([]byte, error) {
	cert.SerialNumber = big.NewInt(time.Now().UnixNano())
	cert.Subject = pkix.Name{CommonName: "a test"}
	cert.NotBefore, cert.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(24*time.Hour)
	if parent == nil {
		parent = cert
	}
	return x509.CreateCertificate(rand.Reader, cert, parent, &key.PublicKey, a.key)
}

// certificate is one of localhost.
func (a *Authority) certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	der, err := a.sign(&x509.Certificate{DNSNames: []string{"localhost"}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, a.cert, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// Options say how an Office behaves. The zero value takes everything over STARTTLS after a login.
type Options struct {
	Implicit bool                  // TLS from the first byte
	Open     bool                  // no TLS at all
	Rcpt     func(to string) error // the answer to a recipient; nil takes all
	Data     func(try int) error   // the answer to message number try, from 1, before it is kept; nil takes all
}

// Letter is one message that was taken.
type Letter struct {
	From, To string
	Raw      []byte
	Message  *mail.Message
	TLS      bool // whether it came encrypted
	At       time.Time
}

// Office is a running mail server.
type Office struct {
	Port int // on localhost

	options Options
	server  *smtp.Server
	mu      sync.Mutex
	letters []Letter
	rcpts   []string
	tries   int
	logins  int // tried, with whatever name
	helo    string
}

// Start starts a mail server with a certificate of a; it ends with the test.
func Start(t testing.TB, a *Authority, o Options) *Office {
	t.Helper()
	office := &Office{options: o}
	office.server = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &session{office: office, conn: c}, nil }))
	office.server.Domain, office.server.MaxLineLength = "localhost", 2000
	office.server.ErrorLog = quiet{}
	office.server.ReadTimeout, office.server.WriteTimeout = time.Minute, time.Minute
	office.server.AllowInsecureAuth = o.Open // so that a client would show its password if it were so careless
	cert, err := a.certificate()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	office.Port = listener.Addr().(*net.TCPAddr).Port
	switch {
	case o.Implicit:
		listener = tls.NewListener(listener, config)
	case !o.Open:
		office.server.TLSConfig = config
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = office.server.Serve(listener) }() // ends when it is closed
	t.Cleanup(func() {
		_ = office.server.Close()
		<-done
	})
	return office
}

// Letters are what was taken, in its order.
func (o *Office) Letters() []Letter {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Letter(nil), o.letters...)
}

// Asked counts the recipients that were named, taken or not.
func (o *Office) Asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.rcpts)
}

// Logins counts the passwords that were shown.
func (o *Office) Logins() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.logins
}

// Helo is the name that the last EHLO told.
func (o *Office) Helo() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.helo
}

// Await waits until there are n letters, and fails the test where there are not in a minute.
func (o *Office) Await(t testing.TB, n int) []Letter {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		if all := o.Letters(); len(all) >= n {
			return all
		} else if time.Now().After(end) {
			t.Fatalf("%d letters after a minute, want %d", len(all), n)
		}
	}
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

type session struct {
	office   *Office
	conn     *smtp.Conn
	known    bool
	from, to string
}

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		s.office.mu.Lock()
		defer s.office.mu.Unlock()
		s.office.logins++
		if s.known = user == User && password == Password; !s.known {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	s.from = from
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.office.mu.Lock()
	s.office.rcpts, s.office.helo = append(s.office.rcpts, to), s.conn.Hostname()
	s.office.mu.Unlock()
	s.to = to
	if s.office.options.Rcpt != nil {
		return s.office.options.Rcpt(to)
	}
	return nil
}

func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	message, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		return errors.Join(errors.New("that is no message"), err)
	}
	_, encrypted := s.conn.TLSConnectionState()
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.tries++
	if s.office.options.Data != nil {
		if err := s.office.options.Data(s.office.tries); err != nil {
			return err
		}
	}
	l := Letter{From: s.from, To: s.to, Raw: raw, Message: message, TLS: encrypted, At: time.Now()}
	s.office.letters = append(s.office.letters, l)
	return nil
}

func (s *session) Reset()        { s.from, s.to = "", "" }
func (s *session) Logout() error { return nil }

// Package client talks to a Sluice server: it uploads files, follows them until they can be watched, and changes or
// removes them.
//
// Calls that only read, and calls whose repetition changes nothing, are tried again for a second or two when the server
// is away or busy; Upload goes on for longer, because a file may be large. Every call ends when its context does. A
// refusal of the server, and a server that cannot be reached, is an *Error. A Client may be used by many goroutines.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// Client is a connection to one server.
type Client struct {
	base  string // without a slash at its end
	token string
	http  *http.Client
	pause time.Duration // before the first repetition; doubles
	stall time.Duration // without one byte taken, or without an answer after the last one, a PUT is given up
}

// New makes a client of the server at address ("http://localhost:8080") that shows token. It fails where the address
// is not an http or https URL; it does not connect.
func New(address, token string) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("client: %q is not the address of a server; write it as http://host:port", address)
	}
	u.RawQuery, u.Fragment = "", ""
	return &Client{
		base:  strings.TrimRight(u.String(), "/"),
		token: token,
		http: &http.Client{
			Transport: transport(),
			// A redirect would take the token, or the file, elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		pause: 200 * time.Millisecond,
		stall: 2 * time.Minute,
	}, nil
}

// Trust has the client take one certificate at its server's address, whatever name that has and whoever signed it: that of a server on this machine, whose data folder tells it. Elsewhere, where
// files are put for example, the system's authorities count as before. It must be called before the client is used.
func (c *Client) Trust(certificate *x509.Certificate) {
	u, err := url.Parse(c.base)
	if err != nil {
		return // New has parsed it
	}
	own, roots := canonical(u), x509.NewCertPool()
	roots.AddCert(certificate)
	config := &tls.Config{RootCAs: roots, ServerName: nameOf(certificate), MinVersion: tls.VersionTLS12}
	t := transport()
	t.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		d := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dialLimit}}
		if address == own {
			d.Config = config
		}
		return d.DialContext(ctx, network, address)
	}
	c.http.Transport = t
}

// canonical is host and port of an address.
func canonical(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	return net.JoinHostPort(u.Hostname(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// nameOf is a name that a certificate is good for.
func nameOf(c *x509.Certificate) string {
	switch {
	case len(c.DNSNames) > 0:
		return strings.Replace(c.DNSNames[0], "*", "sluice", 1)
	case len(c.IPAddresses) > 0:
		return c.IPAddresses[0].String()
	}
	return ""
}

// transport gives up soon on a server that is not there, and never on one that is slow: the calls set limits of their own.
func transport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialLimit}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ExpectContinueTimeout: time.Second,
		IdleConnTimeout:       90 * time.Second,
	}
}

// Error is a refusal of the server (a problem document, RFC 9457), or a server that did not answer.
type Error struct {
	Status int          // HTTP status; 0 where the server could not be reached
	Code   string       // stable: "no_video"; "unreachable" where the server could not be reached
	Detail string       // a sentence that says what to do
	Fields []FieldError // which fields were refused, if any
	cause  error
}

// FieldError names one field that was refused.
type FieldError struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

func (e *Error) Error() string {
	s := e.Detail
	if e.Code != "" {
		s += " (" + e.Code + ")"
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

func (e *Error) Unwrap() error { return e.cause }

// Temporary reports whether the same call may do better later.
func (e *Error) Temporary() bool {
	switch e.Status {
	case 0, http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
		http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	default:
		return false
	}
}

// temporary reports whether err is one that may pass.
func temporary(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Temporary()
}

// unreachable is the error of a server that did not answer.
func unreachable(cause error) *Error {
	var u *url.Error
	if errors.As(cause, &u) {
		cause = u.Err // the rest repeats method and address, and a presigned address is a secret
	}
	return &Error{Code: "unreachable", Detail: "The server did not answer; check that it runs and that the address is right", cause: cause}
}

const (
	tries      = 4        // of a call that may be repeated
	maxAnswer  = 64 << 20 // bytes of an answer
	maxProblem = 64 << 10 // bytes of a problem document
	callLimit  = 30 * time.Second
	dialLimit  = 5 * time.Second
)

// call sends in as JSON where it is not nil, and reads the answer into out where it is not nil. Where repeatable, it is tried again
// while the error may pass.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	return c.callWithin(ctx, callLimit, method, path, in, out)
}

// callWithin is call with another limit for each try.
func (c *Client) callWithin(ctx context.Context, limit time.Duration, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("client: %w", err)
		}
		body = b
	}
	var answer []byte
	err := c.repeat(ctx, method != http.MethodPost, func() (err error) {
		answer, err = c.once(ctx, limit, method, path, body)
		return err
	})
	if err != nil || out == nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("client: the answer to %s %s is not what was expected: %w", method, path, err)
	}
	return nil
}

// repeat calls f until it succeeds, its error is final, or it was tried enough.
func (c *Client) repeat(ctx context.Context, repeatable bool, f func() error) error {
	pause := c.pause
	for n := 1; ; n++ {
		err := f()
		if err == nil || !repeatable || n == tries || !temporary(err) {
			return err
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
		pause *= 2
	}
}

// once makes one request of the API and returns the body of its answer.
func (c *Client) once(ctx context.Context, limit time.Duration, method, path string, body []byte) ([]byte, error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	req, err := http.NewRequestWithContext(limited, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json, application/problem+json")
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	res, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreachable(err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end below, or of no use
	if res.StatusCode >= 300 {
		return nil, refusal(res)
	}
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, unreachable(err)
	}
	return answer, nil
}

// refusal reads the problem document of an answer. A body that is none (a proxy's page, say) leaves the status to speak.
func refusal(res *http.Response) *Error {
	var p struct {
		Code   string
		Detail string
		Errors []FieldError
	}
	b, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if json.Unmarshal(b, &p) != nil || p.Detail == "" {
		p.Detail = fmt.Sprintf("The server answered %d %s", res.StatusCode, http.StatusText(res.StatusCode))
	}
	return &Error{Status: res.StatusCode, Code: p.Code, Detail: p.Detail, Fields: p.Errors}
}

// sleep waits for d and reports whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

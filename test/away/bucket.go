package away

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"
)

// Absence is how a server answers while a bucket is away. Each answers a HEAD as it answers for one object that does
// not exist: 404 without a body (RFC 9110 §9.3.2).
type Absence int

// The absences.
const (
	Present  Absence = iota // requests reach the storage
	NoBucket                // the storage runs without the bucket: 404 with the code NoSuchBucket in XML
	NoRoute                 // a proxy before the storage has no backend: 404 with a line of text
	Silent                  // 404 without a body to every method
)

// Storage is an HTTP proxy before an S3 endpoint. It can answer as that endpoint does while its buckets are away.
type Storage struct {
	URL string

	absence  atomic.Int32
	requests atomic.Int64
}

// BeforeStorage makes a Storage before the endpoint at upstream. It ends with the test.
func BeforeStorage(t testing.TB, upstream string) *Storage {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	s := &Storage{}
	pass := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = to.Scheme, to.Host
		p.Out.URL.RawQuery, p.Out.Host = p.In.URL.RawQuery, p.In.Host // the signature covers both
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		switch Absence(s.absence.Load()) {
		case Present:
			pass.ServeHTTP(w, r)
		case NoBucket:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>` +
				"\n<Error><Code>NoSuchBucket</Code><Message>The specified bucket does not exist</Message></Error>"))
		case NoRoute:
			http.Error(w, "404 page not found", http.StatusNotFound)
		case Silent:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Take makes the buckets absent; Present returns them. It may be called from any goroutine.
func (s *Storage) Take(a Absence) { s.absence.Store(int32(a)) }

// Requests is how many requests have come so far.
func (s *Storage) Requests() int64 { return s.requests.Load() }

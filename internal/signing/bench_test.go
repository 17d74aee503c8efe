package signing

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// cpu reports the processor time of a benchmark's loop beside its wall time, which says little on a machine that others use. It is called
// before the loop, and what it returns after.
func cpu(b *testing.B) func() {
	used := func() int64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// kinds are all kinds of key pairs.
func kinds(b *testing.B, run func(b *testing.B, k KeyPair)) {
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		for _, h := range []Hash{SHA1, SHA256} {
			b.Run(fmt.Sprintf("%s-%s", a, h), func(b *testing.B) { run(b, key(a, h)) })
		}
	}
}

// segment is a request as the edge meets it.
const (
	segmentPath  = "/stream/holiday-0123456789abcdef/3/720p/00042.m4s"
	segmentScope = "https://cdn.example.com/stream/holiday-0123456789abcdef/3/*"
)

func BenchmarkSign(b *testing.B) {
	kinds(b, func(b *testing.B, k KeyPair) {
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			c := sign(b, k, Policy{Resource: segmentScope, Expires: noon.Add(time.Hour)})
			b.ReportMetric(float64(len(c.AppendQuery(nil))), "query-bytes")
		}
	})
}

func BenchmarkVerifyCold(b *testing.B) {
	kinds(b, func(b *testing.B, k KeyPair) {
		r := ring(b, k)
		raw := string(sign(b, k, Policy{Resource: segmentScope, Expires: noon.Add(time.Hour)}).AppendQuery(nil))
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			request(b, r, raw, func(c Credential, q *Request) (Verified, error) { return r.Authenticate(c, q) })
		}
	})
}

func BenchmarkVerifyCached(b *testing.B) {
	kinds(b, func(b *testing.B, k KeyPair) {
		r := ring(b, k)
		raw := string(sign(b, k, Policy{Resource: segmentScope, Expires: noon.Add(time.Hour)}).AppendQuery(nil))
		cache := map[Credential]*Verified{}
		b.ReportAllocs()
		defer cpu(b)()
		for b.Loop() {
			request(b, r, raw, func(c Credential, q *Request) (Verified, error) {
				if g, there := cache[c]; there {
					return *g, nil
				}
				g, err := r.Authenticate(c, q)
				cache[c] = &g
				return g, err
			})
		}
	})
}

// request is all that the edge asks of this room for one segment.
func request(b *testing.B, r *KeyRing, raw string, authenticate func(Credential, *Request) (Verified, error)) {
	p, err := Normalize(segmentPath)
	if err != nil {
		b.Fatal(err)
	}
	c, rest, err := FromQuery(raw)
	if err != nil {
		b.Fatal(err)
	}
	q := &Request{Scheme: "https", Host: CanonicalHost("https", "cdn.example.com"), Path: p, Query: rest, Now: noon}
	g, err := authenticate(c, q)
	if err != nil {
		b.Fatal(err)
	}
	if err := g.Check(r, q); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkCheck(b *testing.B) {
	k := key(RSA2048, SHA1)
	r := ring(b, k)
	q := &Request{Scheme: "https", Host: "cdn.example.com", Path: Path{segmentPath}, Now: noon}
	g, err := r.Authenticate(sign(b, k, Policy{Resource: segmentScope, Expires: noon.Add(time.Hour)}), q)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	defer cpu(b)()
	for b.Loop() {
		if g.Check(r, q) != nil {
			b.Fatal("refused")
		}
	}
}

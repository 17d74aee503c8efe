package signing

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

// prefix is what the signatures of these tests are for.
const prefix = "https://cdn.example/A/"

func library(expires time.Time) Policy { return Policy{Resource: prefix + "*", Expires: expires} }

// forms are a custom and a canned credential of every kind of key, for prefix+"x.m4s?v=1".
func forms(t testing.TB) (r *KeyRing, all []Credential) {
	t.Helper()
	var pairs []KeyPair
	for _, a := range []Algorithm{RSA2048, ECDSAP256} {
		for _, h := range []Hash{SHA1, SHA256} {
			k := key(a, h)
			k.ID += string(h)
			pairs = append(pairs, k)
			canned, err := k.SignCanned(prefix+"x.m4s?v=1", noon.Add(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, sign(t, k, library(noon.Add(time.Hour))), canned)
		}
	}
	return ring(t, pairs...), all
}

func TestEachFormOpensWhatItIsFor(t *testing.T) {
	t.Parallel()
	r, all := forms(t)
	for _, c := range all {
		found, q := ask(t, c.SignedURL(prefix+"x.m4s?v=1"))
		if found != c {
			t.Errorf("%+v came back as %+v", c, found)
		}
		g, err := r.Verify(found, q)
		if err != nil || g.KeyPairID() != c.KeyPairID || !g.Policy().Expires.Equal(noon.Add(time.Hour)) {
			t.Errorf("%+v: %v", c, err)
		}
		var header []string
		for _, k := range c.Cookies() {
			header = append(header, k.Name+"="+k.Value)
		}
		if found, err := FromCookies([]string{strings.Join(header, "; ")}); err != nil || found != c {
			t.Errorf("as cookies: %+v, %v", found, err)
		}
	}
}

func TestNoByteOfASignatureCanBeChanged(t *testing.T) {
	t.Parallel()
	r, all := forms(t)
	_, q := ask(t, prefix+"x.m4s?v=1")
	const others = "AZaz09-_~.+/=\n\x00\""
	for _, c := range all {
		for name, field := range map[string]func(*Credential) *string{
			"policy": func(c *Credential) *string { return &c.Policy }, "expires": func(c *Credential) *string { return &c.Expires },
			"signature": func(c *Credential) *string { return &c.Signature }, "key id": func(c *Credential) *string { return &c.KeyPairID },
		} {
			was := *field(&c)
			for i := range was {
				// The neighbour in the alphabet is the smallest change of bits; one of the others is a change of class.
				for _, by := range []string{string(was[i] ^ 1), string(others[i%len(others)])} {
					if by == was[i:i+1] {
						continue
					}
					changed := c
					*field(&changed) = was[:i] + by + was[i+1:]
					if _, err := r.Verify(changed, q); err == nil {
						t.Errorf("%s: %q instead of %q at %d of the %s is accepted", c.KeyPairID, by, was[i], i, name)
					}
				}
			}
			for _, text := range []string{was + "A", was + "_", was + "\n", "A" + was, strings.TrimRight(was, "_") + "A"} {
				changed := c
				*field(&changed) = text
				if _, err := r.Verify(changed, q); err == nil {
					t.Errorf("%s: the %s %q is accepted", c.KeyPairID, name, text)
				}
			}
		}
	}
}

func TestAnotherKeyOrHashDoesNotFit(t *testing.T) {
	t.Parallel()
	r, all := forms(t)
	_, q := ask(t, prefix+"x.m4s?v=1")
	for i, c := range all {
		swapped := c
		swapped.KeyPairID = all[(i+2)%len(all)].KeyPairID
		other, err := r.Verify(swapped, q)
		sameKey := strings.TrimSuffix(swapped.KeyPairID, string(SHA256)) == strings.TrimSuffix(c.KeyPairID, string(SHA1)) // one key under two ids
		if (err == nil) != sameKey {
			t.Errorf("%s as %s: %v, %v", c.KeyPairID, swapped.KeyPairID, other.KeyPairID(), err)
		}
		hashed := c
		if hashed.Hash = SHA256; c.Hash == SHA256 {
			hashed.Hash = ""
		}
		if _, err := r.Verify(hashed, q); code(err) != "signature_invalid" {
			t.Errorf("%s with another hash: %v", c.KeyPairID, err)
		}
	}
}

// TestEachControlHolds is the table of attacks. docs: one row for each thing that a request could get wrong; test/drill removes the controls one by
// one and looks whether a row notices.
func TestEachControlHolds(t *testing.T) {
	t.Parallel()
	k := key(ECDSAP256, SHA256)
	hour := noon.Add(time.Hour)
	retired, err := k.Retiring(noon.Add(-time.Hour), noon)
	if err != nil {
		t.Fatal(err)
	}
	retiring, err := k.Retiring(noon.Add(-time.Hour), noon.Add(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	canned := func(url string) Credential {
		c, err := k.SignCanned(url, hour)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	from := func(network string) Policy {
		p := library(hour)
		p.Client = netip.MustParsePrefix(network)
		return p
	}
	begins := func(at time.Time) Policy {
		p := library(hour)
		p.NotBefore = at
		return p
	}
	text := func(s string) Credential { return signText(t, k, s) }
	for _, c := range []struct {
		does   string
		by     Credential
		url    string // "" for prefix + "x"
		client string // "" for 192.0.2.10
		ring   KeyPair
		code   string
	}{
		{does: "what it is for", by: sign(t, k, library(hour))},
		{does: "nothing at all", code: "signature_missing"},
		{does: "a policy and an expiry", by: Credential{Policy: "e30_", Expires: "1", Signature: "AA__", KeyPairID: k.ID}, code: "signature_incomplete"},
		{does: "an unknown hash", by: Credential{Policy: "e30_", Signature: "AA__", KeyPairID: k.ID, Hash: "MD5"}, code: "signature_malformed"},
		{does: "a line end in the base64", by: Credential{Policy: "e30_\n", Signature: "AA__", KeyPairID: k.ID}, code: "signature_malformed"},
		{does: "the bits that are left over", by: Credential{Policy: "e31_", Signature: "AB__", KeyPairID: k.ID}, code: "signature_malformed"},

		{does: "the second before the end", by: sign(t, k, library(noon.Add(time.Second)))},
		{does: "the end", by: sign(t, k, library(noon)), code: "policy_expired"},
		{does: "a second after the end", by: sign(t, k, library(noon.Add(-time.Second))), code: "policy_expired"},
		{does: "the second after the beginning", by: sign(t, k, begins(noon.Add(-time.Second)))},
		{does: "the beginning itself", by: sign(t, k, begins(noon)), code: "policy_not_yet_valid"},
		{does: "a second before the beginning", by: sign(t, k, begins(noon.Add(time.Second))), code: "policy_not_yet_valid"},

		{does: "from the network", by: sign(t, k, from("192.0.2.0/24"))},
		{does: "from the network, which is written with an address in it", by: sign(t, k, from("192.0.2.77/24"))},
		{does: "from the address", by: sign(t, k, from("192.0.2.10/32"))},
		{does: "from the address, mapped into IPv6", by: sign(t, k, from("192.0.2.10/32")), client: "::ffff:192.0.2.10"},
		{does: "from the neighbour", by: sign(t, k, from("192.0.2.10/32")), client: "192.0.2.11", code: "policy_wrong_ip"},
		{does: "from another network", by: sign(t, k, from("192.0.2.0/24")), client: "192.0.3.10", code: "policy_wrong_ip"},
		{does: "from IPv6 with a policy for IPv4", by: sign(t, k, from("0.0.0.0/0")), client: "2001:db8::1", code: "policy_wrong_ip"},
		{does: "from an IPv6 network", by: sign(t, k, from("2001:db8::/32")), client: "2001:db8::1"},
		{does: "from another IPv6 network", by: sign(t, k, from("2001:db8::/32")), client: "2001:db9::1", code: "policy_wrong_ip"},
		{does: "from nowhere that is known", by: sign(t, k, from("0.0.0.0/0")), client: "-", code: "policy_wrong_ip"},

		{does: "a cookie of /A/ for /B/", by: sign(t, k, library(hour)), url: "https://cdn.example/B/x", code: "policy_wrong_resource"},
		{does: "a cookie of /A/ for /AA/", by: sign(t, k, library(hour)), url: "https://cdn.example/AA/x", code: "policy_wrong_resource"},
		{does: "a cookie of /A/ for /a/", by: sign(t, k, library(hour)), url: "https://cdn.example/a/x", code: "policy_wrong_resource"},
		{does: "a cookie of /A/ for /A", by: sign(t, k, library(hour)), url: "https://cdn.example/A", code: "policy_wrong_resource"},
		{does: "a cookie of /A/ for /B/ with /A/ in its query", by: sign(t, k, library(hour)), url: "https://cdn.example/B/x?https://cdn.example/A/", code: "policy_wrong_resource"},
		{does: "another host", by: sign(t, k, library(hour)), url: "https://other.example/A/x", code: "policy_wrong_resource"},
		{does: "another port", by: sign(t, k, library(hour)), url: "https://cdn.example:8443/A/x", code: "policy_wrong_resource"},
		{does: "the port that https has anyway, and capitals", by: sign(t, k, library(hour)), url: "https://CDN.example:443/A/x"},
		{does: "another scheme", by: sign(t, k, library(hour)), url: "http://cdn.example/A/x", code: "policy_wrong_resource"},

		{does: "a canned policy for its URL", by: canned(prefix + "x?v=1"), url: prefix + "x?v=1"},
		{does: "a canned policy for another file", by: canned(prefix + "x"), url: prefix + "y", code: "signature_invalid"},
		{does: "a canned policy with another parameter", by: canned(prefix + "x?v=1"), url: prefix + "x?v=1&w=2", code: "signature_invalid"},
		{does: "a canned policy with its parameters in another order", by: canned(prefix + "x?v=1&w=2"), url: prefix + "x?w=2&v=1", code: "signature_invalid"},
		{does: "a canned policy from another host", by: canned(prefix + "x"), url: "https://other.example/A/x", code: "signature_invalid"},

		{does: "an unknown key pair", by: Credential{Policy: "e30_", Signature: "AA__", KeyPairID: "KOTHER"}, code: "key_unknown"},
		{does: "a retiring key pair", by: sign(t, k, library(hour)), ring: retiring},
		{does: "a retired key pair", by: sign(t, k, library(hour)), ring: retired, code: "key_retired"},

		{does: "two statements, signed", by: text(`{"Statement":[{"Resource":"https://cdn.example/A/*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999}}},` +
			`{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999}}}]}`), code: "policy_statements"},
		{does: "a key twice, signed", by: text(`{"Statement":[{"Resource":"https://cdn.example/B/*","Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999}}}]}`),
			code: "policy_duplicate_key"},
		{does: "no end, signed", by: text(`{"Statement":[{"Resource":"*"}]}`), code: "policy_no_expiry"},
		{does: "an escape, signed", by: text(`{"Statement":[{"Resource":"https://cdn.example/\u0041/*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999}}}]}`), code: "policy_malformed"},
		{does: "bytes behind the end, signed", by: text(`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999}}}]}{}`), code: "policy_malformed"},
		{does: "a condition that isn't known, signed", by: text(`{"Statement":[{"Resource":"*","Condition":{"DateLessThan":{"AWS:EpochTime":9999999999},"NotIpAddress":{"AWS:SourceIp":"0.0.0.0/0"}}}]}`),
			code: "policy_unknown_key"},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			if c.url == "" {
				c.url = prefix + "x"
			}
			_, q := ask(t, c.url)
			switch c.client {
			case "":
			case "-":
				q.Client = netip.Addr{}
			default:
				q.Client = netip.MustParseAddr(c.client)
			}
			r := ring(t, k)
			if c.ring.ID != "" {
				r = ring(t, c.ring)
			}
			if _, err := r.Verify(c.by, q); code(err) != c.code {
				t.Errorf("%v, want %q", err, c.code)
			}
		})
	}
}

func TestARequestWithoutACanonicalPathGetsNothing(t *testing.T) {
	t.Parallel()
	k := key(ECDSAP256, SHA256)
	q := &Request{Scheme: "https", Host: "cdn.example", Now: noon}
	if _, err := ring(t, k).Verify(sign(t, k, Policy{Expires: noon.Add(time.Hour)}), q); code(err) != "policy_wrong_resource" {
		t.Errorf("%v", err)
	}
}

// A canned policy is rebuilt from the URL, so a URL with a quote in it could make the text of a policy that says something else.
func TestAURLCanNotWriteItsOwnPolicy(t *testing.T) {
	t.Parallel()
	k := key(ECDSAP256, SHA256)
	r := ring(t, k)
	// Signed for one host, from one address; asked for as the canned policy of a URL whose text continues as that policy's.
	custom := signText(t, k, `{"Statement":[{"Resource":"https://cdn.example/A/x?a","Condition":{"IpAddress":{"AWS:SourceIp":"203.0.113.1/32"},"DateLessThan":{"AWS:EpochTime":1800000000}}}]}`)
	stolen := Credential{Expires: "1800000000", Signature: custom.Signature, KeyPairID: k.ID, Hash: SHA256}
	query := `a","Condition":{"IpAddress":{"AWS:SourceIp":"203.0.113.1/32"},"DateLessThan":{"AWS:EpochTime":1800000000}}}]}`
	for _, expires := range []string{"1800000000", "1800000000}}}]}"} {
		stolen.Expires = expires
		for _, q := range []string{query, strings.TrimSuffix(query, `,"DateLessThan":{"AWS:EpochTime":1800000000}}}]}`), `a","Condition":{"IpAddress":{"AWS:SourceIp":"203.0.113.1/32"}`} {
			_, request := ask(t, prefix+"x")
			request.Query = q
			if _, err := r.Verify(stolen, request); err == nil {
				t.Errorf("%s with %s is accepted", q, expires)
			}
		}
	}
	for _, q := range []Request{
		{Scheme: "https", Host: `h"`, Path: Path{"/"}}, {Scheme: "https", Host: "h", Path: Path{"/"}, Query: `a"`}, {Scheme: "https", Host: "h", Path: Path{"/"}, Query: `a\`},
		{Scheme: "https", Host: "h", Path: Path{"/"}, Query: "a\x00"}, {Scheme: `https"`, Host: "h", Path: Path{"/"}}, {Scheme: "https", Path: Path{"/"}}, {Scheme: "https", Host: "h"},
	} {
		if text, ok := appendCanned(nil, &q, "1"); ok {
			t.Errorf("%+v wrote %s", q, text)
		}
	}
}

func TestAKeptGrantIsCheckedEachTime(t *testing.T) {
	k := key(RSA2048, SHA1)
	p := library(noon.Add(time.Hour))
	p.Client = netip.MustParsePrefix("192.0.2.0/24")
	r := ring(t, k)
	c, q := ask(t, sign(t, k, p).SignedURL(prefix+"x"))
	grant, err := r.Authenticate(c, q)
	if err != nil {
		t.Fatal(err)
	}
	retired, err := k.Retiring(noon, noon)
	if err != nil {
		t.Fatal(err)
	}
	replaced := key(ECDSAP256, SHA1)
	replaced.ID = k.ID
	for _, s := range []struct {
		does   string
		ring   *KeyRing
		change func(*Request)
		code   string
	}{
		{"as it was", r, func(*Request) {}, ""},
		{"another file below", r, func(q *Request) { q.Path = path(t, "/A/b/c") }, ""},
		{"another folder", r, func(q *Request) { q.Path = path(t, "/B/x") }, "policy_wrong_resource"},
		{"later", r, func(q *Request) { q.Now = noon.Add(time.Hour) }, "policy_expired"},
		{"from elsewhere", r, func(q *Request) { q.Client = netip.MustParseAddr("198.51.100.1") }, "policy_wrong_ip"},
		{"with the key pair retired", ring(t, retired), func(*Request) {}, "key_retired"},
		{"with the key pair removed", ring(t), func(*Request) {}, "key_unknown"},
		{"with another key pair of that id", ring(t, replaced), func(*Request) {}, "key_unknown"},
	} {
		now := *q
		s.change(&now)
		if err := grant.Check(s.ring, &now); code(err) != s.code {
			t.Errorf("%s: %v, want %q", s.does, err, s.code)
		}
	}
	var none Verified
	if err := none.Check(r, q); err == nil {
		t.Error("the zero Grant allows something")
	}
	cannedCredential, err := k.SignCanned(prefix+"x", noon.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	canned, err := r.Authenticate(cannedCredential, q)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Request){
		"path": func(q *Request) { q.Path = path(t, "/A/y") }, "query": func(q *Request) { q.Query = "v=1" }, "host": func(q *Request) { q.Host = "h" }, "scheme": func(q *Request) { q.Scheme = "http" },
	} {
		other := *q
		change(&other)
		if err := canned.Check(r, &other); code(err) != "policy_wrong_resource" {
			t.Errorf("a canned Grant with another %s: %v", name, err)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		if grant.Check(r, q) != nil || canned.Check(r, q) != nil || none.Check(r, q) == nil {
			t.Fatal("a check went the other way")
		}
	}); n != 0 {
		t.Errorf("a check allocates %v times", n)
	}
}

func FuzzNothingIsAcceptedThatWasNotSigned(f *testing.F) {
	r, all := forms(f)
	signed := map[Credential]bool{}
	for _, c := range all {
		signed[c] = true
		f.Add(string(c.AppendQuery(nil)), "/A/x.m4s", "v=1")
		f.Add(string(c.AppendQuery(nil)), "/B/x.m4s", "")
	}
	f.Add("Policy=e30_&Signature=AA__&Key-Pair-Id="+all[0].KeyPairID, "/A/x", "")
	f.Fuzz(func(t *testing.T, query, raw, rest string) {
		c, _, err := FromQuery(query)
		if err != nil {
			return
		}
		p, err := Normalize(raw)
		if err != nil {
			return
		}
		q := &Request{Scheme: "https", Host: "cdn.example", Path: p, Query: rest, Now: noon}
		if _, err := r.Verify(c, q); err != nil {
			return
		}
		if !strings.HasPrefix(p.String(), "/A/") {
			t.Fatalf("%q is served for %+v", raw, c)
		}
		// The text, not its spelling, is what was signed; another signature of it can't be made up.
		for s := range signed {
			if s.Policy == c.Policy && s.Expires == c.Expires && s.KeyPairID == c.KeyPairID {
				return
			}
		}
		t.Fatalf("%+v was never signed", c)
	})
}

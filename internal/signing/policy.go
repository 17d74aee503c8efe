package signing

import (
	"net/netip"
	"strconv"
	"time"

	"sluice/internal/fault"
)

// Bounds of what is read.
const (
	longestPolicy    = 4096         // bytes of JSON
	longestSignature = 1024         // characters; RSA 2048 has 344
	longestKeyID     = 128          // characters; CloudFront's have 14 or 20
	lastSecond       = 253402300799 // 9999-12-31T23:59:59Z
	lastCanned       = 1<<31 - 1    // "use a 32-bit integer …", canned policy page
)

// Policy is a custom policy: what may be fetched, when and from where.
type Policy struct {
	// Resource is an http or https URL, percent-encoded, in which "*" stands for any characters and "?" for exactly one, each within its
	// section (protocol, domain, path, query); a final "*" of the path covers every query too. Empty: everything ("You can
	// omit the Resource parameter", custom policy page).
	Resource string
	// Expires is the second from which on nothing may be fetched (DateLessThan). Needed.
	Expires time.Time
	// NotBefore is the last second at which nothing may be fetched yet (DateGreaterThan: "on or before the specified date"). Zero: none.
	NotBefore time.Time
	// Client are the addresses that may fetch (IpAddress). The zero Prefix: all. CloudFront takes IPv4 only.
	Client netip.Prefix
}

// JSON is the policy's text, the one that aws-sdk-go-v2 writes for it, or why it can't be signed.
func (p Policy) JSON() ([]byte, error) {
	if _, err := compile(p.Resource); err != nil {
		return nil, unsignable(err)
	}
	from, to := p.NotBefore.Unix(), p.Expires.Unix()
	switch {
	case p.Expires.IsZero():
		return nil, unsignable(errPolicyExpiry)
	case to <= 0 || to > lastSecond, !p.NotBefore.IsZero() && (from < 0 || from >= to):
		return nil, unsignable(errPolicyDate)
	}
	b := make([]byte, 0, 256)
	b = append(b, `{"Statement":[{`...)
	if p.Resource != "" {
		b = append(append(append(b, `"Resource":"`...), p.Resource...), `",`...)
	}
	b = append(b, `"Condition":{`...)
	if p.Client.IsValid() {
		b = append(append(append(b, `"IpAddress":{"AWS:SourceIp":"`...), p.Client.String()...), `"},`...)
	}
	if !p.NotBefore.IsZero() {
		b = append(strconv.AppendInt(append(b, `"DateGreaterThan":{"AWS:EpochTime":`...), from, 10), `},`...)
	}
	b = append(strconv.AppendInt(append(b, `"DateLessThan":{"AWS:EpochTime":`...), to, 10), `}}}]}`...)
	if len(b) > longestPolicy {
		return nil, unsignable(errPolicyLarge)
	}
	return b, nil
}

// unsignable turns a refusal into the error of one who asks for a signature.
func unsignable(err error) error {
	f := fault.Of(err)
	return fault.New(fault.Invalid, "signing.sign", f.Code, f.Message, nil)
}

// appendCanned appends the text of the canned policy for a URL, byte for byte the one that its signer signed ("Create a policy
// statement for a signed URL that uses a canned policy", without white space). It is false where the URL could end its own
// string: then the text might be that of another policy.
func appendCanned(b []byte, r *Request, expires string) ([]byte, bool) {
	if r.Scheme != "http" && r.Scheme != "https" || !plain(r.Host) || !plain(r.Path.s) || !plain(r.Query) || r.Host == "" || r.Path.s == "" {
		return nil, false
	}
	b = append(append(append(b, `{"Statement":[{"Resource":"`...), r.Scheme...), "://"...)
	b = append(append(b, r.Host...), r.Path.s...)
	if r.Query != "" {
		b = append(append(b, '?'), r.Query...)
	}
	b = append(append(b, `","Condition":{"DateLessThan":{"AWS:EpochTime":`...), expires...)
	return append(b, `}}}]}`...), true
}

// plain reports whether s can stand in a policy's string as it is: visible ASCII but quotes and backslashes.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// seconds reads a time of a policy: decimal digits, no sign, no leading zero.
func seconds(s string) (int64, bool) {
	if s == "" || len(s) > len("253402300799") || s[0] == '0' && len(s) > 1 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, n <= lastSecond
}

// ParsePolicy reads the JSON of a custom policy. White space between its parts is allowed, as in CloudFront's own examples; the
// order of keys is free; everything else is exact. Its errors are the policy_… refusals of the package.
func ParsePolicy(text []byte) (Policy, error) {
	if len(text) > longestPolicy {
		return Policy{}, errPolicyLarge
	}
	r := reader{text: string(text)}
	var p Policy
	r.object(func(key string) bool { return key == "Statement" && r.statements(&p) })
	r.space()
	if r.err == nil && r.at != len(r.text) {
		r.err = errPolicyMalformed
	}
	if r.err == nil && !r.hasStatement {
		r.err = errPolicyMany
	}
	if r.err == nil && p.Expires.IsZero() {
		r.err = errPolicyExpiry
	}
	if r.err != nil {
		return Policy{}, r.err
	}
	return p, nil
}

// statements reads "[{…}]".
func (r *reader) statements(p *Policy) bool {
	r.expect('[')
	if r.peek() == ']' {
		return r.fail(errPolicyMany)
	}
	r.hasStatement = true
	hasResource := false
	r.object(func(key string) bool {
		switch key {
		case "Resource":
			hasResource = true
			p.Resource = r.quoted()
			return r.err == nil
		case "Condition":
			return r.conditions(p)
		}
		return false
	})
	if r.peek() == ',' {
		return r.fail(errPolicyMany)
	}
	r.expect(']')
	if r.err == nil && hasResource {
		if _, err := compile(p.Resource); err != nil || p.Resource == "" {
			return r.fail(errPolicyResource)
		}
	}
	return r.err == nil
}

// conditions reads "{"DateLessThan":{…},…}".
func (r *reader) conditions(p *Policy) bool {
	return r.object(func(key string) bool {
		switch key {
		case "DateLessThan":
			p.Expires = r.date()
		case "DateGreaterThan":
			p.NotBefore = r.date()
		case "IpAddress":
			p.Client = r.network()
		default:
			return false
		}
		return r.err == nil
	})
}

// date reads {"AWS:EpochTime":N}.
func (r *reader) date() (t time.Time) {
	seen := false
	r.object(func(key string) bool {
		if key != "AWS:EpochTime" {
			return false
		}
		n, ok := seconds(r.number())
		if !ok || n == 0 {
			return r.fail(errPolicyDate)
		}
		seen, t = true, time.Unix(n, 0).UTC()
		return true
	})
	if !seen {
		r.fail(errPolicyDate)
	}
	return t
}

// network reads {"AWS:SourceIp":"192.0.2.0/24"}; a lone address is a network of one.
func (r *reader) network() (n netip.Prefix) {
	seen := false
	r.object(func(key string) bool {
		if key != "AWS:SourceIp" {
			return false
		}
		var ok bool
		if n, ok = parseNetwork(r.quoted()); !ok {
			return r.fail(errPolicyAddress)
		}
		seen = true
		return true
	})
	if !seen {
		r.fail(errPolicyAddress)
	}
	return n
}

func parseNetwork(s string) (netip.Prefix, bool) {
	if n, err := netip.ParsePrefix(s); err == nil {
		return n, !n.Addr().Is4In6()
	}
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" || a.Is4In6() {
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, a.BitLen()), true
}

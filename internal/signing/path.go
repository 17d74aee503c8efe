package signing

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/fault"
)

// longestPath bounds the path of a request, in bytes: an S3 key of 1,024 bytes, each escaped, with room for a prefix.
const longestPath = 4096

// Path is the canonical path of a request, percent-encoded: the one string that is verified and, decoded once, served. Only Normalize
// makes one. The zero Path is no path.
type Path struct{ s string }

// String is the path, percent-encoded.
func (p Path) String() string { return p.s }

var errPath = fault.New(fault.NotFound, "signing.path", "bad_path", "This isn't the plain spelling of a path; use the address as it was given.", nil)

// Normalize turns the raw path of a request (before any decoding, without the query) into its canonical form, after RFC 3986
// §6.2.2: escapes of unreserved characters are decoded, all others kept with upper-case digits, and what may not stand in a
// path is escaped. Two raw paths with the same result name the same object, and the result is a fixed point.
//
// It refuses (code bad_path) rather than repairs what two readers could take for two things: dot and empty elements, however
// spelled; encoded slashes; backslashes, NUL and other control characters, raw or encoded; a raw ";" (path parameters); escapes that
// are cut off; bytes that aren't UTF-8; escapes of an escape of any of these ("%252e"); more than 4,096 bytes. A final slash stays.
func Normalize(raw string) (Path, error) {
	if raw == "" || raw[0] != '/' || len(raw) > longestPath {
		return Path{}, errPath
	}
	n := normalizer{raw: raw}
	for n.at = 1; n.at < len(raw); {
		if !n.step() {
			return Path{}, errPath
		}
	}
	if !n.elementFits() || n.wide && !textual(n.decoded) {
		return Path{}, errPath
	}
	canonical := raw
	if n.out != nil {
		canonical = string(n.out)
	}
	if twiceEncoded(canonical) {
		return Path{}, errPath
	}
	return Path{canonical}, nil
}

// twiceEncoded reports whether a second decoding, which some proxies do, would make a separator, a dot or another escape.
func twiceEncoded(canonical string) bool {
	for {
		_, after, found := strings.Cut(canonical, "%25")
		if !found {
			return false
		}
		if c, ok := hexPair(after, 0); ok && (confusing(c) || c == '.' || c == '%' || c == ';') {
			return true
		}
		canonical = after
	}
}

// normalizer is one pass over a path.
type normalizer struct {
	raw     string
	at      int
	out     []byte // nil as long as the result is raw[:at]
	decoded []byte // the bytes above 0x7f with ASCII between, for the check of UTF-8; kept only once wide
	wide    bool
	length  int // decoded bytes of this element
	dots    int // of them, dots
}

// step takes one character or escape.
func (n *normalizer) step() bool {
	c := n.raw[n.at]
	switch {
	case c == '/':
		if n.length == 0 || !n.elementFits() {
			return false
		}
		n.length, n.dots = 0, 0
		n.see(c)
		n.keep(1)
		return true
	case c == '%':
		return n.escape()
	case c <= ' ' || c == 0x7f || c == '\\' || c == ';' || c == '?' || c == '#':
		return false
	case pathChar(c):
		n.count(c)
		n.keep(1)
		return true
	default:
		n.count(c)
		n.replace(1, '%', upperHex[c>>4], upperHex[c&15])
		return true
	}
}

// escape takes "%XX".
func (n *normalizer) escape() bool {
	v, ok := hexPair(n.raw, n.at+1)
	if !ok || confusing(v) {
		return false
	}
	n.count(v)
	switch h, l := upperHex[v>>4], upperHex[v&15]; {
	case unreserved(v):
		n.replace(3, v)
	case n.raw[n.at+1] == h && n.raw[n.at+2] == l:
		n.keep(3)
	default:
		n.replace(3, '%', h, l)
	}
	return true
}

// count adds a decoded byte to the element.
func (n *normalizer) count(c byte) {
	n.length++
	if c == '.' {
		n.dots++
	}
	n.see(c)
}

// see collects the decoded path from the first byte on that isn't ASCII.
func (n *normalizer) see(c byte) {
	n.wide = n.wide || c >= utf8.RuneSelf
	if n.wide {
		n.decoded = append(n.decoded, c)
	}
}

// keep lets the next size bytes stand.
func (n *normalizer) keep(size int) {
	if n.out != nil {
		n.out = append(n.out, n.raw[n.at:n.at+size]...)
	}
	n.at += size
}

// replace writes by instead of the next size bytes.
func (n *normalizer) replace(size int, by ...byte) {
	if n.out == nil {
		n.out = append(make([]byte, 0, len(n.raw)+32), n.raw[:n.at]...)
	}
	n.out = append(n.out, by...)
	n.at += size
}

// elementFits reports whether the element that ends here is no dot element (RFC 3986 §5.2.4).
func (n *normalizer) elementFits() bool { return n.length == 0 || n.length > 2 || n.dots != n.length }

// textual reports whether b is UTF-8 without control characters; those of ASCII were refused before.
func textual(b []byte) bool {
	for len(b) > 0 {
		r, size := utf8.DecodeRune(b)
		if r == utf8.RuneError && size == 1 || unicode.IsControl(r) {
			return false
		}
		b = b[size:]
	}
	return true
}

const upperHex = "0123456789ABCDEF"

// hexPair reads two hexadecimal digits at i.
func hexPair(s string, i int) (byte, bool) {
	if i+2 > len(s) {
		return 0, false
	}
	h, okH := hexDigit(s[i])
	l, okL := hexDigit(s[i+1])
	return h<<4 | l, okH && okL
}

func hexDigit(c byte) (byte, bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

// confusing are the bytes that may not be in a path at all but as what they are: separators, and what ends strings elsewhere.
func confusing(c byte) bool { return c == '/' || c == '\\' || c < ' ' || c == 0x7f }

// unreserved is RFC 3986 §2.3.
func unreserved(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '.' || c == '_' || c == '~'
}

// pathChar are the other characters that stand for themselves in an element (RFC 3986 §3.3), but for ";".
func pathChar(c byte) bool {
	switch c {
	case '!', '$', '&', '\'', '(', ')', '*', '+', ',', '=', ':', '@':
		return true
	}
	return unreserved(c)
}

package signing

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Hash is the digest that a signature is over ("Hash-Algorithm … Supported values are SHA1 and SHA256. If you don't specify
// this parameter, CloudFront defaults to SHA1").
type Hash string

// The hashes. The empty Hash is SHA1.
const (
	SHA1   Hash = "SHA1"
	SHA256 Hash = "SHA256"
)

// Credential is what a request carries to prove that it may: the values of CloudFront's query parameters or cookies, as text.
// It has a Policy or Expires, never both. It is comparable: a cache of Grants may have it as its key. The zero Credential is none.
type Credential struct {
	Policy    string // custom: JSON in CloudFront's base64
	Expires   string // canned: decimal seconds since 1970
	Signature string // CloudFront's base64
	KeyPairID string
	Hash      Hash
}

// names are the query parameters, in the order in which they are written; a cookie has cookiePrefix before.
var names = [...]string{"Policy", "Expires", "Signature", "Key-Pair-Id", "Hash-Algorithm"}

const cookiePrefix = "CloudFront-"

// longestQuery is CloudFront's limit of a whole URL ("Quotas": 8,192 bytes).
const longestQuery = 8192

// alphabet is MIME base64 with "-", "_" and "~" for "+", "=" and "/", and with nothing but zeros in the bits that are left over:
// each text has one spelling.
var alphabet = base64.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-~").WithPadding('_').Strict()

// FromQuery takes the credential out of a raw query (what follows the "?" of the request line) and gives what is left, in its order: CloudFront
// compares that with the policy's resource. Without any of the parameters the Credential is zero and rest the query. A
// parameter that is there twice, incomplete or malformed is refused.
func FromQuery(raw string) (c Credential, rest string, err error) {
	if len(raw) > longestQuery {
		return Credential{}, "", errMalformed
	}
	var values [len(names)]string
	var there [len(names)]bool
	var kept remainder
	for start := 0; start <= len(raw); {
		end := strings.IndexByte(raw[start:], '&')
		if end < 0 {
			end = len(raw)
		} else {
			end += start
		}
		name, value, _ := strings.Cut(raw[start:end], "=")
		at, err := place(name)
		switch {
		case err != nil:
			return Credential{}, "", err
		case at < 0:
			kept.add(raw, start, end)
		case there[at]:
			return Credential{}, "", errDuplicate
		default:
			there[at] = true
			if strings.IndexByte(value, '%') >= 0 { // some clients write "%7E" for "~"
				if value, err = url.PathUnescape(value); err != nil {
					return Credential{}, "", errMalformed
				}
			}
			values[at] = value
		}
		start = end + 1
	}
	c, err = credential(values, there)
	return c, kept.in(raw), err
}

// place is the index of a parameter's name, -1 for others. An escaped spelling of one of ours would be ours for some readers and
// not for others.
func place(name string) (int, error) {
	escaped := strings.IndexByte(name, '%') >= 0
	if escaped {
		plain, err := url.QueryUnescape(name)
		if err != nil {
			return -1, nil // no name of ours, and not ours to judge
		}
		name = plain
	}
	for i, n := range names {
		if name == n {
			if escaped {
				return -1, errMalformed
			}
			return i, nil
		}
	}
	return -1, nil
}

// remainder is what is left of a query; as long as that is one piece, nothing is copied.
type remainder struct {
	start, end int
	any        bool
	joined     []byte
}

func (k *remainder) add(raw string, start, end int) {
	switch {
	case k.joined != nil:
		k.joined = append(append(k.joined, '&'), raw[start:end]...)
	case !k.any:
		k.start, k.end, k.any = start, end, true
	case start == k.end+1:
		k.end = end
	default:
		k.joined = append(append(append(make([]byte, 0, len(raw)), raw[k.start:k.end]...), '&'), raw[start:end]...)
	}
}

func (k *remainder) in(raw string) string {
	if k.joined != nil {
		return string(k.joined)
	}
	return raw[k.start:k.end]
}

// FromCookies takes the credential out of the Cookie headers of a request. Without any of the cookies it is zero; one that
// is there twice is refused (a browser sends two where they were set for different paths, and which comes first is its affair).
func FromCookies(headers []string) (Credential, error) {
	var values [len(names)]string
	var there [len(names)]bool
	for _, header := range headers {
		for pair := range strings.SplitSeq(header, ";") {
			name, value, _ := strings.Cut(strings.Trim(pair, " \t"), "=")
			name, ours := strings.CutPrefix(name, cookiePrefix)
			if !ours {
				continue
			}
			for i, n := range names {
				if name != n {
					continue
				}
				if there[i] {
					return Credential{}, errDuplicate
				}
				there[i], values[i] = true, value
			}
		}
	}
	return credential(values, there)
}

// credential puts one together.
func credential(values [len(names)]string, there [len(names)]bool) (Credential, error) {
	if there == [len(names)]bool{} {
		return Credential{}, nil
	}
	hash := Hash(values[4])
	if there[4] && hash == "" {
		return Credential{}, errMalformed
	}
	if hash == SHA1 {
		hash = ""
	}
	c := Credential{Policy: values[0], Expires: values[1], Signature: values[2], KeyPairID: values[3], Hash: hash}
	if there[0] && there[1] {
		return Credential{}, errIncomplete
	}
	if err := c.wellFormed(); err != nil {
		return Credential{}, err
	}
	return c, nil
}

// wellFormed checks what can be checked without a key.
func (c Credential) wellFormed() error {
	if (c.Policy == "") == (c.Expires == "") || c.Signature == "" || c.KeyPairID == "" {
		return errIncomplete
	}
	if c.Hash != "" && c.Hash != SHA1 && c.Hash != SHA256 || len(c.Signature) > longestSignature || len(c.KeyPairID) > longestKeyID ||
		!base64Text(c.Policy) || !base64Text(c.Signature) {
		return errMalformed
	}
	if len(c.Policy) > alphabet.EncodedLen(longestPolicy) {
		return errPolicyLarge
	}
	if n, ok := seconds(c.Expires); c.Expires != "" && (!ok || n == 0) {
		return errPolicyDate
	}
	return nil
}

// base64Text reports whether all characters are of the alphabet; Go's decoder skips line ends.
func base64Text(s string) bool {
	for i := range len(s) {
		if !ofAlphabet[s[i]] {
			return false
		}
	}
	return true
}

var ofAlphabet = func() (of [256]bool) {
	for c := range of {
		of[c] = unreserved(byte(c)) && c != '.'
	}
	return of
}()

// AppendQuery appends the parameters to b, "Policy=…&Signature=…&Key-Pair-Id=…": what a rewriter puts behind each URI.
func (c Credential) AppendQuery(b []byte) []byte {
	if c.Policy != "" {
		b = append(append(b, "Policy="...), c.Policy...)
	} else {
		b = append(append(b, "Expires="...), c.Expires...)
	}
	b = append(append(b, "&Signature="...), c.Signature...)
	b = append(append(b, "&Key-Pair-Id="...), c.KeyPairID...)
	if c.Hash == SHA256 {
		b = append(b, "&Hash-Algorithm=SHA256"...)
	}
	return b
}

// SignedURL puts the parameters behind a URL without a fragment.
func (c Credential) SignedURL(base string) string {
	b := make([]byte, 0, len(base)+len(c.Policy)+len(c.Signature)+len(c.KeyPairID)+64)
	b = append(b, base...)
	if strings.IndexByte(base, '?') >= 0 {
		b = append(b, '&')
	} else {
		b = append(b, '?')
	}
	return string(c.AppendQuery(b))
}

// Cookie is the name and value of one of the signed cookies; its attributes are its setter's to choose.
type Cookie struct{ Name, Value string }

// Cookies are the credential as CloudFront's signed cookies.
func (c Credential) Cookies() []Cookie {
	first := Cookie{cookiePrefix + "Policy", c.Policy}
	if c.Policy == "" {
		first = Cookie{cookiePrefix + "Expires", c.Expires}
	}
	cookies := []Cookie{first, {cookiePrefix + "Signature", c.Signature}, {cookiePrefix + "Key-Pair-Id", c.KeyPairID}}
	if c.Hash == SHA256 {
		cookies = append(cookies, Cookie{cookiePrefix + "Hash-Algorithm", string(SHA256)})
	}
	return cookies
}

// Sign signs a custom policy.
func (k KeyPair) Sign(p Policy) (Credential, error) {
	text, err := p.JSON()
	if err != nil {
		return Credential{}, err
	}
	c := Credential{Policy: alphabet.EncodeToString(text), KeyPairID: k.ID, Hash: k.Hash.written()}
	c.Signature, err = k.sign(text)
	return c, err
}

// SignCanned signs the canned policy of one URL. The URL must be the one that will be asked for: http or https, its path as
// Normalize gives it, no fragment, none of the signature's own parameters, and no "*", which a custom policy of the same text would take for a
// wildcard.
func (k KeyPair) SignCanned(rawURL string, expires time.Time) (Credential, error) {
	scheme, rest, _ := strings.Cut(rawURL, "://")
	rest, query, _ := strings.Cut(rest, "?")
	slash := strings.IndexByte(rest, '/')
	if slash < 0 || strings.ContainsAny(rawURL, "*#") {
		return Credential{}, unsignable(errPolicyResource)
	}
	path, err := Normalize(rest[slash:])
	if err != nil || path.s != rest[slash:] {
		return Credential{}, unsignable(errPolicyResource)
	}
	if c, left, err := FromQuery(query); err != nil || c != (Credential{}) || left != query {
		return Credential{}, unsignable(errPolicyResource)
	}
	host := rest[:slash]
	if host != CanonicalHost(scheme, host) {
		return Credential{}, unsignable(errPolicyResource)
	}
	at := expires.Unix()
	if expires.IsZero() || at <= 0 || at > lastCanned {
		return Credential{}, unsignable(errPolicyDate)
	}
	c := Credential{Expires: strconv.FormatInt(at, 10), KeyPairID: k.ID, Hash: k.Hash.written()}
	text, ok := appendCanned(nil, &Request{Scheme: scheme, Host: host, Path: path, Query: query}, c.Expires)
	if !ok {
		return Credential{}, unsignable(errPolicyResource)
	}
	c.Signature, err = k.sign(text)
	return c, err
}

// written is the hash as a credential has it: SHA1 is left out.
func (h Hash) written() Hash {
	if h == SHA1 {
		return ""
	}
	return h
}

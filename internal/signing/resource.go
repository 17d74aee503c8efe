package signing

import "strings"

// mostWildcards bounds the work of a match.
const mostWildcards = 32

// pattern is a resource, divided into its sections (custom policy page, "Wildcard characters"):
// [protocol]://[domain]/[path]?[query string]. The zero pattern matches nothing.
type pattern struct {
	any              bool // "*", or no resource
	protocol, domain string
	rest             string // path, and the query behind its "?"; begins with "/"
	anyRest          bool   // a final "*" of the domain covers path and query
}

// compile divides a resource. Domains are compared in lower case.
func compile(resource string) (pattern, error) {
	if resource == "" || resource == "*" {
		return pattern{any: true}, nil
	}
	if !plain(resource) || len(resource) > longestPolicy || strings.Count(resource, "*")+strings.Count(resource, "?") > mostWildcards ||
		strings.ContainsRune(resource, '#') {
		return pattern{}, errPolicyResource
	}
	p := pattern{protocol: "*"}
	rest := resource
	if scheme, after, ok := strings.Cut(resource, "://"); ok && !strings.ContainsAny(scheme, "/") {
		switch scheme {
		case "http", "https", "*", "http*":
			p.protocol, rest = scheme, after
		default:
			return pattern{}, errPolicyResource
		}
	} else if resource[0] != '*' {
		return pattern{}, errPolicyResource // "The value must begin with http://, https://, or *://"
	}
	slash := strings.IndexByte(rest, '/')
	if slash < 0 {
		p.domain, p.rest = strings.ToLower(rest), "/"
		p.anyRest = strings.HasSuffix(rest, "*")
	} else {
		p.domain, p.rest = strings.ToLower(rest[:slash]), rest[slash:]
	}
	if p.domain == "" {
		return pattern{}, errPolicyResource
	}
	return p, nil
}

// matches compares it with a URL, section by section.
func (p *pattern) matches(r *Request) bool {
	if p.any {
		return true
	}
	if p.domain == "" || !wild(p.protocol, r.Scheme) || !wild(p.domain, r.Host) {
		return false
	}
	if p.anyRest {
		return true
	}
	// A final "*" of the path covers any query; where the pattern has a query, so does its final "*", below.
	if r.Query == "" || p.rest[len(p.rest)-1] == '*' {
		if wild(p.rest, r.Path.s) {
			return true
		}
	}
	if r.Query == "" {
		return false
	}
	// A "?" stands for one character, and it begins the query: "don't use a backslash character to escape the question mark
	// character that begins the query string". So each may be the one.
	for i := 0; i < len(p.rest); i++ {
		if p.rest[i] == '?' && wild(p.rest[:i], r.Path.s) && wild(p.rest[i+1:], r.Query) {
			return true
		}
	}
	return false
}

// wild matches "*" with any characters and "?" with one. Only the last "*" is ever tried again, so the work is at most the product
// of the lengths.
func wild(pattern, s string) bool {
	p, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

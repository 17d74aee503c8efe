package signing

// reader reads the little JSON that a policy is: objects, strings without escapes, whole numbers. encoding/json takes keys
// twice, in any case, and whatever stands behind the first value. The first error stays, and ends everything.
type reader struct {
	text         string
	at           int
	hasStatement bool
	err          error
}

// fail keeps the first error; it is always false.
func (r *reader) fail(err error) bool {
	if r.err == nil {
		r.err = err
	}
	return false
}

// space skips the white space of RFC 8259 §2.
func (r *reader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

// peek is the next character behind white space, 0 at the end and after an error.
func (r *reader) peek() byte {
	r.space()
	if r.err != nil || r.at == len(r.text) {
		return 0
	}
	return r.text[r.at]
}

func (r *reader) expect(c byte) bool {
	if r.peek() != c {
		return r.fail(errPolicyMalformed)
	}
	r.at++
	return true
}

// object reads one, and has value read the value of each key; value is false where it doesn't know the key.
func (r *reader) object(value func(key string) bool) bool {
	if !r.expect('{') {
		return false
	}
	if r.peek() == '}' {
		r.at++
		return true
	}
	var seen [4]string // no object of a policy has more keys
	for n := 0; ; n++ {
		key := r.quoted()
		if r.err != nil || !r.expect(':') {
			return false
		}
		for _, k := range seen[:min(n, len(seen))] {
			if k == key {
				return r.fail(errPolicyTwice)
			}
		}
		if n == len(seen) {
			return r.fail(errPolicyUnknown)
		}
		seen[n] = key
		if !value(key) {
			return r.fail(errPolicyUnknown)
		}
		if r.peek() != ',' {
			return r.expect('}')
		}
		r.at++
	}
}

// quoted reads a string: visible ASCII, without escapes. A resource needs no more, and two spellings of one are one too many.
func (r *reader) quoted() string {
	if !r.expect('"') {
		return ""
	}
	for start := r.at; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '"':
			r.at++
			return r.text[start : r.at-1]
		case c <= ' ' || c >= 0x7f || c == '\\':
			r.fail(errPolicyMalformed)
			return ""
		}
	}
	r.fail(errPolicyMalformed)
	return ""
}

// number reads the characters of a number; seconds judges them.
func (r *reader) number() string {
	r.space()
	start := r.at
	for r.at < len(r.text) {
		switch c := r.text[r.at]; {
		case c >= '0' && c <= '9', c == '-', c == '+', c == '.', c == 'e', c == 'E', c == '"':
			r.at++
		default:
			return r.text[start:r.at]
		}
	}
	return r.text[start:r.at]
}

package manifest

import (
	"strconv"
	"strings"
)

// mpdBound is an attribute of an adaptation set that tells the least or the most of what its representations have.
type mpdBound struct {
	start, end int    // of its value, bytes into the text
	of         string // the attribute of representations
	most       bool
}

// boundOf reads the name of an attribute: of, by that name, is what it bounds (ISO/IEC 23009-1 §5.3.3.2).
func boundOf(name string) (of string, most, ok bool) {
	for _, of := range []string{"Width", "Height", "FrameRate", "Bandwidth"} {
		if name == "max"+of || name == "min"+of {
			return strings.ToLower(of[:1]) + of[1:], name[1] == 'a', true
		}
	}
	return "", false, false
}

// bounded is the value of b for the representations that are left, as one of them writes it; empty where one of them doesn't say it.
func (b mpdBound) bounded(left []mpdRepresentation) string {
	extreme, value := rational{}, ""
	for i, r := range left {
		v, ok := parseRational(r.says[b.of])
		if !ok {
			return ""
		}
		if i == 0 || b.most && extreme.less(v) || !b.most && v.less(extreme) {
			extreme, value = v, r.says[b.of]
		}
	}
	return value
}

// rational is a number as MPDs have frame rates: "25", "30000/1001".
type rational struct{ num, den uint64 }

func parseRational(s string) (rational, bool) {
	over, under, divided := strings.Cut(s, "/")
	if !divided {
		under = "1"
	}
	num, err := strconv.ParseUint(over, 10, 32)
	den, err2 := strconv.ParseUint(under, 10, 32)
	return rational{num, den}, err == nil && err2 == nil && den > 0
}

func (r rational) less(other rational) bool { return r.num*other.den < other.num*r.den }

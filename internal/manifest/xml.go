package manifest

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// deepest is how far elements of an MPD may lie within each other; the schema's lie 8 deep, and what it lets in from elsewhere little more.
const deepest = 64

// xmlScanner reads the tags of an XML document (XML 1.0) with their places in the text, one pass, nothing copied. It refuses what MPDs have no
// need of and readers treat differently: document types (entities), CDATA, encodings but UTF-8, control characters, an attribute twice.
type xmlScanner struct {
	text []byte
	at   int
	open []string // names of the elements around
	done bool     // the root has ended
}

// xmlTag is the start or the end of an element, or both.
type xmlTag struct {
	name       string
	start, end int // bytes into the text, from "<" to after ">"
	attributes []xmlAttribute
	closes     bool // an end tag, or an empty element
	opens      bool // a start tag, or an empty element
}

// xmlAttribute is one of a tag: its value as it is written, from byte start to end.
type xmlAttribute struct {
	name       string
	start, end int
}

// scanXML checks what concerns the whole text.
func scanXML(text []byte) (*xmlScanner, error) {
	if !utf8.Valid(text) {
		return nil, unfit("the MPD isn't UTF-8")
	}
	for _, c := range text {
		if c < ' ' && c != '\t' && c != '\n' && c != '\r' {
			return nil, unfit("the MPD has control characters")
		}
	}
	s := &xmlScanner{text: text}
	if bytes.HasPrefix(text, []byte("<?xml")) {
		end := bytes.Index(text, []byte("?>"))
		if end < 0 {
			return nil, unfit("its XML declaration has no end")
		}
		// encoding="…" is the only place of a declaration in which these letters can stand.
		if at := bytes.Index(text[:end], []byte("encoding")); at >= 0 && !bytes.Contains(bytes.ToUpper(text[at:end]), []byte("UTF-8")) {
			return nil, unfit("the MPD isn't UTF-8")
		}
		s.at = end + len("?>")
	}
	return s, nil
}

// next is the next tag; false at the end of the document.
func (s *xmlScanner) next() (xmlTag, bool, error) {
	for {
		n := bytes.IndexByte(s.text[s.at:], '<')
		between := s.text[s.at:]
		if n >= 0 {
			between = between[:n]
		}
		if len(s.open) == 0 && len(bytes.Trim(between, " \t\r\n")) > 0 {
			return xmlTag{}, false, unfit("the MPD has text outside its root")
		}
		if n < 0 {
			if len(s.open) > 0 || !s.done {
				return xmlTag{}, false, unfit("the MPD breaks off")
			}
			return xmlTag{}, false, nil
		}
		s.at += n
		rest := s.text[s.at:]
		switch {
		case bytes.HasPrefix(rest, []byte("<!--")):
			if !s.skip("<!--", "-->") {
				return xmlTag{}, false, unfit("a comment of the MPD has no end")
			}
		case bytes.HasPrefix(rest, []byte("<?")):
			if !s.skip("<?", "?>") {
				return xmlTag{}, false, unfit("an instruction of the MPD has no end")
			}
		case bytes.HasPrefix(rest, []byte("<!")):
			return xmlTag{}, false, unfit("the MPD has a document type or CDATA")
		default:
			t, err := s.tag()
			return t, err == nil, err
		}
	}
}

func (s *xmlScanner) skip(from, to string) bool {
	n := bytes.Index(s.text[s.at+len(from):], []byte(to))
	if n < 0 {
		return false
	}
	s.at += len(from) + n + len(to)
	return true
}

// tag reads the tag at s.at and keeps the nesting.
func (s *xmlScanner) tag() (xmlTag, error) {
	t := xmlTag{start: s.at, opens: true}
	s.at++
	if s.peek() == '/' {
		s.at++
		t.opens, t.closes = false, true
	}
	t.name = s.word()
	if t.name == "" {
		return t, unfit("the MPD has a tag without a name")
	}
	for {
		space := s.space()
		switch c := s.peek(); {
		case c == '>':
			s.at++
			t.end = s.at
			return t, s.nest(t)
		case c == '/' && t.opens && s.at+1 < len(s.text) && s.text[s.at+1] == '>':
			s.at += 2
			t.end, t.closes = s.at, true
			return t, s.nest(t)
		case !space || !t.opens:
			return t, unfit("the tag " + brief(t.name) + " of the MPD can't be read")
		}
		a, err := s.attribute()
		if err != nil {
			return t, err
		}
		if slices.ContainsFunc(t.attributes, func(b xmlAttribute) bool { return b.name == a.name }) {
			return t, unfit("the tag " + brief(t.name) + " of the MPD has an attribute twice")
		}
		t.attributes = append(t.attributes, a)
	}
}

func (s *xmlScanner) attribute() (xmlAttribute, error) {
	a := xmlAttribute{name: s.word()}
	s.space()
	if a.name == "" || s.peek() != '=' {
		return a, unfit("an attribute of the MPD can't be read")
	}
	s.at++
	s.space()
	quote := s.peek()
	if quote != '"' && quote != '\'' {
		return a, unfit("an attribute of the MPD has no quotes")
	}
	s.at++
	a.start = s.at
	n := bytes.IndexByte(s.text[s.at:], quote)
	if n < 0 || bytes.IndexByte(s.text[s.at:s.at+n], '<') >= 0 {
		return a, unfit("an attribute of the MPD has no end")
	}
	a.end = s.at + n
	s.at = a.end + 1
	return a, nil
}

// nest keeps the stack of open elements.
func (s *xmlScanner) nest(t xmlTag) error {
	depth := len(s.open)
	switch {
	case t.opens && (s.done || depth == deepest):
		return unfit("the MPD has a second root, or elements too deep")
	case t.opens && !t.closes:
		s.open = append(s.open, t.name)
	case t.closes && !t.opens && (depth == 0 || s.open[depth-1] != t.name):
		return unfit("the end of " + brief(t.name) + " in the MPD ends nothing")
	case t.closes && !t.opens:
		s.open = s.open[:depth-1]
	}
	s.done = len(s.open) == 0
	return nil
}

// peek is the byte at hand, 0 at the end.
func (s *xmlScanner) peek() byte {
	if s.at < len(s.text) {
		return s.text[s.at]
	}
	return 0
}

func (s *xmlScanner) space() bool {
	from := s.at
	for s.at < len(s.text) && strings.IndexByte(" \t\r\n", s.text[s.at]) >= 0 {
		s.at++
	}
	return s.at > from
}

// word is a name of the letters that MPDs use, with its prefix.
func (s *xmlScanner) word() string {
	from := s.at
	for s.at < len(s.text) && only(string(s.text[s.at]), ":") && s.text[s.at] != '~' {
		s.at++
	}
	return string(s.text[from:s.at])
}

// value is what an attribute says, its entities resolved; empty without the attribute.
func (s *xmlScanner) value(t xmlTag, name string) (string, error) {
	for _, a := range t.attributes {
		if a.name == name {
			v, _, err := unescape(s.text[a.start:a.end])
			return v, err
		}
	}
	return "", nil
}

// entities are those of every XML document (XML 1.0 §4.6).
var entities = map[string]rune{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// unescape resolves character and predefined entity references. places says where in raw each byte of the result starts, and where the last
// one ends; it is nil where that is the same place.
func unescape(raw []byte) (text string, places []int, err error) {
	if bytes.IndexByte(raw, '&') < 0 {
		return string(raw), nil, nil
	}
	var b strings.Builder
	for at := 0; at < len(raw); {
		if raw[at] != '&' {
			places = append(places, at)
			b.WriteByte(raw[at])
			at++
			continue
		}
		name, _, ended := strings.Cut(string(raw[at+1:min(len(raw), at+12)]), ";")
		r, known := entities[name]
		if !known && ended {
			r, known = character(name)
		}
		if !ended || !known {
			return "", nil, unfit("the MPD has an entity that it doesn't define")
		}
		for range utf8.RuneLen(r) {
			places = append(places, at)
		}
		b.WriteRune(r)
		at += len("&;") + len(name)
	}
	return b.String(), append(places, len(raw)), nil
}

// character is that of "#38" or "#x26".
func character(name string) (rune, bool) {
	digits, base := strings.TrimPrefix(name, "#"), 10
	if hex, ok := strings.CutPrefix(digits, "x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 32)
	if err != nil || !strings.HasPrefix(name, "#") || !(n >= ' ' || n == '\t' || n == '\n' || n == '\r') || !utf8.ValidRune(rune(n)) {
		return 0, false
	}
	return rune(n), true
}

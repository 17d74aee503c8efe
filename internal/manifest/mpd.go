package manifest

import (
	"bytes"
	"slices"
	"strings"
)

// mpdReferring are the elements of an MPD whose attributes are references or templates of them (ISO/IEC 23009-1 §5.3.9).
var mpdReferring = map[string][]string{
	"SegmentTemplate":     {"media", "initialization", "index", "bitstreamSwitching"},
	"SegmentURL":          {"media", "index"},
	"Initialization":      {"sourceURL"},
	"RepresentationIndex": {"sourceURL"},
	"BitstreamSwitching":  {"sourceURL"},
}

// mpdContaining are the elements whose text is a reference (§5.3.1.2, §5.6).
var mpdContaining = []string{"BaseURL", "Location", "PatchLocation"}

// CutMPD makes the template of an MPD. The template keeps text, which must not be changed afterwards. It costs one pass.
// Elements with a prefix are others' and stay as they are; the root must be an MPD without one.
func CutMPD(text []byte) (*Template, error) {
	s, err := scanXML(text)
	if err != nil {
		return nil, err
	}
	t := &Template{text: text, escape: true}
	root := true
	for {
		tag, more, err := s.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return t, nil
		}
		if !tag.opens {
			continue
		}
		if root && tag.name != "MPD" {
			return nil, unfit("its root is " + brief(tag.name) + " and not MPD")
		}
		root = false
		if err := t.element(s, tag); err != nil {
			return nil, err
		}
	}
}

// element adds the references of one element.
func (t *Template) element(s *xmlScanner, tag xmlTag) error {
	for _, a := range tag.attributes {
		switch {
		case a.name == "xml:base":
			return unfit("the MPD has an xml:base")
		case a.name == "xlink:href" || slices.Contains(mpdReferring[tag.name], a.name):
			if err := t.span(a.start, a.end); err != nil {
				return err
			}
		}
	}
	if tag.name == "Representation" {
		return identified(s, tag)
	}
	if tag.closes || !slices.Contains(mpdContaining, tag.name) {
		return nil
	}
	start, end, err := s.content(tag)
	if err != nil {
		return err
	}
	if tag.name == "BaseURL" {
		ref, _, err := unescape(t.text[start:end])
		if err != nil {
			return err
		}
		if foreign(ref) {
			return unfit("its BaseURL " + brief(ref) + " is of another host")
		}
		if folder(ref) {
			return t.check(ref)
		}
	}
	return t.span(start, end)
}

// span adds the reference that is written from byte start to byte end.
func (t *Template) span(start, end int) error {
	ref, places, err := unescape(t.text[start:end])
	if err != nil {
		return err
	}
	return t.reference(ref, func(n int) int {
		if places == nil {
			return start + n
		}
		return start + places[n]
	})
}

// check refuses a reference that isn't one, where no query goes behind it.
func (t *Template) check(ref string) error {
	if !uri(ref) {
		return unfit("the reference " + brief(ref) + " has characters that no URI has")
	}
	return nil
}

// folder reports whether a reference ends in a slash or a dot element, and so names no file.
func folder(ref string) bool {
	path, _, _ := strings.Cut(ref, "#")
	path, _, _ = strings.Cut(path, "?")
	last := path[strings.LastIndexByte(path, '/')+1:]
	return last == "" || last == "." || last == ".."
}

// identified refuses the id of a representation that would, put for $RepresentationID$, make a reference to another host or move its query.
func identified(s *xmlScanner, tag xmlTag) error {
	id, err := s.value(tag, "id")
	if err != nil {
		return err
	}
	if id == "" || strings.HasPrefix(id, "/") || !only(id, "%/@!$&'()*+,;=") {
		return unfit("the representation's id " + brief(id) + " can't be part of a URI")
	}
	return nil
}

// content is where the text of an element lies that holds nothing but text, without the spaces around it.
func (s *xmlScanner) content(tag xmlTag) (start, end int, err error) {
	n := bytes.IndexByte(s.text[tag.end:], '<')
	if n < 0 || !bytes.HasPrefix(s.text[tag.end+n:], []byte("</")) {
		return 0, 0, unfit("its " + tag.name + " holds more than text")
	}
	raw := s.text[tag.end : tag.end+n]
	start = tag.end + n - len(bytes.TrimLeft(raw, " \t\r\n"))
	end = start + len(bytes.Trim(raw, " \t\r\n"))
	return start, end, nil
}

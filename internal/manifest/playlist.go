package manifest

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// playlistLine is one line of a playlist, without its end.
type playlistLine struct {
	start, end int // bytes into the text
	next       int // where the following line starts
	text       []byte
}

// playlistLines splits a playlist into lines, in one pass, and refuses what isn't one (RFC 8216 §4.1): it begins with #EXTM3U, is
// UTF-8 without a byte order mark, and has no control characters but LF and CR LF at the ends of lines.
func playlistLines(text []byte) ([]playlistLine, error) {
	if !utf8.Valid(text) {
		return nil, unfit("the playlist isn't UTF-8")
	}
	list := make([]playlistLine, 0, bytes.Count(text, []byte{'\n'})+1)
	for at := 0; at < len(text); {
		l := playlistLine{start: at, end: len(text), next: len(text)}
		if n := bytes.IndexByte(text[at:], '\n'); n >= 0 {
			l.end, l.next = at+n, at+n+1
			if l.end > at && text[l.end-1] == '\r' {
				l.end--
			}
		}
		l.text = text[at:l.end]
		if controlled(l.text) {
			return nil, unfit("the playlist has control characters")
		}
		list = append(list, l)
		at = l.next
	}
	if len(list) == 0 || string(list[0].text) != "#EXTM3U" {
		return nil, unfit("the playlist doesn't begin with #EXTM3U")
	}
	return list, nil
}

// controlled reports whether text has control characters: U+0000 to U+001F, U+007F to U+009F, and the line and paragraph separators, at which scripts end a line.
func controlled(text []byte) bool {
	for i, c := range text {
		if c < ' ' || c == 0x7f {
			return true
		}
		if c == 0xc2 && text[i+1] < 0xa0 {
			return true
		}
		if c == 0xe2 && text[i+1] == 0x80 && (text[i+2] == 0xa8 || text[i+2] == 0xa9) {
			return true
		}
	}
	return false
}

// tag splits "#EXT-X-MAP:URI=…" into its name and its value, which starts at byte offset of the line. The name is empty for a
// comment and for a URI.
func (l playlistLine) tag() (name, value []byte, offset int) {
	if !bytes.HasPrefix(l.text, []byte("#EXT")) {
		return nil, nil, 0
	}
	name, value, _ = bytes.Cut(l.text[1:], []byte{':'})
	return name, value, len(l.text) - len(value)
}

// uri reports whether the line is a reference: neither empty nor a tag nor a comment.
func (l playlistLine) uri() bool { return len(l.text) > 0 && l.text[0] != '#' }

// attribute is one of an attribute list (RFC 8216 §4.2).
type attribute struct {
	name  []byte
	value []byte // without the quotes
	at    int    // where value starts, bytes into the list
}

// attributes reads an attribute list, strictly: no spaces between, no name twice.
func attributes(list []byte) ([]attribute, error) {
	var found []attribute
	for at := 0; ; at++ {
		equals := bytes.IndexByte(list[at:], '=')
		if equals <= 0 || !attributeName(list[at:at+equals]) {
			return nil, unfit("the attributes " + brief(string(list)) + " can't be read")
		}
		a := attribute{name: list[at : at+equals], at: at + equals + 1}
		end := len(list)
		if a.at < len(list) && list[a.at] == '"' {
			a.at++
			length := bytes.IndexByte(list[a.at:], '"')
			if length < 0 {
				return nil, unfit("a quoted string of " + brief(string(list)) + " has no end")
			}
			a.value = list[a.at : a.at+length]
			end = a.at + length + 1
		} else {
			if comma := bytes.IndexByte(list[a.at:], ','); comma >= 0 {
				end = a.at + comma
			}
			a.value = list[a.at:end]
			if bytes.ContainsAny(a.value, `" `) {
				return nil, unfit("the attributes " + brief(string(list)) + " can't be read")
			}
		}
		for _, other := range found {
			if bytes.Equal(other.name, a.name) {
				return nil, unfit("an attribute comes twice in " + brief(string(list)))
			}
		}
		found = append(found, a)
		if end == len(list) {
			return found, nil
		}
		if list[end] != ',' {
			return nil, unfit("the attributes " + brief(string(list)) + " can't be read")
		}
		at = end
	}
}

// attributeName reports whether name is of A to Z, 0 to 9 and "-".
func attributeName(name []byte) bool {
	for _, c := range name {
		if !('A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// referring are the tags with references, and the attributes that hold them: RFC 8216 §4.3, draft-pantos-hls-rfc8216bis §4.4, and the Image
// Media Playlist specification 0.4 (EXT-X-IMAGE-STREAM-INF).
var referring = map[string][]string{
	"EXT-X-MEDIA":              {"URI"},
	"EXT-X-I-FRAME-STREAM-INF": {"URI"},
	"EXT-X-IMAGE-STREAM-INF":   {"URI"},
	"EXT-X-SESSION-DATA":       {"URI"},
	"EXT-X-SESSION-KEY":        {"URI"},
	"EXT-X-KEY":                {"URI"},
	"EXT-X-MAP":                {"URI"},
	"EXT-X-PART":               {"URI"},
	"EXT-X-PRELOAD-HINT":       {"URI"},
	"EXT-X-RENDITION-REPORT":   {"URI"},
	"EXT-X-CONTENT-STEERING":   {"SERVER-URI"},
	"EXT-X-DATERANGE":          {"X-ASSET-URI", "X-ASSET-LIST"},
}

// CutPlaylist makes the template of an HLS playlist of any sort. The template keeps text, which must not be changed afterwards.
// It costs one pass.
func CutPlaylist(text []byte) (*Template, error) {
	lines, err := playlistLines(text)
	if err != nil {
		return nil, err
	}
	t := &Template{text: text, cuts: make([]cut, 0, len(lines)/2)}
	for _, l := range lines {
		if l.uri() {
			if err := t.reference(string(l.text), func(n int) int { return l.start + n }); err != nil {
				return nil, err
			}
			continue
		}
		name, value, offset := l.tag()
		holders := referring[string(name)]
		if holders == nil {
			continue
		}
		list, err := attributes(value)
		if err != nil {
			return nil, err
		}
		for _, a := range list {
			if !slices.Contains(holders, string(a.name)) {
				continue
			}
			start := l.start + offset + a.at
			if err := t.reference(string(a.value), func(n int) int { return start + n }); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

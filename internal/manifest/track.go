package manifest

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

// pictureEndings are the files that a track of pictures names.
var pictureEndings = []string{".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif"}

// CutTrack cuts a WebVTT file (https://www.w3.org/TR/webvtt1/#file-structure). Of captions nothing refers to anything, and there are no cuts. A track of pictures (a storyboard) has
// cues whose whole text is one address of a picture, with "#xywh=x,y,w,h" behind it where that lies in a larger one (https://www.w3.org/TR/media-frags/#naming-space). What isn't
// spelled as a URI is text, and stays as it is.
func CutTrack(text []byte) (*Template, error) {
	t := &Template{text: slices.Clone(text)}
	lines, err := trackLines(t.text)
	if err != nil {
		return nil, err
	}
	for i, l := range lines {
		cue := i > 0 && bytes.Contains(lines[i-1].text, []byte("-->"))
		alone := i+1 == len(lines) || len(lines[i+1].text) == 0
		if ref := string(l.text); cue && alone && pictured(ref) {
			if err := t.reference(ref, func(n int) int { return l.start + n }); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// pictured reports whether a cue's text is the address of a picture and nothing else.
func pictured(cue string) bool {
	if !uri(cue) {
		return false
	}
	whole, fragment, marked := strings.Cut(cue, "#")
	path, _, _ := strings.Cut(whole, "?")
	at := strings.LastIndexByte(path, '.')
	return at >= 0 && slices.Contains(pictureEndings, strings.ToLower(path[at:])) && (!marked || strings.HasPrefix(fragment, "xywh="))
}

// trackLine is one line of a WebVTT file, without its end.
type trackLine struct {
	start int // bytes into the text
	text  []byte
}

// trackLines splits a WebVTT file into lines, which end with CR LF, LF or CR, and refuses what isn't one (https://www.w3.org/TR/webvtt1/#file-parsing): it is UTF-8, and begins with WEBVTT.
func trackLines(text []byte) ([]trackLine, error) {
	head := bytes.TrimPrefix(text, []byte("\ufeff"))
	rest, ok := bytes.CutPrefix(head, []byte("WEBVTT"))
	if !ok || len(rest) > 0 && !bytes.ContainsRune([]byte(" \t\r\n"), rune(rest[0])) {
		return nil, unfit("the track doesn't begin with WEBVTT")
	}
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, unfit("the track isn't UTF-8")
	}
	lines := make([]trackLine, 0, bytes.Count(text, []byte{'\n'})+1)
	for at := 0; at < len(text); {
		end, next := len(text), len(text)
		if n := bytes.IndexAny(text[at:], "\r\n"); n >= 0 {
			end, next = at+n, at+n+1
			if text[end] == '\r' && next < len(text) && text[next] == '\n' {
				next++
			}
		}
		lines = append(lines, trackLine{start: at, text: text[at:end]})
		at = next
	}
	return lines, nil
}

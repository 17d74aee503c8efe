package manifest

import (
	"slices"
	"strconv"
	"strings"
)

// variant is a line or two of a multivariant playlist that a Choice is about.
type variant struct {
	candidate
	start, end int // bytes into the text, the line's end included
	groups     []string
}

// multivariant is a multivariant playlist as a Choice sees it. What is in none of its lists stays.
type multivariant struct {
	variants []variant // EXT-X-STREAM-INF and its reference
	tricks   []variant // EXT-X-I-FRAME-STREAM-INF
	media    []variant // EXT-X-MEDIA: groups is its own
}

// Playlist applies the Choice to a multivariant playlist. Lines stay byte for byte; the variants stand together where the first
// one stood. I-frame playlists keep to the same limits, and renditions in groups to which no variant refers any more are left out. Image
// playlists, which are smaller than any cap, stay. Another playlist is returned as it is.
func (c Choice) Playlist(text []byte) ([]byte, error) {
	m, err := readMultivariant(text)
	if err != nil {
		return nil, err
	}
	if len(m.variants) == 0 {
		return text, nil
	}
	list := candidates(m.variants)
	l := c.limit(list)
	var body []byte
	var used []string
	for _, i := range c.pick(list, l) {
		v := m.variants[i]
		body = append(body, text[v.start:v.end]...)
		used = append(used, v.groups...)
	}
	gone := slices.Clone(m.variants)
	for _, t := range m.tricks {
		if l.allow(t.candidate) {
			used = append(used, t.groups...)
		} else {
			gone = append(gone, t)
		}
	}
	for _, r := range m.media {
		if !slices.Contains(used, r.groups[0]) {
			gone = append(gone, r)
		}
	}
	slices.SortFunc(gone, func(a, b variant) int { return a.start - b.start })
	out := make([]byte, 0, len(text))
	from := 0
	for _, g := range gone {
		out = append(out, text[from:g.start]...)
		if g.start == m.variants[0].start {
			out = append(out, body...)
		}
		from = g.end
	}
	return append(out, text[from:]...), nil
}

func candidates(variants []variant) []candidate {
	list := make([]candidate, len(variants))
	for i, v := range variants {
		list[i] = v.candidate
	}
	return list
}

func readMultivariant(text []byte) (*multivariant, error) {
	lines, err := playlistLines(text)
	if err != nil {
		return nil, err
	}
	m := &multivariant{}
	for i, l := range lines {
		name, value, _ := l.tag()
		if !slices.Contains([]string{"EXT-X-STREAM-INF", "EXT-X-I-FRAME-STREAM-INF", "EXT-X-MEDIA"}, string(name)) {
			continue
		}
		list, err := attributes(value)
		if err != nil {
			return nil, err
		}
		say := map[string]string{}
		for _, a := range list {
			say[string(a.name)] = string(a.value)
		}
		v := variant{start: l.start, end: l.next}
		if string(name) == "EXT-X-MEDIA" {
			v.groups = []string{say["TYPE"] + " " + say["GROUP-ID"]}
			m.media = append(m.media, v)
			continue
		}
		if err := v.describe(say); err != nil {
			return nil, err
		}
		if string(name) == "EXT-X-I-FRAME-STREAM-INF" {
			m.tricks = append(m.tricks, v)
			continue
		}
		if i+1 == len(lines) || !lines[i+1].uri() {
			return nil, unfit("a variant has no reference")
		}
		v.end = lines[i+1].next
		if text[v.end-1] != '\n' { // the last line needs no end, but may come to stand before others
			return nil, unfit("the last line has no end")
		}
		m.variants = append(m.variants, v)
	}
	return m, nil
}

// describe reads what a variant says of itself (RFC 8216 §4.3.4.2).
func (v *variant) describe(say map[string]string) error {
	v.codecs = say["CODECS"]
	for _, sort := range []string{"AUDIO", "VIDEO", "SUBTITLES", "CLOSED-CAPTIONS"} {
		if group, ok := say[sort]; ok {
			v.groups = append(v.groups, sort+" "+group)
		}
	}
	rate := say["AVERAGE-BANDWIDTH"]
	if rate == "" {
		rate = say["BANDWIDTH"]
	}
	var err error
	if v.rate, err = strconv.ParseInt(rate, 10, 64); err != nil || v.rate < 0 {
		return unfit("a variant doesn't say its bandwidth")
	}
	size, ok := say["RESOLUTION"]
	if !ok {
		if v.short = unknown; sound(v.codecs) {
			v.short = 0
		}
		return nil
	}
	w, h, _ := strings.Cut(size, "x")
	if v.short, ok = short(w, h); !ok {
		return unfit("the resolution " + brief(size) + " can't be read")
	}
	return nil
}

// short is the short side of a picture of w by h pixels.
func short(w, h string) (int, bool) {
	width, err := strconv.ParseUint(w, 10, 31)
	height, err2 := strconv.ParseUint(h, 10, 31)
	return int(min(width, height)), err == nil && err2 == nil && min(width, height) > 0
}

// sound reports whether a list of codecs has sound and nothing else.
func sound(codecs string) bool {
	for codec := range strings.SplitSeq(codecs, ",") {
		if family(strings.TrimSpace(codec))&soundCodecs == 0 {
			return false
		}
	}
	return true
}

package delivery

import (
	"net/url"
	"path"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/internal/video"
)

// The same tree has one name at the edge and another in the bucket.
const (
	edgeRoot   = "/stream/"
	bucketRoot = "streams/"
)

// longestKey is S3's limit, in bytes.
const longestKey = 1024

// kinds are the media types of what a generation holds (RFC 8216 §4, ISO/IEC 23009-1 Annexes C and D); a file of another kind isn't delivered.
var kinds = map[string]string{
	".m3u8": "application/vnd.apple.mpegurl",
	".mpd":  "application/dash+xml",
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
	".jpg":  "image/jpeg",
}

// generation is one encode of one video, as an address names it.
type generation struct {
	folder string // "<stem>-<video id>", or a playback id
	n      int    // from 1
}

func (g generation) String() string { return g.folder + "/" + strconv.Itoa(g.n) }

// target is what a path asks for.
type target struct {
	generation
	key  string // in the media bucket
	kind string // Content-Type
}

// parse reads the path of a request, decoded once. It refuses every second spelling of a path: encoded slashes, empty and dot
// elements, backslashes, control characters, numbers with leading zeros.
func parse(u *url.URL) (target, bool) {
	raw := strings.ToLower(u.EscapedPath())
	if strings.Contains(raw, "%2f") || strings.Contains(raw, "%5c") {
		return target{}, false
	}
	below, ok := strings.CutPrefix(u.Path, edgeRoot)
	if !ok || len(bucketRoot)+len(below) > longestKey || !plain(below) {
		return target{}, false
	}
	elements := strings.Split(below, "/")
	if len(elements) < 3 {
		return target{}, false
	}
	for i, e := range elements {
		// No output's name begins with a dot; that of a video may, if its file was a hidden one.
		if e == "" || e == "." || e == ".." || i > 0 && e[0] == '.' {
			return target{}, false
		}
	}
	ok = owned(elements[0])
	n, err := strconv.Atoi(elements[1])
	kind, known := kinds[path.Ext(below)]
	if !ok || !known || err != nil || n < 1 || strconv.Itoa(n) != elements[1] {
		return target{}, false
	}
	return target{generation: generation{elements[0], n}, key: bucketRoot + below, kind: kind}, true
}

// plain reports whether s can be (part of) a key: UTF-8 with no control characters and no backslash.
func plain(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == '\\' || unicode.IsControl(r) })
}

// owned reports whether a folder is "<stem>-<id>"; playback ids have that form too.
func owned(folder string) bool {
	_, ok := video.ParseID(folder[strings.LastIndexByte(folder, '-')+1:])
	return ok && folder != "" && strings.IndexByte(folder, '-') >= 0
}

// URL is the address at the edge of an object of the media bucket, each element of its key escaped: edge is where the edge
// is reached ("https://cdn.example", with or without a final slash), key an object below "streams/". It is empty for any
// other key, the empty one too: a video without a picture has no poster.
func URL(edge, key string) string {
	below, ok := strings.CutPrefix(key, bucketRoot)
	if !ok || below == "" {
		return ""
	}
	elements := strings.Split(below, "/")
	for i, e := range elements {
		elements[i] = url.PathEscape(e)
	}
	return strings.TrimSuffix(edge, "/") + edgeRoot + strings.Join(elements, "/")
}

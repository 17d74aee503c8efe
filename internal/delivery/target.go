package delivery

import (
	"net/url"
	"path"
	"strconv"
	"strings"

	"sluice/internal/signing"
	"sluice/internal/video"
)

// The same tree has one name at the edge and another in the bucket.
const (
	edgeRoot   = "/stream/"
	bucketRoot = "streams/"
)

// longestKey is S3's limit, in bytes.
const longestKey = 1024

// The kinds that are rewritten.
const (
	playlistKind = "application/vnd.apple.mpegurl"
	mpdKind      = "application/dash+xml"
	trackKind    = "text/vtt"
)

// kinds are the media types of what a generation holds (RFC 8216 §4, ISO/IEC 23009-1 Annexes C and D, WebVTT §10.1); a file of another kind isn't delivered.
var kinds = map[string]string{
	".m3u8": playlistKind,
	".mpd":  mpdKind,
	".m4s":  "video/iso.segment",
	".mp4":  "video/mp4",
	".vtt":  trackKind, // always UTF-8
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
	file string // below the generation: "1080p/00001.m4s"
	kind string // Content-Type
}

// key is the object in the media bucket, below a video's prefix.
func (t target) key(prefix string) string { return prefix + "/" + strconv.Itoa(t.n) + "/" + t.file }

// manifest reports whether it is a playlist or MPD.
func (t target) manifest() bool { return t.kind == playlistKind || t.kind == mpdKind }

// rewritten reports whether references in it are signed: those of manifests, and of tracks of pictures.
func (t target) rewritten() bool { return t.manifest() || t.kind == trackKind }

// choosable reports whether it lists rungs: a manifest that isn't in the folder of a rung.
func (t target) choosable() bool { return t.manifest() && strings.IndexByte(t.file, '/') < 0 }

// rung is the folder of a rung or track, "1080p/"; empty for what is in none.
func (t target) rung() string { return t.file[:strings.IndexByte(t.file, '/')+1] }

// parse reads a normalised path. It refuses what isn't exactly a file of a generation: hidden files, numbers with leading zeros, unknown kinds.
func parse(p signing.Path) (target, bool) {
	whole := p.String()
	if strings.IndexByte(whole, '%') >= 0 {
		decoded, err := url.PathUnescape(whole)
		if err != nil {
			return target{}, false
		}
		whole = decoded
	}
	below, ok := strings.CutPrefix(whole, edgeRoot)
	if !ok || len(bucketRoot)+len(below) > longestKey {
		return target{}, false
	}
	folder, rest, _ := strings.Cut(below, "/")
	number, file, _ := strings.Cut(rest, "/")
	// No output's name begins with a dot; that of a video may, if its file was a hidden one.
	if file == "" || file[0] == '.' || strings.Contains(file, "/.") || strings.HasSuffix(file, "/") {
		return target{}, false
	}
	n, err := strconv.Atoi(number)
	kind, known := kinds[path.Ext(file)]
	if !owned(folder) || !known || err != nil || n < 1 || strconv.Itoa(n) != number {
		return target{}, false
	}
	return target{generation: generation{folder, n}, file: file, kind: kind}, true
}

// owned reports whether a folder is "<stem>-<id>"; playback ids have that form too.
func owned(folder string) bool {
	at := strings.LastIndexByte(folder, '-')
	if at < 0 {
		return false
	}
	_, ok := video.ParseID(folder[at+1:])
	return ok
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

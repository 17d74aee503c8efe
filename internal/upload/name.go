package upload

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/text"
	"sluice/internal/video"
)

// DefaultSuffixes are the endings of video and audio files whose containers docs/FORMATS.md lists.
func DefaultSuffixes() []string {
	return []string{
		".mp4", ".m4v", ".mov", ".qt", ".mkv", ".webm", ".avi", ".wmv", ".asf", ".flv", ".f4v", ".mpg", ".mpeg", ".m2v", ".vob", ".ts", ".m2ts",
		".mts", ".3gp", ".3g2", ".ogv", ".mxf", ".dv", ".mp3", ".m4a", ".aac", ".wav", ".flac", ".ogg", ".oga", ".opus", ".wma", ".aif", ".aiff",
		".mk3d", ".divx", ".dvr-ms", ".wtv", ".m1v", ".m2t", ".m2p", ".mpe", ".mod", ".tod", ".trp", ".ty", ".pva", ".3gpp", ".3gp2", ".ogm", ".ogx",
		".rm", ".rmvb", ".gxf", ".lxf", ".nut", ".nuv", ".nsv", ".dav", ".cine", ".r3d", ".ismv", ".cmfv", ".lrv", ".insv", ".h264", ".264", ".avc",
		".h265", ".265", ".hevc", ".ivf", ".obu", ".y4m", ".vc1", ".drc", ".mj2",
		".mka", ".weba", ".m4b", ".m4r", ".f4a", ".isma", ".cmfa", ".mp2", ".mpa", ".ac3", ".eac3", ".ec3", ".dts", ".thd", ".mlp", ".amr", ".caf",
		".au", ".snd", ".w64", ".bwf", ".aifc", ".ape", ".tta", ".tak", ".wv", ".mpc", ".shn", ".dsf", ".dff", ".ra", ".spx", ".oma", ".voc", ".vqf", ".qcp",
	}
}

// Sizes of names, in bytes: a file's name may have 255, of which the storage needs some beside ours while it writes.
const (
	longestFilename = 1024
	longestKeyName  = 180
	longestStem     = 100
)

// check returns the name of the source, or why it isn't taken.
func (d *Service) check(r Request) (string, error) {
	const op = "upload.grant"
	if len(r.Filename) > longestFilename || !utf8.ValidString(r.Filename) {
		return "", fault.New(fault.Invalid, op, "bad_filename", "The filename is too long or isn't UTF-8; send the file's plain name.", nil)
	}
	name := clean(r.Filename[strings.LastIndexAny(r.Filename, `/\`)+1:])
	if name == "" {
		return "", fault.New(fault.Invalid, op, "bad_filename", "The filename is empty; send the file's name with its suffix.", nil)
	}
	if s := suffix(name); !d.suffixes[s] {
		return "", fault.New(fault.Unsupported, op, "unsupported_type",
			fmt.Sprintf("Files ending in %q do not become videos here; upload one ending in %s.", s, d.examples()), nil)
	}
	if r.ContentType != "" {
		if _, _, err := mime.ParseMediaType(r.ContentType); err != nil {
			return "", fault.New(fault.Invalid, op, "bad_content_type", "The content type isn't one; send one such as video/mp4, or none.", err)
		}
	}
	if r.Size < 0 {
		return "", fault.New(fault.Invalid, op, "bad_size", "The size is negative; send the file's size in bytes, or none.", nil)
	}
	limit := d.MaxBytes
	if most := d.SinglePut * bucket.MostParts; most > 0 && (limit == 0 || most < limit) {
		limit = most
	}
	if limit > 0 && r.Size > limit {
		return "", fault.New(fault.TooLarge, op, "too_large",
			fmt.Sprintf("The file has %d bytes and the limit is %d; upload a smaller one.", r.Size, limit), nil)
	}
	return name, r.Settings.Validate()
}

// examples names a few suffixes, for a message.
func (d *Service) examples() string {
	const few = 5
	if len(d.Suffixes) <= few {
		return strings.Join(d.Suffixes, ", ")
	}
	return strings.Join(d.Suffixes[:few], ", ") + " and the like"
}

// starts reports whether an object is one that becomes a video: in the uploads bucket, with a known suffix or a key of ours,
// which Grant made for a name it took. What is no text that every database can keep (PostgreSQL, 8.3: no NUL, and UTF-8 alone) is no such key: one of them
// would fail all that is told or compared with it, again and again.
func (d *Service) starts(from, key string) bool {
	if from != d.Bucket || strings.HasSuffix(key, "/") || strings.Contains(key, "\x00") || !utf8.ValidString(key) {
		return false
	}
	_, _, granted := cutGrant(key)
	return granted || d.suffixes[suffix(key)]
}

// cutGrant splits a key of the form that Grant makes, "<video id>/<name>".
func cutGrant(key string) (video.ID, string, bool) {
	first, name, ok := strings.Cut(key, "/")
	if !ok || name == "" || strings.Contains(name, "/") {
		return "", "", false
	}
	id, ok := video.ParseID(first)
	return id, name, ok
}

// nameOf is the name of the video that an object becomes.
func nameOf(key string) string {
	if _, name, ok := cutGrant(key); ok {
		return name
	}
	return key
}

// suffix is the ending of a name, from its last dot, in lower case.
func suffix(name string) string { return strings.ToLower(path.Ext(name)) }

// clean drops what no line of text may hold (text.Hidden) and blanks at the ends.
func clean(name string) string { return strings.TrimSpace(text.Without(name)) }

// shorten fits a name into an object's key, with its suffix.
func shorten(name string) string {
	ext := path.Ext(name)
	stem := strings.TrimSuffix(name, ext)
	if stem == "" || stem == "." {
		stem = fallbackStem
	}
	return cut(stem, longestKeyName-len(ext)) + ext
}

const fallbackStem = "video"

var escapes = regexp.MustCompile(`%([0-9A-Fa-f]{2})`)

// Stem is the readable part of where a video's outputs lie: the source's name without its suffix, slashes as dashes, nothing that can't be seen, no
// dots or blanks at its ends, at most 100 bytes, never empty. What looks like an escape of a URL ("%2F") has a dash for its percent sign: the edge takes no
// address that means something else when it is decoded twice.
func Stem(name string) string {
	name = strings.NewReplacer("/", "-", `\`, "-").Replace(strings.TrimSuffix(name, path.Ext(name)))
	const ends = ". \t\u00a0\u3000"
	stem := strings.Trim(escapes.ReplaceAllString(clean(name), "-$1"), ends)
	stem = strings.TrimRight(cut(stem, longestStem), ends)
	if stem == "" {
		return fallbackStem
	}
	return stem
}

// Prefix is where a video's outputs lie in the media bucket, without a slash at its end.
func Prefix(name string, id video.ID) string { return "streams/" + Stem(name) + "-" + string(id) }

// cut returns the longest beginning of s of at most n bytes that splits no rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// PinKey is where one accepted write is pinned: the same for the same write, another for any other.
func PinKey(o bucket.Object) string {
	id := strings.Join([]string{o.Bucket, o.Key, o.ETag, strconv.FormatInt(o.Modified.Unix(), 10)}, "\x00")
	sum := sha256.Sum256([]byte(id))
	return PinPrefix + hex.EncodeToString(sum[:16])
}

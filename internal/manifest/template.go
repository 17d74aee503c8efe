package manifest

import (
	"net/url"
	"slices"
	"strings"

	"sluice/internal/fault"
)

// Template is a stored playlist, MPD or track of text, cut once at the places where a query goes behind its references, so that signing
// it for a viewer is a copy: pieces of the text and the query in turn. It never changes and may be used by many at once.
//
// What gets the query is every reference that a player fetches from the host that the manifest came from: variants,
// renditions, I-frame and image playlists, maps, keys, session data, parts and hints, segments; in an MPD templates, lists,
// index and initialization files, sidecar files named by a BaseURL, Location and remote elements; in a track of pictures each picture.
//
//   - The query goes before a fragment, behind "?" or, where the reference has a query of its own, "&". Byte ranges and
//     everything else keep their bytes. In an MPD it is escaped for XML, and template identifiers stay what they are.
//   - A reference with a scheme or an authority ("https://…", "//…", "skd:", "data:", "urn:") is foreign: it stays as it is,
//     because a signature given to another host is given away.
//   - An empty one, or a mere fragment, is the manifest itself, and stays. So does a BaseURL that ends in a slash: it names a folder,
//     and what is resolved against it drops its query (RFC 3986 §5.2.2).
//   - Refused as manifest_unfit is what two readers may read in two ways, since one of them might send the signature
//     elsewhere: characters that no URI has (RFC 3986 §2), backslashes, lone carriage returns, a foreign BaseURL or an xml:base, a
//     document type, CDATA, attributes that come twice.
type Template struct {
	text    []byte
	cuts    []cut
	folders []string
	taken   []string // names of the parameters that references have of their own
	escape  bool     // the text is XML
}

// cut is a place in the text where a query goes.
type cut struct {
	at     int    // bytes into the text
	join   string // what goes before the query: "?", "&" or nothing
	folder int    // in Template.folders
}

// Signer makes the query of all references into one folder: "Policy=…&Signature=…&Key-Pair-Id=…", without "?". The folder is
// written as in the references, up to the last slash: "1080p/", "../", "" for that of the manifest itself (or of a BaseURL, where
// there is one). Sign asks once for each. An empty query leaves the folder's references alone; an error ends Sign.
//
// A template of an MPD may leave its folder open ("$RepresentationID$/"). A signer that tells folders apart must refuse it:
// its one query would open all of them. Sluice's own MPDs have none.
type Signer func(folder string) (query string, err error)

// Everywhere signs all folders with one query, made under a policy whose wildcard covers them.
func Everywhere(query string) Signer {
	return func(string) (string, error) { return query, nil }
}

// Refers reports whether there is anything to sign. There isn't in captions.
func (t *Template) Refers() bool { return len(t.cuts) > 0 }

// Folders are the folders that the manifest refers to, each once, in the order of their first references.
func (t *Template) Folders() []string { return slices.Clone(t.folders) }

// Sign appends the manifest to dst, each reference with its folder's query. It costs a check of each folder's query and one
// copy, and allocates where dst has no room.
//
// A query is name=value pairs of unreserved characters (RFC 3986 §2.3) and percent-encoded ones, joined by "&": what it can't hold can't end a
// quoted string, an attribute or a template. Any other is refused as query_unfit, and so is one with a parameter that a
// reference already has: two of one name are read in two ways.
func (t *Template) Sign(dst []byte, sign Signer) ([]byte, error) {
	queries := make([]string, len(t.folders))
	before := ""
	for i, folder := range t.folders {
		query, err := sign(folder)
		if err != nil {
			return nil, err
		}
		if i > 0 && query == before {
			queries[i] = queries[i-1]
			continue
		}
		if err := t.fits(query); err != nil {
			return nil, err
		}
		queries[i], before = t.written(query), query
	}
	and := t.written("&")
	size := len(t.text)
	for _, c := range t.cuts {
		size += len(and) + len(queries[c.folder])
	}
	dst = slices.Grow(dst, size)
	from := 0
	for _, c := range t.cuts {
		query := queries[c.folder]
		if query == "" {
			continue
		}
		dst = append(dst, t.text[from:c.at]...)
		if c.join == "&" {
			dst = append(dst, and...)
		} else {
			dst = append(dst, c.join...)
		}
		dst = append(dst, query...)
		from = c.at
	}
	return append(dst, t.text[from:]...), nil
}

// written is a query as the text spells it.
func (t *Template) written(query string) string {
	if !t.escape {
		return query
	}
	return strings.ReplaceAll(query, "&", "&amp;")
}

// fits refuses a query that can't go behind every reference of the manifest.
func (t *Template) fits(query string) error {
	if query == "" {
		return nil
	}
	for pair := range strings.SplitSeq(query, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "" || !only(name, "") || !only(value, "%=") {
			return misfit("it isn't name=value pairs of unreserved characters")
		}
		if slices.Contains(t.taken, name) {
			return misfit("a reference of the manifest has the parameter " + name + " already")
		}
	}
	return nil
}

func misfit(why string) error {
	return fault.New(fault.Internal, "manifest.sign", "query_unfit",
		"The signature can't be put into the manifest: "+why+".", nil)
}

// only reports whether s is of unreserved characters (RFC 3986 §2.3) and those of more.
func only(s, more string) bool {
	for i := range len(s) {
		c := s[i]
		letter := '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && strings.IndexByte("-._~", c) < 0 && strings.IndexByte(more, c) < 0 {
			return false
		}
	}
	return true
}

// reference finds out where in ref its query goes, and adds the cut. place says where in the text a byte of ref, or its end, is.
func (t *Template) reference(ref string, place func(int) int) error {
	if !uri(ref) {
		return unfit("the reference " + brief(ref) + " has characters that no URI has")
	}
	if foreign(ref) {
		return nil
	}
	whole, _, _ := strings.Cut(ref, "#")
	if whole == "" {
		return nil
	}
	path, query, asked := strings.Cut(whole, "?")
	c := cut{at: place(len(whole)), join: "?"}
	if asked {
		c.join = "&"
		if query == "" || strings.HasSuffix(query, "&") {
			c.join = ""
		}
		if err := t.take(query); err != nil {
			return err
		}
	}
	folder := path[:strings.LastIndexByte(path, '/')+1]
	if c.folder = slices.Index(t.folders, folder); c.folder < 0 {
		c.folder = len(t.folders)
		t.folders = append(t.folders, folder)
	}
	t.cuts = append(t.cuts, c)
	return nil
}

// take notes the parameters that a reference has of its own.
func (t *Template) take(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		escaped, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(escaped)
		if err != nil {
			return unfit("the query " + brief(query) + " can't be read")
		}
		if name != "" && !slices.Contains(t.taken, name) {
			t.taken = append(t.taken, name)
		}
	}
	return nil
}

// uri reports whether ref has only characters of URIs (RFC 3986 §2). Browsers drop or turn some others (tabs, line ends,
// backslashes), which would make another host of a path.
func uri(ref string) bool { return only(ref, "%:/?#[]@!$&'()*+,;=") }

// foreign reports whether ref names its own scheme or host. A colon in the first element makes a scheme of what is before it (§4.2).
func foreign(ref string) bool {
	if strings.HasPrefix(ref, "//") {
		return true
	}
	at := strings.IndexAny(ref, ":/?#")
	return at >= 0 && ref[at] == ':'
}

// brief is the start of s, for a message.
func brief(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return "“" + strings.ToValidUTF8(s, "?") + "”"
}

// unfit is the fault of a stored manifest that can't be rewritten without a doubt.
func unfit(why string) error {
	return fault.New(fault.Internal, "manifest", "manifest_unfit",
		"The stored manifest can't be rewritten safely: "+why+". Encode the video again.", nil)
}

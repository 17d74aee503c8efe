// Package delivery is the edge: it serves the published generations of live videos to those who may watch them.
//
// Promise. GET and HEAD of /stream/<folder>/<generation>/<file> answer with one object of the media bucket, below the prefix of the video that the folder
// names ("<stem>-<id>", or a playback id), and nothing else is ever read: a path has one spelling (signing.Normalize), that string is verified, and that
// string is served. Who may is decided before anything is read or looked up in a cache of contents: everybody (public), who has a signature or may see the video (signed), or who
// may see it, or has a grant of the server itself (members). A generation answers while it is published and not retired; a flip, a deletion, a new
// policy and a withdrawn playback are seen within two seconds, key pairs within thirty. What needs no proof, and what a trusted CDN asks for, may be cached by anyone; all else is private.
//
// Playlists and MPDs are filtered and ordered for the device, and where the signature is in the address, each of their references gets it too.
//
// Cost. One question to the catalog per generation and two seconds, however many ask; one public-key operation per signature, however often it is shown. A local object's file is kept
// open for some seconds and goes from the page cache to the socket right behind its header, where the server listens by Listen and no middleware hides net/http's ResponseWriter (else as http.ServeContent does it); a remote one is kept on
// this machine's disk, as much of it as was wanted, and fetched once for all who want it; where it can't be kept it costs a HEAD and a GET of just the wanted bytes. Manifests are kept in memory, up to a bound, cut where signatures go.
//
// Failure. Whatever isn't a proper path is a 404 problem document. Who can't prove to be somebody who may see a video gets a 403 with a reason, the same whether there is such a video or not;
// what isn't there is 404 to who could see it. While
// the catalog is away, what was good when it was last asked is served for a minute more; all else, and what lies in a bucket that is away, is 503. An object that breaks off while it is sent aborts the connection, so that
// nobody takes half a segment for a whole one. A client that takes nothing for thirty seconds is cut off.
package delivery

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// Config is what the edge needs.
type Config struct {
	Objects   Objects
	Playbacks Playbacks
	Keys      Keys
	// Viewer says who asks, by bearer token or session: false where a request says nobody. What it says wrongly is Unauthorized.
	Viewer      func(*http.Request) (account.Principal, bool, error)
	MediaBucket string
	Addresses   []string       // where the edge is reached, scheme and host; signatures are for the first, unless the Host header is that of another
	Pages       []string       // origins of the server's own pages: they play everything
	Origins     []string       // origins of others' pages that may send cookies along; "*" lets all others read what they have a signed address of
	Proxies     []netip.Prefix // whose X-Forwarded-For is believed
	CDN         CDN
	Stall       time.Duration // how long a client may take for each 256 KiB of an answer; 0: half a minute
	Now         func() time.Time
	Logger      *slog.Logger
}

// methods are what the edge answers to.
const methods = "GET, HEAD, OPTIONS"

// mostRanges bounds the parts of one answer: many small or overlapping ones cost the server far more than the client (RFC
// 9110 §17.15). Players ask for one.
const mostRanges = 8

type edge struct {
	Config
	addresses []*url.URL // hosts as signing.CanonicalHost has them
	secrets   [][sha256.Size]byte
	gate      *coalescingCache[generation, watched]
	keys      *keyring
	manifests *manifestCache
	described *descriptions
	viewers   *viewers
	open      openFiles
}

// watched is what the gate keeps.
type watched struct {
	video.Playback
	served bool
	marks  [2][]string // by which a CDN can be told to drop its answers: values of Surrogate-Key and Cache-Tag
}

// New makes the edge. It answers for paths below /stream/ and must not stand behind anything that rewrites them.
func New(c Config) (http.Handler, error) {
	c.Stall = cmp.Or(c.Stall, usualStall)
	e := &edge{Config: c, keys: newKeyring(c.Keys, c.Now), manifests: newManifestCache(manifestBytes), described: &descriptions{known: map[string]*list.Element{}}, viewers: &viewers{known: map[[sha256.Size]byte]*list.Element{}}, open: openFiles{every: keptOpenFor}}
	for _, a := range c.Addresses {
		u, err := url.Parse(a)
		if err != nil {
			return nil, err
		}
		e.addresses = append(e.addresses, &url.URL{Scheme: u.Scheme, Host: signing.CanonicalHost(u.Scheme, u.Host)})
	}
	for _, s := range c.CDN.Secrets {
		e.secrets = append(e.secrets, sha256.Sum256([]byte(s)))
	}
	ask := func(ctx context.Context, g generation) (w watched, err error) {
		w.Playback, w.served, err = c.Playbacks.Playback(ctx, g.folder, g.n)
		w.marks = marks(w.Playback, g.n)
		return w, err
	}
	e.gate = newCoalescingCache(ask, func(w watched) bool { return w.served && !w.Revoked }, freshFor, c.Now)
	return e, nil
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p := pace(w, e.Stall)
	defer p.end()
	switch {
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		e.share(p.Header(), r, nil)
		refuseBody(p)
	case r.Method == http.MethodGet && r.URL.EscapedPath() == verifyPath:
		e.verifyFor(p, r)
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		e.serve(p, r)
	case r.Method == http.MethodOptions:
		e.preflight(p, r)
	default:
		e.share(p.Header(), r, nil)
		p.Header().Set("Allow", methods)
		problem(p, http.StatusMethodNotAllowed, "method_not_allowed", "Streams are only read; use GET or HEAD.")
	}
}

// preflight answers browsers that ask before they ask. It has no credentials, and tells of none.
func (e *edge) preflight(w http.ResponseWriter, r *http.Request) {
	v, err := e.arrive(r)
	if err != nil {
		v = nil
	}
	e.share(w.Header(), r, v)
	w.Header().Set("Allow", methods)
	w.Header().Set("Access-Control-Allow-Methods", methods)
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range")
	w.Header().Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
}

// refuseBody ends a connection on which a body is announced that nobody wants: where it ends is what two servers in a row may see differently.
func refuseBody(p *paced) {
	p.Header().Set("Connection", "close")
	_ = p.control.SetReadDeadline(time.Now().Add(bodyWithin)) // net/http reads some of it; where that can't be bounded it isn't on a network
	problem(p, http.StatusBadRequest, "body_not_wanted", "Streams are only read; send no body.")
}

const bodyWithin = 5 * time.Second

// problem is a problem document of a status that no kind of fault stands for.
func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fault.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}) // the client is gone if this fails
}

// serve is the way of a request: what is asked for, who may, how large, and only then what it is.
func (e *edge) serve(w *paced, r *http.Request) {
	v, err := e.arrive(r)
	e.share(w.Header(), r, v)
	if err == nil {
		err = e.admit(r, v)
	}
	if err == nil {
		err = e.within(r.Context(), v)
	}
	if err == nil {
		err = e.answer(w, r, v)
	}
	if err != nil {
		e.fail(w, r, err)
	}
}

// answer sends what was asked for. An error means that nothing was written yet.
func (e *edge) answer(p *paced, r *http.Request, v *request) error {
	if v.rewritten() {
		return e.serveManifest(p, r, v)
	}
	key, on := v.key(v.Prefix), sendfileConnOf(p, r)
	if on != nil {
		if file := e.open.take(key); file != nil {
			return e.sendFile(p, on, v, file)
		}
	}
	name, local := e.Objects.LocalPath(e.MediaBucket, key)
	switch {
	case !local:
		return e.serveRemote(p, bounded(r, 1), v) // each part would be a request of its own
	case on == nil:
		return e.absent(r.Context(), key, e.serveFile(p, bounded(r, mostRanges), v, name))
	}
	file, err := open(name)
	if err != nil {
		return e.absent(r.Context(), key, err)
	}
	e.open.keep(key, file)
	return e.sendFile(p, on, v, file)
}

// absent returns what the storage says of an object that has no file here: while its bucket is away a viewer is asked
// to
// come back, and is not told that there is no such file. Other errors stay, and nil.
func (e *edge) absent(ctx context.Context, key string, err error) error {
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if _, herr := e.Objects.Head(ctx, e.MediaBucket, key); herr != nil {
		return unkeyed(herr)
	}
	return err
}

// bounded drops a Range header that names more than most parts, as a server may, and one of a HEAD, for which ranges aren't defined (RFC 9110 §14.2).
func bounded(r *http.Request, most int) *http.Request {
	given := r.Header.Values("Range")
	if len(given) == 0 || r.Method == http.MethodGet && len(given) == 1 && strings.Count(given[0], ",") < most {
		return r
	}
	whole := *r
	whole.Header = r.Header.Clone()
	whole.Header.Del("Range")
	return &whole
}

// serveFile answers from a file of this machine. An error means that nothing was written yet.
func (e *edge) serveFile(w http.ResponseWriter, r *http.Request, v *request, name string) error {
	o, err := open(name)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(o.fd), name)
	defer file.Close()
	e.describe(w.Header(), v, o.tag)
	http.ServeContent(w, r, "", o.changed, file)
	return nil
}

// sendFile answers with a whole file of this machine, and gives it back.
func (e *edge) sendFile(p *paced, on *sendfileConn, v *request, file *openObject) error {
	defer e.open.put(file)
	h := p.Header()
	e.describe(h, v, file.tag)
	h["Last-Modified"], h["Content-Length"], h["Accept-Ranges"] = file.modified, file.length, inBytes
	p.send(&fileResponse{openObject: file}, on)
	return nil
}

// quoted is an entity tag as a header has it, none for none.
func quoted(tag string) []string {
	if tag == "" {
		return nil
	}
	return []string{`"` + tag + `"`}
}

// tagOf is strong without reading the file: objects of a generation are never rewritten, and a key comes once.
func tagOf(modified time.Time, size int64) string {
	return string(strconv.AppendInt(append(strconv.AppendInt(make([]byte, 0, 32), modified.UnixNano(), 16), '-'), size, 16))
}

const (
	forever = 365 * 24 * time.Hour
	// manifestsFor is how long manifests may be kept: what they say of a device or a key pair may change with the server's version.
	manifestsFor = time.Minute
	// behindCDN is how long browsers may keep what a trusted CDN checked: they get what the CDN keeps, which says nothing of the right of one of them.
	behindCDN = time.Hour
)

// Values of headers that don't depend on the request. An answer has a dozen, and making a slice for each costs more than all that is asked about the request.
var (
	inBytes   = []string{"bytes"}
	kindLines = func() map[string][]string {
		lines := map[string][]string{}
		for _, kind := range kinds {
			lines[kind] = []string{kind}
		}
		return lines
	}()
)

// describe says what the answer is, who may keep it for how long, and by which marks a CDN can be told to drop it.
func (e *edge) describe(h http.Header, v *request, etag []string) {
	h["Content-Type"] = kindLines[v.kind]
	if len(etag) > 0 {
		h["Etag"] = etag
	}
	h["Cache-Control"] = []string{e.keeping(v)}
	h["Surrogate-Key"], h["Cache-Tag"] = v.marks[0], v.marks[1]
}

func marks(p video.Playback, n int) [2][]string {
	all := []string{video.Mark(p.Video), video.GenerationMark(p.Video, n)}
	if p.ID != "" {
		all = append(all, video.PlaybackMark(p.ID))
	}
	return [2][]string{{strings.Join(all, " ")}, {strings.Join(all, ",")}}
}

// keeping is the Cache-Control of what isn't made for one request: nobody but a trusted CDN keeps it for longer than the right to it lasts.
func (e *edge) keeping(v *request) string {
	who, most, never := "public", forever, ", immutable"
	if v.manifest() {
		most, never = manifestsFor, ""
	}
	switch {
	case v.shared && v.Policy != video.Public && most > behindCDN:
		who, most = fmt.Sprintf("public, s-maxage=%d", int64(most/time.Second)), behindCDN
	case !v.shared:
		who = "private"
		rest := manifestsFor
		if !v.until.IsZero() {
			rest = v.until.Sub(e.Now())
		}
		most = max(0, min(most, rest))
	}
	return who + ", max-age=" + strconv.FormatInt(int64(most/time.Second), 10) + never
}

// fail answers an error before anything else was written, and logs what isn't the client's doing.
func (e *edge) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch kind := fault.Of(err).Kind; {
	case kind == fault.NotFound:
		err = missing(err)
	case kind == fault.Unauthorized:
		w.Header().Set("WWW-Authenticate", `Bearer realm="sluice", error="invalid_token"`)
	case kind != fault.Forbidden && kind != fault.Invalid && r.Context().Err() == nil:
		e.Logger.ErrorContext(r.Context(), "a stream can't be served", "path", r.URL.Path, "error", err)
	}
	fault.Write(w, err)
}

// missing is the one answer for everything that isn't there, so that nobody learns what else is.
func missing(cause error) error {
	return fault.New(fault.NotFound, "delivery", "not_found", "There is no such file in a published video; look the address up again.", cause)
}

func away(cause error) error {
	return fault.New(fault.Unavailable, "delivery", "storage_unavailable", "The storage can't be read at the moment; try again later.", cause)
}

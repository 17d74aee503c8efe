// Package delivery is the edge: it serves the published generations of live videos to players.
//
// Promise. GET and HEAD of /stream/<stem>-<id>/<generation>/<file> answer with the media bucket's object
// streams/<stem>-<id>/<generation>/<file>, and nothing else is ever read: a path is decoded once, by net/http, and refused
// unless it has exactly that form. A generation answers while it is published and not retired; a flip is seen within two
// seconds. What lies under a generation never changes, so every answer may be cached for ever, by anyone.
//
// Cost. One question to the catalog per generation and two seconds, however many ask. A local object goes from the page cache to the
// socket (sendfile), provided that no middleware hides net/http's ResponseWriter; a remote one costs a HEAD and
// a GET of just the wanted bytes.
//
// Failure. Whatever isn't there, isn't published or isn't a proper path is one and the same 404 problem document. While
// the catalog is away, what was published when it was last asked is served for a minute more; all else, and what lies in a bucket that is away, is 503. An object that breaks off while it is sent aborts the connection, so that
// nobody takes half a segment for a whole one.
package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// Config is what the edge needs.
type Config struct {
	Objects     Objects
	Playbacks   Playbacks
	MediaBucket string
	Logger      *slog.Logger
}

// methods are what the edge answers to.
const methods = "GET, HEAD, OPTIONS"

// mostRanges bounds the parts of one answer: many small or overlapping ones cost the server far more than the client (RFC
// 9110 §17.15). Players ask for one.
const mostRanges = 8

type edge struct {
	Config
	gate *gate[generation, watched]
}

// watched is what the gate keeps.
type watched struct {
	video.Playback
	served bool
}

// New makes the edge. It answers for paths below /stream/ and must not stand behind anything that rewrites them.
func New(c Config) http.Handler {
	ask := func(ctx context.Context, g generation) (w watched, err error) {
		w.Playback, w.served, err = c.Playbacks.Playback(ctx, g.folder, g.n)
		return w, err
	}
	return &edge{Config: c, gate: newGate(ask, func(w watched) bool { return w.served }, freshFor, time.Now)}
}

func (e *edge) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	share(w.Header())
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		e.serve(w, r)
	case http.MethodOptions:
		w.Header().Set("Allow", methods)
		w.Header().Set("Access-Control-Allow-Methods", methods)
		w.Header().Set("Access-Control-Allow-Headers", "Range, If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since, If-Range")
		w.Header().Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		refuseMethod(w)
	}
}

// share lets pages of any origin play and measure: playback is open, and nothing here depends on who asks.
func share(h http.Header) {
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Access-Control-Expose-Headers", "Accept-Ranges, Content-Length, Content-Range, ETag")
	h.Set("Cross-Origin-Resource-Policy", "cross-origin")
	h.Set("Timing-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
}

// refuseMethod is a problem document of its own, because no kind of fault stands for 405.
func refuseMethod(w http.ResponseWriter) {
	const status = http.StatusMethodNotAllowed
	w.Header().Set("Allow", methods)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(fault.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status,
		Code: "method_not_allowed", Detail: "Streams are only read; use GET or HEAD."}) // the client is gone if this fails
}

func (e *edge) serve(w http.ResponseWriter, r *http.Request) {
	t, ok := parse(r.URL)
	if !ok {
		fault.Write(w, missing(nil))
		return
	}
	found, err := e.gate.get(r.Context(), t.generation)
	if err != nil {
		e.fail(w, r, err)
		return
	}
	if !found.served {
		fault.Write(w, missing(nil))
		return
	}
	if name, local := e.Objects.LocalPath(e.MediaBucket, t.key); local {
		err = e.serveFile(w, bounded(r, mostRanges), t, name)
	} else {
		err = e.serveRemote(w, bounded(r, 1), t) // each part would be a request of its own
	}
	if err != nil {
		e.fail(w, r, err)
	}
}

// bounded drops a Range header that names more than most parts, as a server may, and one of a HEAD, for which ranges aren't defined (RFC 9110 §14.2).
func bounded(r *http.Request, most int) *http.Request {
	if r.Method == http.MethodGet && strings.Count(r.Header.Get("Range"), ",") < most {
		return r
	}
	whole := *r
	whole.Header = r.Header.Clone()
	whole.Header.Del("Range")
	return &whole
}

// serveFile answers from a file of this machine. An error means that nothing was written yet.
func (e *edge) serveFile(w http.ResponseWriter, r *http.Request, t target, name string) error {
	// NONBLOCK keeps a FIFO from holding the request; on a regular file it does nothing.
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENAMETOOLONG) {
		return missing(err)
	}
	if err != nil {
		return away(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return away(err)
	}
	if !info.Mode().IsRegular() {
		return missing(nil)
	}
	// Strong, without reading the file: objects of a generation are never rewritten, and a key comes once.
	etag := fmt.Sprintf("%x-%x", info.ModTime().UnixNano(), info.Size())
	describe(w.Header(), t, etag)
	http.ServeContent(w, r, "", info.ModTime(), file)
	return nil
}

// describe says what the object is, and that it stays so.
func describe(h http.Header, t target, etag string) {
	h.Set("Content-Type", t.kind)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	if etag != "" {
		h.Set("ETag", `"`+etag+`"`)
	}
}

// fail answers an error before anything else was written, and logs what isn't the client's doing.
func (e *edge) fail(w http.ResponseWriter, r *http.Request, err error) {
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) { // Invalid: no object can have that key
		err = missing(err)
	} else if r.Context().Err() == nil {
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

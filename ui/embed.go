// Package ui serves the web page that is built into the binary: the page itself and the API reference.
//
// The build lies in dist, which `make build` fills; in a fresh clone it is empty and Handler serves a page that says so.
// Everything is read once, when the handler is made (about 5 MB, the packed copies included); a request costs a map look-up and a write.
// Hashed assets may be kept for ever, pages are asked for again each time and answered 304 while they are the same.
package ui

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

//go:embed all:dist
var dist embed.FS

const unbuilt = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Sluice</title>
<p>The page was not built; run <code>make build</code>. The API and the edge work without it.</p>
</html>
`

// Config says which other origins the page may talk to. Values are URLs of which scheme and host count; empty ones, and
// any that has no host, add nothing: the page's own origin is always allowed.
type Config struct {
	PublicURL  string       // of the API
	StorageURL string       // where presigned uploads go
	EdgeURL    string       // where playlists, segments and pictures come from
	NotFound   http.Handler // answers paths that are not the page's; nil answers 404 as text
}

// Handler serves / and /reference, and the files they need. It answers GET and HEAD; other paths are for c.NotFound.
func Handler(c Config) http.Handler {
	built, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // "dist" is a valid path
	}
	return handler(built, c)
}

// file is one servable file with its headers.
type file struct {
	plain, packed []byte // packed is gzip, nil where it would not be smaller
	kind          string // Content-Type
	etag          string
	cache         string // Cache-Control
	policy        string // Content-Security-Policy
}

// kinds are the Content-Types of what a build holds; package mime would ask the host's tables, which differ.
var kinds = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
}

func handler(built fs.FS, c Config) http.Handler {
	files := map[string]file{}
	if err := fs.WalkDir(built, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) == ".gz" || strings.HasPrefix(path.Base(name), ".") {
			return err
		}
		f, err := read(built, name)
		f.policy = policy(c, name == "reference.html")
		files[route(name)] = f
		return err
	}); err != nil {
		panic(err) // the files lie in the binary
	}
	if _, ok := files["/"]; !ok {
		files["/"] = file{
			plain: []byte(unbuilt), kind: "text/html; charset=utf-8", cache: "no-store", policy: "default-src 'none'; frame-ancestors 'none'",
		}
	}
	if c.NotFound == nil {
		c.NotFound = http.HandlerFunc(http.NotFound)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		switch {
		case !ok:
			c.NotFound.ServeHTTP(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD.", http.StatusMethodNotAllowed)
		default:
			f.serve(w, r)
		}
	})
}

// route is the path a file is served at: pages without their suffix.
func route(name string) string {
	if name == "index.html" {
		return "/"
	}
	return "/" + strings.TrimSuffix(name, ".html")
}

func read(built fs.FS, name string) (file, error) {
	plain, err := fs.ReadFile(built, name)
	if err != nil {
		return file{}, err
	}
	packed, err := fs.ReadFile(built, name+".gz")
	if err != nil {
		packed = nil
	}
	sum := sha256.Sum256(plain)
	f := file{plain: plain, packed: packed, kind: kinds[path.Ext(name)], cache: "no-cache"}
	f.etag = hex.EncodeToString(sum[:12])
	if strings.HasPrefix(name, "assets/") {
		f.cache = "public, max-age=31536000, immutable"
	}
	return f, nil
}

func (f file) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", f.kind)
	h.Set("Cache-Control", f.cache)
	h.Set("Content-Security-Policy", f.policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", permissions)
	body, etag := f.plain, f.etag
	if f.packed != nil {
		h.Set("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
			body, etag = f.packed, etag+"-gzip"
		}
	}
	if etag != "" {
		h.Set("ETag", `"`+etag+`"`)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}

// permissions is what no page of ours asks a browser for, nor any script that got into one (W3C Permissions Policy).
const permissions = "accelerometer=(), bluetooth=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), magnetometer=(), " +
	"microphone=(), midi=(), payment=(), serial=(), usb=()"

// policy is the Content-Security-Policy of the page, or of the looser reference: Swagger UI sets style attributes. Neither takes a script or a style sheet
// that isn't a file of the build.
func policy(c Config, reference bool) string {
	edge, connect := origin(c.EdgeURL), ""
	for _, to := range []string{edge, origin(c.PublicURL), origin(c.StorageURL)} {
		if !strings.Contains(connect+" ", to+" ") { // named once is enough
			connect += to
		}
	}
	attributes := "'none'"
	if reference {
		attributes = "'unsafe-inline'"
	}
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"style-src-attr " + attributes,
		"font-src 'self'",
		"img-src 'self' data:" + edge,
		"media-src 'self' blob:" + edge,
		"connect-src 'self'" + connect,
		"worker-src 'self' blob:",
		"object-src 'none'",
		"base-uri 'none'",
		"form-action 'self'",
		"frame-ancestors 'none'",
	}, "; ")
}

// origin is " scheme://host" of a URL, or empty. Only what url.Parse calls a host gets into the header.
func origin(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || strings.ContainsAny(u.Host, "; ,'\"") {
		return ""
	}
	return " " + u.Scheme + "://" + u.Host
}

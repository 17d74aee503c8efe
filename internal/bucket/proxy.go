package bucket

import (
	"fmt"
	"html"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"time"
)

// IsS3Request reports whether a request speaks S3: it is signed with SigV4 in its header or its query. A front door asks this
// before http.ServeMux, which redirects keys with "//".
func IsS3Request(r *http.Request) bool {
	if strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-") {
		return true
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if strings.EqualFold(name, "X-Amz-Signature") || strings.EqualFold(name, "X-Amz-Algorithm") {
			return true
		}
	}
	return false
}

// Elsewhere answers S3 requests where objects are on another endpoint, whose address it names.
func Elsewhere(endpoint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(http.StatusMisdirectedRequest)
		_, _ = fmt.Fprintf(w, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+
			`<Error><Code>InvalidRequest</Code><Message>Objects are not here; send S3 requests to %s.</Message></Error>`, html.EscapeString(endpoint))
	})
}

// newProxy passes requests on without changing anything that a signature may cover. That their bodies go on coming, whoever serves it sees to.
func newProxy(t *http.Transport, log *slog.Logger) http.Handler {
	t.ExpectContinueTimeout = 5 * time.Second // a client that waits for 100 gets the endpoint's own answer
	return &httputil.ReverseProxy{
		Transport: t,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "s3.internal"
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.Host = p.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.Error("storage endpoint not reached", "error", err)
			}
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte(`<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
				`<Error><Code>ServiceUnavailable</Code><Message>The storage can't be reached at the moment; try again later.</Message></Error>`))
		},
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// hearing is how long a connection on which writing failed may still be read.
const hearing = time.Second

// patient is a connection to the endpoint that takes its time to say that writing failed. An endpoint that refuses a body answers and closes
// without reading it; the transport would report the failed write and drop the answer, which is on its way.
type patient struct{ net.Conn }

func (c patient) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	if err != nil {
		time.Sleep(hearing) // in the transport's own goroutine: the answer is read and handed on meanwhile
	}
	return n, err
}

// CORS lets pages of the allowed origins ("*" for any) use presigned URLs: it answers preflights and marks responses
// (https://fetch.spec.whatwg.org/#http-cors-protocol). Cookies are never allowed along: a presigned URL needs none.
func CORS(origins []string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
		h := w.Header()
		h.Add("Vary", "Origin")
		allowed := origin != "" && (slices.Contains(origins, "*") || slices.Contains(origins, origin))
		if allowed {
			h.Set("Access-Control-Allow-Origin", origin)
			h.Set("Access-Control-Expose-Headers", "ETag, x-amz-request-id, x-amz-version-id")
		}
		if !preflight {
			next.ServeHTTP(w, r)
			return
		}
		if !allowed {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.Add("Vary", "Access-Control-Request-Headers")
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, PUT, POST, DELETE")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
		h.Set("Access-Control-Max-Age", "600")
		w.WriteHeader(http.StatusNoContent)
	})
}

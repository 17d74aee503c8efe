package bucket

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"slices"
	"sync/atomic"
	"time"
)

// ProxyTo answers S3 requests where objects are on another endpoint, whose address it names.
func ProxyTo(endpoint string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		WriteRefusal(lowered{w}, Refusal{http.StatusMisdirectedRequest, "InvalidRequest", "Objects are not here; send S3 requests to " + endpoint + "."})
	})
}

// newProxy passes requests on without changing anything that a signature may cover. That their bodies go on coming, whoever serves it sees to.
func newProxy(t *http.Transport, log *slog.Logger) http.Handler {
	proxy := passOn(t, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			body := &heard{ReadCloser: r.Body}
			r = r.WithContext(context.WithValue(r.Context(), heardKey{}, body))
			r.Body = body
		}
		proxy.ServeHTTP(w, r)
	})
}

// heard is a body that remembers whether its client failed to send it: whoever serves it bounds the client's pauses by
// deadlines. What the transport reports is that or the end of the connection to the endpoint, whichever it sees first.
type heard struct {
	io.ReadCloser
	failure atomic.Pointer[Refusal]
}

type heardKey struct{}

// The refusals of bodies that stall and that end early, as Amazon S3 words them.
var (
	bodyStalled = Refusal{http.StatusBadRequest, "RequestTimeout",
		"The connection to the server was not read from or written to within the timeout period; send the request again."}
	bodyCut = Refusal{http.StatusBadRequest, "IncompleteBody",
		"The body ended before the number of bytes that Content-Length promises; send the request again."}
)

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		h.failure.Store(&bodyStalled)
	case errors.Is(err, io.ErrUnexpectedEOF):
		h.failure.Store(&bodyCut)
	}
	return n, err
}

// failureOf is what the client of a request did wrong with its body; nil for nothing.
func failureOf(ctx context.Context) *Refusal {
	if body, ok := ctx.Value(heardKey{}).(*heard); ok {
		return body.failure.Load()
	}
	return nil
}

func passOn(t *http.Transport, log *slog.Logger) http.Handler {
	t.ExpectContinueTimeout = 5 * time.Second // a client that waits for 100 gets the endpoint's own answer
	return &httputil.ReverseProxy{
		Transport: t,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.Out.URL.Scheme, p.Out.URL.Host = "http", "s3.internal"
			p.Out.URL.RawQuery = p.In.URL.RawQuery
			p.Out.Host = p.In.Host
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if refusal := failureOf(r.Context()); refusal != nil {
				w.Header().Set("Connection", "close") // the rest of the body would be taken for a request
				WriteRefusal(w, *refusal)
				return
			}
			if r.Context().Err() == nil {
				log.Error("storage endpoint not reached", "error", err)
			}
			WriteRefusal(w, Refusal{http.StatusServiceUnavailable, "ServiceUnavailable", "The storage can't be reached at the moment; try again later."})
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

package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"runtime/debug"
	"strings"

	"sluice/internal/fault"
)

// entrance is one address of the front door, and who sees to who comes in by it. Nothing is served that isn't one.
type entrance struct {
	pattern string                   // of http.ServeMux; for people alone where match is set
	match   func(*http.Request) bool // not nil: chooses requests before the mux does
	serve   http.Handler
	guard   string // whom it lets in, by what, and why
}

// entrances is the front door.
func (a *App) entrances() []entrance {
	all := []entrance{
		// The mux would redirect keys with "//".
		{pattern: "S3", match: a.s3Door().Match, serve: a.s3, guard: "the S3 keys, by the SigV4 of each request: the endpoint checks it"},
		{pattern: "GET /healthz", serve: http.HandlerFunc(healthz), guard: "anybody: supervisors have no credentials, and it says only that the process answers"},
		{pattern: "GET /readyz", serve: a.drain.readyz(a.health.readyz), guard: "anybody: load balancers have no credentials, and it names parts and codes alone"},
	}
	if a.settings.has(roleAPI) {
		asked := a.identified(a.calling(a.api))
		all = append(all,
			entrance{pattern: "/v1/", serve: a.shared(asked, false), guard: "whom each operation of internal/api declares, by the credentials that access.go knows"},
			entrance{pattern: "/v1/keys", serve: a.shared(asked, true), guard: "as /v1/; pages of other origins, where they are named, get its cookies too"},
			entrance{pattern: "/keys", serve: a.shared(asked, true), guard: "as /v1/keys: it is GET /keys of internal/api"},
			entrance{pattern: "/v1/events/s3", serve: a.requireEventsToken(a.api), guard: "the token of events.token: storages know no other credentials, and it opens nothing else"},
			entrance{pattern: "GET /openapi.json", serve: a.api, guard: "anybody: it describes the API and holds no data"},
			entrance{pattern: "GET /openapi.yaml", serve: a.api, guard: "anybody: it describes the API and holds no data"},
		)
		all = append(all, a.tokenEntrances()...)
		all = append(all,
			entrance{pattern: "/", serve: a.page, guard: "anybody: the page holds no data, and asks /v1/ for what it shows"},
		)
	}
	if a.settings.has(roleEdge) {
		all = append(all,
			// The mux would redirect second spellings of a path, and the one that came is what a signature is for.
			entrance{pattern: "/stream/", match: isStream, serve: playing(a.edge), guard: "whom each video's playback policy lets in, by the proofs that internal/delivery knows"})
	}
	return all
}

// isStream chooses requests for the edge.
func isStream(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/stream/") }

// routes serves the entrances.
func (a *App) routes() http.Handler {
	mux, proxies := http.NewServeMux(), a.proxies()
	var first []entrance
	for _, e := range a.entrances() {
		if e.match == nil {
			mux.Handle(e.pattern, e.serve)
		} else {
			first = append(first, e)
		}
	}
	return a.recovered(a.hardened(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, e := range first {
			if e.match(r) {
				e.serve.ServeHTTP(w, r)
				return
			}
		}
		mux.ServeHTTP(w, noted(r, proxies))
	})))
}

// sameSecret compares in the same time for every guess: hashing first makes lengths equal.
func sameSecret(want, got string) bool {
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1
}

// recovered answers a panic with a problem document and logs its stack.
func (a *App) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // the value net/http itself compares by identity
					panic(v)
				}
				a.log.Error("panic", "value", v, "method", printable(r.Method, longestTold), "path", printable(r.URL.Path, longestTold), "stack", string(debug.Stack()))
				fault.Write(w, fault.New(fault.Internal, "http", "internal", "Something went wrong on the server; try again, and see the server's log if it goes on.", nil))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

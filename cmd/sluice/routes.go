package main

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"runtime/debug"
	"strings"

	"sluice/internal/account"
	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// routes is the front door. S3 requests go past the mux, which would redirect keys with "//".
func (a *App) routes() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.HandleFunc("GET /readyz", a.health.readyz)
	if a.settings.has(roleAPI) {
		mux.Handle("/v1/", a.requireToken(a.api))
		mux.Handle("/v1/events/s3", a.requireEventsToken(a.api))
		mux.Handle("GET /openapi.json", a.api)
		mux.Handle("GET /openapi.yaml", a.api)
		mux.Handle("/", a.page)
	}
	if a.settings.has(roleEdge) {
		mux.Handle("/stream/", a.edge)
	}

	return a.recovered(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.s3 != nil && bucket.IsS3Request(r) {
			a.s3.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

// sameSecret compares in the same time for every guess: hashing first makes lengths equal.
func sameSecret(want, got string) bool {
	w, g := sha256.Sum256([]byte(want)), sha256.Sum256([]byte(got))
	return subtle.ConstantTimeCompare(w[:], g[:]) == 1
}

// requireToken lets the admin token through.
func (a *App) requireToken(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); !ok || !sameSecret(a.token, strings.TrimSpace(token)) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="sluice"`)
			fault.Write(w, fault.New(fault.Unauthorized, "api.token", "unauthorized",
				"Send the admin token as 'Authorization: Bearer …'; it is in admin.token in the server's data folder.", nil))
			return
		}
		next.ServeHTTP(w, r.WithContext(account.With(r.Context(), account.Operator())))
	})
}

// recovered answers a panic with a problem document and logs its stack.
func (a *App) recovered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler { //nolint:errorlint // the value net/http itself compares by identity
					panic(v)
				}
				a.log.Error("panic", "value", v, "method", r.Method, "path", r.URL.Path, "stack", string(debug.Stack()))
				fault.Write(w, fault.New(fault.Internal, "http", "internal", "Something went wrong on the server; try again, and see the server's log if it goes on.", nil))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

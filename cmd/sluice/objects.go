package main

import (
	"net"
	"net/http"
	"net/url"
	"strings"

	"sluice/internal/bucket"
)

// buckets are those that S3 requests can name.
func (s *Settings) buckets() []string {
	return append([]string{s.S3.UploadsBucket, s.S3.MediaBucket}, moreBuckets...)
}

// domain is bucket.Door's: the host of the public address where that has a name, because an address has no subdomains.
func (s *Settings) domain() string {
	u, err := url.Parse(s.PublicURL)
	if err != nil || net.ParseIP(u.Hostname()) != nil {
		return ""
	}
	return u.Host
}

// s3Door tells S3 requests from all others.
func (a *App) s3Door() bucket.Handler {
	return bucket.Handler{Buckets: a.settings.buckets(), Domain: a.settings.domain(), Taken: isRoute}
}

// isRoute reports whether the first element of a path belongs to a route of ours, also in a process without its role. A
// bucket of such a name is reached by signed requests alone.
func isRoute(first string) bool {
	switch first {
	case "v1", "keys", "stream", "oauth", "healthz", "readyz", "openapi.json", "openapi.yaml", "reference", "assets", ".well-known":
		return true
	default:
		return false
	}
}

// notServed answers what the page does not serve. Clients of S3 parse an error of S3 and fail on anything else, so that
// all but a browser that navigates get one where the path can be that of an object.
func notServed(w http.ResponseWriter, r *http.Request) {
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if !bucket.CanBeBucket(first) || strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.NotFound(w, r)
		return
	}
	bucket.WriteRefusal(w, bucket.Refusal{Status: http.StatusNotFound, Code: "NoSuchBucket", Message: "There is no bucket and no page at this address; check the address."})
}

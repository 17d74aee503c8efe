package bucket

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Handler tells requests to the S3 endpoint from those to a server's other routes, which share its port.
type Handler struct {
	Buckets []string
	Domain  string // host of the server's public address, with its port; empty where it is not known
	// Taken reports whether the first element of a path belongs to another route, which is then stronger than a bucket
	// of that name. Nil takes none.
	Taken func(element string) bool
}

// Match reports whether a request is one to S3: it has credentials of S3, or its path or its host is a bucket's.
func (d Handler) Match(r *http.Request) bool {
	if IsS3Request(r) {
		return true
	}
	if d.hosted(r.Host) {
		return true
	}
	first, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	return slices.Contains(d.Buckets, first) && (d.Taken == nil || !d.Taken(first))
}

// hosted reports whether a request's host is a bucket's, which is how the SDKs of Amazon address buckets unless told to
// do so by path.
func (d Handler) hosted(host string) bool {
	name, ok := strings.CutSuffix(strings.ToLower(host), "."+strings.ToLower(d.Domain))
	return d.Domain != "" && ok && slices.Contains(d.Buckets, name)
}

var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// CanBeBucket reports whether S3 allows the name for a bucket.
func CanBeBucket(name string) bool { return bucketName.MatchString(name) }

// IsS3Request reports whether a request carries credentials of S3, of any version, in its header or its query, or a
// header field that only clients of S3 send. A front door asks this before http.ServeMux, which redirects keys with
// "//". Other X-Amz fields prove nothing: CloudFront adds X-Amz-Cf-Id to what it forwards, and SNS its own to what it
// delivers.
func IsS3Request(r *http.Request) bool {
	for _, scheme := range []string{"AWS4-", "AWS "} { // SigV4 and SigV2
		if given := r.Header.Get("Authorization"); len(given) >= len(scheme) && strings.EqualFold(given[:len(scheme)], scheme) {
			return true
		}
	}
	for _, name := range []string{"X-Amz-Content-Sha256", "X-Amz-Security-Token", "Amz-Sdk-Invocation-Id"} {
		if _, ok := r.Header[name]; ok {
			return true
		}
	}
	for pair := range strings.SplitSeq(r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(name); err == nil {
			name = plain
		}
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-amz-") || name == "awsaccesskeyid" {
			return true
		}
	}
	return false
}

// checked refuses what the endpoint can't serve before it sees the request: keys that its disk has no distinct name for,
// forms, and buckets in the host.
func (d Handler) checked(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		out := lowered{w}
		if refused := d.refuse(r); refused != nil {
			WriteRefusal(out, *refused)
			drain(out, r)
			return
		}
		next.ServeHTTP(out, r)
	})
}

func (d Handler) refuse(r *http.Request) *Refusal {
	if d.hosted(r.Host) {
		return &Refusal{http.StatusBadRequest, "InvalidRequest",
			"Buckets are addressed by path here, as in https://host/bucket/key; set the client to path style."}
	}
	if r.Method == http.MethodPost && strings.HasPrefix(strings.ToLower(r.Header.Get("Content-Type")), "multipart/form-data") {
		return &Refusal{http.StatusNotImplemented, "NotImplemented", "Uploads by a form (POST Object) are not supported; use a presigned PUT."}
	}
	_, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if key == "" { // of a bucket
		return nil
	}
	if r.URL.Query().Has("uploadId") && (r.Method == http.MethodGet || r.Method == http.MethodDelete) {
		return nil // an earlier version began uploads to keys that are refused now; they can be listed and aborted
	}
	return refuseKey(key)
}

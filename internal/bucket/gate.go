package bucket

import (
	"io"
	"net/http"
	"time"

	"sluice/internal/fault"
)

// Gate asks room before a request that stores bytes comes in: PutObject, UploadPart, their copies, and CreateMultipartUpload. Where room has an error, for as many
// bytes as the request announces, the answer is S3's 503 SlowDown with that error's sentence and Retry-After, which clients of S3 wait for and repeat
// (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html). Nothing of the body is kept. Completing a multipart upload, reading and deleting
// are always let through.
func Gate(room func(bytes int64) error, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if stores(r) {
			if err := room(max(r.ContentLength, 0)); err != nil {
				slowDown(w, err)
				drain(w, r)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// stores reports whether a request adds bytes to the storage.
func stores(r *http.Request) bool {
	query := r.URL.Query()
	if r.Method == http.MethodPost {
		return query.Has("uploads")
	}
	if r.Method != http.MethodPut {
		return false
	}
	for _, part := range []string{"tagging", "acl", "retention", "legal-hold"} { // of an object that is there
		if query.Has(part) {
			return false
		}
	}
	return true
}

// drain reads what a client goes on to send after it was refused, for a while and to no use: a connection that is closed on a client still writing is reset, and
// takes the answer with it. So it is for one that asked first (Expect: 100-continue), too:
// not all of them wait for the answer.
func drain(w http.ResponseWriter, r *http.Request) {
	const most, longest = 64 << 20, 10 * time.Second
	control := http.NewResponseController(w)
	_ = control.Flush() // the answer goes out first; a connection that can't is gone
	if control.SetReadDeadline(time.Now().Add(longest)) == nil {
		_, _ = io.CopyN(io.Discard, r.Body, most) // however it ends, the request is over
	}
}

func slowDown(w http.ResponseWriter, err error) {
	w.Header().Set("Retry-After", "30")
	WriteRefusal(lowered{w}, Refusal{http.StatusServiceUnavailable, "SlowDown", fault.Of(err).Message})
}

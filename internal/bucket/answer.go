package bucket

import (
	"crypto/rand"
	"encoding/xml"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Refusal is an S3 error (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html).
type Refusal struct {
	Status  int
	Code    string // one of Amazon's
	Message string
}

// WriteRefusal answers with an S3 error. Each answer has an id of its own, in the header and in the document.
func WriteRefusal(w http.ResponseWriter, r Refusal) {
	id := rand.Text()[:16]
	body, _ := xml.Marshal(struct { // three strings can't fail
		XMLName                  xml.Name `xml:"Error"`
		Code, Message, RequestId string   //nolint:revive,staticcheck // the elements of S3
	}{Code: r.Code, Message: r.Message, RequestId: id})
	body = append([]byte(xml.Header), body...)
	h := w.Header()
	h.Set("Content-Type", "application/xml")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h[requestID] = []string{id}
	w.WriteHeader(r.Status)
	_, _ = w.Write(body) // the client is gone if this fails
}

const requestID = "x-amz-request-id"

// lowered writes the names of S3's own header fields in lower case, as Amazon S3 does. Clients take the part of the
// name behind "x-amz-meta-" for the name of a metadata entry, and names of entries are compared with their case.
type lowered struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (l lowered) Unwrap() http.ResponseWriter { return l.ResponseWriter }

func (l lowered) WriteHeader(status int) {
	h := l.Header()
	for name, values := range h {
		low := strings.ToLower(name)
		if low == name || !strings.HasPrefix(low, "x-amz-") {
			continue
		}
		delete(h, name)
		h[low] = slices.Compact(values) // the endpoint writes its request's id twice
	}
	l.ResponseWriter.WriteHeader(status)
}

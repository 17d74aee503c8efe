package fault

import (
	"encoding/json"
	"net/http"
)

// Problem is a problem document (RFC 9457) with Sluice's stable code.
type Problem struct {
	Type   string `json:"type"`           // "about:blank": the code tells the problem apart
	Title  string `json:"title"`          // the status in words
	Status int    `json:"status"`         // the HTTP status
	Detail string `json:"detail"`         // what to do
	Code   string `json:"code,omitempty"` // stable
}

// Status is the HTTP status of a kind (RFC 9110 §15).
func (k Kind) Status() int {
	switch k {
	case Invalid:
		return http.StatusUnprocessableEntity
	case Unauthorized:
		return http.StatusUnauthorized
	case Forbidden:
		return http.StatusForbidden
	case NotFound:
		return http.StatusNotFound
	case Conflict:
		return http.StatusConflict
	case Gone:
		return http.StatusGone
	case TooLarge:
		return http.StatusRequestEntityTooLarge
	case Unsupported:
		return http.StatusUnsupportedMediaType
	case Limited:
		return http.StatusTooManyRequests
	case Unavailable, Canceled:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// ProblemOf returns the problem document of err.
func ProblemOf(err error) Problem {
	e := Of(err)
	status := e.Kind.Status()
	return Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Detail: e.Message, Code: e.Code}
}

// Write answers with err's problem document.
func Write(w http.ResponseWriter, err error) {
	p := ProblemOf(err)
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "5")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client is gone if this fails
}

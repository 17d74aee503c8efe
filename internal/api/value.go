package api

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Time is a moment, written as RFC 3339 in UTC with milliseconds.
type Time time.Time

const timeFormat = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the moment.
func (t Time) MarshalJSON() ([]byte, error) {
	return []byte(time.Time(t).UTC().Format(`"` + timeFormat + `"`)), nil
}

// IsZero reports whether there is no moment; then omitzero leaves the field out.
func (t Time) IsZero() bool { return time.Time(t).IsZero() }

// Schema describes the text, for the OpenAPI document.
func (Time) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, Format: "date-time", Examples: []any{"2026-03-09T14:05:06.789Z"}}
}

// change is one field of a merge patch (RFC 7396): absent leaves the field as it is, null empties it.
type change[T any] struct {
	set   bool
	value T
}

// UnmarshalJSON is called only where the field is there; null leaves the value empty.
func (c *change[T]) UnmarshalJSON(data []byte) error {
	c.set = true
	return json.Unmarshal(data, &c.value)
}

// Schema describes a T or null, for the OpenAPI document.
func (change[T]) Schema(r huma.Registry) *huma.Schema {
	s := huma.SchemaFromType(r, reflect.TypeFor[T]())
	s.Nullable = true
	return s
}

// pointer is nil where the field was absent.
func (c change[T]) pointer() *T {
	if !c.set {
		return nil
	}
	return &c.value
}

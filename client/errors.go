package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// StepError is a failed attempt at a step. It outlives its video.
type StepError struct {
	ID         int64     `json:"id"` // grows with time
	Video      string    `json:"video"`
	Name       string    `json:"name"` // of the video
	Generation int       `json:"generation"`
	Step       string    `json:"step"`
	N          int       `json:"n"`       // the chunk, for encode; else 0
	Attempt    int       `json:"attempt"` // from 1
	Code       string    `json:"code"`    // stable
	Message    string    `json:"message"` // a sentence that says what to do
	Final      bool      `json:"final"`   // the generation failed with it; else the step was tried again
	Time       time.Time `json:"time"`
	Worker     string    `json:"worker"` // empty once the video is deleted
	Detail     string    `json:"detail"` // the end of the tool's output; empty once the video is deleted
}

// ErrorGroup is the errors of one code at one step.
type ErrorGroup struct {
	Code    string    `json:"code"`
	Step    string    `json:"step"`
	Message string    `json:"message"` // of the newest one
	Count   int       `json:"count"`
	Videos  int       `json:"videos"` // how many they belong to
	Final   int       `json:"final"`  // how many of them ended a generation
	First   time.Time `json:"first"`
	Last    time.Time `json:"last"`
}

// ErrorQuery chooses errors; what is zero chooses all.
type ErrorQuery struct {
	Video string
	Step  string
	Code  string
	Since time.Time
}

// ErrorsJSON goes through the failed attempts that q chooses, newest first, each exactly as the server writes it, fetching pages as it goes. It ends after
// the first error.
func (c *Client) ErrorsJSON(ctx context.Context, q ErrorQuery) iter.Seq2[json.RawMessage, error] {
	return func(yield func(json.RawMessage, error) bool) {
		query := url.Values{"limit": {"200"}}
		for key, value := range map[string]string{"video": q.Video, "step": q.Step, "code": q.Code, "since": since(q.Since)} {
			if value != "" {
				query.Set(key, value)
			}
		}
		for {
			var page struct {
				Items []json.RawMessage
				Next  string
			}
			if err := c.call(ctx, http.MethodGet, "/v1/errors?"+query.Encode(), nil, &page); err != nil {
				yield(nil, err)
				return
			}
			for _, e := range page.Items {
				if !yield(e, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			query.Set("cursor", page.Next)
		}
	}
}

// Errors goes through the failed attempts that q chooses, newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Errors(ctx context.Context, q ErrorQuery) iter.Seq2[StepError, error] {
	return func(yield func(StepError, error) bool) {
		for raw, err := range c.ErrorsJSON(ctx, q) {
			var e StepError
			if err == nil {
				err = json.Unmarshal(raw, &e)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// ErrorGroups counts the failed attempts from a moment on (all where it is zero) by code and step, the most frequent first.
func (c *Client) ErrorGroups(ctx context.Context, from time.Time) ([]ErrorGroup, error) {
	query := url.Values{}
	if text := since(from); text != "" {
		query.Set("since", text)
	}
	var summary struct{ Groups []ErrorGroup }
	err := c.call(ctx, http.MethodGet, "/v1/errors/summary?"+query.Encode(), nil, &summary)
	return summary.Groups, err
}

// since writes a moment for a query, and nothing for none.
func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

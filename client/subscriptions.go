package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// What an address can be told of.
const (
	VideoFailed    = "video.failed"    // an encode failed for good
	VideoRecovered = "video.recovered" // the video is ready after that
)

// Subscription is an address that is told of events by mail.
type Subscription struct {
	ID        string    `json:"id"`
	Address   string    `json:"address"`
	Events    []string  `json:"events"`
	Created   time.Time `json:"created"`
	Waiting   int       `json:"waiting"`   // notices that no message has taken yet
	Suspended bool      `json:"suspended"` // the address was refused again and again: nothing is sent until it is subscribed again
}

// Notification is one event for one address.
type Notification struct {
	ID         int64     `json:"id"` // grows with time
	Address    string    `json:"address"`
	Event      string    `json:"event"`
	Video      string    `json:"video"`
	Name       string    `json:"name"` // of the video
	Generation int       `json:"generation"`
	Step       string    `json:"step"`  // that failed; empty for a recovery
	Error      *Failure  `json:"error"` // nil for a recovery
	Time       time.Time `json:"time"`
	State      string    `json:"state"`    // waiting, sending, sent, refused or dead
	Mail       int64     `json:"mail"`     // the message that tells it; 0 while it waits
	Tries      int       `json:"tries"`    // of that message
	Trouble    *Failure  `json:"trouble"`  // why the last try failed; nil unless it did
	Finished   time.Time `json:"finished"` // when the message was sent or given up; zero before
}

// Subscribe has an address told of events (all where none are named). An address that is subscribed already gets these events instead.
func (c *Client) Subscribe(ctx context.Context, address string, events ...string) (Subscription, error) {
	var s Subscription
	err := c.call(ctx, http.MethodPost, "/v1/subscriptions", struct {
		Address string   `json:"address"`
		Events  []string `json:"events,omitempty"`
	}{address, events}, &s)
	return s, err
}

// Subscriptions returns all of them, by address.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var list struct{ Items []Subscription }
	err := c.call(ctx, http.MethodGet, "/v1/subscriptions", nil, &list)
	return list.Items, err
}

// Unsubscribe ends a subscription. One that is not there is an *Error of status 404.
func (c *Client) Unsubscribe(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/subscriptions/"+url.PathEscape(id), nil, nil)
}

// Outbox goes through the notices in a state (empty for all), newest first, fetching pages as it goes. It ends after the first error.
func (c *Client) Outbox(ctx context.Context, state string) iter.Seq2[Notification, error] {
	return func(yield func(Notification, error) bool) {
		query := url.Values{"limit": {"200"}}
		if state != "" {
			query.Set("state", state)
		}
		for {
			var page struct {
				Items []Notification
				Next  string
			}
			if err := c.call(ctx, http.MethodGet, "/v1/outbox?"+query.Encode(), nil, &page); err != nil {
				yield(Notification{}, err)
				return
			}
			for _, n := range page.Items {
				if !yield(n, nil) {
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

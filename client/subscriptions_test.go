package client

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestSubscriptionsAreMadeListedAndEnded(t *testing.T) {
	t.Parallel()
	const one = `{"id":"s1","address":"a@b.c","events":["video.failed"],"created":"2026-03-09T14:05:06Z","waiting":2,"suspended":true}`
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodPost:
			_, _ = fmt.Fprint(w, one)
		case http.MethodGet:
			_, _ = fmt.Fprintf(w, `{"items":[%s]}`, one)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	})
	want := Subscription{ID: "s1", Address: "a@b.c", Events: []string{VideoFailed}, Created: time.Date(2026, 3, 9, 14, 5, 6, 0, time.UTC), Waiting: 2, Suspended: true}
	if got, err := c.Subscribe(t.Context(), "a@b.c", VideoFailed); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := c.Subscribe(t.Context(), "a@b.c"); err != nil {
		t.Error(err)
	}
	if got, err := c.Subscriptions(t.Context()); err != nil || !reflect.DeepEqual(got, []Subscription{want}) {
		t.Errorf("%+v %v", got, err)
	}
	if err := c.Unsubscribe(t.Context(), "s/1"); err != nil {
		t.Error(err)
	}
	asked := []string{`POST /v1/subscriptions {"address":"a@b.c","events":["video.failed"]}`, `POST /v1/subscriptions {"address":"a@b.c"}`, "GET /v1/subscriptions", "DELETE /v1/subscriptions/s%2F1"}
	if got := s.requests(); !reflect.DeepEqual(got, asked) {
		t.Errorf("asked %q", got)
	}
}

func TestTheOutboxIsReadPageByPage(t *testing.T) {
	t.Parallel()
	c, s, _ := start(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 1 {
			_, _ = fmt.Fprint(w, `{"items":[{"id":2,"address":"a@b.c","event":"video.failed","video":"v","name":"n","generation":1,"step":"ingest","error":{"code":"x","message":"Do."},"time":"2026-03-09T14:05:06Z","state":"sending","mail":3,"tries":4,"trouble":{"code":"smtp_unavailable","message":"Wait."}}],"next":"c1"}`)
			return
		}
		_, _ = fmt.Fprint(w, `{"items":[{"id":1,"event":"video.recovered","state":"sent","tries":1,"finished":"2026-03-09T14:05:06Z"}]}`)
	})
	at := time.Date(2026, 3, 9, 14, 5, 6, 0, time.UTC)
	var got []Notification
	for n, err := range c.Outbox(t.Context(), "sent") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, n)
	}
	want := []Notification{
		{ID: 2, Address: "a@b.c", Event: VideoFailed, Video: "v", Name: "n", Generation: 1, Step: "ingest", Error: &Failure{Code: "x", Message: "Do."}, Time: at, State: "sending", Mail: 3, Tries: 4,
			Trouble: &Failure{Code: "smtp_unavailable", Message: "Wait."}},
		{ID: 1, Event: VideoRecovered, State: "sent", Tries: 1, Finished: at},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if asked := s.requests(); !reflect.DeepEqual(asked, []string{"GET /v1/outbox?limit=200&state=sent", "GET /v1/outbox?cursor=c1&limit=200&state=sent"}) {
		t.Errorf("asked %q", asked)
	}
}

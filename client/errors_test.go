package client

import (
	"fmt"
	"net/http"
	"reflect"
	"testing"
	"time"
)

func TestErrorsGoThroughAllPagesOfAQuery(t *testing.T) {
	t.Parallel()
	c, s, _ := start(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		next := `,"next":"c1"`
		if n == 2 {
			next = ""
		}
		_, _ = fmt.Fprintf(w, `{"items":[{"id":%d,"video":"v","name":"a.mp4","generation":1,"step":"encode","n":2,"attempt":3,"code":"x","message":"Do.","final":true,"time":"2026-03-09T14:05:06.789Z","worker":"w","detail":"d"}]%s}`, n, next)
	})
	at := time.Date(2026, 3, 9, 14, 5, 6, 789_000_000, time.UTC)
	var got []StepError
	for e, err := range c.Errors(t.Context(), ErrorQuery{Video: "v", Step: "encode", Code: "x", Since: at}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	one := StepError{ID: 1, Video: "v", Name: "a.mp4", Generation: 1, Step: "encode", N: 2, Attempt: 3, Code: "x", Message: "Do.", Final: true, Time: at, Worker: "w", Detail: "d"}
	two := one
	two.ID = 2
	if !reflect.DeepEqual(got, []StepError{one, two}) {
		t.Errorf("got %+v", got)
	}
	asked := "GET /v1/errors?code=x&limit=200&since=2026-03-09T14%3A05%3A06.789Z&step=encode&video=v"
	if want := []string{asked, "GET /v1/errors?code=x&cursor=c1&limit=200&since=2026-03-09T14%3A05%3A06.789Z&step=encode&video=v"}; !reflect.DeepEqual(s.requests(), want) {
		t.Errorf("asked %q", s.requests())
	}
}

func TestErrorGroupsAreThoseOfTheSummary(t *testing.T) {
	t.Parallel()
	c, s, _ := start(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 2 {
			refuse(w, http.StatusUnauthorized, "unauthorized")
			return
		}
		_, _ = fmt.Fprint(w, `{"groups":[{"code":"x","step":"ingest","message":"Do.","count":3,"videos":2,"final":1,"first":"2026-03-09T14:05:06Z","last":"2026-03-09T14:06:06Z"}]}`)
	})
	at := time.Date(2026, 3, 9, 14, 5, 6, 0, time.UTC)
	got, err := c.ErrorGroups(t.Context(), time.Time{})
	want := []ErrorGroup{{Code: "x", Step: "ingest", Message: "Do.", Count: 3, Videos: 2, Final: 1, First: at, Last: at.Add(time.Minute)}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := c.ErrorGroups(t.Context(), at); err == nil {
		t.Error("a refusal is no error")
	}
	if got := s.requests()[1]; got != "GET /v1/errors/summary?since=2026-03-09T14%3A05%3A06Z" {
		t.Errorf("asked %q", got)
	}
}

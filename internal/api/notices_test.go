package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"sluice/internal/upload"
)

// ear remembers what it was told.
type ear struct {
	told []upload.StorageEvent
	fail error
}

func (e *ear) Tell(ctx context.Context, notices []upload.StorageEvent) (int, error) {
	if err := errors.Join(e.fail, ctx.Err()); err != nil {
		return 0, err
	}
	e.told = append(e.told, notices...)
	return len(notices), nil
}

func TestMessagesOfAStorageAreTaken(t *testing.T) {
	t.Parallel()
	e := &ear{}
	srv := httptest.NewServer(New(Config{Notices: e, Logger: slog.New(slog.DiscardHandler)}))
	t.Cleanup(srv.Close)
	s := server{url: srv.URL}
	record := `{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"vids"},"object":{"key":"a.mp4"}}}`
	for _, c := range []struct {
		body   string
		status int
		want   string // the field "taken", or the code
	}{
		{`{"Records":[` + record + `,` + record + `]}`, 200, "2"},
		{`{"Service":"S3","Event":"s3:TestEvent"}`, 200, "0"},
		{`{"Records":[{"eventName":"s3:Made:Up"}]}`, 200, "0"},
		{`{"hello":"world"}`, 422, "bad_event"},
		{`no JSON`, 422, "bad_event"},
		{`{"Records":[` + strings.Repeat(record+`,`, 20_000) + record + `]}`, 413, codeTooLarge},
	} {
		a := s.do(t, "POST", "/v1/events/s3", c.body)
		m := a.object(t)
		if got := fmt.Sprint(m["taken"]); a.status != c.status || got != c.want && m["code"] != c.want {
			t.Errorf("%.60s: %d %s", c.body, a.status, a.body)
		}
	}
	if len(e.told) != 2 {
		t.Errorf("told %q", e.told)
	}
	e.fail = errors.New("the database is away")
	if a := s.do(t, "POST", "/v1/events/s3", `{"Records":[`+record+`]}`); a.status < 500 {
		t.Errorf("what could not be taken got %d", a.status)
	}
}

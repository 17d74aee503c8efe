package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/internal/sweep"
)

// broom finds the same each time.
type broom struct {
	found []sweep.Item
	asked []bool
	fail  error
}

func (b *broom) Sweep(_ context.Context, remove bool) ([]sweep.Item, error) {
	b.asked = append(b.asked, remove)
	return b.found, b.fail
}

func TestASweepOnlyTellsUnlessItIsToRemove(t *testing.T) {
	t.Parallel()
	b := &broom{}
	for i := range mostItems + 1 {
		b.found = append(b.found, sweep.Item{Kind: sweep.Pin, Name: fmt.Sprint("sources/", i), Bytes: 2, Since: time.Unix(1, 0)})
	}
	srv := httptest.NewServer(asking(New(Config{Sweeper: b, Logger: slog.New(slog.DiscardHandler)})))
	t.Cleanup(srv.Close)
	s := server{url: srv.URL}
	for _, c := range []struct {
		body   string
		delete bool
	}{{`{}`, false}, {`{"delete":false}`, false}, {`{"delete":true}`, true}} {
		m := s.do(t, "POST", "/v1/sweep", c.body).object(t)
		if m["deleted"] != c.delete || b.asked[len(b.asked)-1] != c.delete || fmt.Sprint(m["count"], m["bytes"]) != "1001 2002" || len(m["items"].([]any)) != mostItems {
			t.Errorf("%s: %v %v", c.body, m["deleted"], m["count"])
		}
	}
	for _, body := range []string{``, `{"delete":"yes"}`, `{"remove":true}`} {
		if a := s.do(t, "POST", "/v1/sweep", body); a.status < 400 || len(b.asked) != 3 {
			t.Errorf("%s: %d", body, a.status)
		}
	}
	b.fail = errors.New("the storage is away")
	if a := s.do(t, "POST", "/v1/sweep", `{}`); a.status < 500 {
		t.Errorf("a failure: %d", a.status)
	}
}

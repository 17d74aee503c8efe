package engine

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRiverComplainsOnceInHalfAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := quiet(slog.New(slog.NewTextHandler(&out, nil))).With("client", 1)
		for range 61 { // a minute
			log.Info("fetching")
			log.Error("error fetching")
			log.With("queue", "encode").Error("error fetching")
			log.Warn("something else")
			time.Sleep(time.Second)
		}
		for what, want := range map[string]int{"error fetching": 3, "something else": 3, "msg=fetching": 0} {
			if n := strings.Count(out.String(), what); n != want {
				t.Errorf("%q was let through %d times, want %d", what, n, want)
			}
		}
	})
}

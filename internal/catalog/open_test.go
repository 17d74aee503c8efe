package catalog

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// openAt opens a store that is closed when the test ends.
func openAt(t *testing.T, dsn string) *Store {
	t.Helper()
	s, err := Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.apart = 0 // what needs a fact's age says so
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestFourProcessesMayOpenANewDatabaseAtOnce(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				s, err := Open(t.Context(), dsn, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestAnOpenedAgainDatabaseKeepsItsVideos(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		id := video.ID("01jxw5q1v3m8c0r8w1k2n3p4q5")
		first, err := Open(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Grant(t.Context(), video.Video{ID: id, Name: "a.mp4"}, video.Upload{Video: id, Bucket: "uploads", Key: "a.mp4"}, nil); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		v, err := openAt(t, dsn).Video(t.Context(), id)
		if err != nil || v.Name != "a.mp4" {
			t.Fatalf("got %+v, %v", v, err)
		}
	})
}

func TestAClosedDatabaseIsUnavailable(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		s, err := Open(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := s.Ping(context.WithoutCancel(t.Context())); err == nil {
			t.Fatal("a closed database answered")
		}
	})
}

func TestATransactionThatItsTimeEndedIsUnavailable(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]error{"the deadline": context.DeadlineExceeded, "rolled back": sql.ErrTxDone, "nothing known": errors.New("interrupted (9)")} {
		ended, cancel := context.WithCancel(t.Context())
		err := within(t.Context(), time.Millisecond, func(ctx context.Context) error {
			<-ctx.Done()
			return said
		})
		if fault.Of(err).Code != "database_unavailable" {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
		if err := within(ended, time.Minute, func(context.Context) error { return said }); !errors.Is(err, said) {
			t.Errorf("%s, of a caller that left: %v", name, err)
		}
	}
}

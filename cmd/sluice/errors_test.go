package main

import (
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// The scripts meet the real API over the real store, in which two videos failed to be read for want of disk and one of them for good.
func TestErrors(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/errors", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			store, err := catalog.Open(t.Context(), filepath.Join(env.WorkDir, "sluice.db"), slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			env.Defer(func() { _ = store.Close() })
			// In this order: the list has the newest first.
			if err := errors.Join(failing(t, store, "a.mp4", "disk_full"), failing(t, store, "b.\x1bmp4", "disk_full", "not_media")); err != nil {
				return err
			}
			srv := httptest.NewServer(withToken("right", api.New(api.Config{Errors: store, Subscriptions: store, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})))
			env.Defer(srv.Close)
			env.Setenv("SERVER", srv.URL)
			env.Values[storeOfScript{}] = store
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"fails": func(ts *testscript.TestScript, _ bool, names []string) { // has a video of that name fail
				ts.Check(failing(t, ts.Value(storeOfScript{}).(*catalog.Store), names[0], "not_media"))
			},
		},
	})
}

// storeOfScript is the key of a script's store among its values.
type storeOfScript struct{}

// failing makes a video whose ingest fails with each code, with not_media for good.
func failing(t *testing.T, store *catalog.Store, name string, codes ...string) error {
	id := video.NewID(time.Now())
	src := video.Source{Bucket: "uploads", Key: name, ETag: "e", Size: 1, Modified: time.Now()}
	if _, _, err := store.Received(t.Context(), video.Video{ID: id, Name: name, Prefix: "p"}, src, func(video.ID) []engine.Job { return nil }); err != nil {
		return err
	}
	ref := video.StepRef{Video: id, Generation: 1, Name: video.Ingest}
	for _, code := range codes {
		if _, err := store.Begin(t.Context(), ref, "w", engine.Handle{}); err != nil {
			return err
		}
		why := video.StepFailure{Failure: video.Failure{Code: code, Message: "Send a video."}, Final: code == "not_media"}
		if err := store.Fail(t.Context(), ref, why, nil, engine.Handle{}); err != nil {
			return err
		}
	}
	return nil
}

// withToken lets one token through.
func withToken(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			fault.Write(w, fault.New(fault.Unauthorized, "test", "unauthorized", "Send the token.", nil))
			return
		}
		next.ServeHTTP(w, r.WithContext(account.With(r.Context(), account.Operator())))
	})
}

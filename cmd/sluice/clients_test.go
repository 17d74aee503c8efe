package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/api"
	"sluice/internal/catalog"
	"sluice/internal/identity"
	"sluice/internal/oauth"
)

// The scripts meet the real API over the real store and provider. withid puts the id of the program that people sign in with where the line has ID.
func TestClients(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/clients", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			log := slog.New(slog.DiscardHandler)
			store, err := catalog.Open(t.Context(), filepath.Join(env.WorkDir, "sluice.db"), log)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = store.Close() })
			accounts := identity.New(identity.Config{Store: store, Cookie: plainCookie, Now: time.Now, Log: log})
			var handler http.Handler
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handler.ServeHTTP(w, r) }))
			env.Defer(srv.Close)
			provider, err := oauth.New(oauth.Config{Store: store, Users: accounts, Issuer: srv.URL, Secret: []byte("a secret of the folder"), Access: 15 * time.Minute, Idle: time.Hour,
				Most: time.Hour, Rotate: 48 * time.Hour, Now: time.Now, Logger: log})
			if err != nil {
				return err
			}
			handler = withToken("right", api.New(api.Config{Identity: accounts, Clients: store, SignIns: provider, KeyRing: provider, ClientSecret: oauth.NewSecret, Now: time.Now, Logger: log}))
			env.Setenv("SERVER", srv.URL)
			env.Values[storeKey{}] = store
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"withid": func(ts *testscript.TestScript, _ bool, args []string) {
				all, err := ts.Value(storeKey{}).(*catalog.Store).Clients(t.Context())
				ts.Check(err)
				for _, c := range all {
					if len(c.Redirects) > 0 {
						for i := range args {
							if args[i] == "ID" {
								args[i] = c.ID
							}
						}
					}
				}
				ts.Check(ts.Exec(args[1], args[2:]...))
			},
		},
	})
}

type storeKey struct{}

package main

import (
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"sluice/internal/account"
	"sluice/internal/api"
	"sluice/internal/catalog"
	"sluice/internal/identity"
	"sluice/internal/notify"
)

// The scripts meet the real API over the real store, in which there is an administrator who was invited and no mail server.
func TestUsers(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/users", RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			log := slog.New(slog.DiscardHandler)
			store, err := catalog.Open(t.Context(), filepath.Join(env.WorkDir, "sluice.db"), log)
			if err != nil {
				return err
			}
			env.Defer(func() { _ = store.Close() })
			accounts := identity.New(identity.Config{Store: store, Cookie: plainCookie, Now: time.Now, Log: log})
			if _, err := accounts.First(t.Context(), "admin@localhost"); err != nil {
				return err
			}
			srv := httptest.NewServer(withToken("right", api.New(api.Config{
				Identity: accounts, LetterText: func(l account.Message) (string, string) { return notify.LetterText(l, "https://sluice.test") }, Now: time.Now, Logger: log,
			})))
			env.Defer(srv.Close)
			env.Setenv("SERVER", srv.URL)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func TestAClientsAddressIsWhatTrustedProxiesSay(t *testing.T) {
	t.Parallel()
	s := Settings{AdminEmail: "a@b", TrustedProxies: []string{"10.0.0.0/8", "127.0.0.1", "::1"}}
	if err := s.checkIdentity(); err != nil {
		t.Fatal(err)
	}
	a := &App{settings: s}
	for _, c := range []struct{ peer, forwarded, want string }{
		{"192.0.2.7:80", "", "192.0.2.7"},
		{"192.0.2.7:80", "203.0.113.9", "192.0.2.7"}, // a client that says it is another
		{"10.1.2.3:80", "203.0.113.9", "203.0.113.9"},
		{"127.0.0.1:80", "198.51.100.1, 203.0.113.9, 10.9.9.9", "203.0.113.9"}, // what is to the left of the client's own address, it wrote itself
		{"[::1]:80", "2001:db8::7", "2001:db8::7"},
		{"[::ffff:10.1.2.3]:80", "203.0.113.9", "203.0.113.9"},
		{"10.1.2.3:80", "nonsense\r\n", "10.1.2.3"},
		{"10.1.2.3:80", "", "10.1.2.3"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = c.peer
		if c.forwarded != "" {
			r.Header.Set("X-Forwarded-For", c.forwarded)
		}
		if got := clientAddress(r, a.proxies()); got != c.want {
			t.Errorf("%s with %q: %s, want %s", c.peer, c.forwarded, got, c.want)
		}
	}
	for _, bad := range []Settings{{AdminEmail: "admin"}, {AdminEmail: "a@b\n"}, {AdminEmail: "a@b", TrustedProxies: []string{"proxy"}}} {
		if bad.checkIdentity() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
}

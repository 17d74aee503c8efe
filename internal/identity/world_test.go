package identity_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
	"sluice/internal/identity"
	"sluice/internal/seal"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

// sealing is of the secrets of second factors.
var sealing = func() *seal.Box {
	s, err := seal.New([]byte("sixteen bytes or more"), "test")
	if err != nil {
		panic(err)
	}
	return s
}()

// world is accounts in a store, with a clock.
type world struct {
	*identity.Service
	*testing.T
	store *catalog.Store
	mu    sync.Mutex
	clock time.Time
}

// each runs f on both databases.
func each(t *testing.T, f func(w *world)) {
	t.Helper()
	enginetest.Each(t, func(t *testing.T, dsn string) {
		store, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
		w := &world{T: t, store: store, clock: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}
		w.Service = identity.New(identity.Config{Store: store, Cookie: "__Host-sluice", Secure: true, Hashes: 2, Now: w.now, Site: "Sluice test", Seal: sealing, Log: slog.New(slog.DiscardHandler)})
		if _, err := w.First(t.Context(), "root@example.com"); err != nil {
			t.Fatal(err)
		}
		f(w)
	})
}

func (w *world) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.clock
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock = w.clock.Add(d)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// refused wants a fault of that code.
func (w *world) refused(err error, code string) {
	w.Helper()
	if err == nil || fault.Of(err).Code != code {
		w.Fatalf("got %v, want %s", err, code)
	}
}

// from is a context of a request from an address, with a cookie or none.
func (w *world) from(address, cookie string) context.Context {
	return account.WithCaller(w.Context(), account.Caller{Address: address, Agent: "test", Cookie: cookie})
}

const (
	home = "192.0.2.1"
	own  = "marmalade turnip orbit 77"
)

// secret is what the newest letter to a user tells.
func (w *world) secret(user string) string {
	w.Helper()
	all, err := w.Letters(w.Context(), "", 0, 100)
	w.must(err)
	for _, l := range all {
		if l.User == user && slices.Contains([]account.MessageKind{account.InvitationLetter, account.ForcedLetter, account.ForgottenLetter}, l.Kind) {
			l, err := w.Letter(w.Context(), account.Operator(), l.ID)
			w.must(err)
			return l.Secret
		}
	}
	w.Fatal("no letter")
	return ""
}

func (w *world) invite(email string, role account.Role) account.User {
	w.Helper()
	u, err := w.Invite(w.Context(), account.Operator(), account.User{Email: email, Role: role, Workspaces: []string{account.DefaultWorkspace}})
	w.must(err)
	return u
}

// user is one who has accepted an invitation, with the cookie of their session.
func (w *world) user(email string, role account.Role) (u account.User, cookie string) {
	w.Helper()
	u = w.invite(email, role)
	cookie = w.signIn(home, email, w.secret(u.ID))
	p, err := w.ask(cookie)
	w.must(err)
	in, err := w.ChangePassword(w.from(home, cookie), p, w.used(u.ID), own)
	w.must(err)
	return in.User, value(w.T, in.Cookie)
}

var tempOf sync.Map // user → the temporary password that was used

func (w *world) used(user string) string {
	v, _ := tempOf.Load(user)
	return v.(string)
}

func (w *world) signIn(from, email, password string) (cookie string) {
	w.Helper()
	in, err := w.SignIn(w.from(from, ""), email, password)
	w.must(err)
	if in.User.MustChange {
		tempOf.Store(in.User.ID, password)
	}
	return value(w.T, in.Cookie)
}

func value(t *testing.T, header string) string {
	t.Helper()
	c, err := http.ParseSetCookie(header)
	if err != nil || c.Name != "__Host-sluice" || !c.HttpOnly || !c.Secure || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Fatalf("%q: %v", header, err)
	}
	return c.Value
}

// ask is what a request with a cookie becomes.
func (w *world) ask(cookie string) (account.Principal, error) {
	r := httptest.NewRequestWithContext(w.Context(), "GET", "/v1/videos", nil)
	r.AddCookie(&http.Cookie{Name: "__Host-sluice", Value: cookie})
	p, ok, err := w.Authenticate(r)
	if !ok {
		w.Error("a cookie is not known for one")
	}
	return p, err
}

// bear is what a request with a token becomes.
func (w *world) bear(token string) (account.Principal, error) {
	r := httptest.NewRequestWithContext(w.Context(), "GET", "/v1/videos", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	p, ok, err := w.Authenticate(r)
	if !ok {
		w.Error("a token is not known for one")
	}
	return p, err
}

// forgotten does the job of who has forgotten their password.
func (w *world) forgotten(email string) {
	w.Helper()
	w.must(w.Handlers()["forgot"](w.Context(), engine.Attempt{Job: engine.Job{Args: []byte(fmt.Sprintf(`{"email":%q}`, email))}}))
}

func sprint(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return strings.Join([]string{fmt.Sprint(f.Kind), f.Op, f.Code, f.Message}, "|")
	}
	return fmt.Sprint(err)
}

package oauth

import (
	"context"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/account"
	"sluice/internal/fault"
)

func TestAlgorithmsAreOfTheListAndOfTheirKey(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	plain := is.keys["k1"]
	is.set(func() { is.more = []any{jose.JSONWebKey{Key: plain.Public(), KeyID: "any"}} }) // of any algorithm
	all, _ := is.trusting(nil)
	few, _ := is.trusting(func(c *ExternalConfig) { c.Algorithms = []string{"RS256", "ES256"} })
	for _, c := range []struct {
		what     string
		e        *External
		kid, alg string
		good     bool
	}{
		{"of the list, by a key of any", all, "any", "RS384", true},
		{"of the key", all, "k1", "RS256", true},
		{"not of the key", all, "k1", "RS384", false},
		{"of the short list", few, "any", "RS256", true},
		{"not of the short list", few, "any", "RS384", false},
	} {
		_, err := c.e.as(t, is.sign(t, is.claims(), "kid", c.kid, "alg", c.alg))
		if c.good != (err == nil) || err != nil && fault.Of(err).Code != "invalid_token" {
			t.Errorf("%s: %v", c.what, err)
		}
	}
}

func TestWhatAProgramMayNoMoreItsTokensMayNoMore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		edit := func(id string, e account.ClientEdit) {
			if _, err := w.store.EditClient(t.Context(), id, e, account.AuditEntry{What: account.ClientEdited}); err != nil {
				t.Fatal(err)
			}
			w.sleep(Fresh)
		}
		read, viewer := account.Scopes{account.VideosRead}, account.Viewer
		service, secret := w.add(account.Client{Kind: account.ServiceClient, Role: account.Editor, Scopes: account.Scopes{account.VideosRead, account.VideosWrite, account.UploadsWrite}})
		of := func(scope ...string) string {
			return w.post(pathToken, service.ID, secret, url.Values{"grant_type": {"client_credentials"}, "scope": scope}).str("access_token")
		}
		every, some, ed := of(), of("videos/read uploads/write"), w.tokens("ed").str("access_token")
		allows := func(what, token, want string) {
			t.Helper()
			if who := w.good(what, token); who.Scopes.String() != want {
				t.Errorf("%s: %s, want %s", what, who.Scopes, want)
			}
		}
		allows("all of a service's", every, "videos/read videos/write uploads/write")
		allows("some of a service's", some, "videos/read uploads/write")
		allows("a person's", ed, "videos/read videos/write")
		edit(service.ID, account.ClientEdit{Scopes: &account.Scopes{account.VideosRead, account.VideosWrite}})
		allows("cut", every, "videos/read videos/write")
		allows("cut too", some, "videos/read")
		edit(service.ID, account.ClientEdit{Role: &viewer})
		allows("demoted", every, "videos/read")
		edit(w.web.ID, account.ClientEdit{Scopes: &read})
		allows("of a program that was cut", ed, "videos/read")

		w.asks.Store(nil)
		a := w.get(pathAuthorize, w.ask("scope", "openid videos/read"))
		_, id, _ := strings.Cut(a.to.String(), "#/signin?request=")
		edit(w.web.ID, account.ClientEdit{Redirects: &[]string{"https://app.example.com/other"}})
		w.signIn("ed")
		if to, err := w.Complete(t.Context(), id, *w.asks.Load(), true); err == nil || fault.Of(err).Code != "request_gone" {
			t.Errorf("back to an address that is registered no more: %s %v", to, err)
		}
	})
}

func TestEveryProcessHeedsWhatAnotherEnds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		second := w.provider(w.Issuer, []byte("a secret of the folder"))
		at := func(what, token, code string) {
			t.Helper()
			if _, err := second.as(t.Context(), token); (err == nil) != (code == "") || err != nil && fault.Of(err).Code != code {
				t.Errorf("%s: %v, want %q", what, err, code)
			}
		}
		one, two := w.tokens("ed").str("access_token"), w.tokens("ed").str("access_token")
		at("one token", one, "")
		at("another", two, "")
		w.post(pathRevoke, w.web.ID, w.secret, url.Values{"token": {one}})
		w.sleep(Fresh)
		at("a token that another process revoked", one, "invalid_token")
		at("the other token", two, "")
		if _, err := w.Renew(t.Context(), account.AuditEntry{What: account.KeysRotated}, true); err != nil {
			t.Fatal(err)
		}
		w.sleep(time.Minute)
		at("of a key that another process withdrew", two, "invalid_token")
	})
}

// counted counts how often keys are read.
type counted struct {
	Store
	reads atomic.Int64
}

func (c *counted) SigningKeys(ctx context.Context) ([]account.SigningKey, error) {
	c.reads.Add(1)
	return c.Store.SigningKeys(ctx)
}

func TestMadeUpKeysAreNotAskedForEachTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		good := w.tokens("ed").str("access_token")
		header, claims := parts(t, good)
		c, store := w.Config, &counted{Store: w.store}
		c.Store = store
		p, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 100 {
			if _, err := p.as(t.Context(), forge(t, with(header, "kid", fmt.Sprint("made up ", i)), claims, sharedKey(), nil)); err == nil {
				t.Fatal("taken")
			}
		}
		if _, err := p.as(t.Context(), good); err != nil {
			t.Error(err)
		}
		if n := store.reads.Load(); n > 20 { // one, and one more in each five seconds that a slow machine takes
			t.Errorf("%d reads for 100 tokens that anybody can make up", n)
		}
	})
}

func TestWhatIsKnownOfUsersAndProgramsIsBounded(t *testing.T) {
	t.Parallel()
	m := memo[string]{read: func(_ context.Context, id string) (string, error) { return id, nil }, now: time.Now}
	for i := range 2*mostKept + 1 {
		if _, err := m.get(t.Context(), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
		if len(m.kept) > mostKept {
			t.Fatalf("it keeps %d", len(m.kept))
		}
	}
}

func TestWhoLearnsOfATokenAndOfAPersonIsWhoWasGivenIt(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one := w.tokens("ed")
		spa, _ := w.add(account.Client{Kind: account.SPAClient, Redirects: w.web.Redirects, Scopes: w.web.Scopes})
		other, secret := w.add(account.Client{Kind: account.WebClient, Role: account.Admin, Redirects: w.web.Redirects, Scopes: account.Scopes{account.UsersAdmin}})
		keeper, keeps := w.add(account.Client{Kind: account.ServiceClient, Role: account.Admin, Scopes: account.Scopes{account.UsersAdmin}})
		service, serves := w.add(account.Client{Kind: account.ServiceClient, Role: account.Admin, Scopes: account.Scopes{account.VideosRead}})
		for what, token := range map[string]string{"an access token": one.str("access_token"), "a refresh token": one.str("refresh_token")} {
			about := func(id, secret string) went { return w.post(pathIntrospect, id, secret, url.Values{"token": {token}}) }
			if a := about(keeper.ID, keeps); a.body["active"] != true || a.str("sub") != "ed" {
				t.Errorf("%s, asked for by a service that sees to users: %d %s", what, a.status, a.text)
			}
			for who, a := range map[string]went{"another program": about(other.ID, secret), "a service": about(service.ID, serves)} {
				if a.status != http.StatusOK || a.body["active"] != false || len(a.body) != 1 {
					t.Errorf("%s, asked for by %s: %d %s", what, who, a.status, a.text)
				}
			}
			for _, secret := range []string{"", "x"} {
				if a := about(spa.ID, secret); a.status < 400 || a.body["active"] != nil {
					t.Errorf("%s, asked for by who has no secret, with %q: %d %s", what, secret, a.status, a.text)
				}
			}
		}
		bare := w.tokens("ed", "scope", "openid videos/read")
		if _, claims := parts(t, bare.str("id_token")); claims["email"] != nil || claims["name"] != nil {
			t.Errorf("nobody asked for %v", claims)
		}
		person := func(token string) went { return w.get(pathUserinfo, nil, "Authorization", "Bearer "+token) }
		if a := person(bare.str("access_token")); len(a.body) != 1 || a.str("sub") != "ed" {
			t.Errorf("nobody asked for more than who it is: %d %s", a.status, a.text)
		}
		key, err := w.ring.signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		machine, _, err := w.access(key, service, account.Consent{}, "openid videos/read")
		if err != nil {
			t.Fatal(err)
		}
		for what, token := range map[string]string{"a token that was not given for signing in": w.tokens("ed", "scope", "videos/read").str("access_token"), "a service's": machine} {
			w.good(what, token)
			if a := person(token); a.status != http.StatusUnauthorized {
				t.Errorf("%s: %d %s", what, a.status, a.text)
			}
		}
	})
}

func TestWhoHasAnAccountHereThatIsDisabledIsRefused(t *testing.T) {
	t.Parallel()
	is, other := startIssuer(t), startIssuer(t)
	other.keys = map[string]*rsa.PrivateKey{"k1": sharedKey()}
	here := &people{all: map[string]account.User{}}
	having := func(users Users) func(*ExternalConfig) { return func(c *ExternalConfig) { c.Users = users } }
	e, later := is.trusting(having(here))
	elsewhere, _ := other.trusting(having(here))
	token := is.sign(t, is.claims())
	who, err := e.as(t, token)
	if err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]any{"another e-mail address": "root@localhost", "no e-mail address": nil} {
		if same, err := e.as(t, is.sign(t, with(is.claims(), "email", change))); err != nil || same.ID != who.ID {
			t.Errorf("with %s they are %q, they were %q: %v", what, same.ID, who.ID, err)
		}
	}
	if namesake, err := elsewhere.as(t, other.sign(t, other.claims())); err != nil || namesake.ID == who.ID {
		t.Errorf("somebody of another issuer is %q too: %v", namesake.ID, err)
	}
	here.change(who.ID, func(u *account.User) { u.State = account.Disabled })
	later.Add(int64(Fresh))
	if _, err := e.as(t, token); err == nil || fault.Of(err).Code != "invalid_token" {
		t.Errorf("disabled: %v", err)
	}
	here.change(who.ID, func(u *account.User) { u.State = account.Active })
	later.Add(int64(Fresh))
	if _, err := e.as(t, token); err != nil {
		t.Errorf("enabled again: %v", err)
	}
	blind, _ := is.trusting(having(away{}))
	if _, err := blind.as(t, token); err == nil || fault.Of(err).Kind != fault.Unavailable {
		t.Errorf("while nobody can tell: %v", err)
	}
}

// away is users that can't be read.
type away struct{}

func (away) User(context.Context, string) (account.User, error) {
	return account.User{}, fault.New(fault.Unavailable, "test", "away", "They can't be read.", nil)
}

package api

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/catalog"
	"sluice/internal/fault"
)

// asks is a provider with one request that waits.
type asks struct{ done []account.Principal }

func (a *asks) Asked(_ context.Context, id string) (account.Client, string, error) {
	if id != "good" {
		return account.Client{}, "", fault.New(fault.Gone, "test", codeRequestGone, "It is gone.", nil)
	}
	return account.Client{ID: "c", Name: "<b>A program</b>"}, "openid videos/read", nil
}

func (a *asks) Complete(_ context.Context, id string, who account.Principal, allow bool) (string, error) {
	if _, _, err := a.Asked(context.Background(), id); err != nil {
		return "", err
	}
	a.done = append(a.done, who)
	if !allow {
		return "https://app.example.com/?error=access_denied", nil
	}
	return "https://app.example.com/?code=x", nil
}

func (a *asks) Parted(_ context.Context, id string) string {
	if id != "good" {
		return ""
	}
	return "https://app.example.com/?left"
}

func clients(t *testing.T) (server, *asks) {
	t.Helper()
	store, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "sluice.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	waiting, made := &asks{}, 0
	srv := httptest.NewServer(asking(New(Config{Clients: store, SignIns: waiting, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		ClientSecret: func() (string, string) { made++; return strings.Repeat("s", made), strings.Repeat("h", made) }})))
	t.Cleanup(srv.Close)
	return server{url: srv.URL}, waiting
}

func TestAClientIsAddedChangedGivenAnotherSecretAndRemoved(t *testing.T) {
	t.Parallel()
	s, _ := clients(t)
	a := s.do(t, "POST", "/v1/clients", `{"name":"Tool","kind":"web","redirects":["https://tool.example.com/cb"],"scopes":["videos/read","videos/read"]}`)
	o := a.object(t)
	id, _ := o["id"].(string)
	if a.status != 201 || o["secret"] != "s" || id == "" || len(o["scopes"].([]any)) != 1 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	for _, list := range []string{"logouts", "workspaces"} {
		if _, ok := o[list].([]any); !ok {
			t.Errorf("%s is %v and no list", list, o[list])
		}
	}
	if a := s.do(t, "GET", "/v1/clients/"+id, ""); a.status != 200 || a.object(t)["secret"] != nil || strings.Contains(string(a.body), "hash") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(t, "PATCH", "/v1/clients/"+id, `{"redirects":["https://tool.example.com/new"],"name":"New"}`); a.status != 200 || a.object(t)["name"] != "New" || !strings.Contains(string(a.body), "/new") {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(t, "POST", "/v1/clients/"+id+"/secret", ""); a.status != 200 || a.object(t)["secret"] != "ss" {
		t.Errorf("%d %s", a.status, a.body)
	}
	spa := s.do(t, "POST", "/v1/clients", `{"name":"Page","kind":"spa","redirects":["https://page.example.com/"],"scopes":["videos/read"]}`).object(t)
	if spa["secret"] != nil || spa["rotated"] != nil {
		t.Errorf("%v", spa)
	}
	if a := s.do(t, "POST", "/v1/clients/"+spa["id"].(string)+"/secret", ""); a.status != 409 || a.object(t)["code"] != codeNoSecret {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := s.do(t, "GET", "/v1/clients", ""); len(a.object(t)["items"].([]any)) != 2 {
		t.Errorf("%s", a.body)
	}
	if a := s.do(t, "DELETE", "/v1/clients/"+id, ""); a.status != 204 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for method, path := range map[string]string{"GET": "", "DELETE": "", "PATCH": "", "POST": "/secret"} {
		body := ""
		if method == "PATCH" {
			body = "{}"
		}
		if a := s.do(t, method, "/v1/clients/"+id+path, body); a.status != 404 || a.object(t)["code"] != "no_client" {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
}

func TestAClientThatCanNotBeIsRefused(t *testing.T) {
	t.Parallel()
	s, _ := clients(t)
	with := func(uri string) string {
		return `{"name":"Tool","kind":"web","redirects":["` + uri + `"],"scopes":["videos/read"]}`
	}
	for body, code := range map[string]string{
		with("http://tool.example.com/cb"):                      codeRedirect,
		with("https://u:p@tool.example.com/cb"):                 codeRedirect,
		with("https://tool.example.com/cb#x"):                   codeRedirect,
		with("https://tool.example.com/*"):                      codeRedirect,
		with("https://tool.example.com/\\tcb"):                  codeRedirect,
		with(`https://evil.com\\@tool.example.com/`):            codeRedirect,
		with("javascript:alert(1)"):                             codeRedirect,
		with("data:text/html,x"):                                codeRedirect,
		with("com.example.app:/cb"):                             codeRedirect,
		with("//tool.example.com/cb"):                           codeRedirect,
		with(""):                                                codeRedirect,
		`{"name":"Tool","kind":"web","scopes":["videos/read"]}`: codeRedirect,
		`{"name":"Tool","kind":"native","redirects":["javascript:alert(1)"],"scopes":["videos/read"]}`:                    codeRedirect,
		`{"name":"Tool","kind":"service","scopes":["videos/read"]}`:                                                       codeInvalid,
		`{"name":"Tool","kind":"service","role":"viewer","redirects":["https://a.example.com"],"scopes":["videos/read"]}`: codeInvalid,
		`{"name":"Tool","kind":"spa","role":"admin","redirects":["https://a.example.com"],"scopes":["videos/read"]}`:      codeInvalid,
		`{"name":"Tool","kind":"spa","redirects":["https://a.example.com"],"scopes":["everything"]}`:                      codeInvalid,
		`{"name":"Tool","kind":"spa","redirects":["https://a.example.com"],"scopes":[]}`:                                  codeInvalid,
		`{"name":"A\u0000B","kind":"spa","redirects":["https://a.example.com"],"scopes":["videos/read"]}`:                 codeInvalid,
		`{"name":"Tool","kind":"device","redirects":["https://a.example.com"],"scopes":["videos/read"]}`:                  codeInvalid,
		`{"name":"Tool","kind":"spa","secret":"mine","redirects":["https://a.example.com"],"scopes":["videos/read"]}`:     codeInvalid,
	} {
		if a := s.do(t, "POST", "/v1/clients", body); a.status != 422 || a.object(t)["code"] != code {
			t.Errorf("%s: %d %s, want %s", body, a.status, a.body, code)
		}
	}
	if a := s.do(t, "GET", "/v1/clients", ""); len(a.object(t)["items"].([]any)) != 0 {
		t.Errorf("%s", a.body)
	}
	native := s.do(t, "POST", "/v1/clients", `{"name":"App","kind":"native","redirects":["com.example.app:/cb","http://127.0.0.1/cb","http://[::1]:80/cb"],"scopes":["videos/read"]}`)
	if native.status != 201 {
		t.Fatalf("%d %s", native.status, native.body)
	}
	id := native.object(t)["id"].(string)
	for body, code := range map[string]string{`{"redirects":[]}`: codeRedirect, `{"redirects":["http://evil.example.com/"]}`: codeRedirect, `{"role":"admin"}`: codeInvalid, `{"scopes":["x"]}`: codeInvalid, `{"kind":"web"}`: codeInvalid} {
		if a := s.do(t, "PATCH", "/v1/clients/"+id, body); a.status != 422 || a.object(t)["code"] != code {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
}

func TestASignInForAProgramIsShownAndEnded(t *testing.T) {
	t.Parallel()
	s, waiting := clients(t)
	if a := s.do(t, "GET", "/v1/session/authorize?request=good", ""); a.status != 200 || a.object(t)["name"] != "<b>A program</b>" || len(a.object(t)["scopes"].([]any)) != 2 {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, c := range []struct{ body, want string }{{`{"request":"good"}`, "code=x"}, {`{"request":"good","deny":true}`, "access_denied"}} {
		if a := s.do(t, "POST", "/v1/session/authorize", c.body); a.status != 200 || !strings.HasSuffix(a.object(t)["redirect"].(string), c.want) {
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	if len(waiting.done) != 2 || waiting.done[0].ID != "admin" {
		t.Errorf("%+v", waiting.done)
	}
	if a := s.do(t, "POST", "/v1/session/authorize", `{"request":"bad"}`); a.status != 410 || a.object(t)["code"] != codeRequestGone {
		t.Errorf("%d %s", a.status, a.body)
	}
	bound := account.Operator()
	bound.MustChange = true
	if a := s.as(t, bound, "POST", "/v1/session/authorize"); a.status != 403 || a.object(t)["code"] != codeMustChange {
		t.Errorf("%d %s", a.status, a.body)
	}
	if a := start(t).do(t, "GET", "/v1/session/authorize?request=good", ""); a.status != 410 {
		t.Errorf("where another issuer signs people in: %d %s", a.status, a.body)
	}
}

package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// realm is an issuer that says that whoever comes is Jane.
type realm struct {
	*httptest.Server
	t     *testing.T
	key   *rsa.PrivateKey
	nonce atomic.Value
}

func newRealm(t *testing.T) *realm {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	i := &realm{t: t, key: key}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		var answer any
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			answer = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token"}
		case "/keys":
			answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}
		case "/token":
			answer = map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": i.token("house", map[string]any{"nonce": i.nonce.Load()})}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *realm) token(audience string, more map[string]any) string {
	claims := map[string]any{"iss": i.URL, "sub": "jane", "aud": audience, "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "roles": "editor", "email": "jane@example.com", "name": "Jane"}
	for k, v := range more {
		claims[k] = v
	}
	body, err := json.Marshal(claims)
	if err != nil {
		i.t.Error(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: i.key, KeyID: "k"}}, nil)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	signed, err := signer.Sign(body)
	if err != nil {
		i.t.Error(err)
		return ""
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		i.t.Error(err)
	}
	return text
}

func TestSomebodyWhomAnIssuerSignsInHasASessionLikeAnybodysUntilTheyAreDisabled(t *testing.T) {
	t.Parallel()
	const asJSON = "application/json"
	is := newRealm(t)
	h := newHouse(t, "--oidc-issuer", is.URL, "--oidc-audience", "https://video.example.com", "--oidc-role-claim", "roles", "--oidc-scope-claim", "", "--oidc-client-id", "house")
	_, got := h.browse("", "GET", "/v1/session/issuers", "", "")
	items, _ := got["items"].([]any)
	if len(items) != 1 {
		t.Fatal(got)
	}
	offer, _ := items[0].(map[string]any)
	login, _ := offer["login"].(string)
	if offer["name"] != "127.0.0.1" {
		t.Errorf("%v", offer)
	}
	res, _ := h.browse("", "GET", login+"?to=/library", "", "")
	to, err := res.Location()
	if err != nil || !strings.HasPrefix(to.String(), is.URL+"/auth?") || to.Query().Get("redirect_uri") != h.settings.PublicURL+"/oauth/external/callback" {
		t.Fatal(res.Status, to, err)
	}
	is.nonce.Store(to.Query().Get("nonce"))
	res, _ = h.browse(cookieOf(res), "GET", "/oauth/external/callback?"+url.Values{"code": {"c"}, "state": {to.Query().Get("state")}}.Encode(), "", "")
	if at := res.Header.Get("Location"); res.StatusCode != http.StatusSeeOther || at != h.settings.PublicURL+"/#/library" {
		t.Fatal(res.Status, at)
	}
	cookie := ""
	for _, c := range res.Cookies() {
		if c.Name == plainCookie {
			cookie = c.Name + "=" + c.Value
		}
	}
	_, me := h.browse(cookie, "GET", "/v1/session", "", "")
	id, _ := me["id"].(string)
	if me["role"] != "editor" || me["name"] != "jane@example.com" || me["must_change"] != false || me["session"] == nil || !strings.HasPrefix(id, "oidc:") {
		t.Fatal(me)
	}
	bearer := is.token("https://video.example.com", map[string]any{"client_id": "program"})
	if status, _, text := h.ask(bearer, "GET", "/v1/session", ""); status != http.StatusOK || !strings.Contains(text, `"id":"`+id+`"`) {
		t.Errorf("a token of theirs is another person: %d %s", status, text)
	}
	if _, all := h.browse(cookie, "GET", "/v1/sessions", "", ""); len(all["items"].([]any)) != 1 {
		t.Errorf("%v", all)
	}
	if res, got := h.browse(cookie, "POST", "/v1/session/password", asJSON, `{"current":"x","password":"correct-horse-battery-staple-9"}`); res.StatusCode != http.StatusConflict || got["code"] != "external_user" {
		t.Errorf("%d %v", res.StatusCode, got)
	}
	if status, _, text := h.ask(h.token, "PATCH", "/v1/users/"+id, `{"state":"disabled"}`); status != http.StatusOK {
		t.Fatal(status, text)
	}
	if res, _ := h.browse(cookie, "GET", "/v1/session", "", ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("disabled, and still signed in: %s", res.Status)
	}
	// They can't come in again, which is written down as is what nobody knows who it was.
	res, _ = h.browse("", "GET", login, "", "")
	if to, err = res.Location(); err != nil {
		t.Fatal(err)
	}
	is.nonce.Store(to.Query().Get("nonce"))
	if res, _ = h.browse(cookieOf(res), "GET", "/oauth/external/callback?"+url.Values{"code": {"c"}, "state": {to.Query().Get("state")}}.Encode(), "", ""); res.StatusCode != http.StatusForbidden {
		t.Errorf("disabled, and let in: %s", res.Status)
	}
	for range 40 {
		h.browse("", "GET", "/oauth/external/callback?code=of-nobody&state=x", "", "")
	}
	_, _, record := h.ask(h.token, "GET", "/v1/audit?limit=200", "")
	if n := strings.Count(record, `"sign_in_unknown"`); n < 10 || n > 30 || strings.Contains(record, "of-nobody") {
		t.Errorf("%d of 40 failures from one address are recorded", n)
	}
	if _, _, theirs := h.ask(h.token, "GET", "/v1/audit?user="+id, ""); !strings.Contains(theirs, `"code":"user_disabled"`) || !strings.Contains(theirs, `"sign_in.failed"`) || !strings.Contains(theirs, is.URL) {
		t.Errorf("%s", theirs)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // within 5 s
		if status, code, _ := h.ask(bearer, "GET", "/v1/session", ""); status == http.StatusUnauthorized && code == "invalid_token" {
			break
		}
		if time.Now().After(until) {
			t.Fatal("disabled, and their tokens are good")
		}
	}
	if res, _ := h.browse("", "GET", "/oauth/token", "", ""); res.Header.Get("Content-Type") == asJSON {
		t.Error("it gives tokens beside another issuer")
	}
}

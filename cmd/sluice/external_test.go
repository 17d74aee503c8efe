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

// entered signs Jane in by the issuer and returns her cookie.
func (h house) entered(is *realm, more map[string]any) (cookie string) {
	h.t.Helper()
	res, _ := h.browse("", "GET", "/oauth/external/login", "", "")
	to, err := res.Location()
	if err != nil {
		h.t.Fatal(res.Status, err)
	}
	claims := map[string]any{"nonce": to.Query().Get("nonce")}
	for k, v := range more {
		claims[k] = v
	}
	is.claims.Store(claims)
	res, _ = h.browse(cookieOf(res), "GET", "/oauth/external/callback?"+url.Values{"code": {"c"}, "state": {to.Query().Get("state")}}.Encode(), "", "")
	for _, c := range res.Cookies() {
		if c.Name == plainCookie {
			return c.Name + "=" + c.Value
		}
	}
	h.t.Fatal(res.Status)
	return ""
}

// isIn reports whether a cookie is a session's.
func (h house) isIn(cookie string) bool {
	h.t.Helper()
	res, _ := h.browse(cookie, "GET", "/v1/session", "", "")
	return res.StatusCode == http.StatusOK
}

func TestWhoSignsOutGoesOnToTheIssuerAndWhoSignsOutThereIsOutHere(t *testing.T) {
	t.Parallel()
	is := newRealm(t)
	flags := []string{"--oidc-issuer", is.URL, "--oidc-audience", "https://video.example.com", "--oidc-default-role", "viewer", "--oidc-client-id", "house"}
	h := newHouse(t, flags...)
	res, out := h.browse(h.entered(is, nil), "DELETE", "/v1/session", "", "")
	redirect, _ := out["redirect"].(string)
	to, err := url.Parse(redirect)
	if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(redirect, is.URL+"/leave?") || to.Query().Get("client_id") != "house" || to.Query().Get("post_logout_redirect_uri") != h.settings.PublicURL+"/" ||
		strings.Count(to.Query().Get("id_token_hint"), ".") != 2 || !strings.Contains(res.Header.Get("Set-Cookie"), "Max-Age=0") {
		t.Fatalf("%s %v", res.Status, out)
	}
	var kept string
	if err := h.store.DB().Read.QueryRowContext(t.Context(), `SELECT coalesce(max(hint), '') FROM session`).Scan(&kept); err != nil || kept != "" {
		t.Errorf("%q is kept of a session that is over: %v", kept, err)
	}

	phone, laptop := h.entered(is, map[string]any{"sid": "phone"}), h.entered(is, map[string]any{"sid": "laptop"})
	tell := func(jti string, more map[string]any) {
		t.Helper()
		claims := map[string]any{"jti": jti, "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}}
		for k, v := range more {
			claims[k] = v
		}
		if res, text := h.browse("", "POST", "/oauth/external/logout", "application/x-www-form-urlencoded", url.Values{"logout_token": {is.token("house", claims)}}.Encode()); res.StatusCode != http.StatusOK {
			t.Fatal(res.Status, text)
		}
	}
	tell("1", map[string]any{"sid": "phone"})
	if h.isIn(phone) || !h.isIn(laptop) {
		t.Error("one session at the issuer is another here")
	}
	tell("2", nil)
	if h.isIn(laptop) {
		t.Error("who has signed out there is signed in here")
	}
	again := h.entered(is, map[string]any{"sid": "phone"})
	tell("1", map[string]any{"sid": "phone"})
	if !h.isIn(again) {
		t.Error("what the issuer told once ends what began afterwards")
	}
	if res, _ := h.browse("", "POST", "/oauth/external/logout", "application/x-www-form-urlencoded", "logout_token="+is.token("house", map[string]any{"nonce": "n"})); res.StatusCode != http.StatusBadRequest || !h.isIn(again) {
		t.Errorf("an ID token: %s", res.Status)
	}
	if _, _, record := h.ask(h.token, "GET", "/v1/audit", ""); strings.Count(record, `"session.ended"`) != 2 || !strings.Contains(record, is.URL) {
		t.Errorf("%s", record)
	}

	h = newHouse(t, append(flags, "--oidc-logout", "here")...)
	if res, out := h.browse(h.entered(is, nil), "DELETE", "/v1/session", "", ""); res.StatusCode != http.StatusNoContent {
		t.Errorf("%s %v", res.Status, out)
	}
}

func TestAServerWhoseIssuerAloneSignsPeopleInHasNoPasswords(t *testing.T) {
	t.Parallel()
	is := newRealm(t)
	h := newHouse(t, "--oidc-issuer", is.URL, "--oidc-audience", "https://video.example.com", "--oidc-default-role", "admin", "--oidc-client-id", "house", "--oidc-only")
	if h.first != "" || h.greetFirst() != "" {
		t.Error("the first start prints a password that opens nothing")
	}
	if res, got := h.browse("", "POST", "/v1/session", "application/json", `{"email":"admin@localhost","password":"x"}`); res.StatusCode != http.StatusForbidden || got["code"] != "passwords_off" {
		t.Errorf("%s %v", res.Status, got)
	}
	cookie := h.entered(is, nil)
	_, me := h.browse(cookie, "GET", "/v1/session", "", "")
	setup, _ := me["setup"].(map[string]any)
	if me["role"] != "admin" || setup["passwords"] != false || setup["programs"] != false {
		t.Errorf("%v", me)
	}
	if status, _, text := h.ask(h.token, "GET", "/v1/users", ""); status != http.StatusOK || strings.Count(text, `"id":`) != 1 {
		t.Errorf("%d %s", status, text)
	}
}

// realm is an issuer that says that whoever comes is Jane.
type realm struct {
	*httptest.Server
	t      *testing.T
	key    *rsa.PrivateKey
	nonce  atomic.Value
	claims atomic.Value // of the next ID token, beside Jane's; a map
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
			answer = map[string]any{"issuer": i.URL, "jwks_uri": i.URL + "/keys", "authorization_endpoint": i.URL + "/auth", "token_endpoint": i.URL + "/token",
				"end_session_endpoint": i.URL + "/leave"}
		case "/keys":
			answer = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k", Algorithm: "RS256", Use: "sig"}}}
		case "/token":
			more, _ := i.claims.Load().(map[string]any)
			if more == nil {
				more = map[string]any{"nonce": i.nonce.Load()}
			}
			answer = map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": i.token("house", more)}
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

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

// browse sends a request with a cookie and returns the answer, whose body is read.
func (h house) browse(cookie, method, path, contentType, body string) (*http.Response, map[string]any) {
	h.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	h.door.ServeHTTP(w, r)
	res := w.Result()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	var got map[string]any
	_ = json.Unmarshal(text, &got) // not every answer has a body
	return res, got
}

// cookieOf is what a browser sends back.
func cookieOf(res *http.Response) string {
	for _, c := range res.Cookies() {
		return c.Name + "=" + c.Value
	}
	return ""
}

func TestSomebodyWhoSignedInGivesAProgramATokenAndANewPasswordTakesItBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password := h.first // of the administrator whom the first start made
	const asJSON, fresh = "application/json", "correct-horse-battery-staple-9"
	res, _ := h.browse("", "POST", "/v1/session", asJSON, `{"email":"admin@localhost","password":"`+password+`"}`)
	bound := cookieOf(res)
	if res.StatusCode != http.StatusCreated || bound == "" {
		t.Fatal(res.Status, bound)
	}
	app := account.Client{ID: "app", Name: "App", Kind: account.SPAClient, Redirects: []string{"https://app.example.com/cb"}, Scopes: account.Scopes{account.VideosRead}, Created: now()}
	if err := h.store.AddClient(t.Context(), app, account.AuditEntry{What: account.ClientAdded}); err != nil {
		t.Fatal(err)
	}
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	ask := "/oauth/authorize?" + url.Values{"client_id": {"app"}, "redirect_uri": app.Redirects, "response_type": {"code"}, "scope": {"openid offline_access videos/read"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"}}.Encode()
	for _, cookie := range []string{"", bound} {
		res, _ := h.browse(cookie, "GET", ask, "", "")
		if to := res.Header.Get("Location"); !strings.Contains(to, "/#/signin?request=") {
			t.Fatalf("%d %q", res.StatusCode, to)
		}
	}
	res, got := h.browse(bound, "POST", "/v1/session/password", asJSON, `{"current":"`+password+`","password":"`+fresh+`"}`)
	cookie := cookieOf(res)
	if res.StatusCode != http.StatusOK || cookie == "" {
		t.Fatalf("%d %v", res.StatusCode, got)
	}
	res, _ = h.browse("", "GET", ask, "", "")
	_, id, _ := strings.Cut(res.Header.Get("Location"), "request=")
	res, got = h.browse(cookie, "POST", "/v1/session/authorize", asJSON, `{"request":"`+id+`"}`)
	at, _ := got["redirect"].(string)
	back, err := url.Parse(at)
	if err != nil || back.Host != "app.example.com" || back.Query().Get("state") != "s" || back.Query().Get("code") == "" {
		t.Fatalf("%d %v", res.StatusCode, got)
	}
	res, _ = h.browse(cookie, "GET", ask+"&prompt=none", "", "")
	if to := res.Header.Get("Location"); !strings.Contains(to, "code=") {
		t.Errorf("signed in, and asked again: %q", to)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": app.Redirects, "client_id": {"app"}, "code_verifier": {verifier}}
	_, got = h.browse("", "POST", "/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	access, _ := got["access_token"].(string)
	refresh, _ := got["refresh_token"].(string)
	if status, code, text := h.ask(access, "GET", "/v1/videos", ""); status != http.StatusOK {
		t.Fatalf("%d %s %s", status, code, text)
	}
	if status, code, _ := h.ask(access, "GET", "/v1/users", ""); status != http.StatusForbidden || code != "missing_scope" {
		t.Errorf("more than the program may: %d %s", status, code)
	}
	res, _ = h.browse(cookie, "POST", "/v1/session/password", asJSON, `{"current":"`+fresh+`","password":"another-horse-battery-staple-7"}`)
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	again := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {"app"}}
	if _, got := h.browse("", "POST", "/oauth/token", "application/x-www-form-urlencoded", again.Encode()); got["error"] != "invalid_grant" {
		t.Errorf("%v", got)
	}
	for until := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // within 5 s
		status, code, _ := h.ask(access, "GET", "/v1/videos", "")
		if status == http.StatusUnauthorized && code == "invalid_token" {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("the access token is still taken: %d %s", status, code)
		}
	}
}

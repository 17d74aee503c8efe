package oauth

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

func TestTheCookieOfASignInIsSealedAndOfThisBrowserAlone(t *testing.T) {
	t.Parallel()
	is, nonce, asked := staged(t, false, nil)
	e, _ := is.trusting(func(c *ExternalConfig) { c.DefaultRole = "viewer" })
	here := &hall{t: t}
	party := func(public string) *RelyingParty {
		p, err := NewRelyingParty(RelyingPartyConfig{External: e, Client: "house", Scopes: []string{"openid"}, Public: public, Seal: []byte("a secret of the folder"), Admit: here.admit, Refused: here.refused})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	ask := func(p *RelyingParty, method, path, cookie string) *http.Response {
		r, w := httptest.NewRequestWithContext(t.Context(), method, path, nil), httptest.NewRecorder()
		r.Header.Set("Cookie", cookie)
		p.ServeHTTP(w, r)
		return w.Result()
	}
	p := party("https://video.example.com")
	began := ask(p, http.MethodGet, PathExternalLogin, "")
	to, err := began.Location()
	if err != nil || len(began.Cookies()) != 1 {
		t.Fatal(began.Status, err)
	}
	c, q := began.Cookies()[0], to.Query()
	if c.Name != "__Host-sluice-external" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge <= 0 || c.MaxAge > 600 {
		t.Errorf("%s", c.Raw)
	}
	for _, form := range []func(string) ([]byte, error){base64.RawURLEncoding.DecodeString, base64.StdEncoding.DecodeString, hex.DecodeString} {
		if text, _ := form(c.Value); strings.Contains(string(text), q.Get("state")) || strings.Contains(c.Value, q.Get("state")) {
			t.Errorf("the cookie can be read: %s", text)
		}
	}
	nonce.Store(q.Get("nonce"))
	answer := PathExternalCallback + "?code=c&state=" + q.Get("state")
	own, err := json.Marshal(visit{State: q.Get("state"), Nonce: q.Get("nonce"), Verifier: plainVerifier, To: "/", Ends: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(c.Value)
	flipped[len(flipped)/2] ^= 1
	for what, value := range map[string]string{
		"written by a page":  p.cookie + "=" + base64.RawURLEncoding.EncodeToString(own),
		"written in hex":     p.cookie + "=" + hex.EncodeToString(own),
		"changed":            p.cookie + "=" + string(flipped),
		"of another name":    "sluice-external=" + c.Value,
		"an empty one":       p.cookie + "=",
		"a session's cookie": "__Host-sluice=" + c.Value,
	} {
		if got := ask(p, http.MethodGet, answer, value); got.StatusCode != http.StatusUnprocessableEntity || asked.Load() != nil {
			t.Errorf("a cookie that was %s: %s", what, got.Status)
		}
	}
	for _, path := range []string{PathExternalLogin, answer} {
		if got := ask(p, http.MethodPost, path, p.cookie+"="+c.Value); got.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("a form that is posted to %s: %s", path, got.Status)
		}
	}
	if got := ask(p, http.MethodGet, answer, p.cookie+"="+c.Value); got.StatusCode != http.StatusSeeOther {
		t.Errorf("the cookie itself: %s", got.Status)
	}
	if plain := ask(party("http://127.0.0.1:8080"), http.MethodGet, PathExternalLogin, "").Cookies()[0]; plain.Name != "sluice-external" || plain.Secure {
		t.Errorf("without TLS: %s", plain.Raw)
	}
}

// brought is an issuer that gives an access token along with each ID token of somebody who has no roles in it. said changes the access token's claims.
func brought(t *testing.T, said map[string]any) (who account.ExternalUser, admitted bool) {
	t.Helper()
	is, nonce, claims := startIssuer(t), &atomic.Value{}, map[string]any{}
	is.party(t, false, func(url.Values) map[string]any {
		claims = map[string]any{"iss": is.URL, "sub": "somebody", "aud": "house", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": nonce.Load()}
		access := with(is.claims(), "roles", []string{"video-editors"}, "teams", []string{"news"})
		for name, value := range said {
			access[name] = value
		}
		return map[string]any{"access_token": is.sign(t, access), "token_type": "Bearer", "expires_in": 60, "id_token": is.sign(t, claims, "typ", "JWT")}
	})
	h := openHall(t, is.URL, func(e *ExternalConfig, _ *RelyingPartyConfig) { e.WorkspaceClaim = "teams" })
	s := newSurfer(t)
	q := s.ask(h)
	nonce.Store(q.Get("nonce"))
	status, _, text := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state"))
	came := h.visitors()
	if len(came) == 0 {
		if status != http.StatusForbidden || !strings.Contains(text, "no_role") {
			t.Errorf("%d %s", status, text)
		}
		return who, false
	}
	return came[0], true
}

func TestRolesOfAnAccessTokenCountWhereItIsGoodAndOfTheSamePerson(t *testing.T) {
	t.Parallel()
	if who, _ := brought(t, nil); who.Role != account.Editor || strings.Join(who.Workspaces, " ") != "news" {
		t.Errorf("%+v", who)
	}
	for what, said := range map[string]map[string]any{
		"another person's":    {"sub": "root"},
		"for another server":  {"aud": "https://other.example.com"},
		"one that has ended":  {"exp": time.Now().Add(-time.Hour).Unix()},
		"one without a role":  {"roles": nil},
		"one of no role here": {"roles": []string{"guests", "admin"}},
	} {
		if who, admitted := brought(t, said); admitted {
			t.Errorf("%s: %+v", what, who)
		}
	}
}

func TestACodeGoesToTheIssuerAlone(t *testing.T) {
	t.Parallel()
	elsewhere, _, stolen := staged(t, false, nil)
	is, nonce, _ := staged(t, false, nil)
	honest := is.Config.Handler
	is.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			http.Redirect(w, r, elsewhere.URL+"/token", http.StatusTemporaryRedirect) // which repeats the body
			return
		}
		honest.ServeHTTP(w, r)
	})
	h := openHall(t, is.URL, nil)
	s := newSurfer(t)
	q := s.ask(h)
	nonce.Store(q.Get("nonce"))
	if status, _, text := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state")); status < 400 || stolen.Load() != nil || len(h.visitors()) > 0 {
		t.Errorf("%d %s; elsewhere got %v", status, text, stolen.Load())
	}
	posing := startIssuer(t)
	posing.Config.Handler = elsewhere.Config.Handler // its document is of another
	if status, to, text := newSurfer(t).open(openHall(t, posing.URL, nil).URL + PathExternalLogin); status != http.StatusServiceUnavailable || to != nil {
		t.Errorf("a document of another issuer: %d %v %s", status, to, text)
	}
}

func TestNothingIsAskedByAWayThatIsLessSecureThanTheIssuer(t *testing.T) {
	t.Parallel()
	plain := startIssuer(t)
	for name, want := range map[string]struct{ token, page string }{
		"jwks_uri":               {"issuer_unavailable", ""},
		"token_endpoint":         {"", "issuer_unavailable"},
		"authorization_endpoint": {"", "issuer_unavailable"},
		"none":                   {"", ""},
	} {
		var issuer string
		safe := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/.well-known/openid-configuration" {
				plain.Config.Handler.ServeHTTP(w, r)
				return
			}
			doc := map[string]any{"issuer": issuer, "jwks_uri": issuer + "/keys", "authorization_endpoint": issuer + "/auth", "token_endpoint": issuer + "/token"}
			doc[name] = plain.URL + "/keys" // the same keys, for anybody on the way to change
			_ = json.NewEncoder(w).Encode(doc)
		}))
		t.Cleanup(safe.Close)
		issuer = safe.URL
		config := func(e *ExternalConfig, _ *RelyingPartyConfig) { e.Transport = safe.Client().Transport }
		e, _ := plain.trusting(func(c *ExternalConfig) { c.Issuer = issuer; config(c, nil) })
		code := ""
		if _, err := e.as(t, plain.sign(t, with(plain.claims(), "iss", issuer))); err != nil {
			code = fault.Of(err).Code
		}
		if code != want.token {
			t.Errorf("%s: a token is answered with %q, want %q", name, code, want.token)
		}
		status, to, text := newSurfer(t).open(openHall(t, issuer, config).URL + PathExternalLogin)
		if want.page == "" && (to == nil || to.Path != "/auth") || want.page != "" && (to != nil || !strings.Contains(text, want.page)) {
			t.Errorf("%s: a sign-in is answered with %d %v %s", name, status, to, text)
		}
	}
}

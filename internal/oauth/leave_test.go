package oauth

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// tell posts a form as an issuer does.
func (h *hall) tell(form url.Values, head ...string) (status int, header http.Header) {
	h.t.Helper()
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.URL+PathExternalLogout, strings.NewReader(form.Encode()))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i+1 < len(head); i += 2 {
		req.Header.Set(head[i], head[i+1])
	}
	res, err := h.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode, res.Header
}

// farewells are claims and header of a good logout token.
func (is *issuer) farewells() map[string]any {
	return map[string]any{"iss": is.URL, "aud": "house", "sub": "somebody", "sid": "s-1", "jti": "j-1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
		"events": map[string]any{farewellEvent: map[string]any{}}}
}

func TestTheIssuerTellsWhoHasSignedOutThere(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	h := openHall(t, is.URL, nil)
	e := h.party().External
	good := func(change ...any) url.Values {
		return url.Values{"logout_token": {is.sign(t, with(is.farewells(), change...), "typ", "logout+jwt")}}
	}
	for what, c := range map[string]struct {
		form url.Values
		want account.BackchannelLogout
	}{
		"a session":             {good(), account.BackchannelLogout{User: e.id("somebody"), Party: e.party("s-1")}},
		"all of somebody":       {good("sid", nil), account.BackchannelLogout{User: e.id("somebody")}},
		"a session of whomever": {good("sub", nil), account.BackchannelLogout{Party: e.party("s-1")}},
		"for several clients":   {good("aud", []string{"other", "house"}), account.BackchannelLogout{User: e.id("somebody"), Party: e.party("s-1")}},
		"without an end":        {good("exp", nil), account.BackchannelLogout{User: e.id("somebody"), Party: e.party("s-1")}},
		"without a type":        {url.Values{"logout_token": {is.sign(t, is.farewells(), "typ", nil)}}, account.BackchannelLogout{User: e.id("somebody"), Party: e.party("s-1")}},
	} {
		status, header := h.tell(c.form)
		all := h.expelled()
		if status != http.StatusOK || header.Get("Cache-Control") != "no-store" || len(all) != 1 || all[0].User != c.want.User || all[0].Party != c.want.Party || !strings.HasPrefix(all[0].Token, "logout:") || all[0].Expires.IsZero() {
			t.Errorf("%s: %d %+v", what, status, all)
		}
	}
	if e.party("s-1") == e.party("s-2") || e.party("s-1") == strings.TrimPrefix(e.id("s-1"), account.ExternalPrefix) || e.party("") != "" {
		t.Error("a session's name is another's")
	}
	h.shut = fault.New(fault.Unavailable, "test", "database_unavailable", "It is away.", nil)
	if status, _ := h.tell(good()); status != http.StatusServiceUnavailable {
		t.Errorf("%d: the issuer is to try again", status)
	}
}

func TestLogoutTokensThatAreNotWhatTheyAreToBeEndNothing(t *testing.T) {
	t.Parallel()
	is := startIssuer(t)
	h := openHall(t, is.URL, nil)
	typ := []any{"typ", "logout+jwt"}
	signed := func(change ...any) url.Values {
		return url.Values{"logout_token": {is.sign(t, with(is.farewells(), change...), typ...)}}
	}
	token := signed().Get("logout_token")
	id := map[string]any{"iss": is.URL, "aud": "house", "sub": "somebody", "sid": "s-1", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(), "nonce": "n"}
	for what, form := range map[string]url.Values{
		"no token":               {},
		"two of them":            {"logout_token": {token, token}},
		"no JWT":                 {"logout_token": {"x"}},
		"another issuer":         signed("iss", "https://evil.example.com"),
		"another client":         signed("aud", "other"),
		"nobody":                 signed("sub", nil, "sid", nil),
		"a long name":            signed("sub", strings.Repeat("s", 256)),
		"a long session":         signed("sid", strings.Repeat("s", 256)),
		"no jti":                 signed("jti", nil),
		"no events":              signed("events", nil),
		"another event":          signed("events", map[string]any{"http://schemas.openid.net/event/other": map[string]any{}}),
		"an event that is text":  signed("events", map[string]any{farewellEvent: "yes"}),
		"events that are a list": signed("events", []string{farewellEvent}),
		"a nonce":                signed("nonce", "n"),
		"expired":                signed("exp", time.Now().Add(-time.Minute).Unix()),
		"of long ago, no end":    signed("exp", nil, "iat", time.Now().Add(-time.Hour).Unix()),
		"of the future":          signed("iat", time.Now().Add(time.Hour).Unix()),
		"no beginning":           signed("iat", nil),
		"an ID token":            {"logout_token": {is.sign(t, id, "typ", "JWT")}},
		"an access token":        {"logout_token": {is.sign(t, is.farewells())}}, // by its type
		"of a key that is gone":  {"logout_token": {is.sign(t, is.farewells(), "typ", "logout+jwt", "kid", "k9")}},
		"with a key in it":       {"logout_token": {is.sign(t, is.farewells(), "typ", "logout+jwt", "jwk", map[string]any{"kty": "RSA"})}},
		"unsigned":               {"logout_token": {token[:strings.LastIndexByte(token, '.')+1]}},
		"of another's signature": {"logout_token": {token[:strings.LastIndexByte(token, '.')] + signed("jti", "j-2").Get("logout_token")[strings.LastIndexByte(token, '.'):]}},
	} {
		if status, _ := h.tell(form); status != http.StatusBadRequest || len(h.expelled()) > 0 {
			t.Errorf("%s: %d", what, status)
		}
	}
	if status, _ := h.tell(signed(), "Content-Type", "application/json"); status != http.StatusBadRequest || len(h.expelled()) > 0 {
		t.Errorf("no form: %d", status)
	}
	if status, _, _ := newSurfer(t).open(h.URL + PathExternalLogout + "?" + signed().Encode()); status != http.StatusMethodNotAllowed || len(h.expelled()) > 0 {
		t.Errorf("by an address: %d", status)
	}
	if log := h.log.String(); strings.Contains(log, token) || !strings.Contains(log, "bad_logout_token") {
		t.Errorf("%s", log)
	}
}

func TestWhoSignsOutHereGoesOnToTheIssuerWithWhatItGave(t *testing.T) {
	t.Parallel()
	is, nonce, _ := staged(t, false, nil)
	var leaves atomic.Value // what the issuer says of where people leave
	keys := is.Config.Handler
	is.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, ok := leaves.Load().(string)
		if !ok || r.URL.Path != "/.well-known/openid-configuration" {
			keys.ServeHTTP(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": is.URL, "jwks_uri": is.URL + "/keys", "authorization_endpoint": is.URL + "/auth", "token_endpoint": is.URL + "/token", "end_session_endpoint": at})
	})
	h := openHall(t, is.URL, nil)
	in := func() string {
		s := newSurfer(t)
		q := s.ask(h)
		nonce.Store(q.Get("nonce"))
		if status, _, text := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state")); status != http.StatusSeeOther {
			t.Fatal(status, text)
		}
		all := h.visitors()
		return all[len(all)-1].Hint
	}
	hint := in()
	if strings.Contains(hint, "ey") && strings.Count(hint, ".") == 2 || hint == "" {
		t.Errorf("kept as it is: %s", hint)
	}
	if to := h.party().Leave(t.Context(), hint); to != "" {
		t.Errorf("the issuer has no such address, and somebody is sent to %s", to)
	}
	for says, want := range map[string]string{
		is.URL + "/leave":     is.URL + "/leave?",
		is.URL + "/leave?a=b": is.URL + "/leave?a=b&",
		"http://evil.example": "http://evil.example?", // as secure as the issuer is
		"javascript:alert(1)": "",
		"/leave":              "",
		"":                    "",
	} {
		leaves.Store(says)
		h.later.Add(int64(entriesFresh))
		to := h.party().Leave(t.Context(), hint)
		if want == "" && to != "" || !strings.HasPrefix(to, want) {
			t.Errorf("%q: %s", says, to)
			continue
		}
		if want == "" {
			continue
		}
		u, err := url.Parse(to)
		if err != nil {
			t.Fatal(err)
		}
		_, claims := parts(t, u.Query().Get("id_token_hint"))
		if claims["sub"] != "somebody" || u.Query().Get("client_id") != "house" || u.Query().Get("post_logout_redirect_uri") != h.URL+"/" {
			t.Errorf("%q: %s", says, to)
		}
		if to := h.party().Leave(t.Context(), h.party().hint(strings.Repeat("x", mostHint+1))); strings.Contains(to, "id_token_hint") || !strings.Contains(to, "client_id=house") {
			t.Errorf("a long one: %s", to)
		}
		for _, forged := range []string{"", "x", hint[:len(hint)-2]} {
			if to := h.party().Leave(t.Context(), forged); to != "" {
				t.Errorf("a hint that nobody sealed: %s", to)
			}
		}
	}
	aws := openHall(t, cognito+"eu-central-1.amazonaws.com/eu-central-1_AbCdEf123", nil).party()
	aws.entries, aws.got = entries{Issuer: aws.External.Issuer, Leave: "https://media.auth.eu-central-1.amazoncognito.com/logout"}, time.Now()
	if to, want := aws.Leave(t.Context(), hint), aws.entries.Leave+"?client_id=house&logout_uri="+url.QueryEscape(aws.Public+"/"); to != want {
		t.Errorf("%s, want %s", to, want)
	}
	away := startIssuer(t)
	away.set(func() { away.fails = true })
	other := openHall(t, away.URL, nil)
	if to := other.party().Leave(t.Context(), hint); to != "" || !strings.Contains(other.log.String(), "not at the issuer") {
		t.Errorf("an issuer that is away: %q, and the log says %s", to, other.log.String())
	}
}

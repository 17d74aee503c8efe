package oauth

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"sluice/internal/account"
	"sluice/internal/fault"
)

// hall is a server whose people an external issuer signs in.
type hall struct {
	*httptest.Server
	t     *testing.T
	party func() *RelyingParty
	later atomic.Int64
	mu    sync.Mutex
	came  []account.ExternalUser
	shut  error    // of Admit
	fails []string // codes of sign-ins that failed, with whose they were
	left  []account.BackchannelLogout
	log   journal
}

func openHall(t *testing.T, issuer string, change func(*ExternalConfig, *RelyingPartyConfig)) *hall {
	t.Helper()
	h := &hall{t: t}
	var party *RelyingParty
	h.party = func() *RelyingParty { return party }
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { party.ServeHTTP(w, r) }))
	t.Cleanup(h.Close)
	e := ExternalConfig{Issuer: issuer, Audiences: []string{"https://video.example.com"}, RoleClaim: "roles", Roles: map[string]account.Role{"video-editors": account.Editor},
		Workspaces: []string{"main"}, Now: func() time.Time { return time.Now().Add(time.Duration(h.later.Load())) }, Logger: slog.New(slog.NewTextHandler(&h.log, nil))}
	c := RelyingPartyConfig{Client: "house", Secret: "a secret of the house", Scopes: []string{"openid", "email"}, Public: h.URL, Seal: []byte("a secret of the folder"), Admit: h.admit, Refused: h.refused,
		Expel: h.expel}
	if change != nil {
		change(&e, &c)
	}
	c.External = NewExternal(e)
	var err error
	if party, err = NewRelyingParty(c); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *hall) admit(_ context.Context, who account.ExternalUser) (account.Admission, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.shut != nil {
		return account.Admission{}, h.shut
	}
	h.came = append(h.came, who)
	return account.Admission{Cookie: "sluice=a-session; Path=/; HttpOnly"}, nil
}

func (h *hall) refused(_ context.Context, who account.ExternalUser, code string) (bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fails = append(h.fails, strings.TrimSpace(code+" "+who.Email))
	return true, nil
}

func (h *hall) expel(_ context.Context, _ string, e account.BackchannelLogout) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.left = append(h.left, e)
	return 1, h.shut
}

// expelled returns what the issuer has told of sign-outs since it was asked last.
func (h *hall) expelled() (all []account.BackchannelLogout) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, h.left = h.left, nil
	return all
}

// failed returns what was written down of sign-ins that failed since it was asked last.
func (h *hall) failed() (all []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all, h.fails = h.fails, nil
	return all
}

func (h *hall) visitors() []account.ExternalUser {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]account.ExternalUser{}, h.came...)
}

// surfer is a browser: it keeps cookies and stops at every redirect.
type surfer struct {
	*http.Client
	t *testing.T
}

func newSurfer(t *testing.T) surfer {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return surfer{&http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, t}
}

// open goes to an address and returns the status, where that leads, and what it shows.
func (s surfer) open(at string) (status int, to *url.URL, text string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, at, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Accept", "text/html,*/*;q=0.8")
	res, err := s.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if policy := res.Header.Get("Content-Security-Policy"); res.StatusCode >= 400 && strings.HasPrefix(at, "http://127.0.0.1") && policy != "" && !strings.Contains(policy, "sandbox") {
		s.t.Errorf("a refusal's policy is %q", policy)
	}
	to, _ = res.Location()
	return res.StatusCode, to, string(body)
}

// ask begins a sign-in and returns what the issuer is asked.
func (s surfer) ask(h *hall) url.Values {
	s.t.Helper()
	status, to, text := s.open(h.URL + PathExternalLogin)
	if status != http.StatusSeeOther || to == nil {
		s.t.Fatal(status, text)
	}
	return to.Query()
}

func TestAForeignIssuerSignsSomebodyInOnThePage(t *testing.T) {
	t.Parallel()
	f := startForeign(t)
	h := openHall(t, f.Issuer, nil)
	f.stage(t, http.MethodPost, "client?"+url.Values{"redirect": {h.URL + PathExternalCallback}, "left": {h.URL + "/"}, "tell": {h.URL + PathExternalLogout}}.Encode())
	through := func(s surfer, login string) (*url.URL, int, string) {
		_, to, text := s.open(login)
		for range 20 {
			if to == nil {
				t.Fatal(text)
			}
			if strings.HasPrefix(to.String(), h.URL+PathExternalCallback) {
				status, end, text := s.open(to.String())
				if again, _, _ := s.open(to.String()); again != http.StatusUnprocessableEntity {
					t.Errorf("the same answer once more: %d", again)
				}
				return end, status, text
			}
			at := to.String()
			if strings.Contains(at, "/auth?") {
				at += "&login_hint=" + strings.TrimPrefix(login, h.URL+PathExternalLogin+"?to=/of/")
			}
			_, to, text = s.open(at)
		}
		t.Fatal("sent round in circles")
		return nil, 0, ""
	}
	jane := newSurfer(t)
	end, status, text := through(jane, h.URL+PathExternalLogin+"?to=/of/jane")
	if status != http.StatusSeeOther || end == nil || end.String() != h.URL+"/#/of/jane" {
		t.Fatalf("%d %v %s", status, end, text)
	}
	came := h.visitors()
	if len(came) != 1 || came[0].Role != account.Editor || came[0].Email != "jane@example.com" || came[0].ID != NewExternal(ExternalConfig{Issuer: f.Issuer}).id("jane") {
		t.Fatalf("%+v", came)
	}
	jane.leaves(h, came[0])
	h.failed()
	if _, status, text := through(newSurfer(t), h.URL+PathExternalLogin+"?to=/of/joe"); status != http.StatusForbidden || !strings.Contains(text, "no_role") {
		t.Errorf("somebody without a role: %d %s", status, text)
	}
	if all := h.failed(); len(all) != 2 || all[0] != "no_role joe" || all[1] != "sign_in_unknown" { // the second is the same answer once more
		t.Errorf("written down as %v", all)
	}
}

var (
	formAction = regexp.MustCompile(`action="([^"]+)"`)
	formToken  = regexp.MustCompile(`name="xsrf" value="([^"]+)"`)
)

// leaves signs somebody out at node-oidc-provider, which asks them, tells the hall of it, and sends them back.
func (s surfer) leaves(h *hall, who account.ExternalUser) {
	s.t.Helper()
	status, _, text := s.open(h.party().Leave(s.t.Context(), who.Hint))
	action, token := formAction.FindStringSubmatch(text), formToken.FindStringSubmatch(text)
	if status != http.StatusOK || action == nil || token == nil {
		s.t.Fatalf("%d %s", status, text)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, action[1], strings.NewReader(url.Values{"xsrf": {token[1]}, "logout": {"yes"}}.Encode()))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := s.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = res.Body.Close()
	if to, err := res.Location(); err != nil || to.String() != h.URL+"/" {
		s.t.Errorf("%s, sent to %v", res.Status, to)
	}
	if all := h.expelled(); len(all) != 1 || all[0].User != who.ID || all[0].Party != who.Party || who.Party == "" {
		s.t.Errorf("told of %+v, who came as %+v: %s", all, who, h.log.String())
	}
}

// party stages what the token endpoint of an issuer answers.
func (is *issuer) party(t *testing.T, iss bool, answer func(form url.Values) map[string]any) {
	t.Helper()
	keys := is.Config.Handler
	is.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": is.URL, "jwks_uri": is.URL + "/keys", "authorization_endpoint": is.URL + "/auth", "token_endpoint": is.URL + "/token",
				"authorization_response_iss_parameter_supported": iss})
		case "/token":
			_ = r.ParseForm()
			if name, password, ok := r.BasicAuth(); ok {
				r.PostForm.Set("by", name+" "+password)
			}
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(answer(r.PostForm))
		default:
			keys.ServeHTTP(w, r)
		}
	})
}

// staged is an issuer whose ID tokens say what change makes of good claims and headers. Tests put the nonce that they were given into nonce; asked is the last form of the token endpoint.
func staged(t *testing.T, iss bool, change func(claims map[string]any) (map[string]any, []any)) (is *issuer, nonce *atomic.Value, asked *atomic.Value) {
	t.Helper()
	is, nonce, asked = startIssuer(t), &atomic.Value{}, &atomic.Value{}
	is.party(t, iss, func(form url.Values) map[string]any {
		asked.Store(form)
		claims := map[string]any{"iss": is.URL, "sub": "somebody", "aud": "house", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "nonce": nonce.Load(),
			"roles": []string{"video-editors"}, "email": "root@localhost\r\n", "name": "Some\u202e Body"}
		header := []any{"typ", "JWT"}
		if change != nil {
			var more []any
			claims, more = change(claims)
			header = append(header, more...)
		}
		return map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 60, "id_token": is.sign(t, claims, header...)}
	})
	return is, nonce, asked
}

func TestASignInByAnIssuerBringsItsVerifierAndSecretAndNamesWhoCame(t *testing.T) {
	t.Parallel()
	is, nonce, asked := staged(t, true, nil)
	h := openHall(t, is.URL, nil)
	s := newSurfer(t)
	q := s.ask(h)
	nonce.Store(q.Get("nonce"))
	if q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || q.Get("client_id") != "house" || q.Get("scope") != "openid email" || len(q.Get("state")) < 43 || len(q.Get("nonce")) < 43 {
		t.Errorf("%v", q)
	}
	status, to, text := s.open(h.URL + PathExternalCallback + "?code=c&iss=" + url.QueryEscape(is.URL) + "&state=" + q.Get("state"))
	if status != http.StatusSeeOther || to == nil || to.String() != h.URL+"/#/" {
		t.Fatalf("%d %v %s", status, to, text)
	}
	form, _ := asked.Load().(url.Values)
	if s256(form.Get("code_verifier")) != q.Get("code_challenge") || form.Get("by") != "house a+secret+of+the+house" || form.Get("redirect_uri") != h.URL+PathExternalCallback {
		t.Errorf("%v", form)
	}
	if came := h.visitors(); len(came) != 1 || came[0].Email != "root@localhost" || came[0].Name != "Some Body" || came[0].Issuer != is.URL || !strings.HasPrefix(came[0].ID, account.ExternalPrefix) {
		t.Errorf("%+v", came)
	}
}

func TestAnswersOfNoSignInOfThisBrowserAreRefused(t *testing.T) {
	t.Parallel()
	is, nonce, asked := staged(t, true, nil)
	h := openHall(t, is.URL, nil)
	iss := "&iss=" + url.QueryEscape(is.URL)
	for what, c := range map[string]struct {
		code  string
		query func(state string) string
		other bool // in another browser than the one that asked
		late  bool
	}{
		"a code that another browser was given":     {"sign_in_unknown", func(st string) string { return "code=c&state=" + st + iss }, true, false},
		"without a state":                           {"sign_in_unknown", func(string) string { return "code=c" + iss }, false, false},
		"another state":                             {"sign_in_unknown", func(string) string { return "code=c&state=" + secret() + iss }, false, false},
		"two states":                                {"sign_in_unknown", func(st string) string { return "code=c&state=x&state=" + st + iss }, false, false},
		"two codes":                                 {"sign_in_unknown", func(st string) string { return "code=c&code=d&state=" + st + iss }, false, false},
		"a mixed-up issuer":                         {"sign_in_unknown", func(st string) string { return "code=c&state=" + st + "&iss=https%3A%2F%2Fevil.example.com" }, false, false},
		"an issuer that does not say who it is":     {"sign_in_unknown", func(st string) string { return "code=c&state=" + st }, false, false},
		"after ten minutes":                         {"sign_in_unknown", func(st string) string { return "code=c&state=" + st + iss }, false, true},
		"an error":                                  {"sign_in_refused", func(st string) string { return "error=access_denied%0d%0a&state=" + st + iss }, false, false},
		"more than any issuer answers":              {"sign_in_unknown", func(st string) string { return "code=" + strings.Repeat("c", mostAnswer) + "&state=" + st + iss }, false, false},
		"an error and a code, with another's state": {"sign_in_unknown", func(string) string { return "error=x&code=c&state=y" + iss }, false, false},
	} {
		s := newSurfer(t)
		q := s.ask(h)
		nonce.Store(q.Get("nonce"))
		if c.other {
			s = newSurfer(t)
			s.ask(h) // it has begun one of its own
		}
		if c.late {
			h.later.Add(int64(visitLife))
		}
		status, _, text := s.open(h.URL + PathExternalCallback + "?" + c.query(q.Get("state")))
		if status/100 != 4 || !strings.Contains(text, c.code) || asked.Load() != nil {
			t.Errorf("%s: %d, asked %v: %s", what, status, asked.Load(), text)
		}
		if all := h.failed(); len(all) != 1 || all[0] != c.code {
			t.Errorf("%s: written down as %v", what, all)
		}
		// Whatever came of it, the sign-in is over.
		if status, _, _ := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state") + iss); status != http.StatusUnprocessableEntity {
			t.Errorf("%s, and then the right answer: %d", what, status)
		}
		h.failed()
	}
	if came := h.visitors(); len(came) > 0 {
		t.Errorf("%+v", came)
	}
}

func TestIDTokensThatAreNotOfThisSignInOpenNothing(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		claims map[string]any
		header []any
	}{
		"another nonce":          {map[string]any{"nonce": "n"}, nil},
		"no nonce":               {map[string]any{"nonce": nil}, nil},
		"another issuer":         {map[string]any{"iss": "https://evil.example.com"}, nil},
		"another client":         {map[string]any{"aud": "other"}, nil},
		"another party":          {map[string]any{"azp": "other"}, nil},
		"two clients, no party":  {map[string]any{"aud": []string{"house", "other"}}, nil},
		"expired":                {map[string]any{"exp": time.Now().Add(-time.Minute).Unix()}, nil},
		"without an end":         {map[string]any{"exp": nil}, nil},
		"without a beginning":    {map[string]any{"iat": nil}, nil},
		"of the future":          {map[string]any{"iat": time.Now().Add(time.Hour).Unix()}, nil},
		"nobody's":               {map[string]any{"sub": nil}, nil},
		"a long name's":          {map[string]any{"sub": strings.Repeat("s", 256)}, nil},
		"an access token":        {nil, []any{"typ", "at+jwt"}},
		"Cognito's access token": {map[string]any{"token_use": "access"}, nil},
		"Keycloak's refresh":     {map[string]any{"typ": "Refresh"}, nil},
		"a logout token":         {nil, []any{"typ", "logout+jwt"}},
		"of a key that is gone":  {nil, []any{"kid", "k9"}},
		"signed by another key":  {nil, []any{"kid", "other"}},
		"with a key in it":       {nil, []any{"jwk", map[string]any{"kty": "RSA"}}},
		"of another tenant":      {map[string]any{"tid": "other"}, nil},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			is, nonce, _ := staged(t, false, func(good map[string]any) (map[string]any, []any) {
				good["tid"] = "ours"
				for k, v := range c.claims {
					if good[k] = v; v == nil {
						delete(good, k)
					}
				}
				return good, c.header
			})
			is.set(func() { is.more = []any{jose.JSONWebKey{Key: otherKey().Public(), KeyID: "other"}} })
			h := openHall(t, is.URL, func(e *ExternalConfig, _ *RelyingPartyConfig) { e.Require = map[string]string{"tid": "ours"} })
			s := newSurfer(t)
			q := s.ask(h)
			nonce.Store(q.Get("nonce"))
			status, _, text := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state"))
			if status != http.StatusUnauthorized || !strings.Contains(text, "bad_id_token") || len(h.visitors()) > 0 {
				t.Errorf("%d %s", status, text)
			}
			if log := h.log.String(); strings.Contains(log, "code=c ") || strings.Contains(log, q.Get("state")) || strings.Contains(log, q.Get("nonce")) {
				t.Errorf("the log tells a secret: %s", log)
			}
		})
	}
}

func TestAfterASignInABrowserStaysOnThisPage(t *testing.T) {
	t.Parallel()
	is, _, _ := staged(t, true, nil)
	h := openHall(t, is.URL, nil)
	for _, to := range []string{"//evil.example.com", "https://evil.example.com", "/\\evil.example.com", "\\\\evil.example.com", "/%09/evil.example.com", "\t//evil", "/a//b", "/@evil.example.com",
		"javascript:alert(1)", "evil.example.com", "/a?b", "/a#b", "/a\r\nSet-Cookie: x=y", "/" + strings.Repeat("a", 200), "/%2f/evil"} {
		if status, _, text := newSurfer(t).open(h.URL + PathExternalLogin + "?to=" + url.QueryEscape(to)); status != http.StatusUnprocessableEntity || !strings.Contains(text, "bad_return") {
			t.Errorf("%q: %d %s", to, status, text)
		}
	}
	if status, _, _ := newSurfer(t).open(h.URL + PathExternalLogin + "?to=/a&to=/b"); status != http.StatusUnprocessableEntity {
		t.Errorf("two of them: %d", status)
	}
	for _, to := range []string{"", "/", "/videos", "/watch/01jq3v8k2m4n5p6r7s8t9v0w1x"} {
		if status, there, text := newSurfer(t).open(h.URL + PathExternalLogin + "?to=" + url.QueryEscape(to)); status != http.StatusSeeOther || there.Path != "/auth" {
			t.Errorf("%q: %d %s", to, status, text)
		}
	}
}

func TestWhoMayNotComeInIsToldSoOnAPageThatDoesNothing(t *testing.T) {
	t.Parallel()
	is, nonce, _ := staged(t, true, nil)
	h := openHall(t, is.URL, nil)
	h.shut = fault.New(fault.Forbidden, "test", "user_disabled", "Your account here is <b>disabled</b>.", nil)
	s := newSurfer(t)
	q := s.ask(h)
	nonce.Store(q.Get("nonce"))
	status, _, text := s.open(h.URL + PathExternalCallback + "?code=c&state=" + q.Get("state") + "&iss=" + url.QueryEscape(is.URL))
	if status != http.StatusForbidden || !strings.Contains(text, "&lt;b&gt;disabled") || !strings.Contains(text, h.URL+"/#/signin") {
		t.Errorf("%d %s", status, text)
	}
	if all := h.failed(); len(all) != 1 || all[0] != "user_disabled root@localhost" || !strings.Contains(h.log.String(), "code=user_disabled") {
		t.Errorf("written down as %v, and the log says %s", all, h.log.String())
	}
	is.set(func() { is.fails = true })
	away := startIssuer(t)
	away.set(func() { away.fails = true })
	if status, _, text := newSurfer(t).open(openHall(t, away.URL, nil).URL + PathExternalLogin); status != http.StatusServiceUnavailable || !strings.Contains(text, "issuer_unavailable") {
		t.Errorf("an issuer that is away: %d %s", status, text)
	}
}

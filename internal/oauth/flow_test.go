package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"sluice/internal/account"
	"sluice/internal/fault"
)

func (w *world) endpoint() oauth2.Endpoint {
	return oauth2.Endpoint{AuthURL: w.Issuer + pathAuthorize, TokenURL: w.Issuer + pathToken}
}

func TestGosOAuth2ClientSignsSomebodyInAndRefreshes(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		conf := oauth2.Config{ClientID: w.web.ID, ClientSecret: w.secret, RedirectURL: w.web.Redirects[0], Endpoint: w.endpoint(),
			Scopes: []string{"openid", "email", "offline_access", "videos/read", "jobs/admin", "uploads/write"}}
		verifier := oauth2.GenerateVerifier()
		w.signIn("ed")
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, conf.AuthCodeURL("the state", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "n")), nil)
		if err != nil {
			t.Fatal(err)
		}
		a := w.do(req)
		if a.to == nil || a.to.Query().Get("state") != "the state" || a.to.Query().Get("iss") != w.Issuer || a.to.Query().Get("x") != "1" || a.to.Host != "app.example.com" {
			t.Fatalf("%d %v %s", a.status, a.to, a.text)
		}
		tok, err := conf.Exchange(t.Context(), a.to.Query().Get("code"), oauth2.VerifierOption(verifier))
		if err != nil {
			t.Fatal(err)
		}
		if scope := tok.Extra("scope"); scope != "openid email offline_access videos/read" { // an editor is no operator, and the program uploads nothing
			t.Errorf("granted %q", scope)
		}
		who := w.good("the access token", tok.AccessToken)
		if who.Kind != account.Person || who.ID != "ed" || who.Role != account.Editor || who.Scopes.String() != "videos/read" || len(who.Workspaces) != 1 {
			t.Errorf("%+v", who)
		}
		header, claims := parts(t, tok.AccessToken)
		if header["typ"] != "at+jwt" || header["alg"] != "RS256" || claims["client_id"] != w.web.ID || claims["sub"] != "ed" || claims["iss"] != w.Issuer || claims["jti"] == "" {
			t.Errorf("%v %v", header, claims)
		}
		if life := claims["exp"].(float64) - claims["iat"].(float64); life <= 0 || life > 3600 {
			t.Errorf("good for %v s", life)
		}
		_, id := parts(t, tok.Extra("id_token").(string))
		if id["nonce"] != "n" || id["email"] != "ed@example.com" || id["name"] != nil || id["sub"] != "ed" {
			t.Errorf("the ID token has %v", id)
		}
		tok.Expiry = time.Now().Add(-time.Hour)
		next, err := conf.TokenSource(t.Context(), tok).Token()
		if err != nil || next.RefreshToken == tok.RefreshToken || next.AccessToken == tok.AccessToken {
			t.Fatalf("%+v %v", next, err)
		}
		w.good("the next access token", next.AccessToken)
		if a := w.tokens("ed", "scope", "openid videos/read"); a.str("refresh_token") != "" {
			t.Errorf("nobody asked for a refresh token: %s", a.text)
		}
	})
}

func TestGosClientCredentialsClientActsForAService(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c, secret := w.add(account.Client{Kind: account.ServiceClient, Role: account.Editor, Workspaces: []string{"a"}, Scopes: account.Scopes{account.VideosRead, account.UploadsWrite, account.UsersAdmin}})
		for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
			conf := clientcredentials.Config{ClientID: c.ID, ClientSecret: secret, TokenURL: w.Issuer + pathToken, AuthStyle: style}
			tok, err := conf.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			who := w.good("the token", tok.AccessToken)
			if who.Kind != account.Service || who.ID != c.ID || who.Role != account.Editor || who.Scopes.String() != "videos/read uploads/write" || tok.RefreshToken != "" {
				t.Errorf("%+v %q", who, tok.RefreshToken)
			}
		}
		a := w.post(pathToken, c.ID, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"users/admin"}})
		if a.str("error") != "invalid_scope" {
			t.Errorf("%d %s", a.status, a.text)
		}
		if a := w.post(pathToken, c.ID, secret, url.Values{"grant_type": {"client_credentials"}, "scope": {"openid offline_access videos/read"}}); a.str("scope") != "videos/read" {
			t.Errorf("%d %s", a.status, a.text)
		}
		for _, grant := range []string{"authorization_code", "refresh_token"} {
			if a := w.post(pathToken, c.ID, secret, url.Values{"grant_type": {grant}, "code": {"x"}, "refresh_token": {"x"}, "redirect_uri": {"x"}, "code_verifier": {plainVerifier}}); a.str("error") != "unauthorized_client" {
				t.Errorf("%s: %d %s", grant, a.status, a.text)
			}
		}
		if a := w.post(pathToken, c.ID, "wrong", url.Values{"grant_type": {"client_credentials"}}); a.status != 401 || a.str("error") != "invalid_client" || a.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%d %s", a.status, a.text)
		}
		tok := w.post(pathToken, c.ID, secret, url.Values{"grant_type": {"client_credentials"}}).str("access_token")
		w.good("before", tok)
		if err := w.store.RemoveClient(t.Context(), c.ID, account.AuditEntry{What: account.ClientRemoved}); err != nil {
			t.Fatal(err)
		}
		w.sleep(Fresh)
		w.bad("a token of a client that is gone", tok)
	})
}

func TestWhoIsNotSignedInGoesToThePageAndComesBack(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		a := w.get(pathAuthorize, w.ask())
		page, id, ok := strings.Cut(a.to.String(), "#/signin?request=")
		if !ok || page != w.Issuer+"/" {
			t.Fatalf("%d %v", a.status, a.to)
		}
		c, scope, err := w.Asked(t.Context(), id)
		if err != nil || c.ID != w.web.ID || !strings.Contains(scope, "videos/write") {
			t.Errorf("%+v %q %v", c, scope, err)
		}
		w.signIn("vi")
		who := *w.asks.Load()
		to, err := w.Complete(t.Context(), id, who, true)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(to)
		if err != nil || u.Query().Get("state") != "st &?#ate" || u.Query().Get("iss") != w.Issuer {
			t.Fatalf("%s %v", to, err)
		}
		if tok := w.redeem(u.Query().Get("code")); tok.str("scope") != "openid email profile offline_access videos/read" {
			t.Errorf("a viewer got %q", tok.text)
		}
		to, err = w.Complete(t.Context(), id, who, false)
		if err != nil || !strings.Contains(to, "error=access_denied") || strings.Contains(to, "code=") {
			t.Errorf("%s %v", to, err)
		}
		token, bound, stale := who, who, who
		token.Session, bound.MustChange = "", true
		stale.SignedIn = w.Now().Add(-time.Hour)
		fresh := w.get(pathAuthorize, w.ask("prompt", "login"))
		_, again, _ := strings.Cut(fresh.to.String(), "#/signin?request=")
		for code, c := range map[string]struct {
			id  string
			who account.Principal
		}{"session_required": {id, token}, "password_change_required": {id, bound}, "sign_in_again": {again, stale}, "request_gone": {id + "x", who}} {
			if to, err := w.Complete(t.Context(), c.id, c.who, true); err == nil || fault.Of(err).Code != code || to != "" {
				t.Errorf("%s %v, want %s", to, err, code)
			}
		}
		w.sleep(requestLife + time.Second)
		if _, err := w.Complete(t.Context(), id, who, true); err == nil || fault.Of(err).Code != "request_gone" {
			t.Errorf("a request of %v ago: %v", requestLife, err)
		}
	})
}

func TestPromptsAndMaxAgeAreHeeded(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		native, _ := w.add(account.Client{Kind: account.NativeClient, Redirects: []string{"http://127.0.0.1/cb"}, Scopes: account.Scopes{account.VideosRead}})
		onNative := []string{"client_id", native.ID, "redirect_uri", "http://127.0.0.1:51234/cb", "scope", "videos/read"}
		old := func() {
			w.signIn("ed")
			p := *w.asks.Load()
			p.SignedIn = p.SignedIn.Add(-time.Hour)
			w.asks.Store(&p)
		}
		bound := func() {
			w.signIn("ed")
			p := *w.asks.Load()
			p.MustChange = true
			w.asks.Store(&p)
		}
		token := func() {
			w.signIn("ed")
			p := *w.asks.Load()
			p.Session = ""
			w.asks.Store(&p)
		}
		for name, c := range map[string]struct {
			browser func()
			change  []string
			want    string // the page, or a parameter of the answer
		}{
			"signed in":                              {old, nil, "code"},
			"prompt=none, signed in":                 {old, []string{"prompt", "none"}, "code"},
			"prompt=none, nobody":                    {func() { w.asks.Store(nil) }, []string{"prompt", "none"}, "login_required"},
			"prompt=none, a temporary password":      {bound, []string{"prompt", "none"}, "login_required"},
			"a temporary password":                   {bound, nil, "page"},
			"a token and no session":                 {token, nil, "page"},
			"prompt=login, signed in an hour ago":    {old, []string{"prompt", "login"}, "page"},
			"prompt=consent":                         {old, []string{"prompt", "consent"}, "page"},
			"max_age=60, signed in an hour ago":      {old, []string{"max_age", "60"}, "page"},
			"max_age=60 and none, an hour ago":       {old, []string{"max_age", "60", "prompt", "none"}, "login_required"},
			"max_age=7200, signed in an hour ago":    {old, []string{"max_age", "7200"}, "code"},
			"prompt=none login":                      {old, []string{"prompt", "none login"}, "invalid_request"},
			"a native client asks each time":         {old, onNative, "page"},
			"a native client can't ask without that": {old, append([]string{"prompt", "none"}, onNative...), "interaction_required"},
		} {
			c.browser()
			a := w.get(pathAuthorize, w.ask(c.change...))
			if a.to == nil {
				t.Errorf("%s: %d %s", name, a.status, a.text)
				continue
			}
			q := a.to.Query()
			got := q.Get("error")
			switch {
			case strings.HasPrefix(a.to.Fragment, "/signin?request="):
				got = "page"
			case q.Get("code") != "":
				got = "code"
			}
			if got != c.want || got != "page" && q.Get("iss") != w.Issuer {
				t.Errorf("%s: %v, want %s", name, a.to, c.want)
			}
		}
	})
}

func TestARefreshTokenWorksOnceAndItsSecondUseEndsTheFamily(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.tokens("ed")
		second := w.refresh(first.str("refresh_token"), "scope", "openid videos/read")
		if second.status != 200 || second.str("scope") != "openid videos/read" {
			t.Fatalf("%d %s", second.status, second.text)
		}
		if a := w.refresh(second.str("refresh_token"), "scope", "jobs/admin"); a.str("error") != "invalid_scope" {
			t.Errorf("more than was granted: %d %s", a.status, a.text)
		}
		other, secret := w.add(account.Client{Kind: account.WebClient, Redirects: w.web.Redirects, Scopes: w.web.Scopes})
		if a := w.post(pathToken, other.ID, secret, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {second.str("refresh_token")}}); a.str("error") != "invalid_grant" {
			t.Errorf("another client's: %d %s", a.status, a.text)
		}
		third := w.refresh(second.str("refresh_token"))
		if third.status != 200 || third.str("scope") != "openid email profile offline_access videos/read videos/write" {
			t.Fatalf("%d %s", third.status, third.text)
		}
		w.good("before", third.str("access_token"))
		if a := w.refresh(first.str("refresh_token")); a.str("error") != "invalid_grant" {
			t.Errorf("a used one: %d %s", a.status, a.text)
		}
		if a := w.refresh(third.str("refresh_token")); a.str("error") != "invalid_grant" {
			t.Errorf("the newest of a family that has ended: %d %s", a.status, a.text)
		}
		for what, a := range map[string]went{"first": first, "second": second, "third": third} {
			w.bad("the "+what+" access token", a.str("access_token"))
		}
		if text := w.log.String(); !strings.Contains(text, "refresh token was used a second time") || strings.Contains(text, first.str("refresh_token")) {
			t.Errorf("the log: %s", text)
		}
		acts, err := w.store.Acts(t.Context(), "ed", 0, 10)
		if err != nil || len(acts) != 1 || acts[0].What != account.RefreshTokenReused || acts[0].Detail["client"] != w.web.ID || acts[0].Detail["used"] != "refresh token" {
			t.Errorf("the record: %+v %v", acts, err)
		}
	})
}

func TestTheSecondUseOfACodeIsRecordedOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		code := w.code("ed")
		for range 3 {
			w.redeem(code)
		}
		acts, err := w.store.Acts(t.Context(), "ed", 0, 10)
		if err != nil || len(acts) != 1 || acts[0].What != account.RefreshTokenReused || acts[0].Detail["used"] != "code" {
			t.Errorf("%+v %v", acts, err)
		}
	})
}

func TestAFormThatAnotherSitePostsIsAskedForOnceMoreByItsAddress(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.signIn("ed")
		for _, path := range []string{pathAuthorize, pathLogout} {
			a := w.post(path, "", "", w.ask())
			if a.status != http.StatusSeeOther || a.to == nil || a.to.Path != path || a.to.Query().Get("state") != "st &?#ate" || a.to.Host != strings.TrimPrefix(w.Issuer, "http://") {
				t.Errorf("%s: %d %v", path, a.status, a.to)
			}
		}
		a := w.post(pathAuthorize, "", "", w.ask())
		if b := w.get(pathAuthorize, a.to.Query()); b.to == nil || b.to.Query().Get("code") == "" || b.header.Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%d %v %v", b.status, b.to, b.header)
		}
		if a := w.post(pathAuthorize, "", "", url.Values{"state": {strings.Repeat("s", mostAddress)}}); a.status != http.StatusRequestEntityTooLarge || a.to != nil {
			t.Errorf("%d %v", a.status, a.to)
		}
	})
}

func TestWhatIsWrongBeforeTheRedirectIsTrustedIsAPageForPeople(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		wrong := w.ask("redirect_uri", "https://evil.example.com/<script>")
		a := w.get(pathAuthorize, wrong, "Accept", "text/html,application/xhtml+xml,*/*;q=0.8")
		policy := a.header.Get("Content-Security-Policy")
		if a.status != http.StatusBadRequest || a.to != nil || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") || !strings.Contains(policy, "sandbox") || strings.Contains(policy, "unsafe") {
			t.Errorf("%d %v %v %s", a.status, a.to, a.header, a.text)
		}
		if !strings.Contains(a.text, "Redirect_uri is not one that is registered") || strings.Contains(a.text, "<script") || strings.Contains(a.text, "evil") {
			t.Errorf("%s", a.text)
		}
		if a := w.get(pathAuthorize, wrong); a.status != http.StatusBadRequest || a.str("error") != "invalid_request" {
			t.Errorf("a program: %d %s", a.status, a.text)
		}
		if a := w.get(pathLogout, url.Values{"id_token_hint": {"x"}}, "Accept", "text/html"); a.status != http.StatusBadRequest || !strings.Contains(a.text, "<h1>") {
			t.Errorf("%d %s", a.status, a.text)
		}
	})
}

func TestANewKeySignsAtOnceAndWithdrawnOnesAreGoodForNothing(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		act := account.AuditEntry{What: account.KeysRotated, By: "admin"}
		kid := func(token string) string { h, _ := parts(t, token); s, _ := h["kid"].(string); return s }
		first := w.tokens("ed")
		next, err := w.Renew(t.Context(), act, false)
		second := w.refresh(first.str("refresh_token"))
		if err != nil || kid(second.str("access_token")) != next.ID || kid(first.str("access_token")) == next.ID {
			t.Fatalf("%+v %v", next, err)
		}
		w.good("of the key before", first.str("access_token"))
		last, err := w.Renew(t.Context(), act, true)
		if err != nil {
			t.Fatal(err)
		}
		w.bad("of the first key", first.str("access_token"))
		w.bad("of the second key", second.str("access_token"))
		third := w.refresh(second.str("refresh_token"))
		if kid(third.str("access_token")) != last.ID {
			t.Errorf("%d %s", third.status, third.text)
		}
		w.good("of the newest key", third.str("access_token"))
		if keys, err := w.store.SigningKeys(t.Context()); err != nil || len(keys) != 1 || keys[0].ID != last.ID {
			t.Errorf("%+v %v", keys, err)
		}
		if acts, err := w.store.Acts(t.Context(), "", 0, 2); err != nil || len(acts) != 2 || acts[0].What != account.KeysRotated || acts[0].Detail["key"] != last.ID {
			t.Errorf("%+v %v", acts, err)
		}
	})
}

func TestOfFiftyUsesAtOnceOneWinsAndTheFamilyEnds(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		token := w.tokens("ed").str("refresh_token")
		var all sync.WaitGroup
		got := make([]went, 50)
		for i := range got {
			all.Go(func() { got[i] = w.refresh(token) })
		}
		all.Wait()
		won := 0
		for _, a := range got {
			switch {
			case a.status == 200:
				won++
				w.bad("the winner's access token", a.str("access_token"))
				if b := w.refresh(a.str("refresh_token")); b.str("error") != "invalid_grant" {
					t.Errorf("the winner's refresh token: %d %s", b.status, b.text)
				}
			case a.str("error") != "invalid_grant":
				t.Errorf("%d %s", a.status, a.text)
			}
		}
		if won != 1 {
			t.Errorf("%d won", won)
		}
	})
}

func TestAFamilyEndsWithItsTime(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		token := w.tokens("ed").str("refresh_token")
		w.Idle, w.Most = time.Second, time.Hour
		a := w.refresh(token)
		time.Sleep(1100 * time.Millisecond) // the store has the machine's clock
		if b := w.refresh(a.str("refresh_token")); a.status != 200 || b.str("error") != "invalid_grant" {
			t.Errorf("left idle: %d, then %d %s", a.status, b.status, b.text)
		}
		w.Idle, w.Most = time.Hour, time.Second
		token = w.tokens("ed").str("refresh_token")
		time.Sleep(1100 * time.Millisecond)
		if b := w.refresh(token); b.str("error") != "invalid_grant" {
			t.Errorf("too old: %d %s", b.status, b.text)
		}
	})
}

func TestWhatAUserMayNoMoreTokensMayNoMore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for name, change := range map[string]func(){
			"disabled": func() { w.people.change("ed", func(u *account.User) { u.State = account.Disabled }) },
			"reset":    func() { w.people.change("ed", func(u *account.User) { u.MustChange = true }) },
			"removed":  func() { w.people.remove("ed") },
		} {
			ed, _ := w.people.User(t.Context(), "ed")
			a := w.tokens("ed")
			w.good("before", a.str("access_token"))
			change()
			w.sleep(Fresh)
			w.bad(name, a.str("access_token"))
			if b := w.refresh(a.str("refresh_token")); b.str("error") != "invalid_grant" {
				t.Errorf("%s: %d %s", name, b.status, b.text)
			}
			w.people.change("ed", func(u *account.User) { *u = ed })
			w.sleep(Fresh)
			w.bad(name+", and back again", a.str("access_token")) // the refresh has ended the grant
		}
		a := w.tokens("ed")
		w.people.change("ed", func(u *account.User) { u.Role = account.Viewer })
		w.sleep(Fresh)
		if who := w.good("demoted", a.str("access_token")); who.Role != account.Viewer || who.Scopes.String() != "videos/read" {
			t.Errorf("%+v", who)
		}
		if b := w.refresh(a.str("refresh_token")); b.str("scope") != "openid email profile offline_access videos/read" {
			t.Errorf("%s", b.text)
		}
		w.people.change("ed", func(u *account.User) { u.Role = account.Editor })
		a = w.tokens("vi")
		w.people.change("vi", func(u *account.User) { u.Role = account.Editor })
		w.sleep(Fresh)
		if b := w.refresh(a.str("refresh_token")); b.str("scope") != "openid email profile offline_access videos/read" {
			t.Errorf("who may more since gives a program no more than they gave it: %s", b.text)
		}
	})
}

func TestRevocationIntrospectionUserinfoAndSignOut(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one := w.tokens("ed")
		access, refresh := one.str("access_token"), one.str("refresh_token")
		about := func(token string) went {
			return w.post(pathIntrospect, w.web.ID, w.secret, url.Values{"token": {token}})
		}
		if a := about(access); a.body["active"] != true || a.str("username") != "ed@example.com" || a.str("client_id") != w.web.ID || a.str("scope") == "" {
			t.Errorf("%s", a.text)
		}
		if a := about(refresh); a.body["active"] != true || a.str("sub") != "ed" {
			t.Errorf("%s", a.text)
		}
		other, secret := w.add(account.Client{Kind: account.WebClient, Redirects: w.web.Redirects, Scopes: w.web.Scopes})
		for what, token := range map[string]string{"made up": "x", "an ID token": one.str("id_token")} {
			if a := about(token); a.status != 200 || a.body["active"] != false || len(a.body) != 1 {
				t.Errorf("%s: %d %s", what, a.status, a.text)
			}
		}
		if a := w.post(pathIntrospect, other.ID, secret, url.Values{"token": {access}}); a.body["active"] != false {
			t.Errorf("another client learns %s", a.text)
		}
		if a := w.post(pathIntrospect, w.web.ID, "", url.Values{"token": {access}}); a.status < 400 {
			t.Errorf("without a secret: %d %s", a.status, a.text)
		}
		if a := w.get(pathUserinfo, nil, "Authorization", "Bearer "+access); a.str("sub") != "ed" || a.str("email") != "ed@example.com" || a.str("name") != "Ed Itor" {
			t.Errorf("%d %s", a.status, a.text)
		}
		for what, token := range map[string]string{"an ID token": one.str("id_token"), "a refresh token": refresh} {
			if a := w.get(pathUserinfo, nil, "Authorization", "Bearer "+token); a.status != 401 || !strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer") {
				t.Errorf("%s: %d %s", what, a.status, a.text)
			}
		}
		revoke := func(id, secret, token string) {
			if a := w.post(pathRevoke, id, secret, url.Values{"token": {token}}); a.status != 200 {
				t.Errorf("%d %s", a.status, a.text)
			}
		}
		for what, token := range map[string]string{"access": access, "refresh": refresh} {
			if a := w.post(pathRevoke, other.ID, secret, url.Values{"token": {token}}); a.status != 400 || a.str("error") != "invalid_client" {
				t.Errorf("another client's %s token: %d %s", what, a.status, a.text)
			}
		}
		revoke(other.ID, secret, "a token that nobody was given")
		w.good("not the other's to revoke", access)
		revoke(w.web.ID, w.secret, access)
		w.bad("revoked", access)
		two := w.refresh(refresh)
		w.good("the family lives on", two.str("access_token"))
		revoke(w.web.ID, w.secret, two.str("refresh_token"))
		w.bad("the family has ended", two.str("access_token"))

		three := w.tokens("ed")
		leave := url.Values{"id_token_hint": {three.str("id_token")}, "post_logout_redirect_uri": {w.web.Logouts[0]}, "state": {"bye"}}
		w.signIn("vi")
		if a := w.get(pathLogout, leave); a.to == nil || !strings.HasPrefix(a.to.Fragment, "/signout?request=") || w.left.Load() != 0 {
			t.Errorf("another person's browser: %d %v", a.status, a.to)
		}
		w.signIn("ed")
		if a := w.get(pathLogout, leave); a.to == nil || a.to.String() != "https://app.example.com/?state=bye" || w.left.Load() != 1 || a.header.Get("Set-Cookie") == "" {
			t.Errorf("%d %v %v", a.status, a.to, a.header)
		}
		w.bad("signed out", three.str("access_token"))
		for what, q := range map[string]url.Values{
			"an access token as hint":     {"id_token_hint": {three.str("access_token")}},
			"an address of nobody's":      {"id_token_hint": {three.str("id_token")}, "post_logout_redirect_uri": {"https://evil.example.com/"}},
			"an address without a client": {"post_logout_redirect_uri": {w.web.Logouts[0]}},
			"another client's hint":       {"id_token_hint": {three.str("id_token")}, "client_id": {other.ID}},
		} {
			if a := w.get(pathLogout, q); a.status != 400 || a.to != nil {
				t.Errorf("%s: %d %v", what, a.status, a.to)
			}
		}
		if a := w.get(pathLogout, nil); a.to == nil || a.to.Fragment != "/signout" {
			t.Errorf("without a hint: %d %v", a.status, a.to)
		}
		four := w.tokens("ed", "prompt", "")
		w.sleep(24 * time.Hour) // who leaves a program alone for a day may still sign out there
		if a := w.get(pathLogout, url.Values{"id_token_hint": {four.str("id_token")}}); a.to == nil || a.to.String() != w.Issuer+"/#/signin" || w.left.Load() != 2 {
			t.Errorf("an ID token that has expired: %d %v", a.status, a.to)
		}
	})
}

func TestWhoIsAskedWhetherToSignOutComesBackToTheProgram(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.signIn("ed")
		asked := func(query url.Values) string {
			t.Helper()
			a := w.get(pathLogout, query)
			if a.to == nil || !strings.HasPrefix(a.to.String(), w.Issuer+"/#/signout?request=") || a.header.Get("Set-Cookie") != "" || w.left.Load() != 0 {
				t.Fatalf("%d %v", a.status, a.to)
			}
			return strings.TrimPrefix(a.to.Fragment, "/signout?request=")
		}
		plain := url.Values{"client_id": {w.web.ID}, "post_logout_redirect_uri": {w.web.Logouts[0]}, "state": {"b&y e"}}
		id := asked(plain)
		if to := w.Parted(t.Context(), id); to != "https://app.example.com/?state=b%26y+e" {
			t.Errorf("%q", to)
		}
		w.signIn("vi")
		theirs := w.tokens("ed").str("id_token")
		w.signIn("vi")
		if to := w.Parted(t.Context(), asked(url.Values{"id_token_hint": {theirs}, "post_logout_redirect_uri": {w.web.Logouts[0]}})); to != "https://app.example.com/" {
			t.Errorf("another person's browser: %q", to)
		}
		access := w.tokens("vi").str("access_token")
		for what, bad := range map[string]string{"nothing": "", "none": "x", "an access token": access, "an ID token": theirs, "changed": id[:len(id)-4] + "AAAA", "unsigned": id[:strings.LastIndexByte(id, '.')+1]} {
			if to := w.Parted(t.Context(), bad); to != "" {
				t.Errorf("%s leads to %q", what, to)
			}
		}
		w.bad("such a request", id)
		if _, _, err := w.Asked(t.Context(), id); err == nil {
			t.Error("it is taken for one to sign in")
		}
		none := []string{}
		if _, err := w.store.EditClient(t.Context(), w.web.ID, account.ClientEdit{Logouts: &none}, account.AuditEntry{}); err != nil {
			t.Fatal(err)
		}
		w.sleep(Fresh)
		if to := w.Parted(t.Context(), id); to != "" {
			t.Errorf("an address that is registered no more: %q", to)
		}
		if _, err := w.store.EditClient(t.Context(), w.web.ID, account.ClientEdit{Logouts: &w.web.Logouts}, account.AuditEntry{}); err != nil {
			t.Fatal(err)
		}
		w.sleep(requestLife)
		if to := w.Parted(t.Context(), id); to != "" {
			t.Errorf("an old one: %q", to)
		}
	})
}

func TestKeysTakeTurnsAndEveryProcessPublishesAll(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.Rotate = 0 // what the ring was made with counts
		set := func(p *Provider) []string {
			keys, err := p.ring.set(context.WithoutCancel(t.Context()))
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, k := range keys.Keys {
				ids = append(ids, k.KeyID)
			}
			return ids
		}
		service, secret := w.add(account.Client{Kind: account.ServiceClient, Role: account.Viewer, Scopes: account.Scopes{account.VideosRead}})
		token := func() string {
			return w.post(pathToken, service.ID, secret, url.Values{"grant_type": {"client_credentials"}}).str("access_token")
		}
		kid := func(token string) string { h, _ := parts(t, token); s, _ := h["kid"].(string); return s }
		first := token()
		if ids := set(w.Provider); len(ids) != 1 || ids[0] != kid(first) {
			t.Fatalf("%v", ids)
		}
		w.sleep(29*24*time.Hour + time.Hour)
		ids := set(w.Provider)
		if len(ids) != 2 || kid(token()) != ids[0] {
			t.Fatalf("a day before its turn the next one is published and does not sign: %v", ids)
		}
		w.sleep(24 * time.Hour)
		if kid(token()) != ids[1] || len(set(w.Provider)) != 2 {
			t.Errorf("now it signs, and the old one is still published: %v", set(w.Provider))
		}
		other := w.provider(w.Issuer, []byte("the secret of another folder"))
		if now := set(other); len(now) != 3 {
			t.Errorf("a process with another secret: %v", now)
		}
		if _, err := other.as(t.Context(), token()); err != nil {
			t.Errorf("it verifies what others sign: %v", err)
		}
		key, err := other.ring.signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		foreign, _, err := other.access(key, service, account.Consent{}, "videos/read")
		if err != nil {
			t.Fatal(err)
		}
		w.sleep(askAgain)
		w.good("and others verify what it signs", foreign)
		old := set(w.Provider)
		w.sleep(60 * 24 * time.Hour)
		if id := kid(token()); id == "" || slices.Contains(old, id) {
			t.Errorf("a key signs that was to have ended: %s of %v", id, old)
		}
		rows, err := w.store.SigningKeys(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if strings.Contains(r.Public, `"d"`) || len(r.Sealed) < 1000 || strings.Contains(r.Sealed, "PRIVATE") {
				t.Errorf("a private key can be read: %s", r.Public)
			}
		}
	})
}

func TestWhatSomebodyTakesBackFromAProgramIsGoodNoMore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		one, two := w.tokens("ed"), w.tokens("ed")
		others := w.tokens("vi")
		about := func(token string) any {
			return w.post(pathIntrospect, w.web.ID, w.secret, url.Values{"token": {token}}).body["active"]
		}
		for _, a := range []went{one, two, others} {
			w.good("before", a.str("access_token"))
		}
		all, err := w.store.Programs(t.Context(), "ed")
		if err != nil || len(all) != 1 || all[0].ID != w.web.ID || all[0].Grants != 2 {
			t.Fatalf("%+v %v", all, err)
		}
		if err := w.store.EndProgram(t.Context(), "ed", w.web.ID, account.AuditEntry{What: account.ProgramEnded}); err != nil {
			t.Fatal(err)
		}
		for _, a := range []went{one, two} {
			if about(a.str("access_token")) != false || about(a.str("refresh_token")) != false { // although this process had just heard that it is good
				t.Error("introspection says that it is good")
			}
			if b := w.refresh(a.str("refresh_token")); b.str("error") != "invalid_grant" {
				t.Errorf("%d %s", b.status, b.text)
			}
			w.sleep(Fresh)
			w.bad("taken back", a.str("access_token"))
		}
		w.good("another's", others.str("access_token"))
		if about(others.str("refresh_token")) != true {
			t.Error("another's refresh token has ended")
		}
	})
}

// TestAuthorize_IDTokenHint_OnlyItsPersonIsAnswered follows OpenID Connect Core §3.1.2.1: with prompt=none another
// person's browser gets login_required, an expired hint is valid, and one that is not this client's is refused.
func TestAuthorize_IDTokenHint_OnlyItsPersonIsAnswered(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		ed, vi := w.tokens("ed"), w.tokens("vi")
		other, secret := w.add(account.Client{Kind: account.WebClient, Redirects: []string{"https://other.example.com/cb"}, Scopes: w.web.Scopes})
		w.signIn("ed")
		a := w.get(pathAuthorize, w.ask("client_id", other.ID, "redirect_uri", other.Redirects[0]))
		foreign := w.post(pathToken, other.ID, secret, url.Values{"grant_type": {"authorization_code"}, "code": {a.to.Query().Get("code")},
			"redirect_uri": {other.Redirects[0]}, "code_verifier": {plainVerifier}}).str("id_token")
		hint := ed.str("id_token")
		if hint == "" || foreign == "" || vi.str("id_token") == "" {
			t.Fatal("no ID tokens to hint with")
		}
		head, body, _ := strings.Cut(hint, ".")
		body, _, _ = strings.Cut(body, ".")
		unsigned := "eyJhbGciOiJub25lIn0." + body + "."
		w.sleep(2 * time.Hour) // longer than an ID token is valid
		for name, c := range map[string]struct {
			who    string // whose browser it is; empty for nobody
			change []string
			want   string
		}{
			"none, the same person":          {"ed", []string{"prompt", "none", "id_token_hint", hint}, "code"},
			"none, another person":           {"vi", []string{"prompt", "none", "id_token_hint", hint}, "login_required"},
			"none, nobody":                   {"", []string{"prompt", "none", "id_token_hint", hint}, "login_required"},
			"the same person":                {"ed", []string{"id_token_hint", hint}, "code"},
			"another person":                 {"vi", []string{"id_token_hint", hint}, "page"},
			"the same person, max_age=0":     {"ed", []string{"id_token_hint", hint, "max_age", "0"}, "page"},
			"the same person, prompt=login":  {"ed", []string{"id_token_hint", hint, "prompt", "login"}, "page"},
			"none, a hint of another client": {"ed", []string{"prompt", "none", "id_token_hint", foreign}, "invalid_request"},
			"none, an unsigned hint":         {"ed", []string{"prompt", "none", "id_token_hint", unsigned}, "invalid_request"},
			"an unsigned hint":               {"ed", []string{"id_token_hint", unsigned}, "invalid_request"},
			"a hint cut off":                 {"ed", []string{"id_token_hint", head + "." + body + ".AAAA"}, "invalid_request"},
			"an access token for a hint":     {"ed", []string{"id_token_hint", ed.str("access_token")}, "invalid_request"},
			"no token at all":                {"ed", []string{"prompt", "none", "id_token_hint", "ed"}, "invalid_request"},
			"none, login_hint of another":    {"ed", []string{"prompt", "none", "login_hint", "vi@example.com"}, "code"},
		} {
			if w.asks.Store(nil); c.who != "" {
				w.signIn(c.who)
				p := *w.asks.Load()
				p.SignedIn = p.SignedIn.Add(-time.Minute)
				w.asks.Store(&p)
			}
			if a := w.get(pathAuthorize, w.ask(c.change...)); a.outcome() != c.want {
				t.Errorf("%s: %d %v, want %s", name, a.status, a.to, c.want)
			}
		}
		w.signIn("vi")
		a = w.get(pathAuthorize, w.ask("id_token_hint", hint))
		_, id, _ := strings.Cut(a.to.String(), "#/signin?request=")
		if to, err := w.Complete(t.Context(), id, *w.asks.Load(), true); fault.Of(err).Code != "sign_in_again" {
			t.Errorf("another person than the hint's allows it on the page: %q %v", to, err)
		}
		w.signIn("ed")
		if to, err := w.Complete(t.Context(), id, *w.asks.Load(), true); err != nil || !strings.Contains(to, "code=") {
			t.Errorf("the hint's person allows it on the page: %q %v", to, err)
		}
		w.sleep(60 * 24 * time.Hour) // the key that signed the hint is no longer published
		w.signIn("ed")
		p := *w.asks.Load()
		p.SignedIn = p.SignedIn.Add(-time.Minute)
		w.asks.Store(&p)
		if a := w.get(pathAuthorize, w.ask("prompt", "none", "id_token_hint", hint)); a.outcome() != "login_required" {
			t.Errorf("a hint too old to verify: %v, want login_required", a.to)
		}
	})
}

// outcome names what an authorization request came to: the page, a code, or an error.
func (a went) outcome() string {
	switch {
	case a.to == nil:
		return "no redirect"
	case strings.HasPrefix(a.to.Fragment, "/signin?request="):
		return "page"
	case a.to.Query().Get("code") != "":
		return "code"
	}
	return a.to.Query().Get("error")
}

package identity_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

func TestASignInEndsTheSessionThatTheBrowserHad(t *testing.T) {
	each(t, func(w *world) {
		_, before := w.user("ada@example.com", account.Viewer)
		other := w.signIn("192.0.2.9", "ada@example.com", own)
		w.pass(time.Second) // within one millisecond ids have no order
		in, err := w.SignIn(w.from(home, before), "ada@example.com", own)
		w.must(err)
		fresh := value(w.T, in.Cookie)
		if fresh == before {
			w.Error("the session was not renewed")
		}
		_, err = w.ask(before)
		w.refused(err, "unauthorized")
		p, err := w.ask(fresh)
		w.must(err)
		all, err := w.Sessions(w.Context(), p, "")
		w.must(err)
		if len(all) != 2 || all[0].ID != p.Session || all[1].Address != "192.0.2.9" || all[1].Agent != "test" {
			w.Errorf("%+v", all)
		}
		w.must(w.EndSession(w.Context(), p, "", all[1].ID))
		_, err = w.ask(other)
		w.refused(err, "unauthorized")
		w.refused(w.EndSession(w.Context(), p, "", all[1].ID), "no_session")
		stranger, cookie := w.user("bo@example.com", account.Editor)
		q, err := w.ask(cookie)
		w.must(err)
		w.refused(w.EndSession(w.Context(), q, "", p.Session), "no_session") // one's own alone
		w.refused(w.EndSession(w.Context(), q, p.ID, p.Session), "missing_scope")
		w.must(w.EndSessions(w.Context(), account.Operator(), stranger.ID))
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		left, err := w.SignOut(w.Context(), p)
		w.must(err)
		if !strings.Contains(left.Cookie, "Max-Age=0") || left.Hint != "" {
			w.Errorf("%+v", left)
		}
		_, err = w.ask(fresh)
		w.refused(err, "unauthorized")
	})
}

func TestSessionsAndTokensEndInTime(t *testing.T) {
	each(t, func(w *world) {
		_, cookie := w.user("ada@example.com", account.Viewer)
		p, err := w.ask(cookie)
		w.must(err)
		_, token, err := w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.must(err)
		_, _, err = w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosWrite}})
		w.refused(err, "missing_scope")
		_, _, err = w.MakeToken(w.Context(), p, account.Token{Name: "t", Expires: w.now().Add(367 * 24 * time.Hour)})
		w.refused(err, "bad_expiry")
		q, err := w.bear(token)
		w.must(err)
		_, _, err = w.MakeToken(w.Context(), q, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.refused(err, "session_required")
		idle := w.signIn(home, "ada@example.com", own)
		for range 9 {
			w.pass(3 * 24 * time.Hour)
			_, err := w.ask(cookie)
			w.must(err)
		}
		_, err = w.ask(idle)
		w.refused(err, "unauthorized")
		w.pass(3 * 24 * time.Hour)
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		_, err = w.bear(token)
		w.must(err)
		w.pass(61 * 24 * time.Hour)
		_, err = w.bear(token)
		w.refused(err, "unauthorized")
		w.must(w.Prune(w.Context()))
		login, err := w.store.Login(w.Context(), "ada@example.com", "")
		w.must(err)
		sessions, err := w.store.Sessions(w.Context(), login.ID)
		w.must(err)
		tokens, err := w.store.Tokens(w.Context(), login.ID)
		w.must(err)
		if len(sessions)+len(tokens) > 0 {
			w.Errorf("not forgotten: %v %v", sessions, tokens)
		}
	})
}

func TestATokenThatWasAskedForWhileEverythingEndedIsNotMade(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Editor)
		asking, err := w.ask(cookie) // a request comes in, and its body takes a while
		w.must(err)
		_, err = w.ForceReset(w.Context(), account.Operator(), u.ID)
		w.must(err)
		_, _, err = w.MakeToken(w.Context(), asking, account.Token{Name: "kept", Scopes: account.AllScopes()})
		w.refused(err, "missing_scope") // of the role, which is another matter
		_, _, err = w.MakeToken(w.Context(), asking, account.Token{Name: "kept", Scopes: account.ParseScopes("videos/read")})
		w.refused(err, "unauthorized")
		yes, no := true, false
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &yes}))
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &no}))
		_, _, err = w.MakeToken(w.Context(), asking, account.Token{Name: "kept", Scopes: account.ParseScopes("videos/read")})
		w.refused(err, "unauthorized")
		left, err := w.store.Tokens(w.Context(), u.ID)
		w.must(err)
		if len(left) != 0 {
			w.Errorf("left: %+v", left)
		}
	})
}

func TestATokenIsKnownHoweverItsSchemeIsWritten(t *testing.T) {
	each(t, func(w *world) {
		_, cookie := w.user("ada@example.com", account.Editor)
		p, err := w.ask(cookie)
		w.must(err)
		_, token, err := w.MakeToken(w.Context(), p, account.Token{Name: "x", Scopes: account.ParseScopes("videos/read")})
		w.must(err)
		for header, known := range map[string]bool{
			"Bearer " + token: true, "bearer " + token: true, "BEARER  " + token: true,
			"Basic " + token: false, token: false, "Bearer" + token: false, "Bearer x" + token: false,
		} {
			r := httptest.NewRequestWithContext(w.Context(), "GET", "/v1/videos", nil)
			r.Header.Set("Authorization", header)
			r.AddCookie(&http.Cookie{Name: "__Host-sluice", Value: cookie}) // the header alone decides
			if q, ok, err := w.Authenticate(r); ok != known || err != nil || known != (q.ID == p.ID) {
				w.Errorf("%.12q: %v %v %v", header, ok, q.ID, err)
			}
		}
	})
}

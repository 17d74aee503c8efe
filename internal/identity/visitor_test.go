package identity_test

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

func visitor(role account.Role, workspaces ...string) account.ExternalUser {
	return account.ExternalUser{ID: account.ExternalPrefix + "abcdefghijklmnopqrstuvwxyz", Issuer: "https://login.example.com", Email: "root@example.com", Name: "Jane", Role: role, Workspaces: workspaces}
}

// comes opens a session and returns its cookie, and who it stands for.
func (w *world) comes(who account.ExternalUser, old string) (string, account.Principal) {
	w.Helper()
	done, err := w.Admit(w.from(home, old), who)
	w.must(err)
	value, _, _ := strings.Cut(strings.TrimPrefix(done.Cookie, "__Host-sluice="), ";")
	p, err := w.ask(value)
	w.must(err)
	return value, p
}

func TestWhomAnotherIssuerSignsInIsAUserWithWhatItTellsAtEachSignIn(t *testing.T) {
	each(t, func(w *world) {
		_, err := w.AddWorkspace(w.Context(), account.Operator(), account.Workspace{ID: "news", Name: "News"})
		w.must(err)
		first, p := w.comes(visitor(account.Editor, "main", "elsewhere"), "")
		if p.Kind != account.Person || p.Role != account.Editor || strings.Join(p.Workspaces, " ") != "main" || p.Session == "" || p.MustChange || p.Scopes.String() != account.Editor.Scopes().String() {
			w.Fatalf("%+v", p)
		}
		second, p := w.comes(visitor(account.Viewer, "news"), first)
		if p.Role != account.Viewer || strings.Join(p.Workspaces, " ") != "news" {
			w.Errorf("%+v", p)
		}
		_, err = w.ask(first)
		w.refused(err, "unauthorized") // ended: the browser has another
		third, p := w.comes(visitor(account.Viewer, "news"), "")
		if all, err := w.Sessions(w.Context(), p, ""); err != nil || len(all) != 2 {
			w.Errorf("%+v %v", all, err)
		}
		w.must(w.EndSessions(w.Context(), p, ""))
		_, err = w.ask(second)
		w.refused(err, "unauthorized")
		acts, err := w.Acts(w.Context(), p.ID, 0, 10)
		w.must(err)
		if len(acts) != 4 || acts[1].What != account.SignedIn || acts[1].Detail["issuer"] != "https://login.example.com" || acts[1].Address != home {
			w.Errorf("%+v", acts)
		}
		w.pass(13 * time.Hour)
		_, err = w.ask(third)
		w.refused(err, "unauthorized") // so that the issuer is asked again
	})
}

func TestWhomAnotherIssuerSignsInHasNoPasswordAndTakesNobodysAccount(t *testing.T) {
	each(t, func(w *world) {
		_, p := w.comes(visitor(account.Admin, "main"), "") // with the e-mail address of the first administrator
		all, err := w.Users(w.Context(), "", 0)
		w.must(err)
		if len(all) != 2 || all[0].ID == all[1].ID {
			w.Fatalf("%+v", all)
		}
		for _, email := range []string{p.ID, "root@example.com"} {
			_, err := w.SignIn(w.from(home, ""), email, own)
			w.refused(err, "sign_in_failed")
		}
		_, err = w.SignIn(w.from(home, ""), p.ID, "")
		w.refused(err, "sign_in_failed")
		_, err = w.ChangePassword(w.from(home, ""), p, "", own)
		w.refused(err, "external_user")
		_, err = w.ForceReset(w.Context(), account.Operator(), p.ID)
		w.refused(err, "external_user")
		_, err = w.InviteAgain(w.Context(), account.Operator(), p.ID)
		w.refused(err, "external_user")
		w.forgotten(p.ID)
		letters, err := w.Letters(w.Context(), "", 0, 10)
		w.must(err)
		for _, l := range letters {
			if l.User == p.ID {
				w.Errorf("%+v", l)
			}
		}
	})
}

func TestWhomAnotherIssuerSignsInMayBeDisabledAndIsNotTheLastAdministrator(t *testing.T) {
	each(t, func(w *world) {
		root, _ := w.user("boss@example.com", account.Admin)
		cookie, p := w.comes(visitor(account.Admin, "main"), "")
		viewer := account.Viewer
		_, err := w.EditUser(w.Context(), account.Operator(), root.ID, account.UserEdit{Role: &viewer})
		w.refused(err, "last_admin")
		disabled := true
		_, err = w.EditUser(w.Context(), account.Operator(), p.ID, account.UserEdit{Disabled: &disabled})
		w.must(err)
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		_, err = w.Admit(w.from(home, ""), visitor(account.Admin, "main"))
		w.refused(err, "user_disabled")
		if u, err := w.User(w.Context(), p.ID); err != nil || u.State != account.Disabled {
			w.Errorf("%+v %v", u, err)
		}
		disabled = false
		_, err = w.EditUser(w.Context(), account.Operator(), p.ID, account.UserEdit{Disabled: &disabled})
		w.must(err)
		w.comes(visitor(account.Viewer, "main"), "")
		w.must(w.RemoveUser(w.Context(), account.Operator(), p.ID))
	})
}

func TestWhoSignsOutAtTheIssuerIsSignedOutHere(t *testing.T) {
	each(t, func(w *world) {
		of := func(id, party string) account.ExternalUser {
			who := visitor(account.Viewer, "main")
			who.ID, who.Party, who.Hint = account.ExternalPrefix+id, party, "hint of "+party
			return who
		}
		cookies, people := map[string]string{}, map[string]account.Principal{}
		for _, one := range []string{"ann-a", "ann-b", "ann-", "bob-c", "eve-d"} {
			id, party, _ := strings.Cut(one, "-")
			cookies[one], people[one] = w.comes(of(id, party), "")
		}
		_, cookies["ada"] = w.user("ada@example.com", account.Viewer)
		in := func() (all string) {
			for _, one := range []string{"ann-a", "ann-b", "ann-", "bob-c", "eve-d", "ada"} {
				if _, err := w.ask(cookies[one]); err == nil {
					all += one + " "
				}
			}
			return all
		}
		told := func(token, id, party string, want int, left string) {
			w.Helper()
			if id != "" {
				id = account.ExternalPrefix + id
			}
			n, err := w.Expel(w.from(home, ""), "https://login.example.com", account.BackchannelLogout{Token: token, Expires: time.Now().Add(time.Hour), User: id, Party: party})
			if got := in(); err != nil || n != want || got != left {
				w.Errorf("%s: %d ended, left %q, %v", token, n, got, err)
			}
		}
		told("of nobody", "nobody", "", 0, "ann-a ann-b ann- bob-c eve-d ada ")
		told("of nobody's session", "", "z", 0, "ann-a ann-b ann- bob-c eve-d ada ")
		told("of another's session", "ann", "d", 1, "ann-a ann-b bob-c eve-d ada ") // hers that the issuer had not named goes, and eve's stays
		told("one session", "ann", "a", 1, "ann-b bob-c eve-d ada ")
		told("a session of whomever", "", "c", 1, "ann-b eve-d ada ")
		cookies["bob-c"], _ = w.comes(of("bob", "c"), "")
		told("a session of whomever", "", "c", 0, "ann-b bob-c eve-d ada ") // once more: it was said of another session
		told("all of one", "ann", "", 1, "bob-c eve-d ada ")
		acts, err := w.Acts(w.Context(), people["ann-a"].ID, 0, 3)
		w.must(err)
		for _, a := range acts {
			if a.What != account.SessionEnded || a.By != "" || a.UserName != "root@example.com" || a.Detail["issuer"] != "https://login.example.com" || a.Address != home {
				w.Errorf("%+v", a)
			}
		}
		left, err := w.SignOut(w.Context(), people["eve-d"])
		if err != nil || left.Hint != "hint of d" || in() != "bob-c ada " {
			w.Errorf("%+v %v", left, err)
		}
		if left, err := w.SignOut(w.Context(), people["eve-d"]); err != nil || left.Hint != "" { // it was over
			w.Errorf("%+v %v", left, err)
		}
	})
}

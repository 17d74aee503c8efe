package identity_test

import (
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
)

func visitor(role account.Role, workspaces ...string) account.Visitor {
	return account.Visitor{ID: account.ExternalPrefix + "abcdefghijklmnopqrstuvwxyz", Issuer: "https://login.example.com", Email: "root@example.com", Name: "Jane", Role: role, Workspaces: workspaces}
}

// comes opens a session and returns its cookie, and who it stands for.
func (w *world) comes(who account.Visitor, old string) (string, account.Principal) {
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

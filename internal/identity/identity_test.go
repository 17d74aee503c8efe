package identity_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
)

func TestOfManyWhoTryATemporaryPasswordOneWins(t *testing.T) {
	each(t, func(w *world) {
		u := w.invite("ada@example.com", account.Editor)
		password := w.secret(u.ID)
		var won, failed, later sync.Map
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				in, err := w.SignIn(w.from(fmt.Sprintf("198.51.100.%d", i), ""), "ada@example.com", password)
				switch code := fault.Of(err).Code; {
				case err == nil:
					won.Store(i, in)
				case code == "sign_in_failed":
					failed.Store(i, err)
				case code == "try_later":
					later.Store(i, err)
				default:
					w.Errorf("number %d: %v", i, err)
				}
			})
		}
		all.Wait()
		if n := size(&won); n != 1 || size(&failed)+size(&later) != 49 {
			w.Errorf("%d won, %d failed, %d were put off", n, size(&failed), size(&later))
		}
	})
}

func size(m *sync.Map) (n int) {
	m.Range(func(any, any) bool { n++; return true })
	return n
}

func TestATemporaryPasswordExpires(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.invite("a@example.com", account.Viewer), w.invite("b@example.com", account.Viewer)
		first, second := w.secret(a.ID), w.secret(b.ID)
		w.pass(7*24*time.Hour - time.Second)
		w.signIn(home, "a@example.com", first)
		w.pass(time.Second)
		_, err := w.SignIn(w.from(home, ""), "b@example.com", second)
		w.refused(err, "sign_in_failed")
		w.must(w.Prune(w.Context()))
		for _, l := range letters(w) {
			if l.State != account.LetterVoid || l.Secret != "" {
				w.Errorf("expired, and still there: %+v", l)
			}
		}
		_, err = w.InviteAgain(w.Context(), account.Operator(), b.ID)
		w.must(err)
		w.signIn(home, "b@example.com", w.secret(b.ID))
	})
}

func letters(w *world) []account.Message {
	w.Helper()
	all, err := w.Letters(w.Context(), "", 0, 0)
	w.must(err)
	return all
}

func TestASecondInvitationKillsTheFirst(t *testing.T) {
	each(t, func(w *world) {
		u := w.invite("ada@example.com", account.Viewer)
		first := w.secret(u.ID)
		_, err := w.InviteAgain(w.Context(), account.Operator(), u.ID)
		w.must(err)
		_, err = w.SignIn(w.from(home, ""), "ada@example.com", first)
		w.refused(err, "sign_in_failed")
		cookie := w.signIn(home, "ada@example.com", w.secret(u.ID))
		_, err = w.InviteAgain(w.Context(), account.Operator(), u.ID) // and the session that it opened
		w.must(err)
		_, err = w.ask(cookie)
		w.refused(err, "unauthorized")
		_, err = w.Invite(w.Context(), account.Operator(), account.User{Email: "ADA@example.com", Role: account.Viewer})
		w.refused(err, "email_taken")
	})
}

func TestWhatChangesAUserCountsFromTheNextRequestOn(t *testing.T) {
	each(t, func(w *world) {
		operator := account.Operator()
		for name, c := range map[string]struct {
			change func(id string) error
			ends   bool // sessions and tokens
		}{
			"role":       {func(id string) error { r := account.Viewer; return edit(w, id, account.UserEdit{Role: &r}) }, false},
			"workspaces": {func(id string) error { return edit(w, id, account.UserEdit{Workspaces: &[]string{}}) }, false},
			"disable":    {func(id string) error { yes := true; return edit(w, id, account.UserEdit{Disabled: &yes}) }, true},
			"remove":     {func(id string) error { return w.RemoveUser(w.Context(), operator, id) }, true},
			"reset":      {func(id string) error { _, err := w.ForceReset(w.Context(), operator, id); return err }, true},
		} {
			u, cookie := w.user(name+"@example.com", account.Editor)
			p, err := w.ask(cookie)
			w.must(err)
			_, token, err := w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead, account.VideosWrite}})
			w.must(err)
			if p, err := w.bear(token); err != nil || p.Scopes.String() != "videos/read videos/write" || !slices.Equal(p.Workspaces, []string{"main"}) || p.Session != "" {
				w.Errorf("%+v, %v", p, err)
			}
			w.must(c.change(u.ID))
			for _, ask := range []func() (account.Principal, error){func() (account.Principal, error) { return w.ask(cookie) }, func() (account.Principal, error) { return w.bear(token) }} {
				p, err := ask()
				switch {
				case c.ends && (err == nil || fault.Of(err).Code != "unauthorized"):
					w.Errorf("%s: still let in: %+v", name, p)
				case !c.ends && err != nil:
					w.Errorf("%s: %v", name, err)
				case name == "role" && (p.Role != account.Viewer || p.Scopes.Has(account.VideosWrite)), name == "workspaces" && len(p.Workspaces) > 0:
					w.Errorf("%s: %+v", name, p)
				}
			}
		}
		no := false
		all, err := w.Users(w.Context(), "", 0)
		w.must(err)
		for _, u := range all {
			if u.Email == "disable@example.com" {
				_, err := w.SignIn(w.from(home, ""), u.Email, own)
				w.refused(err, "sign_in_failed")
				w.must(edit(w, u.ID, account.UserEdit{Disabled: &no}))
				w.signIn(home, u.Email, own)
			}
		}
	})
}

func edit(w *world, id string, e account.UserEdit) error {
	_, err := w.EditUser(w.Context(), account.Operator(), id, e)
	return err
}

func TestAForcedResetAsksForAnotherPassword(t *testing.T) {
	each(t, func(w *world) {
		u, _ := w.user("ada@example.com", account.Editor)
		_, err := w.ForceReset(w.Context(), account.Operator(), u.ID)
		w.must(err)
		_, err = w.SignIn(w.from(home, ""), u.Email, own)
		w.refused(err, "sign_in_failed")
		p, err := w.ask(w.signIn(home, u.Email, w.secret(u.ID)))
		w.must(err)
		if !p.MustChange || fault.Of(p.Allow(account.VideosRead)).Code != "password_change_required" || p.MaySee(account.Subject{Workspace: "main", Ready: true}) {
			w.Errorf("%+v", p)
		}
		_, _, err = w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.refused(err, "password_change_required")
		_, err = w.InviteAgain(w.Context(), account.Operator(), u.ID)
		w.refused(err, "not_invited")
	})
}

func TestTheLastAdministratorStays(t *testing.T) {
	each(t, func(w *world) {
		a, _ := w.user("a@example.com", account.Admin) // the one of the first start has never signed in, and doesn't count
		yes, viewer := true, account.Viewer
		w.refused(w.RemoveUser(w.Context(), account.Operator(), a.ID), "last_admin")
		w.refused(edit(w, a.ID, account.UserEdit{Disabled: &yes}), "last_admin")
		w.refused(edit(w, a.ID, account.UserEdit{Role: &viewer}), "last_admin")
		b, _ := w.user("b@example.com", account.Admin)
		var all sync.WaitGroup
		var gone sync.Map
		for _, id := range []string{a.ID, b.ID} { // each demotes the other, at once
			all.Go(func() {
				if err := edit(w, id, account.UserEdit{Role: &viewer}); err == nil {
					gone.Store(id, true)
				} else if fault.Of(err).Code != "last_admin" {
					w.Error(err)
				}
			})
		}
		all.Wait()
		if n := size(&gone); n != 1 {
			w.Errorf("%d of the last two administrators could go", n)
		}
	})
}

func TestOneFirstAdministratorIsMadeHoweverManyStart(t *testing.T) {
	each(t, func(w *world) {
		all, err := w.Users(w.Context(), "", 0)
		w.must(err)
		w.must(w.RemoveUser(w.Context(), account.Operator(), all[0].ID))
		var wait sync.WaitGroup
		var made sync.Map
		for i := range 6 {
			wait.Go(func() {
				password, err := w.First(w.Context(), "root@example.com")
				if err != nil {
					w.Error(err)
				} else if password != "" {
					made.Store(i, password)
				}
			})
		}
		wait.Wait()
		if n := size(&made); n != 1 {
			w.Errorf("%d were made", n)
		}
		made.Range(func(_, password any) bool { w.signIn(home, "ROOT@example.com", password.(string)); return true })
	})
}

func TestAForgottenPasswordIsReplacedByOneCodeOnce(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Viewer)
		w.forgotten("nobody@example.com")
		w.forgotten("ADA@example.com")
		first := w.secret(u.ID)
		w.forgotten("ada@example.com")
		second := w.secret(u.ID)
		w.refused(w.Reset(w.Context(), first, own+"!"), "code_gone") // the newest alone
		w.refused(w.Reset(w.Context(), second, "short"), "weak_password")
		var won sync.Map
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() {
				if err := w.Reset(w.Context(), second, fmt.Sprint(own, i)); err == nil {
					won.Store(i, true)
				} else if fault.Of(err).Code != "code_gone" {
					w.Error(err)
				}
			})
		}
		all.Wait()
		if n := size(&won); n != 1 {
			w.Fatalf("%d used the code", n)
		}
		_, err := w.ask(cookie)
		w.refused(err, "unauthorized")
		won.Range(func(i, _ any) bool { w.signIn(home, u.Email, fmt.Sprint(own, i)); return true })
		w.forgotten("ada@example.com")
		third := w.secret(u.ID)
		w.pass(time.Hour)
		w.refused(w.Reset(w.Context(), third, own), "code_gone")
		yes := true
		w.must(edit(w, u.ID, account.UserEdit{Disabled: &yes}))
		before := len(letters(w))
		w.forgotten("ada@example.com")
		if len(letters(w)) != before {
			w.Error("a disabled user is written to")
		}
	})
}

func audit(w *world, user string) []account.AuditEntry {
	w.Helper()
	all, err := w.Acts(w.Context(), user, 0, 0)
	w.must(err)
	return all
}

func TestNoSecretIsKeptAsItIs(t *testing.T) {
	each(t, func(w *world) {
		u, cookie, a := w.enrolled("ada@example.com", account.Viewer)
		p, err := w.ask(cookie)
		w.must(err)
		_, token, err := w.MakeToken(w.Context(), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.must(err)
		offer, err := w.OfferFactor(w.from(home, ""), p, own, a.code(0))
		w.must(err)
		secrets := []string{own, cookie, token, w.used(u.ID), a.secret, offer.Secret, a.spare[0], strings.ReplaceAll(a.spare[0], "-", ""), strings.ToUpper(strings.ReplaceAll(a.spare[0], "-", ""))}
		w.must(w.store.DB().View(w.Context(), func(st engine.Statements) error {
			for _, table := range []string{"account", "session", "token", "reset_code", "recovery_code", "strike", "letter", "audit"} {
				rows, err := st.QueryContext(w.Context(), `SELECT * FROM `+table)
				if err != nil {
					return err
				}
				columns, _ := rows.Columns()
				for rows.Next() {
					row, into := make([]any, len(columns)), make([]any, len(columns))
					for i := range row {
						into[i] = &row[i]
					}
					if err := rows.Scan(into...); err != nil {
						return err
					}
					for _, secret := range secrets {
						if strings.Contains(fmt.Sprint(row...), secret) {
							w.Errorf("%s holds a secret: %v", table, row)
						}
					}
				}
				if err := rows.Close(); err != nil {
					return err
				}
			}
			return nil
		}))
	})
}

func TestEveryChangeIsWrittenDown(t *testing.T) {
	each(t, func(w *world) {
		u, cookie := w.user("ada@example.com", account.Editor)
		p, err := w.ask(cookie)
		w.must(err)
		k, _, err := w.MakeToken(w.from(home, ""), p, account.Token{Name: "t", Scopes: account.Scopes{account.VideosRead}})
		w.must(err)
		w.must(w.RevokeToken(w.from(home, ""), p, "", k.ID))
		w.refused(w.RevokeToken(w.from(home, ""), p, "", k.ID), "no_token")
		_, err = w.AddWorkspace(w.Context(), account.Operator(), account.Workspace{ID: "b", Name: "B"})
		w.must(err)
		_, err = w.AddWorkspace(w.Context(), account.Operator(), account.Workspace{ID: "b", Name: "B"})
		w.refused(err, "workspace_taken")
		w.must(edit(w, u.ID, account.UserEdit{Workspaces: &[]string{"b", "main"}}))
		w.refused(edit(w, u.ID, account.UserEdit{Workspaces: &[]string{"c"}}), "no_such_workspace")
		w.refused(w.RemoveWorkspace(w.Context(), account.Operator(), "b"), "workspace_in_use")
		w.refused(w.RemoveWorkspace(w.Context(), account.Operator(), "main"), "workspace_in_use")
		if mine, err := w.Workspaces(w.Context(), account.Principal{Kind: account.Person, Role: account.Viewer, Workspaces: []string{"b"}}); err != nil || len(mine) != 1 || mine[0].ID != "b" {
			w.Errorf("%v %v", mine, err)
		}
		w.must(w.RemoveUser(w.Context(), account.Operator(), u.ID))
		_, err = w.RenameWorkspace(w.Context(), account.Operator(), "b", "Bee")
		w.must(err)
		w.must(w.RemoveWorkspace(w.Context(), account.Operator(), "b"))
		_, err = w.RenameWorkspace(w.Context(), account.Operator(), "b", "Bee")
		w.refused(err, "no_workspace")
		var got []string
		for _, a := range audit(w, "") {
			got = append(got, a.What+" by "+a.ByName)
		}
		slices.Reverse(got)
		want := []string{"user.first by admin", "user.invited by admin", "letter.read by admin", "sign_in by ada@example.com", "password.changed by ada@example.com", "token.made by ada@example.com",
			"token.revoked by ada@example.com", "workspace.made by admin", "user.edited by admin", "user.removed by admin", "workspace.renamed by admin", "workspace.removed by admin"}
		if !slices.Equal(got, want) {
			w.Errorf("got  %q\nwant %q", got, want)
		}
		if of := audit(w, u.ID); len(of) != 8 || of[0].UserName != "ada@example.com" || of[2].Address != home || of[2].Detail["token"] != k.ID {
			w.Errorf("%+v", of)
		}
	})
}

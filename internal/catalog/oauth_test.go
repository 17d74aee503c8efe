package catalog

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

func someClient(id string) account.Client {
	return account.Client{ID: id, Name: "Tool " + id, Kind: account.WebClient, Secret: "hash", Redirects: []string{"https://tool.example.com/ü"}, Logouts: []string{"https://tool.example.com/"},
		Scopes: account.Scopes{account.VideosRead}, Workspaces: []string{"main"}, Created: time.UnixMilli(1_700_000_000_000).UTC(), Rotated: time.UnixMilli(1_700_000_000_000).UTC()}
}

// did is an act of an administrator.
func did(what string) account.AuditEntry {
	return account.AuditEntry{Time: time.UnixMilli(1_700_000_000_000), What: what, By: "admin"}
}

// code keeps a code of a client and a user, with offline_access.
func (w *world) code(hash, client, user string) {
	w.t.Helper()
	w.must(w.PutCode(w.t.Context(), account.Code{Hash: hash, Client: client, User: user, Redirect: "https://tool.example.com/ü", Challenge: "c", Nonce: "n", Scope: "openid offline_access videos/read",
		SignedIn: w.now(), Expires: w.now().Add(time.Minute)}))
}

func (w *world) redemption(client, family string) account.TokenExchange {
	return account.TokenExchange{Client: client, Redirect: "https://tool.example.com/ü", Challenge: "c", Family: family, Refresh: family + ".0", Access: w.now().Add(time.Hour), Idle: w.now().Add(24 * time.Hour),
		Address: "192.0.2.1"}
}

func (w *world) rotation(next string) account.Rotation {
	return account.Rotation{Client: "tool", Refresh: next, Access: w.now().Add(time.Hour), Idle: w.now().Add(24 * time.Hour), Most: 48 * time.Hour, Address: "192.0.2.1"}
}

// granted makes a grant of the client "tool" for a user.
func (w *world) granted(id, user string) {
	w.t.Helper()
	w.code("code of "+id, "tool", user)
	g, outcome, err := w.Redeem(w.t.Context(), "code of "+id, w.redemption("tool", id))
	w.must(err)
	if outcome != account.Granted || g.ID != id || g.User != user || g.Nonce != "n" {
		w.t.Fatalf("%+v %s", g, outcome)
	}
}

// acts are what was done, the oldest first.
func (w *world) acts() (all []string) {
	w.t.Helper()
	acts, err := w.Acts(w.t.Context(), "", 0, 0)
	w.must(err)
	for _, a := range slices.Backward(acts) {
		all = append(all, a.What)
	}
	return all
}

func TestClientsAreKeptAsTheyAreWithTheRecordOfWhoChangedThem(t *testing.T) {
	each(t, func(w *world) {
		c := someClient("tool")
		w.must(w.AddClient(t.Context(), c, did(account.ClientAdded)))
		if got, err := w.Client(t.Context(), c.ID); err != nil || fmt.Sprint(got) != fmt.Sprint(c) {
			t.Errorf("%+v %v", got, err)
		}
		name, secret := "Another", "another hash"
		got, err := w.EditClient(t.Context(), c.ID, account.ClientEdit{Name: &name, Secret: &secret}, did(account.ClientRotated))
		if err != nil || got.Name != name || got.Secret != secret || !got.Rotated.After(c.Rotated) || got.Kind != c.Kind {
			t.Errorf("%+v %v", got, err)
		}
		w.granted("g", "ada")
		w.must(w.RemoveClient(t.Context(), c.ID, did(account.ClientRemoved)))
		if _, ok, err := w.Refreshable(t.Context(), "g.0"); ok || err != nil {
			t.Errorf("its grants live on: %v", err)
		}
		_, err = w.Client(t.Context(), c.ID)
		w.refused(err, fault.NotFound, "no_client")
		_, err = w.EditClient(t.Context(), c.ID, account.ClientEdit{}, did(account.ClientEdited))
		w.refused(err, fault.NotFound, "no_client")
		w.refused(w.RemoveClient(t.Context(), c.ID, did(account.ClientRemoved)), fault.NotFound, "no_client")
		if got := strings.Join(w.acts(), " "); got != "client.added client.rotated client.removed" {
			t.Errorf("the record: %s", got)
		}
	})
}

func TestOfManyWhoRedeemACodeOneIsGrantedAndThenNobodyKeepsAnything(t *testing.T) {
	each(t, func(w *world) {
		w.code("code", "tool", "ada")
		const many = 8
		outcomes := make(chan account.Outcome, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				_, outcome, err := w.Redeem(t.Context(), "code", w.redemption("tool", fmt.Sprint("g", i)))
				if err != nil {
					t.Error(err)
				}
				outcomes <- outcome
			})
		}
		all.Wait()
		close(outcomes)
		count := map[account.Outcome]int{}
		for o := range outcomes {
			count[o]++
		}
		if count[account.Granted] != 1 || count[account.Reused] != many-1 {
			t.Errorf("%v", count)
		}
		for i := range many {
			if _, ok, err := w.Refreshable(t.Context(), fmt.Sprint("g", i, ".0")); ok || err != nil {
				t.Errorf("a grant of a code that was used twice lives on: %v", err)
			}
		}
		if got := w.acts(); len(got) != 1 || got[0] != account.RefreshTokenReused {
			t.Errorf("the record: %v", got)
		}
	})
}

func TestACodeIsGoodForItsClientItsMinuteAndItsVerifier(t *testing.T) {
	each(t, func(w *world) {
		try := func(hash string, want account.Outcome, change func(*account.TokenExchange)) {
			t.Helper()
			r := w.redemption("tool", "family of "+hash+string(want))
			change(&r)
			if _, got, err := w.Redeem(t.Context(), hash, r); err != nil || got != want {
				t.Errorf("%s: %s %v, want %s", hash, got, err, want)
			}
		}
		same := func(*account.TokenExchange) {}
		try("nobody's", account.Unknown, same)
		w.code("a", "tool", "ada")
		try("a", account.Unknown, func(r *account.TokenExchange) { r.Client = "other" })
		try("a", account.Granted, same)
		w.code("b", "tool", "ada")
		try("b", account.Mismatch, func(r *account.TokenExchange) { r.Challenge = "d" })
		try("b", account.Reused, same)
		w.code("c", "tool", "ada")
		w.clock.Add(time.Minute.Milliseconds())
		try("c", account.TooLate, same)
	})
}

func TestOfManyWhoUseARefreshTokenOneGetsTheNextAndTheFamilyEnds(t *testing.T) {
	each(t, func(w *world) {
		w.granted("g", "ada")
		const many = 8
		outcomes := make(chan account.Outcome, many)
		var all sync.WaitGroup
		for i := range many {
			all.Go(func() {
				_, outcome, err := w.Rotate(t.Context(), "g.0", w.rotation(fmt.Sprint("next", i)))
				if err != nil {
					t.Error(err)
				}
				outcomes <- outcome
			})
		}
		all.Wait()
		close(outcomes)
		count := map[account.Outcome]int{}
		for o := range outcomes {
			count[o]++
		}
		if count[account.Granted] != 1 || count[account.Reused] != 1 || count[account.Over] != many-2 {
			t.Errorf("%v", count)
		}
		denied, err := w.Denied(t.Context(), time.Hour)
		if err != nil || !slices.Contains(denied, "g") {
			t.Errorf("access tokens of it: %v %v", denied, err)
		}
		if got := w.acts(); len(got) != 1 || got[0] != account.RefreshTokenReused {
			t.Errorf("the record: %v", got)
		}
	})
}

func TestAFamilyEndsByItsAgeByItsClientAndByNobodyElse(t *testing.T) {
	each(t, func(w *world) {
		w.granted("g", "ada")
		if others, err := w.EndFamily(t.Context(), "other", "g.0"); err != nil || !others {
			t.Errorf("%v %v", others, err)
		}
		if others, err := w.EndFamily(t.Context(), "other", "nobody's"); err != nil || others {
			t.Errorf("%v %v", others, err)
		}
		if _, ok, err := w.Refreshable(t.Context(), "g.0"); !ok || err != nil {
			t.Errorf("another client ended it: %v", err)
		}
		if others, err := w.EndFamily(t.Context(), "tool", "g.0"); err != nil || others {
			t.Errorf("%v %v", others, err)
		}
		if _, outcome, err := w.Rotate(t.Context(), "g.0", w.rotation("g.1")); outcome != account.Over || err != nil {
			t.Errorf("%s %v", outcome, err)
		}
		w.granted("h", "ada")
		for i := range 2 { // used each day, and no longer than two
			w.clock.Add((24*time.Hour - time.Minute).Milliseconds())
			if _, outcome, err := w.Rotate(t.Context(), fmt.Sprint("h.", i), w.rotation(fmt.Sprint("h.", i+1))); outcome != account.Granted || err != nil {
				t.Errorf("%s %v", outcome, err)
			}
		}
		w.clock.Add((3 * time.Minute).Milliseconds())
		if _, outcome, err := w.Rotate(t.Context(), "h.2", w.rotation("h.3")); outcome != account.TooLate || err != nil {
			t.Errorf("%s %v", outcome, err)
		}
	})
}

func TestWhatIsOverIsForgotten(t *testing.T) {
	each(t, func(w *world) {
		w.granted("g", "ada")
		w.must(w.Deny(t.Context(), "token", w.now().Add(time.Hour)))
		w.clock.Add((3 * 24 * time.Hour).Milliseconds())
		w.must(w.Deny(t.Context(), "another", w.now().Add(time.Hour)))
		w.granted("h", "ada")
		for table, want := range map[string]int{"oauth_code": 1, "oauth_grant": 1, "oauth_refresh": 1, "oauth_denied": 1} {
			var n int
			w.must(w.db.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
			if n != want {
				t.Errorf("%s has %d rows, want %d", table, n, want)
			}
		}
	})
}

func TestARenewedKeySignsAloneAndOthersAreForgottenInTime(t *testing.T) {
	each(t, func(w *world) {
		now := w.now()
		key := func(id string, signs time.Time) account.SigningKey {
			return account.SigningKey{ID: id, Algorithm: "RS256", Public: "{}", Sealed: "s", Signs: signs, Until: signs.Add(72 * time.Hour), Expires: signs.Add(96 * time.Hour)}
		}
		w.must(w.PutSigningKey(t.Context(), key("first", now)))
		w.must(w.PutSigningKey(t.Context(), key("next", now.Add(72*time.Hour))))
		at := now.Add(time.Second)
		w.must(w.RenewSigningKey(t.Context(), account.Renewal{Key: key("renewed", at), Expires: at.Add(24 * time.Hour), Act: did(account.KeysRotated)}))
		keys, err := w.SigningKeys(t.Context())
		w.must(err)
		if len(keys) != 3 {
			t.Fatalf("%+v", keys)
		}
		for _, k := range keys {
			if k.ID != "renewed" && (k.Until.After(at) || k.Expires.After(at.Add(24*time.Hour))) {
				t.Errorf("%+v", k)
			}
		}
		w.clock.Add((25 * time.Hour).Milliseconds())
		if keys, err := w.SigningKeys(t.Context()); err != nil || len(keys) != 1 || keys[0].ID != "renewed" {
			t.Errorf("%+v %v", keys, err)
		}
	})
}

func TestGrantsAndKeysGoOnAfterAMove(t *testing.T) {
	t.Parallel()
	from := &world{Store: openAt(t, filepath.Join(t.TempDir(), "sluice.db")), t: t}
	to := &world{Store: openAt(t, enginetest.Postgres(t)), t: t}
	w := from
	w.must(w.AddClient(t.Context(), someClient("tool"), did(account.ClientAdded)))
	w.granted("g", "ada")
	w.must(w.Deny(t.Context(), "token", time.Now().Add(time.Hour)))
	w.must(w.PutSigningKey(t.Context(), account.SigningKey{ID: "k", Algorithm: "RS256", Public: "{}", Sealed: "s", Signs: time.Now(), Until: time.Now().Add(time.Hour), Expires: time.Now().Add(2 * time.Hour)}))
	w.must(from.CopyTo(t.Context(), to.Store, Relocation{}))
	w = to
	if c, err := w.Client(t.Context(), "tool"); err != nil || fmt.Sprint(c) != fmt.Sprint(someClient("tool")) {
		t.Errorf("%+v %v", c, err)
	}
	if denied, err := w.Denied(t.Context(), time.Hour); err != nil || !slices.Contains(denied, "token") {
		t.Errorf("%v %v", denied, err)
	}
	if keys, err := w.SigningKeys(t.Context()); err != nil || len(keys) != 1 || keys[0].Sealed != "s" {
		t.Errorf("%+v %v", keys, err)
	}
	if _, outcome, err := w.Redeem(t.Context(), "code of g", w.redemption("tool", "again")); outcome != account.Reused || err != nil {
		t.Errorf("a code that was used there is taken here: %s %v", outcome, err)
	}
}

func TestProgramsAreTheLiveGrantsOfAUserByClientAndEndTogether(t *testing.T) {
	each(t, func(w *world) {
		tool, other := someClient("tool"), someClient("other")
		w.must(w.AddClient(t.Context(), tool, did(account.ClientAdded)))
		w.must(w.AddClient(t.Context(), other, did(account.ClientAdded)))
		programs := func(user string) []account.ConnectedApp {
			all, err := w.Programs(t.Context(), user)
			w.must(err)
			return all
		}
		if all := programs("ada"); len(all) != 0 {
			t.Errorf("%+v", all)
		}
		w.granted("g1", "ada")
		w.granted("g2", "ada")
		w.granted("g3", "bob")
		if _, outcome, err := w.Rotate(t.Context(), "g1.0", w.rotation("g1.1")); outcome != account.Granted || err != nil {
			t.Fatal(outcome, err)
		}
		all := programs("ada")
		if len(all) != 1 || all[0].ID != "tool" || all[0].Name != tool.Name || all[0].Kind != account.WebClient || all[0].Grants != 2 || strings.Join(all[0].Scopes, " ") != "offline_access openid videos/read" ||
			!all[0].Used.After(all[0].Since) || !all[0].Expires.After(all[0].Used) {
			t.Fatalf("%+v", all)
		}
		w.code("not redeemed", "tool", "ada")
		w.code("of another program", "other", "ada")
		w.refused(w.EndProgram(t.Context(), "ada", "nothing", did(account.ProgramEnded)), fault.NotFound, "no_program")
		w.refused(w.EndProgram(t.Context(), "nobody", "tool", did(account.ProgramEnded)), fault.NotFound, "no_program")
		w.must(w.EndProgram(t.Context(), "ada", "tool", did(account.ProgramEnded)))
		w.refused(w.EndProgram(t.Context(), "ada", "tool", did(account.ProgramEnded)), fault.NotFound, "no_program")
		for token, want := range map[string]bool{"g1.1": false, "g2.0": false, "g3.0": true} {
			if _, ok, err := w.Refreshable(t.Context(), token); ok != want || err != nil {
				t.Errorf("%s: %v %v", token, ok, err)
			}
		}
		for code, want := range map[string]account.Outcome{"not redeemed": account.Unknown, "of another program": account.Granted} {
			client := "tool"
			if want == account.Granted {
				client = "other"
			}
			if _, outcome, err := w.Redeem(t.Context(), code, w.redemption(client, "g of "+code)); outcome != want || err != nil {
				t.Errorf("%s: %s %v", code, outcome, err)
			}
		}
		if ids, err := w.Denied(t.Context(), time.Hour); err != nil || !slices.Contains(ids, "g1") || !slices.Contains(ids, "g2") || slices.Contains(ids, "g3") {
			t.Errorf("%v %v", ids, err)
		}
		if ada, bob := programs("ada"), programs("bob"); len(ada) != 1 || ada[0].ID != "other" || len(bob) != 1 || bob[0].ID != "tool" {
			t.Errorf("%+v %+v", ada, bob)
		}
		acts, err := w.Acts(t.Context(), "", 0, 1)
		w.must(err)
		if len(acts) != 1 || acts[0].What != account.ProgramEnded || acts[0].Detail["name"] != tool.Name {
			t.Errorf("%+v", acts)
		}
	})
}

// A code that is being redeemed while all ends leaves no grant behind.
func TestOfAProgramThatSignsInWhileItIsTakenBackNothingIsLeft(t *testing.T) {
	each(t, func(w *world) {
		w.must(w.AddClient(t.Context(), someClient("tool"), did(account.ClientAdded)))
		for i := range 20 {
			family, code := fmt.Sprint("g", i), fmt.Sprint("code", i)
			w.code(code, "tool", "ada")
			var all sync.WaitGroup
			var outcome account.Outcome
			all.Go(func() {
				var err error
				if _, outcome, err = w.Redeem(t.Context(), code, w.redemption("tool", family)); err != nil {
					t.Error(err)
				}
			})
			all.Go(func() { w.must(w.EndProgram(t.Context(), "ada", "tool", did(account.ProgramEnded))) })
			all.Wait()
			if _, ok, err := w.Refreshable(t.Context(), family+".0"); ok || err != nil {
				t.Errorf("%s, and its grant is live: %v", outcome, err)
			}
		}
	})
}

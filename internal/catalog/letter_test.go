package catalog

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
)

// TestAnErasedSecretIsInNoFileOfTheDatabase reads the files of a SQLite database past it: a letter's secret that was erased, because the letter was sent, or because what it tells was used
// or has expired, is neither in the rows, nor in pages that are free, nor in the log.
func TestAnErasedSecretIsInNoFileOfTheDatabase(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sluice.db")
	w := &world{Store: openAt(t, file), t: t}
	begin := time.Now()
	w.clock.Store(begin.UnixMilli())
	w.now = func() time.Time { return time.UnixMilli(w.clock.Add(1)) }
	secrets := func() (n int) {
		t.Helper()
		for _, suffix := range []string{"", "-wal"} {
			body, err := os.ReadFile(file + suffix)
			w.must(err)
			n += bytes.Count(body, []byte("a-secret-of-number-"))
		}
		return n
	}
	first := account.User{ID: "root", Email: "root@example.com", Role: account.Admin, Created: begin, Workspaces: []string{account.DefaultWorkspace}}
	_, err := w.FirstAdmin(t.Context(), first, account.Temporary{User: first.ID, Hash: "h", Expires: begin.Add(time.Hour)})
	w.must(err)
	invite := func(n int) account.User {
		u := account.User{ID: fmt.Sprintf("user%d", n), Email: fmt.Sprintf("u%d@example.com", n), Role: account.Viewer, Created: begin}
		w.must(w.Invite(t.Context(), u, account.Temporary{User: u.ID, Hash: "h", Kind: account.InvitationLetter, Expires: begin.Add(time.Hour), Act: account.AuditEntry{Time: begin},
			Secret: fmt.Sprintf("a-secret-of-number-%d-%s", n, strings.Repeat("x", 400))}))
		return u
	}
	u := invite(0)
	if secrets() == 0 {
		t.Fatal("a letter that waits is not found; this test looks in the wrong place")
	}
	l, err := w.ClaimLetter(t.Context(), 1, engine.Handle{})
	w.must(err)
	w.must(w.SettleLetter(t.Context(), l, account.LetterSent, account.Trouble{}, engine.Handle{}))
	if n := secrets(); n != 0 {
		t.Errorf("a letter was sent, and its secret is there %d times", n)
	}
	for n := range 100 { // many pages of letters, so that some are free afterwards
		u = invite(n + 1)
	}
	login, err := w.Login(t.Context(), u.Email, "")
	w.must(err)
	w.must(w.Open(t.Context(), account.NewSession{Login: login, Rehashed: "h", Hash: "c", Session: account.Session{ID: "s", User: u.ID, Created: begin, Expires: begin.Add(time.Hour)}}))
	later := account.Expired{Now: begin.Add(2 * time.Hour), Letters: 24 * time.Hour}
	w.must(w.Prune(t.Context(), later)) // the rest has expired
	if n := secrets(); n != 0 {
		t.Errorf("what letters told was used or has expired, and is there %d times", n)
	}
	w.clock.Store(later.Now.UnixMilli())
	for n := range 100 {
		again := account.Temporary{User: fmt.Sprintf("user%d", n), Hash: "h", Kind: account.ForcedLetter, Expires: later.Now.Add(time.Hour), Act: account.AuditEntry{Time: later.Now},
			Secret: fmt.Sprintf("a-secret-of-number-%d-%s", n, strings.Repeat("y", 400))}
		w.must(w.Reissue(t.Context(), again))
		w.must(w.RemoveUser(t.Context(), again.User, account.AuditEntry{Time: later.Now}))
	}
	w.must(w.Prune(t.Context(), account.Expired{Now: later.Now.Add(48 * time.Hour), Letters: time.Hour})) // the rows go too
	var letters, free int
	w.must(w.db.Read.QueryRow(`SELECT count(*) FROM letter`).Scan(&letters))
	w.must(w.db.Read.QueryRow(`PRAGMA freelist_count`).Scan(&free))
	if n := secrets(); n != 0 || letters != 0 || free == 0 {
		t.Errorf("%d letters and %d free pages, and a secret is there %d times", letters, free, n)
	}
}

func TestAReaderHoldsUpNoCheckpointForLong(t *testing.T) {
	t.Parallel()
	w := &world{Store: openAt(t, filepath.Join(t.TempDir(), "sluice.db")), t: t}
	old, err := w.db.Read.BeginTx(t.Context(), nil)
	w.must(err)
	var n int
	w.must(old.QueryRow(`SELECT count(*) FROM account`).Scan(&n))
	w.must(w.AddWorkspace(t.Context(), account.Workspace{ID: "x"}, account.AuditEntry{}))
	if done, err := w.db.Checkpoint(t.Context()); done || err != nil {
		t.Errorf("somebody reads an older state: %v, %v", done, err)
	}
	w.must(w.AddWorkspace(t.Context(), account.Workspace{ID: "y"}, account.AuditEntry{}))
	w.must(old.Rollback())
	if done, err := w.db.Checkpoint(t.Context()); !done || err != nil {
		t.Errorf("nobody reads: %v, %v", done, err)
	}
}

package drill

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // "pgx"
	_ "modernc.org/sqlite"             // "sqlite"

	"sluice/internal/engine"
	"sluice/test/rig"
)

// ledger is what a server has acknowledged, and has to know after every kill.
type ledger struct {
	t     *testing.T
	k     *rig.Keeper
	db    *sql.DB
	names []string
	holds map[string]func() string // empty while it is as it was acknowledged
	last  []func()                 // what is looked after once more at the end alone: wrong passwords make the next try wait
	seen  int                      // restarts that were looked after
	busy  bool
}

func openLedger(t *testing.T, k *rig.Keeper, database string) *ledger {
	t.Helper()
	driver := "sqlite"
	if engine.IsPostgres(database) {
		driver = "pgx"
	}
	db, err := sql.Open(driver, database)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &ledger{t: t, k: k, db: db, holds: map[string]func() string{}}
}

// note keeps what was acknowledged, and looks after all of it where the server was killed since.
func (l *ledger) note(what string, holds func() string) {
	l.t.Helper()
	if l.holds[what] == nil {
		l.names = append(l.names, what)
	}
	l.holds[what] = holds
	l.look(false)
}

// drop forgets what is so no more: all whose names begin like that.
func (l *ledger) drop(prefix string) {
	for _, what := range l.names {
		if strings.HasPrefix(what, prefix) {
			l.holds[what] = func() string { return "" }
		}
	}
}

// dead keeps that a credential is refused from now on, once it was seen to be: other processes, and memories of this one, may take a moment.
func (l *ledger) dead(what string, status func() answer) {
	l.t.Helper()
	refused := func() string {
		if a := status(); a.status != 401 && a.status != 403 && a.status != 404 && a.status != 400 && a.status != 410 {
			return fmt.Sprintf("%d %.200s", a.status, a.raw)
		}
		return ""
	}
	for deadline := time.Now().Add(time.Minute); refused() != ""; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%s: %s", what, refused())
		}
	}
	l.note(what, refused)
}

// end looks after everything for the last time.
func (l *ledger) end() {
	l.t.Helper()
	l.look(true)
	for _, look := range l.last {
		look()
	}
}

// look looks after everything, where the server was killed since it last did, or always.
func (l *ledger) look(always bool) {
	l.t.Helper()
	if l.busy {
		return
	}
	l.busy = true
	defer func() { l.busy = false }()
	for always || l.seen != l.k.Restarts {
		always, l.seen = false, l.k.Restarts
		for _, what := range l.names {
			if wrong := l.holds[what](); wrong != "" {
				l.t.Errorf("after %d kills, %s: %s", l.seen, what, wrong)
			}
		}
		for what, query := range halves {
			if rows := l.rows(query); len(rows) > 0 {
				l.t.Errorf("after %d kills, %s: %q", l.seen, what, rows)
			}
		}
	}
}

// rows reads the first column of a query, which is one statement: what it sees is of one moment.
func (l *ledger) rows(query string) (all []string) {
	l.t.Helper()
	rows, err := l.db.QueryContext(context.Background(), query)
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			l.t.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		l.t.Fatal(err)
	}
	return all
}

// act says in SQL that one of these was written down of what detail names.
func act(detail string, what ...string) string {
	return `EXISTS (SELECT 1 FROM audit x WHERE x.what IN ('` + strings.Join(what, "', '") + `') AND x.detail LIKE '%"' || ` + detail + ` || '"%')`
}

// of says it of a user.
func of(user string, what ...string) string {
	return `EXISTS (SELECT 1 FROM audit x WHERE x.what IN ('` + strings.Join(what, "', '") + `') AND x.user_id = ` + user + `)`
}

// each counts in SQL the letters of a kind to user a, and wants as many acts.
func each(kind string, acts ...string) string {
	return `SELECT a.id FROM account a WHERE (SELECT COUNT(*) FROM letter l WHERE l.account = a.id AND l.kind = '` + kind + `') <>
		(SELECT COUNT(*) FROM audit x WHERE x.user_id = a.id AND x.what IN ('` + strings.Join(acts, "', '") + `'))`
}

// halves are queries for what must not be: half of something.
var halves = map[string]string{
	"a user whom nobody invited":              `SELECT a.id FROM account a WHERE a.id NOT LIKE 'oidc:%' AND NOT ` + of("a.id", "user.invited", "user.first"),
	"a user from elsewhere who never came in": `SELECT a.id FROM account a WHERE a.id LIKE 'oidc:%' AND NOT ` + of("a.id", "sign_in"),
	"an invitation of nobody": `SELECT y.user_id FROM audit y WHERE y.what IN ('user.invited', 'user.first')
		AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = y.user_id) AND NOT ` + of("y.user_id", "user.removed"),
	"a user who was removed and is there":     `SELECT a.id FROM account a WHERE ` + of("a.id", "user.removed"),
	"invitations and their letters":           each("invitation", "user.invited", "user.invited_again"),
	"forced resets and their letters":         each("reset", "password.reset_forced"),
	"codes and their letters":                 each("forgot", "password.forgotten"),
	"a code without a letter":                 `SELECT c.account FROM reset_code c WHERE NOT EXISTS (SELECT 1 FROM letter l WHERE l.account = c.account AND l.kind = 'forgot')`,
	"a letter that keeps its secret":          `SELECT CAST(id AS TEXT) FROM letter WHERE state <> 'waiting' AND secret <> ''`,
	"a letter that waits and has no job":      `SELECT CAST(id AS TEXT) FROM letter WHERE state = 'waiting' AND due = 0`,
	"a letter that waits and tells nothing":   `SELECT CAST(id AS TEXT) FROM letter WHERE state = 'waiting' AND secret = '' AND kind NOT IN ('changed', 'factor_set', 'factor_end', 'recovery')`,
	"a letter that was given up":              `SELECT CAST(id AS TEXT) FROM letter WHERE state IN ('refused', 'dead')`,
	"a session of somebody who is shut out":   `SELECT s.id FROM session s WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = s.account AND a.state <> 'disabled')`,
	"a session that nobody opened":            `SELECT s.id FROM session s WHERE NOT ` + of("s.account", "sign_in", "sign_in.password", "password.changed"),
	"a second factor by halves":               `SELECT a.id FROM account a WHERE (a.factor <> '') <> (a.factored > 0) OR a.factor = '' AND EXISTS (SELECT 1 FROM recovery_code r WHERE r.account = a.id)`,
	"second factors and their letters":        each("factor_set", "factor.set"),
	"their ends and their letters":            each("factor_end", "factor.removed", "factor.reset"),
	"recovery codes of nobody":                `SELECT r.account FROM recovery_code r WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = r.account AND a.state <> 'disabled')`,
	"a token of somebody who is shut out":     `SELECT k.id FROM token k WHERE NOT EXISTS (SELECT 1 FROM account a WHERE a.id = k.account AND a.state <> 'disabled')`,
	"a token that nobody made":                `SELECT k.id FROM token k WHERE NOT ` + act("k.id", "token.made"),
	"a token that was revoked and is there":   `SELECT k.id FROM token k WHERE ` + act("k.id", "token.revoked"),
	"a workspace that nobody made":            `SELECT w.id FROM workspace w WHERE w.id <> 'main' AND NOT ` + act("w.id", "workspace.made"),
	"a workspace that was removed":            `SELECT w.id FROM workspace w WHERE ` + act("w.id", "workspace.removed"),
	"a member of no workspace":                `SELECT m.account FROM member m WHERE NOT EXISTS (SELECT 1 FROM workspace w WHERE w.id = m.workspace) OR NOT EXISTS (SELECT 1 FROM account a WHERE a.id = m.account)`,
	"a client that nobody added":              `SELECT c.id FROM oauth_client c WHERE NOT ` + act("c.id", "client.added"),
	"a client that was removed and is there":  `SELECT c.id FROM oauth_client c WHERE ` + act("c.id", "client.removed"),
	"a code that gave nothing":                `SELECT c.hash FROM oauth_code c WHERE c.family <> '' AND NOT EXISTS (SELECT 1 FROM oauth_grant g WHERE g.id = c.family)`,
	"a grant of no code":                      `SELECT g.id FROM oauth_grant g WHERE NOT EXISTS (SELECT 1 FROM oauth_code c WHERE c.family = g.id)`,
	"a grant of two codes":                    `SELECT family FROM oauth_code WHERE family <> '' GROUP BY family HAVING COUNT(*) > 1`,
	"two refresh tokens that are good":        `SELECT family FROM oauth_refresh WHERE used = 0 GROUP BY family HAVING COUNT(*) > 1`,
	"a grant that has lost its refresh token": `SELECT g.id FROM oauth_grant g WHERE g.ended = 0 AND g.scope LIKE '%offline_access%' AND NOT EXISTS (SELECT 1 FROM oauth_refresh r WHERE r.family = g.id AND r.used = 0)`,
	"a grant of somebody who is shut out":     `SELECT g.id FROM oauth_grant g WHERE g.ended = 0 AND NOT EXISTS (SELECT 1 FROM account a WHERE a.id = g.account AND a.state <> 'disabled')`,
	"a grant of a program that was removed":   `SELECT g.id FROM oauth_grant g WHERE g.ended = 0 AND NOT EXISTS (SELECT 1 FROM oauth_client c WHERE c.id = g.client)`,
	"a rotation without its key":              `SELECT y.detail FROM audit y WHERE y.what = 'keys.rotated' AND NOT EXISTS (SELECT 1 FROM oauth_key k WHERE y.detail LIKE '%"' || k.id || '"%')`,
	"a key pair that nobody made":             `SELECT p.id FROM key_pair p WHERE NOT ` + act("p.id", "key_pair.made"),
	"a key pair that was removed":             `SELECT p.id FROM key_pair p WHERE ` + act("p.id", "key_pair.removed"),
	"a retirement by halves":                  `SELECT p.id FROM key_pair p WHERE (p.retired > 0) <> ` + act("p.id", "key_pair.retired"),
	"a playback that nobody made":             `SELECT p.id FROM playback p WHERE p.base = '' AND NOT EXISTS (SELECT 1 FROM event e WHERE e.type = 'playback.made' AND e.data LIKE '%"' || p.id || '"%')`,
	"a revocation by halves":                  `SELECT p.id FROM playback p WHERE p.base = '' AND (p.revoked > 0) <> EXISTS (SELECT 1 FROM event e WHERE e.type = 'playback.revoked' AND e.data LIKE '%"' || p.id || '"%')`,
}

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// later is a migration of a version to come: as the law of migrations wants it, it only adds.
const later = `-- +goose Up
CREATE TABLE later (id TEXT PRIMARY KEY);
ALTER TABLE video ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE account ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE session ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE letter ADD COLUMN later BIGINT NOT NULL DEFAULT 0;
ALTER TABLE oauth_key ADD COLUMN later TEXT NOT NULL DEFAULT '';
ALTER TABLE key_pair ADD COLUMN later TEXT NOT NULL DEFAULT '';
`

// newer builds Sluice with one more migration.
func newer(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file, overlay, binary := filepath.Join(dir, "later.sql"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "sluice")
	there := filepath.Join(rig.Root(t), "internal", "catalog", "migration", "99999_later.sql")
	list, err := json.Marshal(map[string]map[string]string{"Replace": {there: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{file: later, overlay: string(list)} {
		if err := os.WriteFile(name, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-o", binary, "./cmd/sluice")
	build.Dir = rig.Root(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// lives has a server do something of each sort.
func lives(t *testing.T, s *rig.Server, name string) {
	t.Helper()
	admin, guest := browse(t, s), browse(t, s)
	admin.token = s.Token
	email := name + "@example.com"
	id := admin.must(201, "", "POST", "/v1/users", fmt.Sprintf(`{"email":%q,"role":"editor"}`, email))["id"]
	for _, one := range admin.must(200, "", "GET", "/v1/outbox/letters?state=waiting", "")["items"].([]any) {
		if letter := one.(map[string]any); letter["user"] == id {
			secret := admin.must(200, "", "GET", fmt.Sprintf("/v1/outbox/letters/%v", letter["id"]), "")["secret"]
			guest.signIn(201, email, fmt.Sprint(secret))
			guest.must(200, "", "POST", "/v1/session/password", fmt.Sprintf(`{"current":%q,"password":%q}`, secret, own))
		}
	}
	guest.must(200, "", "GET", "/v1/videos", "")
	guest.must(201, "", "POST", "/v1/tokens", `{"name":"x","scopes":["videos/read"]}`)
	admin.must(201, "", "POST", "/v1/key-pairs", `{}`)
	if v := s.Await(s.Upload(rig.Clip(t, name+".mp4", "320x180", 2), name+".mp4"), 2*time.Minute); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	}
}

// TestAnOlderBinaryGoesOnBesideANewerOneAndDoesNotStartAfterIt starts a Sluice with one more migration while one without it works on the same database.
func TestAnOlderBinaryGoesOnBesideANewerOneAndDoesNotStartAfterIt(t *testing.T) {
	inFull(t)
	t.Parallel()
	next := newer(t)
	t.Run("PostgreSQL", func(t *testing.T) {
		dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
		o := rig.Options{Token: clusterToken, Env: []string{"SLUICE_DATABASE=" + dsn}, Args: append(storage.Flags(), "--reconcile-every", "1s")}
		old := rig.Start(t, o)
		lives(t, old, "before")
		o.Binary = next
		fresh := rig.Start(t, o)
		lives(t, fresh, "newer")
		lives(t, old, "older") // though the tables have changed under it
		if err := old.Stop(); err != nil {
			t.Fatal(err)
		}
		said, ok := sluice(t, append([]string{"serve", "--data", old.Data, "--listen", "127.0.0.1:0", "--database", dsn, "--admin-token", clusterToken, "--seal-key", clusterToken}, storage.Flags()...)...)
		if ok || !strings.Contains(said, "database_newer: ") {
			t.Errorf("an older binary starts: %s", said)
		}
		if all := fresh.Videos(); len(all) != 3 {
			t.Errorf("%d videos", len(all))
		}
	})
	t.Run("SQLite", func(t *testing.T) {
		old := rig.Start(t, rig.Options{})
		lives(t, old, "before")
		to := filepath.Join(t.TempDir(), "backups")
		must(t, "backup", "--data", old.Data, to)
		if err := old.Stop(); err != nil {
			t.Fatal(err)
		}
		fresh := rig.Start(t, rig.Options{Data: old.Data, Binary: next})
		lives(t, fresh, "newer")
		if err := fresh.Stop(); err != nil {
			t.Fatal(err)
		}
		if said, ok := sluice(t, "serve", "--data", old.Data, "--listen", "127.0.0.1:0"); ok || !strings.Contains(said, "database_newer: ") {
			t.Errorf("an older binary starts: %s", said)
		}
		back := filepath.Join(t.TempDir(), "back") // the way back is the backup from before
		must(t, "restore", to, "--data", back)
		again := rig.Start(t, rig.Options{Data: back})
		lives(t, again, "back")
	})
}

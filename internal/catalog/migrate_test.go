package catalog_test

import (
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"testing"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

func TestADatabaseThatANewerVersionMigratedIsRefused(t *testing.T) {
	for table, newer := range map[string]string{
		"records": `INSERT INTO goose_db_version (version_id, is_applied) VALUES (90001, TRUE)`,
		"jobs":    `INSERT INTO river_migration (line, version) VALUES ('main', 9001)`,
	} {
		t.Run(table, func(t *testing.T) {
			enginetest.Each(t, func(t *testing.T, dsn string) {
				log := slog.New(slog.DiscardHandler)
				s, err := catalog.Open(t.Context(), dsn, log)
				if err != nil {
					t.Fatal(err)
				}
				err = s.DB().InTx(t.Context(), func(tx engine.Tx) error {
					_, err := tx.ExecContext(t.Context(), newer)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				again, err := catalog.Open(t.Context(), dsn, log)
				if err == nil {
					_ = again.Close()
				}
				if fault.Of(err).Code != "database_newer" || !strings.Contains(fault.Of(err).Message, "newer version of Sluice") {
					t.Errorf("an older program opens it: %v", err)
				}
				if err := s.Ping(t.Context()); err != nil { // whoever has it open goes on
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestMigrationsOnlyAdd keeps rolling upgrades possible: a process of the version before goes on with the tables of this one.
func TestMigrationsOnlyAdd(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(os.DirFS("migration"), "*.sql")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, name := range files {
		body, err := os.ReadFile("migration/" + name)
		if err != nil {
			t.Fatal(err)
		}
		up, _, _ := strings.Cut(string(body), "-- +goose Down")
		for _, word := range []string{"DROP ", "RENAME ", "ALTER COLUMN", "DELETE ", "TRUNCATE "} {
			if strings.Contains(strings.ToUpper(up), word) {
				t.Errorf("%s says %q: processes of the version before can't go on beside it; docs/OPERATIONS.md promises that they can", name, word)
			}
		}
	}
}

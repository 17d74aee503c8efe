package catalog

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// scans are the queries that read whole tables, each with the reason why that is no cost that grows with the work.
var scans = map[string]string{
	"Workspaces": "workspaces are few and all are wanted", "CountAdmins": "accounts, when one changes", "CountAnyAdmins": "accounts, when one changes",
	"VoidExpiredLetters": "once an upkeep; old letters are removed", "SleepingLetters": "once an upkeep; old letters are removed",
	"CountSubscriptions": "subscriptions are bounded", "Subscriptions": "subscriptions are bounded", "SubscriptionIDs": "subscriptions are bounded",
	"Clients": "clients are few and all are wanted", "CountClients": "clients are few", "Denied": "the list of what has ended is wanted whole",
	"RetireSigningKeys": "signing keys are few", "SigningKeys": "signing keys are few", "SweepSigningKeys": "signing keys are few", "KeyPairs": "key pairs are few",
	"PruneSessions": "once an upkeep", "PruneTokens": "once an upkeep", "PruneResetCodes": "once an upkeep",
	"OldNotices": "once a sweep", "ForgetErrors": "in the order of age, up to a limit", "ForgetNotices": "in the order of age, up to a limit",
}

// TestQueries_PlanOnSQLite_ReadTablesByIndex asks SQLite how it would run each query: one that reads a whole table for
// one video costs the square of what there is.
func TestQueries_PlanOnSQLite_ReadTablesByIndex(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "plans.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	files, err := filepath.Glob("sqlc/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	named, parameter := regexp.MustCompile(`(?m)^-- name: (\w+) :\w+$`), regexp.MustCompile(`\$\d+|sqlc\.arg\(\w+\)`)
	embedded := regexp.MustCompile(`sqlc\.embed\((\w+)\)`)
	met := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		heads := named.FindAllSubmatchIndex(text, -1)
		for i, h := range heads {
			end := len(text)
			if i+1 < len(heads) {
				end = heads[i+1][0]
			}
			name, query := string(text[h[2]:h[3]]), string(text[h[1]:end])
			query = embedded.ReplaceAllString(parameter.ReplaceAllString(query, "'1'"), "$1.*")
			plan, err := planOf(t.Context(), s, query)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			met++
			scanned := slices.ContainsFunc(plan, func(d string) bool {
				table, isScan := strings.CutPrefix(d, "SCAN ")
				return isScan && !strings.Contains(d, "CONSTANT ROW") && !slices.Contains(plan, "CO-ROUTINE "+table) // a subquery's rows, not a table's
			})
			if _, known := scans[name]; scanned != known {
				t.Errorf("%s: scans %v, listed %v:\n\t%s", name, scanned, known, strings.Join(plan, "\n\t"))
			}
		}
	}
	if met < 150 {
		t.Errorf("only %d queries were met", met)
	}
}

// planOf returns the steps by which SQLite runs a query.
func planOf(ctx context.Context, s *Store, query string) (plan []string, err error) {
	rows, err := s.DB().Read.QueryContext(ctx, "EXPLAIN QUERY PLAN "+strings.TrimSpace(query))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id, parent, unused int
		var detail string
		if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
			return nil, err
		}
		plan = append(plan, detail)
	}
	return plan, rows.Err()
}

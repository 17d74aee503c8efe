package engine

import (
	"regexp"
	"strings"
	"testing"

	"sluice/internal/engine/enginetest"
)

// liteScan is how SQLite says that it reads a table without an index.
var liteScan = regexp.MustCompile(`(?m)SCAN river_job( AS \w+)?$`)

func TestLookingForWorkReadsNoJobThatIsOver(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db, err := OpenDB(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		insert := `INSERT INTO river_job (args, created_at, finalized_at, kind, max_attempts, metadata, priority, queue, scheduled_at, state)
			WITH RECURSIVE g (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM g WHERE i < 20000)
			SELECT '{}', ` + db.dialect().now + `, CASE WHEN i <= 18000 THEN ` + db.dialect().now + ` END, 'work', 8, '{}', 3, 'default', ` + db.dialect().now + `,
				CASE WHEN i <= 18000 THEN 'completed' ELSE 'available' END FROM g`
		explain := "EXPLAIN QUERY PLAN "
		if db.Pool != nil {
			insert = strings.Replace(insert, "CASE WHEN i <= 18000 THEN 'completed' ELSE 'available' END", "CAST(CASE WHEN i <= 18000 THEN 'completed' ELSE 'available' END AS river_job_state)", 1)
			explain = "EXPLAIN "
		}
		if err := db.InTx(t.Context(), func(tx Tx) error {
			if _, err := tx.ExecContext(t.Context(), insert); err != nil {
				return err
			}
			_, err := tx.ExecContext(t.Context(), "ANALYZE river_job")
			return err
		}); err != nil {
			t.Fatal(err)
		}
		heads := headsQuery(db.dialect(), 1, 1)
		for name, query := range map[string]string{"due": dueQuery(db.dialect()), "heads": heads, "usual": usualQuery(db.dialect())} {
			query = strings.ReplaceAll(strings.ReplaceAll(query, "$1", "'default'"), "$2", "'work'")
			text := strings.Join(planOf(t, db, explain+query), "\n")
			if strings.Contains(text, "Seq Scan on river_job") || liteScan.MatchString(text) || !strings.Contains(text, "river_job_") {
				t.Errorf("%s: the table is read:\n%s", name, text)
			}
		}
	})
}

// planOf returns the lines of a plan.
func planOf(t *testing.T, db DB, query string) (plan []string) {
	t.Helper()
	rows, err := db.Read.QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, _ := rows.Columns()
	for rows.Next() {
		var line string
		into := make([]any, len(columns))
		for i := range into {
			into[i] = new(any)
		}
		into[len(into)-1] = &line
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		plan = append(plan, line)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return plan
}

package engine

import (
	"strings"
	"testing"

	"sluice/internal/engine/enginetest"
)

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
		rows, err := db.Read.QueryContext(t.Context(), explain+strings.ReplaceAll(dueQuery(db.dialect()), "$1", "'default'"))
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var plan []string
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
		if text := strings.Join(plan, "\n"); strings.Contains(text, "Seq Scan on river_job") || strings.Contains(text, "SCAN river_job") || !strings.Contains(text, "river_job_") {
			t.Errorf("the table is read:\n%s", text)
		}
	})
}

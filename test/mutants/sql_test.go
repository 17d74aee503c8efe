package mutants

import (
	"slices"
	"testing"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
)

func TestOf_OneStatement_ChangesEachConditionAndMember(t *testing.T) {
	t.Parallel()
	for sql, want := range map[string][]string{
		"UPDATE a SET b = 1": nil,
		"DELETE FROM a WHERE id = $1": {
			"DELETE FROM a WHERE (id = $1 OR TRUE)",
		},
		"UPDATE a SET b = $2 WHERE id = $1 AND state IN ('x', 'y') RETURNING c": {
			"UPDATE a SET b = $2 WHERE (id = $1 OR TRUE) AND state IN ('x', 'y') RETURNING c",
			"UPDATE a SET b = $2 WHERE id = $1 AND (state IN ('x', 'y') OR TRUE) RETURNING c",
			"UPDATE a SET b = $2 WHERE id = $1 AND state IN ('y') RETURNING c",
			"UPDATE a SET b = $2 WHERE id = $1 AND state IN ('x') RETURNING c",
		},
		"SELECT 1 FROM a WHERE x = 'AND (' AND (y = coalesce($1, 0) OR z = 1)\nORDER BY x": {
			"SELECT 1 FROM a WHERE (x = 'AND (' OR TRUE) AND (y = coalesce($1, 0) OR z = 1)\nORDER BY x",
			"SELECT 1 FROM a WHERE x = 'AND (' AND ((y = coalesce($1, 0) OR z = 1) OR TRUE)\nORDER BY x",
			"SELECT 1 FROM a WHERE x = 'AND (' AND ((y = coalesce($1, 0) AND FALSE) OR z = 1)\nORDER BY x",
			"SELECT 1 FROM a WHERE x = 'AND (' AND (y = coalesce($1, 0) OR (z = 1 AND FALSE))\nORDER BY x",
		},
		"SELECT 1 FROM a JOIN b ON b.x = a.x WHERE a.y NOT IN (SELECT y FROM c WHERE z BETWEEN 1 AND 2)": {
			"SELECT 1 FROM a JOIN b ON (b.x = a.x OR TRUE) WHERE a.y NOT IN (SELECT y FROM c WHERE z BETWEEN 1 AND 2)",
			"SELECT 1 FROM a JOIN b ON b.x = a.x WHERE (a.y NOT IN (SELECT y FROM c WHERE z BETWEEN 1 AND 2) OR TRUE)",
			"SELECT 1 FROM a JOIN b ON b.x = a.x WHERE a.y NOT IN (SELECT y FROM c WHERE (z BETWEEN 1 AND 2 OR TRUE))",
		},
		"INSERT INTO a VALUES ($1) ON CONFLICT (id) DO UPDATE SET b = CASE WHEN a.c THEN 1 ELSE 2 END WHERE a.d": {
			"INSERT INTO a VALUES ($1) ON CONFLICT (id) DO UPDATE SET b = CASE WHEN (a.c OR TRUE) THEN 1 ELSE 2 END WHERE a.d",
			"INSERT INTO a VALUES ($1) ON CONFLICT (id) DO UPDATE SET b = CASE WHEN a.c THEN 1 ELSE 2 END WHERE (a.d OR TRUE)",
		},
	} {
		const first = "-- name: Some :many\n"
		var got []string
		for _, m := range Of(first + sql) {
			if m.Query != "Some" {
				t.Errorf("the statement is called %q", m.Query)
			}
			got = append(got, m.SQL[len(first):])
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s becomes\n%q\nwant\n%q", sql, got, want)
		}
	}
}

// A mutant that the database refuses would be caught without any test of its condition.
func TestOf_EachStatementOfTheCatalog_IsStillAStatement(t *testing.T) {
	statements, _ := sources(t)
	enginetest.Each(t, func(t *testing.T, dsn string) {
		s, err := catalog.Open(t.Context(), dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		all := 0
		for _, sql := range statements {
			for _, m := range Of(sql) {
				all++
				if err := s.DB().View(t.Context(), func(st engine.Statements) error {
					p, err := st.PrepareContext(t.Context(), m.SQL)
					if err != nil {
						return err
					}
					return p.Close()
				}); err != nil {
					t.Errorf("%s, %s: %v", m.Query, m.Change, err)
				}
			}
		}
		if all < len(statements) {
			t.Errorf("%d statements have only %d conditions", len(statements), all)
		}
		t.Logf("%d mutants of %d statements", all, len(statements))
	})
}

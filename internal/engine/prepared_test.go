package engine

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// What is kept prepared answers like what is not: side by side, after a change of the table, and after a run that was broken off.
func TestAPreparedReadIsTheSameRead(t *testing.T) {
	t.Parallel()
	db, err := OpenDB(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(text string) {
		t.Helper()
		if _, err := db.SQLite.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	write(`CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT)`)
	write(`INSERT INTO thing VALUES (1, 'one'), (2, 'two'), (3, 'three')`)
	read := func(ctx context.Context, id int) (name string, err error) {
		err = db.View(ctx, func(s Statements) error {
			return s.QueryRowContext(ctx, `SELECT name FROM thing WHERE id = $1`, id).Scan(&name)
		})
		return name, err
	}
	want := []string{"one", "two", "three"}
	var all sync.WaitGroup
	for i := range 4 * readers { // more than there are connections
		all.Go(func() {
			for n := range 50 {
				if got, err := read(t.Context(), (i+n)%3+1); err != nil || got != want[(i+n)%3] {
					t.Errorf("%q %v", got, err)
				}
			}
		})
	}
	all.Wait()
	if n := len(db.kept.all); n != 1 {
		t.Errorf("%d texts are kept", n)
	}
	write(`ALTER TABLE thing ADD COLUMN more TEXT`)
	write(`UPDATE thing SET name = 'uno' WHERE id = 1`)
	if got, err := read(t.Context(), 1); err != nil || got != "uno" {
		t.Errorf("after a change of the table: %q %v", got, err)
	}
	const long = `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) SELECT count(*) FROM n`
	count := func(ctx context.Context, to int) (n int, err error) {
		err = db.View(ctx, func(s Statements) error { return s.QueryRowContext(ctx, long, to).Scan(&n) })
		return n, err
	}
	for i := range 3 * readers { // on each connection, broken off and whole
		if n, err := count(t.Context(), 10+i); err != nil || n != 10+i {
			t.Fatal(n, err)
		}
		short, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		if n, err := count(short, 1_000_000_000); err == nil {
			t.Errorf("counted to %d", n)
		}
		cancel()
	}
	for i := range mostPrepared + 20 {
		if err := db.View(t.Context(), func(s Statements) error {
			var got int
			return s.QueryRowContext(t.Context(), fmt.Sprintf("SELECT %d", i)).Scan(&got)
		}); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(db.kept.all); n != mostPrepared {
		t.Errorf("%d texts are kept", n)
	}
}

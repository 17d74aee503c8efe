package catalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Relocation says how records change when their objects lie elsewhere.
type Relocation struct {
	Buckets map[string]string            // old name → new one
	Sources map[SourceWrite]video.Source // what a source is there; those that aren't named change only their bucket
}

// SourceWrite is the write that a source is, which names it and its fact.
type SourceWrite struct {
	Bucket, Key, ETag string
	Modified          int64 // epoch ms
}

// WriteOf is the write of a source.
func WriteOf(s video.Source) SourceWrite {
	return SourceWrite{Bucket: s.Bucket, Key: s.Key, ETag: s.ETag, Modified: s.Modified.UnixMilli()}
}

// Sources lists the sources of all videos, those that are being deleted too.
func (s *Store) Sources(ctx context.Context) (all []video.Source, err error) {
	err = s.db.View(ctx, func(st engine.Statements) (err error) {
		rows, err := st.QueryContext(ctx, `SELECT source FROM video WHERE source <> '' ORDER BY id`)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, rows.Close()) }()
		for rows.Next() {
			var text string
			var source video.Source
			if err := rows.Scan(&text); err != nil {
				return err
			}
			if err := unmarshal(text, &source); err != nil {
				return err
			}
			all = append(all, source)
		}
		return rows.Err()
	})
	return all, err
}

// Empty reports whether nothing was ever recorded here.
func (s *Store) Empty(ctx context.Context) (empty bool, err error) {
	err = s.db.View(ctx, func(st engine.Statements) error {
		return st.QueryRowContext(ctx, `SELECT NOT EXISTS (SELECT 1 FROM video) AND NOT EXISTS (SELECT 1 FROM event) AND NOT EXISTS (SELECT 1 FROM river_job) AND NOT EXISTS (SELECT 1 FROM account) AND NOT EXISTS (SELECT 1 FROM workspace)`).Scan(&empty)
	})
	return empty, err
}

// table is what is copied from row to row.
type table struct {
	name    string
	columns []string
	counter string // the column that counts itself, empty where there is none
	last    int64  // what it has counted to, with rows that are gone
}

// tables lists the tables of a SQLite catalog, save those that migrations, River and the beats keep for themselves.
func tables(ctx context.Context, st engine.Statements) (all []table, err error) {
	names, err := texts(ctx, st, `SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'
		AND name NOT LIKE 'river~_%' ESCAPE '~' AND name <> 'goose_db_version' ORDER BY name`)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if slices.Contains(engine.Momentary(), name) {
			continue
		}
		t := table{name: name}
		if t.columns, err = texts(ctx, st, `SELECT name FROM pragma_table_info($1) ORDER BY cid`, name); err != nil {
			return nil, err
		}
		counters, err := texts(ctx, st, `SELECT name FROM pragma_table_info($1) WHERE pk = 1 AND EXISTS (SELECT 1 FROM sqlite_sequence WHERE sqlite_sequence.name = $1)`, name)
		if err != nil {
			return nil, err
		}
		if len(counters) == 1 {
			t.counter = counters[0]
			if err := st.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = $1`, name).Scan(&t.last); err != nil {
				return nil, err
			}
		}
		all = append(all, t)
	}
	return all, nil
}

func texts(ctx context.Context, st engine.Statements, query string, args ...any) (all []string, err error) {
	rows, err := st.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		all = append(all, text)
	}
	return all, rows.Err()
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func (t table) list() string {
	quoted := make([]string, len(t.columns))
	for i, c := range t.columns {
		quoted[i] = quote(c)
	}
	return strings.Join(quoted, ", ")
}

// each reads the rows of a table, as they are where their objects lie elsewhere.
func (t table) each(ctx context.Context, st engine.Statements, r Relocation, f func(row []any) error) (err error) {
	rows, err := st.QueryContext(ctx, `SELECT `+t.list()+` FROM `+quote(t.name))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		row := make([]any, len(t.columns))
		into := make([]any, len(row))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return err
		}
		if err := r.relocate(t, row); err != nil {
			return fmt.Errorf("a row of %s: %w", t.name, err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// relocate changes a row to what it says of objects that lie elsewhere.
func (r Relocation) relocate(t table, row []any) error {
	at := func(column string) *any {
		if i := slices.Index(t.columns, column); i >= 0 {
			return &row[i]
		}
		return new(any)
	}
	text := func(column string) string { s, _ := (*at(column)).(string); return s }
	switch t.name {
	case "upload":
		*at("bucket") = r.bucket(text("bucket"))
	case "fact":
		modified, _ := (*at("modified")).(int64)
		if now, ok := r.Sources[SourceWrite{text("bucket"), text("key"), text("etag"), modified}]; ok {
			*at("etag"), *at("modified") = now.ETag, now.Modified.UnixMilli()
		}
		*at("bucket") = r.bucket(text("bucket"))
	case "video":
		if text("source") == "" {
			return nil
		}
		var source video.Source
		if err := json.Unmarshal([]byte(text("source")), &source); err != nil {
			return err
		}
		now, ok := r.Sources[WriteOf(source)]
		if !ok {
			now = source
			now.Bucket = r.bucket(source.Bucket)
		}
		body, err := marshal(now)
		*at("source") = body
		return err
	}
	return nil
}

func (r Relocation) bucket(old string) string {
	if now, ok := r.Buckets[old]; ok {
		return now
	}
	return old
}

// CopyTo puts all records and unfinished jobs of a SQLite catalog, at rest, into to, an empty PostgreSQL one, in one transaction: all or nothing. Ids, events,
// generations and attempts stay as they are.
func (s *Store) CopyTo(ctx context.Context, to *Store, r Relocation) error {
	const op = "catalog.copy"
	if s.db.SQLite == nil || to.db.Pool == nil {
		return fault.New(fault.Invalid, op, "bad_database_url", "Records are moved from a SQLite file to PostgreSQL; write postgres://user:password@host:port/name.", nil)
	}
	return s.db.View(ctx, func(from engine.Statements) error {
		all, err := tables(ctx, from)
		if err != nil {
			return err
		}
		return to.db.InTx(ctx, func(raw engine.Tx) error {
			for _, t := range all {
				if err := t.copy(ctx, from, raw, r); err != nil {
					return fmt.Errorf("copy %s: %w", t.name, err)
				}
			}
			return engine.CopyJobs(ctx, from, raw)
		})
	})
}

// most is how many values one INSERT may carry: PostgreSQL counts its parameters in 16 bits.
const most = 60_000

func (t table) copy(ctx context.Context, from engine.Statements, to engine.Tx, r Relocation) error {
	var values []any
	flush := func() error {
		if len(values) == 0 {
			return nil
		}
		rows := make([]string, 0, len(values)/len(t.columns))
		for n := 1; n <= len(values); n += len(t.columns) {
			marks := make([]string, len(t.columns))
			for i := range marks {
				marks[i] = fmt.Sprintf("$%d", n+i)
			}
			rows = append(rows, "("+strings.Join(marks, ",")+")")
		}
		_, err := to.ExecContext(ctx, `INSERT INTO `+quote(t.name)+` (`+t.list()+`) OVERRIDING SYSTEM VALUE VALUES `+strings.Join(rows, ","), values...)
		values = values[:0]
		return err
	}
	perInsert := min(most, 500*len(t.columns))
	err := t.each(ctx, from, r, func(row []any) error {
		values = append(values, row...)
		if len(values)+len(row) > perInsert {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err == nil && t.last > 0 {
		_, err = to.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence($1, $2), $3)`, quote(t.name), t.counter, t.last)
	}
	return err
}

// RowCounts is a table, or the jobs, on both sides of a move.
type RowCounts struct {
	Name     string
	From, To engine.Digest
}

// Compare counts and hashes everything that CopyTo copies, on both sides.
func (s *Store) Compare(ctx context.Context, to *Store, r Relocation) (found []RowCounts, err error) {
	var all []table
	err = s.db.View(ctx, func(st engine.Statements) (err error) {
		if all, err = tables(ctx, st); err != nil {
			return err
		}
		for _, t := range all {
			c := RowCounts{Name: t.name}
			if c.From, err = t.digest(ctx, st, r); err != nil {
				return err
			}
			found = append(found, c)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	err = to.db.View(ctx, func(st engine.Statements) (err error) {
		for i, t := range all {
			if found[i].To, err = t.digest(ctx, st, Relocation{}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	jobs := RowCounts{Name: "unfinished jobs"}
	if jobs.From, err = s.db.DigestJobs(ctx); err == nil {
		jobs.To, err = to.db.DigestJobs(ctx)
	}
	return append(found, jobs), err
}

func (t table) digest(ctx context.Context, st engine.Statements, r Relocation) (d engine.Digest, err error) {
	err = t.each(ctx, st, r, func(row []any) error { d.Add(row...); return nil })
	return d, err
}

// Busy returns how many processes serve this database: those that were heard within the last moments, by its own clock.
func (s *Store) Busy(ctx context.Context) (n int, err error) { return s.db.Alive(ctx, 10*time.Second) }

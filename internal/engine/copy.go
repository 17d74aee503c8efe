package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Digest is a count of rows and a hash of what they say, whatever their order.
type Digest struct {
	Rows int64
	Hash [sha256.Size]byte
}

// Add takes one row in, as its values.
func (d *Digest) Add(values ...any) {
	h := sha256.New()
	for _, v := range values {
		if b, ok := v.([]byte); ok {
			v = string(b)
		}
		text := fmt.Sprintf("%T %v", v, v)
		_, _ = fmt.Fprintf(h, "%d %s", len(text), text) // a hash takes everything
	}
	for i, b := range h.Sum(nil) {
		d.Hash[i] ^= b
	}
	d.Rows++
}

// Momentary are the tables that tell what processes do now. They mean nothing elsewhere.
func Momentary() []string {
	return []string{"worker", "duty", "job_slot", "job_hold", "job_process", "job_lost"}
}

// portable is a job as both databases can say it: JSON as text, times as text in UTC, a binary key as bytes.
type portable struct {
	id, attempt, maxAttempts, priority                           int64
	kind, queue, state, args, metadata, tags, created, scheduled string
	attempted, attemptedBy, errors, finalized                    sql.NullString
	uniqueKey                                                    []byte
	uniqueStates                                                 sql.NullInt64
}

// unfinished are the jobs that have something left to do, and the dead, which people look at. What ran when its process ended is available again, unless it
// was canceled.
const unfinished = ` FROM river_job WHERE state NOT IN ('completed', 'cancelled')
	AND NOT (state = 'running' AND metadata ->> 'cancel_attempted_at' IS NOT NULL) ORDER BY id`

const liteJobs = `SELECT id, attempt, max_attempts, priority, kind, queue, CASE state WHEN 'running' THEN 'available' ELSE state END,
	json(args), json(metadata), json(tags), CAST(created_at AS TEXT), CAST(scheduled_at AS TEXT), CAST(attempted_at AS TEXT),
	CASE WHEN attempted_by IS NULL THEN NULL ELSE json(attempted_by) END, CASE WHEN errors IS NULL THEN NULL ELSE json(errors) END,
	CAST(finalized_at AS TEXT), unique_key, unique_states` + unfinished

const postgresJobs = `SELECT id, attempt, max_attempts, priority, kind, queue, CASE state WHEN 'running' THEN 'available' ELSE CAST(state AS TEXT) END,
	CAST(args AS TEXT), CAST(metadata AS TEXT), CAST(to_jsonb(tags) AS TEXT), CAST(created_at AS TEXT), CAST(scheduled_at AS TEXT), CAST(attempted_at AS TEXT),
	CAST(to_jsonb(attempted_by) AS TEXT), CAST(to_jsonb(errors) AS TEXT), CAST(finalized_at AS TEXT), unique_key, CAST(unique_states AS INTEGER)` + unfinished

// each reads the unfinished jobs.
func eachJob(ctx context.Context, st Statements, query string, f func(portable) error) (err error) {
	rows, err := st.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var j portable
		if err := rows.Scan(&j.id, &j.attempt, &j.maxAttempts, &j.priority, &j.kind, &j.queue, &j.state, &j.args, &j.metadata, &j.tags, &j.created, &j.scheduled,
			&j.attempted, &j.attemptedBy, &j.errors, &j.finalized, &j.uniqueKey, &j.uniqueStates); err != nil {
			return err
		}
		if err := f(j); err != nil {
			return err
		}
	}
	return rows.Err()
}

// DigestJobs sums the unfinished jobs up: the same on both databases for the same jobs.
func (db DB) DigestJobs(ctx context.Context) (d Digest, err error) {
	query := liteJobs
	if db.Pool != nil {
		query = postgresJobs
	}
	err = db.View(ctx, func(st Statements) error {
		d = Digest{}
		return eachJob(ctx, st, query, func(j portable) error {
			row := []any{j.id, j.attempt, j.maxAttempts, j.priority, j.kind, j.queue, j.state}
			for _, text := range []string{j.args, j.metadata, j.tags, j.attemptedBy.String, j.errors.String} {
				same, err := canonical(text)
				if err != nil {
					return fmt.Errorf("job %d: %w", j.id, err)
				}
				row = append(row, same)
			}
			d.Add(row...)
			return nil
		})
	})
	return d, err
}

// canonical writes JSON as every database's JSON reads: keys in order, no spaces.
func canonical(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	var v any
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return "", err
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// CopyJobs puts the unfinished jobs of a SQLite database, at rest, into to, a transaction on PostgreSQL whose tables of jobs are empty. Ids stay, and none is given
// twice later on. Which queues are paused is in a table of ours (job_queue); those of River each process makes for itself.
func CopyJobs(ctx context.Context, from Statements, to Tx) error {
	const insert = `INSERT INTO river_job (id, attempt, max_attempts, priority, kind, queue, state, args, metadata, tags, created_at, scheduled_at, attempted_at,
			attempted_by, errors, finalized_at, unique_key, unique_states)
		SELECT CAST($1 AS BIGINT), CAST($2 AS SMALLINT), CAST($3 AS SMALLINT), CAST($4 AS SMALLINT), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST(CAST($7 AS TEXT) AS river_job_state),
			CAST($8 AS JSONB), CAST($9 AS JSONB), ARRAY(SELECT jsonb_array_elements_text(CAST($10 AS JSONB))),
			CAST($11 || '+00' AS TIMESTAMPTZ), CAST($12 || '+00' AS TIMESTAMPTZ), CAST($13 || '+00' AS TIMESTAMPTZ),
			CASE WHEN CAST($14 AS TEXT) IS NULL THEN NULL ELSE ARRAY(SELECT jsonb_array_elements_text(CAST($14 AS JSONB))) END,
			CASE WHEN CAST($15 AS TEXT) IS NULL THEN NULL ELSE ARRAY(SELECT jsonb_array_elements(CAST($15 AS JSONB))) END,
			CAST($16 || '+00' AS TIMESTAMPTZ), CAST($17 AS BYTEA), CAST(CAST($18 AS INTEGER) AS BIT(8))`
	err := eachJob(ctx, from, liteJobs, func(j portable) error {
		_, err := to.ExecContext(ctx, insert, j.id, j.attempt, j.maxAttempts, j.priority, j.kind, j.queue, j.state, j.args, j.metadata, j.tags, j.created, j.scheduled,
			j.attempted, j.attemptedBy, j.errors, j.finalized, j.uniqueKey, j.uniqueStates)
		return err
	})
	if err != nil {
		return fmt.Errorf("copy jobs: %w", err)
	}
	var newest int64
	if err := from.QueryRowContext(ctx, `SELECT COALESCE(MAX(id), 0) FROM river_job`).Scan(&newest); err != nil {
		return fmt.Errorf("copy jobs: %w", err)
	}
	if _, err := to.ExecContext(ctx, `SELECT setval(pg_get_serial_sequence('river_job', 'id'), GREATEST(CAST($1 AS BIGINT), 1), $1 > 0)`, newest); err != nil {
		return fmt.Errorf("copy jobs: %w", err)
	}
	return nil
}

// Alive counts the processes that were heard within that time.
func (db DB) Alive(ctx context.Context, within time.Duration) (n int, err error) {
	d := lite
	if db.Pool != nil {
		d = postgres
	}
	err = db.View(ctx, func(st Statements) error {
		return st.QueryRowContext(ctx, `SELECT count(*) FROM worker WHERE seen > `+d.millis+` - $1`, within.Milliseconds()).Scan(&n)
	})
	return n, err
}

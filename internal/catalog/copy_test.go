package catalog

import (
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/event"
	"sluice/internal/video"
)

// full is a catalog with a video in every state.
func full(t *testing.T) (w *world, ids map[video.Status]video.ID) {
	t.Helper()
	w = &world{Store: openAt(t, filepath.Join(t.TempDir(), "sluice.db")), t: t}
	ids = map[video.Status]video.ID{
		video.Ready: w.received("ready.mp4"), video.Failed: w.received("failed.mp4"), video.Processing: w.received("processing.mp4"), video.Deleting: w.received("deleting.mp4"),
	}
	w.published(ids[video.Ready], 1)
	ref := step(ids[video.Failed], 1, video.Ingest, 0)
	w.begin(ref)
	w.must(w.failed(ref, true))
	w.planned(ids[video.Processing], 1)
	w.begin(parts(ids[video.Processing], 1)[0])
	w.must(w.Delete(t.Context(), ids[video.Deleting], job("delete", ids[video.Deleting])))
	waiting := video.Video{ID: video.NewID(time.Now()), Name: "waiting 'ü' \\ \"x\".mp4", Prefix: "streams/waiting"}
	w.must(w.Grant(t.Context(), waiting, video.Upload{Bucket: "uploads", Key: "waiting", Expires: time.Now()}, nil))
	ids[video.Waiting] = waiting.ID
	return w, ids
}

func TestRecordsAndJobsAreCopiedToPostgreSQLAsTheyAre(t *testing.T) {
	t.Parallel()
	w, ids := full(t)
	to := &world{Store: openAt(t, enginetest.Postgres(t)), t: t}
	for _, s := range []*world{w, to} {
		empty, err := s.Empty(t.Context())
		w.must(err)
		if empty != (s == to) {
			t.Errorf("empty: %v", empty)
		}
	}
	moved := source("ready.mp4", "e2")
	moved.Bucket, moved.Modified, moved.Pin = "my-uploads", time.UnixMilli(1_800_000_000_000).UTC(), "sources/another"
	r := Relocation{Buckets: map[string]string{"uploads": "my-uploads"}, Sources: map[SourceWrite]video.Source{WriteOf(source("ready.mp4", "e1")): moved}}
	w.must(w.CopyTo(t.Context(), to.Store, r))

	compare := func(same bool) {
		t.Helper()
		found, err := w.Compare(t.Context(), to.Store, r)
		w.must(err)
		rows, equal := int64(0), true
		for _, c := range found {
			equal = equal && c.From == c.To
			rows += c.To.Rows
			if same && c.From != c.To {
				t.Errorf("%s: %d rows were, %d are, or they say something else", c.Name, c.From.Rows, c.To.Rows)
			}
		}
		if equal != same || len(found) < 8 || rows < 30 {
			t.Errorf("%d tables with %d rows, the same: %v", len(found), rows, equal)
		}
	}
	compare(true)

	for status, id := range ids {
		if status == video.Deleting {
			continue
		}
		was, is := w.video(id), to.video(id)
		if is.Status != was.Status || is.Name != was.Name || is.Prefix != was.Prefix || is.Published != was.Published || is.Progress != was.Progress {
			t.Errorf("%s is %+v, was %+v", status, is, was)
		}
		if old, now := w.states(id), to.states(id); len(old) != len(now) || old["encode0"] != now["encode0"] {
			t.Errorf("%s has the steps %v, had %v", status, now, old)
		}
		if is.Source != nil && is.Source.Bucket != "my-uploads" {
			t.Errorf("%s: %+v", status, is.Source)
		}
	}
	if src := to.video(ids[video.Ready]).Source; *src != moved {
		t.Errorf("the source is %+v, want %+v", src, moved)
	}
	if _, fresh, err := to.Received(t.Context(), video.Video{ID: video.NewID(time.Now()), Name: "again"}, moved, nil); err != nil || fresh {
		t.Errorf("the moved write is taken for a new one: %v", err)
	}
	compare(true)

	// The work goes on: counters give no number twice, and jobs of the old installation run here.
	if n := to.jobs("ingest", "available"); n != w.jobs("ingest", "available") {
		t.Errorf("%d ingest jobs", n)
	}
	events, err := to.Events(t.Context(), ids[video.Ready], 0, 0)
	w.must(err)
	last := events[len(events)-1].ID
	id := to.received("new.mp4")
	to.events(id, event.SourceReceived)
	news, err := to.Events(t.Context(), id, 0, 0)
	w.must(err)
	if news[0].ID <= last {
		t.Errorf("event %d comes after %d", news[0].ID, last)
	}
	for _, ref := range parts(ids[video.Processing], 1) {
		to.begin(ref)
		to.must(to.finish(ref))
	}
	compare(false)
}

func TestRunningAndDeadJobsAreCopiedForTheNextProcessAndFinishedOnesAreNot(t *testing.T) {
	t.Parallel()
	w := &world{Store: openAt(t, filepath.Join(t.TempDir(), "sluice.db")), t: t}
	to := &world{Store: openAt(t, enginetest.Postgres(t)), t: t}
	for i := range 6 {
		w.must(w.db.InTx(t.Context(), func(tx engine.Tx) error {
			return w.Store.jobs.Insert(t.Context(), tx, engine.Job{Kind: "k", Group: "g", Queue: "q", Args: []byte(`{"b": 1.50, "a": "ü\u0007 \" \\"}`), Priority: 1 + i%4, Attempts: 3})
		}))
	}
	for id, set := range map[int]string{
		2: `state = 'running', attempt = 2, attempted_at = '2026-05-01 01:02:03.456', attempted_by = jsonb('["first", "sec,ond"]'), errors = jsonb('[{"error": "x", "attempt": 1}]')`,
		3: `state = 'completed', finalized_at = '2026-05-01 01:02:03.456'`,
		4: `state = 'discarded', attempt = 3, finalized_at = '2026-05-01 01:02:03.456', errors = jsonb('[{"a": 1}, {"a": 2}, {"a": 3}]')`,
		5: `state = 'running', attempt = 1, metadata = jsonb_set(metadata, '$.cancel_attempted_at', 'now')`,
		6: `state = 'scheduled', scheduled_at = '2036-05-01 01:02:03.456'`,
	} {
		_, err := w.db.SQLite.ExecContext(t.Context(), `UPDATE river_job SET `+set+` WHERE id = $1`, id)
		w.must(err)
	}
	for _, statement := range []string{ // what people set goes along, what processes are doing does not
		`INSERT INTO job_limit (queue, machine, workers) VALUES ('q', '', 3)`, `INSERT INTO job_queue (name, paused, served) VALUES ('q', 1, 7)`,
		`INSERT INTO worker (id, seen) VALUES ('gone', 1)`, `INSERT INTO job_slot (worker, queue, workers) VALUES ('gone', 'q', 2)`,
	} {
		_, err := w.db.SQLite.ExecContext(t.Context(), statement)
		w.must(err)
	}
	w.must(w.CopyTo(t.Context(), to.Store, Relocation{}))
	for table, want := range map[string]int{"job_limit": 1, "job_queue": 1, "worker": 0, "job_slot": 0} {
		var n int
		w.must(to.db.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table).Scan(&n))
		if n != want {
			t.Errorf("%s has %d rows, want %d", table, n, want)
		}
	}
	rows, err := to.db.Read.QueryContext(t.Context(), `SELECT concat_ws(' ', id, state, attempt, attempted_by, attempted_at AT TIME ZONE 'UTC', array_length(errors, 1), errors[3], finalized_at AT TIME ZONE 'UTC',
		CASE state WHEN 'scheduled' THEN scheduled_at AT TIME ZONE 'UTC' END, args ->> 'a' = E'ü\u0007 " \\', args ->> 'b', metadata ->> 'group', priority, max_attempts) FROM river_job ORDER BY id`)
	w.must(err)
	defer rows.Close()
	var got []string
	for rows.Next() {
		var line string
		w.must(rows.Scan(&line))
		got = append(got, line)
	}
	w.must(rows.Err())
	want := []string{
		`1 available 0 t 1.50 g 1 3`,
		`2 available 2 {first,"sec,ond"} 2026-05-01 01:02:03.456 1 t 1.50 g 2 3`,
		`4 discarded 3 3 {"a": 3} 2026-05-01 01:02:03.456 t 1.50 g 4 3`,
		`6 scheduled 0 2036-05-01 01:02:03.456 t 1.50 g 2 3`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i] != want[i] {
			t.Fatalf("got\n%q\nwant\n%q", got, want)
		}
	}
	found, err := w.Compare(t.Context(), to.Store, Relocation{})
	w.must(err)
	if jobs := found[len(found)-1]; jobs.From != jobs.To || jobs.From.Rows != 4 {
		t.Errorf("%+v", jobs)
	}
	w.must(to.db.InTx(t.Context(), func(tx engine.Tx) error {
		return to.Store.jobs.Insert(t.Context(), tx, engine.Job{Kind: "k", Queue: "q"})
	}))
	var newest int64
	w.must(to.db.Read.QueryRowContext(t.Context(), `SELECT max(id) FROM river_job`).Scan(&newest))
	if newest != 7 {
		t.Errorf("the next job is number %d, want 7", newest)
	}
}

func TestACopyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	w, _ := full(t)
	to := &world{Store: openAt(t, enginetest.Postgres(t)), t: t}
	// The tables come in the order of their names: video is the last.
	if _, err := w.db.SQLite.ExecContext(t.Context(), `UPDATE video SET source = 'no JSON' WHERE source <> ''`); err != nil {
		t.Fatal(err)
	}
	if err := w.CopyTo(t.Context(), to.Store, Relocation{}); err == nil {
		t.Fatal("a row that can't be read was copied")
	}
	if empty, err := to.Empty(t.Context()); err != nil || !empty {
		t.Errorf("half a copy is there: %v", err)
	}
	if err := to.CopyTo(t.Context(), w.Store, Relocation{}); err == nil {
		t.Error("a copy back to SQLite was begun")
	}
}

package catalog

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func TestVideosComeInPagesNewestFirst(t *testing.T) {
	each(t, func(w *world) {
		var ids []video.ID
		for i := range 7 {
			ids = append([]video.ID{w.received(fmt.Sprint(i))}, ids...)
		}
		w.begin(step(ids[1], 1, video.Ingest, 0))
		w.begin(step(ids[4], 1, video.Ingest, 0))
		w.must(w.Delete(t.Context(), ids[5], nil))
		list := func(q video.Query) (got []video.ID) {
			w.t.Helper()
			all, err := w.Videos(t.Context(), q)
			w.must(err)
			for _, v := range all {
				got = append(got, v.ID)
			}
			return got
		}
		for _, c := range []struct {
			q    video.Query
			want []video.ID
		}{
			{video.Query{Within: video.Everywhere()}, []video.ID{ids[0], ids[1], ids[2], ids[3], ids[4], ids[6]}},
			{video.Query{Within: video.Everywhere(), Limit: 2}, ids[:2]},
			{video.Query{Within: video.Everywhere(), Limit: 2, Before: ids[1]}, ids[2:4]},
			{video.Query{Within: video.Everywhere(), Before: ids[6]}, nil},
			{video.Query{Within: video.Everywhere(), Status: video.Processing}, []video.ID{ids[1], ids[4]}},
			{video.Query{Within: video.Everywhere(), Status: video.Processing, Limit: 1, Before: ids[1]}, ids[4:5]},
			{video.Query{Within: video.Everywhere(), Status: video.Deleting}, nil},
			{video.Query{Within: video.Everywhere(), Status: video.Failed}, nil},
		} {
			if got := list(c.q); !reflect.DeepEqual(got, c.want) {
				w.t.Errorf("%+v: got %v, want %v", c.q, got, c.want)
			}
		}
	})
}

// A page must cost its length: the plan of its query reads an index and never the whole table.
func TestAPageOfVideosReadsAnIndex(t *testing.T) {
	each(t, func(w *world) {
		explain, never, arguments := "EXPLAIN QUERY PLAN ", "SCAN v", []any{"zz", 10}
		if w.db.Pool != nil {
			explain, never = "EXPLAIN ", "Seq Scan on video"
		}
		for _, where := range []string{`v.id < $1 AND v.status <> 'deleting'`, `v.status = 'ready' AND v.id < $1`} {
			got := w.explain(explain+`SELECT v.*, (SELECT sum(s.weight * s.progress) FROM step s WHERE s.video = v.id AND s.generation = v.newest)
				FROM video v WHERE `+where+` ORDER BY v.id DESC LIMIT $2`, arguments...)
			if strings.Contains(got, never) && !strings.Contains(got, "USING INDEX") || strings.Contains(got, "TEMP B-TREE") || strings.Contains(got, "Sort") {
				w.t.Errorf("%s:\n%s", where, got)
			}
		}
	})
}

// explain returns a query's plan, as for a table that has grown.
func (w *world) explain(query string, arguments ...any) string {
	w.t.Helper()
	var text strings.Builder
	w.must(w.db.View(w.t.Context(), func(st engine.Statements) error {
		if w.db.Pool != nil {
			if _, err := st.ExecContext(w.t.Context(), `SET LOCAL enable_seqscan = off`); err != nil {
				return err
			}
		}
		rows, err := st.QueryContext(w.t.Context(), query, arguments...)
		if err != nil {
			return err
		}
		defer rows.Close()
		columns, err := rows.Columns()
		if err != nil {
			return err
		}
		for rows.Next() {
			values := make([]any, len(columns))
			for i := range values {
				values[i] = new(any)
			}
			if err := rows.Scan(values...); err != nil {
				return err
			}
			fmt.Fprintln(&text, *values[len(values)-1].(*any))
		}
		return rows.Err()
	}))
	return text.String()
}

func TestAnEditChangesWhatItNames(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		title, tags, metadata := "T", []string{"a", "b"}, map[string]string{"k": "v"}
		if _, err := w.Edit(t.Context(), id, video.Edit{Title: &title, Metadata: &metadata}); err != nil {
			w.t.Fatal(err)
		}
		before := w.video(id).Updated
		v, err := w.Edit(t.Context(), id, video.Edit{Tags: &tags})
		w.must(err)
		if v.Title != "T" || v.Description != "" || !reflect.DeepEqual(v.Tags, tags) || !reflect.DeepEqual(v.Metadata, metadata) || !v.Updated.After(before) {
			w.t.Errorf("got %+v", v)
		}
		_, err = w.Edit(t.Context(), "nobody", video.Edit{})
		w.refused(err, fault.NotFound, "no_video")
		w.events(id, event.SourceReceived, event.VideoUpdated, event.VideoUpdated)
	})
}

func TestADeletedVideoIsGoneForReadersAndItsFileMayComeAgain(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.published(id, 1)
		_, err := w.Removable(t.Context(), id)
		w.stale(err) // not deleted
		w.stale(w.Remove(t.Context(), id, engine.Handle{}))
		_, err = w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.must(err)
		w.begin(step(id, 2, video.Ingest, 0))
		w.must(w.Delete(t.Context(), id, []engine.Job{{Kind: "delete"}}))
		_, err = w.Video(t.Context(), id)
		w.refused(err, fault.NotFound, "no_video")
		_, _, err = w.Detail(t.Context(), id)
		w.refused(err, fault.NotFound, "no_video")
		w.refused(w.Delete(t.Context(), id, nil), fault.NotFound, "no_video")
		if w.served(id, 1) || w.jobs("ingest", "available") != 0 || w.jobs("delete", "available") != 1 {
			w.t.Error("a deleted video is served or worked on, or its removal was not inserted")
		}
		w.stale(w.Plan(t.Context(), step(id, 2, video.Ingest, 0), video.Facts{}, plan, nil, engine.Handle{}))
		_, err = w.Retirable(t.Context(), id, 1, engine.Handle{})
		w.stale(err)
		if known, fresh, err := w.Received(t.Context(), video.Video{ID: video.NewID(w.now())}, source("a.mp4", "e1"), none); err != nil || fresh || known != id {
			w.t.Errorf("the old event again: %s, %v, %v", known, fresh, err)
		}
		v, err := w.Removable(t.Context(), id)
		if err != nil || v.Source == nil || v.Newest != 2 {
			w.t.Errorf("removable: %+v, %v", v, err)
		}
		w.must(w.Remove(t.Context(), id, engine.Handle{}))
		w.stale(w.Remove(t.Context(), id, engine.Handle{}))
		for _, table := range []string{"video WHERE id", "upload WHERE video", "fact WHERE video", "generation WHERE video", "step WHERE video", "attempt WHERE video", "rendition WHERE video"} {
			var n int
			w.must(w.db.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM `+table+` = $1`, string(id)).Scan(&n))
			if n != 0 {
				w.t.Errorf("%d rows left: %s", n, table)
			}
		}
		events, err := w.Events(t.Context(), id, 0, 0)
		if err != nil || events[len(events)-1].Type != event.VideoDeleted {
			w.t.Errorf("events did not outlive the video: %v", err)
		}
		if _, fresh, err := w.Received(t.Context(), video.Video{ID: video.NewID(w.now())}, source("a.mp4", "e1"), none); err != nil || !fresh {
			w.t.Errorf("the same file again: fresh %v, %v", fresh, err)
		}
	})
}

func TestAVideoWithoutASourceHasNothingToEncode(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "n"}, video.Upload{Video: id, Bucket: "uploads", Key: "k"}, nil))
		_, err := w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.refused(err, fault.Conflict, "no_source")
		_, err = w.Encode(t.Context(), "nobody", video.Settings{}, again(id))
		w.refused(err, fault.NotFound, "no_video")
		w.must(w.Delete(t.Context(), id, nil))
		w.must(w.Remove(t.Context(), id, engine.Handle{}))
	})
}

func TestEventsComeInPagesOldestFirst(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.published(id, 1)
		all, err := w.Events(t.Context(), id, 0, 0)
		w.must(err)
		got, err := w.Events(t.Context(), id, all[1].ID, 3)
		w.must(err)
		if !reflect.DeepEqual(got, all[2:5]) {
			w.t.Errorf("got %+v", got)
		}
	})
}

func TestWhatStepsTookLeavesOutFailuresAndOutages(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		if v := w.video(id); v.Spent != 0 || v.Running != 0 {
			w.t.Errorf("spent %s in %d steps before any", v.Spent, v.Running)
		}
		ingest := step(id, 1, video.Ingest, 0)
		w.begin(ingest)
		w.clock.Add(3_600_000) // an hour in an attempt that fails
		w.must(w.failed(ingest, false))
		w.clock.Add(3_600_000) // an hour in which nothing runs
		if v := w.video(id); v.Spent != 0 || v.Running != 0 {
			w.t.Errorf("spent %s in %d steps after a failure", v.Spent, v.Running)
		}
		w.begin(ingest)
		w.clock.Add(2_000)
		list, err := w.Videos(t.Context(), video.Query{Within: video.Everywhere()})
		w.must(err)
		if len(list) != 1 || list[0].Spent.Round(time.Second) != 2*time.Second || list[0].Running != 1 {
			w.t.Errorf("%+v", list)
		}
	})
}

// A write of the same bytes is told from the one before by its second alone: so that is over before a deletion counts.
// How old a fact is, the database's clock
// says, and not that of the machine, which here stands in another year.
func TestDelete_SourceWrittenThisSecond_WaitsUntilTheSecondIsOver(t *testing.T) {
	each(t, func(w *world) {
		for name, c := range map[string]struct{ ago, apart, least time.Duration }{
			"just now":                    {0, apart, apart / 2},
			"in the future, by the clock": {-time.Hour, apart, apart},
			"long ago":                    {2 * time.Hour, time.Hour, 0}, // where it waited, the test would
		} {
			w.apart = c.apart
			id := w.received(name)
			w.must(w.db.InTx(t.Context(), func(raw engine.Tx) error {
				_, err := raw.ExecContext(t.Context(), `UPDATE fact SET recorded = recorded - $1 WHERE video = $2`, c.ago.Milliseconds(), string(id))
				return err
			}))
			begun := time.Now()
			w.must(w.Delete(t.Context(), id, nil))
			if took := time.Since(begun); took < c.least {
				w.t.Errorf("a source recorded %s was deleted after %s", name, took)
			}
			w.events(id, event.SourceReceived, event.VideoDeleted)
		}
	})
}

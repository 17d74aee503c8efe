package catalog

import (
	"fmt"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/video"
)

// fails begins a step and ends its attempt with a code.
func (w *world) fails(ref video.StepRef, code string, final bool) {
	w.t.Helper()
	w.begin(ref)
	w.must(w.Fail(w.t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: code, Message: "About " + code + "."}, Detail: "tail of " + code, Final: final},
		job("retire", ref.Video), engine.Handle{}))
}

// codes lists what a query finds as "a.mp4 encode 1 code".
func (w *world) codes(q video.ErrorQuery) (lines []string) {
	w.t.Helper()
	found, err := w.Errors(w.t.Context(), q)
	w.must(err)
	for _, e := range found {
		lines = append(lines, fmt.Sprintf("%s %s %d %s", e.Source, e.Name, e.N, e.Code))
	}
	return lines
}

func same(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("%s\n got %q\nwant %q", what, got, want)
	}
}

func TestEveryFailedAttemptIsInTheTableOfErrors(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.received("a.mp4"), w.received("b.mp4")
		w.planned(a, 1)
		w.fails(step(a, 1, video.Encode, 1), "disk_full", false)
		since := w.now()
		w.fails(step(b, 1, video.Ingest, 0), "not_media", true)
		w.fails(step(a, 1, video.Encode, 1), "tool_failed", true)
		w.stale(w.failed(step(a, 1, video.Encode, 1), true)) // a late twin counts nothing

		all := []string{"a.mp4 encode 1 tool_failed", "b.mp4 ingest 0 not_media", "a.mp4 encode 1 disk_full"}
		same(w.t, "all", w.codes(video.ErrorQuery{Within: video.Everywhere()}), all...)
		same(w.t, "a's", w.codes(video.ErrorQuery{Within: video.Everywhere(), Video: a}), all[0], all[2])
		same(w.t, "ingest's", w.codes(video.ErrorQuery{Within: video.Everywhere(), Step: video.Ingest}), all[1])
		same(w.t, "a's by code", w.codes(video.ErrorQuery{Within: video.Everywhere(), Video: a, Code: "disk_full"}), all[2])
		same(w.t, "by code", w.codes(video.ErrorQuery{Within: video.Everywhere(), Code: "disk_full"}), all[2])
		same(w.t, "newest", w.codes(video.ErrorQuery{Within: video.Everywhere(), Limit: 1}), all[0])
		same(w.t, "recent", w.codes(video.ErrorQuery{Within: video.Everywhere(), Since: since}), all[0], all[1])
		found, err := w.Errors(w.t.Context(), video.ErrorQuery{Within: video.Everywhere(), Limit: 1})
		w.must(err)
		same(w.t, "below the newest", w.codes(video.ErrorQuery{Within: video.Everywhere(), Before: found[0].ID}), all[1], all[2])
		same(w.t, "a's below the newest", w.codes(video.ErrorQuery{Within: video.Everywhere(), Video: a, Before: found[0].ID}), all[2])

		e := found[0]
		if e.Generation != 1 || e.Attempt != 2 || !e.Final || e.Message != "About tool_failed." || e.Worker != "worker-1" || e.Detail != "tail of tool_failed" || e.Time.Before(since) {
			w.t.Errorf("%+v", e)
		}
	})
}

func TestErrorsOutliveTheirVideoWithoutWhatTheToolPrinted(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.fails(step(id, 1, video.Ingest, 0), "not_media", true)
		w.must(w.Delete(w.t.Context(), id, nil))
		w.must(w.Remove(w.t.Context(), id, engine.Handle{}))
		found, err := w.Errors(w.t.Context(), video.ErrorQuery{Within: video.Everywhere(), Video: id})
		w.must(err)
		if len(found) != 1 || found[0].Code != "not_media" || found[0].Source != "a.mp4" || found[0].Detail != "" || found[0].Worker != "" {
			w.t.Errorf("%+v", found)
		}
	})
}

func TestErrorsAreCountedByCodeAndStep(t *testing.T) {
	each(t, func(w *world) {
		var since time.Time
		for i := range 3 {
			id := w.received(fmt.Sprintf("%d.mp4", i))
			if i == 1 {
				since = w.now()
			}
			w.fails(step(id, 1, video.Ingest, 0), "disk_full", false)
			w.fails(step(id, 1, video.Ingest, 0), "disk_full", i == 2)
		}
		id := w.received("z.mp4")
		w.fails(step(id, 1, video.Ingest, 0), "not_media", true)
		lines := func(q video.ErrorQuery) (lines []string) {
			groups, err := w.ErrorGroups(w.t.Context(), q)
			w.must(err)
			for _, g := range groups {
				if g.First.IsZero() || g.Last.Before(g.First) || g.Message != "About "+g.Code+"." {
					w.t.Errorf("%+v", g)
				}
				lines = append(lines, fmt.Sprint(g.Code, " ", g.Step, " ", g.Count, " of ", g.Videos, ", final ", g.Final))
			}
			return lines
		}
		same(w.t, "all", lines(video.ErrorQuery{Within: video.Everywhere()}), "disk_full ingest 6 of 3, final 1", "not_media ingest 1 of 1, final 1")
		same(w.t, "recent", lines(video.ErrorQuery{Within: video.Everywhere(), Since: since}), "disk_full ingest 4 of 2, final 1", "not_media ingest 1 of 1, final 1")
		same(w.t, "none", lines(video.ErrorQuery{Within: video.Everywhere(), Since: w.now()}))
	})
}

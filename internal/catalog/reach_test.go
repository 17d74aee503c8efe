package catalog

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// put makes a video of a source in a workspace.
func (w *world) put(name, workspace string) video.ID {
	w.t.Helper()
	id := w.received(name)
	w.must(w.write(w.t.Context(), func(t tx) error {
		_, err := t.raw.ExecContext(w.t.Context(), `UPDATE video SET workspace = $1 WHERE id = $2`, workspace, string(id))
		return err
	}))
	return id
}

func (w *world) ids(q video.Query) (ids []video.ID) {
	w.t.Helper()
	all, err := w.Videos(w.t.Context(), q)
	w.must(err)
	for _, v := range all {
		ids = append(ids, v.ID)
	}
	return ids
}

// Each reader walks all pages of a list whose videos lie in several workspaces in any order: what comes is exactly what is within the reach, newest first.
func TestPagesOfAReachAreExact(t *testing.T) {
	each(t, func(w *world) {
		random := rand.New(rand.NewPCG(1, 2))
		type placed struct {
			id        video.ID
			workspace string
			ready     bool
		}
		var all []placed
		for i := range 24 {
			p := placed{workspace: []string{"a", "b", "c"}[random.IntN(3)]}
			p.id = w.put(fmt.Sprint(i), p.workspace)
			if p.ready = random.IntN(2) == 0; p.ready {
				w.must(w.write(t.Context(), func(t tx) error {
					_, err := t.raw.ExecContext(w.t.Context(), `UPDATE video SET status = 'ready' WHERE id = $1`, string(p.id))
					return err
				}))
			}
			all = append(all, p)
		}
		gone := all[7]
		w.must(w.Delete(t.Context(), gone.id, nil))
		for _, within := range []video.Within{
			{}, {All: true}, {All: true, ReadyOnly: true}, {Workspaces: []string{"a"}}, {Workspaces: []string{"c", "a"}}, {Workspaces: []string{"b", "b", "none"}},
			{Workspaces: []string{"a", "b", "c"}, ReadyOnly: true}, {ReadyOnly: true},
		} {
			for _, status := range []video.Status{"", video.Waiting, video.Ready, video.Deleting} {
				var want []video.ID
				for _, p := range slices.Backward(all) {
					is := video.Waiting
					if p.ready {
						is = video.Ready
					}
					if p != gone && (within.All || slices.Contains(within.Workspaces, p.workspace)) && (p.ready || !within.ReadyOnly) && (status == "" || status == is) {
						want = append(want, p.id)
					}
				}
				for _, limit := range []int{1, 2, 5, 100} {
					q := video.Query{Within: within, Status: status, Limit: limit}
					var got []video.ID
					for page := w.ids(q); len(page) > 0; page = w.ids(q) {
						if len(page) > limit {
							w.t.Fatalf("%d videos for a limit of %d", len(page), limit)
						}
						got = append(got, page...)
						q.Before = page[len(page)-1]
					}
					if !slices.Equal(got, want) {
						w.t.Errorf("%+v %q by %d: %v, want %v", within, status, limit, got, want)
					}
				}
			}
		}
	})
}

func TestAPageOfAWorkspaceReadsAnIndex(t *testing.T) {
	each(t, func(w *world) {
		explain := "EXPLAIN QUERY PLAN "
		if w.db.Pool != nil {
			explain = "EXPLAIN "
		}
		for _, query := range []string{
			`SELECT v.* FROM video v WHERE v.workspace = $1 AND v.id < $2 AND v.status <> 'deleting' ORDER BY v.id DESC LIMIT 10`,
			`SELECT v.* FROM video v WHERE v.workspace = $1 AND v.status = 'ready' AND v.id < $2 ORDER BY v.id DESC LIMIT 10`,
		} {
			got := w.explain(explain+query, "a", "zz")
			if !strings.Contains(got, "video_workspace") || strings.Contains(got, "TEMP B-TREE") || strings.Contains(got, "Sort") {
				w.t.Errorf("%s:\n%s", query, got)
			}
		}
	})
}

func TestErrorsAreOfTheirVideosWorkspaceAndGoWhereItGoes(t *testing.T) {
	each(t, func(w *world) {
		here, there := w.put("here.mp4", "a"), w.put("there.mp4", "b")
		w.fails(step(here, 1, video.Ingest, 0), "not_media", true)
		w.fails(step(there, 1, video.Ingest, 0), "not_media", true)
		both := []string{"there.mp4 ingest 0 not_media", "here.mp4 ingest 0 not_media"}
		a, b := video.Within{Workspaces: []string{"a"}}, video.Within{Workspaces: []string{"b"}}
		ab := video.Within{Workspaces: []string{"a", "b", "a"}}
		same(w.t, "a's", w.codes(video.ErrorQuery{Within: a}), both[1])
		same(w.t, "both's", w.codes(video.ErrorQuery{Within: ab}), both...)
		same(w.t, "both's newest", w.codes(video.ErrorQuery{Within: ab, Limit: 1}), both[0])
		same(w.t, "nobody's", w.codes(video.ErrorQuery{}))
		same(w.t, "a video's of another workspace", w.codes(video.ErrorQuery{Within: a, Video: there}))
		same(w.t, "a video's", w.codes(video.ErrorQuery{Within: b, Video: there}), both[0])
		count := func(within video.Within) string {
			w.t.Helper()
			groups, err := w.ErrorGroups(t.Context(), video.ErrorQuery{Within: within})
			w.must(err)
			var text []string
			for _, g := range groups {
				text = append(text, fmt.Sprint(g.Code, " ", g.Count, " ", g.Videos, " ", g.Final))
			}
			return strings.Join(text, ",")
		}
		if got := fmt.Sprint(count(a), ";", count(ab), ";", count(video.Everywhere()), ";", count(video.Within{})); got != "not_media 1 1 1;not_media 2 2 2;not_media 2 2 2;" {
			w.t.Errorf("groups %s", got)
		}

		// Back to the one workspace that is there in every database.
		home := "main"
		v, err := w.Edit(t.Context(), there, video.Edit{Workspace: &home})
		w.must(err)
		if v.Workspace != home {
			w.t.Errorf("it lies in %s", v.Workspace)
		}
		same(w.t, "b's, once it is empty", w.codes(video.ErrorQuery{Within: b}))
		same(w.t, "main's", w.codes(video.ErrorQuery{Within: video.Within{Workspaces: []string{home}}}), both[0])
		w.must(w.Delete(t.Context(), there, nil))
		same(w.t, "main's, of a deleted video", w.codes(video.ErrorQuery{Within: video.Within{Workspaces: []string{home}}}), both[0])
	})
}

func TestAVideoGoesToNoWorkspaceThatIsNotThere(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		none := "nowhere"
		if _, err := w.Edit(t.Context(), id, video.Edit{Workspace: &none}); fault.Of(err).Code != "no_workspace" || !fault.Is(err, fault.Invalid) {
			w.t.Errorf("moved: %v", err)
		}
		err := w.Grant(t.Context(), video.Video{ID: video.NewID(w.now()), Workspace: none}, video.Upload{Bucket: "uploads", Key: "k", Expires: time.Now()}, nil)
		if fault.Of(err).Code != "no_workspace" {
			w.t.Errorf("granted: %v", err)
		}
		if v, err := w.Video(t.Context(), id); err != nil || v.Workspace != "main" || v.Policy != video.Signed || v.Owner != video.Admin {
			w.t.Errorf("%+v %v", v, err)
		}
	})
}

// The holder of a granted address may put twice: what comes second is as much its uploader's, and as little anybody else's, as what came first.
func TestASecondPutToAGrantedKeyLiesWhereTheFirstOneDoes(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "a.mp4", Prefix: "p", Owner: "ann", Policy: video.Members},
			video.Upload{Video: id, Bucket: "uploads", Key: string(id) + "/a.mp4", Expires: time.Now()}, nil))
		w.must(w.write(t.Context(), func(t tx) error {
			_, err := t.raw.ExecContext(w.t.Context(), `UPDATE video SET workspace = 'films' WHERE id = $1`, string(id))
			return err
		}))
		for _, etag := range []string{"first", "second"} {
			got, fresh, err := w.Received(t.Context(), video.Video{ID: video.NewID(w.now()), Prefix: "p"}, source(string(id)+"/a.mp4", etag), func(id video.ID) []engine.Job { return job("ingest", id) })
			w.must(err)
			v, err := w.Video(t.Context(), got)
			w.must(err)
			if !fresh || v.Owner != "ann" || v.Workspace != "films" || v.Policy != video.Members {
				w.t.Errorf("%s: %v of %s in %s, %s", etag, fresh, v.Owner, v.Workspace, v.Policy)
			}
		}
		found, err := w.Jobs().Jobs(t.Context(), engine.JobQuery{Limit: 10})
		w.must(err)
		if len(found) != 2 || slices.ContainsFunc(found, func(j engine.Status) bool { return j.Owner != "ann" }) {
			w.t.Errorf("jobs of %v", found)
		}
	})
}

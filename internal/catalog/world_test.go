package catalog

import (
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// world is a store with a clock of its own, and what the tests do with it.
type world struct {
	*Store
	t     *testing.T
	clock atomic.Int64 // unix ms
}

// each runs f on both databases.
func each(t *testing.T, f func(w *world)) {
	t.Helper()
	enginetest.Each(t, func(t *testing.T, dsn string) {
		w := &world{Store: openAt(t, dsn), t: t}
		w.clock.Store(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC).UnixMilli())
		w.now = func() time.Time { return time.UnixMilli(w.clock.Add(1)) }
		f(w)
	})
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) stale(err error) {
	w.t.Helper()
	if !errors.Is(err, video.ErrStale) {
		w.t.Fatalf("got %v, want video.ErrStale", err)
	}
}

// refused wants a fault of that kind and code.
func (w *world) refused(err error, kind fault.Kind, code string) {
	w.t.Helper()
	if f := fault.Of(err); err == nil || f.Kind != kind || f.Code != code {
		w.t.Fatalf("got %v, want code %s", err, code)
	}
}

// job is one whose kind says what it is for.
func job(kind string, id video.ID) []engine.Job {
	return []engine.Job{{Kind: kind, Group: string(id), Args: json.RawMessage(`{}`)}}
}

// jobs counts the jobs of a kind in a state.
func (w *world) jobs(kind, state string) int {
	w.t.Helper()
	var n int
	w.must(w.db.Read.QueryRowContext(w.t.Context(), `SELECT count(*) FROM river_job WHERE kind = $1 AND CAST(state AS TEXT) = $2`, kind, state).Scan(&n))
	return n
}

// source is a write to a key.
func source(key, etag string) video.Source {
	return video.Source{Bucket: "uploads", Key: key, ETag: etag, Size: 1000, Modified: time.UnixMilli(1_700_000_000_123), Pin: "sources/" + key}
}

// received makes a video whose source has come.
func (w *world) received(key string) video.ID {
	w.t.Helper()
	id := video.NewID(w.now())
	got, fresh, err := w.Received(w.t.Context(), video.Video{ID: id, Name: key, Prefix: "streams/a-" + string(id)}, source(key, "e1"),
		func(id video.ID) []engine.Job { return job("ingest", id) })
	w.must(err)
	if got != id || !fresh {
		w.t.Fatalf("received as %s, fresh %v", got, fresh)
	}
	return id
}

func step(id video.ID, generation int, name video.StepName, n int) video.StepRef {
	return video.StepRef{Video: id, Generation: generation, Name: name, N: n}
}

func (w *world) begin(ref video.StepRef) video.StepInput {
	w.t.Helper()
	work, err := w.Begin(w.t.Context(), ref, "worker-1", engine.Handle{})
	w.must(err)
	return work
}

// plan is two chunks, audio and stills.
var plan = video.Plan{
	Rate: video.Ratio{Num: 25, Den: 1}, Frames: 1000, Rungs: []video.Rung{{Name: "720p", Width: 1280, Height: 720}},
	Chunks: []video.Chunk{{N: 0, Start: 0, Frames: 750}, {N: 1, Start: 750}}, Audio: &video.AudioRung{Name: "audio"}, Duration: 40 * time.Second,
}

// planned takes a generation through ingest.
func (w *world) planned(id video.ID, generation int) {
	w.t.Helper()
	ref := step(id, generation, video.Ingest, 0)
	w.begin(ref)
	w.must(w.Plan(w.t.Context(), ref, video.Facts{Container: "mov", Duration: 40 * time.Second}, plan, job("encode", id), engine.Handle{}))
}

// parts are the steps of plan.
func parts(id video.ID, generation int) []video.StepRef {
	return []video.StepRef{step(id, generation, video.Encode, 0), step(id, generation, video.Encode, 1), step(id, generation, video.Audio, 0), step(id, generation, video.Stills, 0)}
}

func (w *world) finish(ref video.StepRef) error {
	return w.Finish(w.t.Context(), ref, video.Result{Frames: int64(ref.N) + 1}, job("publish", ref.Video), engine.Handle{})
}

// encoded takes a generation to where publish is due.
func (w *world) encoded(id video.ID, generation int) {
	w.t.Helper()
	w.planned(id, generation)
	for _, ref := range parts(id, generation) {
		w.begin(ref)
		w.must(w.finish(ref))
	}
}

func output(id video.ID) video.Output {
	return video.Output{
		Duration: 40 * time.Second, HLS: "streams/a-" + string(id) + "/index.m3u8", Bytes: 5000,
		Tracks: []video.Track{{Kind: video.VideoTrack, Name: "720p", Width: 1280, Height: 720, Bytes: 4000}, {Kind: video.AudioTrack, Name: "audio", Bytes: 1000}},
	}
}

// published takes a generation to its end.
func (w *world) published(id video.ID, generation int) {
	w.t.Helper()
	w.encoded(id, generation)
	ref := step(id, generation, video.Publish, 0)
	w.begin(ref)
	w.must(w.Publish(w.t.Context(), ref, output(id), job("retire", id), engine.Handle{}))
}

func (w *world) failed(ref video.StepRef, final bool) error {
	return w.Fail(w.t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: "not_media", Message: "Send a video."}, Detail: "tail", Final: final},
		job("retire", ref.Video), engine.Handle{})
}

func (w *world) video(id video.ID) video.Video {
	w.t.Helper()
	v, err := w.Video(w.t.Context(), id)
	w.must(err)
	return v
}

func (w *world) served(id video.ID, generation int) bool {
	w.t.Helper()
	_, ok, err := w.Playback(w.t.Context(), "a-"+string(id), generation)
	w.must(err)
	return ok
}

// states lists the newest generation's steps as "encode 1 done".
func (w *world) states(id video.ID) map[string]video.StepState {
	w.t.Helper()
	_, steps, err := w.Detail(w.t.Context(), id)
	w.must(err)
	all := map[string]video.StepState{}
	for _, s := range steps {
		all[string(s.Name)+string(rune('0'+s.N))] = s.State
	}
	return all
}

// events wants these events of a video, in this order, and no other.
func (w *world) events(id video.ID, want ...event.Type) {
	w.t.Helper()
	all, err := w.Events(w.t.Context(), id, 0, 0)
	w.must(err)
	var got []event.Type
	for i, e := range all {
		got = append(got, e.Type)
		if e.Video != string(id) || e.Time.IsZero() || i > 0 && e.ID <= all[i-1].ID {
			w.t.Errorf("an odd event: %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("events\n got %v\nwant %v", got, want)
	}
}

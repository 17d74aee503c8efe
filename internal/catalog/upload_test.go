package catalog

import (
	"sync"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func none(video.ID) []engine.Job { return nil }

func TestAnObjectBecomesOneVideoHoweverOftenItsEventComes(t *testing.T) {
	each(t, func(w *world) {
		var wg sync.WaitGroup
		ids, fresh := make([]video.ID, 10), make([]bool, 10)
		for i := range ids {
			v := video.Video{ID: video.NewID(w.now()), Name: "a.mp4"}
			wg.Go(func() {
				var err error
				ids[i], fresh[i], err = w.Received(t.Context(), v, source("a.mp4", "e1"), func(id video.ID) []engine.Job { return job("ingest", id) })
				if err != nil {
					w.t.Error(err)
				}
			})
		}
		wg.Wait()
		first := 0
		for i := range ids {
			if ids[i] != ids[0] {
				w.t.Errorf("videos %s and %s", ids[0], ids[i])
			}
			if fresh[i] {
				first++
			}
		}
		all, err := w.Videos(t.Context(), video.Query{Within: video.Everywhere()})
		w.must(err)
		if first != 1 || len(all) != 1 || w.jobs("ingest", "available") != 1 {
			w.t.Errorf("%d fresh, %d videos, %d jobs; want 1 of each", first, len(all), w.jobs("ingest", "available"))
		}
		w.events(ids[0], event.SourceReceived)
	})
}

func TestAReceivedVideoIsAsItWasGiven(t *testing.T) {
	each(t, func(w *world) {
		src := source("films/b.mp4", "e1")
		v := video.Video{
			ID: video.NewID(w.now()), Name: "b.mp4", Title: "B", Tags: []string{"x"}, Metadata: map[string]string{"k": "v"}, Prefix: "streams/b-1",
			Settings: video.Settings{MaxResolution: 480},
		}
		if _, _, err := w.Received(t.Context(), v, src, none); err != nil {
			w.t.Fatal(err)
		}
		got := w.video(v.ID)
		if got.Name != "b.mp4" || got.Title != "B" || got.Tags[0] != "x" || got.Metadata["k"] != "v" || got.Prefix != "streams/b-1" || got.Settings.MaxResolution != 480 {
			w.t.Errorf("got %+v", got)
		}
		if got.Status != video.Waiting || got.Newest != 1 || got.Received.IsZero() || got.Created.IsZero() || !got.Playable.IsZero() || got.Failure != nil || got.Output != nil {
			w.t.Errorf("got %+v", got)
		}
		if s := got.Source; s == nil || s.Key != src.Key || s.ETag != "e1" || s.Size != 1000 || !s.Modified.Equal(src.Modified) || s.Pin != src.Pin {
			w.t.Errorf("source %+v", got.Source)
		}
	})
}

func TestAGrantedUploadGetsItsFirstWriteAndOnlyThat(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "holiday.mp4", Settings: video.Settings{MaxResolution: 720}},
			video.Upload{Video: id, Bucket: "uploads", Key: "k.mp4", Expires: w.now()}, nil))
		if v := w.video(id); v.Status != video.Waiting || v.Source != nil || v.Newest != 0 || !v.Received.IsZero() {
			w.t.Errorf("granted as %+v", v)
		}
		other := video.Video{ID: video.NewID(w.now()), Name: "k.mp4"}
		got, fresh, err := w.Received(t.Context(), other, source("k.mp4", "e1"), func(id video.ID) []engine.Job { return job("ingest", id) })
		w.must(err)
		if v := w.video(id); got != id || !fresh || v.Source == nil || v.Newest != 1 || v.Name != "holiday.mp4" {
			w.t.Errorf("the first write went to %s: %+v", got, v)
		}
		if work := w.begin(step(id, 1, video.Ingest, 0)); work.Settings.MaxResolution != 720 {
			w.t.Errorf("the upload's settings became %+v", work.Settings)
		}
		if again, fresh, err := w.Received(t.Context(), other, source("k.mp4", "e1"), none); err != nil || again != id || fresh {
			w.t.Errorf("the same write again: %s, %v, %v", again, fresh, err)
		}
		second, fresh, err := w.Received(t.Context(), other, source("k.mp4", "e2"), none)
		w.must(err)
		if v := w.video(second); second != other.ID || !fresh || v.Name != "holiday.mp4" {
			w.t.Errorf("a second write became %+v, fresh %v", v, fresh)
		}
		if v := w.video(id); v.Source.ETag != "e1" {
			w.t.Error("the second write changed the first video's source")
		}
		w.events(id, event.UploadGranted, event.SourceReceived)
	})
}

func TestAnUploadTakenTwiceAtOnceIsTwoVideos(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "n"}, video.Upload{Video: id, Bucket: "uploads", Key: "k"}, nil))
		var wg sync.WaitGroup
		ids := make([]video.ID, 2)
		for i, etag := range []string{"e1", "e2"} {
			v := video.Video{ID: video.NewID(w.now())}
			wg.Go(func() {
				var err error
				if ids[i], _, err = w.Received(t.Context(), v, source("k", etag), none); err != nil {
					w.t.Error(err)
				}
			})
		}
		wg.Wait()
		if ids[0] == ids[1] || ids[0] != id && ids[1] != id {
			w.t.Errorf("granted %s, got %v", id, ids)
		}
	})
}

func TestAFailingStartLeavesNoFact(t *testing.T) {
	each(t, func(w *world) {
		v := video.Video{ID: video.NewID(w.now()), Name: "n"}
		bad := func(video.ID) []engine.Job { return []engine.Job{{Kind: "x", Priority: 9}} }
		if _, _, err := w.Received(t.Context(), v, source("k", "e"), bad); err == nil {
			w.t.Fatal("a job of priority 9 was taken")
		}
		if _, fresh, err := w.Received(t.Context(), v, source("k", "e"), none); err != nil || !fresh {
			w.t.Errorf("afterwards: fresh %v, %v", fresh, err)
		}
	})
}

func TestASourceOfAVideoThatWasDeletedWhileItWaitedIsNotRecorded(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		key := string(id) + "/a.mp4"
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "a.mp4", Prefix: "streams/a"}, video.Upload{Video: id, Bucket: "uploads", Key: key, Expires: w.now().Add(time.Hour)}, nil))
		w.must(w.Delete(t.Context(), id, nil))
		other := video.NewID(w.now())
		for range 2 { // nothing is recorded, so that it may be told again
			_, _, err := w.Received(t.Context(), video.Video{ID: other, Name: "a.mp4", Prefix: "streams/b"}, source(key, "e1"),
				func(id video.ID) []engine.Job { return job("ingest", id) })
			w.stale(err)
		}
		all, err := w.Videos(t.Context(), video.Query{Within: video.Everywhere()})
		w.must(err)
		if len(all) != 0 {
			w.t.Errorf("a video came of it: %+v", all)
		}
	})
}

func TestLooked_WaitingVideo_HasItsNextLookUntilItsSourceComes(t *testing.T) {
	each(t, func(w *world) {
		id, first := video.NewID(w.now()), w.now().Add(time.Minute)
		look := []engine.Job{{Kind: "look", Group: string(id), Queue: "events", After: first}}
		open := func() (n int) {
			w.t.Helper()
			w.must(w.DB().Read.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE kind = 'look'`).Scan(&n))
			return n
		}
		expires := w.now().Add(time.Hour)
		w.must(w.Grant(t.Context(), video.Video{ID: id, Name: "a.mp4", NextLook: first}, video.Upload{Video: id, Bucket: "uploads", Key: "k.mp4", Type: "video/mp4", Size: 7, Expires: expires}, look))
		up, err := w.Upload(t.Context(), id)
		w.must(err)
		if up.Key != "k.mp4" || up.Bucket != "uploads" || up.Size != 7 || up.Type != "video/mp4" || up.Expires.UnixMilli() != expires.UnixMilli() || !up.Received.IsZero() || up.Video != id {
			w.t.Errorf("the upload is %+v", up)
		}
		if v := w.video(id); v.NextLook.UnixMilli() != first.UnixMilli() || open() != 1 {
			w.t.Errorf("granted with a look at %s, want %s; %d jobs", v.NextLook, first, open())
		}
		second := first.Add(time.Minute)
		w.must(w.Looked(t.Context(), id, second, look, engine.Handle{}))
		if v := w.video(id); v.NextLook.UnixMilli() != second.UnixMilli() || open() != 2 {
			w.t.Errorf("the next look is at %s, want %s; %d jobs", v.NextLook, second, open())
		}
		_, _, err = w.Received(t.Context(), video.Video{ID: video.NewID(w.now())}, source("k.mp4", "e1"), none)
		w.must(err)
		w.must(w.Looked(t.Context(), id, second.Add(time.Minute), look, engine.Handle{}))
		if up, err = w.Upload(t.Context(), id); err != nil || up.Received.IsZero() || open() != 2 {
			w.t.Errorf("after its source came: %+v, %v; %d jobs", up, err, open())
		}
		w.must(w.Delete(t.Context(), id, nil))
		w.must(w.Looked(t.Context(), id, second, look, engine.Handle{}))
		if _, err := w.Upload(t.Context(), id); fault.Of(err).Code != "no_upload" || open() != 2 {
			w.t.Errorf("after its deletion: %v; %d jobs", err, open())
		}
		if _, err := w.Upload(t.Context(), video.NewID(w.now())); fault.Of(err).Code != "no_upload" {
			w.t.Errorf("one that never was: %v", err)
		}
	})
}

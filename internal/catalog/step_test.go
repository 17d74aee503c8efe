package catalog

import (
	"math"
	"reflect"
	"sync"
	"testing"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/video"
)

func TestAVideoGoesItsWay(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		work := w.begin(step(id, 1, video.Ingest, 0))
		if work.Attempt != 1 || work.Plan != nil || work.Video.ID != id || work.Video.Source == nil {
			w.t.Errorf("ingest began with %+v", work)
		}
		if v := w.video(id); v.Status != video.Processing {
			w.t.Errorf("status %s", v.Status)
		}
		w.planned(id, 1) // its Begin is a second attempt
		if v := w.video(id); v.Facts == nil || v.Facts.Container != "mov" {
			w.t.Errorf("facts %+v", v.Facts)
		}
		for i, ref := range parts(id, 1) {
			work := w.begin(ref)
			if work.Plan == nil || work.Plan.Frames != 1000 || work.Video.Facts == nil {
				w.t.Errorf("%s began with %+v", ref.Name, work)
			}
			w.must(w.finish(ref))
			if due := w.jobs("publish", "available"); (due == 1) != (i == 3) {
				w.t.Errorf("after part %d publish was due %d times", i, due)
			}
		}
		ref := step(id, 1, video.Publish, 0)
		w.begin(ref)
		w.must(w.Publish(t.Context(), ref, output(id), nil, engine.Handle{}))
		v := w.video(id)
		if v.Status != video.Ready || v.Published != 1 || v.Playable.IsZero() || v.Progress != 1 || !reflect.DeepEqual(*v.Output, output(id)) {
			w.t.Errorf("published as %+v", v)
		}
		if !w.served(id, 1) || w.served(id, 2) {
			w.t.Error("generation 1 is not the one served")
		}
		w.events(id, event.SourceReceived, event.StepFinished, event.VideoPlanned, event.StepFinished, event.StepFinished, event.StepFinished,
			event.StepFinished, event.StepFinished, event.VideoPlayable, event.VideoReady)
		var renditions int
		w.must(w.db.Read.QueryRowContext(t.Context(), `SELECT count(*) FROM rendition WHERE video = $1`, string(id)).Scan(&renditions))
		if renditions != 2 {
			w.t.Errorf("%d renditions", renditions)
		}
	})
}

func TestAStepThatIsDoneIsNotDoneAgain(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.planned(id, 1)
		ingest, chunk := step(id, 1, video.Ingest, 0), step(id, 1, video.Encode, 0)
		_, err := w.Begin(t.Context(), ingest, "w", engine.Handle{})
		w.stale(err)
		w.stale(w.Plan(t.Context(), ingest, video.Facts{}, plan, job("encode", id), engine.Handle{}))
		w.stale(w.failed(ingest, true))
		if n := w.jobs("encode", "available"); n != 1 {
			w.t.Errorf("%d encode jobs, want those of the one plan", n)
		}
		w.stale(w.finish(chunk)) // before it began
		w.begin(chunk)
		w.must(w.finish(chunk))
		w.stale(w.finish(chunk))
		_, err = w.Begin(t.Context(), chunk, "w", engine.Handle{})
		w.stale(err)
		_, err = w.Begin(t.Context(), step(id, 2, video.Ingest, 0), "w", engine.Handle{}) // no such generation
		w.stale(err)
		_, err = w.Begin(t.Context(), step("nobody", 1, video.Ingest, 0), "w", engine.Handle{})
		w.stale(err)
	})
}

func TestTwoLastStepsMakePublishDueExactlyOnce(t *testing.T) {
	each(t, func(w *world) {
		for range 5 {
			id := w.received("race")
			w.planned(id, 1)
			var wg sync.WaitGroup
			for _, ref := range parts(id, 1) {
				w.begin(ref)
				for range 2 { // each beside its twin
					wg.Go(func() { _ = w.finish(ref) })
				}
			}
			wg.Wait()
			if got := w.states(id)["publish0"]; got != video.StepWaiting {
				w.t.Errorf("publish is %q", got)
			}
			if n := w.jobs("publish", "available"); n != 1 {
				w.t.Fatalf("publish was due %d times", n)
			}
			w.must(w.Delete(t.Context(), id, nil))
			w.must(w.Remove(t.Context(), id, engine.Handle{}))
		}
	})
}

func TestProgressFollowsTheWork(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		near := func(want float64) {
			w.t.Helper()
			all, err := w.Videos(t.Context(), video.Query{Within: video.Everywhere()})
			w.must(err)
			if got := w.video(id).Progress; math.Abs(got-want) > 0.001 || got != all[0].Progress {
				w.t.Errorf("progress %v (%v in the list), want %v", got, all[0].Progress, want)
			}
		}
		near(0)
		w.planned(id, 1)
		near(0.02)
		chunk := step(id, 1, video.Encode, 0)
		w.must(w.Progress(t.Context(), chunk, 0.5)) // not running yet
		near(0.02)
		w.begin(chunk)
		w.must(w.Progress(t.Context(), chunk, 0.5))
		near(0.02 + 0.9*0.75/2)
		w.must(w.finish(chunk))
		w.must(w.Progress(t.Context(), chunk, 0.1)) // done meanwhile
		near(0.02 + 0.9*0.75)
		for _, ref := range parts(id, 1)[1:] {
			w.begin(ref)
			w.must(w.finish(ref))
		}
		near(0.98)
	})
}

func TestPartsAreTheResultsOfFinishedSteps(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.planned(id, 1)
		refs := parts(id, 1)
		for _, i := range []int{1, 0} {
			w.begin(refs[i])
			w.must(w.finish(refs[i]))
		}
		w.begin(refs[2])
		got, err := w.Parts(t.Context(), step(id, 1, video.Publish, 0))
		w.must(err)
		want := []video.Part{{StepRef: refs[0], Result: video.Result{Frames: 1}}, {StepRef: refs[1], Result: video.Result{Frames: 2}}}
		if !reflect.DeepEqual(got, want) {
			w.t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

func TestAnAudioOnlyPlanNeedsNoPicture(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp3")
		ref, audio := step(id, 1, video.Ingest, 0), step(id, 1, video.Audio, 0)
		w.begin(ref)
		w.must(w.Plan(t.Context(), ref, video.Facts{}, video.Plan{Audio: &video.AudioRung{}}, nil, engine.Handle{}))
		w.begin(audio)
		w.must(w.finish(audio))
		if got := w.video(id).Progress; math.Abs(got-0.98) > 0.001 {
			w.t.Errorf("progress %v", got)
		}
		want := map[string]video.StepState{"ingest0": video.StepDone, "audio0": video.StepDone, "publish0": video.StepWaiting}
		if got := w.states(id); !reflect.DeepEqual(got, want) {
			w.t.Errorf("got %v, want %v", got, want)
		}
	})
}

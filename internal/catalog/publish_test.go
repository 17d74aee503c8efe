package catalog

import (
	"errors"
	"reflect"
	"testing"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func again(id video.ID) func(int) []engine.Job {
	return func(int) []engine.Job { return job("ingest", id) }
}

func TestAFailedAttemptIsTriedAgain(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		w.begin(ref)
		w.must(w.failed(ref, false))
		if got := w.states(id)["ingest0"]; got != video.StepWaiting || w.video(id).Status != video.Processing {
			w.t.Errorf("step %s, video %s", got, w.video(id).Status)
		}
		if n := w.jobs("retire", "available"); n != 0 {
			w.t.Error("a failure that is not final had what was made removed")
		}
		if work := w.begin(ref); work.Attempt != 2 {
			w.t.Errorf("attempt %d", work.Attempt)
		}
		_, steps, err := w.Detail(t.Context(), id)
		w.must(err)
		first, second := steps[0].Attempts[0], steps[0].Attempts[1]
		if first.Failure == nil || first.Failure.Code != "not_media" || first.Detail != "tail" || first.Finished.IsZero() || first.Worker != "worker-1" {
			w.t.Errorf("the first attempt is %+v", first)
		}
		if second.Failure != nil || !second.Finished.IsZero() || second.Number != 2 {
			w.t.Errorf("the second attempt is %+v", second)
		}
		w.events(id, event.SourceReceived, event.StepFailed)
	})
}

func TestAFinalFailureEndsTheGenerationAndTheVideo(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.planned(id, 1)
		refs := parts(id, 1)
		w.begin(refs[0])
		w.begin(refs[1])
		w.must(w.failed(refs[0], true))
		v := w.video(id)
		if v.Status != video.Failed || v.Failure == nil || v.Failure.Code != "not_media" || v.Failure.Message != "Send a video." {
			w.t.Errorf("video %+v", v)
		}
		want := map[string]video.StepState{
			"ingest0": video.StepDone, "encode0": video.StepFailed, "encode1": video.StepCanceled, "audio0": video.StepCanceled, "stills0": video.StepCanceled,
		}
		if got := w.states(id); !reflect.DeepEqual(got, want) {
			w.t.Errorf("got %v, want %v", got, want)
		}
		if w.jobs("encode", "cancelled") != 1 || w.jobs("ingest", "cancelled") != 1 || w.jobs("retire", "available") != 1 {
			w.t.Error("the group's jobs were not canceled, or the removal not inserted")
		}
		w.stale(w.finish(refs[1]))
		w.stale(w.failed(refs[1], true))
		if w.served(id, 1) {
			w.t.Error("a failed generation is served")
		}
		w.events(id, event.SourceReceived, event.StepFinished, event.VideoPlanned, event.StepFailed, event.VideoFailed)
	})
}

func TestEncodingAgainKeepsWhatViewersHave(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		_, err := w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.refused(err, fault.Conflict, "busy")
		w.published(id, 1)
		playable := w.video(id).Playable
		v, err := w.Encode(t.Context(), id, video.Settings{MaxResolution: 360}, again(id))
		w.must(err)
		if v.Status != video.Ready || v.Newest != 2 || v.Published != 1 || v.Settings.MaxResolution != 360 || v.Progress != 0 {
			w.t.Errorf("got %+v", v)
		}
		_, err = w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.refused(err, fault.Conflict, "busy")
		_, err = w.Retirable(t.Context(), id, 1, engine.Handle{})
		w.stale(err) // published
		w.stale(w.Retire(t.Context(), id, 1, engine.Handle{}))
		w.encoded(id, 2)
		if v := w.video(id); v.Status != video.Ready {
			w.t.Errorf("status %s while encoding again", v.Status)
		}
		ref := step(id, 2, video.Publish, 0)
		w.begin(ref)
		w.must(w.Publish(t.Context(), ref, output(id), nil, engine.Handle{}))
		if v := w.video(id); v.Published != 2 || !v.Playable.Equal(playable) {
			w.t.Errorf("got %+v", v)
		}
		if !w.served(id, 1) || !w.served(id, 2) {
			w.t.Error("viewers of generation 1 lost it before it was retired")
		}
		prefix, err := w.Retirable(t.Context(), id, 1, engine.Handle{})
		if err != nil || prefix != "streams/a-"+string(id) {
			w.t.Errorf("retirable: %q, %v", prefix, err)
		}
		w.must(w.Retire(t.Context(), id, 1, engine.Handle{}))
		w.stale(w.Retire(t.Context(), id, 1, engine.Handle{}))
		if w.served(id, 1) || !w.served(id, 2) {
			w.t.Error("the wrong generation was retired")
		}
		all, err := w.Events(t.Context(), id, 0, 0)
		w.must(err)
		counts := map[event.Type]int{}
		for _, e := range all {
			counts[e.Type]++
		}
		if counts[event.VideoPlayable] != 1 || counts[event.VideoReady] != 2 || counts[event.EncodeRequested] != 1 || counts[event.GenerationRetired] != 1 {
			w.t.Errorf("events %v", counts)
		}
	})
}

func TestAFailureAfterASuccessIsToldAndChangesNothingForViewers(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.published(id, 1)
		_, err := w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.must(err)
		ref := step(id, 2, video.Ingest, 0)
		w.begin(ref)
		w.must(w.failed(ref, true))
		if v := w.video(id); v.Status != video.Ready || v.Failure == nil || v.Published != 1 || v.Output == nil || !w.served(id, 1) {
			w.t.Errorf("got %+v", v)
		}
		if prefix, err := w.Retirable(t.Context(), id, 2, engine.Handle{}); err != nil || prefix == "" {
			w.t.Errorf("the failed generation can't be retired: %v", err)
		}
		v, err := w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.must(err)
		if v.Failure != nil || v.Newest != 3 {
			w.t.Errorf("encoding again gave %+v", v)
		}
	})
}

func TestAVideoThatFailedMayBeEncodedAgain(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		w.begin(ref)
		w.must(w.failed(ref, true))
		v, err := w.Encode(t.Context(), id, video.Settings{}, again(id))
		w.must(err)
		if v.Status != video.Waiting || v.Failure != nil {
			w.t.Errorf("got %+v", v)
		}
		w.published(id, 2)
		if v := w.video(id); v.Status != video.Ready || v.Published != 2 {
			w.t.Errorf("got %+v", v)
		}
	})
}

// A worker whose Begin did not come through has no attempt to end. To take its failure for one that came late would complete its job, and leave the step
// without any.
func TestAnAttemptThatNeverBeganCannotFail(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		if err := w.failed(ref, false); err == nil || errors.Is(err, video.ErrStale) {
			w.t.Errorf("got %v", err)
		}
		w.begin(ref)
	})
}

func TestTheEdgeIsToldWhoMayWatch(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		own := "a-" + string(id)
		want := video.Playback{Video: id, Prefix: "streams/" + own, Owner: video.Admin, Workspace: "main", Policy: video.Signed}
		if got, served, err := w.Playback(t.Context(), own, 1); err != nil || served || !reflect.DeepEqual(got, want) {
			w.t.Errorf("before it is published: %+v, %v, %v", got, served, err)
		}
		w.published(id, 1)
		want.Ready = true
		if got, served, err := w.Playback(t.Context(), own, 1); err != nil || !served || !reflect.DeepEqual(got, want) {
			w.t.Errorf("%+v, %v, %v", got, served, err)
		}
		for _, folder := range []string{"", "a", string(id), "b-" + string(id), "streams/" + own, own + "0", "a-" + string(video.NewID(w.now())), string(video.NewPlaybackID(w.now()))} {
			if got, served, err := w.Playback(t.Context(), folder, 1); err != nil || served || !reflect.DeepEqual(got, video.Playback{}) {
				w.t.Errorf("%q: %+v, %v, %v", folder, got, served, err)
			}
		}
	})
}

package catalog

import (
	"encoding/json"
	"reflect"
	"testing"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// redrive makes jobs that are called by their steps.
func redrive(ref video.StepRef) []engine.Job { return job(string(ref.Name), ref.Video) }

func TestARedriveGoesOnWhereTheVideoFailedAndKeepsWhatWasDone(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.planned(id, 1)
		refs := parts(id, 1)
		_, err := w.Redrive(t.Context(), id, nil, redrive)
		w.refused(err, fault.Conflict, "busy")
		w.begin(refs[0])
		w.must(w.finish(refs[0]))
		w.begin(refs[1])
		w.begin(refs[2])
		w.must(w.failed(refs[1], true))
		before := w.jobs("encode", "available")
		_, err = w.Redrive(t.Context(), id, &refs[0], redrive) // done
		w.refused(err, fault.Conflict, "not_failed")
		_, err = w.Redrive(t.Context(), id, new(step(id, 2, video.Encode, 1)), redrive)
		w.refused(err, fault.Conflict, "not_failed")
		v, err := w.Redrive(t.Context(), id, &refs[1], redrive)
		w.must(err)
		if v.Status != video.Waiting || v.Failure != nil || v.Newest != 1 {
			w.t.Errorf("redriven as %+v", v)
		}
		want := map[string]video.StepState{
			"ingest0": video.StepDone, "encode0": video.StepDone, "encode1": video.StepWaiting, "audio0": video.StepWaiting, "stills0": video.StepWaiting,
		}
		if got := w.states(id); !reflect.DeepEqual(got, want) {
			w.t.Errorf("got %v, want %v", got, want)
		}
		if w.jobs("encode", "available") != before+1 || w.jobs("audio", "available") != 1 || w.jobs("stills", "available") != 1 || w.jobs("encode", "cancelled") != 0 {
			w.t.Error("each open step needs one job, and no job that is over stays")
		}
		_, err = w.Redrive(t.Context(), id, nil, redrive) // told twice
		w.refused(err, fault.Conflict, "busy")
		_, err = w.Retirable(t.Context(), id, 1, engine.Handle{}) // the removal that was due for the failure
		w.stale(err)
		w.stale(w.finish(refs[2])) // a straggler from before, whose step waits now
		for _, ref := range refs[1:] {
			w.begin(ref)
			w.must(w.finish(ref))
		}
		publish := step(id, 1, video.Publish, 0)
		w.begin(publish)
		w.must(w.Publish(t.Context(), publish, output(id), nil, engine.Handle{}))
		_, err = w.Redrive(t.Context(), id, nil, redrive)
		w.refused(err, fault.Conflict, "not_failed")
		if got := w.video(id); got.Status != video.Ready {
			w.t.Errorf("ended as %+v", got)
		}
	})
}

func TestARedriveOfAVideoWhoseOutputsAreGoneBeginsAnew(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		w.begin(ref)
		w.must(w.failed(ref, true))
		_, err := w.Retirable(t.Context(), id, 1, engine.Handle{})
		w.must(err)
		_, err = w.Retirable(t.Context(), id, 1, engine.Handle{}) // after a crash
		w.must(err)
		v, err := w.Redrive(t.Context(), id, nil, redrive) // its objects are being removed: too late to go on with them
		w.must(err)
		if v.Newest != 2 || v.Status != video.Waiting {
			w.t.Errorf("redriven as %+v", v)
		}
		w.must(w.Retire(t.Context(), id, 1, engine.Handle{}))
		w.published(id, 2)
		w.events(id, event.SourceReceived, event.StepFailed, event.VideoFailed, event.VideoRedriven, event.GenerationRetired, event.StepFinished, event.VideoPlanned,
			event.StepFinished, event.StepFinished, event.StepFinished, event.StepFinished, event.StepFinished, event.VideoPlayable, event.VideoReady,
			event.VideoRecovered)
	})
}

func TestCancelingAJobEndsItsEncodeUntilItIsRedriven(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.planned(id, 1)
		refs := parts(id, 1)
		w.begin(refs[0])
		w.must(w.CancelStep(t.Context(), refs[0], job("retire", id)))
		if v := w.video(id); v.Status != video.Failed || v.Failure.Code != "encode_canceled" {
			w.t.Errorf("canceled as %+v", v)
		}
		w.stale(w.finish(refs[0]))
		w.refused(w.CancelStep(t.Context(), refs[0], nil), fault.Conflict, "job_done")
		w.refused(w.CancelStep(t.Context(), step(id, 2, video.Ingest, 0), nil), fault.Conflict, "job_done")
		w.refused(w.CancelStep(t.Context(), step("nobody", 1, video.Ingest, 0), nil), fault.NotFound, "no_video")
		if w.jobs("encode", "cancelled") != 1 || w.jobs("retire", "available") != 1 {
			w.t.Error("the jobs were not canceled, or the removal not inserted")
		}
		_, err := w.Redrive(t.Context(), id, nil, redrive)
		w.must(err)
		if got := w.states(id)["encode0"]; got != video.StepWaiting {
			w.t.Errorf("the step is %s", got)
		}
	})
}

func TestADeadJobTellsWhatItsAttemptsSaw(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		ref := step(id, 1, video.Ingest, 0)
		tries := w.run()
		r := w.next(tries)
		w.begun(ref, r)
		w.must(w.Fail(t.Context(), ref, video.StepFailure{Failure: video.Failure{Code: "not_media", Message: "Send a video."}, Detail: "tail", Final: true}, nil, r.Handle))
		r.end <- nil
		all, err := w.Store.jobs.Jobs(t.Context(), engine.JobQuery{State: engine.Dead})
		w.must(err)
		if len(all) != 1 || all[0].Owner != video.Admin || all[0].Group != string(id) || len(all[0].Errors) != 1 || all[0].Errors[0].Message != "not_media: Send a video." {
			w.t.Fatalf("dead jobs %+v", all)
		}
		attempts, err := w.JobAttempts(t.Context(), ref, all[0].ID)
		w.must(err)
		if len(attempts) != 1 || attempts[0].Failure.Code != "not_media" || attempts[0].Detail != "tail" || attempts[0].Worker != r.Worker {
			w.t.Errorf("attempts %+v", attempts)
		}
		w.must(w.Delete(t.Context(), id, nil))
		w.must(w.Remove(t.Context(), id, engine.Handle{}))
		if n := w.jobs("ingest", "discarded"); n != 0 {
			w.t.Errorf("%d dead jobs of a video that is gone", n)
		}
	})
}

func TestTheJobsOfAVideoAreItsOwners(t *testing.T) {
	each(t, func(w *world) {
		id := video.NewID(w.now())
		_, _, err := w.Received(t.Context(), video.Video{ID: id, Owner: "ann", Name: "a.mp4", Prefix: "p"}, source("a.mp4", "e1"),
			func(id video.ID) []engine.Job { return job("ingest", id) })
		w.must(err)
		if v := w.video(id); v.Owner != "ann" {
			w.t.Errorf("owner %q", v.Owner)
		}
		w.planned(id, 1)
		granted := video.NewID(w.now())
		w.must(w.Grant(t.Context(), video.Video{ID: granted, Owner: "bob", Name: "b.mp4"}, video.Upload{Video: granted, Bucket: "uploads", Key: "b.mp4"}, nil))
		_, _, err = w.Received(t.Context(), video.Video{ID: video.NewID(w.now())}, source("b.mp4", "e2"), func(id video.ID) []engine.Job { return job("ingest", id) })
		w.must(err)
		w.must(w.Delete(t.Context(), granted, []engine.Job{{Kind: "delete", Args: json.RawMessage(`{}`)}}))
		w.received("c.mp4")
		owners := map[string]int{}
		all, err := w.Store.jobs.Jobs(t.Context(), engine.JobQuery{})
		w.must(err)
		for _, j := range all {
			owners[j.Kind+" of "+j.Owner]++
		}
		if want := map[string]int{"ingest of ann": 1, "encode of ann": 1, "ingest of bob": 1, "delete of bob": 1, "ingest of admin": 1}; !reflect.DeepEqual(owners, want) {
			w.t.Errorf("got %v, want %v", owners, want)
		}
	})
}

package upload_test

import (
	"strings"
	"testing"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
	"sluice/test/away"
	"sluice/test/rig"
)

// publish takes a video of the house along its way, up to an HLS playlist that is there.
func (h *house) publish(t *testing.T, id video.ID) string {
	t.Helper()
	ctx := t.Context()
	step := func(name video.StepName) video.StepRef {
		ref := video.StepRef{Video: id, Generation: 1, Name: name}
		if _, err := h.Begin(ctx, ref, "test", engine.Handle{}); err != nil {
			t.Fatal(err)
		}
		return ref
	}
	plan := video.Plan{Audio: &video.AudioRung{}}
	if err := h.Plan(ctx, step(video.Ingest), video.Facts{}, plan, nil, engine.Handle{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Finish(ctx, step(video.Audio), video.Result{}, nil, engine.Handle{}); err != nil {
		t.Fatal(err)
	}
	playlist := h.videos(t)[id].Prefix + "/1/index.m3u8"
	if _, err := h.store.Put(ctx, "media", playlist, strings.NewReader("#EXTM3U"), 7, ""); err != nil {
		t.Fatal(err)
	}
	if err := h.Publish(ctx, step(video.Publish), video.Output{HLS: playlist}, nil, engine.Handle{}); err != nil {
		t.Fatal(err)
	}
	return playlist
}

func TestVideosWhoseObjectsAreGoneAreMarkedOnce(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		for _, key := range []string{"whole.mp4", "no source.mp4", "no outputs.mp4", "under way.mp4"} {
			h.put(t, key, "bytes of "+key)
		}
		lost := map[video.ID]event.Type{}
		for id, v := range h.videos(t) {
			if v.Name == "under way.mp4" {
				if err := h.store.Delete(t.Context(), "media", v.Source.Pin); err != nil {
					t.Fatal(err)
				}
				continue
			}
			playlist := h.publish(t, id)
			gone := ""
			switch v.Name {
			case "no source.mp4":
				gone, lost[id] = v.Source.Pin, event.SourceLost
			case "no outputs.mp4":
				gone, lost[id] = playlist, event.OutputsLost
			}
			if gone != "" {
				if err := h.store.Delete(t.Context(), "media", gone); err != nil {
					t.Fatal(err)
				}
			}
		}
		total := 0
		for range 8 { // three videos a time: twice round, and more
			n, err := h.door.Inspect(t.Context(), 3)
			if err != nil {
				t.Fatal(err)
			}
			total += n
		}
		if total != 2 {
			t.Errorf("marked %d", total)
		}
		for id, v := range h.videos(t) {
			events, err := h.Events(t.Context(), id, 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			told := 0
			for _, e := range events {
				if e.Type == event.SourceLost || e.Type == event.OutputsLost {
					told++
					if e.Type != lost[id] {
						t.Errorf("%s: %s", v.Name, e.Type)
					}
				}
			}
			code := map[event.Type]string{event.SourceLost: "source_missing", event.OutputsLost: "outputs_missing"}[lost[id]]
			if marked := v.Failure != nil; marked != (code != "") || marked && (v.Failure.Code != code || v.Status != video.Ready || told != 1) {
				t.Errorf("%s: %+v, %s, told %d times", v.Name, v.Failure, v.Status, told)
			}
		}
	})
}

func TestAStorageThatIsAwayMarksNothing(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		h.put(t, "a.mp4", "bytes")
		for id := range h.videos(t) {
			h.publish(t, id)
		}
		h.door.MediaBucket = "no-such-bucket"
		if n, err := h.door.Inspect(t.Context(), 10); n != 0 || err == nil {
			t.Errorf("marked %d, %v", n, err)
		}
	})
}

// TestCreated_BucketIsAway_FailsAndCountsTheObjectLater tells of an object while each bucket is away. Passed over, the
// object would wait for a reconcile, and
// a notice of it would be used up.
func TestCreated_BucketIsAway_FailsAndCountsTheObjectLater(t *testing.T) {
	t.Parallel()
	storage := rig.VersityGW(t)
	front := away.BeforeStorage(t, storage.URL)
	store, err := bucket.Open(t.Context(), bucket.Config{Endpoint: front.URL, Region: "us-east-1",
		Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{shelf: newShelf(t), store: store, foreign: true}
	h.openDoor(t, front.URL)
	if _, err := store.Put(t.Context(), "uploads", "a.mp4", strings.NewReader("bytes"), 5, ""); err != nil {
		t.Fatal(err)
	}
	for _, absence := range []away.Absence{away.NoBucket, away.NoRoute, away.Silent} {
		front.Take(absence)
		if err := h.door.Created(t.Context(), bucket.Object{Bucket: "uploads", Key: "a.mp4"}); !fault.Is(err, fault.Unavailable) {
			t.Errorf("with the bucket away (%d): %v", absence, err)
		}
	}
	front.Take(away.Present)
	if err := h.door.Created(t.Context(), bucket.Object{Bucket: "uploads", Key: "a.mp4"}); err != nil || len(h.videos(t)) != 1 {
		t.Errorf("with the bucket back: %v, %d videos", err, len(h.videos(t)))
	}
}

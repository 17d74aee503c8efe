package catalog

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// purging has a CDN told by jobs that nobody runs.
func (w *world) purging() {
	w.PurgesBy(func(after time.Time) engine.Job {
		return engine.Job{Kind: "purge", Args: json.RawMessage(`{}`), After: after}
	})
}

// told is what a CDN is told now, in order; nothing where nothing is due.
func (w *world) told(after time.Duration) []video.Copies {
	w.t.Helper()
	w.clock.Add(after.Milliseconds())
	all, err := w.DueCopies(w.t.Context(), 100, engine.Handle{})
	if len(all) == 0 {
		w.stale(err)
		return nil
	}
	w.must(err)
	for i := range all {
		all[i].ID = 0
		slices.Sort(all[i].Folders)
	}
	return all
}

// drop takes what is due as told.
func (w *world) drop() {
	w.t.Helper()
	all, err := w.DueCopies(w.t.Context(), 100, engine.Handle{})
	w.must(err)
	w.must(w.CopiesDropped(w.t.Context(), all, engine.Handle{}))
}

// waits counts the jobs that have not begun.
func (w *world) waits() int { return w.jobs("purge", "available") + w.jobs("purge", "scheduled") }

func TestACDNIsToldTwiceOfWhatIsDeleted(t *testing.T) {
	each(t, func(w *world) {
		w.purging()
		id := w.received("a.mp4")
		w.published(id, 1)
		p, gone := w.playback(video.PlaybackForm{Video: id}), w.playback(video.PlaybackForm{Video: id})
		w.must(w.RevokePlayback(t.Context(), id, gone.ID))
		w.forget("purge", "purge_job")
		w.must(w.Delete(t.Context(), id, nil))
		if w.waits() != 1 {
			w.t.Errorf("%d jobs, want one", w.waits())
		}
		if early := w.told(0); early != nil {
			w.t.Errorf("told while edges still remember: %+v", early)
		}
		want := []video.Copies{{Video: id, Folders: []string{"a-" + string(id), string(p.ID)}, Again: true}}
		if got := w.told(dropAfter); !reflect.DeepEqual(got, want) {
			w.t.Errorf("%+v, want %+v", got, want)
		}
		w.must(w.Remove(t.Context(), id, engine.Handle{})) // the rows of the video and its playbacks go
		w.drop()
		if early := w.told(dropAfter); early != nil {
			w.t.Errorf("told again at once: %+v", early)
		}
		want[0].Again = false
		if got := w.told(dropAgain); !reflect.DeepEqual(got, want) {
			w.t.Errorf("the second time %+v, want %+v", got, want)
		}
		w.drop()
		if more := w.told(24 * time.Hour); more != nil {
			w.t.Errorf("told a third time: %+v", more)
		}
	})
}

// forget ends what is noted so far, and the jobs of it.
func (w *world) forget(tables ...string) {
	w.t.Helper()
	w.must(w.write(w.t.Context(), func(t tx) error {
		for _, from := range append(tables, "river_job WHERE kind = 'purge'") {
			if _, err := t.raw.ExecContext(w.t.Context(), `DELETE FROM `+from); err != nil {
				return err
			}
		}
		return nil
	}))
}

func TestACDNIsToldOfWhatItsCopiesAreWrongBy(t *testing.T) {
	each(t, func(w *world) {
		w.purging()
		id := w.received("a.mp4")
		early := w.playback(video.PlaybackForm{Video: id})
		open, cap := video.Public, 720
		edit := func(e video.Edit) func() error {
			return func() error { _, err := w.Edit(t.Context(), id, e); return err }
		}
		other := func(p video.PlaybackForm, e video.PlaybackEdit) func() error {
			return func() error { _, err := w.EditPlayback(t.Context(), id, p.ID, e); return err }
		}
		w.must(edit(video.Edit{Policy: &open})())
		w.must(other(early, video.PlaybackEdit{Policy: &open})())
		w.must(w.RevokePlayback(t.Context(), id, early.ID))
		if got := w.told(dropAfter); got != nil {
			w.t.Errorf("of a video that never was published: %+v", got)
		}

		w.published(id, 1)
		folder := "a-" + string(id)
		p, q := w.playback(video.PlaybackForm{Video: id}), w.playback(video.PlaybackForm{Video: id})
		form := w.playback(video.PlaybackForm{Video: id, Base: string(p.ID), MaxResolution: 480})
		sorted := func(of ...string) []string { slices.Sort(of); return of }
		everything := []video.Copies{{Video: id, Folders: sorted(folder, string(p.ID), string(q.ID), string(form.ID)), Again: true}}
		ofP := []video.Copies{{Video: id, Folders: sorted(string(p.ID), string(form.ID)), Playbacks: true, Again: true}}
		title, signed, name := "T", video.Signed, "N"
		for what, c := range map[string]struct {
			do   func() error
			want []video.Copies
		}{
			"another title":              {edit(video.Edit{Title: &title}), nil},
			"the same policy":            {edit(video.Edit{Policy: &open}), nil},
			"another name of a playback": {other(p, video.PlaybackEdit{Name: &name}), nil},
			"another policy": {func() error {
				return errors.Join(edit(video.Edit{Policy: &signed})(), edit(video.Edit{Policy: &open})())
			}, everything},
			"another policy of a playback": {other(p, video.PlaybackEdit{Policy: &signed}), ofP},
			"other pages of a playback":    {other(p, video.PlaybackEdit{Origins: &[]string{"https://a.example"}}), ofP},
			"another cap of a playback":    {other(p, video.PlaybackEdit{MaxResolution: &cap}), ofP},
			"somebody asks":                {func() error { return w.DropCopies(t.Context(), id) }, everything},
		} {
			w.forget("purge", "purge_job")
			w.must(c.do())
			got := w.told(dropAfter)
			if len(got) > 1 { // it was changed back
				got = got[:1]
			}
			if !reflect.DeepEqual(got, c.want) {
				w.t.Errorf("%s: %+v, want %+v", what, got, c.want)
			}
		}
		w.forget("purge", "purge_job")
		w.must(w.RevokePlayback(t.Context(), id, p.ID))
		if got := w.told(dropAfter); !reflect.DeepEqual(got, ofP) {
			w.t.Errorf("revoked: %+v, want %+v", got, ofP)
		}

		_, err := w.Encode(t.Context(), id, video.Settings{}, func(int) []engine.Job { return nil })
		w.must(err)
		w.published(id, 2)
		_, err = w.Encode(t.Context(), id, video.Settings{}, func(int) []engine.Job { return nil })
		w.must(err)
		w.planned(id, 3)
		w.must(w.failed(func() video.StepRef { ref := parts(id, 3)[0]; w.begin(ref); return ref }(), true))
		w.forget("purge", "purge_job")
		for _, n := range []int{1, 3} { // the second of which nobody ever could watch
			_, err = w.Retirable(t.Context(), id, n, engine.Handle{})
			w.must(err)
			w.must(w.Retire(t.Context(), id, n, engine.Handle{}))
		}
		want := []video.Copies{{Video: id, Generation: 1, Folders: sorted(folder, string(q.ID)), Again: true}}
		if got := w.told(dropAfter); !reflect.DeepEqual(got, want) {
			w.t.Errorf("retired: %+v, want %+v", got, want)
		}
	})
}

func TestOneJobTellsACDNOfAllThatIsNoted(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		w.refused(w.DropCopies(t.Context(), id), fault.Conflict, "no_purge")
		w.published(id, 1)
		open := video.Public
		_, err := w.Edit(t.Context(), id, video.Edit{Policy: &open})
		w.must(err)
		if got := w.told(dropAfter); got != nil {
			w.t.Errorf("noted though no CDN is told: %+v", got)
		}
		w.purging()
		w.refused(w.DropCopies(t.Context(), video.NewID(w.now())), fault.NotFound, "no_video")
		for range 3 {
			w.must(w.DropCopies(t.Context(), id))
		}
		if w.waits() != 1 {
			w.t.Errorf("%d jobs for three demands", w.waits())
		}
		if got := w.told(dropAfter); len(got) != 3 {
			w.t.Fatalf("%+v", got)
		}
		// What comes while the job is at it is its successor's.
		first, err := w.DueCopies(t.Context(), 2, engine.Handle{})
		w.must(err)
		w.must(w.DropCopies(t.Context(), id))
		if len(first) != 2 || w.waits() != 1 {
			w.t.Errorf("%d at once, %d jobs", len(first), w.waits())
		}
		w.must(w.CopiesDropped(t.Context(), first, engine.Handle{}))
		if got := w.told(dropAfter); len(got) != 2 {
			w.t.Errorf("left are %+v", got)
		}
		// A twin that told the same later neither ends nor puts off what is due once more.
		w.must(w.CopiesDropped(t.Context(), first, engine.Handle{}))
		if got := w.told(dropAgain - dropAfter); len(got) != 4 {
			w.t.Errorf("the second time: %+v", got)
		}

		// A job that was lost is found to be after a while.
		w.forget("purge", "purge_job")
		w.must(w.DropCopies(t.Context(), id))
		if woken, err := w.WakePurge(t.Context()); err != nil || woken {
			w.t.Errorf("a job beside one that is there: %v, %v", woken, err)
		}
		w.forget()
		w.clock.Add((overdue + dropAfter).Milliseconds())
		if woken, err := w.WakePurge(t.Context()); err != nil || !woken || w.waits() != 1 {
			w.t.Errorf("a lost job: %v, %v, %d jobs", woken, err, w.waits())
		}
	})
}

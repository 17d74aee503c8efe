package catalog

import (
	"reflect"
	"sync"
	"testing"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func (w *world) playback(p video.PlaybackForm) video.PlaybackForm {
	w.t.Helper()
	p.ID = video.NewPlaybackID(w.now())
	made, err := w.AddPlayback(w.t.Context(), p)
	w.must(err)
	return made
}

// inForce is a playback as the edge is told of it.
func (w *world) inForce(id video.PlaybackID) video.Playback {
	w.t.Helper()
	p, _, err := w.Playback(w.t.Context(), string(id), 1)
	w.must(err)
	return p
}

func TestAPlaybackIsOneMoreWayToWatchAVideo(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		p := w.playback(video.PlaybackForm{Video: id, Name: "Partner <b>", Policy: video.Public, Origins: []string{"https://a.example"}, MaxResolution: 720})
		v := w.video(id)
		want := video.Playback{ID: p.ID, Video: id, Prefix: v.Prefix, Owner: v.Owner, Workspace: v.Workspace, Policy: video.Public, Origins: p.Origins, MaxResolution: 720}
		if got, served, err := w.PlaybackByID(t.Context(), p.ID, 1); err != nil || served || !reflect.DeepEqual(got, want) {
			w.t.Errorf("before it is published: %+v, %v, %v", got, served, err)
		}
		w.published(id, 1)
		want.Ready = true
		if got, served, err := w.PlaybackByID(t.Context(), p.ID, 1); err != nil || !served || !reflect.DeepEqual(got, want) {
			w.t.Errorf("%+v, %v, %v", got, served, err)
		}
		all, err := w.Playbacks(t.Context(), id)
		w.must(err)
		if !reflect.DeepEqual(all, []video.PlaybackForm{p}) {
			w.t.Errorf("listed %+v, want %+v", all, p)
		}
		none, members, cap := "", video.Policy(""), 0
		edited, err := w.EditPlayback(t.Context(), id, p.ID, video.PlaybackEdit{Name: &none, Policy: &members, Origins: &[]string{}, MaxResolution: &cap})
		w.must(err)
		if got := w.inForce(p.ID); edited.Name != "" || got.Policy != v.Policy || got.Origins != nil || got.MaxResolution != 0 {
			w.t.Errorf("after the edit: %+v, in force %+v", edited, got)
		}
		w.must(w.RevokePlayback(t.Context(), id, p.ID))
		if got := w.inForce(p.ID); !got.Revoked {
			w.t.Errorf("after it was revoked: %+v", got)
		}
		w.refused(w.RevokePlayback(t.Context(), id, p.ID), fault.NotFound, "no_playback")
		_, err = w.EditPlayback(t.Context(), id, p.ID, video.PlaybackEdit{})
		w.refused(err, fault.NotFound, "no_playback")
		other := w.received("b.mp4")
		q := w.playback(video.PlaybackForm{Video: other})
		_, err = w.PlaybackForm(t.Context(), id, q.ID)
		w.refused(err, fault.NotFound, "no_playback")
		if got := w.inForce(video.NewPlaybackID(w.now())); !reflect.DeepEqual(got, video.Playback{}) {
			w.t.Errorf("one that nobody made: %+v", got)
		}
	})
}

func TestASmallerFormFollowsWhatItIsAFormOf(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		base := w.playback(video.PlaybackForm{Video: id, Policy: video.Members, Origins: []string{"https://a.example"}, MaxResolution: 1080})
		var all sync.WaitGroup
		forms := make([]video.PlaybackForm, 8)
		for i := range forms {
			all.Go(func() {
				made, err := w.AddPlayback(t.Context(), video.PlaybackForm{ID: video.NewPlaybackID(w.now()), Video: id, Base: string(base.ID), MaxResolution: 480})
				if err != nil {
					w.t.Error(err)
				}
				forms[i] = made
			})
		}
		all.Wait()
		form := forms[0]
		for _, f := range forms {
			if f.ID != form.ID {
				w.t.Errorf("two forms of one cap: %s and %s", f.ID, form.ID)
			}
		}
		if got := w.inForce(form.ID); got.Policy != video.Members || got.MaxResolution != 480 || len(got.Origins) != 1 {
			w.t.Errorf("%+v", got)
		}
		signed, origins := video.Signed, []string{"https://b.example"}
		_, err := w.EditPlayback(t.Context(), id, base.ID, video.PlaybackEdit{Policy: &signed, Origins: &origins, MaxResolution: new(360)})
		w.must(err)
		if got := w.inForce(form.ID); got.Policy != video.Signed || got.MaxResolution != 360 || got.Origins[0] != origins[0] {
			w.t.Errorf("after the base changed: %+v", got)
		}
		_, err = w.EditPlayback(t.Context(), id, form.ID, video.PlaybackEdit{Policy: &signed})
		w.refused(err, fault.Conflict, "playback_follows")
		own := w.playback(video.PlaybackForm{Video: id, Base: string(id), MaxResolution: 480})
		if got := w.inForce(own.ID); own.ID == form.ID || got.Policy != w.video(id).Policy || got.Origins != nil {
			w.t.Errorf("of the video itself: %+v", got)
		}
		w.must(w.RevokePlayback(t.Context(), id, base.ID))
		if !w.inForce(form.ID).Revoked || w.inForce(own.ID).Revoked {
			w.t.Error("a form was not revoked with what it is a form of, or another was")
		}
		_, err = w.AddPlayback(t.Context(), video.PlaybackForm{ID: video.NewPlaybackID(w.now()), Video: id, Base: string(base.ID), MaxResolution: 480})
		w.refused(err, fault.NotFound, "no_playback")
	})
}

func TestPlaybacksGoWithTheirVideo(t *testing.T) {
	each(t, func(w *world) {
		id := w.received("a.mp4")
		p := w.playback(video.PlaybackForm{Video: id})
		w.must(w.Delete(t.Context(), id, nil))
		if got := w.inForce(p.ID); got.ID != "" {
			w.t.Errorf("of a deleted video: %+v", got)
		}
		_, err := w.AddPlayback(t.Context(), video.PlaybackForm{ID: video.NewPlaybackID(w.now()), Video: id})
		w.refused(err, fault.NotFound, "no_video")
		w.must(w.Remove(t.Context(), id, engine.Handle{}))
		if all, err := w.Playbacks(t.Context(), id); err != nil || len(all) != 0 {
			w.t.Errorf("%+v, %v", all, err)
		}
	})
}

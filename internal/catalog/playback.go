package catalog

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// mostPlaybacks bounds the playbacks of a video, with those that were revoked.
const mostPlaybacks = 1000

// Playbacks returns all playbacks of a video, with those that were revoked, the oldest first.
func (s *Store) Playbacks(ctx context.Context, id video.ID) (all []video.PlaybackForm, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		rows, err := q.Playbacks(ctx, string(id))
		for i := 0; i < len(rows) && err == nil; i++ {
			var p video.PlaybackForm
			p, err = formOf(rows[i])
			all = append(all, p)
		}
		return err
	})
	return all, err
}

// AddPlayback makes a playback of its video. One with a base is made once for each base and cap: the one that is there is returned. fault.NotFound where the video or the
// base is not there, fault.Conflict where there are too many.
func (s *Store) AddPlayback(ctx context.Context, p video.PlaybackForm) (made video.PlaybackForm, err error) {
	slot := string(p.ID)
	if p.Base != "" {
		slot = fmt.Sprintf("%s/%s/%d", p.Video, p.Base, p.MaxResolution)
	}
	origins, err := listed(p.Origins)
	if err != nil {
		return p, err
	}
	err = s.write(ctx, func(t tx) error {
		if _, err := t.lock(ctx, "catalog.playback", p.Video); err != nil {
			return err
		}
		if p.Base != "" && p.Base != string(p.Video) {
			if _, err := t.playback(ctx, p.Video, video.PlaybackID(p.Base)); err != nil {
				return err
			}
		}
		row, err := t.PlaybackOfSlot(ctx, slot)
		if err == nil {
			made, err = formOf(row)
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		n, err := t.CountPlaybacks(ctx, string(p.Video))
		if err != nil {
			return err
		}
		if n >= mostPlaybacks {
			return fault.New(fault.Conflict, "catalog.playback", "too_many_playbacks", "This video has had 1,000 playback ids; use one for more than one page.", nil)
		}
		if _, err := t.InsertPlayback(ctx, sqlc.InsertPlaybackParams{ID: string(p.ID), Video: string(p.Video), Base: p.Base, Name: p.Name, Policy: string(p.Policy),
			Origins: origins, MaxResolution: int64(p.MaxResolution), Created: t.now, Slot: slot}); err != nil {
			return err
		}
		if row, err = t.PlaybackOfSlot(ctx, slot); err != nil {
			return err
		}
		if made, err = formOf(row); err != nil || p.Base != "" {
			return err
		}
		return t.event(ctx, string(p.Video), event.PlaybackMade, playbackFields(made))
	})
	return made, err
}

// PlaybackForm returns one playback that is not revoked; fault.NotFound for none.
func (s *Store) PlaybackForm(ctx context.Context, id video.ID, p video.PlaybackID) (form video.PlaybackForm, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		form, err = (tx{Queries: q}).playback(ctx, id, p)
		return err
	})
	return form, err
}

// EditPlayback changes a playback that is not revoked. Forms that grants made follow what they are forms of, and can't be changed.
func (s *Store) EditPlayback(ctx context.Context, id video.ID, p video.PlaybackID, edit video.PlaybackEdit) (form video.PlaybackForm, err error) {
	err = s.write(ctx, func(t tx) error {
		v, err := t.lock(ctx, "catalog.playback", id)
		if err != nil {
			return err
		}
		if form, err = t.playback(ctx, id, p); err != nil {
			return err
		}
		was := form
		if form.Base != "" {
			return fault.New(fault.Conflict, "catalog.playback", "playback_follows", "Grants with a cap made this playback id, and it follows the one that they were for; change that one.", nil)
		}
		form.Name, form.Policy = *cmp.Or(edit.Name, &form.Name), *cmp.Or(edit.Policy, &form.Policy)
		form.Origins, form.MaxResolution = *cmp.Or(edit.Origins, &form.Origins), *cmp.Or(edit.MaxResolution, &form.MaxResolution)
		origins, err := listed(form.Origins)
		if err != nil {
			return err
		}
		if err := t.Queries.EditPlayback(ctx, sqlc.EditPlaybackParams{ID: string(p), Name: form.Name, Policy: string(form.Policy), Origins: origins,
			MaxResolution: int64(form.MaxResolution)}); err != nil {
			return err
		}
		if form.Policy != was.Policy || form.MaxResolution != was.MaxResolution || !slices.Equal(form.Origins, was.Origins) {
			if err := t.dropPlayback(ctx, v, p); err != nil {
				return err
			}
		}
		return t.event(ctx, string(id), event.PlaybackChanged, playbackFields(form))
	})
	return form, err
}

// RevokePlayback ends a playback for ever, and the smaller forms of it.
func (s *Store) RevokePlayback(ctx context.Context, id video.ID, p video.PlaybackID) error {
	return s.write(ctx, func(t tx) error {
		v, err := t.lock(ctx, "catalog.playback", id)
		if err != nil {
			return err
		}
		form, err := t.playback(ctx, id, p)
		if err != nil {
			return err
		}
		if err := t.dropPlayback(ctx, v, p); err != nil { // before: the forms that go with it are those that are not revoked
			return err
		}
		if err := t.Queries.RevokePlayback(ctx, sqlc.RevokePlaybackParams{ID: string(p), Revoked: t.now}); err != nil {
			return err
		}
		return t.event(ctx, string(id), event.PlaybackRevoked, playbackFields(form))
	})
}

// playback is one of a video that is not revoked.
func (t tx) playback(ctx context.Context, id video.ID, p video.PlaybackID) (video.PlaybackForm, error) {
	row, err := t.PlaybackOf(ctx, sqlc.PlaybackOfParams{Video: string(id), ID: string(p)})
	if errors.Is(err, sql.ErrNoRows) || err == nil && row.Revoked != 0 {
		return video.PlaybackForm{}, fault.New(fault.NotFound, "catalog.playback", "no_playback", "This video has no such playback id, or it was revoked.", nil)
	}
	if err != nil {
		return video.PlaybackForm{}, err
	}
	return formOf(row)
}

// listed writes a list; ” for an empty one.
func listed(all []string) (string, error) {
	if len(all) == 0 {
		return "", nil
	}
	return marshal(all)
}

func playbackFields(p video.PlaybackForm) fields {
	return fields{"playback": p.ID, "policy": p.Policy, "origins": p.Origins, "max_resolution": p.MaxResolution}
}

func formOf(r sqlc.Playback) (video.PlaybackForm, error) {
	p := video.PlaybackForm{ID: video.PlaybackID(r.ID), Video: video.ID(r.Video), Base: r.Base, Name: r.Name, Policy: video.Policy(r.Policy),
		MaxResolution: int(r.MaxResolution), Created: timeOf(r.Created), Revoked: timeOf(r.Revoked)}
	return p, unmarshal(r.Origins, &p.Origins)
}

// PlaybackByID is the playback of that id, the zero Playback where there is none, as it and what it is a form of say together; and whether viewers may have generation n of
// its video.
func (s *Store) PlaybackByID(ctx context.Context, id video.PlaybackID, n int) (p video.Playback, served bool, err error) {
	err = s.read(ctx, func(q *sqlc.Queries) error {
		r, err := q.PlaybackInForce(ctx, sqlc.PlaybackInForceParams{ID: string(id), N: int64(n)})
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		p = video.Playback{ID: id, Video: video.ID(r.ID), Prefix: r.Prefix, Owner: r.Owner, Workspace: r.Workspace, Ready: video.Status(r.Status) == video.Ready,
			Policy:        video.Policy(cmp.Or(r.Policy, r.BasePolicy, r.Playback)),
			MaxResolution: video.LowerCap(int(r.MaxResolution), int(r.BaseResolution)), Revoked: r.Revoked != 0}
		served = r.State == published || r.State == superseded
		return unmarshal(cmp.Or(r.Origins, r.BaseOrigins), &p.Origins)
	})
	return p, served, err
}

package catalog

import (
	"context"
	"path"
	"time"

	"sluice/internal/catalog/sqlc"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// PurgeJob makes the job that tells a CDN which copies to drop, not before a moment (at once where it is zero).
type PurgeJob func(after time.Time) engine.Job

// PurgesBy has a CDN told by jobs of the copies that it is to drop, first when the edge has given up what it remembers (after), and once more later (again): an edge
// that was cut off from the database goes on for longer. Without it nothing is noted. It must be called before the store is used.
func (s *Store) PurgesBy(job PurgeJob) { s.purge = job }

const (
	// dropAfter is when no edge answers any more by what it remembered: two seconds (delivery.freshFor), and the time of an answer.
	dropAfter = 3 * time.Second
	// dropAgain is when that holds for edges too which could not ask: a minute (delivery.keptFor), and the time of a long answer.
	dropAgain = 90 * time.Second
)

// dropVideo notes that all copies of a video are to go, if there can be any.
func (t tx) dropVideo(ctx context.Context, v sqlc.Video) error {
	if v.Playable == 0 {
		return nil
	}
	return t.dropAll(ctx, v, 0)
}

// dropGeneration notes that the copies of one generation are to go, if it ever was published.
func (t tx) dropGeneration(ctx context.Context, v sqlc.Video, n int64) error {
	g, err := t.Generation(ctx, sqlc.GenerationParams{Video: v.ID, N: n})
	if err != nil || g.Output == "" {
		return err
	}
	return t.dropAll(ctx, v, n)
}

// dropAll notes that the copies of all generations (0), or of one, are to go, by whatever address they were asked for.
func (t tx) dropAll(ctx context.Context, v sqlc.Video, n int64) error {
	folders := []string{path.Base(v.Prefix)}
	all, err := t.Queries.Playbacks(ctx, v.ID)
	for _, p := range all {
		if p.Revoked == 0 { // the copies of others were dropped then
			folders = append(folders, p.ID)
		}
	}
	if err != nil {
		return err
	}
	return t.drop(ctx, sqlc.InsertPurgeParams{Video: v.ID, Generation: n}, folders)
}

// dropPlayback notes that the copies of a playback, and of the smaller forms of it, are to go, if there can be any.
func (t tx) dropPlayback(ctx context.Context, v sqlc.Video, p video.PlaybackID) error {
	if v.Playable == 0 {
		return nil
	}
	var folders []string
	all, err := t.Queries.Playbacks(ctx, v.ID)
	for _, one := range all {
		if one.Revoked == 0 && (one.ID == string(p) || one.Base == string(p)) {
			folders = append(folders, one.ID)
		}
	}
	if err != nil {
		return err
	}
	return t.drop(ctx, sqlc.InsertPurgeParams{Video: v.ID, Playbacks: 1}, folders)
}

// drop notes copies, with the job that tells the CDN of them.
func (t tx) drop(ctx context.Context, p sqlc.InsertPurgeParams, folders []string) (err error) {
	if t.store.purge == nil {
		return nil
	}
	if p.Folders, err = listed(folders); err != nil {
		return err
	}
	p.Due = t.now + dropAfter.Milliseconds()
	due, err := t.LockPurgeJob(ctx)
	if err != nil {
		return err
	}
	if err := t.InsertPurge(ctx, p); err != nil {
		return err
	}
	return t.tellOf(ctx, due)
}

// tellOf inserts the job that tells of what is noted, unless there is one that is due as soon. due is that one's, as LockPurgeJob says.
func (t tx) tellOf(ctx context.Context, due int64) error {
	next, err := t.NextPurge(ctx)
	if err != nil || t.store.purge == nil || next == 0 {
		return err
	}
	next = max(next, t.now)
	if due > t.now-overdue.Milliseconds() && due <= next {
		return nil
	}
	if err := t.SetPurgeJob(ctx, next); err != nil {
		return err
	}
	after := timeOf(next)
	if next == t.now {
		after = time.Time{} // one that names a time at all waits for River's scheduler
	}
	return t.insert(ctx, video.Admin, []engine.Job{t.store.purge(after)})
}

// DueCopies returns up to limit copies that a CDN is to drop now. See purge.Store.
func (s *Store) DueCopies(ctx context.Context, limit int, done engine.Handle) (all []video.Copies, err error) {
	err = s.end(ctx, engine.Handle{}, func(t tx) error {
		all = nil
		if _, err := t.LockPurgeJob(ctx); err != nil {
			return err
		}
		rows, err := t.DuePurges(ctx, sqlc.DuePurgesParams{Now: t.now, Most: page(limit)})
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			if err := t.rest(ctx); err != nil {
				return err
			}
			return t.nothing(ctx, done)
		}
		for _, r := range rows {
			c := video.Copies{ID: r.ID, Video: video.ID(r.Video), Generation: int(r.Generation), Playbacks: r.Playbacks != 0, Again: r.Again != 0}
			if err := unmarshal(r.Folders, &c.Folders); err != nil {
				return err
			}
			all = append(all, c)
		}
		return t.SetPurgeJob(ctx, t.now)
	})
	return all, err
}

// rest has what is left told later, where the one job that there was is over.
func (t tx) rest(ctx context.Context) error {
	if err := t.SetPurgeJob(ctx, 0); err != nil {
		return err
	}
	return t.tellOf(ctx, 0)
}

// CopiesDropped notes that a CDN was told of copies; where done is a job, it is over. See purge.Store.
func (s *Store) CopiesDropped(ctx context.Context, told []video.Copies, done engine.Handle) error {
	return s.write(ctx, func(t tx) error {
		if _, err := t.LockPurgeJob(ctx); err != nil {
			return err
		}
		for _, c := range told {
			var err error
			if c.Again {
				err = t.TellPurgeAgain(ctx, sqlc.TellPurgeAgainParams{ID: c.ID, Due: t.now + dropAgain.Milliseconds()})
			} else {
				err = t.EndPurge(ctx, c.ID)
			}
			if err != nil {
				return err
			}
		}
		if done.ID() == 0 {
			return nil
		}
		if err := t.rest(ctx); err != nil {
			return err
		}
		return t.complete(ctx, done)
	})
}

// WakePurge inserts the job that tells a CDN of what is noted and has none, because that was lost. It reports whether it did.
func (s *Store) WakePurge(ctx context.Context) (woken bool, err error) {
	err = s.write(ctx, func(t tx) error {
		due, err := t.LockPurgeJob(ctx)
		if err != nil {
			return err
		}
		if err := t.tellOf(ctx, due); err != nil {
			return err
		}
		now, err := t.LockPurgeJob(ctx)
		woken = now != due
		return err
	})
	return woken, err
}

// DropCopies notes that all copies of a video are to go, because somebody asks for it. fault.Conflict, code "no_purge", where no CDN is told.
func (s *Store) DropCopies(ctx context.Context, id video.ID) error {
	return s.write(ctx, func(t tx) error {
		if s.purge == nil {
			return fault.New(fault.Conflict, "catalog.purge", "no_purge", "This server tells no CDN; set cdn.purge_url and what belongs to it.", nil)
		}
		v, err := t.lock(ctx, "catalog.purge", id)
		if err != nil {
			return err
		}
		return t.dropAll(ctx, v, 0)
	})
}

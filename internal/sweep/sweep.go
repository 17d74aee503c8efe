// Package sweep finds what nobody needs any more and removes it: grants that were never used, multipart uploads that were never completed, pinned
// sources of no video, outputs of no generation, scratch of no step, and records of failures long ago.
//
// Promise. What a video, an upload or a step still uses is never touched. Age alone condemns nothing that the records know: a grant goes by a fenced
// move, a generation by the job that retires it, and outputs only if the records, read after the storage was listed, have no such video or generation (rows
// are written before objects, and ids are never used again). Clocks of machines, storage and database may differ by an hour, for what is younger than After is left alone, and
// After is at least three hours.
//
// Cost. One listing of the folders of all videos, one look-up for each, and a listing of the objects of those that are leftovers. Several may run at
// once: each removal can be repeated.
//
// Failure. A sweep that breaks off has removed a part, and the next one goes on.
package sweep

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Kind says what is left over.
type Kind string

// The kinds.
const (
	Upload     Kind = "upload"     // a grant that was never used, and the video that waits for it
	Multipart  Kind = "multipart"  // a multipart upload that nobody goes on with
	Pin        Kind = "pin"        // a pinned source of no video
	Generation Kind = "generation" // outputs of a generation, or a video, that is over
	Scratch    Kind = "scratch"    // files of a step that is over
	Record     Kind = "record"     // failed attempts, or notices, that are told long enough
)

// Item is one thing that is left over.
type Item struct {
	Kind  Kind
	Name  string    // a video's id, a key, a folder of keys, a name in scratch, or how many records of what
	Bytes int64     // 0 where that isn't known
	Since time.Time // of its last change
}

// Store is what a sweep needs of the records. Each method is one transaction.
type Store interface {
	// Abandoned returns up to limit uploads whose grant ended before then, whose video still waits for its source, and whose video's id is above after.
	Abandoned(ctx context.Context, before time.Time, after video.ID, limit int) ([]video.Upload, error)
	// Abandon removes a video that still waits for its source, with its upload; false where it waits no more.
	Abandon(ctx context.Context, id video.ID) (bool, error)
	// Remains tells what the records know of a video, also of a deleted one.
	Remains(ctx context.Context, id video.ID) (video.ObjectsToDelete, error)
	// Enqueue inserts jobs.
	Enqueue(ctx context.Context, jobs []engine.Job) error
}

// History is what the records keep of what happened. Each method is one transaction.
type History interface {
	// Aged tells of failed attempts, and of notices that are told or wait, of before then.
	Aged(ctx context.Context, before time.Time) (event.Aged, error)
	// Forget removes up to limit of each, and reports whether there may be more.
	Forget(ctx context.Context, before time.Time, limit int) (more bool, err error)
}

// Objects is what a sweep needs of the storage.
type Objects interface {
	Head(ctx context.Context, bucket, key string) (bucket.Object, error)
	List(ctx context.Context, bucket, prefix string) iter.Seq2[bucket.Object, error]
	Folders(ctx context.Context, bucket, prefix string) iter.Seq2[string, error]
	DeletePrefix(ctx context.Context, bucket, prefix string) (int, error)
	Parts
}

// Parts is the storage's uploads in parts.
type Parts interface {
	Multiparts(ctx context.Context, bucket string) iter.Seq2[bucket.Multipart, error]
	Abort(ctx context.Context, m bucket.Multipart) error
	// ListParts returns the parts that a multipart upload has; fault.NotFound where there is no such upload.
	ListParts(ctx context.Context, m bucket.Multipart) ([]bucket.Part, error)
}

// Config is what a Sweeper is made from.
type Config struct {
	Store       Store
	History     History
	Objects     Objects
	Uploads     string        // the bucket of sources
	Media       string        // the bucket of outputs
	After       time.Duration // how long something must have been left alone
	RetireAfter time.Duration // how much longer viewers keep a generation that was replaced
	ForgetAfter time.Duration // how long failed attempts and notices are kept; 0 for ever
	// Pins finds, and removes where told to, pinned sources older than that which belong to no video.
	Pins    func(ctx context.Context, older time.Duration, remove bool) ([]bucket.Object, error)
	Scratch string                // the folder of this process's files under way
	InUse   func(dir string) bool // whether a step of this process works in a folder of Scratch
	// Retire makes the job that removes a generation, and Delete those that remove a deleted video.
	Retire func(id video.ID, generation int) engine.Job
	Delete func(id video.ID, prefix string) []engine.Job
	Now    func() time.Time
	Logger *slog.Logger
}

// Sweeper sweeps.
type Sweeper struct{ Config }

// New makes a Sweeper.
func New(c Config) *Sweeper { return &Sweeper{c} }

// Sweep returns what is left over, and removes it where told to. One thing that can't be removed doesn't hold up the others: the errors come joined, with
// what was found beside them.
func (s *Sweeper) Sweep(ctx context.Context, remove bool) (found []Item, err error) {
	var errs []error
	for _, part := range []func(context.Context, bool) ([]Item, error){s.uploads, s.multiparts, s.pins, s.outputs, s.scratch, s.records} {
		items, err := part(ctx, remove)
		found, errs = append(found, items...), append(errs, err)
		if ctx.Err() != nil {
			return found, ctx.Err()
		}
	}
	if remove {
		for _, i := range found {
			s.Logger.Info("leftover removed", "kind", i.Kind, "name", i.Name, "bytes", i.Bytes, "since", i.Since)
		}
	}
	return found, errors.Join(errs...)
}

// old reports whether something was left alone for long enough.
func (s *Sweeper) old(since time.Time) bool { return s.Now().Sub(since) > s.After }

const page = 500

// uploads finds grants that were never used. One whose object is there after all is the reconciler's.
func (s *Sweeper) uploads(ctx context.Context, remove bool) (found []Item, err error) {
	var after video.ID
	for {
		all, err := s.Store.Abandoned(ctx, s.Now().Add(-s.After), after, page)
		if err != nil || len(all) == 0 {
			return found, err
		}
		for _, up := range all {
			after = up.Video
			if _, err := s.Objects.Head(ctx, up.Bucket, up.Key); err == nil {
				continue
			} else if !fault.Is(err, fault.NotFound) {
				return found, err
			}
			alive, err := s.alive(ctx, up)
			if err != nil {
				return found, err
			}
			if alive {
				continue
			}
			if remove {
				gone, err := s.Store.Abandon(ctx, up.Video)
				if err != nil {
					return found, err
				}
				if !gone {
					continue
				}
			}
			found = append(found, Item{Kind: Upload, Name: string(up.Video), Since: up.Expires})
		}
	}
}

// alive reports whether the source of a grant comes in parts and the storage still has its multipart upload: it takes
// parts for longer than a grant lasts. multiparts aborts it when no part comes, and the next sweep removes the grant.
func (s *Sweeper) alive(ctx context.Context, up video.Upload) (bool, error) {
	if up.Multipart == "" {
		return false, nil
	}
	_, err := s.Objects.ListParts(ctx, bucket.Multipart{Bucket: up.Bucket, Key: up.Key, ID: up.Multipart})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// multiparts finds uploads in parts of which no part has come for long.
func (s *Sweeper) multiparts(ctx context.Context, remove bool) (found []Item, err error) {
	for _, name := range []string{s.Uploads, s.Media} {
		for m, err := range s.Objects.Multiparts(ctx, name) {
			if err != nil {
				return found, err
			}
			if !s.old(m.Changed) {
				continue
			}
			if remove {
				if err := s.Objects.Abort(ctx, m); err != nil {
					return found, err
				}
			}
			found = append(found, Item{Kind: Multipart, Name: m.Bucket + "/" + m.Key, Bytes: m.Bytes, Since: m.Changed})
		}
	}
	return found, nil
}

// records finds failed attempts and notices of long ago.
func (s *Sweeper) records(ctx context.Context, remove bool) (found []Item, err error) {
	if s.ForgetAfter == 0 {
		return nil, nil
	}
	before := s.Now().Add(-s.ForgetAfter)
	aged, err := s.History.Aged(ctx, before)
	if err != nil {
		return nil, err
	}
	if aged.Errors > 0 {
		found = append(found, Item{Kind: Record, Name: strconv.Itoa(aged.Errors) + " failed attempts", Since: aged.FirstError})
	}
	if aged.Notices > 0 {
		found = append(found, Item{Kind: Record, Name: strconv.Itoa(aged.Notices) + " notices", Since: aged.FirstNotice})
	}
	for more := remove && len(found) > 0; more; {
		if more, err = s.History.Forget(ctx, before, page); err != nil {
			return nil, err
		}
	}
	return found, nil
}

func (s *Sweeper) pins(ctx context.Context, remove bool) (found []Item, err error) {
	pins, err := s.Pins(ctx, s.After, remove)
	for _, p := range pins {
		found = append(found, Item{Kind: Pin, Name: p.Key, Bytes: p.Size, Since: p.Modified})
	}
	return found, err
}

// idLength is how long a video's id is at the end of its folder.
const idLength = 26

// outputs finds folders of videos and generations that are over.
func (s *Sweeper) outputs(ctx context.Context, remove bool) (found []Item, err error) {
	for folder, err := range s.Objects.Folders(ctx, s.Media, "streams/") {
		if err != nil {
			return found, err
		}
		name := strings.TrimSuffix(folder, "/")
		id, ok := video.ParseID(name[max(0, len(name)-idLength):])
		if !ok { // not made by Sluice
			continue
		}
		items, err := s.folder(ctx, folder, id, remove)
		found = append(found, items...)
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// folder looks at the outputs of one video.
func (s *Sweeper) folder(ctx context.Context, folder string, id video.ID, remove bool) (found []Item, err error) {
	var numbers []string
	for sub, err := range s.Objects.Folders(ctx, s.Media, folder) {
		if err != nil {
			return nil, err
		}
		numbers = append(numbers, sub)
	}
	known, err := s.Store.Remains(ctx, id) // after the listing: what is listed had its row before
	if err != nil {
		return nil, err
	}
	if !known.Known || known.Deleting {
		i, old, err := s.weigh(ctx, folder)
		if err != nil || !old || known.Deleting && !s.old(known.Updated) {
			return nil, err
		}
		if remove && known.Deleting {
			err = s.Store.Enqueue(ctx, s.Delete(id, strings.TrimSuffix(folder, "/")))
		} else if remove {
			_, err = s.Objects.DeletePrefix(ctx, s.Media, folder)
		}
		return []Item{i}, err
	}
	attempts := folder + Attempts + "/"
	if i := slices.Index(numbers, attempts); i >= 0 {
		numbers = slices.Delete(numbers, i, i+1)
		if found, err = s.attempts(ctx, attempts, known, remove); err != nil {
			return found, err
		}
	}
	for _, sub := range numbers {
		n, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(sub, folder), "/"))
		if err != nil || n < 1 {
			continue
		}
		job, over := s.over(known, id, n)
		if !over {
			continue
		}
		i, old, err := s.weigh(ctx, sub)
		if err != nil {
			return found, err
		}
		if !old {
			continue
		}
		if remove && job != nil {
			err = s.Store.Enqueue(ctx, []engine.Job{*job})
		} else if remove {
			_, err = s.Objects.DeletePrefix(ctx, s.Media, sub)
		}
		if err != nil {
			return found, err
		}
		found = append(found, i)
	}
	return found, nil
}

// Attempts is the folder, beside the generations of a video, for what attempts put beside the objects of others.
const Attempts = "attempts"

// attempts looks at what attempts put beside the objects of others. Publish moves it to the generation, so that nothing
// of it is in use once that is published or
// retired; what is left is of attempts that lost. A failed generation keeps its own until it is retired: a redrive goes
// on with what its steps made.
func (s *Sweeper) attempts(ctx context.Context, folder string, known video.ObjectsToDelete, remove bool) (found []Item, err error) {
	for sub, err := range s.Objects.Folders(ctx, s.Media, folder) {
		if err != nil {
			return found, err
		}
		n, err := strconv.Atoi(strings.Trim(strings.TrimPrefix(sub, folder), "/"))
		if err != nil {
			continue
		}
		if g, ok := known.Generations[n]; ok && g.State != "published" && g.State != "superseded" && g.State != "retired" {
			continue
		}
		i, old, err := s.weigh(ctx, sub)
		if err != nil {
			return found, err
		}
		if !old {
			continue
		}
		if remove {
			if _, err := s.Objects.DeletePrefix(ctx, s.Media, sub); err != nil {
				return found, err
			}
		}
		found = append(found, i)
	}
	return found, nil
}

// over reports whether a generation is, and the job that removes it where its row has still to be told.
func (s *Sweeper) over(known video.ObjectsToDelete, id video.ID, n int) (*engine.Job, bool) {
	g, ok := known.Generations[n]
	retire := s.Retire(id, n)
	switch {
	case !ok, g.State == "retired":
		return nil, true
	case g.State == "failed", g.State == "canceled", g.State == "retiring": // the last where the job that removes it died
		return &retire, s.old(g.Updated)
	case g.State == "superseded":
		return &retire, s.Now().Sub(g.Updated) > s.After+s.RetireAfter
	default:
		return nil, false
	}
}

// weigh adds a folder up, and reports whether all of it was left alone for long enough.
func (s *Sweeper) weigh(ctx context.Context, folder string) (i Item, old bool, err error) {
	i = Item{Kind: Generation, Name: strings.TrimSuffix(folder, "/")}
	for o, err := range s.Objects.List(ctx, s.Media, folder) {
		if err != nil {
			return i, false, err
		}
		i.Bytes += o.Size
		if o.Modified.After(i.Since) {
			i.Since = o.Modified
		}
	}
	return i, !i.Since.IsZero() && s.old(i.Since), nil
}

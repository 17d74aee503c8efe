package upload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

const (
	// maxLooks bounds how often the server looks for the source of one grant by itself. A look that finds nothing costs
	// one
	// read of the records, one HEAD and, on a storage of its own, one listing of one key, which tells a missing object
	// from a
	// missing bucket.
	maxLooks = 9
	// lastLook is how long after the expiry of a grant the server looks for the last time. A PUT that ends later is
	// found by its complete call, its event or Reconcile.
	lastLook = 5 * time.Minute
	// lookPriority puts scheduled looks behind the notices of their queue, which name an object that is probably there.
	lookPriority = 3
	// lookKind is the kind of the job that looks for the source of one grant.
	lookKind = "look"
)

// lookArgs are the arguments of the job of one look.
type lookArgs struct {
	Video   video.ID `json:"video"`
	Number  int      `json:"number"`  // which look, from 0
	Granted int64    `json:"granted"` // epoch ms
	First   int64    `json:"first"`   // ms from the grant to the first look
	Last    int64    `json:"last"`    // ms from the grant to the last one
}

// due is when the look is made, and ok whether it is one of the schedule: each look comes twice as long after the grant
// as the one before, or later where a
// grant lasts so long that this would take more than maxLooks. It depends on no clock but the one that dated the grant.
func (a lookArgs) due() (at time.Time, ok bool) {
	factor := max(2, math.Pow(float64(a.Last)/float64(a.First), 1.0/(maxLooks-1)))
	offset := func(n int) int64 { return int64(math.Round(float64(a.First) * math.Pow(factor, float64(n)))) }
	if a.Number > 0 && offset(a.Number-1) >= a.Last || a.Number >= maxLooks {
		return time.Time{}, false
	}
	return time.UnixMilli(a.Granted + min(offset(a.Number), a.Last)).UTC(), true
}

// job is the look as a job, and when it is due; none after the last look.
func (a lookArgs) job() ([]engine.Job, time.Time) {
	at, ok := a.due()
	if !ok {
		return nil, time.Time{}
	}
	args, err := json.Marshal(a)
	if err != nil {
		panic(err) // plain strings and numbers
	}
	return []engine.Job{{Kind: lookKind, Args: args, Group: string(a.Video), Queue: EventQueue, Priority: lookPriority, After: at}}, at
}

// looks is the first look for the source of a grant; none where Config.FirstLook is 0.
func (d *Service) looks(id video.ID, granted time.Time) ([]engine.Job, time.Time) {
	if d.FirstLook == 0 {
		return nil, time.Time{}
	}
	last := max(d.Expiry+lastLook, d.FirstLook)
	return lookArgs{Video: id, Granted: granted.UnixMilli(), First: d.FirstLook.Milliseconds(), Last: last.Milliseconds()}.job()
}

// scheduled makes one scheduled look. A look that fails because the storage is away counts as one that found nothing,
// so that an outage adds no requests: the next
// look comes as scheduled, and after the last one Reconcile finds the object.
func (d *Service) scheduled(ctx context.Context, a engine.Attempt) error {
	var args lookArgs
	if err := json.Unmarshal(a.Job.Args, &args); err != nil {
		return fault.New(fault.Invalid, "upload.look", "bad_job", "The job's arguments are not those of a look.", err)
	}
	up, err := d.Store.Upload(ctx, args.Video)
	switch {
	case fault.Is(err, fault.NotFound): // deleted
		return nil
	case err != nil:
		return err
	case !up.Received.IsZero():
		return nil
	}
	err = d.find(ctx, up, d.head, func() error { return nil })
	if err == nil || ctx.Err() != nil {
		return err
	}
	d.Logger.Debug("a look found no source", "video", up.Video, "look", args.Number+1, "error", err)
	args.Number++
	jobs, at := args.job()
	return d.Store.Looked(ctx, up.Video, at, jobs, a.Handle)
}

const (
	// completing is how many complete calls of one process look at the storage at the same time, and how many copy.
	completing = 16
	// lookLimit bounds the wait for a turn to look, and after it the HEAD. Both and lookAgain together are shorter than
	// answerAfter.
	lookLimit = 4 * time.Second
	// answerAfter is how long a complete call waits: a pin on a foreign storage is a copy, which takes minutes for a
	// large source.
	answerAfter = 10 * time.Second
	// longestCopy bounds the work for one complete call: a copy for which no caller waits, and its turn.
	longestCopy = time.Hour
	// lookAgain is the shortest time between the end of a look that recorded nothing and the next look for that upload.
	lookAgain = time.Second
)

// completion runs the looks and copies for complete calls: one at a time for each upload, and at most completing of
// each kind.
// They have separate limits, so that long copies delay no look, and the time of a look is bounded in seconds.
type completion struct {
	flights singleflight.Group
	looks   *semaphore.Weighted
	copies  *semaphore.Weighted

	mu     sync.Mutex
	looked map[video.ID]time.Time // when the last look ended that recorded nothing
	found  map[video.ID]bool      // uploads whose file a look has found and whose copy has not ended
}

// Complete looks for the source of an upload, and records it as Created does. It returns true once the source is
// recorded, however often it is called, and false without an error where the look has found the file and its copy takes
// longer than answerAfter: the copy continues, and can still fail. A file that was stored before the call is found: the
// answer comes from a look that began after the call. Errors are fault.NotFound ("no_upload"), fault.Conflict
// ("not_uploaded", "wrong_size"), fault.Gone ("upload_expired"), fault.Unavailable ("storage_slow") where the storage
// does not say within seconds whether the file is there, and those of storage and records.
//
// It costs one read of the records; where the source isn't recorded, one look too: a HEAD, and on a storage of its own
// a listing of one key if the HEAD finds nothing. Calls for one upload share looks, and the next look comes lookAgain
// after one that recorded nothing, so a client that calls in a loop costs the storage one look a second.
func (d *Service) Complete(ctx context.Context, id video.ID) (received bool, err error) {
	asked := time.Now()
	up, err := d.Store.Upload(ctx, id)
	if err != nil {
		return false, err
	}
	if !up.Received.IsZero() {
		return true, nil
	}
	wait := time.NewTimer(answerAfter)
	defer wait.Stop()
	for {
		result := d.completion.flights.DoChan(string(id), func() (any, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestCopy)
			defer cancel()
			began, err := d.complete(ctx, up)
			d.completion.ended(id, err)
			return began, err
		})
		select {
		case r := <-result:
			// A look that began before the call can have missed the file. The next one begins after this one ended.
			if began, _ := r.Val.(time.Time); r.Err != nil && r.Shared && !began.IsZero() && began.Before(asked) {
				continue
			}
			return r.Err == nil, r.Err
		case <-wait.C:
			if !d.completion.copying(id) {
				return false, slow(nil)
			}
			return false, nil
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// complete looks for the source of an upload when it is its turn, and then copies and records it when it is its turn.
// It returns when it asked the storage last, as the time of this process; zero where it did not ask.
func (d *Service) complete(ctx context.Context, up video.Upload) (began time.Time, err error) {
	c := &d.completion
	if err := c.space(ctx, up.Video); err != nil {
		return began, err
	}
	head := func(ctx context.Context, from, key string) (bucket.Object, error) {
		turn, cancel := context.WithTimeout(ctx, lookLimit)
		defer cancel()
		if err := c.looks.Acquire(turn, 1); err != nil {
			return bucket.Object{}, slow(err)
		}
		defer c.looks.Release(1)
		began = time.Now()
		return d.head(ctx, from, key)
	}
	copies := false
	defer func() {
		c.note(up.Video, false)
		if copies {
			c.copies.Release(1)
		}
	}()
	ready := func() (err error) {
		c.note(up.Video, true)
		if !copies { // take comes here again where the object was replaced meanwhile
			err = c.copies.Acquire(ctx, 1)
			copies = err == nil
		}
		return err
	}
	if up.Multipart != "" {
		began = time.Now()
		if up.Expires, err = d.join(ctx, up, ready); err != nil {
			return began, err
		}
	}
	return began, d.find(ctx, up, head, ready)
}

// head is Objects.Head with lookLimit.
func (d *Service) head(ctx context.Context, from, key string) (bucket.Object, error) {
	limited, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	o, err := d.Objects.Head(limited, from, key)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = slow(err)
	}
	return o, err
}

// slow is the error of a look that the storage did not answer in time.
func slow(cause error) error {
	return fault.New(fault.Unavailable, "upload.complete", "storage_slow",
		"The storage did not say in time whether the file is there; try again after some seconds.", cause)
}

// note keeps whether a look has found the file of an upload whose copy has not ended.
func (c *completion) note(id video.ID, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if found {
		c.found[id] = true
		return
	}
	delete(c.found, id)
}

// copying reports whether a look has found the file of an upload and its copy has not ended.
func (c *completion) copying(id video.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.found[id]
}

// space waits until the next look for an upload may begin.
func (c *completion) space(ctx context.Context, id video.ID) error {
	c.mu.Lock()
	wait := time.NewTimer(time.Until(c.looked[id].Add(lookAgain)))
	c.mu.Unlock()
	defer wait.Stop()
	select {
	case <-wait.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// manyLooked is the size at which completion drops the times after which a look may begin at once.
const manyLooked = 1000

// ended keeps when a look ended that returned an error.
func (c *completion) ended(id video.ID, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil {
		delete(c.looked, id)
		return
	}
	if len(c.looked) >= manyLooked {
		maps.DeleteFunc(c.looked, func(_ video.ID, at time.Time) bool { return time.Since(at) >= lookAgain })
	}
	c.looked[id] = time.Now()
}

// find records the source of an upload if head finds it. It calls ready before it copies a file of the right size.
func (d *Service) find(ctx context.Context, up video.Upload, head describe, ready func() error) error {
	const op = "upload.complete"
	found, _, err := d.take(ctx, up.Bucket, up.Key, head, func(o bucket.Object) error {
		if up.Size > 0 && o.Size != up.Size {
			return fault.New(fault.Conflict, op, "wrong_size",
				fmt.Sprintf("The file has %d bytes and the upload was granted for %d; ask for another upload and PUT the whole file.", o.Size, up.Size), nil)
		}
		return ready()
	})
	switch {
	case errors.Is(err, video.ErrStale):
		return fault.New(fault.NotFound, op, "no_upload", "There is no upload with this id.", nil)
	case err != nil || found:
		return err
	case d.Now().After(up.Expires):
		return fault.New(fault.Gone, op, "upload_expired", "The upload has expired and no file is there; ask for another upload.", nil)
	}
	return fault.New(fault.Conflict, op, "not_uploaded", "There is no file for this upload yet; PUT it to the upload's URL, then complete the upload.", nil)
}

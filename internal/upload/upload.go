// Package upload is the doors by which sources come in, and the ObjectCreated facts that they end as.
//
// Promise. Every accepted write of an object that starts a video becomes that video exactly once, however often and by
// however many callers at once it is told: the bytes are pinned in the media bucket before the fact is recorded, under a key made from
// the write's identity (bucket, key, ETag, time), so that repeating it finds the same pin and an overwrite can't touch it.
//
// Cost. A fact costs one HEAD, one pin (a hard link on the embedded storage) and one transaction.
//
// Failure. When Created returns an error nothing was promised to the client, who tries again; Reconcile finds what that
// left, a stored object without a video, and StrayPins a pin without one. Two writes of the same bytes to one key within one second
// are one write: S3 tells them apart no better. A video is deleted once that second is over, so that a write after its
// deletion is another one.
//
// In the media bucket lie "sources/…", the pins, and "streams/<stem>-<id>/…", what is made of them.
package upload

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Objects is what the doors need of the storage.
type Objects interface {
	// Head describes an object; fault.NotFound where the bucket answers and has no such object.
	Head(ctx context.Context, bucket, key string) (bucket.Object, error)
	// List walks the objects whose keys begin with prefix.
	List(ctx context.Context, bucket, prefix string) iter.Seq2[bucket.Object, error]
	// Pin keeps exactly src as key; fault.Conflict, code "source_changed", where another object is in its place by now.
	Pin(ctx context.Context, src bucket.Object, bucket, key string) (bucket.Object, error)
	// Delete removes an object; that there is none is no error.
	Delete(ctx context.Context, bucket, key string) error
	// DeleteWrite removes an object if it is still the write that o names, and reports whether another one lies there
	// afterwards.
	DeleteWrite(ctx context.Context, o bucket.Object) (other bool, err error)
	// PresignPut returns a URL that takes one PUT, and the header that the PUT must carry.
	PresignPut(ctx context.Context, r bucket.PresignRequest) (string, map[string]string, error)
	// BeginParts begins a multipart upload and returns its id.
	BeginParts(ctx context.Context, bucket, key, contentType string) (id string, err error)
	// PresignPart returns a URL that takes one PUT of a part, numbered from 1.
	PresignPart(ctx context.Context, r bucket.PresignRequest, upload string, number int) (string, error)
	// ListParts returns the parts that a multipart upload has, and JoinParts completes it of them; fault.NotFound where
	// it was completed or aborted.
	ListParts(ctx context.Context, m bucket.Multipart) ([]bucket.Part, error)
	JoinParts(ctx context.Context, m bucket.Multipart, parts []bucket.Part) error
	// Abort removes a multipart upload with its parts; that there is none is no error.
	Abort(ctx context.Context, m bucket.Multipart) error
}

// Config is what the doors are made of.
type Config struct {
	Store       Store
	Objects     Objects
	Bucket      string           // where clients put sources
	MediaBucket string           // where pins and outputs are
	PublicURL   string           // the address clients reach the storage by; presigned URLs are signed for its host
	Expiry      time.Duration    // of a presigned URL; 0 means 5 minutes
	Suffixes    []string         // endings of names that start a video, with their dot, in any case; none means DefaultSuffixes
	MaxBytes    int64            // of a source; 0 for no limit
	SinglePut   int64            // bytes of the largest source that comes in one PUT, a larger one comes in parts; 0 for no limit
	Policy      video.Policy     // who may watch videos whose uploader doesn't say; empty means video.Signed
	Now         func() time.Time // nil means time.Now
	// Room has an error while the storage can't take so many bytes more (0: of a size that isn't known); nil always has room.
	Room func(bytes int64) error
	// Away has an error while the storage is known not to take anything in; no request is made for it. Nil never has
	// one.
	Away func() error
	// FirstLook is how long after a grant the server first looks for its source by itself; 0 for a storage that reports
	// each object before its client has an answer.
	FirstLook time.Duration
	// Ingest makes the job that begins the way of a video.
	Ingest func(id video.ID, generation int) engine.Job
	Logger *slog.Logger // nil discards
}

// Service lets sources in.
type Service struct {
	Config
	suffixes   map[string]bool // in lower case
	pins       pins
	completion completion
	sweeping   sync.Mutex
	inspected  video.ID // the last video that Inspect looked at
}

const defaultExpiry = 5 * time.Minute

// New makes a Door.
func New(c Config) *Service {
	if c.Expiry == 0 {
		c.Expiry = defaultExpiry
	}
	if len(c.Suffixes) == 0 {
		c.Suffixes = DefaultSuffixes()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	d := &Service{Config: c, suffixes: map[string]bool{}}
	d.completion.looks, d.completion.copies = semaphore.NewWeighted(completing), semaphore.NewWeighted(completing)
	d.completion.looked, d.completion.found = map[video.ID]time.Time{}, map[video.ID]bool{}
	for _, s := range c.Suffixes {
		d.suffixes["."+strings.ToLower(strings.TrimPrefix(s, "."))] = true
	}
	return d
}

// Request asks for the right to put one source.
type Request struct {
	Filename    string // with its suffix; only what follows the last slash counts
	ContentType string // signed where given
	Size        int64  // bytes, signed where above 0
	Settings    video.Settings
	Owner       string       // of the video; empty for video.Admin
	Workspace   string       // where the video lies; empty for the one that is always there
	Policy      video.Policy // who may watch it; empty for Config.Policy
}

// Grant gives the right to put one source: a presigned URL for a key of ours, or a multipart upload whose URLs Parts
// gives (Config.SinglePut), and the video that waits for it. Errors are
// fault.Invalid (codes "bad_filename", "bad_content_type", "bad_size", "bad_max_resolution"), fault.Unsupported ("unsupported_type"),
// fault.TooLarge ("too_large"), fault.Unavailable ("storage_unavailable") while Config.Away has an error, and what
// Config.Room says.
func (d *Service) Grant(ctx context.Context, r Request) (video.Upload, error) {
	name, err := d.check(r)
	if err != nil {
		return video.Upload{}, err
	}
	if d.Away != nil {
		if err := d.Away(); err != nil {
			return video.Upload{}, fault.New(fault.Unavailable, "upload.grant", "storage_unavailable",
				"The storage does not answer at the moment, so that nothing can be uploaded; try again after some seconds.", err)
		}
	}
	if d.Room != nil {
		if err := d.Room(r.Size); err != nil {
			return video.Upload{}, err
		}
	}
	now := d.Now()
	v := d.waiting(name, now)
	v.Settings, v.Owner, v.Workspace, v.Policy = r.Settings, r.Owner, r.Workspace, cmp.Or(r.Policy, v.Policy)
	up := video.Upload{
		Video: v.ID, Bucket: d.Bucket, Key: string(v.ID) + "/" + shorten(name), Type: r.ContentType, Size: r.Size, Expires: now.Add(d.Expiry),
	}
	if d.SinglePut > 0 && up.Size > d.SinglePut {
		up.Part = partSize(up.Size, d.SinglePut)
		up.Multipart, err = d.Objects.BeginParts(ctx, up.Bucket, up.Key, up.Type)
	} else {
		up.URL, up.Header, err = d.Objects.PresignPut(ctx, bucket.PresignRequest{
			Bucket: up.Bucket, Key: up.Key, ContentType: up.Type, Size: up.Size, Expires: d.Expiry, PublicURL: d.PublicURL,
		})
	}
	if err != nil {
		return video.Upload{}, err
	}
	looks, at := d.looks(v.ID, now)
	v.NextLook = at
	if err := d.Store.Grant(ctx, v, up, looks); err != nil {
		if up.Multipart != "" { // where this fails too, the sweep aborts it
			err = errors.Join(err, d.Objects.Abort(context.WithoutCancel(ctx), multipart(up)))
		}
		return video.Upload{}, err
	}
	return up, nil
}

// waiting is a video that has no source yet. What no grant was given for (an S3 client's object, one that was found) is the administrator's.
func (d *Service) waiting(name string, now time.Time) video.Video {
	id := video.NewID(now)
	return video.Video{ID: id, Name: name, Policy: d.Policy, Status: video.Waiting, Prefix: Prefix(name, id), Created: now, Updated: now}
}

// Created records that an object was written: it is pinned as it is now, and becomes a video unless it is one. Objects
// that start no video, or are gone again, are passed over without an error.
func (d *Service) Created(ctx context.Context, o bucket.Object) error {
	_, err := d.receive(ctx, o.Bucket, o.Key)
	if errors.Is(err, video.ErrStale) {
		return nil
	}
	return err
}

// glimpses is how often an object may be replaced while it is being pinned, before its client is told to try again.
const glimpses = 5

// staleWrite is the video.ErrStale of one write: it came for a video that was deleted before.
type staleWrite struct{ write bucket.Object }

func (staleWrite) Error() string {
	return "the video of this upload was deleted before its source came"
}

func (staleWrite) Unwrap() error { return video.ErrStale }

// receive is a staleWrite where the object came for a video that was deleted before.
func (d *Service) receive(ctx context.Context, from, key string) (fresh bool, err error) {
	_, fresh, err = d.take(ctx, from, key, d.Objects.Head, func(bucket.Object) error { return nil })
	return fresh, err
}

// describe is Objects.Head, or it with a bound.
type describe func(ctx context.Context, bucket, key string) (bucket.Object, error)

// take records an object that starts a video, if head finds it (found) and fits returns no error. fresh is whether the
// write
// was not recorded before.
func (d *Service) take(ctx context.Context, from, key string, head describe, fits func(bucket.Object) error) (found, fresh bool, err error) {
	if !d.starts(from, key) {
		return false, false, nil
	}
	for range glimpses {
		o, err := head(ctx, from, key)
		if fault.Is(err, fault.NotFound) {
			return false, false, nil
		}
		if err != nil {
			return false, false, err
		}
		if o.ETag == "" { // not written through the storage: it may be half a file
			return false, false, nil
		}
		if err := fits(o); err != nil {
			return true, false, err
		}
		fresh, err := d.pinAndRecord(ctx, o)
		switch {
		case fault.Is(err, fault.NotFound):
			return false, false, nil
		case err == nil || fault.Of(err).Code != "source_changed":
			return true, fresh, err
		}
	}
	return true, false, fault.New(fault.Unavailable, "upload.created", "source_changing",
		"The object is being replaced all the time; put it again once its other writers are done.", nil)
}

// pinAndRecord keeps the bytes of o and commits the fact, its video and the first job.
func (d *Service) pinAndRecord(ctx context.Context, o bucket.Object) (fresh bool, err error) {
	pin := PinKey(o)
	defer d.pins.begin(pin)()
	if _, err := d.Objects.Pin(ctx, o, d.MediaBucket, pin); err != nil {
		return false, err
	}
	now := d.Now()
	v := d.waiting(nameOf(o.Key), now)
	src := video.Source{Bucket: o.Bucket, Key: o.Key, ETag: o.ETag, Size: o.Size, Modified: o.Modified, Pin: pin}
	id, fresh, err := d.Store.Received(ctx, v, src, func(id video.ID) []engine.Job { return []engine.Job{d.Ingest(id, 1)} })
	if errors.Is(err, video.ErrStale) {
		// The object stays: its writer may hold its key. The reconciler removes it.
		d.Logger.Info("the source of a deleted video is passed over", "key", o.Key, "bytes", o.Size)
		return false, errors.Join(staleWrite{o}, d.Objects.Delete(ctx, d.MediaBucket, pin))
	}
	if err != nil {
		return false, err
	}
	if fresh {
		d.Logger.Info("source received", "video", id, "key", o.Key, "bytes", o.Size)
	}
	return fresh, nil
}

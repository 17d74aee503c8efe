package bucket

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"sluice/internal/fault"
)

// disk is the S3 backend: versitygw's posix one, told absolute paths for buckets (it resolves them against the working directory, which is
// the process's and not ours to change), with acceptance between the stored object and the answer. What a person does with
// objects works; buckets are fixed by configuration, so calls that make, empty or share buckets answer NotImplemented.
type disk struct {
	backend.BackendUnsupported
	folder
	posix    *posix.Posix
	buckets  []string
	owner    string // of all buckets: the root account
	created  func(context.Context, Object) error
	maxBytes int64             // of a body; 0 for no limit
	room     func(int64) error // refuses bytes that would make the disk low; nil never
	frees    bool              // the filesystem can cut a piece out of a file
	ending   sync.RWMutex      // held for reading by completions, which Close waits for
	life     context.Context   // ends with the endpoint
	log      *slog.Logger
	keys     locks
}

// patience is how long Created may take for one write; then its client is told to try again.
const patience = time.Minute

var _ backend.Backend = (*disk)(nil)

func newDisk(root string) (*disk, error) {
	// "." keeps the working directory where it is: posix.New calls os.Chdir. Nothing is resolved against it later on.
	// Advisory lock files would go there, and are for several processes over one root.
	p, err := posix.New(".", attributes{meta.XattrMeta{}}, posix.PosixOpts{ForceNoObjLockFile: true})
	if err != nil {
		return nil, err
	}
	return &disk{folder: folder{root}, posix: p}, nil
}

func (d *disk) String() string { return "Sluice" }

// Shutdown is called by nobody but Embedded.Close.
func (d *disk) Shutdown() { d.posix.Shutdown() }

// NormalizeObjectKey is the key as stored, for access policies.
func (d *disk) NormalizeObjectKey(_, object string) string {
	return strings.TrimPrefix(filepath.Clean("/"+object), "/")
}

// dir returns the absolute path of a bucket, which must be configured and present.
func (d *disk) dir(bucket *string) (*string, error) {
	name := deref(bucket)
	for _, b := range d.buckets {
		if b != name {
			continue
		}
		if d.present("bucket.dir", b) != nil {
			break
		}
		dir := filepath.Join(d.root, b)
		return &dir, nil
	}
	return nil, s3err.GetBucketErr(s3err.ErrNoSuchBucket, name)
}

// at is dir with a look at the key.
func (d *disk) at(bucket, key *string) (*string, error) {
	dir, err := d.dir(bucket)
	if err != nil {
		return nil, err
	}
	if _, ok := cleanKey(deref(key)); !ok {
		return nil, badRequest(deref(key))
	}
	return dir, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// accept ends a write: what was published becomes durable, Created is told, and only then may the client be.
// The caller holds the key's lock.
func (d *disk) accept(bucket, key string) error {
	clean, _ := cleanKey(key)
	bucket, clean = strings.Clone(bucket), strings.Clone(clean) // the server reuses the memory of a request's strings
	name, ok := d.path(bucket, clean)
	if !ok {
		return badRequest(clean)
	}
	if err := d.sync(bucket, name); err != nil {
		d.log.Error("object not synced", "bucket", bucket, "key", clean, "error", err)
		return s3err.GetAPIError(s3err.ErrInternalError)
	}
	if d.created == nil {
		return nil
	}
	o, err := d.describe(bucket, clean)
	if err == nil {
		ctx, cancel := context.WithTimeout(d.life, patience)
		defer cancel()
		err = d.created(ctx, o)
	}
	if err != nil {
		d.log.Error("object stored but not accepted", "bucket", bucket, "key", clean, "error", err)
		return s3err.GetAPIError(s3err.ErrInternalError)
	}
	return nil
}

// lockKey holds off other writes and deletions of an object.
func (d *disk) lockKey(bucket, key *string) func() {
	clean, _ := cleanKey(deref(key))
	return d.keys.acquire(strings.Clone(deref(bucket) + "/" + clean))
}

// fits refuses a body that is longer than any may be.
func (d *disk) fits(length *int64) error {
	if d.maxBytes > 0 && length != nil && *length > d.maxBytes {
		return s3err.GetEntityTooLargeErr(*length, d.maxBytes)
	}
	return nil
}

// PutObject stores a body. The key is locked once the body is staged, so a slow client holds up nobody.
func (d *disk) PutObject(ctx context.Context, in s3response.PutObjectInput) (s3response.PutObjectOutput, error) {
	out, _, err := d.store(ctx, in)
	return out, err
}

// store is PutObject that also returns the object's modification time.
func (d *disk) store(ctx context.Context, in s3response.PutObjectInput) (_ s3response.PutObjectOutput, placed time.Time, _ error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.PutObjectOutput{}, placed, err
	}
	if err := d.fits(in.ContentLength); err != nil {
		return s3response.PutObjectOutput{}, placed, err
	}
	bucket, key := *in.Bucket, *in.Key
	if err := d.admits(bucket, key); err != nil {
		return s3response.PutObjectOutput{}, placed, err
	}
	in.Bucket = dir
	if strings.HasSuffix(key, "/") { // a folder marker, without bytes
		out, err := d.posix.PutObject(ctx, in)
		return out, time.Now(), refusal(err)
	}
	match, noneMatch := in.IfMatch, in.IfNoneMatch
	if err := d.expects(bucket, key, match, noneMatch); err != nil { // now rather than after the body; the lock decides
		return s3response.PutObjectOutput{}, placed, err
	}
	name := stagedName(putName)
	staged := filepath.Join(*dir, name)
	defer os.Remove(staged) //nolint:errcheck // once it is the object it has no such name any more
	in.Key, in.IfMatch, in.IfNoneMatch = &name, nil, nil
	var broken error // as it is: the posix backend would wrap it, and the client get a 500
	out, err := d.posix.PutObjectWithPostFunc(ctx, in, func(f *os.File) error {
		if broken = whole(f, in.ContentLength); broken != nil {
			return broken
		}
		return f.Sync() // a long body is written out before the key is locked
	})
	switch {
	case broken != nil:
		return out, placed, broken
	case errors.Is(err, s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)): // whatever kept it from being linked
		return out, placed, d.unlinked()
	case err != nil:
		return out, placed, refusal(err)
	}
	defer d.lockKey(&bucket, &key)()
	if err := d.expects(bucket, key, match, noneMatch); err != nil {
		return out, placed, err
	}
	step("Put.staged")
	if placed, err = d.replace(staged, bucket, key); err != nil {
		return out, placed, err
	}
	step("Put.placed")
	if err := d.accept(bucket, key); err != nil {
		return out, placed, err
	}
	step("Put.accepted")
	return out, placed, nil
}

// unlinked is the error for a staged file that got no name.
func (d *disk) unlinked() error {
	if left, err := d.free(); err == nil && left == 0 {
		return diskFull()
	}
	return s3err.GetAPIError(s3err.ErrInternalError)
}

// whole refuses a staged body that isn't as long as was said: the server hands on a connection that broke off as the end
// of the body. How far the file is written counts, for room was made in it beforehand.
func whole(f *os.File, length *int64) error {
	written, err := f.Seek(0, io.SeekCurrent)
	switch {
	case err != nil:
		return err
	case length == nil || written == *length:
		return nil
	case *length == 0:
		return s3err.GetAPIError(s3err.ErrMissingContentLength)
	default:
		return s3err.GetAPIError(s3err.ErrIncompleteBody)
	}
}

// UploadPart stores a part, which like an object is taken whole or not at all, and is on the disk before the client has
// the answer.
func (d *disk) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	if err := d.fits(in.ContentLength); err != nil {
		return nil, err
	}
	folder, err := d.uploadFolder(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return nil, err
	}
	if err := d.joinable(folder, in.ContentLength); err != nil {
		return nil, err
	}
	unlock := func() {}
	defer func() { unlock() }()
	inside := *in
	inside.Bucket = dir
	var broken error
	out, err := d.posix.UploadPartWithPostFunc(ctx, &inside, func(f *os.File) error {
		if broken = whole(f, in.ContentLength); broken != nil {
			return broken
		}
		if err := f.Sync(); err != nil {
			return err
		}
		// versitygw makes the folder again if the upload was completed or aborted meanwhile; nothing would ever remove
		// that one.
		unlock = d.lockKey(in.Bucket, in.Key)
		if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
			broken = s3err.GetNoSuchUploadErr(*in.UploadId)
		}
		return broken
	})
	if broken != nil {
		return nil, broken
	}
	if err != nil {
		return nil, refusal(err)
	}
	unlock()
	unlock = func() {}
	err = d.sync(*in.Bucket, joinPart{Number: *in.PartNumber}.path(folder))
	if errors.Is(err, fs.ErrNotExist) { // aborted or completed since
		return nil, s3err.GetNoSuchUploadErr(*in.UploadId)
	}
	return out, refusal(err)
}

// joinable refuses a part after which the upload could not be completed: where joined parts keep their room, an object
// needs its size twice.
func (d *disk) joinable(folder string, length *int64) error {
	if d.frees || d.room == nil || length == nil {
		return nil
	}
	parts, err := os.ReadDir(folder)
	if err != nil {
		return ignoreMissing(err)
	}
	need := 2 * *length
	for _, p := range parts {
		info, err := p.Info()
		if err != nil {
			continue // replaced at the moment
		}
		need += info.Size()
	}
	if err := d.room(need); err != nil {
		return unavailable(fault.Of(err).Message)
	}
	return nil
}

// DeleteObject removes an object and the folders it leaves empty.
func (d *disk) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	if _, err := d.at(in.Bucket, in.Key); err != nil {
		return nil, err
	}
	defer d.lockKey(in.Bucket, in.Key)()
	return d.remove(ctx, in)
}

// remove removes an object and the folders it leaves empty, durably. The caller holds the key's lock. It can be
// repeated after any failure.
func (d *disk) remove(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	step("Remove.before")
	inside := *in
	inside.Bucket = dir
	out, err := d.posix.DeleteObject(ctx, &inside)
	if err != nil {
		return out, err
	}
	step("Remove.unlinked")
	if err := d.prune(*in.Bucket, *in.Key); err != nil {
		return out, err
	}
	step("Remove.pruned")
	return out, nil
}

// DeleteObjects removes many; each answers for itself.
func (d *disk) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	var out s3response.DeleteResult
	if _, err := d.dir(in.Bucket); err != nil {
		return out, err
	}
	for _, o := range in.Delete.Objects {
		_, err := d.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: in.Bucket, Key: o.Key, VersionId: o.VersionId})
		if err != nil {
			out.Error = append(out.Error, s3err.ObjectDeleteError(o.Key, o.VersionId, err))
			continue
		}
		out.Deleted = append(out.Deleted, types.DeletedObject{Key: o.Key, VersionId: o.VersionId})
	}
	return out, nil
}

// attributes shortens one attribute that versitygw stores: the sizes of all parts of a multipart upload, which from about
// 900 parts on don't fit ext4's attribute space and make completing fail. One part is said instead, as long as the object;
// the upload's id stays, by which a repeated completion is recognised.
type attributes struct{ meta.XattrMeta }

const multipartAttribute = "mp-metadata"

func (a attributes) StoreAttribute(f *os.File, bucket, object, name string, value []byte) error {
	if name == multipartAttribute {
		m, err := backend.UnmarshalMpUploadMetadata(value, false)
		if err != nil {
			return err
		}
		if n := len(m.Parts); n > 1 {
			m.Parts = m.Parts[n-1:]
		}
		if value, err = backend.MarshalMpUploadMetadata(m, false); err != nil {
			return err
		}
	}
	return a.XattrMeta.StoreAttribute(f, bucket, object, name, value)
}

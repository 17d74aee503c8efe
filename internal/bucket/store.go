package bucket

import (
	"context"
	"crypto/md5" // an S3 ETag is an MD5 by custom, not a seal
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"sluice/internal/fault"
)

// Config says where a Store's objects are.
type Config struct {
	Embedded *Embedded // the endpoint in this process; what follows is for any other one
	Endpoint string    // "https://s3.eu-central-1.amazonaws.com"
	Region   string
	Credentials
	Cache      string // a folder of this process alone, emptied at Open, for objects as local files (Local); empty for none
	CacheBytes int64  // what is kept there beyond what is in use
}

// Store is the S3 client. It is safe for use by many goroutines.
type Store struct {
	client   *s3.Client
	embedded *Embedded // nil for a foreign endpoint
	options  s3.Options
	cache    *cache // nil where there is none

	condition atomic.Int32 // of conditions: the strictest ones that the server takes
}

// Open makes a Store. It makes no request yet, so storage that is away shows at the first use.
func Open(_ context.Context, c Config) (*Store, error) {
	if c.Embedded != nil {
		c.Endpoint, c.Region, c.Credentials = "http://s3.internal", c.Embedded.region, c.Embedded.credentials
	}
	if u, err := url.Parse(c.Endpoint); err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fault.New(fault.Invalid, "bucket.open", "bad_endpoint",
			"The storage endpoint must be an address such as https://s3.eu-central-1.amazonaws.com.", err)
	}
	options := s3.Options{
		BaseEndpoint: &c.Endpoint,
		Region:       c.Region,
		Credentials:  credentials.NewStaticCredentialsProvider(c.Access, c.Secret, ""),
		UsePathStyle: true,
		// Not every S3 knows the SDK's default checksums, and a presigned URL must not ask a browser for one.
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	}
	if c.Embedded != nil {
		options.HTTPClient = &http.Client{Transport: c.Embedded.transport}
	}
	s := &Store{client: s3.New(options), embedded: c.Embedded, options: options}
	if c.Embedded == nil && c.Cache != "" {
		var err error
		if s.cache, err = newCache(c.Cache, c.CacheBytes, s.client); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Fetched is how many bytes of remote objects were fetched into local files since Open.
func (s *Store) Fetched() int64 {
	if s.cache == nil {
		return 0
	}
	return s.cache.got.Load()
}

// Spare removes the cached files that nobody uses: the disk is low.
func (s *Store) Spare() error {
	if s.cache == nil {
		return nil
	}
	return s.cache.clear()
}

// Close removes the cached files. Nothing may use the Store then.
func (s *Store) Close() error {
	if s.cache == nil {
		return nil
	}
	return s.cache.close()
}

// CheckBuckets asks each bucket for its head: fault.Unavailable, code "no_such_bucket", names the first that the
// storage
// answers 404 for. It costs one request for each bucket.
func (s *Store) CheckBuckets(ctx context.Context, buckets ...string) error {
	const op = "bucket.check"
	for _, b := range buckets {
		_, err := s.client.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &b})
		if isCode(err, "NotFound", "NoSuchBucket") {
			return fault.New(fault.Unavailable, op, "no_such_bucket", fmt.Sprintf(
				"The storage answers that there is no bucket %q; check that the storage is complete, then make the bucket or name another one in the configuration.", b), err)
		}
		if err := failure(op, err); err != nil {
			return err
		}
	}
	return nil
}

// Put stores size bytes of body under key, over what is there. A body that can't seek is sent once, without trying again.
func (s *Store) Put(ctx context.Context, bucket, key string, body io.Reader, size int64, contentType string) (Object, error) {
	in := &s3.PutObjectInput{Bucket: &bucket, Key: &key, Body: body, ContentLength: &size, ContentType: optional(contentType)}
	if err := s.put(ctx, in); err != nil {
		return Object{}, failure("bucket.put", err)
	}
	return s.stored(ctx, "bucket.put", bucket, key)
}

// stored describes an object that was just put. That the storage does not have it is no proof that the object is gone.
func (s *Store) stored(ctx context.Context, op, bucket, key string) (Object, error) {
	o, err := s.head(ctx, bucket, key)
	return o, failure(op, err)
}

func (s *Store) put(ctx context.Context, in *s3.PutObjectInput) error {
	var once []func(*s3.Options)
	if _, ok := in.Body.(io.Seeker); !ok { // its hash can't be known before it is sent
		once = append(once, s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware))
	}
	_, err := s.client.PutObject(ctx, in, once...)
	return err
}

// PutFile makes the file at path an object, unless one is there under key: then that stays and is returned. On the
// embedded endpoint the object is a hard link to the file, which must not be written to afterwards and may be removed;
// Created isn't told.
func (s *Store) PutFile(ctx context.Context, bucket, key, path, contentType string) (Object, error) {
	if s.embedded != nil {
		there, _, err := s.embedded.disk.putFile(bucket, key, path, contentType)
		return there, err
	}
	if _, err := s.putAbsent(ctx, bucket, key, path, contentType); err != nil {
		return Object{}, err
	}
	return s.stored(ctx, "bucket.put_file", bucket, key)
}

// PutOwn does what PutFile does, and reports whether the object under key holds the bytes of the file: because it was
// put now, or because an object of
// its size and MD5 was there. Where a storage's ETags are no MD5 sums, an object that was there counts as another one.
func (s *Store) PutOwn(ctx context.Context, bucket, key, path, contentType string) (own bool, err error) {
	const op = "bucket.put_own"
	var there Object
	if s.embedded != nil {
		there, own, err = s.embedded.disk.putFile(bucket, key, path, contentType)
	} else if own, err = s.putAbsent(ctx, bucket, key, path, contentType); err == nil && !own {
		there, err = s.stored(ctx, op, bucket, key)
	}
	if err != nil || own {
		return own, err
	}
	file, err := os.Open(path)
	if err != nil {
		return false, storageFault(op, err)
	}
	defer file.Close()
	sum := md5.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return false, storageFault(op, err)
	}
	return there.Size == size && there.ETag == hex.EncodeToString(sum.Sum(nil)), nil
}

// putAbsent puts the file at path over the network unless an object is there under key, and reports whether it did.
func (s *Store) putAbsent(ctx context.Context, bucket, key, path, contentType string) (bool, error) {
	const op = "bucket.put_file"
	file, err := os.Open(path)
	if err != nil {
		return false, storageFault(op, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return false, storageFault(op, err)
	}
	size := info.Size()
	err = s.put(ctx, &s3.PutObjectInput{
		Bucket: &bucket, Key: &key, Body: file, ContentLength: &size, ContentType: optional(contentType), IfNoneMatch: aws.String("*"),
	})
	if err != nil && !isPrecondition(err) {
		return false, failure(op, err)
	}
	return err == nil, nil
}

// Replace makes the object from also the object key of its bucket, over what is there: a reader of key gets the one or
// the other, whole. It may be repeated.
// On another endpoint the storage copies, up to 5 GiB. fault.NotFound where from is gone.
func (s *Store) Replace(ctx context.Context, bucket, from, key string) error {
	if s.embedded != nil {
		return s.embedded.disk.relink(bucket, from, key)
	}
	_, err := s.client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: &bucket, Key: &key, CopySource: source(Object{Bucket: bucket, Key: from})})
	return s.absent(ctx, "bucket.replace", bucket, from, err)
}

// Sizes returns the size in bytes of every object whose key begins with prefix, which must end in a slash, by key.
// Another endpoint answers one request for
// a thousand objects.
func (s *Store) Sizes(ctx context.Context, bucket, prefix string) (map[string]int64, error) {
	if s.embedded != nil {
		return s.embedded.disk.sizes(ctx, bucket, prefix)
	}
	sizes := map[string]int64{}
	for o, err := range s.List(ctx, bucket, prefix) {
		if err != nil {
			return nil, err
		}
		sizes[o.Key] = o.Size
	}
	return sizes, nil
}

// Head describes an object; fault.NotFound, code "no_such_object", where the bucket lists no such key (see absent).
func (s *Store) Head(ctx context.Context, bucket, key string) (Object, error) {
	o, err := s.head(ctx, bucket, key)
	return o, s.absent(ctx, "bucket.head", bucket, key, err)
}

// absent is what a 404 for one object means (see the function absent), failure for every other error, and nil for none.
func (s *Store) absent(ctx context.Context, op, bucket, key string, err error) error {
	if s.embedded != nil && isNotFound(err) {
		return s.embedded.disk.absent(op, bucket, err)
	}
	return absent(ctx, s.client, op, bucket, key, err)
}

// head returns the SDK's own error.
func (s *Store) head(ctx context.Context, bucket, key string) (Object, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return Object{}, err
	}
	return Object{
		Bucket: bucket, Key: key, ETag: bare(out.ETag), Size: aws.ToInt64(out.ContentLength),
		Modified: second(aws.ToTime(out.LastModified)), ContentType: aws.ToString(out.ContentType),
	}, nil
}

// Get opens an object, or the part of it that rangeHeader ("bytes=0-99") names; empty means all of it. The Object's Size
// is that of the body. The caller closes the body.
func (s *Store) Get(ctx context.Context, bucket, key, rangeHeader string) (io.ReadCloser, Object, error) {
	out, err := s.client.GetObject(ctx, &s3.GetObjectInput{Bucket: &bucket, Key: &key, Range: optional(rangeHeader)})
	if err != nil {
		return nil, Object{}, s.absent(ctx, "bucket.get", bucket, key, err)
	}
	return out.Body, Object{
		Bucket: bucket, Key: key, ETag: bare(out.ETag), Size: aws.ToInt64(out.ContentLength),
		Modified: second(aws.ToTime(out.LastModified)), ContentType: aws.ToString(out.ContentType),
	}, nil
}

// List walks the objects whose keys begin with prefix, in the order of their keys. It ends at the first error. Keys are asked for in an encoding that XML can
// carry: a key may hold characters that no XML document may, and one such key would make the listing unreadable (Amazon S3 API, ListObjectsV2, encoding-type).
func (s *Store) List(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error] {
	if s.embedded != nil {
		return s.embedded.disk.objects(ctx, bucket, prefix)
	}
	return func(yield func(Object, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: optional(prefix), EncodingType: types.EncodingTypeUrl})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Object{}, failure("bucket.list", err))
				return
			}
			for _, o := range page.Contents {
				key := listed(aws.ToString(o.Key), page.EncodingType)
				if strings.HasSuffix(key, "/") { // a folder marker
					continue
				}
				if !yield(Object{
					Bucket: bucket, Key: key, ETag: bare(o.ETag), Size: aws.ToInt64(o.Size),
					Modified: second(aws.ToTime(o.LastModified)),
				}, nil) {
					return
				}
			}
		}
	}
}

// listed is a key as it was before a listing encoded it. Not every server does as it is asked; those that do say so.
func listed(key string, as types.EncodingType) string {
	if plain, err := url.QueryUnescape(key); err == nil && as == types.EncodingTypeUrl {
		return plain
	}
	return key
}

// Delete removes an object; that there is none is no error.
func (s *Store) Delete(ctx context.Context, bucket, key string) error {
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &bucket, Key: &key})
	if err = s.absent(ctx, "bucket.delete", bucket, key, err); fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// batch is how many keys one DeleteObjects may name.
const batch = 1000

// DeletePrefix removes every object whose key begins with prefix, which must not be empty, and returns how many there were.
// Folders that it leaves empty go too.
func (s *Store) DeletePrefix(ctx context.Context, bucket, prefix string) (n int, err error) {
	const op = "bucket.delete_prefix"
	if strings.Trim(prefix, "/") == "" {
		return 0, badKey(op)
	}
	var keys []types.ObjectIdentifier
	flush := func() error {
		if len(keys) == 0 {
			return nil
		}
		out, err := s.client.DeleteObjects(ctx, &s3.DeleteObjectsInput{
			Bucket: &bucket, Delete: &types.Delete{Objects: keys, Quiet: aws.Bool(true)},
		})
		if err != nil {
			return failure(op, err)
		}
		n += len(keys) - len(out.Errors)
		keys = keys[:0]
		for _, e := range out.Errors {
			return fault.New(fault.Unavailable, op, "storage_unavailable", "Some objects could not be removed; try again later.",
				errors.New(aws.ToString(e.Code)+": "+aws.ToString(e.Message)))
		}
		return nil
	}
	for o, err := range s.List(ctx, bucket, prefix) {
		if err != nil {
			return n, err
		}
		keys = append(keys, types.ObjectIdentifier{Key: aws.String(o.Key)})
		if len(keys) == batch {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	return n, flush()
}

// LocalPath returns the file of an object, on the embedded endpoint only and only for keys that can be one; whether it is
// there isn't looked at. Reading it is safe beside writers: an object is replaced, never changed.
func (s *Store) LocalPath(bucket, key string) (path string, ok bool) {
	if s.embedded == nil {
		return "", false
	}
	return s.embedded.disk.path(bucket, key)
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func bare(etag *string) string { return strings.Trim(aws.ToString(etag), `"`) }

func isPrecondition(err error) bool {
	return isCode(err, "PreconditionFailed", "ConditionalRequestConflict")
}

// failure is what an S3 error means to a caller; nil stays nil. It is never fault.NotFound: a 404 alone proves nothing
// of
// one object. Store.absent asks further.
func failure(op string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return fault.New(fault.Unavailable, op, "storage_unavailable", "The storage can't be reached at the moment; try again later.", err)
	}
	switch api.ErrorCode() {
	case "NoSuchBucket":
		return noSuchBucket(op, err)
	case "InvalidRange":
		return fault.New(fault.Invalid, op, "bad_range", "The range lies outside the object; ask for a part of it.", err)
	case "BadRequest", "KeyTooLongError":
		return badKey(op)
	case "PreconditionFailed", "ConditionalRequestConflict":
		return sourceChanged(op, err)
	case "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "Forbidden":
		return fault.New(fault.Unavailable, op, "storage_refused", "The storage refuses Sluice's keys; check the storage settings.", err)
	default:
		return storageAway(op, err)
	}
}

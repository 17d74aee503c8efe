package bucket

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/fault"
)

// DeleteWrite removes an object if it is still the write that o names. It reports whether another object lies under the
// key afterwards.
//
// On the embedded endpoint the comparison and the removal are one step under the key's lock. Elsewhere a HEAD compares,
// and the removal carries the ETag
// and the time as conditions, which not every server honors (docs/S3.md has the table): there, a write that lands
// between the two requests is removed.
// In a bucket with versioning that write is only hidden by a delete marker, which is taken away again.
func (s *Store) DeleteWrite(ctx context.Context, o Object) (other bool, err error) {
	if s.embedded != nil {
		return s.embedded.disk.deleteWrite(ctx, o)
	}
	const op, looks = "bucket.delete_write", 5
	for range looks {
		now, err := s.Head(ctx, o.Bucket, o.Key)
		if fault.Is(err, fault.NotFound) {
			return false, nil
		}
		if err != nil || !now.SameWrite(o) {
			return err == nil, err
		}
		out, err := s.deleteIf(ctx, o)
		if err != nil && !isPrecondition(err) && !isNotFound(err) {
			return false, failure(op, err)
		}
		if err == nil && aws.ToBool(out.DeleteMarker) {
			if err := s.unhide(ctx, o, out.VersionId); err != nil {
				return false, failure(op, err)
			}
		}
	}
	return false, fault.New(fault.Unavailable, op, "source_changing", "The object is being replaced all the time; try again later.", nil)
}

// deleteWrite is DeleteWrite on the embedded endpoint: writes of the key wait, and those before are accepted.
func (d *disk) deleteWrite(ctx context.Context, o Object) (other bool, err error) {
	const op = "bucket.delete_write"
	if _, err := d.at(&o.Bucket, &o.Key); err != nil {
		return false, storageFault(op, err)
	}
	defer d.lockKey(&o.Bucket, &o.Key)()
	now, err := d.describe(o.Bucket, o.Key)
	if fault.Is(err, fault.NotFound) { // the process may have died before the removal was durable and its folders were gone
		return false, storageFaultOf(op, d.prune(o.Bucket, o.Key))
	}
	if err != nil || !now.SameWrite(o) {
		return err == nil, err
	}
	_, err = d.remove(ctx, &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: &o.Key})
	return false, storageFaultOf(op, err)
}

// The conditions that a removal carries, strictest first. A server that refuses a header it does not know is asked with
// the next.
var conditions = []func(*s3.DeleteObjectInput, Object){
	func(in *s3.DeleteObjectInput, o Object) {
		in.IfMatch, in.IfMatchLastModifiedTime = quoted(o.ETag), aws.Time(o.Modified)
	},
	func(in *s3.DeleteObjectInput, o Object) { in.IfMatch = quoted(o.ETag) },
	func(*s3.DeleteObjectInput, Object) {},
}

// deleteIf removes an object with the strictest conditions that the server takes. It remembers which those are.
func (s *Store) deleteIf(ctx context.Context, o Object) (*s3.DeleteObjectOutput, error) {
	for n := s.condition.Load(); ; n++ {
		in := &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: &o.Key}
		conditions[n](in, o)
		out, err := s.client.DeleteObject(ctx, in)
		if err == nil || !isUnknownHeader(err) || int(n) == len(conditions)-1 {
			if err == nil {
				s.condition.Store(n)
			}
			return out, err
		}
	}
}

// unhide takes a delete marker away again if it hides another write than o. Whoever may not list versions leaves it:
// what it hides is kept by the bucket.
func (s *Store) unhide(ctx context.Context, o Object, marker *string) error {
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{Bucket: &o.Bucket, Prefix: &o.Key})
	var hidden *types.ObjectVersion // the newest version
	for pages.HasMorePages() && hidden == nil {
		page, err := pages.NextPage(ctx)
		if isRefused(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, v := range page.Versions { // newest first within a key, keys in their order
			if aws.ToString(v.Key) == o.Key {
				hidden = &v
				break
			}
		}
	}
	if hidden == nil || o.SameWrite(Object{ETag: bare(hidden.ETag), Modified: aws.ToTime(hidden.LastModified)}) {
		return nil
	}
	_, err := s.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &o.Bucket, Key: &o.Key, VersionId: marker})
	return err
}

// isUnknownHeader reports whether a server refuses a condition because it does not know it, not because it does not
// hold.
func isUnknownHeader(err error) bool {
	return isCode(err, "NotImplemented", "InvalidArgument", "InvalidRequest", "BadRequest")
}

func isRefused(err error) bool { return isCode(err, "AccessDenied", "Forbidden", "NotImplemented") }

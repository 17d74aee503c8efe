package bucket

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/fault"
)

// pinnedETag is the metadata in which a remote pin keeps the ETag of its source: a copy's own may differ.
const pinnedETag = "pinned-etag"

// The largest object that one CopyObject takes, and the size of the parts of a larger one (Amazon S3 User Guide, "Copying objects").
const (
	copyLimit = 5 << 30
	copyPart  = 512 << 20
)

// Pin keeps exactly the object src (its ETag says which) as key, whatever happens to src afterwards: on the embedded
// endpoint as a hard link, elsewhere as a copy, which is looked at afterwards. fault.Conflict, code "source_changed", where another object is in its
// place by now; fault.NotFound where none is. It may be repeated: once pinned, src need not be there any more.
func (s *Store) Pin(ctx context.Context, src Object, bucket, key string) (Object, error) {
	if s.embedded != nil {
		return s.embedded.disk.pin(src, bucket, key)
	}
	if there, ok, err := s.pinned(ctx, src, bucket, key); ok || err != nil {
		return there, err
	}
	var err error
	if src.Size > copyLimit {
		err = s.copyParts(ctx, src, bucket, key)
	} else {
		_, err = s.client.CopyObject(ctx, &s3.CopyObjectInput{
			Bucket: &bucket, Key: &key, CopySource: source(src), CopySourceIfMatch: quoted(src.ETag),
			MetadataDirective: types.MetadataDirectiveReplace, Metadata: map[string]string{pinnedETag: src.ETag}, ContentType: optional(src.ContentType),
		})
	}
	if err != nil {
		return Object{}, s.absent(ctx, "bucket.pin", src.Bucket, src.Key, err)
	}
	return s.checked(ctx, src, bucket, key)
}

// pinned returns the pin under key, with the ETag of its source, and whether there is one.
func (s *Store) pinned(ctx context.Context, src Object, bucket, key string) (Object, bool, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if isNotFound(err) { // whether the bucket is there shows when the pin is put
		return Object{}, false, nil
	}
	if err != nil {
		return Object{}, false, failure("bucket.pin", err)
	}
	there, err := samePin(pinOf(bucket, key, out), src)
	return there, err == nil, err
}

func pinOf(bucket, key string, out *s3.HeadObjectOutput) Object {
	return Object{
		Bucket: bucket, Key: key, ETag: out.Metadata[pinnedETag], Size: aws.ToInt64(out.ContentLength),
		Modified: second(aws.ToTime(out.LastModified)), ContentType: aws.ToString(out.ContentType),
	}
}

// checked returns the pin that was just copied, if it is src. A server may ignore the condition of a copy (Ceph 16 does) and copy what is in the place of
// src by now: that pin goes. A copy with the ETag of src is src, for both are MD5 sums; where it has another (an upload in parts, an encrypted object), src must
// still be in its place.
func (s *Store) checked(ctx context.Context, src Object, bucket, key string) (Object, error) {
	const op = "bucket.pin"
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return Object{}, failure(op, err)
	}
	there := pinOf(bucket, key, out)
	if there.ETag != src.ETag || bare(out.ETag) == src.ETag {
		return samePin(there, src)
	}
	now, err := s.Head(ctx, src.Bucket, src.Key)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return Object{}, err
	}
	if err == nil && now.ETag == src.ETag && there.Size == src.Size {
		return there, nil
	}
	if err := s.Delete(ctx, bucket, key); err != nil {
		return Object{}, err
	}
	return Object{}, sourceChanged(op, err)
}

// copyParts copies an object that is too large for one CopyObject.
func (s *Store) copyParts(ctx context.Context, src Object, bucket, key string) error {
	up, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &bucket, Key: &key, ContentType: optional(src.ContentType), Metadata: map[string]string{pinnedETag: src.ETag},
	})
	if err != nil {
		return err
	}
	parts, err := s.copyRanges(ctx, src, bucket, key, up.UploadId)
	if err == nil {
		_, err = s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts},
		})
	}
	if err != nil {
		// Parts cost room until they are aborted; the storage's own rule for abandoned uploads catches what this can't.
		_, _ = s.client.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId})
	}
	return err
}

func (s *Store) copyRanges(ctx context.Context, src Object, bucket, key string, upload *string) ([]types.CompletedPart, error) {
	var parts []types.CompletedPart
	for from := int64(0); from < src.Size; from += copyPart {
		number := aws.Int32(int32(len(parts) + 1))
		out, err := s.client.UploadPartCopy(ctx, &s3.UploadPartCopyInput{
			Bucket: &bucket, Key: &key, UploadId: upload, PartNumber: number, CopySource: source(src), CopySourceIfMatch: quoted(src.ETag),
			CopySourceRange: aws.String(fmt.Sprintf("bytes=%d-%d", from, min(from+copyPart, src.Size)-1)),
		})
		if err != nil {
			return nil, err
		}
		parts = append(parts, types.CompletedPart{ETag: out.CopyPartResult.ETag, PartNumber: number})
	}
	return parts, nil
}

// source is the value of x-amz-copy-source: percent-encoded, its slashes kept.
func source(o Object) *string {
	elements := strings.Split(o.Bucket+"/"+o.Key, "/")
	for i, e := range elements {
		elements[i] = strings.ReplaceAll(url.QueryEscape(e), "+", "%20")
	}
	return aws.String(strings.Join(elements, "/"))
}

func quoted(etag string) *string { return aws.String(`"` + etag + `"`) }

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
// endpoint as a hard link, elsewhere as a copy. fault.Conflict, code "source_changed", where another object is in its
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
		return Object{}, failure("bucket.pin", err)
	}
	there, ok, err := s.pinned(ctx, src, bucket, key)
	if err == nil && !ok {
		err = noSuchObject("bucket.pin", nil)
	}
	return there, err
}

// pinned returns the pin under key, with the ETag of its source, and whether there is one.
func (s *Store) pinned(ctx context.Context, src Object, bucket, key string) (Object, bool, error) {
	out, err := s.client.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err = failure("bucket.pin", err); err != nil {
		if fault.Is(err, fault.NotFound) {
			return Object{}, false, nil
		}
		return Object{}, false, err
	}
	there, err := samePin(Object{
		Bucket: bucket, Key: key, ETag: out.Metadata[pinnedETag], Size: aws.ToInt64(out.ContentLength),
		Modified: second(aws.ToTime(out.LastModified)), ContentType: aws.ToString(out.ContentType),
	}, src)
	return there, err == nil, err
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

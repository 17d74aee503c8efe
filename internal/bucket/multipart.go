package bucket

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/fault"
)

// Multipart is an upload in parts that was not completed.
type Multipart struct {
	Bucket, Key, ID string
	Changed         time.Time // when its last part came, or it was begun
	Bytes           int64     // of its parts
}

// Multiparts walks the uploads in parts of a bucket that were not completed: a request for each, and one for each thousand of them and of their parts.
func (s *Store) Multiparts(ctx context.Context, bucket string) iter.Seq2[Multipart, error] {
	const op = "bucket.multiparts"
	return func(yield func(Multipart, error) bool) {
		pages := s3.NewListMultipartUploadsPaginator(s.client, &s3.ListMultipartUploadsInput{Bucket: &bucket})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield(Multipart{}, failure(op, err))
				return
			}
			for _, u := range page.Uploads {
				m := Multipart{Bucket: bucket, Key: aws.ToString(u.Key), ID: aws.ToString(u.UploadId), Changed: aws.ToTime(u.Initiated)}
				err := s.parts(ctx, &m)
				if isCode(err, "NoSuchUpload") {
					continue // completed meanwhile
				}
				if err = failure(op, err); !yield(m, err) || err != nil {
					return
				}
			}
		}
	}
}

// parts adds up the parts of an upload.
func (s *Store) parts(ctx context.Context, m *Multipart) error {
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &m.Bucket, Key: &m.Key, UploadId: &m.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, p := range page.Parts {
			m.Bytes += aws.ToInt64(p.Size)
			if at := aws.ToTime(p.LastModified); at.After(m.Changed) {
				m.Changed = at
			}
		}
	}
	return nil
}

// Abort removes an upload in parts; that there is none is no error.
func (s *Store) Abort(ctx context.Context, m Multipart) error {
	_, err := s.client.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &m.Bucket, Key: &m.Key, UploadId: &m.ID})
	if isCode(err, "NoSuchUpload") {
		return nil
	}
	return failure("bucket.abort", err)
}

// SinglePut is the largest object that one PUT of Amazon S3 makes
// (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html); MostParts and LeastPart bound the number of parts
// of a multipart upload, and the bytes of each but the last.
const (
	SinglePut = 5 << 30
	MostParts = 10_000
	LeastPart = 5 << 20
)

// Part is a part of a multipart upload that the storage has.
type Part struct {
	Number int // from 1
	Size   int64
	ETag   string
}

// BeginParts begins a multipart upload and returns its id.
func (s *Store) BeginParts(ctx context.Context, bucket, key, contentType string) (id string, err error) {
	const op = "bucket.begin_parts"
	if _, ok := cleanKey(key); !ok {
		return "", badKey(op)
	}
	out, err := s.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ContentType: optional(contentType)})
	if err != nil {
		return "", failure(op, err)
	}
	return aws.ToString(out.UploadId), nil
}

// ListParts returns the parts that a multipart upload has, in the order of their numbers: one request for each thousand.
// fault.NotFound, code "no_such_upload", where the storage answers that there is no such upload: it was completed or
// aborted.
func (s *Store) ListParts(ctx context.Context, m Multipart) (parts []Part, err error) {
	const op = "bucket.list_parts"
	pages := s3.NewListPartsPaginator(s.client, &s3.ListPartsInput{Bucket: &m.Bucket, Key: &m.Key, UploadId: &m.ID})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, partFailure(op, err)
		}
		for _, p := range page.Parts {
			parts = append(parts, Part{Number: int(aws.ToInt32(p.PartNumber)), Size: aws.ToInt64(p.Size), ETag: aws.ToString(p.ETag)})
		}
	}
	return parts, nil
}

// JoinParts completes a multipart upload of those parts: its object is there when it returns. fault.NotFound, code
// "no_such_upload", as from ListParts.
func (s *Store) JoinParts(ctx context.Context, m Multipart, parts []Part) error {
	done := make([]types.CompletedPart, len(parts))
	for i, p := range parts {
		done[i] = types.CompletedPart{PartNumber: aws.Int32(int32(p.Number)), ETag: &p.ETag}
	}
	_, err := s.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
		Bucket: &m.Bucket, Key: &m.Key, UploadId: &m.ID, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	})
	return partFailure("bucket.join_parts", err)
}

// partFailure is failure, and fault.NotFound where the storage says by its code that it has no such multipart upload.
func partFailure(op string, err error) error {
	if isCode(err, "NoSuchUpload") {
		return fault.New(fault.NotFound, op, "no_such_upload", "There is no such multipart upload.", err)
	}
	return failure(op, err)
}

// Folders walks what lies directly below prefix, as far as it ends in a slash there: "streams/" has "streams/a/" and "streams/b/".
func (s *Store) Folders(ctx context.Context, bucket, prefix string) iter.Seq2[string, error] {
	if s.embedded != nil {
		return s.embedded.disk.folders(ctx, bucket, prefix)
	}
	return func(yield func(string, error) bool) {
		pages := s3.NewListObjectsV2Paginator(s.client, &s3.ListObjectsV2Input{Bucket: &bucket, Prefix: optional(prefix), Delimiter: aws.String("/")})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				yield("", failure("bucket.list", err))
				return
			}
			for _, p := range page.CommonPrefixes {
				if !yield(aws.ToString(p.Prefix), nil) {
					return
				}
			}
		}
	}
}

package bucket

import (
	"context"
	"iter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
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

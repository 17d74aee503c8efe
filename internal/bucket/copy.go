package bucket

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// Copies read their source as GetObject does and store it as PutObject and UploadPart do, so that they are accepted like any write.

// source opens what a copy reads. A failed condition is 412 in each case (https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html), where a
// reader would get 304.
func (d *disk) source(ctx context.Context, in *s3.GetObjectInput, expectedOwner *string) (*s3.GetObjectOutput, error) {
	if owner := deref(expectedOwner); owner != "" && owner != d.owner {
		return nil, s3err.GetAPIError(s3err.ErrAccessDenied)
	}
	in.ChecksumMode = types.ChecksumModeEnabled
	got, err := d.GetObject(ctx, in)
	if errors.Is(err, s3err.GetAPIError(s3err.ErrNotModified)) {
		err = s3err.GetAPIError(s3err.ErrPreconditionFailed)
	}
	return got, err
}

// CopyObject stores a copy of an object, with its tags and a checksum of the same kind.
func (d *disk) CopyObject(ctx context.Context, in s3response.CopyObjectInput) (s3response.CopyObjectOutput, error) {
	var out s3response.CopyObjectOutput
	if _, err := d.at(in.Bucket, in.Key); err != nil {
		return out, err
	}
	bucket, key, _, err := backend.ParseCopySource(deref(in.CopySource))
	if err != nil {
		return out, err
	}
	replace := in.MetadataDirective == types.MetadataDirectiveReplace
	from, _ := cleanKey(key)
	if to, _ := cleanKey(*in.Key); bucket == *in.Bucket && from == to && !replace {
		return out, s3err.GetAPIError(s3err.ErrInvalidCopyDest)
	}
	got, err := d.source(ctx, &s3.GetObjectInput{
		Bucket: &bucket, Key: &key, IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModifiedSince: in.CopySourceIfModifiedSince, IfUnmodifiedSince: in.CopySourceIfUnmodifiedSince,
	}, in.ExpectedSourceBucketOwner)
	if err != nil {
		return out, err
	}
	defer got.Body.Close()
	put := s3response.PutObjectInput{
		Bucket: in.Bucket, Key: in.Key, Body: got.Body, ContentLength: got.ContentLength, ChecksumAlgorithm: in.ChecksumAlgorithm, Tagging: in.Tagging,
		ContentType: got.ContentType, ContentEncoding: got.ContentEncoding, ContentDisposition: got.ContentDisposition,
		ContentLanguage: got.ContentLanguage, CacheControl: got.CacheControl, Expires: got.ExpiresString, Metadata: got.Metadata,
		WebsiteRedirectLocation: in.WebsiteRedirectLocation, // never copied
	}
	if strings.HasSuffix(key, "/") { // a folder can't be read
		put.Body = http.NoBody
	}
	if put.ChecksumAlgorithm == "" {
		put.ChecksumAlgorithm = checksumOf(got)
	}
	if replace {
		put.ContentType, put.ContentEncoding, put.ContentDisposition = in.ContentType, in.ContentEncoding, in.ContentDisposition
		put.ContentLanguage, put.CacheControl, put.Expires, put.Metadata = in.ContentLanguage, in.CacheControl, in.Expires, in.Metadata
	}
	if in.TaggingDirective != types.TaggingDirectiveReplace {
		if put.Tagging, err = d.tags(ctx, bucket, key); err != nil {
			return out, err
		}
	}
	stored, placed, err := d.store(ctx, put)
	if err != nil {
		return out, err
	}
	out.CopyObjectResult = &s3response.CopyObjectResult{
		ETag: &stored.ETag, LastModified: &placed, ChecksumType: stored.ChecksumType, ChecksumCRC32: stored.ChecksumCRC32,
		ChecksumCRC32C: stored.ChecksumCRC32C, ChecksumCRC64NVME: stored.ChecksumCRC64NVME, ChecksumSHA1: stored.ChecksumSHA1,
		ChecksumSHA256: stored.ChecksumSHA256, ChecksumSHA512: stored.ChecksumSHA512, ChecksumMD5: stored.ChecksumMD5,
		ChecksumXXHASH64: stored.ChecksumXXHASH64, ChecksumXXHASH3: stored.ChecksumXXHASH3, ChecksumXXHASH128: stored.ChecksumXXHASH128,
	}
	return out, nil
}

// tags are an object's tags as the header of a PUT writes them; nil for none.
func (d *disk) tags(ctx context.Context, bucket, key string) (*string, error) {
	tags, err := d.GetObjectTagging(ctx, bucket, key, "")
	if err != nil && !errors.Is(err, s3err.GetAPIError(s3err.ErrBucketTaggingNotFound)) {
		return nil, err
	}
	values := url.Values{}
	for name, value := range tags {
		values.Set(name, value)
	}
	return optional(values.Encode()), nil
}

// checksumOf is the kind of checksum that an object carries, empty where it has none.
func checksumOf(o *s3.GetObjectOutput) types.ChecksumAlgorithm {
	for algorithm, sum := range map[types.ChecksumAlgorithm]*string{
		types.ChecksumAlgorithmCrc32: o.ChecksumCRC32, types.ChecksumAlgorithmCrc32c: o.ChecksumCRC32C, types.ChecksumAlgorithmCrc64nvme: o.ChecksumCRC64NVME,
		types.ChecksumAlgorithmSha1: o.ChecksumSHA1, types.ChecksumAlgorithmSha256: o.ChecksumSHA256, types.ChecksumAlgorithmSha512: o.ChecksumSHA512,
		types.ChecksumAlgorithmMd5: o.ChecksumMD5, types.ChecksumAlgorithmXxhash64: o.ChecksumXXHASH64, types.ChecksumAlgorithmXxhash3: o.ChecksumXXHASH3,
		types.ChecksumAlgorithmXxhash128: o.ChecksumXXHASH128,
	} {
		if deref(sum) != "" {
			return algorithm
		}
	}
	return ""
}

// UploadPartCopy stores a range of another object as a part. An upload that asks for a checksum of each part refuses it: there is none to check the copy by.
func (d *disk) UploadPartCopy(ctx context.Context, in *s3.UploadPartCopyInput) (s3response.CopyPartResult, error) {
	var out s3response.CopyPartResult
	if _, err := d.at(in.Bucket, in.Key); err != nil {
		return out, err
	}
	bucket, key, _, err := backend.ParseCopySource(deref(in.CopySource))
	if err != nil {
		return out, err
	}
	get := &s3.GetObjectInput{
		Bucket: &bucket, Key: &key, IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModifiedSince: in.CopySourceIfModifiedSince, IfUnmodifiedSince: in.CopySourceIfUnmodifiedSince,
	}
	if r := deref(in.CopySourceRange); r != "" {
		head, err := d.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return out, err
		}
		if _, _, err := backend.ParseCopySourceRange(*head.ContentLength, r); err != nil {
			return out, err
		}
		get.Range = in.CopySourceRange
		if get.IfMatch == nil {
			get.IfMatch = optional(strings.Trim(deref(head.ETag), `"`)) // conditions come without quotes
		}
	}
	got, err := d.source(ctx, get, in.ExpectedSourceBucketOwner)
	if err != nil {
		return out, err
	}
	defer got.Body.Close()
	part, err := d.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, PartNumber: in.PartNumber, Body: got.Body, ContentLength: got.ContentLength,
	})
	if err != nil {
		return out, err
	}
	return s3response.CopyPartResult{LastModified: time.Now(), ETag: part.ETag}, nil
}

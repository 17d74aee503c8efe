package bucket

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// The calls of disk that the posix backend answers, with the bucket's path for its name on the way in and its name
// again on the way out.
// Calls that change a key's uploads hold the key's lock, and an upload's id is checked first.

func (d *disk) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	inside := *in
	inside.Bucket = dir
	return d.posix.HeadObject(ctx, &inside)
}

func (d *disk) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	inside := *in
	inside.Bucket = dir
	return d.posix.GetObject(ctx, &inside)
}

func (d *disk) GetObjectAttributes(ctx context.Context, in *s3.GetObjectAttributesInput) (s3response.GetObjectAttributesResponse, error) {
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.GetObjectAttributesResponse{}, err
	}
	inside := *in
	inside.Bucket = dir
	return d.posix.GetObjectAttributes(ctx, &inside)
}

func (d *disk) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	dir, err := d.dir(in.Bucket)
	if err != nil {
		return s3response.ListObjectsResult{}, err
	}
	inside := *in
	inside.Bucket = dir
	out, err := d.posix.ListObjects(ctx, &inside)
	out.Name = in.Bucket
	return out, err
}

func (d *disk) ListObjectsV2(ctx context.Context, in *s3.ListObjectsV2Input) (s3response.ListObjectsV2Result, error) {
	dir, err := d.dir(in.Bucket)
	if err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	inside := *in
	inside.Bucket = dir
	out, err := d.posix.ListObjectsV2(ctx, &inside)
	out.Name = in.Bucket
	return out, err
}

func (d *disk) CreateMultipartUpload(ctx context.Context, in s3response.CreateMultipartUploadInput) (s3response.InitiateMultipartUploadResult, error) {
	bucket := deref(in.Bucket)
	dir, err := d.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	if err := d.admits(bucket, *in.Key); err != nil { // rather than after all parts
		return s3response.InitiateMultipartUploadResult{}, err
	}
	defer d.lockKey(in.Bucket, in.Key)()
	key := in.Key
	in.Bucket = dir
	out, err := d.posix.CreateMultipartUpload(ctx, in)
	out.Bucket = bucket
	if err != nil {
		return out, refusal(err)
	}
	folder, err := d.uploadFolder(&bucket, key, &out.UploadId)
	if err != nil {
		return out, err
	}
	return out, refusal(d.sync(bucket, folder))
}

// AbortMultipartUpload removes an upload. versitygw's own would remove its files one by one under the upload's name
// (discard).
func (d *disk) AbortMultipartUpload(_ context.Context, in *s3.AbortMultipartUploadInput) error {
	if _, err := d.dir(in.Bucket); err != nil { // any key: an earlier version began uploads to keys that at refuses
		return err
	}
	folder, err := d.uploadFolder(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return err
	}
	defer d.lockKey(in.Bucket, in.Key)()
	info, err := os.Stat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return s3err.GetNoSuchUploadErr(*in.UploadId)
	}
	if err != nil {
		return err
	}
	if at := in.IfMatchInitiatedTime; at != nil && at.Unix() != info.ModTime().Unix() {
		return s3err.GetPreconditionFailedErr(s3err.ConditionIfMatchInitiatedTime)
	}
	return removeUpload(folder)
}

func (d *disk) ListMultipartUploads(ctx context.Context, in *s3.ListMultipartUploadsInput) (s3response.ListMultipartUploadsResult, error) {
	dir, err := d.dir(in.Bucket)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, err
	}
	inside := *in
	inside.Bucket = dir
	out, err := d.posix.ListMultipartUploads(ctx, &inside)
	out.Bucket = deref(in.Bucket)
	return out, err
}

func (d *disk) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	dir, err := d.dir(in.Bucket) // any key, as for AbortMultipartUpload
	if err != nil {
		return s3response.ListPartsResult{}, err
	}
	if _, err := d.uploadFolder(in.Bucket, in.Key, in.UploadId); err != nil {
		return s3response.ListPartsResult{}, err
	}
	inside := *in
	inside.Bucket = dir
	out, err := d.posix.ListParts(ctx, &inside)
	out.Bucket = deref(in.Bucket)
	return out, err
}

func (d *disk) GetObjectTagging(ctx context.Context, bucket, object, version string) (map[string]string, error) {
	dir, err := d.at(&bucket, &object)
	if err != nil {
		return nil, err
	}
	return d.posix.GetObjectTagging(ctx, *dir, object, version)
}

func (d *disk) PutObjectTagging(ctx context.Context, bucket, object, version string, tags map[string]string) error {
	dir, err := d.at(&bucket, &object)
	if err != nil {
		return err
	}
	return d.posix.PutObjectTagging(ctx, *dir, object, version, tags)
}

func (d *disk) DeleteObjectTagging(ctx context.Context, bucket, object, version string) error {
	dir, err := d.at(&bucket, &object)
	if err != nil {
		return err
	}
	return d.posix.DeleteObjectTagging(ctx, *dir, object, version)
}

// What clients and the server itself ask of a bucket: it is there, it is the root account's, and nothing is configured on it.

func (d *disk) ListBuckets(_ context.Context, in s3response.ListBucketsInput) (s3response.ListAllMyBucketsResult, error) {
	out := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: in.Owner}}
	for _, b := range d.buckets {
		var made time.Time
		if info, err := os.Stat(filepath.Join(d.root, b)); err == nil {
			made = info.ModTime()
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket, s3response.ListAllMyBucketsEntry{Name: b, CreationDate: made})
	}
	return out, nil
}

func (d *disk) HeadBucket(_ context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	if _, err := d.dir(in.Bucket); err != nil {
		return nil, err
	}
	return &s3.HeadBucketOutput{}, nil
}

func (d *disk) CreateBucket(_ context.Context, in *s3.CreateBucketInput, _ []byte) error {
	if _, err := d.dir(in.Bucket); err == nil {
		return s3err.GetAPIError(s3err.ErrBucketAlreadyOwnedByYou)
	}
	return s3err.GetAPIError(s3err.ErrNotImplemented)
}

func (d *disk) GetBucketAcl(_ context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	_, err := d.dir(in.Bucket)
	return nil, err
}

func (d *disk) GetBucketVersioning(_ context.Context, bucket string) (s3response.GetBucketVersioningOutput, error) {
	_, err := d.dir(&bucket)
	return s3response.GetBucketVersioningOutput{}, err
}

func (d *disk) GetBucketOwnershipControls(_ context.Context, bucket string) (types.ObjectOwnership, error) {
	_, err := d.dir(&bucket)
	return types.ObjectOwnershipBucketOwnerEnforced, err
}

func (d *disk) GetBucketPolicy(_ context.Context, bucket string) ([]byte, error) {
	return nil, d.unset(bucket, s3err.ErrNoSuchBucketPolicy)
}

func (d *disk) GetBucketCors(_ context.Context, bucket string) ([]byte, error) {
	return nil, d.unset(bucket, s3err.ErrNoSuchCORSConfiguration)
}

func (d *disk) GetObjectLockConfiguration(_ context.Context, bucket string) ([]byte, error) {
	return nil, d.unset(bucket, s3err.ErrObjectLockConfigurationNotFound)
}

func (d *disk) unset(bucket string, code s3err.ErrorCode) error {
	if _, err := d.dir(&bucket); err != nil {
		return err
	}
	return s3err.GetAPIError(code)
}

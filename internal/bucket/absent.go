package bucket

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// absent is what a 404 for one object means, and failure for every other error. The answer to a HEAD has no body
// (RFC 9110 §9.3.2), so a missing object and a missing bucket look the same, and a proxy without a backend answers 404
// to everything. Callers end work for good on fault.NotFound; therefore it is returned only where the bucket lists
// its objects and the key is not among them. It costs one listing of one key for each 404.
func absent(ctx context.Context, client *s3.Client, op, bucket, key string, err error) error {
	if !isNotFound(err) {
		return failure(op, err)
	}
	page, lerr := client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
		Bucket: &bucket, Prefix: &key, MaxKeys: aws.Int32(1), EncodingType: types.EncodingTypeUrl,
	})
	if lerr != nil {
		return failure(op, lerr)
	}
	for _, o := range page.Contents { // the key itself sorts before every key that it begins
		if listed(aws.ToString(o.Key), page.EncodingType) == key {
			return storageAway(op, fmt.Errorf("the object %s/%s is listed, and answered with: %w", bucket, key, err))
		}
	}
	return noSuchObject(op, err)
}

// absent is what it means that the object at key has no file.
func (f folder) absent(op, bucket string, cause error) error {
	if err := f.present(op, bucket); err != nil {
		return err
	}
	return noSuchObject(op, cause)
}

// present returns an error where the folder of a bucket is away. The staging folder in it is the mark: every start
// makes
// it, so an empty mount point is not taken for a bucket without objects.
func (f folder) present(op, bucket string) error {
	_, err := os.Stat(filepath.Join(f.root, bucket, staging))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return noSuchBucket(op, err)
	case err != nil:
		return storageFault(op, err)
	}
	return nil
}

// isNotFound reports whether a server answered that it has no such object. The code NotFound is the SDK's for a 404
// without a body.
func isNotFound(err error) bool { return isCode(err, "NoSuchKey", "NotFound") }

func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

package bucket

import (
	"context"
	"crypto/md5" // what S3 checks bodies by (Content-MD5), not a seal
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/fault"
)

// Transfer takes objects of the embedded storage, which nobody writes to meanwhile, to another endpoint. What it sends carries its MD5, so that the endpoint
// refuses what was damaged on the way. Sending costs two readings of the file; what is there already costs one HEAD.
type Transfer struct {
	Root string // of the embedded storage
	To   *Store
	Part int64 // size of the parts in which larger objects are sent; 0 means 512 MiB, and S3 asks for at least 5 MiB
}

func (t Transfer) part() int64 {
	if t.Part > 0 {
		return t.Part
	}
	return copyPart
}

// Send makes what f holds the object key of the other endpoint, unless it is that, and tells whether it had to. The object is there, with its size and its hash, when it
// returns. fault.Invalid, code "object_damaged", where f isn't what was once stored.
func (t Transfer) Send(ctx context.Context, f Stored, bucket, key string) (o Object, sent bool, err error) {
	const op = "bucket.send"
	in, err := openFile(filepath.Join(t.Root, f.Bucket, f.Key), f.Bucket, f.Key)
	if err != nil {
		return o, false, storageFault(op, err)
	}
	defer in.Close()
	there, err := t.To.head(ctx, bucket, key)
	switch known := recorded(f); {
	case isNotFound(err): // whether the bucket is there shows when the object is put
	case err != nil:
		return o, false, failure(op, err)
	case there.Size == f.Bytes && known != "" && there.ETag == known && f.Bytes <= t.part():
		return there, false, nil
	}
	sums, err := hashes(ctx, in, t.part())
	if err != nil {
		return o, false, storageFault(op, err)
	}
	if known := recorded(f); known != "" && known != sums.whole {
		return o, false, fault.New(fault.Invalid, op, "object_damaged", "An object is not what was once stored; restore it from a backup, or delete its video.",
			fmt.Errorf("%s/%s has the MD5 %s and had %s", f.Bucket, f.Key, sums.whole, known))
	}
	if there.Size == f.Bytes && there.ETag == sums.tag() {
		return there, false, nil
	}
	if there.ETag != "" && there.Size == f.Bytes && t.Same(ctx, f, bucket, key) == nil {
		return there, false, nil // sent before, to a storage whose tags are no MD5
	}
	if err := t.put(ctx, in, f, sums, bucket, key); err != nil {
		return o, false, failure(op, err)
	}
	if there, err = t.To.stored(ctx, op, bucket, key); err != nil {
		return o, false, err
	}
	if there.Size != f.Bytes || there.ETag != sums.tag() {
		err = t.Same(ctx, f, bucket, key)
	}
	return there, true, err
}

// recorded is the MD5 that was recorded when an object was written, empty where it came in parts.
func recorded(f Stored) string {
	tag := strings.Trim(string(f.Attributes[etagAttribute]), `"`)
	if raw, err := hex.DecodeString(tag); err != nil || len(raw) != md5.Size {
		return ""
	}
	return tag
}

// sums are the MD5 of a file and of its parts, binary.
type sums struct {
	whole string // hex
	parts [][md5.Size]byte
}

// tag is the ETag that S3 gives to what was sent in those parts.
func (s sums) tag() string {
	if len(s.parts) <= 1 {
		return s.whole
	}
	all := md5.New()
	for _, p := range s.parts {
		_, _ = all.Write(p[:]) // a hash takes everything
	}
	return fmt.Sprintf("%x-%d", all.Sum(nil), len(s.parts))
}

func hashes(ctx context.Context, in io.ReaderAt, part int64) (s sums, err error) {
	whole := md5.New()
	for from := int64(0); ; from += part {
		one := md5.New()
		n, err := io.Copy(io.MultiWriter(whole, one), io.NewSectionReader(in, from, part))
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return s, err
		}
		if n > 0 || from == 0 {
			s.parts = append(s.parts, [md5.Size]byte(one.Sum(nil)))
		}
		if n < part {
			s.whole = hex.EncodeToString(whole.Sum(nil))
			return s, nil
		}
	}
}

func (t Transfer) put(ctx context.Context, in opened, f Stored, s sums, bucket, key string) error {
	kind := optional(string(f.Attributes[typeAttribute]))
	if len(s.parts) == 1 {
		_, err := t.To.client.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &bucket, Key: &key, Body: io.NewSectionReader(in, 0, f.Bytes), ContentLength: &f.Bytes, ContentType: kind,
			ContentMD5: aws.String(base64.StdEncoding.EncodeToString(s.parts[0][:])),
		})
		return err
	}
	up, err := t.To.client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: &bucket, Key: &key, ContentType: kind})
	if err != nil {
		return err
	}
	done := make([]types.CompletedPart, 0, len(s.parts))
	for i, sum := range s.parts {
		from, number := int64(i)*t.part(), int32(i+1)
		size := min(t.part(), f.Bytes-from)
		var out *s3.UploadPartOutput
		out, err = t.To.client.UploadPart(ctx, &s3.UploadPartInput{
			Bucket: &bucket, Key: &key, UploadId: up.UploadId, PartNumber: &number, Body: io.NewSectionReader(in, from, size), ContentLength: &size,
			ContentMD5: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		})
		if err != nil {
			break
		}
		done = append(done, types.CompletedPart{ETag: out.ETag, PartNumber: &number})
	}
	if err == nil {
		_, err = t.To.client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &bucket, Key: &key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		})
	}
	if err != nil {
		_, _ = t.To.client.AbortMultipartUpload(context.WithoutCancel(ctx), &s3.AbortMultipartUploadInput{Bucket: &bucket, Key: &key, UploadId: up.UploadId})
	}
	return err
}

// Same reads both sides and returns nil where the object holds what f holds; fault.Conflict, code "objects_differ", where not.
func (t Transfer) Same(ctx context.Context, f Stored, bucket, key string) error {
	const op = "bucket.same"
	in, err := openFile(filepath.Join(t.Root, f.Bucket, f.Key), f.Bucket, f.Key)
	if err != nil {
		return storageFault(op, err)
	}
	defer in.Close()
	body, _, err := t.To.Get(ctx, bucket, key, "")
	if err != nil {
		return err
	}
	defer body.Close()
	here, there := sha256.New(), sha256.New()
	if _, err := io.Copy(here, in); err != nil {
		return storageFault(op, err)
	}
	if _, err := io.Copy(there, body); err != nil {
		return failure(op, err)
	}
	if hex.EncodeToString(here.Sum(nil)) != hex.EncodeToString(there.Sum(nil)) {
		return fault.New(fault.Conflict, op, "objects_differ", "An object of the new storage does not hold what the old one holds; run the move again.",
			errors.New(bucket+"/"+key))
	}
	return nil
}

package bucket

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// uploadsFolder is where versitygw keeps the parts, below the staging folder: a folder for each key (its SHA-256), in
// it one for each upload.
const uploadsFolder = "multipart"

// keyAttribute is versitygw's attribute of the folder of a key: the key.
const keyAttribute = "user.objname"

// uploadFolder returns the folder of an upload's parts, NoSuchUpload where the id is none of ours: versitygw makes a
// path of it unchecked.
func (d *disk) uploadFolder(bucket, key, id *string) (string, error) {
	if len(deref(id)) != 36 || strings.Trim(*id, "0123456789abcdef-") != "" { // a UUID
		return "", s3err.GetNoSuchUploadErr(deref(id))
	}
	return partsFolder(filepath.Join(d.root, *bucket), *key, *id), nil
}

// partsFolder is where versitygw keeps the parts of an upload to the bucket at dir.
func partsFolder(dir, key, id string) string {
	sum := sha256.Sum256([]byte(key))
	return filepath.Join(dir, staging, uploadsFolder, hex.EncodeToString(sum[:]), id)
}

// CompleteMultipartUpload makes an object of the parts. A client may repeat it, as after an answer that was lost: the
// answer is the same
// as long as the object is the one that this upload made, and so is what Created is told. After any failure the upload
// is as usable as
// before.
func (d *disk) CompleteMultipartUpload(ctx context.Context, in *s3.CompleteMultipartUploadInput) (s3response.CompleteMultipartUploadResult, string, error) {
	var out s3response.CompleteMultipartUploadResult
	if _, err := d.at(in.Bucket, in.Key); err != nil {
		return out, "", err
	}
	folder, err := d.uploadFolder(in.Bucket, in.Key, in.UploadId)
	if err != nil {
		return out, "", err
	}
	if in.MultipartUpload == nil {
		return out, "", s3err.GetAPIError(s3err.ErrInvalidRequest)
	}
	d.ending.RLock() // Close waits for it
	defer d.ending.RUnlock()
	defer d.lockKey(in.Bucket, in.Key)()
	step("Complete.before")
	if err := d.complete(ctx, in, folder); err != nil {
		var known s3err.S3Error
		if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
			err = interruption()
		}
		if err = refusal(err); errors.As(err, &known) {
			err = known // the server does not unwrap
		} else {
			d.log.Error("multipart upload not completed", "bucket", *in.Bucket, "key", *in.Key, "error", err)
		}
		return out, "", err
	}
	if err := d.accept(*in.Bucket, *in.Key); err != nil {
		return out, "", err
	}
	step("Complete.accepted")
	out, err = d.completion(*in.Bucket, *in.Key)
	return out, "", err
}

// complete makes the object, unless it is made.
func (d *disk) complete(ctx context.Context, in *s3.CompleteMultipartUploadInput, folder string) error {
	state, err := d.stateOf(folder, *in.Bucket, *in.Key, *in.UploadId)
	switch {
	case err != nil:
		return err
	case state == uploadOpen:
		return d.make(ctx, in, folder)
	}
	if err := removeUpload(folder); err != nil {
		return err
	}
	if state == uploadComplete {
		etag, err := backend.ComputeMultipartETagFromPartETags(in.MultipartUpload.Parts)
		if err != nil {
			return err
		}
		there, err := d.describe(*in.Bucket, *in.Key)
		if err != nil || backend.AreEtagsSame(etag, there.ETag) {
			return err
		}
	}
	return s3err.GetNoSuchUploadErr(*in.UploadId)
}

type uploadState int

const (
	uploadNone     uploadState = iota // never begun, aborted, or its object was replaced
	uploadOpen                        // can be completed
	uploadComplete                    // its object is there
)

// stateOf looks at the folder of an upload and at the object under its key.
func (f folder) stateOf(folder, bucket, key, id string) (uploadState, error) {
	by, err := f.madeBy(bucket, key)
	switch {
	case err != nil:
		return uploadNone, err
	case by == id:
		return uploadComplete, nil
	}
	if _, err := os.Stat(folder); err != nil {
		return uploadNone, ignoreMissing(err)
	}
	_, layout := os.Stat(filepath.Join(folder, layoutName))
	_, joined := os.Stat(filepath.Join(folder, joinedName))
	if err := errors.Join(ignoreMissing(layout), ignoreMissing(joined)); err != nil {
		return uploadNone, err
	}
	if layout == nil && joined != nil {
		return uploadNone, nil // complete, and its object was replaced or deleted
	}
	return uploadOpen, nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// madeBy returns the id of the multipart upload that made the object at key; empty where another write made it, or
// there is none.
func (f folder) madeBy(bucket, key string) (string, error) {
	const op = "bucket.made_by"
	name, ok := f.path(bucket, key)
	if !ok {
		return "", nil
	}
	file, err := f.open(op, bucket, name)
	if err != nil {
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) { // or a key under which nothing can be stored
			err = nil
		}
		return "", err
	}
	defer file.Close()
	all, err := attributesOf(file)
	if err != nil {
		return "", err
	}
	value, ok := all["user."+multipartAttribute]
	if !ok {
		return "", nil
	}
	m, err := backend.UnmarshalMpUploadMetadata(value, false)
	if err != nil {
		return "", nil //nolint:nilerr // not written by an upload; one broken attribute must not keep the endpoint from opening
	}
	return m.UploadID, nil
}

// make makes the object of an open upload: versitygw checks the completion and describes the object, then the parts are
// joined.
func (d *disk) make(ctx context.Context, in *s3.CompleteMultipartUploadInput, folder string) error {
	if err := d.admits(*in.Bucket, *in.Key); err != nil {
		return err
	}
	if err := d.expects(*in.Bucket, *in.Key, in.IfMatch, in.IfNoneMatch); err != nil {
		return err
	}
	attributes, err := d.attempt(ctx, in, folder)
	if err != nil {
		return err
	}
	parts, err := partsOf(folder, in.MultipartUpload.Parts)
	if err != nil {
		return err
	}
	step("Complete.checked")
	joined, err := d.join(ctx, folder, parts)
	if err != nil {
		return err
	}
	step("Complete.joined")
	for name, value := range attributes {
		if err := unix.Setxattr(joined, name, value, 0); err != nil {
			return err
		}
	}
	step("Complete.described")
	if _, err := d.replace(joined, *in.Bucket, *in.Key); err != nil {
		return err
	}
	step("Complete.placed")
	if err := removeUpload(folder); err != nil {
		return err
	}
	step("Complete.removed")
	return nil
}

// attempt has versitygw complete a bucket of its own, in which the parts of the upload are linked and no byte is
// copied, and returns the
// attributes of the object that it made: ETag, checksums, content type, metadata, tags.
func (d *disk) attempt(ctx context.Context, in *s3.CompleteMultipartUploadInput, folder string) (_ map[string][]byte, err error) {
	own := filepath.Join(d.root, *in.Bucket, stagedName(attemptName))
	defer func() { err = errors.Join(err, os.RemoveAll(own)) }()
	parts := partsFolder(own, *in.Key, *in.UploadId)
	if err := os.MkdirAll(parts, 0o755); err != nil {
		return nil, err
	}
	if err := copyAttributes(folder, parts); err != nil {
		return nil, err
	}
	for _, p := range in.MultipartUpload.Parts {
		if p.PartNumber == nil {
			continue // versitygw refuses it
		}
		name := strconv.Itoa(int(*p.PartNumber))
		err := os.Link(filepath.Join(folder, name), filepath.Join(parts, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrExist) { // versitygw refuses what is missing or named twice
			return nil, err
		}
	}
	inside := *in
	inside.Bucket, inside.IfMatch, inside.IfNoneMatch = &own, nil, nil
	_, _, err = d.posix.CompleteMultipartUploadWithCopy(ctx, &inside, func(_, _ *os.File) (bool, error) { return true, nil })
	if err != nil {
		return nil, err
	}
	described, err := os.Open(filepath.Join(own, *in.Key))
	if err != nil {
		return nil, err
	}
	defer described.Close()
	return attributesOf(described)
}

func copyAttributes(from, to string) error {
	file, err := os.Open(from)
	if err != nil {
		return err
	}
	defer file.Close()
	all, err := attributesOf(file)
	if err != nil {
		return err
	}
	for name, value := range all {
		if err := unix.Setxattr(to, name, value, 0); err != nil {
			return err
		}
	}
	return nil
}

// partsOf describes the parts of a completion that versitygw has checked.
func partsOf(folder string, named []types.CompletedPart) ([]joinPart, error) {
	parts := make([]joinPart, 0, len(named))
	for _, p := range named {
		file, err := os.Open(joinPart{Number: *p.PartNumber}.path(folder))
		if err != nil {
			return nil, err
		}
		now, err := partOf(file, *p.PartNumber)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, err
		}
		parts = append(parts, now)
	}
	return parts, nil
}

// removeUpload removes the folder of an upload, and that of its key where no other upload is in it.
func removeUpload(folder string) error {
	if err := discard(folder); err != nil {
		return err
	}
	key := filepath.Dir(folder)
	err := unix.Rmdir(key)
	switch {
	case err == nil:
		key = filepath.Dir(key)
	case errors.Is(err, unix.ENOENT):
		return nil
	case !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST):
		return err
	}
	return syncPath(key)
}

// discard removes the folder of an upload, if there is one. The folder is renamed out of the uploads first, durably: a
// process that dies
// while it removes the files one by one would else leave parts without the layout, which count as an open upload,
// although their joined
// bytes are cut out of them. The start removes what has the other name (removeStaged).
func discard(folder string) error {
	key := filepath.Dir(folder)
	top := filepath.Dir(filepath.Dir(key)) // the staging folder
	gone := filepath.Join(top, removedName+rand.Text())
	if err := os.Rename(folder, gone); err != nil {
		return ignoreMissing(err)
	}
	if err := errors.Join(syncPath(top), syncPath(key)); err != nil {
		return err
	}
	step("Upload.renamed")
	return os.RemoveAll(gone)
}

// completion is the answer for an object that a multipart upload made. It is read from the object, so that it is the
// same each time.
func (d *disk) completion(bucket, key string) (s3response.CompleteMultipartUploadResult, error) {
	var out s3response.CompleteMultipartUploadResult
	name, ok := d.path(bucket, key)
	if !ok {
		return out, badRequest(key)
	}
	file, err := d.open("bucket.complete", bucket, name)
	if err != nil {
		return out, err
	}
	defer file.Close()
	all, err := attributesOf(file)
	if err != nil {
		return out, err
	}
	var sums s3response.Checksum
	if text, ok := all["user.checksums"]; ok {
		if err := json.Unmarshal(text, &sums); err != nil {
			return out, err
		}
	}
	etag := string(all[etagAttribute])
	return s3response.CompleteMultipartUploadResult{
		Bucket: &bucket, Key: &key, ETag: &etag, ChecksumType: &sums.Type,
		ChecksumCRC32: sums.CRC32, ChecksumCRC32C: sums.CRC32C, ChecksumCRC64NVME: sums.CRC64NVME, ChecksumSHA1: sums.SHA1,
		ChecksumSHA256: sums.SHA256, ChecksumSHA512: sums.SHA512, ChecksumMD5: sums.MD5,
		ChecksumXXHASH64: sums.XXHASH64, ChecksumXXHASH3: sums.XXHASH3, ChecksumXXHASH128: sums.XXHASH128,
	}, nil
}

// recoverUploads puts the uploads of a bucket in order before the first request: a folder that a completion of
// versitygw renamed gets its
// name again, one whose object is made is removed, and so is what belongs to no upload.
func (f folder) recoverUploads(bucket string) error {
	top := filepath.Join(f.root, bucket, staging, uploadsFolder)
	keys, err := os.ReadDir(top)
	if err != nil {
		return ignoreMissing(err)
	}
	for _, k := range keys {
		if err := f.recoverKey(bucket, filepath.Join(top, k.Name())); err != nil {
			return err
		}
	}
	return nil
}

// claimed ends the name of a folder that versitygw's completion renamed: <id>.<ETag>.inprogress.
const claimed = ".inprogress"

func (f folder) recoverKey(bucket, dir string) error {
	file, err := os.Open(dir)
	if err != nil {
		return err
	}
	key, err := attribute(file, keyAttribute)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if key == "" { // the process died while versitygw began the first upload of a key: its client has no answer
		return os.RemoveAll(dir)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return len(b.Name()) - len(a.Name()) }) // renamed folders first
	for _, e := range entries {
		name := filepath.Join(dir, e.Name())
		if !e.IsDir() { // a part that was being taken, on a filesystem without O_TMPFILE
			if err := os.Remove(name); err != nil {
				return err
			}
			continue
		}
		id, _, renamed := strings.Cut(e.Name(), ".")
		if renamed && strings.HasSuffix(name, claimed) {
			plain := filepath.Join(dir, id)
			if err := os.RemoveAll(plain); err != nil { // a part that came meanwhile, of which versitygw made a folder without attributes
				return err
			}
			if err := os.Rename(name, plain); err != nil {
				return err
			}
			name = plain
		}
		state, err := f.stateOf(name, bucket, key, id)
		if err == nil && state != uploadOpen {
			err = discard(name)
		}
		if err != nil {
			return err
		}
	}
	if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
		return err
	}
	return syncPath(filepath.Dir(dir))
}

// Package bucket keeps objects. S3 is the only storage API: Store is a client of any S3 endpoint, and Embedded is such
// an endpoint in this process, for a machine that has no other: versitygw's posix backend over plain files, so an object
// is the file <root>/<bucket>/<key> with its ETag and Content-Type in extended attributes.
//
// Promise. A write through Embedded is answered with 200 only after the file, its attributes and its folders are synced
// to disk and Created has returned nil for it; writes of one key are accepted one after the other, so Created always
// sees the object of the write it is told of. An object is replaced by renaming a finished file over it, never written
// in
// place: a hard link (Pin) or an open file keeps the bytes. A part of a multipart upload is synced before it is
// answered.
//
// Cost. PutFile and Pin on Embedded are a hard link and two or three syncs, plus one reading of the file for its MD5; LocalPath costs
// nothing. Bodies stream: a PUT of any size holds a megabyte or two of memory. Completing a multipart upload copies its
// bytes once and needs room for two chunks of 16 MiB, whatever its size, where the filesystem can punch holes
// (fallocate(2): ext4, XFS, Btrfs, ZFS, tmpfs).
//
// Failure. After kill -9 an object is there whole or not at all. A write that was stored but not answered (the process
// died, or Created failed) stays visible: its client tries again, and whoever lists the bucket finds it. A completion
// that
// was interrupted, by kill -9 too, is resumed by the client's repeat; until then the upload can be listed, continued
// and
// aborted (join.go). Files without
// an ETag attribute were not written through this package. Errors are fault.Error; storage that is away is
// fault.Unavailable, and so is a bucket that is away: fault.NotFound says that a bucket which answers has no such
// object
// (see absent). A second process over the same root would break the order of writes to one key: the caller keeps it
// out.
package bucket

import (
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/versity/versitygw/s3err"

	"sluice/internal/fault"
)

// Object is one object as it stands.
type Object struct {
	Bucket      string
	Key         string
	ETag        string    // without quotes
	Size        int64     // bytes
	Modified    time.Time // when it was placed under its key. UTC, whole seconds: HEAD has no finer clock
	ContentType string    // empty from List
}

// SameWrite reports whether two descriptions of a key name one write: the same ETag in the same second. Amazon S3's
// HEAD tells writes apart no better.
func (o Object) SameWrite(other Object) bool {
	return o.ETag == other.ETag && second(o.Modified).Equal(second(other.Modified))
}

// Credentials sign requests.
type Credentials struct{ Access, Secret string }

// staging is the folder in each bucket where versitygw keeps what isn't an object yet.
const staging = ".sgwtmp"

// cleanKey returns a key without the slash that ends the name of a folder marker, and whether it can be an object's key
// here (see refuseKey).
func cleanKey(key string) (string, bool) {
	if key == "" || refuseKey(key) != nil {
		return "", false
	}
	return strings.TrimSuffix(key, "/"), true
}

// longestKey is in bytes (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html).
const longestKey = 1024

// refuseKey returns the S3 error for a key that no object can have here; nil for one that it can. An object is a file,
// and keys that differ only in empty elements or in "." have one path: a PUT to one would replace the object of the
// other.
func refuseKey(key string) *Refusal {
	refuse := func(code, sentence string, values ...any) *Refusal {
		return &Refusal{http.StatusBadRequest, code, fmt.Sprintf(sentence, values...)}
	}
	if len(key) > longestKey {
		return refuse("KeyTooLongError", "The key has %d bytes and S3 allows %d; shorten it.", len(key), longestKey)
	}
	if !utf8.ValidString(key) {
		return refuse("InvalidArgument", "The key is not UTF-8; encode it as UTF-8.")
	}
	for _, r := range key { // XML 1.0 §2.2: no listing could name the others
		if r < ' ' || r == 0x7f || r == 0xfffe || r == 0xffff {
			return refuse("InvalidArgument", "The key has the control character %U; remove it.", r)
		}
	}
	for element := range strings.SplitSeq(key, "/") {
		if element == ".." {
			return refuse("InvalidArgument", "The key %q has the element \"..\"; choose a key without it.", key)
		}
	}
	marker := ""
	if strings.HasSuffix(key, "/") {
		marker = "/"
	}
	clean := strings.TrimPrefix(path.Clean("/"+key), "/")
	switch {
	case clean == "":
		return refuse("InvalidArgument", "The key %q has no element that names a file; choose another key.", key)
	case clean+marker != key:
		return refuse("InvalidArgument",
			"The key %q begins with a slash, or has two slashes in a row or the element \".\". This storage can't tell it from %q; use that key.",
			key, clean+marker)
	case clean == staging || strings.HasPrefix(clean, staging+"/"):
		return refuse("InvalidArgument", "Keys below %q are reserved for the storage; choose another key.", staging+"/")
	}
	return nil
}

// asS3 is a refusal as the endpoint's own error.
func (r *Refusal) asS3() error {
	return s3err.APIError{Code: r.Code, Description: r.Message, HTTPStatusCode: r.Status}
}

// badRequest is the S3 error for a key that refuseKey refuses.
func badRequest(key string) error {
	if r := refuseKey(key); r != nil {
		return r.asS3()
	}
	return s3err.APIError{Code: "InvalidArgument", Description: "The request names no key; name one.", HTTPStatusCode: http.StatusBadRequest}
}

func badKey(op string) error {
	return fault.New(fault.Invalid, op, "bad_key",
		"The object's key is empty, too long, or has control characters, \"..\", \".\" or an empty element; choose another key.", nil)
}

func noSuchObject(op string, cause error) error {
	return fault.New(fault.NotFound, op, "no_such_object", "There is no such object.", cause)
}

// noSuchBucket is worth another try: a bucket that is away comes back, and its objects with it.
func noSuchBucket(op string, cause error) error {
	return fault.New(fault.Unavailable, op, "no_such_bucket",
		"The storage answers that there is no such bucket; check that the storage is complete, then make the bucket or name another one in the configuration.", cause)
}

func storageAway(op string, cause error) error {
	return fault.New(fault.Unavailable, op, "storage_unavailable", "The storage can't be used at the moment; try again later.", cause)
}

func sourceChanged(op string, cause error) error {
	return fault.New(fault.Conflict, op, "source_changed",
		"The object was replaced by another one meanwhile; look at it again and repeat the request.", cause)
}

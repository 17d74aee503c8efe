package bucket

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// An object is finished in its bucket's staging folder, under a short name, and then renamed to its key. versitygw
// would link it beside
// the object that it replaces, under a name 28 bytes longer than the key's last element: too long for an element of 228
// bytes or more,
// and, if the process dies there, an object of that name for whoever lists the bucket.

const (
	putName     = "put-"  // an object that is being stored
	attemptName = "join-" // the bucket in which versitygw checks a completion
	removedName = "gone-" // the folder of an upload that is being removed
)

// longestElement is NAME_MAX of ext4, XFS, Btrfs and ZFS, in bytes.
const longestElement = 255

// stagedName returns a new name in the staging folder of a bucket, relative to the bucket.
func stagedName(prefix string) string { return staging + "/" + prefix + rand.Text() }

// admits returns the S3 error for a key under which nothing can be stored, so that a client gets it before it sends the
// bytes.
func (d *disk) admits(bucket, key string) error {
	clean, _ := cleanKey(key)
	for element := range strings.SplitSeq(clean, "/") {
		if len(element) > longestElement {
			return keyTooLong(len(element))
		}
	}
	if strings.HasSuffix(key, "/") { // a folder marker, which versitygw checks
		return nil
	}
	info, err := os.Stat(filepath.Join(d.root, bucket, clean))
	switch {
	case err == nil && info.IsDir():
		return s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return refusal(err)
	}
}

func keyTooLong(length int) error {
	e := s3err.GetKeyTooLongErr(int64(length), longestElement)
	e.Description = fmt.Sprintf("An element of the key (between two slashes) is longer than the %d bytes that the storage takes; shorten it.", longestElement)
	return e
}

// expects returns the S3 error for a write whose If-Match or If-None-Match does not hold. The caller holds the key's
// lock.
func (d *disk) expects(bucket, key string, match, noneMatch *string) error {
	if match == nil && noneMatch == nil {
		return nil
	}
	clean, _ := cleanKey(key)
	there, err := d.describe(bucket, clean)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return backend.EvaluateObjectPutPreconditions(there.ETag, match, noneMatch, err == nil)
}

// replace renames a finished file of the staging folder to the object at key, over the object that is there, and
// returns the object's
// modification time. The file and that time are on the disk before the object is visible. The caller holds the key's
// lock, and syncs the
// folders (accept).
func (d *disk) replace(staged, bucket, key string) (time.Time, error) {
	target, ok := d.path(bucket, key)
	if !ok {
		return time.Time{}, badRequest(key)
	}
	if err := syncPath(staged); err != nil { // the bytes of a long object take longer than a second
		return time.Time{}, refusal(err)
	}
	placed, err := stamp(staged)
	if err != nil {
		return time.Time{}, refusal(err)
	}
	for range 3 { // a deletion removes the folders that it leaves empty
		if err = d.mkdir(filepath.Dir(target)); err == nil {
			err = os.Rename(staged, target)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return placed, refusal(err)
}

// stamp sets the modification time of a staged file to now, makes it durable and returns it as the filesystem stores
// it. SameWrite and
// the catalog identify a write by its ETag and second, so the time is when the object gets its key: a file can be
// staged or joined long
// before that, while its PUT waits for the key's lock or until an interrupted completion is repeated. A sync that
// outlasts the second
// is repeated with the new time, twice at most.
func stamp(staged string) (time.Time, error) {
	var placed time.Time
	for range 3 {
		if err := os.Chtimes(staged, time.Time{}, time.Now()); err != nil { // the zero time leaves the access time
			return time.Time{}, err
		}
		if err := syncPath(staged); err != nil {
			return time.Time{}, err
		}
		info, err := os.Stat(staged)
		if err != nil {
			return time.Time{}, err
		}
		if placed = info.ModTime(); second(placed).Equal(second(time.Now())) {
			break
		}
	}
	return placed, nil
}

// refusal returns the S3 error for what the disk refuses.
func refusal(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT),
		errors.Is(err, s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)), errors.Is(err, s3err.GetAPIError(s3err.ErrQuotaExceeded)):
		return diskFull()
	case errors.Is(err, fs.ErrExist), errors.Is(err, unix.EISDIR):
		return s3err.GetAPIError(s3err.ErrExistingObjectIsDirectory)
	case errors.Is(err, unix.ENOTDIR):
		return s3err.GetAPIError(s3err.ErrObjectParentIsFile)
	case errors.Is(err, unix.ENAMETOOLONG):
		return keyTooLong(longestElement + 1)
	default:
		return err
	}
}

func diskFull() error {
	return unavailable("The server's disk is full. Parts that were uploaded are kept; free some space on the server, or try again later.")
}

// unavailable is 503 SlowDown, which S3 clients wait for and repeat. versitygw answers 507 on a full disk, which they
// give up on.
func unavailable(sentence string) error {
	return s3err.APIError{Code: "SlowDown", Description: sentence, HTTPStatusCode: http.StatusServiceUnavailable}
}

// free returns the bytes that an ordinary user may still write on the disk of the buckets.
func (f folder) free() (int64, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(f.root, &st); err != nil {
		return 0, err
	}
	return int64(min(st.Bavail, 1<<62/uint64(st.Bsize))) * st.Bsize, nil
}

// prune removes the folders above a key that are empty and no folder markers, and makes the deletion durable. versitygw
// removes them too,
// but not for a deletion that is repeated after the process died between the two: an empty folder refuses an object of
// its name.
func (d *disk) prune(bucket, key string) error {
	clean, _ := cleanKey(key)
	top := filepath.Join(d.root, bucket)
	dir := filepath.Dir(filepath.Join(top, clean))
	for ; dir != top; dir = filepath.Dir(dir) {
		if n, err := unix.Getxattr(dir, etagAttribute, nil); err == nil && n > 0 {
			break
		}
		if err := unix.Rmdir(dir); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENOTDIR) {
			break
		}
	}
	err := syncPath(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil // another deletion removed it
	}
	return err
}

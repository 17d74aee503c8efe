package bucket

import (
	"context"
	"crypto/md5" // an S3 ETag is an MD5 by custom, not a seal
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// The extended attributes by which versitygw's posix backend describes an object.
const (
	etagAttribute = "user.etag" // with its quotes
	typeAttribute = "user.content-type"
)

// folder is the part of Embedded that knows where files are.
type folder struct {
	root string // absolute
}

// path returns where the object's file is, and whether key can be one.
func (f folder) path(bucket, key string) (string, bool) {
	clean, ok := cleanKey(key)
	if !ok || strings.HasSuffix(key, "/") || bucket == "" || strings.HasPrefix(bucket, ".") || strings.ContainsAny(bucket, "/\\\x00") {
		return "", false
	}
	return filepath.Join(f.root, bucket, clean), true
}

// describe returns the object at key.
func (f folder) describe(bucket, key string) (Object, error) {
	const op = "bucket.describe"
	name, ok := f.path(bucket, key)
	if !ok {
		return Object{}, badKey(op)
	}
	file, err := f.open(op, bucket, name)
	if err != nil {
		return Object{}, err
	}
	defer file.Close()
	return describe(file, bucket, key)
}

// describe returns what is known of the open file of an object.
func describe(file *os.File, bucket, key string) (Object, error) {
	const op = "bucket.describe"
	info, err := file.Stat()
	if err != nil {
		return Object{}, storageFault(op, err)
	}
	if !info.Mode().IsRegular() {
		return Object{}, noSuchObject(op, nil)
	}
	etag, err := attribute(file, etagAttribute)
	if err != nil {
		return Object{}, storageFault(op, err)
	}
	kind, err := attribute(file, typeAttribute)
	if err != nil {
		return Object{}, storageFault(op, err)
	}
	return Object{
		Bucket: bucket, Key: key, ETag: strings.Trim(etag, `"`), Size: info.Size(),
		Modified: second(info.ModTime()), ContentType: kind,
	}, nil
}

func second(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// attribute reads one extended attribute; a missing one is empty.
func attribute(file *os.File, name string) (string, error) {
	value := make([]byte, 4096) // the whole attribute space of a small ext4 inode
	n, err := unix.Fgetxattr(int(file.Fd()), name, value)
	if errors.Is(err, unix.ENODATA) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return string(value[:n]), nil
}

// open opens the file of an object.
func (f folder) open(op, bucket, name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, f.absent(op, bucket, err)
	}
	if err != nil {
		return nil, storageFault(op, err)
	}
	return file, nil
}

// putFile makes the file at source the object at key unless one is there. It returns the object that is there then, and
// whether it is the file.
func (f folder) putFile(bucket, key, source, contentType string) (there Object, put bool, err error) {
	const op = "bucket.put_file"
	target, ok := f.path(bucket, key)
	if !ok {
		return Object{}, false, badKey(op)
	}
	if err := f.present(op, bucket); err != nil { // else the folder of the bucket would be made
		return Object{}, false, err
	}
	if there, err := f.describe(bucket, key); err == nil {
		return there, false, nil
	}
	err = f.publish(source, target, contentType)
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EPERM) {
		// Another filesystem, or one where files can't be described or linked: take a copy on ours.
		err = f.publishCopy(bucket, source, target, contentType)
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return Object{}, false, storageFault(op, err)
	}
	put = err == nil
	there, err = f.describe(bucket, key)
	return there, put, err
}

// relink links the file of the object from over the object key: a link under another name is renamed, because rename(2)
// alone replaces.
func (f folder) relink(bucket, from, key string) error {
	const op = "bucket.replace"
	name, ok := f.path(bucket, from)
	target, fits := f.path(bucket, key)
	if !ok || !fits {
		return badKey(op)
	}
	file, err := f.open(op, bucket, name)
	if err != nil {
		return err
	}
	defer file.Close()
	between := filepath.Join(f.root, bucket, staging, copyName+rand.Text())
	if err := f.link(file, between); err != nil {
		return storageFault(op, err)
	}
	defer func() { _ = os.Remove(between) }() // rename leaves it where both names are of one file already
	for range 3 {                             // deleting a neighbour removes folders that it leaves empty
		if err = f.mkdir(filepath.Dir(target)); err != nil {
			break
		}
		if err = os.Rename(between, target); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err == nil {
		err = syncPath(filepath.Dir(target))
	}
	if err != nil {
		return storageFault(op, err)
	}
	return nil
}

// sizes returns the sizes of the objects below a folder, by key.
func (f folder) sizes(ctx context.Context, bucket, prefix string) (map[string]int64, error) {
	const op = "bucket.sizes"
	dir, ok := f.path(bucket, strings.TrimSuffix(prefix, "/"))
	if !ok {
		return nil, badKey(op)
	}
	if err := f.present(op, bucket); err != nil { // else every object would count as missing
		return nil, err
	}
	sizes := map[string]int64{}
	err := filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile, or never there
			return nil
		}
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			sizes[prefix+strings.TrimPrefix(filepath.ToSlash(strings.TrimPrefix(name, dir)), "/")] = info.Size()
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		err = storageFault(op, err)
	}
	return sizes, err
}

// copyName begins the names of copies that are being taken, in the staging folder.
const copyName = "file-"

func (f folder) publishCopy(bucket, source, target, contentType string) (err error) {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.CreateTemp(filepath.Join(f.root, bucket, staging), copyName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(out.Name())) }()
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Close())
	}
	if err := out.Close(); err != nil {
		return err
	}
	return f.publish(out.Name(), target, contentType)
}

// publish describes the file at source, syncs it and links it as target, which must not exist.
func (f folder) publish(source, target, contentType string) error {
	file, err := os.Open(source)
	if err != nil {
		return err
	}
	defer file.Close()
	sum := md5.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	fd := int(file.Fd())
	if err := unix.Fsetxattr(fd, etagAttribute, []byte(strconv.Quote(hex.EncodeToString(sum.Sum(nil)))), 0); err != nil {
		return err
	}
	if contentType != "" {
		if err := unix.Fsetxattr(fd, typeAttribute, []byte(contentType), 0); err != nil {
			return err
		}
	}
	return f.link(file, target)
}

// link syncs an open file and links exactly it as target, which must not exist. fs.ErrExist says that it does,
// fs.ErrNotExist that the file has no name any more.
func (f folder) link(file *os.File, target string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	from := "/proc/self/fd/" + strconv.Itoa(int(file.Fd()))
	var err error
	for range 3 { // deleting a neighbour removes folders that it leaves empty
		if err = f.mkdir(filepath.Dir(target)); err != nil {
			return err
		}
		err = unix.Linkat(unix.AT_FDCWD, from, unix.AT_FDCWD, target, unix.AT_SYMLINK_FOLLOW)
		if !errors.Is(err, unix.ENOENT) {
			break
		}
	}
	if err != nil {
		return err
	}
	return syncPath(filepath.Dir(target))
}

// mkdir makes a folder below root and every one above it, and syncs the folders that hold new ones.
func (f folder) mkdir(dir string) error {
	if dir == f.root || !strings.HasPrefix(dir, f.root) {
		return nil
	}
	switch info, err := os.Stat(dir); {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return unix.ENOTDIR
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := f.mkdir(filepath.Dir(dir)); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncPath(filepath.Dir(dir))
}

// sync makes a published file, its attributes and the way to it durable.
func (f folder) sync(bucket, name string) error {
	if err := syncPath(name); err != nil {
		return err
	}
	top := filepath.Join(f.root, bucket)
	for dir := filepath.Dir(name); ; dir = filepath.Dir(dir) {
		if err := syncPath(dir); err != nil {
			return err
		}
		if dir == top || !strings.HasPrefix(dir, top) {
			return nil
		}
	}
}

func syncPath(name string) error {
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// pin links exactly the bytes of src as key.
func (f folder) pin(src Object, bucket, key string) (Object, error) {
	const op = "bucket.pin"
	target, ok := f.path(bucket, key)
	if !ok {
		return Object{}, badKey(op)
	}
	if err := f.present(op, bucket); err != nil { // else the folder of the bucket would be made
		return Object{}, err
	}
	if there, err := f.describe(bucket, key); err == nil {
		return samePin(there, src)
	}
	name, ok := f.path(src.Bucket, src.Key)
	if !ok {
		return Object{}, badKey(op)
	}
	file, err := f.open(op, src.Bucket, name)
	if err != nil {
		return Object{}, err
	}
	defer file.Close()
	now, err := describe(file, src.Bucket, src.Key)
	if err != nil {
		return Object{}, err
	}
	if now.ETag != src.ETag || now.Size != src.Size {
		return Object{}, sourceChanged(op, nil)
	}
	switch err := f.link(file, target); {
	case errors.Is(err, fs.ErrNotExist): // replaced since it was opened: the last name is gone
		return Object{}, sourceChanged(op, err)
	case err != nil && !errors.Is(err, fs.ErrExist):
		return Object{}, storageFault(op, err)
	}
	there, err := f.describe(bucket, key)
	if err != nil {
		return Object{}, err
	}
	return samePin(there, src)
}

func samePin(there, src Object) (Object, error) {
	if there.ETag != src.ETag || there.Size != src.Size {
		return Object{}, fault.New(fault.Conflict, "bucket.pin", "pin_taken", "Another object is pinned under this key; choose another key.", nil)
	}
	return there, nil
}

// storageFault is what a failing disk means to a caller. The cause keeps its path for the log.
func storageFault(op string, err error) error {
	var known *fault.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		return fault.New(fault.Unavailable, op, "storage_full", "The storage is full; make room on it and try again.", err)
	case errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.EISDIR):
		return fault.New(fault.Conflict, op, "key_conflict", "A part of the object's key is already an object; choose another key.", err)
	case errors.Is(err, unix.ENAMETOOLONG):
		return fault.New(fault.Invalid, op, "bad_key", "A part of the object's key is longer than 255 bytes; choose a shorter one.", err)
	default:
		return storageAway(op, err)
	}
}

package bucket

import (
	"errors"
	"io/fs"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Stored is an object of the embedded storage as it lies on the disk. It is how objects are read while no endpoint serves them, and beside one that does.
type Stored struct {
	Bucket     string            `json:"bucket"`
	Key        string            `json:"key"`
	Bytes      int64             `json:"bytes"`
	Modified   time.Time         `json:"modified"`   // as exact as the disk is
	Attributes map[string][]byte `json:"attributes"` // extended ones: entity tag, type
	Linked     bool              `json:"linked,omitempty"`
	inode      uint64
}

// same reports whether nothing of a file has changed since it was described as before.
func (f Stored) same(before Stored) bool {
	return f.Bytes == before.Bytes && f.Modified.Equal(before.Modified) && maps.EqualFunc(f.Attributes, before.Attributes, slices.Equal)
}

// name orders files as files walks them: by bucket, then by the key's elements.
func (f Stored) name() string { return strings.ReplaceAll(f.Bucket+"/"+f.Key, "/", "\x00") }

// Files walks the objects of the embedded storage at root in the order of buckets and keys. It ends at the first error.
func Files(root string) iter.Seq2[Stored, error] {
	return func(yield func(Stored, error) bool) {
		for o, err := range files(root) {
			if !yield(o.is, err) {
				return
			}
		}
	}
}

// Describe describes one object of the embedded storage at root; fault.NotFound where the bucket's folder is there and
// has no such object.
func Describe(root, bucket, key string) (Stored, error) {
	const op = "bucket.describe"
	path, ok := folder{root}.path(bucket, key)
	if !ok {
		return Stored{}, badKey(op)
	}
	o, err := openFile(path, bucket, key)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return Stored{}, folder{root}.absent(op, bucket, err)
	}
	if err != nil {
		return Stored{}, storageFault(op, err)
	}
	return o.is, storageFaultOf(op, o.Close())
}

// SameFile reports whether two objects are one file under two names, as a source and its pin are.
func (f Stored) SameFile(other Stored) bool { return f.inode != 0 && f.inode == other.inode }

// files walks the files of all buckets below root in the order of their names, each opened; the caller's function must not keep it. What goes away meanwhile is
// passed over. It ends at the first error.
func files(root string) iter.Seq2[opened, error] {
	return func(yield func(opened, error) bool) {
		buckets, err := os.ReadDir(root)
		if err != nil {
			yield(opened{}, storageFault("bucket.files", err))
			return
		}
		over := false
		for _, b := range buckets { // in the order of their names
			bucket, top := b.Name(), filepath.Join(root, b.Name())
			if !b.IsDir() || strings.HasPrefix(bucket, ".") {
				continue
			}
			err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				switch {
				case errors.Is(err, fs.ErrNotExist):
					return nil
				case err != nil:
					return err
				case d.IsDir() && path == filepath.Join(top, staging):
					return fs.SkipDir
				case !d.Type().IsRegular():
					return nil
				}
				key, err := filepath.Rel(top, path)
				if err != nil {
					return err
				}
				o, err := openFile(path, bucket, key)
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err != nil {
					return err
				}
				defer o.Close()
				if over = !yield(o, nil); over {
					return fs.SkipAll
				}
				return nil
			})
			if err != nil {
				yield(opened{}, storageFault("bucket.files", err))
			}
			if err != nil || over {
				return
			}
		}
	}
}

// opened is an open file with its description: whatever takes its name, these bytes stay.
type opened struct {
	*os.File
	is Stored
}

func openFile(path, bucket, key string) (o opened, err error) {
	if o.File, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0); err != nil {
		return o, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, o.Close())
		}
	}()
	info, err := o.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return o, err
	}
	o.is = Stored{Bucket: bucket, Key: key, Bytes: info.Size(), Modified: info.ModTime().UTC()}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		o.is.Linked, o.is.inode = st.Nlink > 1, st.Ino
	}
	o.is.Attributes, err = attributesOf(o.File)
	return o, err
}

// attributesOf reads the extended attributes that describe an object.
func attributesOf(file *os.File) (map[string][]byte, error) {
	fd := int(file.Fd())
	names := make([]byte, 64<<10) // XATTR_LIST_MAX (xattr(7))
	n, err := unix.Flistxattr(fd, names)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for name := range strings.SplitSeq(strings.TrimRight(string(names[:n]), "\x00"), "\x00") {
		if !strings.HasPrefix(name, "user.") {
			continue
		}
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		n, err := unix.Fgetxattr(fd, name, value)
		if err != nil {
			return nil, err
		}
		all[name] = slices.Clone(value[:n])
	}
	return all, nil
}

package bucket

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// objects lists the objects whose keys begin with prefix, in the order of their keys, and reads each directory once. The
// endpoint's own listing reads a directory, and sorts it, again for each page of a thousand keys.
func (f folder) objects(ctx context.Context, bucket, prefix string) iter.Seq2[Object, error] {
	const op = "bucket.list"
	return func(yield func(Object, error) bool) {
		if err := f.present(op, bucket); err != nil {
			yield(Object{}, err)
			return
		}
		f.walk(ctx, bucket, prefix[:strings.LastIndex(prefix, "/")+1], prefix, yield)
	}
}

// walk yields the objects below a folder of keys, and returns false where yield wants no more.
func (f folder) walk(ctx context.Context, bucket, top, prefix string, yield func(Object, error) bool) (more bool) {
	const op = "bucket.list"
	entries, err := f.entries(bucket, top)
	if err != nil {
		yield(Object{}, storageFault(op, err))
		return false
	}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			yield(Object{}, err)
			return false
		}
		key := top + e.Name()
		switch {
		case e.IsDir() && (strings.HasPrefix(key+"/", prefix) || strings.HasPrefix(prefix, key+"/")):
			more = f.walk(ctx, bucket, key+"/", prefix, yield)
		case !e.Type().IsRegular() || !strings.HasPrefix(key, prefix):
			continue
		default:
			o, err := f.describe(bucket, key)
			o.ContentType = ""                 // a listing does not tell it, on any storage
			if fault.Is(err, fault.NotFound) { // removed meanwhile
				continue
			}
			more = yield(o, err) && err == nil
		}
		if !more {
			return false
		}
	}
	return true
}

// folders lists the folders of keys directly below prefix, which ends with "/", in their order.
func (f folder) folders(ctx context.Context, bucket, prefix string) iter.Seq2[string, error] {
	const op = "bucket.list"
	return func(yield func(string, error) bool) {
		err := f.present(op, bucket)
		var entries []fs.DirEntry
		if err == nil {
			if entries, err = f.entries(bucket, prefix); err != nil {
				err = storageFault(op, err)
			}
		}
		if err != nil {
			yield("", err)
			return
		}
		for _, e := range entries {
			if err := ctx.Err(); err != nil {
				yield("", err)
				return
			}
			if e.IsDir() && !yield(prefix+e.Name()+"/", nil) {
				return
			}
		}
	}
}

// entries reads the directory of a folder of keys, which is empty or ends with "/", in the order of keys: "a.mp4" comes
// before "a/b.mp4". A directory that is not there is empty.
func (f folder) entries(bucket, top string) ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(filepath.Join(f.root, bucket, top))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if top == "" {
		entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == staging })
	}
	name := func(e fs.DirEntry) string {
		if e.IsDir() {
			return e.Name() + "/"
		}
		return e.Name()
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return cmp.Compare(name(a), name(b)) })
	return entries, err
}

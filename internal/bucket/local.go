package bucket

import (
	"context"
	"errors"
	"io"
	"os"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// File is an object as a file of this machine, for programs that read nothing else. Of a remote object the file is sparse, and holds what
// Fetch was asked for; the rest reads as zeros.
type File struct {
	Path string
	Size int64 // bytes of the object, and of the file

	cache *cache // nil where the file is the object
	entry *entry
}

// Local opens an object as a file. Nothing of a remote object is fetched yet. fault.NotFound where the bucket answers
// and has no such object. The caller closes it.
func (s *Store) Local(ctx context.Context, bucket, key string) (*File, error) {
	const op = "bucket.local"
	if path, ok := s.LocalPath(bucket, key); ok {
		info, err := os.Stat(path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, s.embedded.disk.absent(op, bucket, err)
		}
		if err != nil {
			return nil, storageFault(op, err)
		}
		return &File{Path: path, Size: info.Size()}, nil
	}
	o, err := s.Head(ctx, bucket, key)
	if err != nil {
		return nil, err
	}
	return s.Cached(o)
}

// Cached opens an object of another endpoint as Local does, without asking the endpoint: whether it is still there, and the same, shows when
// something of it is fetched.
func (s *Store) Cached(o Object) (*File, error) {
	if s.cache == nil {
		return nil, fault.New(fault.Internal, "bucket.local", "internal", "Something went wrong on the server; see its log.", errors.New("no cache for remote objects"))
	}
	e, err := s.cache.open(o)
	if err != nil {
		return nil, err
	}
	return &File{Path: e.file.Name(), Size: o.Size, cache: s.cache, entry: e}, nil
}

// Remote reports whether the file holds only what was fetched.
func (f *File) Remote() bool { return f.cache != nil }

// Missing is how many bytes of the object the file does not hold yet.
func (f *File) Missing() int64 {
	if f.cache == nil {
		return 0
	}
	return f.cache.missing(f.entry)
}

// Fetch makes sure that the file holds the given extents: all of the object where none is given. It returns what ctx or the storage says
// where that fails; fault.Conflict, code "source_changed", where the object is another one by now.
func (f *File) Fetch(ctx context.Context, extents ...video.Extent) error {
	if f.cache == nil {
		return nil
	}
	if len(extents) == 0 {
		extents = []video.Extent{{To: f.Size}}
	}
	inside := make([]video.Extent, len(extents))
	for i, x := range extents {
		inside[i] = video.Extent{From: max(0, x.From), To: min(x.To, f.Size)}
	}
	return f.cache.fetch(ctx, f.entry, union(inside))
}

// Reader reads the object, and fetches what it reads, some more than is asked for at a time. It is good until Close, and while ctx is.
func (f *File) Reader(ctx context.Context) io.ReaderAt { return fetching{ctx, f} }

type fetching struct {
	ctx  context.Context //nolint:containedctx // io.ReaderAt has no place for it
	file *File
}

// block is what a reader fetches at least.
const block = 64 << 10

func (r fetching) ReadAt(p []byte, at int64) (int, error) {
	if at < 0 || at >= r.file.Size {
		return 0, io.EOF
	}
	end := min(at+int64(len(p)), r.file.Size)
	if err := r.file.Fetch(r.ctx, video.Extent{From: at / block * block, To: (end + block - 1) / block * block}); err != nil {
		return 0, err
	}
	file, err := os.Open(r.file.Path)
	if err != nil {
		return 0, storageFault("bucket.local", err)
	}
	defer file.Close()
	return file.ReadAt(p, at)
}

// Close gives the file back: a cached one may be removed from then on.
func (f *File) Close() error {
	if f.cache == nil {
		return nil
	}
	return f.cache.release(f.entry)
}

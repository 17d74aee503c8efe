package delivery

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"

	"sluice/internal/bucket"
	"sluice/internal/video"
)

// stretch is how much of a remote object is fetched before any of it is sent: a segment at once, a long file bit by bit.
const stretch = 8 << 20

// descriptionsKept bounds what is remembered of remote objects, some 300 bytes each.
const descriptionsKept = 1 << 14

// descriptions remembers what remote objects are. What lies below a generation never changes; that it is gone shows with the generation, or when it is
// fetched.
type descriptions struct {
	mu     sync.Mutex
	recent list.List // of bucket.Object
	known  map[string]*list.Element
}

// head describes an object, and asks only where it isn't remembered.
func (d *descriptions) head(ctx context.Context, from Objects, name, key string) (bucket.Object, error) {
	d.mu.Lock()
	at, ok := d.known[key]
	if ok {
		d.recent.MoveToFront(at)
		defer d.mu.Unlock()
		return at.Value.(bucket.Object), nil
	}
	d.mu.Unlock()
	o, err := from.Head(ctx, name, key)
	if err != nil {
		return o, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.known[key]; !ok {
		d.known[strings.Clone(key)] = d.recent.PushFront(o)
		if d.recent.Len() > descriptionsKept {
			oldest := d.recent.Remove(d.recent.Back()).(bucket.Object)
			delete(d.known, oldest.Key)
		}
	}
	return o, nil
}

func (d *descriptions) forget(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, ok := d.known[key]; ok {
		d.recent.Remove(at)
		delete(d.known, key)
	}
}

// kept is the file that is kept here of a remote object, with the beginning of what is wanted in it; nil where there is none, or it can't be had: then the object
// is sent straight through.
func (e *edge) kept(r *http.Request, o bucket.Object, from, end int64) *keptFile {
	file, err := e.Objects.Cached(o)
	if err != nil {
		return nil
	}
	k := &keptFile{ctx: r.Context(), file: file, size: o.Size, end: end, at: from}
	if k.open, err = os.Open(file.Path); err == nil && r.Method == http.MethodGet && o.Size > 0 && !conditional(r) {
		err = k.reach(1)
	}
	if err != nil {
		k.drop()
		e.described.forget(o.Key)
		if r.Context().Err() == nil {
			e.Logger.WarnContext(r.Context(), "an object can't be kept here", "key", o.Key, "error", err)
		}
		return nil
	}
	return k
}

// conditional reports whether the answer may have no body.
func conditional(r *http.Request) bool {
	for _, name := range []string{"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" {
			return true
		}
	}
	return false
}

// keptFile reads a remote object from the file that is kept of it, and has fetched what isn't there yet.
type keptFile struct {
	ctx  context.Context //nolint:containedctx // io.Reader has no place for it
	file *bucket.File
	open *os.File // the same file, with a place of its own
	size int64
	end  int64 // last byte of the range that is wanted, so that no more is fetched

	at         int64
	have, till int64 // bytes that are known to be there
	err        error
}

// Seek moves to where reading goes on.
func (k *keptFile) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += k.at
	case io.SeekEnd:
		offset += k.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	k.at = offset
	return offset, nil
}

// reach makes sure that n bytes from where reading is are there, or as many as there are.
func (k *keptFile) reach(n int64) error {
	until := min(k.at+n, k.size)
	if k.have <= k.at && until <= k.till {
		return nil
	}
	wanted := k.size
	if k.at <= k.end {
		wanted = k.end + 1
	}
	x := video.Extent{From: k.at, To: min(max(until, min(wanted, k.at+stretch)), k.size)}
	if err := k.file.Fetch(k.ctx, x); err != nil {
		k.err = err
		return err
	}
	k.have, k.till = x.From, x.To
	return nil
}

func (k *keptFile) Read(p []byte) (int, error) {
	if k.at >= k.size {
		return 0, io.EOF
	}
	if err := k.reach(1); err != nil {
		return 0, err
	}
	n, err := k.open.ReadAt(p[:min(int64(len(p)), k.till-k.at)], k.at)
	k.at += int64(n)
	if err != nil {
		k.err = err
	}
	return n, err
}

// ahead gives the file itself, for sendfile, at the place where reading is, and how many bytes from there on are there.
func (k *keptFile) ahead() (*os.File, int64, error) {
	if k.at >= k.size {
		return k.open, 0, nil
	}
	if err := k.reach(1); err != nil {
		return nil, 0, err
	}
	_, err := k.open.Seek(k.at, io.SeekStart)
	return k.open, k.till - k.at, err
}

func (k *keptFile) failure() error { return k.err }

func (k *keptFile) drop() {
	if k.open != nil {
		_ = k.open.Close() // it was only read
	}
	_ = k.file.Close() // what can't be removed now is with the next
}

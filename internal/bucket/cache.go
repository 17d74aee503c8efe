package bucket

import (
	"cmp"
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"

	"sluice/internal/fault"
	"sluice/internal/video"
)

const (
	// gap is how many bytes between two wanted extents are fetched along, and mostRequests how many requests one Fetch may come to before more are: sound
	// that is woven into pictures packet by packet lies in 3,000 places a minute.
	gap          = 4 << 10
	mostRequests = 4000
	// piece is the most that one request asks for, and how much is asked for again where it breaks off.
	piece = 8 << 20
	// requestsAtOnce is how many pieces are under way for one caller.
	requestsAtOnce = 8
	// triesOfPiece is how often a body that breaks off is gone on with, on top of the client's own tries.
	triesOfPiece = 3
)

// cache keeps remote objects, or parts of them, as sparse files. No byte of an object is fetched twice while its file is kept, however
// many ask for it at once. What is in use is never removed, so that limit bounds what is kept for later; a restart empties it.
type cache struct {
	dir    string
	limit  int64
	client *s3.Client
	got    atomic.Int64 // bytes fetched since the start

	mu      sync.Mutex
	entries map[string]*entry
	idle    list.List // of *entry without users, the last used first
	used    int64     // bytes of all entries
}

// entry is the file of one object, as its ETag names it.
type entry struct {
	id     string
	object Object
	file   *os.File

	users   int           // guarded by the cache's mutex, as all below
	rest    *list.Element // in idle while there are no users
	have    spans
	coming  spans         // being fetched by somebody
	changed chan struct{} // closed when coming shrinks
}

func newCache(dir string, limit int64, client *s3.Client) (*cache, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, storageFault("bucket.cache", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, storageFault("bucket.cache", err)
	}
	return &cache{dir: dir, limit: limit, client: client, entries: map[string]*entry{}}, nil
}

// open returns the entry of o with one user more.
func (c *cache) open(o Object) (*entry, error) {
	sum := sha256.Sum256([]byte(strings.Join([]string{o.Bucket, o.Key, o.ETag, fmt.Sprint(o.Size)}, "\x00")))
	id := hex.EncodeToString(sum[:16])
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.entries[id]; e != nil {
		if e.rest != nil {
			c.idle.Remove(e.rest)
			e.rest = nil
		}
		e.users++
		return e, nil
	}
	file, err := os.OpenFile(filepath.Join(c.dir, id), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, storageFault("bucket.cache", err)
	}
	if err := file.Truncate(o.Size); err != nil {
		return nil, errors.Join(storageFault("bucket.cache", err), file.Close(), os.Remove(file.Name()))
	}
	e := &entry{id: id, object: o, file: file, users: 1, changed: make(chan struct{})}
	c.entries[id] = e
	return e, nil
}

// release takes one user away, and removes what is too much.
func (c *cache) release(e *entry) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.users--; e.users == 0 {
		e.rest = c.idle.PushFront(e)
	}
	return c.shrink()
}

// missing is how many bytes of an object are not here yet.
func (c *cache) missing(e *entry) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.object.Size - e.have.bytes()
}

// clear removes all idle files.
func (c *cache) clear() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.limit
	defer func() { c.limit = limit }()
	c.limit = -1
	return c.shrink()
}

// shrink removes idle files, the longest unused first, until the rest is within the limit. The mutex is held.
func (c *cache) shrink() error {
	var errs []error
	for c.used > c.limit && c.idle.Len() > 0 {
		e := c.idle.Remove(c.idle.Back()).(*entry)
		delete(c.entries, e.id)
		c.used -= e.have.bytes()
		errs = append(errs, e.file.Close(), os.Remove(e.file.Name()))
	}
	if err := errors.Join(errs...); err != nil {
		return storageFault("bucket.cache", err)
	}
	return nil
}

// fetch returns once all of wanted is in the file. It waits for what others are fetching, and fetches that itself where
// they fail.
//
// Cost: wanted is bridged before it is compared with the file, so that what runs under the cache's mutex, which all
// objects share, compares a few
// thousand extents and not the million of a long index.
func (c *cache) fetch(ctx context.Context, e *entry, wanted spans) error {
	wanted = wanted.bridged(gap, mostRequests)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		c.mu.Lock()
		wanted = wanted.without(e.have)
		mine := wanted.without(e.coming).bridged(gap, mostRequests)
		e.coming = union(slices.Concat(e.coming, mine))
		c.mu.Unlock()
		var err error
		switch {
		case len(wanted) == 0:
			return nil
		case len(mine) > 0:
			err = c.download(ctx, e, mine)
		default:
			err = c.await(ctx, e, wanted)
		}
		if err != nil {
			return err
		}
	}
}

// await returns when nobody fetches anything of wanted any more, or when somebody failed to. It looks at each extent in
// turn: comparing all of wanted after
// each piece would cost the product of both.
func (c *cache) await(ctx context.Context, e *entry, wanted spans) error {
	for _, x := range wanted {
		for {
			c.mu.Lock()
			coming, have, changed := e.coming.meets(x), e.have.holds(x), e.changed
			c.mu.Unlock()
			if !coming && !have {
				return nil
			}
			if !coming {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-changed:
			}
		}
	}
	return nil
}

// download fetches extents that nobody else is fetching, and records each piece as it comes. It begins no piece after
// the first failure or the end of ctx.
func (c *cache) download(ctx context.Context, e *entry, mine spans) error {
	defer c.end(e, mine)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(requestsAtOnce)
	for _, x := range mine.pieces(piece) {
		if gctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if err := c.piece(gctx, e, x); err != nil {
				return err
			}
			return c.came(e, x)
		})
	}
	return cmp.Or(group.Wait(), ctx.Err())
}

// came records that x is in the file.
func (c *cache) came(e *entry, x video.Extent) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.used += spans{x}.without(e.have).bytes()
	e.have.add(x)
	e.coming.remove(x)
	e.announce()
	return c.shrink()
}

// end records that nobody fetches mine any more.
func (c *cache) end(e *entry, mine spans) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, x := range mine {
		e.coming.remove(x)
	}
	e.announce()
}

// announce wakes those who wait for a change of coming. The cache's mutex is held.
func (e *entry) announce() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// piece fetches one extent into the file, going on where a body broke off.
func (c *cache) piece(ctx context.Context, e *entry, x video.Extent) (err error) {
	for try := range triesOfPiece {
		if try > 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(time.Duration(try) * 100 * time.Millisecond):
			}
		}
		var n int64
		n, err = c.request(ctx, e, x)
		x.From += n
		if err == nil || fault.Permanent(err) || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// request asks for one extent and returns how much of it came.
func (c *cache) request(ctx context.Context, e *entry, x video.Extent) (int64, error) {
	const op = "bucket.fetch"
	in := &s3.GetObjectInput{Bucket: &e.object.Bucket, Key: &e.object.Key, IfMatch: quoted(e.object.ETag)}
	if x.To-x.From < e.object.Size {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", x.From, x.To-1))
	}
	out, err := c.client.GetObject(ctx, in)
	if err != nil {
		return 0, absent(ctx, c.client, op, e.object.Bucket, e.object.Key, err)
	}
	defer out.Body.Close()
	// A server that knows no If-Match, or no ranges, shows it here.
	if bare(out.ETag) != e.object.ETag {
		return 0, sourceChanged(op, nil)
	}
	if length := aws.ToInt64(out.ContentLength); length != x.To-x.From {
		return 0, fault.New(fault.Unavailable, op, "storage_unavailable", "The storage sends another part of an object than was asked for; check that it is an S3 service.",
			fmt.Errorf("%d bytes instead of %d", length, x.To-x.From))
	}
	n, err := io.Copy(io.NewOffsetWriter(e.file, x.From), out.Body)
	c.got.Add(n)
	var disk *os.PathError
	switch {
	case errors.As(err, &disk):
		return n, storageFault(op, err)
	case err == nil && n < x.To-x.From:
		err = io.ErrUnexpectedEOF
	}
	if err != nil && ctx.Err() == nil {
		err = fault.New(fault.Unavailable, op, "storage_unavailable", "The storage broke off while an object was read; the work is tried again.", err)
	}
	return n, err
}

// close gives the files back.
func (c *cache) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for id, e := range c.entries {
		errs = append(errs, e.file.Close())
		delete(c.entries, id)
	}
	return errors.Join(errors.Join(errs...), os.RemoveAll(c.dir))
}

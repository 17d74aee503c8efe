package delivery

import (
	"errors"
	"io/fs"
	"net/http"
	"strconv"
	"sync"
	"syscall"
	"time"
)

const (
	// keptOpenFor is how long a file is kept open, once or twice, however often it is asked for: so long the space of a removed one is not free.
	keptOpenFor = 5 * time.Second
	// mostOpen bounds the files that are kept open, beside those that are being sent.
	mostOpen = 1024
)

// openFiles keeps files of the bucket open for a moment: opening, looking at and closing one costs as much as sending 50 kB. Who may have them was decided before.
type openFiles struct {
	every time.Duration // between turns

	mu         sync.Mutex
	young, old map[string]*openObject // by object key; opened since the last turn, and before
	turning    *time.Timer            // nil while there are none
}

// openObject is an object's file, with what answers say of it. It never changes but for its users.
type openObject struct {
	fd                    int
	size                  int64
	changed               time.Time
	tag, modified, length []string // values of headers
	users                 int      // answers that are sending it
	gone                  bool     // it is kept no more, and closed by its last user
}

// take gives the open file of an object, nil where none is kept. It is given back by put.
func (o *openFiles) take(key string) *openObject {
	o.mu.Lock()
	defer o.mu.Unlock()
	f, ok := o.young[key]
	if !ok {
		if f, ok = o.old[key]; !ok {
			return nil
		}
	}
	f.users++
	return f
}

// keep keeps what was opened, unless there is one or no room. It is given back by put.
func (o *openFiles) keep(key string, f *openObject) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f.users = 1
	if o.young[key] != nil || o.old[key] != nil || len(o.young)+len(o.old) >= mostOpen {
		f.gone = true
		return
	}
	if o.young == nil {
		o.young = map[string]*openObject{}
	}
	o.young[key] = f
	if o.turning == nil {
		o.turning = time.AfterFunc(o.every, o.turn)
	}
}

func (o *openFiles) put(f *openObject) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if f.users--; f.users == 0 && f.gone {
		_ = syscall.Close(f.fd) // it was only read
	}
}

// turn closes what was there at the last turn.
func (o *openFiles) turn() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range o.old {
		if f.gone = true; f.users == 0 {
			_ = syscall.Close(f.fd) // it was only read
		}
	}
	o.old, o.young = o.young, map[string]*openObject{}
	if o.turning = nil; len(o.old) > 0 {
		o.turning = time.AfterFunc(o.every, o.turn)
	}
}

// open opens an object's file, and makes what answers say of it. os.File would ask the poller about it and watch over it: neither is any use to a file that is only sent.
func open(name string) (*openObject, error) {
	fd, err := -1, error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		// NONBLOCK keeps a FIFO from holding the request; on a regular file it does nothing.
		fd, err = syscall.Open(name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, unopened(err)
	}
	var s syscall.Stat_t
	if err := syscall.Fstat(fd, &s); err != nil {
		return nil, errors.Join(away(err), syscall.Close(fd))
	}
	if s.Mode&syscall.S_IFMT != syscall.S_IFREG {
		return nil, errors.Join(missing(nil), syscall.Close(fd))
	}
	changed := time.Unix(s.Mtim.Unix())
	return &openObject{fd: fd, size: s.Size, changed: changed, tag: quoted(tagOf(changed, s.Size)), modified: []string{changed.UTC().Format(http.TimeFormat)},
		length: []string{strconv.FormatInt(s.Size, 10)}}, nil
}

// unopened says what it means that a file can't be opened.
func unopened(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENAMETOOLONG) {
		return missing(err)
	}
	return away(err)
}

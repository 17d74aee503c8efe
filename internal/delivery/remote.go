package delivery

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"sluice/internal/fault"
)

// serveRemote answers from a bucket on another machine, through the files that are kept of it here, if there are any. An error means that nothing was written yet.
func (e *edge) serveRemote(w http.ResponseWriter, r *http.Request, v *request) error {
	key := v.key(v.Prefix)
	object, err := e.described.head(r.Context(), e.Objects, e.MediaBucket, key)
	if err != nil {
		return unkeyed(err)
	}
	from, end := span(r.Header.Get("Range"), object.Size)
	var content source
	if kept := e.kept(r, object, from, end); kept != nil {
		content = kept
	} else {
		// What was remembered may be what is wrong.
		if object, err = e.Objects.Head(r.Context(), e.MediaBucket, key); err != nil {
			return unkeyed(err)
		}
		get := func(span string) (io.ReadCloser, error) {
			body, now, err := e.Objects.Get(r.Context(), e.MediaBucket, key, span)
			if err == nil && now.ETag != object.ETag {
				return nil, errors.Join(errors.New("the object changed while it was sent"), body.Close())
			}
			return body, err
		}
		_, end = span(r.Header.Get("Range"), object.Size)
		content = &reader{get: get, size: object.Size, end: end}
	}
	defer content.drop()
	e.describe(w.Header(), v, quoted(object.ETag))
	http.ServeContent(w, r, "", object.Modified, content)
	if err := content.failure(); err != nil {
		if r.Context().Err() == nil {
			e.Logger.ErrorContext(r.Context(), "a stream broke off", "path", r.URL.Path, "error", err)
		}
		panic(http.ErrAbortHandler) // the client must not take a part for the whole
	}
	return nil
}

// source is a remote object as http.ServeContent reads it.
type source interface {
	io.ReadSeeker
	failure() error // why reading failed
	drop()          // ends reading
}

// unkeyed is err where it isn't that no object can have such a key: then there is none.
func unkeyed(err error) error {
	if fault.Is(err, fault.Invalid) {
		return missing(err)
	}
	return err
}

// reader lets http.ServeContent, which knows everything about conditions and ranges, read a remote object: it seeks in
// thought, and asks for bytes once they are wanted.
type reader struct {
	get  func(span string) (io.ReadCloser, error)
	size int64
	end  int64 // last byte of the range that is wanted, so that no more is asked for

	at    int64
	body  io.ReadCloser // from at on; nil after a seek
	until int64         // where body ends
	err   error         // why reading failed
}

// Seek moves to where reading goes on.
func (r *reader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errors.New("seek before the start")
	}
	r.drop()
	r.at = offset
	return offset, nil
}

func (r *reader) Read(p []byte) (int, error) {
	if r.at >= r.size {
		return 0, io.EOF
	}
	if r.body == nil {
		r.until = r.size
		if r.at <= r.end {
			r.until = r.end + 1
		}
		if r.body, r.err = r.get(fmt.Sprintf("bytes=%d-%d", r.at, r.until-1)); r.err != nil {
			return 0, r.err
		}
	}
	n, err := r.body.Read(p)
	r.at += int64(n)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF) && r.at == r.until:
		r.drop()
		err = nil // whoever wants more than the range (If-Range said no) gets it from another body
	case errors.Is(err, io.EOF):
		r.err = io.ErrUnexpectedEOF
		err = r.err
	default:
		r.err = err
	}
	return n, err
}

func (r *reader) failure() error { return r.err }

// drop closes what is being read, if anything is. Nobody wants more of it, so it doesn't matter how that goes.
func (r *reader) drop() {
	if r.body != nil {
		_ = r.body.Close()
		r.body = nil
	}
}

// span is the first and the last byte of the one range that a Range header asks for, of an object of size bytes; all of the object
// where the header is absent, or for ServeContent to refuse.
func span(header string, size int64) (first, last int64) {
	whole, ok := strings.CutPrefix(header, "bytes=")
	from, to, dash := strings.Cut(whole, "-")
	from, to = strings.TrimSpace(from), strings.TrimSpace(to)
	if !ok || !dash {
		return 0, size - 1
	}
	first, err := strconv.ParseInt(from, 10, 64)
	last, err2 := strconv.ParseInt(to, 10, 64)
	switch {
	case from == "" && err2 == nil && last > 0:
		return max(0, size-last), size - 1
	case err != nil || first < 0 || first >= size:
		return 0, size - 1
	case err2 != nil || last >= size || last < first:
		return first, size - 1
	}
	return first, last
}

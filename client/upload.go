package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// UploadOptions say how to upload one file. The zero value is good.
type UploadOptions struct {
	Name        string // of the video; empty for the file's own name
	ContentType string // media type; empty for what the name's suffix says
	Settings    Settings
	Workspace   string // id of the one where the video will lie; empty for main, or the first of the uploader's own
	Policy      string // who may watch it: "public", "signed" or "members"; empty for the server's default
}

// grant is the right to put one source.
type grant struct {
	ID      string            `json:"id"`
	URL     string            `json:"url"`
	Method  string            `json:"method"`
	Headers map[string]string `json:"headers"`
	Expires time.Time         `json:"expires"`
	Parts   *division         `json:"parts"` // nil where the file is sent in one PUT
}

type grantRequest struct {
	Filename    string    `json:"filename"`
	ContentType string    `json:"content_type,omitempty"`
	Size        int64     `json:"size,omitempty"`
	Settings    *Settings `json:"settings,omitempty"`
	Workspace   string    `json:"workspace,omitempty"`
	Policy      string    `json:"playback_policy,omitempty"`
}

// putTries is how often one file is sent before it is given up.
const putTries = 6

// UploadRefused is the Code of the Error with which the bucket, and not the API, refuses a file.
const UploadRefused = "upload_refused"

// errExpired says that the presigned address is past its time.
var errExpired = errors.New("the upload's address has expired")

// Upload sends file and returns the id of the video that it becomes; the video need not be playable yet. progress (if not nil) is called from one goroutine
// at a time with the bytes sent so far; it goes back when the file has to be sent again, as it is when the server or the way to it fails for a while. An
// address that expires on the way is replaced by a new one. A file that is larger than the storage takes in one PUT is sent in parts, four at a time; only a
// part that fails is sent again.
func (c *Client) Upload(ctx context.Context, file *os.File, o UploadOptions, progress func(sent, size int64)) (id string, err error) {
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("client: %w", err)
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("client: %s is not a regular file", file.Name())
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	want := grantRequest{Filename: o.Name, ContentType: o.ContentType, Size: info.Size(), Workspace: o.Workspace, Policy: o.Policy}
	if want.Filename == "" {
		want.Filename = filepath.Base(file.Name())
	}
	if want.ContentType == "" {
		want.ContentType = mime.TypeByExtension(filepath.Ext(want.Filename))
	}
	if o.Settings != (Settings{}) {
		want.Settings = &o.Settings
	}
	g, err := c.grant(ctx, want)
	if err != nil {
		return "", err
	}
	if g.Parts != nil {
		if err := c.uploadParts(ctx, g, file, info.Size(), progress); err != nil {
			return "", err
		}
		return g.ID, nil
	}
	pause := c.pause
	for n := 1; ; n++ {
		err = c.put(ctx, g, io.NewSectionReader(file, 0, info.Size()), progress)
		switch {
		case err == nil:
			c.announce(ctx, g.ID)
			return g.ID, nil
		case ctx.Err() != nil:
			return "", ctx.Err()
		case n == putTries || !errors.Is(err, errExpired) && !temporary(err):
			return "", err
		}
		if !sleep(ctx, pause) {
			return "", ctx.Err()
		}
		pause = min(2*pause, 10*time.Second)
		v, unknown := c.Video(ctx, g.ID)
		if unknown == nil && !v.Received.IsZero() { // its PUT ended and the answer was lost; sent again, it would become a second video
			return g.ID, nil
		}
		if !errors.Is(err, errExpired) { // a storage that reports nothing may have it, and the server not know it yet
			received, failed := c.confirm(ctx, g.ID)
			switch {
			case received:
				return g.ID, nil
			case ctx.Err() != nil:
				return "", ctx.Err()
			case failed != nil:
				return "", failed
			}
		}
		if errors.Is(err, errExpired) || time.Now().After(g.Expires) {
			if unknown == nil {
				_ = c.Delete(ctx, g.ID) // nothing can come to it any more; left behind, it waits and harms nobody
			}
			if g, err = c.grant(ctx, want); err != nil {
				return "", err
			}
		}
	}
}

// CompleteUpload tells the server that the file of an upload was PUT: the server looks for the file at once. received
// is
// true once the file is recorded. It is false, without an error, while the server copies a file that it has found; the
// server continues the copy, which can still fail, so only received proves that the file is stored. Repeated calls are
// harmless. Upload calls it by itself.
func (c *Client) CompleteUpload(ctx context.Context, id string) (received bool, err error) {
	var done struct {
		Received time.Time `json:"received"`
	}
	err = c.call(ctx, http.MethodPost, "/v1/uploads/"+url.PathEscape(id)+"/complete", nil, &done)
	return !done.Received.IsZero(), err
}

// copyAsks bounds how often Upload asks about a copy after a failed PUT. A server waits 10 s before it answers that it
// still
// copies, so the bound is about ten minutes.
const copyAsks = 60

// UploadUnconfirmed is the Code of the Error for a file whose PUT failed while the server still copies what it has
// found.
const UploadUnconfirmed = "upload_unconfirmed"

// confirm asks, after a failed PUT, whether the server has the file nevertheless. While the server copies a file that it
// has found, a second PUT would make a second video, so confirm waits for the end of the copy. A failed question proves
// nothing of the file, so a temporary failure is asked again and, after putTries of them, returned. It returns false
// without an error where the file must be sent again.
func (c *Client) confirm(ctx context.Context, id string) (received bool, err error) {
	pause, failures := c.pause, 0
	for n := 1; ; n++ {
		received, err := c.CompleteUpload(ctx, id)
		wait := c.pause
		switch {
		case temporary(err):
			if failures++; failures == putTries {
				return false, err
			}
			wait, pause = pause, min(2*pause, 10*time.Second)
		case received || err != nil:
			return received, nil
		case n >= copyAsks:
			return false, &Error{Status: http.StatusAccepted, Code: UploadUnconfirmed,
				Detail: fmt.Sprintf("The PUT of the file failed, and the server still copies what it found of it; see later whether video %s has its source, "+
					"and upload the file again if it does not", id)}
		}
		if !sleep(ctx, wait) {
			return false, nil
		}
	}
}

// announceLimit bounds what Upload spends on telling the server of a file that is stored.
const announceLimit = 15 * time.Second

// announce tells the server that a file was PUT. The file is stored, so a failure is none of the upload: the server
// finds the file later by itself.
func (c *Client) announce(ctx context.Context, id string) {
	ctx, cancel := context.WithTimeout(ctx, announceLimit)
	defer cancel()
	_ = c.repeat(ctx, true, func() error {
		_, err := c.CompleteUpload(ctx, id)
		var e *Error
		if errors.As(err, &e) && e.Code == notUploaded {
			// The storage may show an object some time after it has answered its PUT; Error.Temporary has what repeat
			// tries again.
			return &Error{Status: http.StatusServiceUnavailable, Code: e.Code, Detail: e.Detail, cause: err}
		}
		return err
	})
}

// notUploaded is the Code of the Error that CompleteUpload answers with where the server finds no file.
const notUploaded = "not_uploaded"

// grant asks for the right to put one source. Asking twice only leaves a video that waits, so it may be repeated.
func (c *Client) grant(ctx context.Context, want grantRequest) (grant, error) {
	var g grant
	err := c.repeat(ctx, true, func() error { return c.call(ctx, http.MethodPost, "/v1/uploads", want, &g) })
	return g, err
}

// put sends the file once.
func (c *Client) put(ctx context.Context, g grant, content *io.SectionReader, progress func(sent, size int64)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("nothing was taken for %s", c.stall)
	watch := time.AfterFunc(c.stall, func() { cancel(stalled) })
	defer watch.Stop()

	size := content.Size()
	body := &meter{content: content, tell: func(sent int64) {
		watch.Reset(c.stall)
		progress(sent, size)
	}}
	req, err := http.NewRequestWithContext(ctx, g.Method, g.URL, body)
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	req.ContentLength = size
	if size == 0 {
		req.Body = http.NoBody // or the length would count as unknown
	}
	for k, v := range g.Headers {
		req.Header.Set(k, v)
	}
	// A refusal then comes before the file is sent (RFC 9110 §10.1.1).
	req.Header.Set("Expect", "100-continue")
	res, err := c.http.Do(req)
	body.stop()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return c.unreachableStorage(g.URL, err)
	}
	defer func() { _ = res.Body.Close() }() // drained as far as it is of use
	if res.StatusCode < 300 {
		return nil
	}
	// S3 errors are XML; only whether the signature is too old matters here.
	text, _ := io.ReadAll(io.LimitReader(res.Body, maxProblem))
	if res.StatusCode == http.StatusForbidden && (bytes.Contains(bytes.ToLower(text), []byte("expired")) || time.Now().After(g.Expires)) {
		return errExpired
	}
	status := res.StatusCode
	// S3 answers both with 400: this side was silent too long, or its connection ended early.
	if bytes.Contains(text, []byte("<Code>RequestTimeout</Code>")) || bytes.Contains(text, []byte("<Code>IncompleteBody</Code>")) {
		status = http.StatusRequestTimeout
	}
	refuser := "The server"
	if storage, foreign := c.storageOf(g.URL); foreign {
		refuser = "The storage at " + storage
	}
	return &Error{Status: status, Code: UploadRefused, Detail: fmt.Sprintf("%s refused the file with %d %s", refuser, status, http.StatusText(status))}
}

// StorageUnreachable is the Code of the Error for a storage, apart from the server, that does not answer.
const StorageUnreachable = "storage_unreachable"

// storageOf is where a presigned URL leads, without its secrets, and whether that is another place than the server's
// own.
func (c *Client) storageOf(presigned string) (address string, foreign bool) {
	to, err := url.Parse(presigned)
	if err != nil {
		return "", false
	}
	own, err := url.Parse(c.base)
	return to.Scheme + "://" + to.Host, err == nil && canonical(to) != canonical(own)
}

// unreachableStorage is the error of a PUT that got no answer. The server has just answered for the grant.
func (c *Client) unreachableStorage(presigned string, cause error) *Error {
	e := unreachable(cause)
	if storage, foreign := c.storageOf(presigned); foreign {
		e.Code = StorageUnreachable
		e.Detail = fmt.Sprintf("The storage at %s did not answer, though the server did; check that the storage runs and can be reached from here", storage)
	}
	return e
}

// meter tells how much of the content was read, until it is stopped: the transport may still read after the answer has come.
type meter struct {
	content *io.SectionReader
	tell    func(sent int64)
	sent    int64

	mu      sync.Mutex
	stopped bool
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.content.Read(p)
	m.sent += int64(n)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 && !m.stopped {
		m.tell(m.sent)
	}
	return n, err
}

func (m *meter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopped = true
}

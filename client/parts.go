package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

// division says how a file is sent that is larger than the storage takes in one PUT.
type division struct {
	Size  int64 `json:"size"`  // of each part but the last
	Count int   `json:"count"` // numbered from 1
}

const (
	// partsTogether is how many parts are sent side by side.
	partsTogether = 4
	// partsAsked is for how many parts the server is asked for URLs at once: few enough that most do not expire before
	// they are used.
	partsAsked = 2 * partsTogether
	// joinTries is how often the server is asked to complete an upload in parts that it does not find complete for the
	// moment.
	joinTries = 6
)

// parts is one file that is sent in parts.
type parts struct {
	c        *Client
	grant    grant
	file     *os.File
	size     int64
	progress func(sent, size int64)

	asking sync.Mutex // one request for URLs at a time
	urls   map[int]grant

	mu   sync.Mutex
	sent map[int]int64 // bytes of each part
	all  int64         // their sum
}

// uploadParts sends a file in parts and has the server complete it. A part that fails is sent again, and no other.
func (c *Client) uploadParts(ctx context.Context, g grant, file *os.File, size int64, progress func(sent, size int64)) error {
	p := &parts{c: c, grant: g, file: file, size: size, progress: progress, urls: map[int]grant{}, sent: map[int]int64{}}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	numbers := make(chan int)
	var all sync.WaitGroup
	for range min(partsTogether, g.Parts.Count) {
		all.Go(func() {
			for n := range numbers {
				if err := p.send(ctx, n); err != nil {
					cancel(err) // the first failure that lasts ends the others
				}
			}
		})
	}
	for n := 1; n <= g.Parts.Count && ctx.Err() == nil; n++ {
		select {
		case numbers <- n:
		case <-ctx.Done():
		}
	}
	close(numbers)
	all.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return c.join(ctx, g.ID)
}

// send sends part n, again and again while what hinders it passes.
func (p *parts) send(ctx context.Context, n int) error {
	from := int64(n-1) * p.grant.Parts.Size
	pause := p.c.pause
	for try := 1; ; try++ {
		g, err := p.url(ctx, n)
		if err == nil {
			part := io.NewSectionReader(p.file, from, min(p.grant.Parts.Size, p.size-from))
			err = p.c.put(ctx, g, part, func(sent, _ int64) { p.tell(n, sent) })
		}
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case try == putTries || !errors.Is(err, errExpired) && !temporary(err):
			return fmt.Errorf("part %d of %d: %w", n, p.grant.Parts.Count, err)
		}
		if errors.Is(err, errExpired) {
			p.forget(n)
		} else if !sleep(ctx, pause) {
			return ctx.Err()
		} else {
			pause = min(2*pause, 10*time.Second)
		}
		p.tell(n, 0)
	}
}

// url is the right to put part n. It asks for those of the next parts too.
func (p *parts) url(ctx context.Context, n int) (grant, error) {
	p.asking.Lock()
	defer p.asking.Unlock()
	if g, ok := p.urls[n]; ok && time.Now().Before(g.Expires) {
		return g, nil
	}
	var page struct {
		Parts []struct {
			Number int    `json:"number"`
			URL    string `json:"url"`
		} `json:"parts"`
		Expires time.Time `json:"expires"`
	}
	ask := map[string]int{"first": n, "count": partsAsked}
	err := p.c.repeat(ctx, true, func() error {
		return p.c.call(ctx, http.MethodPost, "/v1/uploads/"+url.PathEscape(p.grant.ID)+"/parts", ask, &page)
	})
	if err != nil {
		return grant{}, err
	}
	for _, one := range page.Parts {
		p.urls[one.Number] = grant{URL: one.URL, Method: http.MethodPut, Expires: page.Expires}
	}
	g, ok := p.urls[n]
	if !ok {
		return g, &Error{Status: http.StatusOK, Code: UploadRefused, Detail: fmt.Sprintf("The server gave no address for part %d", n)}
	}
	return g, nil
}

// forget drops the URL of part n, which has expired.
func (p *parts) forget(n int) {
	p.asking.Lock()
	defer p.asking.Unlock()
	delete(p.urls, n)
}

// tell notes how much of part n was sent, and reports the progress of the file.
func (p *parts) tell(n int, sent int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all += sent - p.sent[n]
	p.sent[n] = sent
	p.progress(p.all, p.size)
}

// join has the server complete an upload all of whose parts were sent. Unlike a file that was sent in one PUT, its file
// is not there before.
func (c *Client) join(ctx context.Context, id string) error {
	failed, pause := 0, c.pause
	for n := 1; ; n++ {
		received, err := c.CompleteUpload(ctx, id)
		var e *Error
		switch {
		case received:
			return nil
		case err == nil && n >= copyAsks:
			return &Error{Status: http.StatusAccepted, Code: UploadUnconfirmed,
				Detail: fmt.Sprintf("All parts of the file were sent, and the server still puts them together; see later whether video %s has its source", id)}
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case !temporary(err) && !(errors.As(err, &e) && e.Code == notUploaded): // the storage may show an object some time after it was made
			return err
		default:
			if failed++; failed == joinTries {
				return err
			}
			pause = min(2*pause, 10*time.Second)
		}
		if !sleep(ctx, pause) {
			return ctx.Err()
		}
	}
}

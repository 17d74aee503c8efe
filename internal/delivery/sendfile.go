package delivery

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
)

// Listen is l for a server of the edge: on its connections a whole file goes out right behind its header, from the page cache (sendfile(2)), without a system call or a
// packet that isn't needed. OnConn has to be the server's ConnContext. Where either is missing, or connections aren't TCP, the edge does the same by net/http's means.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c, nil //nolint:nilerr // it is closed already, which net/http will see
	}
	w := &sendfileConn{TCPConn: t, raw: raw}
	w.sendHeader, w.sendFile = w.header, w.body
	return w, nil
}

type connKey struct{}

// OnConn lets requests find the connection that they came by (http.Server.ConnContext).
func OnConn(ctx context.Context, c net.Conn) context.Context {
	if w, ok := c.(*sendfileConn); ok {
		return context.WithValue(ctx, connKey{}, w)
	}
	return ctx
}

// sendfileConnOf is the connection of a request for all of an object, nil for any other: conditions and ranges are for http.ServeContent.
func sendfileConnOf(p *paced, r *http.Request) *sendfileConn {
	if _, direct := p.ResponseWriter.(io.ReaderFrom); !direct || r.Method != http.MethodGet || conditional(r) || len(r.Header["Range"]) > 0 {
		return nil
	}
	w, _ := r.Context().Value(connKey{}).(*sendfileConn)
	return w
}

// sendfileConn is a connection that knows how to send files. Its fields are of the goroutine that answers.
type sendfileConn struct {
	*net.TCPConn
	raw  syscall.RawConn
	more bool // what is written next is the header of what follows at once
	late bool // a deadline for writing is set

	within time.Duration // for each stride of a file

	sendHeader, sendFile func(fd uintptr) (done bool) // made once, not for each answer
	bytes                []byte                       // of a header
	sent                 int                          // of them
	out                  *fileResponse
	mark                 int64 // of the file, where its client's time began
	err                  error
}

// SetWriteDeadline remembers whether there is one.
func (c *sendfileConn) SetWriteDeadline(t time.Time) error {
	c.late = !t.IsZero()
	return c.TCPConn.SetWriteDeadline(t)
}

// Write has a header wait for what follows (MSG_MORE, send(2)): one packet instead of two, and one wake-up of the client.
func (c *sendfileConn) Write(b []byte) (int, error) {
	if !c.more {
		return c.TCPConn.Write(b)
	}
	c.more, c.bytes, c.sent, c.err = false, b, 0, nil
	err := c.raw.Write(c.sendHeader)
	c.bytes = nil
	if err == nil {
		err = c.err
	}
	if err != nil || c.sent == len(b) {
		return c.sent, err
	}
	_ = c.SetWriteDeadline(time.Now().Add(c.within)) // the client has not taken the last answer yet
	rest, err := c.TCPConn.Write(b[c.sent:])
	return c.sent + rest, err
}

// header sends as much of a header as there is room for.
func (c *sendfileConn) header(fd uintptr) bool {
	const msgMore = 0x8000 // MSG_MORE, which package syscall doesn't name
	n, err := syscall.SendmsgN(int(fd), c.bytes, nil, nil, syscall.MSG_NOSIGNAL|msgMore)
	switch {
	case err == nil:
		c.sent = n
	case !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EINTR):
		c.err = err
	}
	return true
}

// ReadFrom sends a file, and hands anything else to net.
func (c *sendfileConn) ReadFrom(src io.Reader) (int64, error) {
	o, ok := src.(*fileResponse)
	if !ok {
		return c.TCPConn.ReadFrom(src)
	}
	from := o.at
	c.out, c.mark, c.err = o, from, nil
	err := c.raw.Write(c.sendFile)
	c.out = nil
	if c.err != nil {
		err = c.err
	}
	return o.at - from, err
}

// mostAtOnce bounds one sendfile. Twice as much at a time costs no less; a quarter costs a fifth more processor time (ADR 10).
const mostAtOnce = 2 << 20

// body sends as much of a file as there is room for. A client that makes others wait has its time for each stride; one that doesn't costs no timer.
func (c *sendfileConn) body(fd uintptr) bool {
	for o := c.out; o.at < o.size; {
		n, err := syscall.Sendfile(int(fd), o.fd, &o.at, int(min(o.size-o.at, mostAtOnce)))
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EAGAIN):
			if !c.late || o.at-c.mark >= stride {
				_ = c.SetWriteDeadline(time.Now().Add(c.within))
				c.mark = o.at
			}
			return false
		case err != nil:
			c.err = err
			return true
		case n == 0:
			c.err = io.ErrUnexpectedEOF
			return true
		}
	}
	return true
}

// fileResponse is a file on its way out, with a place of its own.
type fileResponse struct {
	*openObject
	at int64
}

// Read is for a connection that isn't a wire.
func (o *fileResponse) Read(b []byte) (int, error) {
	b = b[:min(int64(len(b)), o.size-o.at)]
	if len(b) == 0 {
		return 0, io.EOF
	}
	n, err := syscall.Pread(o.fd, b, o.at)
	if n <= 0 {
		return 0, errors.Join(err, io.ErrUnexpectedEOF)
	}
	o.at += int64(n)
	return n, nil
}

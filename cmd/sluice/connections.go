package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Connections bounds what clients may hold open, and for how long.
type Connections struct {
	Most   int           `help:"Connections at once; above, those that have waited longest for a request are closed. 0: 10000, or half of the files that this process may have open (ulimit -n), whichever is less." default:"0" env:"MOST"`
	Header time.Duration `help:"How long a client may take to send the header of a request." default:"10s" env:"HEADER"`
	Stall  time.Duration `help:"How long a client may take to send each 16 KiB of a body, and to take each 256 KiB of a stream." default:"30s" env:"STALL"`
	Idle   time.Duration `help:"How long a connection is kept on which nothing is asked." default:"2m" env:"IDLE"`
}

func (c Connections) check() error {
	if c.Most < 0 || c.Header < time.Second || c.Stall < time.Second || c.Idle < time.Second {
		return fmt.Errorf("connections.most is %d, connections.header %s, connections.stall %s and connections.idle %s; use 0 or more connections and times of 1s or more", c.Most, c.Header, c.Stall, c.Idle)
	}
	return nil
}

// usualConnections is what is let in unless the settings or the system say otherwise. Each costs some 30 kB while it waits.
const usualConnections = 10_000

// most is how many connections there may be. A connection may need a second file, that of the object which it is sent.
func (c Connections) most() int {
	if c.Most > 0 {
		return c.Most
	}
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return usualConnections
	}
	return int(min(l.Cur/2, usualConnections))
}

// connLimiter bounds the connections of a server. Where there are too many, those go that are asking nothing, the longest waiting first: a client that is being answered keeps its connection, and one that
// has just come has its chance, however many others only hold theirs. Where all are being answered, who comes is turned away.
type connLimiter struct {
	most int
	now  func() time.Time
	log  *slog.Logger

	members sync.Map // net.Conn → *member
	number  atomic.Int64

	mu     sync.Mutex // of those who close others
	closed int        // since the last line of the log
	told   time.Time
}

// trackedConn is a connection: since when it has waited for a request, in nanoseconds; 0 while it is being answered.
type trackedConn struct{ waiting atomic.Int64 }

// batch is which part of all is closed at once, so that looking for them is rare.
const batch = 64

// follow is for http.Server.ConnState.
func (c *connLimiter) follow(conn net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		m := &trackedConn{}
		m.waiting.Store(c.now().UnixNano())
		c.members.Store(conn, m)
		if c.number.Add(1) > int64(c.most) {
			c.closeIdle()
		}
	case http.StateActive, http.StateIdle:
		if m, ok := c.members.Load(conn); ok {
			since := int64(0)
			if state == http.StateIdle {
				since = c.now().UnixNano()
			}
			m.(*trackedConn).waiting.Store(since)
		}
	case http.StateHijacked, http.StateClosed:
		if _, ok := c.members.LoadAndDelete(conn); ok {
			c.number.Add(-1)
		}
	}
}

// closeIdle closes those that have waited longest, as many as there are too many and some more.
func (c *connLimiter) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	surplus := int(c.number.Load()) - c.most
	if surplus <= 0 {
		return // another has done it
	}
	type one struct {
		conn  net.Conn
		since int64
	}
	var waiting []one
	c.members.Range(func(conn, m any) bool {
		if since := m.(*trackedConn).waiting.Load(); since > 0 {
			waiting = append(waiting, one{conn.(net.Conn), since})
		}
		return true
	})
	slices.SortFunc(waiting, func(a, b one) int { return cmp.Compare(a.since, b.since) })
	for _, w := range waiting[:min(len(waiting), surplus+c.most/batch)] {
		if _, there := c.members.LoadAndDelete(w.conn); there { // it counts no more, though the server needs a moment to see
			c.number.Add(-1)
			c.closed++
			_ = w.conn.Close()
		}
	}
	if at := c.now(); at.Sub(c.told) >= time.Minute {
		c.log.Warn("there are too many connections; some that asked nothing were closed", "most", c.most, "closed", c.closed)
		c.told, c.closed = at, 0
	}
}

// portion is how much of a body has to come in Connections.Stall: 550 bytes a second is less than any network that is in use.
const portion = 16 << 10

// withBodyTimeout has bodies go on coming. A deadline for all of one would cut off who is merely slow; none would let a byte now and then hold a connection for ever.
func withBodyTimeout(stall time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 {
			next.ServeHTTP(w, r)
			return
		}
		b := &timedBody{ReadCloser: r.Body, control: http.NewResponseController(w), stall: stall}
		_ = b.control.SetReadDeadline(time.Now().Add(stall)) // what has no connection, as in a test, can't stall
		r.Body = b
		defer func() {
			if !b.ended {
				_ = b.control.SetReadDeadline(time.Now().Add(restWithin))
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// restWithin is how long net/http may read what a handler left of a body, before it closes the connection instead.
const restWithin = 5 * time.Second

// timedBody is such a body. Only the time counts in which somebody waits for it: that we are slow is not the client's fault.
type timedBody struct {
	io.ReadCloser
	control *http.ResponseController
	stall   time.Duration
	waited  time.Duration // since the last portion
	got     int
	ended   bool
}

func (b *timedBody) Read(p []byte) (int, error) {
	began := time.Now()
	_ = b.control.SetReadDeadline(began.Add(b.stall - b.waited))
	n, err := b.ReadCloser.Read(p)
	b.waited += time.Since(began)
	if b.got += n; b.got >= portion {
		b.waited, b.got = 0, 0
	}
	if b.ended = errors.Is(err, io.EOF); b.ended {
		_ = b.control.SetReadDeadline(time.Time{}) // or the server takes a slow answer for a lost client
	}
	return n, err
}

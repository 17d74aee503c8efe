package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Drain says how a process that shares its work leaves its load balancer.
type Drain struct {
	Grace time.Duration `help:"How long a process that shares database and storage still takes requests after SIGTERM, while /readyz answers 503, so that load balancers choose others; 0 to 5m. A process alone does not wait." default:"5s" env:"GRACE"`
}

func (d Drain) check() error {
	if d.Grace < 0 || d.Grace > 5*time.Minute {
		return fmt.Errorf("drain.grace is %s; use 0s to 5m", d.Grace)
	}
	return nil
}

// requestsWithin is how long requests may take after the grace; those that take longer are cut.
const requestsWithin = 15 * time.Second

// grace is how long this process waits for its load balancers. A process alone has nobody to leave its requests to.
func (s *Settings) grace() time.Duration {
	if !s.shared() || !(s.has(roleAPI) || s.has(roleEdge)) {
		return 0
	}
	return s.Drain.Grace
}

// drain ends a server without failing a request that a load balancer has sent or is about to send. In order: /readyz
// answers 503, and each response closes
// its connection; after the grace, new connections are refused, those that are already made are accepted; requests in
// flight are finished.
type drain struct {
	leaving atomic.Bool
	log     *slog.Logger
}

// leave is called once, when the process is told to stop.
func (d *drain) leave() { d.leaving.Store(true) }

// readyz answers for a process that is leaving, whatever state its parts are in.
func (d *drain) readyz(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if d.leaving.Load() {
			writeHealth(w, http.StatusServiceUnavailable, healthAnswer{Status: "stopping"})
			return
		}
		next(w, r)
	}
}

// closing has clients open their next connection elsewhere. Idle connections stay open during the grace: to close one
// as a request arrives on it would
// fail that request. HTTP/2 connections get a GOAWAY frame by the same header (RFC 9113 §6.8).
func (d *drain) closing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if d.leaving.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// openListener listens by plain TCP. Go listens by MPTCP where the kernel has it (Go 1.24), and Linux takes no socket
// filter for that: refuse needs one.
func openListener(ctx context.Context, address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", address)
}

// handshakesWithin is how long TCP handshakes that have begun may take before the listener is closed.
const handshakesWithin = 300 * time.Millisecond

// stop waits out the grace, refuses connections, and lets requests finish.
func (d *drain) stop(ctx context.Context, grace time.Duration, listener net.Listener, server *http.Server) error {
	if grace > 0 {
		time.Sleep(grace)
		if err := refuse(listener); err != nil {
			d.log.Warn("connections that are being made as the listener closes may be reset", "error", err)
		}
		time.Sleep(handshakesWithin)
	}
	within, cancel := context.WithTimeout(ctx, requestsWithin)
	defer cancel()
	return shutdown(within, server)
}

// refuse has the kernel drop the SYN of every new connection to a listener, while handshakes under way complete and are
// accepted. Closing a listener resets
// what waits in its accept queue, where a client may already have sent a request that must not be repeated, such as a
// POST (listen(2); inet_csk_listen_stop
// in Linux). A client whose SYN was dropped sends it again after a second (RFC 6298 §2), is refused by the closed port,
// and goes to another process without
// having sent anything. The filter sees the segment from its TCP header on (socket(7), SO_ATTACH_FILTER); it needs no
// privilege.
func refuse(l net.Listener) error {
	conn, ok := l.(syscall.Conn)
	if !ok {
		return errors.New("the listener has no file descriptor")
	}
	const flags, syn, ack = 13, 0x02, 0x10 // RFC 9293 §3.1
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: flags, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: syn | ack},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: syn, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	if err != nil {
		return err
	}
	filter := make([]unix.SockFilter, len(program))
	for i, p := range program {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}) //nolint:gosec // five
	})
	return errors.Join(err, serr)
}

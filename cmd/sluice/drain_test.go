package main

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"testing"
	"time"
)

// TestDrain_RequestInFlight_IsFinishedWhileOthersAreSentElsewhere follows a server from SIGTERM to its end: readiness,
// the grace, and a request that outlives both.
func TestDrain_RequestInFlight_IsFinishedWhileOthersAreSentElsewhere(t *testing.T) {
	t.Parallel()
	d := &drain{log: slog.New(slog.DiscardHandler)}
	begun, release := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-release
		_, _ = io.Copy(w, r.Body)
	})
	mux.HandleFunc("GET /fast", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /readyz", d.readyz(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	listener, err := openListener(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d.closing(mux), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	address := listener.Addr().String()
	ask := func(path string) *http.Response {
		t.Helper()
		answer, err := (&http.Client{Transport: &http.Transport{}}).Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		return answer
	}
	if r := ask("/readyz"); r.StatusCode != http.StatusOK || r.Close {
		t.Errorf("before: %d, close %v", r.StatusCode, r.Close)
	}

	slow, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	if _, err := slow.Write([]byte("POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")); err != nil {
		t.Fatal(err)
	}
	<-begun
	d.leave()
	if r := ask("/readyz"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("readyz while leaving: %d", r.StatusCode)
	}
	if r := ask("/fast"); r.StatusCode != http.StatusOK || !r.Close {
		t.Errorf("a request in the grace: %d, close %v", r.StatusCode, r.Close)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.stop(t.Context(), time.Millisecond, listener, server) }()
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if errors.Is(err, syscall.ECONNREFUSED) {
			break
		}
		if err == nil {
			_ = conn.Close()
		}
		if time.Now().After(deadline) {
			t.Fatal("the server still takes connections")
		}
	}
	close(release)
	answer, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil {
		t.Fatalf("the request in flight: %v", err)
	}
	if body, err := io.ReadAll(answer.Body); err != nil || string(body) != "body" {
		t.Errorf("the request in flight: %q %v", body, err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestRefuse_ConnectionInAcceptQueue_IsStillAccepted has a client that has connected and sent its request before the
// server accepts it, and one that connects
// later.
func TestRefuse_ConnectionInAcceptQueue_IsStillAccepted(t *testing.T) {
	t.Parallel()
	listener, err := openListener(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	early, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := refuse(listener); err != nil {
		t.Fatal(err)
	}
	if _, err := early.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	var silence net.Error
	if late, err := net.DialTimeout("tcp", listener.Addr().String(), 300*time.Millisecond); !errors.As(err, &silence) || !silence.Timeout() {
		if err == nil {
			_ = late.Close()
		}
		t.Errorf("a later connection: %v, want no answer", err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
		t.Errorf("the earlier connection: %v", err)
	}
}

func TestGrace_ProcessThatSharesNothing_DoesNotWait(t *testing.T) {
	t.Parallel()
	shared := Settings{Database: "postgres://u:p@h/n", S3: S3{Endpoint: "http://s3.test"}, Drain: Drain{Grace: 7 * time.Second}}
	for _, c := range []struct {
		roles  []string
		shared bool
		want   time.Duration
	}{
		{[]string{roleAPI}, true, 7 * time.Second}, {[]string{roleEdge}, true, 7 * time.Second}, {[]string{roleWorker}, true, 0},
		{[]string{roleAPI, roleWorker, roleEdge}, false, 0},
	} {
		s := Settings{Drain: shared.Drain}
		if c.shared {
			s = shared
		}
		s.Roles = c.roles
		if got := s.grace(); got != c.want {
			t.Errorf("%v, shared %v: %s, want %s", c.roles, c.shared, got, c.want)
		}
	}
	if (Drain{Grace: 6 * time.Minute}).check() == nil || (Drain{Grace: -1}).check() == nil || (Drain{}).check() != nil {
		t.Error("drain.grace is 0s to 5m")
	}
}

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// reader is a server that reads bodies, takes its time to answer, and tells what ended each body.
func reader(t *testing.T, stall, answer time.Duration) (address string, ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	server := httptest.NewServer(withBodyTimeout(stall, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
		select {
		case <-time.After(answer):
			w.WriteHeader(http.StatusOK)
		case <-r.Context().Done(): // it was taken for a lost client
		}
	})))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), ended
}

// pieces sends one now and then, far oftener than a client is given up.
type pieces struct{ left, size int }

func (p *pieces) Read(b []byte) (int, error) {
	if p.left == 0 {
		return 0, io.EOF
	}
	p.left--
	time.Sleep(60 * time.Millisecond)
	return copy(b, strings.Repeat("x", p.size)), nil
}

func TestABodyHasToGoOnComing(t *testing.T) {
	t.Parallel()
	const stall = 3 * time.Second
	for name, c := range map[string]struct {
		body   io.Reader
		answer time.Duration
		whole  bool
	}{
		"a slow client is waited for": {&pieces{left: 70, size: portion / 4}, 0, true},
		"a slow answer too":           {strings.NewReader("x"), stall + time.Second, true},
		"one that sends nothing more": {io.MultiReader(strings.NewReader("half"), hanging{t}), 0, false},
		"one that sends a byte now and then, though it is never silent": {&pieces{left: 1 << 20, size: 1}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address, ended := reader(t, stall, c.answer)
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address, c.body)
			if err != nil {
				t.Fatal(err)
			}
			client := http.Client{Transport: &http.Transport{}, Timeout: time.Minute}
			resp, err := client.Do(r)
			if err == nil {
				resp.Body.Close()
			}
			if c.whole && (err != nil || resp.StatusCode != http.StatusOK) {
				t.Fatalf("%v, %v", resp, err)
			}
			select {
			case err := <-ended:
				if c.whole != (err == nil) || !c.whole && !errors.Is(err, os.ErrDeadlineExceeded) { // another error is that the client gave up
					t.Errorf("the body ended with %v", err)
				}
			case <-time.After(time.Minute):
				t.Error("it is still being waited for")
			}
		})
	}
}

// hanging says nothing until the test ends.
type hanging struct{ t *testing.T }

func (h hanging) Read([]byte) (int, error) {
	<-h.t.Context().Done()
	return 0, io.EOF
}

func TestABodyThatNobodyReadsHoldsNoConnection(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(withBodyTimeout(time.Hour, http.NotFoundHandler()))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	if _, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn)
	if err != nil || !strings.HasPrefix(string(text), "HTTP/1.1 404") {
		t.Errorf("%v after %q", err, text)
	}
}

// held is a server of at most so many connections, whose path /wait is answered when it is told.
func held(t *testing.T, most int) (dial func() net.Conn, release chan struct{}, c *connLimiter) {
	t.Helper()
	release = make(chan struct{})
	c = &connLimiter{most: most, now: time.Now, log: slog.New(slog.DiscardHandler)}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/wait" {
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-release
		}
		_, _ = io.WriteString(w, "done")
	}))
	server.Config.ConnState = c.follow
	server.Start()
	t.Cleanup(server.Close)
	t.Cleanup(func() { // before that: it waits for answers
		select {
		case <-release:
		default:
			close(release)
		}
	})
	return func() net.Conn {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		return conn
	}, release, c
}

// want sends a request and reads the header of its answer.
func want(conn net.Conn, path string) (*http.Response, error) {
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
		return nil, err
	}
	return http.ReadResponse(bufio.NewReader(conn), nil)
}

func TestWhereThereAreTooManyConnectionsThoseGoThatAskNothing(t *testing.T) {
	t.Parallel()
	const most = 8
	dial, release, c := held(t, most)
	answered := dial()
	resp, err := want(answered, "/wait")
	if err != nil {
		t.Fatal(err)
	}
	var silent []net.Conn
	for i := range 5 * most {
		conn := dial()
		if i%2 == 0 {
			fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ") // and never the rest
		}
		silent = append(silent, conn)
	}
	for range 5 { // each that asks something is answered at once
		fresh, err := want(dial(), "/")
		if err != nil {
			t.Fatalf("a client that comes later is not answered: %v", err)
		}
		fresh.Body.Close()
	}
	if n := c.number.Load(); n > most {
		t.Errorf("%d connections, of at most %d", n, most)
	}
	if _, err := silent[0].Read(make([]byte, 1)); err == nil {
		t.Error("the first that asked nothing is answered")
	}
	close(release)
	if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "done" {
		t.Errorf("who was being answered got %q, %v", text, err)
	}
}

func TestWhereAllConnectionsAreBeingAnsweredWhoComesIsTurnedAway(t *testing.T) {
	t.Parallel()
	dial, release, _ := held(t, 2)
	var all []*http.Response
	for range 2 {
		resp, err := want(dial(), "/wait")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, resp)
	}
	if resp, err := want(dial(), "/"); err == nil {
		t.Errorf("a third is answered with %s", resp.Status)
	}
	close(release)
	for _, resp := range all {
		if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "done" {
			t.Errorf("%q, %v", text, err)
		}
	}
}

func TestBoundsOfConnectionsThatCannotWorkAreRefused(t *testing.T) {
	for _, bad := range []Connections{{Most: -1, Header: time.Second, Stall: time.Second, Idle: time.Second}, {Stall: time.Second, Idle: time.Second}, {Header: time.Second, Idle: time.Second}, {Header: time.Second, Stall: time.Second}} {
		if bad.check() == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	usual := Connections{Header: time.Second, Stall: time.Second, Idle: time.Second}
	if err := usual.check(); err != nil || usual.most() < 100 || usual.most() > usualConnections {
		t.Errorf("%v, %d connections", err, usual.most())
	}
}

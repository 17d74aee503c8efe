package bucket

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// through returns the address of a front door before an endpoint that reads bodies and takes its time to answer, and what
// ended each body.
func through(t *testing.T, stall, answer time.Duration) (address string, ended chan error) {
	t.Helper()
	ended = make(chan error, 1)
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
		time.Sleep(answer)
		w.WriteHeader(http.StatusOK)
	}))
	t.Cleanup(endpoint.Close)
	transport := &http.Transport{Dial: func(network, _ string) (net.Conn, error) {
		return net.Dial(network, endpoint.Listener.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	door := httptest.NewServer(newProxy(transport, slog.New(slog.DiscardHandler), stall))
	t.Cleanup(door.Close)
	return door.Listener.Addr().String(), ended
}

func TestAClientThatStopsSendingIsCutOff(t *testing.T) {
	t.Parallel()
	address, ended := through(t, 100*time.Millisecond, 0)
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprint(c, "PUT /uploads/a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err == nil {
			t.Error("half a body was taken for a whole one")
		}
	case <-time.After(time.Minute):
		t.Error("the stalled client is still being waited for")
	}
}

// trickle sends a letter now and then, far oftener than a client is given up.
type trickle struct{ left int }

func (b *trickle) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	b.left--
	time.Sleep(60 * time.Millisecond)
	return copy(p, "x"), nil
}

func TestASlowClientAndASlowAnswerAreWaitedFor(t *testing.T) {
	t.Parallel()
	address, ended := through(t, 3*time.Second, 4*time.Second)
	for name, body := range map[string]io.Reader{"slow client": &trickle{left: 70}, "slow answer": strings.NewReader("x")} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+address+"/uploads/a", body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if err := <-ended; err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %d, %v", name, resp.StatusCode, err)
		}
	}
}

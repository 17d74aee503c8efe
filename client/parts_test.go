package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// divided is a server that takes a file of 25 bytes in parts of 10.
type divided struct {
	mu       sync.Mutex
	expires  time.Duration                                // of URLs
	asked    []int                                        // the first part of each request for URLs
	got      map[int]string                               // parts
	puts     map[int]int                                  // PUTs of each part
	put      func(n, try int, w http.ResponseWriter) bool // answers a PUT, or doesn't
	complete func(try int, w http.ResponseWriter) bool
	tries    int // completions
}

func (d *divided) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	expires := time.Now().Add(d.expires).UTC().Format(time.RFC3339Nano)
	switch {
	case r.URL.Path == "/v1/uploads":
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, `{"id":"v1","parts":{"size":10,"count":3},"method":"PUT","headers":{},"expires":%q}`, expires)
	case r.URL.Path == "/v1/uploads/v1/parts":
		var ask struct{ First, Count int }
		_ = json.NewDecoder(r.Body).Decode(&ask)
		d.mu.Lock()
		d.asked = append(d.asked, ask.First)
		d.mu.Unlock()
		var parts []string
		for n := ask.First; n <= min(3, ask.First+ask.Count-1); n++ {
			parts = append(parts, fmt.Sprintf(`{"number":%d,"size":10,"url":"http://%s/part?n=%d"}`, n, r.Host, n))
		}
		fmt.Fprintf(w, `{"parts":[%s],"expires":%q}`, strings.Join(parts, ","), expires)
	case r.URL.Path == "/v1/uploads/v1/complete":
		d.mu.Lock()
		d.tries++
		try := d.tries
		d.mu.Unlock()
		if d.complete == nil || !d.complete(try, w) {
			fmt.Fprint(w, `{"id":"v1","status":"processing","received":"2026-11-30T12:00:00Z"}`)
		}
	case r.URL.Path == "/part":
		n, _ := strconv.Atoi(r.URL.Query().Get("n"))
		body, _ := io.ReadAll(r.Body)
		d.mu.Lock()
		d.puts[n]++
		try := d.puts[n]
		d.mu.Unlock()
		if d.put == nil || !d.put(n, try, w) {
			d.mu.Lock()
			d.got[n] = string(body)
			d.mu.Unlock()
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

const twentyFive = "0123456789abcdefghijKLMNO"

// upload uploads 25 bytes, and returns the last progress that was told.
func (d *divided) upload(t *testing.T) (last int64, err error) {
	t.Helper()
	d.got, d.puts = map[int]string{}, map[int]int{}
	if d.expires == 0 {
		d.expires = time.Minute
	}
	srv := httptest.NewServer(d)
	t.Cleanup(srv.Close)
	c, err := New(srv.URL, "token")
	if err != nil {
		t.Fatal(err)
	}
	c.pause = time.Millisecond
	id, err := c.Upload(t.Context(), file(t, "a.mp4", twentyFive), UploadOptions{}, func(sent, size int64) {
		if last = sent; sent < 0 || sent > size || size != 25 {
			t.Errorf("told %d of %d", sent, size)
		}
	})
	if err == nil && id != "v1" {
		t.Errorf("id %q", id)
	}
	return last, err
}

func (d *divided) whole(t *testing.T) {
	t.Helper()
	if all := d.got[1] + d.got[2] + d.got[3]; all != twentyFive {
		t.Errorf("the storage has %q", all)
	}
}

func TestUpload_LargerThanOnePut_IsSentInParts(t *testing.T) {
	d := &divided{}
	if last, err := d.upload(t); err != nil || last != 25 {
		t.Errorf("%d, %v", last, err)
	}
	d.whole(t)
	if len(d.asked) != 1 || d.tries != 1 {
		t.Errorf("URLs were asked for %v times, completion %d times", d.asked, d.tries)
	}
}

func TestUpload_PartThatFails_IsSentAgainAlone(t *testing.T) {
	for name, fail := range map[string]func(w http.ResponseWriter){
		"503": func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"RequestTimeout": func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, "<Error><Code>RequestTimeout</Code></Error>")
		},
		"connection": func(w http.ResponseWriter) {
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := &divided{put: func(n, try int, w http.ResponseWriter) bool {
				if n != 2 || try > 2 {
					return false
				}
				fail(w)
				return true
			}}
			if last, err := d.upload(t); err != nil || last != 25 {
				t.Errorf("%d, %v", last, err)
			}
			d.whole(t)
			if d.puts[1] != 1 || d.puts[2] != 3 || d.puts[3] != 1 {
				t.Errorf("PUTs %v", d.puts)
			}
		})
	}
}

func TestUpload_PartWhoseAddressExpired_GetsAnother(t *testing.T) {
	d := &divided{put: func(n, try int, w http.ResponseWriter) bool {
		if n != 3 || try > 1 {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		return true
	}}
	if _, err := d.upload(t); err != nil {
		t.Error(err)
	}
	d.whole(t)
	if len(d.asked) != 2 || d.asked[1] != 3 || d.puts[1] != 1 {
		t.Errorf("asked for the parts from %v; PUTs %v", d.asked, d.puts)
	}
}

func TestUpload_PartThatIsRefused_EndsTheUploadAndNamesIt(t *testing.T) {
	d := &divided{put: func(n, _ int, w http.ResponseWriter) bool {
		if n == 2 {
			w.WriteHeader(http.StatusNotFound)
		}
		return n == 2
	}}
	_, err := d.upload(t)
	var e *Error
	if !errors.As(err, &e) || e.Code != UploadRefused || !strings.Contains(err.Error(), "part 2 of 3") || d.tries != 0 {
		t.Errorf("%v; completed %d times", err, d.tries)
	}
}

func TestUpload_CompletionThatIsLost_IsAskedForAgain(t *testing.T) {
	d := &divided{complete: func(try int, w http.ResponseWriter) bool {
		switch try {
		case 1:
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		case 2:
			refuse(w, 503, "storage_slow")
		case 3:
			w.WriteHeader(http.StatusAccepted)
			fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
		default:
			return false
		}
		return true
	}}
	if _, err := d.upload(t); err != nil || d.tries != 4 {
		t.Errorf("%v after %d calls", err, d.tries)
	}
	d = &divided{complete: func(_ int, w http.ResponseWriter) bool { refuse(w, 409, "parts_missing"); return true }}
	var e *Error
	if _, err := d.upload(t); !errors.As(err, &e) || e.Code != "parts_missing" || d.tries != 1 {
		t.Errorf("%v after %d calls", err, d.tries)
	}
}

func TestUpload_ManyParts_AreSentFourAtATime(t *testing.T) {
	var mu sync.Mutex
	under, most := 0, 0
	full := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/v1/uploads":
			fmt.Fprintf(w, `{"id":"v1","parts":{"size":1,"count":25},"method":"PUT","expires":%q}`, time.Now().Add(time.Minute).Format(time.RFC3339))
		case strings.HasSuffix(r.URL.Path, "/parts"):
			var ask struct{ First, Count int }
			_ = json.NewDecoder(r.Body).Decode(&ask)
			var parts bytes.Buffer
			for n := ask.First; n < ask.First+ask.Count; n++ {
				fmt.Fprintf(&parts, `,{"number":%d,"url":"http://%s/part"}`, n, r.Host)
			}
			fmt.Fprintf(w, `{"parts":[%s],"expires":%q}`, parts.String()[1:], time.Now().Add(time.Minute).Format(time.RFC3339))
		case r.URL.Path == "/part":
			mu.Lock()
			if under++; under > most {
				if most = under; most == partsTogether {
					close(full)
				}
			}
			mu.Unlock()
			select {
			case <-full:
			case <-time.After(time.Minute):
			}
			mu.Lock()
			under--
			mu.Unlock()
		default:
			fmt.Fprint(w, `{"received":"2026-11-30T12:00:00Z"}`)
		}
	}))
	defer srv.Close()
	c, err := New(srv.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upload(t.Context(), file(t, "a.mp4", twentyFive), UploadOptions{}, nil); err != nil || most != partsTogether {
		t.Errorf("%d together, %v", most, err)
	}
}

package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

// answerGrant answers POST /v1/uploads with the address of upload number n.
func answerGrant(w http.ResponseWriter, r *http.Request, n int, expires time.Duration) {
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"id":"v%d","url":"http://%s/bucket/v%d?sig=1","method":"PUT","headers":{"Content-Type":"video/mp4"},"expires":%q}`,
		n, r.Host, n, time.Now().Add(expires).UTC().Format(time.RFC3339Nano))
}

func TestAnUploadSendsTheFileWithItsHeadersAndTellsProgress(t *testing.T) {
	content := strings.Repeat("0123456789", 50_000)
	var got, token, kind, length string
	c, s, _ := start(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			answerGrant(w, r, 1, time.Minute)
			return
		}
		b, _ := io.ReadAll(r.Body)
		got, token, kind, length = string(b), r.Header.Get("Authorization"), r.Header.Get("Content-Type"), r.Header.Get("Content-Length")
	})
	var last int64
	id, err := c.Upload(t.Context(), file(t, "a.mp4", content), UploadOptions{ContentType: "video/mp4", Settings: Settings{MaxResolution: 480}}, func(sent, size int64) {
		if sent < last || size != int64(len(content)) {
			t.Errorf("told %d of %d after %d", sent, size, last)
		}
		last = sent
	})
	if err != nil || id != "v1" || got != content || last != int64(len(content)) {
		t.Errorf("%q %v; %d bytes came, %d told", id, err, len(got), last)
	}
	if token != "" {
		t.Error("the token was shown to the bucket")
	}
	if kind != "video/mp4" || length != "500000" {
		t.Errorf("type %q, length %q", kind, length)
	}
	if want := `POST /v1/uploads {"filename":"a.mp4","content_type":"video/mp4","size":500000,"settings":{"max_resolution":480}}`; s.requests()[0] != want {
		t.Errorf("asked %s\nwant  %s", s.requests()[0], want)
	}
}

func TestAnUploadIsSentAgainWhenTheServerFailsForAWhile(t *testing.T) {
	var got string
	c, _, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			refuse(w, 503, "busy")
		case 2:
			answerGrant(w, r, 1, time.Minute)
		case 3:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 4:
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		default:
			b, _ := io.ReadAll(r.Body)
			got = string(b)
		}
	})
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "content"), UploadOptions{}, nil); err != nil || id != "v1" || got != "content" {
		t.Errorf("%q %v %q", id, err, got)
	}
}

func TestUpload_RequestTimeoutOrIncompleteBody_IsSentAgain(t *testing.T) {
	for _, code := range []string{"RequestTimeout", "IncompleteBody"} {
		t.Run(code, func(t *testing.T) { sentAgain(t, code) })
	}
}

// sentAgain refuses the first PUT with a code.
func sentAgain(t *testing.T, code string) {
	t.Helper()
	var got string
	puts := 0
	c, _, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case n == 1:
			answerGrant(w, r, 1, time.Minute)
		case r.Method == http.MethodPut && puts == 0:
			puts++
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `<Error><Code>%s</Code><Message>The connection was not read from.</Message></Error>`, code)
		case r.Method == http.MethodPut:
			puts++
			b, _ := io.ReadAll(r.Body)
			got = string(b)
		case r.Method == http.MethodGet:
			fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
		case puts < 2: // the server has no file yet
			refuse(w, http.StatusConflict, "not_uploaded")
		}
	})
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "content"), UploadOptions{}, nil); err != nil || id != "v1" || got != "content" || puts != 2 {
		t.Errorf("%q %v %q, %d PUTs", id, err, got, puts)
	}
}

func TestAnAddressThatExpiredIsReplacedAndItsVideoRemoved(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			answerGrant(w, r, 1, time.Minute)
		case 2:
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>`)
		case 3:
			fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
		case 4:
			w.WriteHeader(http.StatusNoContent)
		case 5:
			answerGrant(w, r, 2, time.Minute)
		}
	})
	id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{ContentType: "video/mp4"}, nil)
	grant := `POST /v1/uploads {"filename":"a.mp4","content_type":"video/mp4","size":1}`
	want := []string{grant, "PUT /bucket/v1?sig=1", "GET /v1/videos/v1", "DELETE /v1/videos/v1", grant, "PUT /bucket/v2?sig=1"}
	if err != nil || id != "v2" || !reflect.DeepEqual(s.requests(), want) {
		t.Errorf("%q %v; asked %q", id, err, s.requests())
	}
}

func TestASourceThatArrivedThoughItsAnswerWasLostIsNotSentAgain(t *testing.T) {
	for _, expires := range []time.Duration{-time.Second, time.Minute} {
		c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
			switch n {
			case 1:
				answerGrant(w, r, 1, expires)
			case 2:
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, _ := http.NewResponseController(w).Hijack()
				_ = conn.Close()
			default:
				fmt.Fprint(w, `{"id":"v1","status":"processing","received":"2026-03-09T14:05:06.789Z"}`)
			}
		})
		if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || len(s.requests()) != 3 {
			t.Errorf("an address good for %s: %q %v; asked %q", expires, id, err, s.requests())
		}
	}
}

func TestARefusedFileIsNotSentAgain(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			answerGrant(w, r, 1, time.Minute)
			return
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `<Error><Code>SignatureDoesNotMatch</Code></Error>`)
	})
	_, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Status != 403 || len(s.requests()) != 2 || strings.Contains(err.Error(), "sig=1") {
		t.Errorf("%v; asked %q", err, s.requests())
	}
}

func TestAnEmptyFileIsSentWithItsLength(t *testing.T) {
	var length string
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			answerGrant(w, r, 1, time.Minute)
			return
		}
		length = r.Header.Get("Content-Length")
	})
	_, err := c.Upload(t.Context(), file(t, "a.mp4", ""), UploadOptions{ContentType: "video/mp4"}, nil)
	if err != nil || length != "0" || s.requests()[0] != `POST /v1/uploads {"filename":"a.mp4","content_type":"video/mp4"}` {
		t.Errorf("%v; length %q; asked %q", err, length, s.requests())
	}
}

func TestAFolderIsNotUploaded(t *testing.T) {
	c, s, _ := start(t, func(int, http.ResponseWriter, *http.Request) {})
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = dir.Close() })
	if _, err := c.Upload(t.Context(), dir, UploadOptions{}, nil); err == nil || len(s.requests()) != 0 {
		t.Errorf("%v; asked %q", err, s.requests())
	}
}

func TestAnUploadEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			answerGrant(w, r, 1, time.Minute)
			return
		}
		cancel()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	if _, err := c.Upload(ctx, file(t, "a.mp4", "x"), UploadOptions{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAPutThatStallsIsGivenUpAndSentAgain(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			answerGrant(w, r, 1, time.Minute)
		case 2:
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done() // and never an answer
		}
	})
	c.stall = 3 * time.Second // the second try is under the same limit, on however busy a machine
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || len(s.requests()) != 4 {
		t.Errorf("%q %v; asked %q", id, err, s.requests())
	}
}

func TestUpload_StorageDoesNotAnswer_NamesTheStorage(t *testing.T) {
	nobody := "127.0.0.1:1"
	c, _, _ := start(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			there := *r
			there.Host = nobody
			answerGrant(w, &there, 1, time.Minute)
			return
		}
		refuse(w, 404, "no_video")
	})
	_, err := c.Upload(t.Context(), file(t, "a.mp4", "content"), UploadOptions{}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Code != StorageUnreachable || e.Status != 0 || !strings.Contains(e.Detail, "The storage at http://"+nobody+" did not answer") || strings.Contains(e.Error(), "sig=") {
		t.Errorf("%v", err)
	}
}

func TestUpload_StoredFile_IsAnnouncedUntilTheServerFindsIt(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			answerGrant(w, r, 1, time.Minute)
		}
	})
	s.complete = func(n int, w http.ResponseWriter) {
		switch n {
		case 1:
			refuse(w, http.StatusConflict, "not_uploaded")
		case 2:
			refuse(w, http.StatusServiceUnavailable, "storage_unavailable")
		default:
			fmt.Fprint(w, `{"id":"v1","status":"waiting","received":"2026-03-09T14:05:06.789Z"}`)
		}
	}
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || s.told != 3 {
		t.Errorf("%q %v after %d calls", id, err, s.told)
	}
}

func TestUpload_ServerThatFindsNothing_FailsNoStoredFile(t *testing.T) {
	for code, answer := range map[string]struct{ status, calls int }{"not_uploaded": {409, tries}, "internal": {500, tries}, "wrong_size": {409, 1}, "not_found": {404, 1}} {
		c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
			if n == 1 {
				answerGrant(w, r, 1, time.Minute)
			}
		})
		s.complete = func(_ int, w http.ResponseWriter) { refuse(w, answer.status, code) }
		if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || s.told != answer.calls {
			t.Errorf("%s: %q %v after %d calls, want %d", code, id, err, s.told, answer.calls)
		}
	}
}

// A storage that reports nothing has the file, and the answer to its PUT was lost: the video still waits, and a second
// PUT would make a second video.
func TestUpload_LostAnswerOfASilentStorage_IsNotSentAgain(t *testing.T) {
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1:
			answerGrant(w, r, 1, time.Minute)
		case 2:
			_, _ = io.Copy(io.Discard, r.Body)
			conn, _, _ := http.NewResponseController(w).Hijack()
			_ = conn.Close()
		default:
			fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
		}
	})
	s.complete = func(_ int, w http.ResponseWriter) {
		fmt.Fprint(w, `{"id":"v1","status":"waiting","received":"2026-03-09T14:05:06.789Z"}`)
	}
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || len(s.requests()) != 3 {
		t.Errorf("%q %v; asked %q", id, err, s.requests())
	}
}

// refusing answers the grant of v1, and refuses each PUT with 503.
func refusing(t *testing.T) (*Client, *script, *int) {
	puts := new(int)
	c, s, _ := start(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case n == 1:
			answerGrant(w, r, 1, time.Minute)
		case r.Method == http.MethodPut:
			*puts++
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
		}
	})
	return c, s, puts
}

// accepted is the answer to a complete call while the server copies a file.
func accepted(w http.ResponseWriter) {
	w.WriteHeader(http.StatusAccepted)
	fmt.Fprint(w, `{"id":"v1","status":"waiting"}`)
}

func TestUpload_FailedPutAndEndlessCopy_IsNoSuccess(t *testing.T) {
	c, s, puts := refusing(t)
	s.complete = func(_ int, w http.ResponseWriter) { accepted(w) }
	id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Code != UploadUnconfirmed || !strings.Contains(e.Detail, "v1") || *puts != 1 || s.told != copyAsks {
		t.Errorf("%q %v after %d PUTs and %d complete calls", id, err, *puts, s.told)
	}
}

func TestUpload_FailedPutAndCopyThatEnds_IsNotSentAgain(t *testing.T) {
	c, s, puts := refusing(t)
	s.complete = func(n int, w http.ResponseWriter) {
		if n < 4 {
			accepted(w)
			return
		}
		fmt.Fprint(w, `{"id":"v1","status":"waiting","received":"2026-03-09T14:05:06.789Z"}`)
	}
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err != nil || id != "v1" || *puts != 1 || s.told != 4 {
		t.Errorf("%q %v after %d PUTs and %d complete calls", id, err, *puts, s.told)
	}
}

// The question whether the file is stored fails for a while. That proves nothing of the file, and a second PUT would make
// a second video.
func TestUpload_FailedPutAndFailedQuestion_IsAskedAgain(t *testing.T) {
	for _, status := range []int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable} {
		c, s, puts := refusing(t)
		s.complete = func(n int, w http.ResponseWriter) {
			if n < 3 {
				refuse(w, status, "away")
				return
			}
			fmt.Fprint(w, `{"id":"v1","status":"waiting","received":"2026-03-09T14:05:06.789Z"}`)
		}
		id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil)
		if err != nil || id != "v1" || *puts != 1 || s.told != 3 {
			t.Errorf("%d: %q %v after %d PUTs and %d complete calls", status, id, err, *puts, s.told)
		}
	}
}

func TestUpload_FailedPutAndQuestionsThatAllFail_IsNoSuccess(t *testing.T) {
	c, s, puts := refusing(t)
	s.complete = func(_ int, w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable, "storage_unavailable") }
	id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil)
	var e *Error
	if !errors.As(err, &e) || e.Code != "storage_unavailable" || *puts != 1 || s.told != putTries {
		t.Errorf("%q %v after %d PUTs and %d complete calls", id, err, *puts, s.told)
	}
}

// The copy fails, and the server finds no file afterwards: the file must be sent again.
func TestUpload_FailedPutAndCopyThatFails_IsSentAgain(t *testing.T) {
	c, s, puts := refusing(t)
	c.pause = time.Microsecond // doubles with each PUT
	s.complete = func(n int, w http.ResponseWriter) {
		if n%2 == 1 {
			accepted(w)
			return
		}
		refuse(w, http.StatusConflict, "not_uploaded")
	}
	if id, err := c.Upload(t.Context(), file(t, "a.mp4", "x"), UploadOptions{}, nil); err == nil || *puts != putTries {
		t.Errorf("%q %v after %d PUTs", id, err, *puts)
	}
}

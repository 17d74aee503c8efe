package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t *testing.T, s *bucket.Store, b, key string) string {
	t.Helper()
	body, o, err := s.Get(t.Context(), b, key, "")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || int64(len(got)) != o.Size {
		t.Fatalf("read %d of %d bytes, %v", len(got), o.Size, err)
	}
	return string(got)
}

func TestAnOutputIsNeverRewritten(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		first, err := s.PutFile(t.Context(), "media", "streams/a-1/1/seg 1.m4s", write(t, "first"), "video/mp4")
		if err != nil {
			t.Fatal(err)
		}
		if first.ETag != md5hex([]byte("first")) || first.Size != 5 || first.ContentType != "video/mp4" {
			t.Errorf("put %+v", first)
		}
		second, err := s.PutFile(t.Context(), "media", first.Key, write(t, "second"), "text/plain")
		if err != nil || second != first {
			t.Errorf("the second put says %+v, %v", second, err)
		}
		if head, err := s.Head(t.Context(), "media", first.Key); err != nil || head != first {
			t.Errorf("S3 says %+v, %v", head, err)
		}
		if got := read(t, s, "media", first.Key); got != "first" {
			t.Errorf("it reads %q", got)
		}
		if _, err := s.PutFile(t.Context(), "media", "streams/none", filepath.Join(t.TempDir(), "none"), ""); err == nil {
			t.Errorf("a missing file was put")
		}
	})
}

func TestManyPutsOfOneFileAgree(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		const twins = 8
		got := make(chan bucket.Object, twins)
		for n := range twins {
			path := write(t, fmt.Sprint("twin ", n))
			go func() {
				o, err := s.PutFile(t.Context(), "media", "streams/twin", path, "")
				if err != nil {
					t.Error(err)
				}
				got <- o
			}()
		}
		first := <-got
		for range twins - 1 {
			if o := <-got; o != first {
				t.Errorf("%+v beside %+v", o, first)
			}
		}
	})
}

func TestAnOverwrittenSourceKeepsItsPin(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		put := func(content string) bucket.Object {
			o, err := s.Put(t.Context(), "uploads", "it's [a] ü.mp4", strings.NewReader(content), int64(len(content)), "video/mp4")
			if err != nil {
				t.Fatal(err)
			}
			return o
		}
		first := put("first")
		pin, err := s.Pin(t.Context(), first, "media", "sources/1")
		if err != nil || pin.ETag != first.ETag || pin.Size != 5 || pin.ContentType != "video/mp4" {
			t.Errorf("pinned %+v, %v", pin, err)
		}
		second := put("second")
		if again, err := s.Pin(t.Context(), first, "media", "sources/1"); err != nil || again.ETag != pin.ETag {
			t.Errorf("pinning again: %+v, %v", again, err)
		}
		if got := read(t, s, "media", "sources/1"); got != "first" {
			t.Errorf("the pin reads %q", got)
		}
		if _, err := s.Pin(t.Context(), first, "media", "sources/2"); fault.Of(err).Code != "source_changed" {
			t.Errorf("pinning what is gone: %v", err)
		}
		if _, err := s.Head(t.Context(), "media", "sources/2"); !fault.Is(err, fault.NotFound) {
			t.Errorf("a failed pin left something: %v", err)
		}
		if _, err := s.Pin(t.Context(), second, "media", "sources/1"); fault.Of(err).Code != "pin_taken" {
			t.Errorf("pinning over another pin: %v", err)
		}
		if err := s.Delete(t.Context(), "uploads", first.Key); err != nil {
			t.Error(err)
		}
		if _, err := s.Pin(t.Context(), second, "media", "sources/3"); !fault.Is(err, fault.NotFound) {
			t.Errorf("pinning what was deleted: %v", err)
		}
		if got := read(t, s, "media", "sources/1"); got != "first" {
			t.Errorf("after deleting the pin reads %q", got)
		}
	})
}

func TestDeletingAPrefixTouchesNothingElse(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		keep := []string{"streams/a-10/x", "streams/a-1x", "other/streams/a-1/x"}
		for _, key := range append([]string{"streams/a-1/1/x", "streams/a-1/1/deep/er/y", "streams/a-1/2/x"}, keep...) {
			if _, err := s.PutFile(t.Context(), "media", key, write(t, key), ""); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.DeletePrefix(t.Context(), "media", "streams/a-1/"); err != nil || n != 3 {
			t.Errorf("removed %d, %v", n, err)
		}
		var left []string
		for o, err := range s.List(t.Context(), "media", "") {
			if err != nil {
				t.Fatal(err)
			}
			left = append(left, o.Key)
		}
		if fmt.Sprint(left) != "[other/streams/a-1/x streams/a-10/x streams/a-1x]" {
			t.Errorf("left %q", left)
		}
		if path, ok := s.LocalPath("media", "streams/a-1"); ok {
			if _, err := os.Stat(path); !os.IsNotExist(err) {
				t.Errorf("the empty folder is still there: %v", err)
			}
		}
		for _, prefix := range []string{"", "/"} {
			if n, err := s.DeletePrefix(t.Context(), "media", prefix); err == nil || n != 0 {
				t.Errorf("prefix %q removed %d", prefix, n)
			}
		}
		if err := s.Delete(t.Context(), "media", "not/there"); err != nil {
			t.Errorf("%v", err)
		}
	})
}

func TestAPrefixOfMoreThanAThousandObjectsGoesWhole(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		const many = 1203
		client, work := p.aws(), make(chan int)
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for n := range work {
					if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String(fmt.Sprint("p/", n))}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		for n := range many {
			work <- n
		}
		close(work)
		writers.Wait()
		if n, err := p.store.DeletePrefix(t.Context(), "media", "p/"); err != nil || n != many {
			t.Errorf("removed %d, %v", n, err)
		}
		for o, err := range p.store.List(t.Context(), "media", "p/") {
			t.Errorf("left %+v, %v", o, err)
		}
	})
}

func TestAListingTellsEachKeyAsItIsAndNoneHidesTheOthers(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		want := []string{"k/a b+c&d%2B<ü>.mp4", "k/plain.mp4"}
		if !p.ours() { // which refuses characters that XML can't carry
			want = append([]string{"k/\x01.mp4"}, want...)
		}
		for _, key := range want {
			if _, err := p.store.Put(t.Context(), "media", key, strings.NewReader("x"), 1, ""); err != nil {
				t.Fatal(err)
			}
		}
		if p.name == "versitygw" { // it knows no encoding
			want[0] = "k/\uFFFD.mp4"
		}
		var got []string
		for o, err := range p.store.List(t.Context(), "media", "k/") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, o.Key)
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("listed %q, want %q", got, want)
		}
	})
}

func TestErrorsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		if _, err := s.Head(t.Context(), "media", "none"); fault.Of(err).Code != "no_such_object" {
			t.Errorf("%v", err)
		}
		if _, _, err := s.Get(t.Context(), "nowhere", "none", ""); fault.Of(err).Code != "no_such_bucket" {
			t.Errorf("%v", err)
		}
		if _, err := s.Put(t.Context(), "media", "a", strings.NewReader("x"), 1, ""); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Get(t.Context(), "media", "a", "bytes=5-6"); fault.Of(err).Code != "bad_range" {
			t.Errorf("%v", err)
		}
	})
	away, err := bucket.Open(t.Context(), bucket.Config{Endpoint: "http://127.0.0.1:1", Region: "x", Credentials: keys})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, err := away.Head(ctx, "media", "a"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("storage that is away: %v", err)
	}
	if _, err := bucket.Open(t.Context(), bucket.Config{Endpoint: "nonsense"}); fault.Of(err).Code != "bad_endpoint" {
		t.Error(err)
	}
}

func TestALargePutIsNotHeldInMemory(t *testing.T) {
	h := newHouse(t) // not parallel: it looks at the whole process
	const size = 256 << 20
	var peak atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			var m runtime.MemStats
			runtime.GC() // what counts is what is held, not what waits to be cleared away
			runtime.ReadMemStats(&m)
			peak.Store(max(peak.Load(), m.HeapAlloc))
			select {
			case <-stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	in := &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("large.mp4"), ContentLength: aws.Int64(size), Body: &zeros{left: size}}
	if _, err := h.aws.PutObject(t.Context(), in, unsigned); err != nil {
		t.Fatal(err)
	}
	close(stop)
	if got := peak.Load(); got > 64<<20 {
		t.Errorf("%d MB of heap for a PUT of %d MB", got>>20, size>>20)
	}
	if o, err := h.store.Head(t.Context(), "uploads", "large.mp4"); err != nil || o.Size != size {
		t.Errorf("%+v, %v", o, err)
	}
}

// zeros is a body of zeros.
type zeros struct{ left int64 }

func (z *zeros) Read(p []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), z.left)
	clear(p[:n])
	z.left -= n
	return int(n), nil
}

func TestAPresignedPutIsWhatWasSigned(t *testing.T) {
	t.Parallel()
	body := []byte("a video, says the type")
	tests := map[string]struct {
		request bucket.PresignRequest
		content string
		kind    string
		wait    time.Duration
		status  int
	}{
		"as signed":             {bucket.PresignRequest{ContentType: "video/mp4", Size: int64(len(body))}, string(body), "video/mp4", 0, 200},
		"anything, none signed": {bucket.PresignRequest{}, "x", "video/any", 0, 200},
		"another type":          {bucket.PresignRequest{ContentType: "video/mp4"}, string(body), "text/html", 0, 403},
		"too short":             {bucket.PresignRequest{Size: 100}, string(body), "video/mp4", 0, 403},
		"too long":              {bucket.PresignRequest{Size: 3}, string(body), "video/mp4", 0, 403},
		"too late":              {bucket.PresignRequest{Expires: time.Second}, string(body), "video/mp4", 2100 * time.Millisecond, 403},
	}
	everywhere(t, func(t *testing.T, p place) {
		for name, test := range tests {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				r := test.request
				r.Bucket, r.Key, r.PublicURL = "uploads", `01/`+name+` [s] "q" ü+%.mp4`, p.url
				if r.Expires == 0 {
					r.Expires = time.Minute
				}
				url, header, err := p.store.PresignPut(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(test.wait)
				header["Content-Type"] = test.kind
				if got := put(t, url, test.content, header); got != test.status {
					t.Errorf("status %d, want %d", got, test.status)
				}
				o, err := p.store.Head(t.Context(), "uploads", r.Key)
				if test.status != 200 {
					if !fault.Is(err, fault.NotFound) {
						t.Errorf("it left %+v, %v", o, err)
					}
				} else if err != nil || o.Size != int64(len(test.content)) || o.ContentType != test.kind {
					t.Errorf("%+v, %v", o, err)
				}
			})
		}
		if _, header, err := p.store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "uploads", Key: "a", ContentType: "video/mp4", Size: 1, Expires: time.Minute, PublicURL: p.url}); err != nil || fmt.Sprint(header) != "map[Content-Type:video/mp4]" {
			t.Errorf("the PUT must carry %v, %v", header, err)
		}
	})
}

func put(t *testing.T, url, content string, header map[string]string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func TestPagesOfAllowedOriginsMayPut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	url, _, err := h.store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "uploads", Key: "a.mp4", ContentType: "video/mp4", Expires: time.Minute, PublicURL: h.url})
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []struct {
		origin  string
		allowed bool
	}{{origin, true}, {"https://evil.example.org", false}} {
		ask := func(method, body string) *http.Response {
			r, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader([]byte(body)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Origin", from.origin)
			if method == http.MethodOptions {
				r.Header.Set("Access-Control-Request-Method", "PUT")
				r.Header.Set("Access-Control-Request-Headers", "content-type")
			} else {
				r.Header.Set("Content-Type", "video/mp4")
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			return resp
		}
		preflight, answer := ask(http.MethodOptions, ""), ask(http.MethodPut, "x")
		want := []string{from.origin}
		if !from.allowed {
			want = nil
		}
		for _, resp := range []*http.Response{preflight, answer} {
			if got := resp.Header.Values("Access-Control-Allow-Origin"); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s from %s: allowed %q", resp.Request.Method, from.origin, got)
			}
		}
		if ok := preflight.StatusCode == http.StatusNoContent; ok != from.allowed {
			t.Errorf("the preflight from %s got %d", from.origin, preflight.StatusCode)
		}
		if from.allowed && (preflight.Header.Get("Access-Control-Allow-Headers") != "content-type" || !strings.Contains(preflight.Header.Get("Access-Control-Allow-Methods"), "PUT")) {
			t.Errorf("preflight %v", preflight.Header)
		}
	}
}

func TestPutOwn_OtherBytesUnderTheKey_LeavesThemUntilReplace(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		s := p.store
		put := func(key, body string, want bool) {
			t.Helper()
			if own, err := s.PutOwn(t.Context(), "media", key, write(t, body), "video/mp4"); err != nil || own != want {
				t.Errorf("%s put as %q: own %v, %v", key, body, own, err)
			}
		}
		holds := func(key, want string) {
			t.Helper()
			body, o, err := s.Get(t.Context(), "media", key, "")
			if err != nil {
				t.Fatal(err)
			}
			defer body.Close()
			if got, err := io.ReadAll(body); err != nil || string(got) != want || o.ContentType != "video/mp4" {
				t.Errorf("%s holds %q as %s, %v", key, got, o.ContentType, err)
			}
		}
		const key, beside = "streams/a-1/1/720p/1.m4s", "streams/a-1/attempts/1/encode-0-2-x/720p/1.m4s"
		put(key, "first", true)
		put(key, "first", true)  // a repeat, or another attempt that made the same
		put(key, "other", false) // as long
		holds(key, "first")
		put(beside, "other", true)
		for range 2 { // it may be repeated
			if err := s.Replace(t.Context(), "media", beside, key); err != nil {
				t.Fatal(err)
			}
			holds(key, "other")
			holds(beside, "other")
		}
		put(key, "first", false)
		if err := s.Replace(t.Context(), "media", "streams/a-1/none", key); !fault.Is(err, fault.NotFound) {
			t.Errorf("an object that is not there: %v", err)
		}
		sizes, err := s.Sizes(t.Context(), "media", "streams/a-1/1/")
		if err != nil || len(sizes) != 1 || sizes[key] != 5 {
			t.Errorf("sizes %v, %v", sizes, err)
		}
		if sizes, err := s.Sizes(t.Context(), "media", "streams/none/1/"); err != nil || len(sizes) != 0 {
			t.Errorf("of nothing: %v, %v", sizes, err)
		}
		if n, err := s.DeletePrefix(t.Context(), "media", "streams/a-1/attempts/1/"); err != nil || n != 1 {
			t.Errorf("%d removed, %v", n, err)
		}
		holds(key, "other")
	})
}

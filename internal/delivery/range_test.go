package delivery

import (
	"bytes"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzARangeOfARemoteObjectIsThatOfALocalOne compares what is read piece by piece of a storage with what net/http makes of the whole, for any Range and If-Range. Nothing
// that nobody wants is asked of the storage, and no answer is longer than the object.
func FuzzARangeOfARemoteObjectIsThatOfALocalOne(f *testing.F) {
	for _, seed := range []string{
		"", "bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-4", "bytes=99-", "bytes=100-", "bytes=0-99999999999999999999", "bytes=99999999999999999999-", "bytes=--5", "bytes=+1-2", "bytes=1-+2", "bytes=0x1-2",
		"bytes= 0 - 1", "bytes=0 1-2", "bytes=0-1,5-6", "bytes=,0-1", "bytes=0-1,", "bytes=" + strings.Repeat("0-,", 999) + "0-", "rows=0-1", "BYTES=0-1", "bytes 0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=\u0661-2", "bytes=0-1;q=1",
		"bytes=-100", "bytes=-101", "bytes=7-7", "bytes=50-49,0-1", "bytes=0-0,-1", "bytes=\t1-2", "bytes=18446744073709551615-", "bytes=-9223372036854775808", "bytes=9223372036854775807-9223372036854775807",
	} {
		f.Add(seed, "", uint16(100))
		f.Add(seed, `"e"`, uint16(1))
	}
	f.Add("bytes=1-2", `"other"`, uint16(10))
	f.Add("bytes=0-", "", uint16(0))
	f.Fuzz(func(t *testing.T, ranges, ifRange string, size uint16) {
		object := content[:size]
		asked := 0
		get := func(span string) (io.ReadCloser, error) {
			// As a storage answers: one range, exactly.
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Range", span)
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(object))
			if w.Code != http.StatusPartialContent {
				t.Fatalf("%q of %d bytes made %q for the storage: %d", ranges, size, span, w.Code)
			}
			asked += w.Body.Len()
			return io.NopCloser(w.Body), nil
		}
		answer := func(content func(r *http.Request) io.ReadSeeker) *httptest.ResponseRecorder {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Range", ranges)
			if ifRange != "" {
				r.Header.Set("If-Range", ifRange)
			}
			r = bounded(r, 1)
			w.Header().Set("ETag", `"e"`)
			w.Header().Set("Content-Type", "video/mp4")
			http.ServeContent(w, r, "", time.Time{}, content(r))
			return w
		}
		want := answer(func(*http.Request) io.ReadSeeker { return bytes.NewReader(object) })
		got := answer(func(r *http.Request) io.ReadSeeker {
			first, last := span(r.Header.Get("Range"), int64(size))
			if size > 0 && (first < 0 || first > last || last >= int64(size)) {
				t.Fatalf("%q of %d bytes: %d to %d", ranges, size, first, last)
			}
			return &reader{get: get, size: int64(size), end: last}
		})
		if got.Code != want.Code || !bytes.Equal(got.Body.Bytes(), want.Body.Bytes()) || !maps.EqualFunc(got.Header(), want.Header(), func(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }) {
			t.Errorf("%q of %d bytes: %d %v, %d bytes; want %d %v, %d bytes", ranges, size, got.Code, got.Header(), got.Body.Len(), want.Code, want.Header(), want.Body.Len())
		}
		if got.Code < 400 && got.Body.Len() > int(size) || asked > int(size)+got.Body.Len() {
			t.Errorf("%q of %d bytes: %d bytes sent, %d asked for", ranges, size, got.Body.Len(), asked)
		}
	})
}

package delivery

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice/internal/fault"
)

func TestAPublishedFileIsServedWholeAndForEver(t *testing.T) {
	t.Parallel()
	stages(t, func(t *testing.T, s *stage) {
		for _, c := range []struct{ key, kind, body, cache string }{
			{segment, "video/iso.segment", string(content), "public, max-age=31536000, immutable"},
			{playlist, "application/vnd.apple.mpegurl", "#EXTM3U\n", "public, max-age=60"},
		} {
			for _, method := range []string{"GET", "HEAD"} {
				resp, body := s.do(t, method, c.key)
				want := c.body
				if method == "HEAD" {
					want = ""
				}
				if resp.StatusCode != 200 || body != want || resp.ContentLength != int64(len(c.body)) {
					t.Fatalf("%s %s: %d, %d bytes, Content-Length %d", method, c.key, resp.StatusCode, len(body), resp.ContentLength)
				}
				for name, want := range map[string]string{
					"Content-Type": c.kind, "Cache-Control": c.cache, "Accept-Ranges": "bytes",
					"Access-Control-Allow-Origin": "*", "Timing-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
				} {
					if got := resp.Header.Get(name); got != want {
						t.Errorf("%s %s: %s is %q, want %q", method, c.key, name, got, want)
					}
				}
				if tag := resp.Header.Get("ETag"); len(tag) < 4 || tag[0] != '"' {
					t.Errorf("%s: the ETag %q isn't a strong one", c.key, tag)
				}
				if _, err := http.ParseTime(resp.Header.Get("Last-Modified")); err != nil {
					t.Errorf("%s: %v", c.key, err)
				}
			}
		}
	})
}

func TestRangesAreServedAsTheStandardSays(t *testing.T) {
	t.Parallel()
	stages(t, func(t *testing.T, s *stage) {
		resp, _ := s.do(t, "HEAD", segment)
		tag, modified := resp.Header.Get("ETag"), resp.Header.Get("Last-Modified")
		size := len(content)
		for name, c := range map[string]struct {
			header   []string
			status   int
			from, to int    // of the body
			read     string // what the storage is asked for, where it is remote
		}{
			"the first bytes":            {[]string{"Range", "bytes=0-99"}, 206, 0, 100, "bytes=0-99"},
			"bytes in the middle":        {[]string{"Range", "bytes=5000-69999"}, 206, 5000, 70000, "bytes=5000-69999"},
			"from a place on":            {[]string{"Range", "bytes=99990-"}, 206, 99990, size, "bytes=99990-99999"},
			"the last bytes":             {[]string{"Range", "bytes=-10"}, 206, size - 10, size, "bytes=99990-99999"},
			"an end beyond the end":      {[]string{"Range", "bytes=99000-999999999"}, 206, 99000, size, "bytes=99000-99999"},
			"If-Range that holds":        {[]string{"Range", "bytes=0-99", "If-Range", tag}, 206, 0, 100, "bytes=0-99"},
			"If-Range that doesn't":      {[]string{"Range", "bytes=0-99", "If-Range", `"other"`}, 200, 0, size, "bytes=0-99 bytes=100-99999"},
			"If-Match that holds":        {[]string{"If-Match", tag}, 200, 0, size, "bytes=0-99999"},
			"If-Match that doesn't":      {[]string{"If-Match", `"other"`}, 412, 0, 0, ""},
			"If-None-Match that holds":   {[]string{"If-None-Match", `"other"`}, 200, 0, size, "bytes=0-99999"},
			"If-None-Match that doesn't": {[]string{"If-None-Match", tag}, 304, 0, 0, ""},
			"not modified since":         {[]string{"If-Modified-Since", modified}, 304, 0, 0, ""},
			"another unit":               {[]string{"Range", "pages=1-2"}, 416, 0, 0, ""},
			"a start beyond the end":     {[]string{"Range", "bytes=100000-"}, 416, 0, 0, ""},
			"an end before the start":    {[]string{"Range", "bytes=9-3"}, 416, 0, 0, ""},
			"too many ranges":            {[]string{"Range", "bytes=" + strings.Repeat("0-0,", 8) + "0-0"}, 200, 0, size, "bytes=0-99999"},
		} {
			s.reads()
			resp, body := s.do(t, "GET", segment, c.header...)
			if resp.StatusCode != c.status || c.status < 300 && body != string(content[c.from:c.to]) || c.status == 304 && body != "" {
				t.Errorf("%s: %d, %d bytes", name, resp.StatusCode, len(body))
			}
			if want := fmt.Sprintf("bytes %d-%d/%d", c.from, c.to-1, size); c.status == 206 && resp.Header.Get("Content-Range") != want {
				t.Errorf("%s: Content-Range %q, want %q", name, resp.Header.Get("Content-Range"), want)
			}
			if c.status == 416 && resp.Header.Get("Cache-Control") != "" {
				t.Errorf("%s: a refusal says Cache-Control %q", name, resp.Header.Get("Cache-Control"))
			}
			if got := s.reads(); strings.HasSuffix(t.Name(), "remote") && strings.Join(got, " ") != c.read {
				t.Errorf("%s: the storage was asked for %q, want %q", name, got, c.read)
			}
		}
		if resp, _ := s.do(t, "HEAD", segment, "Range", "bytes=0-9"); resp.StatusCode != 200 || resp.ContentLength != int64(size) {
			t.Errorf("a HEAD with a range: %d of %d bytes", resp.StatusCode, resp.ContentLength)
		}
	})
}

func TestALocalFileAnswersAFewRangesAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	resp, body := s.do(t, "GET", segment, "Range", "bytes=0-9,500-509,-10")
	_, params, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil || resp.StatusCode != 206 {
		t.Fatalf("%d, %v", resp.StatusCode, err)
	}
	parts := multipart.NewReader(strings.NewReader(body), params["boundary"])
	for _, from := range []int{0, 500, len(content) - 10} {
		part, err := parts.NextPart()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(part)
		if err != nil || string(got) != string(content[from:from+10]) || part.Header.Get("Content-Type") != "video/iso.segment" {
			t.Errorf("the part at %d: %x (%v)", from, got, err)
		}
	}
}

func TestAPathThatIsNotExactlyAStreamsIsNotFound(t *testing.T) {
	t.Parallel()
	escaped := strings.TrimPrefix(URL("", "streams/"+folder), "/stream/")
	good := "/stream/" + escaped + "/2/1080p/00001.m4s"
	attacks := []string{
		"/stream/", "/stream", "/", "/stream//", "/streams/" + escaped + "/2/index.m3u8", "/STREAM/" + escaped + "/2/index.m3u8",
		"/stream/../top.mp4", "/stream/" + escaped + "/2/../../../top.mp4", "/stream/" + escaped + "/2/../1/index.m3u8",
		"/stream/" + escaped + "/2/%2e%2e/1/index.m3u8", "/stream/" + escaped + "/2/%2E%2E/%2E%2E/%2E%2E/top.mp4",
		"/stream/" + escaped + "/2/..%2f..%2f..%2ftop.mp4", "/stream/" + escaped + "/2/..%2F1%2Findex.m3u8", "/stream/" + escaped + "/2%2findex.m3u8",
		"/stream/" + escaped + "/2/%2e%2e%2f1/index.m3u8", "/stream/" + escaped + "/2/%252e%252e/1/index.m3u8", "/stream/" + escaped + "/2/..%252f1/index.m3u8",
		"/stream/" + escaped + `/2/..\1\index.m3u8`, "/stream/" + escaped + "/2/..%5c1%5Cindex.m3u8", "/stream/" + escaped + "/2%5cindex.m3u8",
		"/stream/" + escaped + "/2//index.m3u8", "/stream//" + escaped + "/2/index.m3u8", "//stream/" + escaped + "/2/index.m3u8", "/stream/" + escaped + "//2/index.m3u8",
		"/stream/" + escaped + "/2/./index.m3u8", "/stream/./" + escaped + "/2/index.m3u8", "/stream/" + escaped + "/2/index.m3u8/", "/stream/" + escaped + "/2/index.m3u8/.",
		"/stream/" + escaped + "/2/index.m3u8%00", "/stream/" + escaped + "/2/index.m3u8%00.m3u8", "/stream/" + escaped + "/2/%0d%0aindex.m3u8", "/stream/" + escaped + "/2/index%7f.m3u8",
		"/stream/" + escaped + "/2/index%c2%85.m3u8", "/stream/" + escaped + "/2/index%ff.m3u8", "/stream/" + escaped + "/2/%c0%ae%c0%ae/1/index.m3u8",
		"/stream/" + escaped + "/02/index.m3u8", "/stream/" + escaped + "/+2/index.m3u8", "/stream/" + escaped + "/%202/index.m3u8", "/stream/" + escaped + "/2%20/index.m3u8",
		"/stream/" + escaped + "/0/index.m3u8", "/stream/" + escaped + "/-2/index.m3u8", "/stream/" + escaped + "/2e0/index.m3u8", "/stream/" + escaped + "/99999999999999999999/index.m3u8",
		"/stream/" + escaped + "/2", "/stream/" + escaped + "/2/", "/stream/" + escaped, "/stream/" + escaped + "/2/1080p", "/stream/" + escaped + "/2/1080p/",
		"/stream/" + escaped + "/1/index.m3u8", "/stream/" + escaped + "/3/index.m3u8", // not published
		"/stream/" + escaped + "/2/notes.txt", "/stream/" + escaped + "/2/1080p/.part.m4s", "/stream/" + escaped + "/2/.part.m4s", "/stream/" + escaped + "/2/absent.m4s", "/stream/" + escaped + "/2/index.m3u8/x.mp4",
		"/stream/" + escaped + "/2/" + strings.Repeat("x", 300) + ".mp4", "/stream/" + escaped + "/2/" + strings.Repeat("x/", 600) + "a.mp4",
		"/stream/" + strings.ToUpper(escaped) + "/2/index.m3u8", "/stream/" + string(id) + "/2/index.m3u8", "/stream/-" + string(id) + "/2/index.m3u8", "/stream/other-" + string(id) + "/2/index.m3u8",
		"/stream/..-" + string(id) + "/2/index.m3u8", "/stream/x-" + string(id[1:]) + "/2/index.m3u8", "/stream/none.mp4", "/stream/../uploads/up.mp4", "/stream/../../host.mp4", "/stream//etc/passwd",
	}
	stages(t, func(t *testing.T, s *stage) {
		if status, _, body := s.raw(t, good); status != 200 || body != string(content) {
			t.Fatalf("the good path: %d", status)
		}
		if status, _, _ := s.raw(t, good+"?x=../../1/index.m3u8"); status != 200 {
			t.Errorf("a query changes the path: %d", status)
		}
		for _, path := range attacks {
			status, header, body := s.raw(t, path)
			want := 404
			if v, ok := strings.CutPrefix(path, "/stream/"); ok && (strings.HasPrefix(v, "-") || strings.HasPrefix(v, "other-") || strings.HasPrefix(v, "..-")) {
				want = 403 // a well-formed address of a video that there is not, or that the client may not see
			}
			if status != want || header.Get("Content-Type") != "application/problem+json" || header.Get("Cache-Control") != "no-store" || want == 404 && header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: %d %v", path, status, header)
			}
			if want == 404 && !strings.Contains(body, `"not_found"`) {
				t.Errorf("%s tells what is there: %s", path, body)
			}
			if strings.Contains(body, secret) || strings.Contains(body, s.root) {
				t.Errorf("%s: %s", path, body)
			}
		}
		if log := s.logged(); log != "" {
			t.Errorf("what clients ask for fills the log: %s", log)
		}
	})
}

// raw sends a path as it is, which Go's client would not.
func (s *stage) raw(t *testing.T, path string) (int, http.Header, string) {
	t.Helper()
	conn, err := net.Dial("tcp", s.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: edge.test\r\nConnection: close\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestOnlyReadingIsAllowed(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND"} {
		resp, body := s.do(t, method, segment)
		var problem fault.Problem
		if err := json.Unmarshal([]byte(body), &problem); err != nil || resp.StatusCode != 405 || resp.Header.Get("Allow") != "GET, HEAD, OPTIONS" || problem.Code != "method_not_allowed" ||
			resp.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, Allow %q, %+v (%v)", method, resp.StatusCode, resp.Header.Get("Allow"), problem, err)
		}
	}
}

func TestAPageOfAnotherOriginMayAskForRanges(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	resp, _ := s.do(t, "OPTIONS", segment, "Origin", "https://page.example", "Access-Control-Request-Method", "GET", "Access-Control-Request-Headers", "range")
	if resp.StatusCode != 204 || resp.Header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Range") ||
		!strings.Contains(resp.Header.Get("Access-Control-Allow-Methods"), "GET") {
		t.Errorf("preflight: %d %v", resp.StatusCode, resp.Header)
	}
	resp, _ = s.do(t, "GET", segment, "Origin", "https://page.example", "Range", "bytes=0-1")
	for _, name := range []string{"Content-Length", "Content-Range", "ETag"} {
		if !slices.Contains(strings.Split(resp.Header.Get("Access-Control-Expose-Headers"), ", "), name) {
			t.Errorf("%s isn't exposed", name)
		}
	}
}

func TestACatalogThatIsAwayIsNotAMissingVideo(t *testing.T) {
	t.Parallel()
	s := newStage(t, "local")
	s.catalog.mu.Lock()
	s.err = fault.New(fault.Unavailable, "catalog", "catalog_unavailable", "Try again.", errors.New("the inner cause"))
	s.catalog.mu.Unlock()
	resp, body := s.do(t, "GET", segment)
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || strings.Contains(body, "inner cause") || !strings.Contains(s.logged(), "inner cause") {
		t.Errorf("%d %s, logged %s", resp.StatusCode, body, s.logged())
	}
	s.catalog.mu.Lock()
	s.err = nil
	s.catalog.mu.Unlock()
	if resp, _ := s.do(t, "GET", segment); resp.StatusCode != 200 {
		t.Errorf("the error is remembered: %d", resp.StatusCode)
	}
}

func TestAnObjectThatBreaksOffIsNotTakenForAWholeOne(t *testing.T) {
	t.Parallel()
	s := newStage(t, "remote")
	s.mu.Lock()
	s.breaks = true
	s.mu.Unlock()
	resp, err := s.server.Client().Get(URL(s.server.URL, segment))
	if err == nil {
		var got []byte
		got, err = io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if len(got) == len(content) {
			t.Fatal("all of it came: nothing was broken")
		}
	}
	if err == nil {
		t.Error("the client saw no error")
	}
	if !strings.Contains(s.logged(), "a stream broke off") {
		t.Errorf("logged %q", s.logged())
	}
}

func TestAnAddressEscapesEachElementOfAKey(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ edge, key, want string }{
		{"https://cdn.example", "streams/a-1/1/index.m3u8", "https://cdn.example/stream/a-1/1/index.m3u8"},
		{"https://cdn.example/", "streams/te[s]t_ video ' _-1/1/index.mpd", "https://cdn.example/stream/te%5Bs%5Dt_%20video%20%27%20_-1/1/index.mpd"},
		{"", "streams/50%? #1 ü+;-1/1/poster.jpg", "/stream/50%25%3F%20%231%20%C3%BC+%3B-1/1/poster.jpg"},
		{"https://cdn.example", "", ""},
		{"https://cdn.example", "sources/x.mp4", ""},
		{"https://cdn.example", "streams/", ""},
	} {
		if got := URL(c.edge, c.key); got != c.want {
			t.Errorf("URL(%q, %q) is %q, want %q", c.edge, c.key, got, c.want)
		}
	}
}

package main

import (
	"bufio"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// s3Error is the document of an S3 error.
type s3Error struct {
	XMLName                  xml.Name `xml:"Error"`
	Code, Message, RequestId string   //nolint:revive,staticcheck // the elements of S3
}

func TestFrontDoor_RequestThatLooksLikeS3_AnswersAnS3Error(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--public-url", "http://video.example.org:8080")
	html := "Accept:text/html,application/xhtml+xml"
	for _, c := range []struct {
		method, target, field string
		status                int // 0 for any refusal
		code                  string
	}{
		{"GET", "/uploads", "", 403, "AccessDenied"},
		{"GET", "/uploads/", "", 403, "AccessDenied"},
		{"GET", "/uploads/a.mp4", html, 403, "AccessDenied"},
		{"GET", "/uploads//a.mp4", "", 400, "InvalidArgument"},
		{"GET", "/media/streams/x/index.m3u8", "", 403, "AccessDenied"},
		{"PUT", "/uploads/a.mp4", "", 403, "AccessDenied"},
		{"POST", "/uploads?delete", "", 0, ""},
		{"GET", "/nosuch", "", 404, "NoSuchBucket"},
		{"GET", "/nosuch/", "", 404, "NoSuchBucket"},
		{"PUT", "/nosuch/a.mp4", "", 404, "NoSuchBucket"},
		{"GET", "/nosuch/a.mp4", "Amz-Sdk-Invocation-Id:1", 404, "NoSuchBucket"},
		{"GET", "/nosuch/a.mp4?AWSAccessKeyId=AKIA&Expires=1&Signature=x", "", 0, ""},
		{"GET", "/uploads/a.mp4?AWSAccessKeyId=AKIA&Expires=1&Signature=x", "", 0, ""},
		{"GET", "/?AWSAccessKeyId=AKIA", html, 0, ""},
		{"GET", "/anything?X-Amz-Credential=x", html, 0, ""},
		{"GET", "/v1/videos?X-Amz-Signature=x", "", 0, ""},
		{"GET", "/", "Authorization:AWS AKIA:sig", 0, ""},
		{"GET", "/", "Authorization:AWS4-HMAC-SHA256 Credential=AKIA/20261130/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0", 0, ""},
		{"GET", "/a.mp4", "Host:uploads.video.example.org:8080", 400, "InvalidRequest"},
	} {
		r := httptest.NewRequest(c.method, c.target, nil)
		r.Host = "video.example.org:8080"
		if name, value, ok := strings.Cut(c.field, ":"); ok && name == "Host" {
			r.Host = value
		} else if ok {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, r)
		var e s3Error
		err := xml.Unmarshal(w.Body.Bytes(), &e)
		if err != nil || e.Code == "" || e.Message == "" || e.RequestId == "" || w.Code < 400 || c.status != 0 && w.Code != c.status || c.code != "" && e.Code != c.code {
			t.Errorf("%s %s %s: %d %s, want an S3 error %d %s", c.method, c.target, c.field, w.Code, w.Body, c.status, c.code)
		}
		if w.Header().Get("Content-Type") != "application/xml" {
			t.Errorf("%s %s: %s", c.method, c.target, w.Header().Get("Content-Type"))
		}
	}
	for _, c := range []struct{ target, field, kind string }{
		{"/", html, "text/html"}, {"/", "", "text/html"}, {"/nowhere", html, "text/plain"}, {"/v1/nowhere", "", "application/problem+json"},
		{"/stream/x", "", "application/problem+json"}, {"/healthz", "", ""}, {"/favicon.ico", html, "text/plain"},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		if name, value, ok := strings.Cut(c.field, ":"); ok {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.door.ServeHTTP(w, r)
		if got := w.Header().Get("Content-Type"); !strings.HasPrefix(got, c.kind) || strings.Contains(w.Body.String(), "<Error>") {
			t.Errorf("%s %s: %s %s", c.target, c.field, got, w.Body)
		}
	}
}

func TestIsRoute_EachEntrance_IsNamed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, e := range h.entrances() {
		_, at, ok := strings.Cut(e.pattern, "/")
		if first, _, _ := strings.Cut(at, "/"); ok && first != "" && !isRoute(first) {
			t.Errorf("a bucket called %q would take the requests of %s", first, e.pattern)
		}
	}
}

func TestPut_BodyStallsOrEndsEarly_BlamesTheClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "--connections-stall", "1s")
	h.serves()
	granted := h.done(h.root(), "POST", "/v1/uploads", `{"filename":"a.mp4","size":100000}`)
	u, err := url.Parse(granted.str("url"))
	if err != nil {
		t.Fatal(err)
	}
	half, length := strings.Repeat("x", 50000), "Content-Length: 100000"
	for name, c := range map[string]struct {
		header, sent string
		ends         bool // the client closes its side of the connection
		code         string
	}{
		"stalls after half of the body":   {length, half, false, "RequestTimeout"},
		"stalls before its first byte":    {length, "", false, "RequestTimeout"},
		"ends after half of the body":     {length, half, true, "IncompleteBody"},
		"ends before its first byte":      {length, "", true, "IncompleteBody"},
		"ends in the middle of a chunk":   {"Transfer-Encoding: chunked", "c350\r\n" + half[:40000], true, "IncompleteBody"},
		"ends before the length of chunk": {"Transfer-Encoding: chunked", "10\r\n" + half[:16] + "\r\n", true, "IncompleteBody"},
	} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", h.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		if _, err := fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n\r\n%s", u.RequestURI(), u.Host, c.header, c.sent); err != nil {
			t.Fatal(err)
		}
		if c.ends {
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		text, _ := io.ReadAll(res.Body)
		res.Body.Close()
		var e s3Error
		if err := xml.Unmarshal(text, &e); err != nil || res.StatusCode != http.StatusBadRequest || e.Code != c.code || e.RequestId == "" || !res.Close {
			t.Errorf("%s: %d %s (close %v), want 400 %s and the end of the connection", name, res.StatusCode, text, res.Close, c.code)
		}
	}
}

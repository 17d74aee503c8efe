package bucket_test

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"

	"sluice/internal/bucket"
)

// s3Error is the document of an S3 error.
type s3Error struct {
	XMLName   xml.Name `xml:"Error"`
	Code      string
	Message   string
	RequestId string //nolint:revive,staticcheck // the element of S3
}

// refusedBy reads the S3 error of an answer, and fails the test where it is none.
func refusedBy(t *testing.T, what string, resp *http.Response) s3Error {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	id := resp.Header.Get("X-Amz-Request-Id")
	if resp.Request.Method == http.MethodHead {
		if id == "" || len(body) != 0 {
			t.Errorf("%s: request id %q, body %q", what, id, body)
		}
		return s3Error{}
	}
	var e s3Error
	if err := xml.Unmarshal(body, &e); err != nil || e.Code == "" || e.Message == "" || e.RequestId == "" || e.RequestId != id {
		t.Errorf("%s: %d %s (request id %q), want an S3 error with Code, Message and RequestId (%v)", what, resp.StatusCode, body, id, err)
	}
	if strings.Trim(e.Code, "0123456789") == "" || resp.Header.Get("Content-Type") != "application/xml" {
		t.Errorf("%s: code %q as %s", what, e.Code, resp.Header.Get("Content-Type"))
	}
	return e
}

func TestS3Key_AnotherSpellingOfAnObjectsPath_IsRefusedAndReplacesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const key = "q/x.mp4"
	put := func(key, body string) error {
		_, err := h.aws.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: &key, Body: strings.NewReader(body)})
		return err
	}
	if err := put(key, "first"); err != nil {
		t.Fatal(err)
	}
	if err := put("lead.mp4", "lead"); err != nil {
		t.Fatal(err)
	}
	others := map[string]string{ // raw path: what the sentence has to name
		"q//x.mp4": "q/x.mp4", "/q/x.mp4": "q/x.mp4", "//q/x.mp4": "q/x.mp4", "./q/x.mp4": "q/x.mp4", "q/./x.mp4": "q/x.mp4", "/lead.mp4": "lead.mp4",
		"q/../q/x.mp4": `".."`, "..": `".."`, ".": "names a file", "/": "names a file", "a/..": `".."`, "q//": `"q/"`, "%2Fq%2Fx.mp4": "q/x.mp4", "q%2F%2Fx.mp4": "q/x.mp4",
		"%2e%2Fq/x.mp4": "q/x.mp4",
		"a%0Ab.mp4":     "U+000A", "a%0Db.mp4": "U+000D", "a%00b": "U+0000", "a%1Fb": "U+001F", "a%7Fb": "U+007F", "a%EF%BF%BEb": "U+FFFE", "a%FFb": "UTF-8",
		".sgwtmp/x": "reserved", strings.Repeat("k/", 600) + "x": "1024",
	}
	for raw, named := range others {
		for _, method := range []string{http.MethodPut, http.MethodGet, http.MethodHead, http.MethodDelete, http.MethodPost} {
			at, body := "/uploads/"+raw, "other"
			if method == http.MethodPost {
				at += "?uploads="
			}
			if method != http.MethodPut {
				body = ""
			}
			resp := signed(t, h, method, at, body)
			what := method + " " + at
			if resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s: %d, want 400", what, resp.StatusCode)
			}
			if e := refusedBy(t, what, resp); method != http.MethodHead && !strings.Contains(e.Message, named) {
				t.Errorf("%s: %q does not name %q", what, e.Message, named)
			}
		}
	}
	for name, try := range map[string]func(key string) error{
		"aws-sdk-go put": func(key string) error { return put(key, "other") },
		"minio-go put": func(key string) error {
			_, err := h.minio.PutObject(t.Context(), "uploads", key, strings.NewReader("other"), 5, minio.PutObjectOptions{})
			return err
		},
		"a copy to it": func(key string) error {
			_, err := h.aws.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("uploads"), Key: &key, CopySource: aws.String("uploads/lead.mp4")})
			return err
		},
		"a copy of it": func(key string) error {
			_, err := h.aws.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("uploads"), Key: aws.String("copy.mp4"), CopySource: aws.String("uploads/" + key)})
			return err
		},
		"deleting many": func(key string) error {
			out, err := h.aws.DeleteObjects(t.Context(), &s3.DeleteObjectsInput{Bucket: aws.String("uploads"), Delete: &types.Delete{Objects: []types.ObjectIdentifier{{Key: &key}}}})
			if err == nil && len(out.Errors) == 1 && aws.ToString(out.Errors[0].Code) == "InvalidArgument" {
				return fmt.Errorf("api error InvalidArgument: %s", aws.ToString(out.Errors[0].Message))
			}
			return err
		},
	} {
		if err := try("q//x.mp4"); err == nil || !strings.Contains(err.Error(), "InvalidArgument") && !strings.Contains(err.Error(), "two slashes") {
			t.Errorf("%s: %v, want InvalidArgument", name, err)
		}
	}
	got, err := h.aws.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("uploads"), Key: aws.String(key)})
	sum := md5.Sum([]byte("first"))
	if err != nil || strings.Trim(aws.ToString(got.ETag), `"`) != hex.EncodeToString(sum[:]) {
		t.Errorf("%s afterwards: %v, %v", key, got, err)
	}
	if notes := h.notes(); len(notes) != 2 {
		t.Errorf("%d writes were accepted, want 2: %+v", len(notes), notes)
	}
	// A folder marker and an object are two keys: neither stands for the other.
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		if resp := signed(t, h, method, "/uploads/q/x.mp4/", ""); resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s of the object's key with a slash: %d", method, resp.StatusCode)
		}
	}
	if resp := signed(t, h, http.MethodDelete, "/uploads/q/x.mp4/", ""); resp.StatusCode >= 500 {
		t.Errorf("deleting the object's key with a slash: %d", resp.StatusCode)
	}
	if _, err := h.store.Head(t.Context(), "uploads", key); err != nil {
		t.Errorf("after deleting %s/: %v", key, err)
	}
	for _, good := range []string{"a..b/c.mp4", ".hidden/x.mp4", "...", "trailing./x.mp4", " lead.mp4", "%zz.mp4", "ü/x.mp4", `back\slash.mp4`, "a/b/c/"} {
		body := "x"
		if strings.HasSuffix(good, "/") {
			body = ""
		}
		if err := put(good, body); err != nil {
			t.Errorf("PUT %q: %v", good, err)
		}
	}
}

// An earlier version took such keys. What it began with them ends.
func TestMultipart_KeyOfAnEarlierVersion_CanBeListedAndAborted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	begun, err := h.aws.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("q/x.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	bucket.Rekey(t, h.embedded, "uploads", "q/x.mp4", "q//x.mp4", aws.ToString(begun.UploadId))
	var found []bucket.Multipart
	for m, err := range h.store.Multiparts(t.Context(), "uploads") {
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, m)
	}
	if len(found) != 1 || found[0].Key != "q//x.mp4" {
		t.Fatalf("found %+v", found)
	}
	if err := h.store.Abort(t.Context(), found[0]); err != nil {
		t.Errorf("abort: %v", err)
	}
	for m := range h.store.Multiparts(t.Context(), "uploads") {
		t.Errorf("still there: %+v", m)
	}
}

func TestMetadata_NamesOfEntries_ComeBackInLowerCase(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	entries := map[string]string{"mtime": "1", "camera-id": "a7", "x_y.z": "V v", "UPPER": "u", "a": "=?UTF-8?Q?=C3=BC?="}
	_, err := h.aws.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("meta.mp4"), Body: strings.NewReader("x"), Metadata: entries})
	if err != nil {
		t.Fatal(err)
	}
	begun, err := h.aws.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("parts.mp4"), Metadata: entries})
	if err != nil {
		t.Fatal(err)
	}
	part, err := h.aws.UploadPart(t.Context(), &s3.UploadPartInput{Bucket: aws.String("uploads"), Key: aws.String("parts.mp4"), UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("x")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.aws.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("parts.mp4"), UploadId: begun.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: part.ETag}}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.aws.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("uploads"), Key: aws.String("copy.mp4"), CopySource: aws.String("uploads/meta.mp4")}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"meta.mp4", "parts.mp4", "copy.mp4"} {
		for _, method := range []string{http.MethodHead, http.MethodGet} {
			raw := h.raw(t, method, "/uploads/"+key)
			for name, value := range entries {
				if line := "\r\nx-amz-meta-" + strings.ToLower(name) + ": " + value + "\r\n"; !strings.Contains(raw, line) {
					t.Errorf("%s %s has no line %q:\n%s", method, key, line, raw)
				}
			}
			if strings.Contains(raw, "\r\nX-Amz") || strings.Count(raw, "\r\nx-amz-request-id: ") != 1 {
				t.Errorf("%s %s: header fields of S3 that are not in lower case, or an id that is written twice:\n%s", method, key, raw)
			}
		}
	}
}

// raw is an answer as its bytes, because net/http writes the names of header fields anew.
func (h *house) raw(t *testing.T, method, path string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keys.Access, SecretAccessKey: keys.Secret}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now()); err != nil {
		t.Fatal(err)
	}
	r.Close = true // after it is signed
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	head, _, _ := bytes.Cut(answer, []byte("\r\n\r\n"))
	return string(head) + "\r\n"
}

func TestDoor_RequestThatLooksLikeS3_Matches(t *testing.T) {
	t.Parallel()
	door := bucket.Handler{Buckets: []string{"uploads", "media", "keys"}, Domain: "video.example.org:8080", Taken: func(first string) bool { return first == "keys" }}
	for _, c := range []struct {
		request string // method, target and header fields
		want    bool
	}{
		{"GET /uploads", true}, {"GET /uploads/", true}, {"HEAD /uploads/a.mp4", true}, {"PUT /media//x", true}, {"OPTIONS /uploads/x", true},
		{"GET /uploadsx", false}, {"GET /", false}, {"GET /v1/videos?status=ready", false}, {"GET /keys/x", false}, {"GET /assets/uploads/x", false},
		{"PUT /x/a?X-Amz-Algorithm=AWS4-HMAC-SHA256", true}, {"GET /x?x=1&x-amz-signature=0", true}, {"GET /?note=X-Amz-Signature", false},
		{"GET /x?AWSAccessKeyId=AKIA&Expires=1&Signature=x", true}, {"GET /?awsaccesskeyid=A", true}, {"GET /x?%58-Amz-Credential=a", true},
		{"GET /stream/x?Expires=1&Signature=x&Key-Pair-Id=K", false}, {"GET /?X-Amz-Security-Token=t", true},
		{"GET / Authorization:AWS4-HMAC-SHA256 Credential=x", true}, {"GET / Authorization:AWS AKIA:sig", true}, {"GET / Authorization:aws4-hmac-sha256 x", true},
		{"GET / Authorization:Bearer AWS4-x", false}, {"GET / Authorization:AWSome x", false},
		{"GET / X-Amz-Content-Sha256:UNSIGNED-PAYLOAD", true}, {"GET /nosuch Amz-Sdk-Invocation-Id:1", true},
		{"GET / X-Amz-Cf-Id:1", false}, {"POST /v1/events/s3 X-Amz-Sns-Message-Type:Notification", false},
		{"GET /a.mp4 Host:uploads.video.example.org:8080", true}, {"GET /a.mp4 Host:UPLOADS.video.example.org:8080", true},
		{"GET / Host:cdn.video.example.org:8080", false}, {"GET / Host:video.example.org:8080", false},
	} {
		method, rest, _ := strings.Cut(c.request, " ")
		target, field, _ := strings.Cut(rest, " ")
		r := httptest.NewRequest(method, target, nil)
		if name, value, ok := strings.Cut(field, ":"); ok && name == "Host" {
			r.Host = value
		} else if ok {
			r.Header.Set(name, value)
		}
		if got := door.Match(r); got != c.want {
			t.Errorf("%s: %v", c.request, got)
		}
	}
}

func TestEndpoint_RequestItRefuses_AnswersAnS3Error(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	if _, err := h.store.Put(t.Context(), "uploads", "a.mp4", strings.NewReader("x"), 1, ""); err != nil {
		t.Fatal(err)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nx.mp4\r\n--b--\r\n"
	for _, c := range []struct {
		method, path, field, body, code string
		status                          int
	}{
		{"GET", "/uploads/a.mp4", "", "", "AccessDenied", 403},
		{"GET", "/uploads", "", "", "AccessDenied", 403},
		{"GET", "/uploads/", "", "", "AccessDenied", 403},
		{"PUT", "/uploads/b.mp4", "", "x", "AccessDenied", 403},
		{"DELETE", "/uploads/a.mp4", "", "", "AccessDenied", 403},
		{"HEAD", "/uploads/a.mp4", "", "", "", 403},
		{"GET", "/", "", "", "AccessDenied", 403},
		{"GET", "/nosuch/a.mp4", "", "", "", 0},
		{"GET", "/x", "Authorization:AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "", "", 0},
		{"GET", "/uploads/a.mp4?AWSAccessKeyId=AKIA&Expires=1175139620&Signature=x", "", "", "", 0},
		{"GET", "/uploads/a.mp4?X-Amz-Credential=x", "", "", "", 0},
		{"GET", "/uploads/a.mp4", "Authorization:AWS4-HMAC-SHA256 nonsense", "", "", 0},
		{"POST", "/uploads", "Content-Type:multipart/form-data; boundary=b", form, "NotImplemented", 501},
		{"POST", "/uploads/", "Content-Type:Multipart/Form-Data; boundary=b", form, "NotImplemented", 501},
		{"PATCH", "/uploads/a.mp4", "", "", "", 0},
		{"TRACE", "/uploads/a.mp4", "", "", "", 0},
		{"GET", "/a.mp4", "Host:uploads.video.example.org", "", "InvalidRequest", 400},
	} {
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		if name, value, ok := strings.Cut(c.field, ":"); ok && name == "Host" {
			r.Host = value
		} else if ok {
			r.Header.Set(name, value)
		}
		w := httptest.NewRecorder()
		h.embedded.Handler().ServeHTTP(w, r)
		resp, what := w.Result(), c.method+" "+c.path+" "+c.field
		resp.Request = r
		for _, name := range []string{"x-amz-request-id", "X-Amz-Request-Id"} { // the recorder keeps names as they are written
			if v := w.Header()[name]; len(v) > 0 {
				resp.Header.Set("X-Amz-Request-Id", v[0])
			}
		}
		e := refusedBy(t, what, resp)
		if resp.StatusCode < 400 || resp.StatusCode > 501 || c.status != 0 && resp.StatusCode != c.status || c.code != "" && e.Code != c.code {
			t.Errorf("%s: %d %s (%s), want %d %s", what, resp.StatusCode, e.Code, e.Message, c.status, c.code)
		}
		t.Logf("%s: %d %s: %s", what, resp.StatusCode, e.Code, e.Message)
	}
}

package bucket_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// signed sends a request whose path is exactly raw, signed as it is.
func signed(t *testing.T, h *house, method, raw, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, h.url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = raw
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	err = signer.SignHTTP(t.Context(), aws.Credentials{AccessKeyID: keys.Access, SecretAccessKey: keys.Secret}, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return resp
}

func TestTheFrontDoorKeepsThePathAsItWasSigned(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for raw, key := range map[string]string{
		"/uploads/e%20f%2Bg%25.mp4":         "e f+g%.mp4",
		"/uploads/%C3%BC%5Bs%5D%22%27.mp4":  `ü[s]"'.mp4`,
		"/uploads/h%3Bi%3Fj%23k%26l%3D.mp4": "h;i?j#k&l=.mp4",
	} {
		if resp := signed(t, h, http.MethodPut, raw, "x"); resp.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(resp.Body)
			t.Errorf("PUT %s: %d %s", raw, resp.StatusCode, b)
			continue
		}
		if _, err := h.store.Head(t.Context(), "uploads", key); err != nil {
			t.Errorf("PUT %s is not %q: %v", raw, key, err)
		}
	}
	for _, raw := range []string{"/uploads/../media/x.mp4", "/uploads/%2E%2E/media/x.mp4", "/uploads/a/..%2F..%2Fmedia/x.mp4", "/uploads/%2e%2e%2f%2e%2e%2fx.mp4", "/uploads/.sgwtmp/x.mp4", "/..%2f/x"} {
		if resp := signed(t, h, http.MethodPut, raw, "x"); resp.StatusCode < 400 || resp.StatusCode >= 500 {
			t.Errorf("PUT %s: %d", raw, resp.StatusCode)
		}
	}
	for o, err := range h.store.List(t.Context(), "media", "") {
		t.Errorf("in the media bucket: %+v, %v", o, err)
	}
	beside, err := os.ReadDir(h.root)
	if err != nil || len(beside) != 3 { // the two buckets and the socket
		t.Errorf("beside the buckets: %v, %v", beside, err)
	}
}

// breakOff begins a PUT of 100,000 bytes and hangs up after half of them, once for each way of telling a body's length.
func breakOff(t *testing.T, target string) {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []string{"Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n186A0\r\n"} {
		c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", u.Host)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(c, "PUT %s HTTP/1.1\r\nHost: %s\r\n%s%s", u.RequestURI(), u.Host, head, strings.Repeat("x", 50000)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // let it arrive before it ends
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	time.Sleep(200 * time.Millisecond) // nothing tells when the endpoint is done with it; what it has by then is not to become an object later either
}

func TestARefusedBodyIsToldWhyItIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const size = 16 << 20 // far more than the buffers on the way hold: the endpoint answers and closes while it is sent
	target, header, err := h.store.PresignPut(t.Context(), bucket.PresignRequest{
		Bucket: "uploads", Key: "refused.mp4", ContentType: "video/mp4", Expires: time.Minute, PublicURL: h.url,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		kind   string
		length int64
		want   int
	}{
		"another type": {"text/html", size, http.StatusForbidden},
		"no length":    {header["Content-Type"], -1, http.StatusLengthRequired},
	} {
		for range 5 {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, target, &zeros{left: size})
			r.ContentLength = c.length
			r.Header.Set("Content-Type", c.kind)
			w := httptest.NewRecorder()
			h.embedded.Handler().ServeHTTP(w, r)
			if w.Code != c.want {
				t.Errorf("%s: %d %s, want %d", name, w.Code, w.Body, c.want)
			}
		}
	}
}

func TestABodyOverTheLimitIsRefusedByItsLength(t *testing.T) {
	t.Parallel()
	embedded, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{Root: t.TempDir(), Credentials: keys, Buckets: []string{"uploads"}, MaxBytes: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	door := httptest.NewServer(embedded.Handler())
	t.Cleanup(door.Close)
	store, err := bucket.Open(t.Context(), bucket.Config{Embedded: embedded})
	if err != nil {
		t.Fatal(err)
	}
	for size, want := range map[int]int{1000: http.StatusOK, 1001: http.StatusBadRequest} { // S3's status for EntityTooLarge
		key := fmt.Sprintf("%d.mp4", size)
		target, header, err := store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "uploads", Key: key, Expires: time.Minute, PublicURL: door.URL})
		if err != nil {
			t.Fatal(err)
		}
		if got := put(t, target, strings.Repeat("x", size), header); got != want {
			t.Errorf("%d bytes: %d, want %d", size, got, want)
		}
		if _, err := store.Head(t.Context(), "uploads", key); (err == nil) != (want == http.StatusOK) {
			t.Errorf("%d bytes left %v", size, err)
		}
	}
	client := s3.New(s3.Options{BaseEndpoint: &door.URL, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(keys.Access, keys.Secret, "")})
	in := &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("parts.mp4")}
	up, err := client.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: in.Bucket, Key: in.Key, UploadId: up.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader(strings.Repeat("x", 1001)),
	})
	if err == nil || !strings.Contains(err.Error(), "EntityTooLarge") {
		t.Errorf("a part of 1001 bytes: %v", err)
	}
}

func TestABodyThatBreaksOffIsNoObject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	target, _, err := h.store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "uploads", Key: "half.mp4", Expires: time.Minute, PublicURL: h.url})
	if err != nil {
		t.Fatal(err)
	}
	breakOff(t, target)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		left, err := os.ReadDir(filepath.Join(h.root, "uploads", ".sgwtmp"))
		if err == nil && len(left) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left over: %v, %v", left, err)
		}
	}
	if o, err := h.store.Head(t.Context(), "uploads", "half.mp4"); !fault.Is(err, fault.NotFound) {
		t.Errorf("it became %+v, %v", o, err)
	}
	if n := h.notes(); len(n) != 0 {
		t.Errorf("told %+v", n)
	}
}

func TestAPartThatBreaksOffIsNoPart(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	up, err := h.aws.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("half.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	plain := s3.WithPresignClientFromClientOptions(func(o *s3.Options) { o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired })
	target, err := s3.NewPresignClient(h.aws, plain).PresignUploadPart(t.Context(), &s3.UploadPartInput{Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(1)})
	if err != nil {
		t.Fatal(err)
	}
	breakOff(t, target.URL)
	parts, err := h.aws.ListParts(t.Context(), &s3.ListPartsInput{Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId})
	if err != nil || len(parts.Parts) != 0 {
		t.Errorf("parts %+v, %v", parts, err)
	}
	if status := put(t, target.URL, "whole", nil); status != http.StatusOK {
		t.Errorf("the whole part got %d", status)
	}
}

func TestAnEmptyFileIsAnObject(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	target, _, err := h.store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "uploads", Key: "empty.mp4", Expires: time.Minute, PublicURL: h.url})
	if err != nil {
		t.Fatal(err)
	}
	if status := put(t, target, "", nil); status != http.StatusOK {
		t.Errorf("an empty PUT got %d", status)
	}
	if _, err := h.aws.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("aws.mp4"), Body: bytes.NewReader(nil)}); err != nil {
		t.Error(err)
	}
	if n := h.notes(); len(n) != 2 || n[0].Size != 0 || n[0].ETag != md5hex(nil) || n[1].ETag != n[0].ETag {
		t.Errorf("told %+v", n)
	}
}

func TestLargeObjectsAreCopiedInParts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := bytes.Repeat([]byte("0123456789abcdef"), 6<<16) // 6 MiB
	if _, err := h.store.Put(t.Context(), "uploads", "large [1].mp4", bytes.NewReader(body), int64(len(body)), "video/mp4"); err != nil {
		t.Fatal(err)
	}
	up, err := h.aws.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("media"), Key: aws.String("copy.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	var done []types.CompletedPart
	for n, r := range []string{"bytes=0-5242879", "bytes=5242880-6291455"} {
		part, err := h.aws.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{
			Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(n + 1)),
			CopySource: aws.String("uploads/large%20%5B1%5D.mp4"), CopySourceRange: &r,
		})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{ETag: part.CopyPartResult.ETag, PartNumber: aws.Int32(int32(n + 1))})
	}
	if _, err = h.aws.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
		Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
	}); err != nil {
		t.Fatal(err)
	}
	if got := read(t, h.store, "media", "copy.mp4"); got != string(body) {
		t.Errorf("the copy differs: %d bytes", len(got))
	}
	_, err = h.aws.CopyObject(t.Context(), &s3.CopyObjectInput{
		Bucket: aws.String("media"), Key: aws.String("no.mp4"), CopySource: aws.String("uploads/large%20%5B1%5D.mp4"), CopySourceIfMatch: aws.String(`"other"`),
	})
	if err == nil || !strings.Contains(err.Error(), "PreconditionFailed") {
		t.Errorf("copying another object than asked for: %v", err)
	}
}

func TestAFileOfAnotherDiskIsCopied(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	dir, err := os.MkdirTemp("/dev/shm", "sluice-test-")
	if err != nil {
		t.Skip("no second filesystem here")
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	o, err := h.store.PutFile(t.Context(), "media", "streams/x/a.m4s", path, "video/mp4")
	if err != nil || o.Size != 9 || o.ContentType != "video/mp4" || o.ETag != md5hex([]byte("elsewhere")) {
		t.Errorf("%+v, %v", o, err)
	}
	left, err := os.ReadDir(filepath.Join(h.root, "media", ".sgwtmp"))
	if err != nil || len(left) != 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}

func TestToolsFindTheirWayAround(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	buckets, err := h.minio.ListBuckets(ctx)
	if err != nil || len(buckets) != 2 || buckets[0].Name != "uploads" {
		t.Errorf("buckets %+v, %v", buckets, err)
	}
	if there, err := h.minio.BucketExists(ctx, "uploads"); err != nil || !there {
		t.Errorf("%v, %v", there, err)
	}
	if there, err := h.minio.BucketExists(ctx, "others"); err != nil || there {
		t.Errorf("%v, %v", there, err)
	}
	if err := h.minio.MakeBucket(ctx, "others", minio.MakeBucketOptions{}); err == nil {
		t.Error("a bucket was made")
	}
	if err := h.minio.RemoveBucket(ctx, "uploads"); err == nil {
		t.Error("a bucket was removed")
	}
	if _, err := h.minio.PutObject(ctx, "uploads", "deep/a.mp4", strings.NewReader("x"), 1, minio.PutObjectOptions{
		UserMetadata: map[string]string{"shot-by": "me"}, UserTags: map[string]string{"k": "v"},
	}); err != nil {
		t.Fatal(err)
	}
	info, err := h.minio.StatObject(ctx, "uploads", "deep/a.mp4", minio.StatObjectOptions{})
	if err != nil || info.UserMetadata["Shot-By"] != "me" || info.UserTagCount != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	var seen []string
	for o := range h.minio.ListObjects(ctx, "uploads", minio.ListObjectsOptions{Prefix: ""}) {
		seen = append(seen, o.Key)
	}
	if fmt.Sprint(seen) != "[deep/]" {
		t.Errorf("the top shows %q", seen)
	}
	up, err := h.aws.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("begun.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	begun, err := h.aws.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads")})
	if err != nil || len(begun.Uploads) != 1 || aws.ToString(begun.Uploads[0].Key) != "begun.mp4" || aws.ToString(begun.Bucket) != "uploads" {
		t.Errorf("%+v, %v", begun, err)
	}
	if _, err := h.aws.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId}); err != nil {
		t.Error(err)
	}
	if err := h.minio.RemoveObject(ctx, "uploads", "deep/a.mp4", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(h.root, "uploads", "deep")); !os.IsNotExist(err) {
		t.Errorf("the empty folder is still there: %v", err)
	}
}

func TestAClosedEndpointsClientReachesNoOther(t *testing.T) {
	open := func() (*bucket.Embedded, *bucket.Store) {
		e, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{Root: t.TempDir(), Credentials: keys, Buckets: []string{"uploads"}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := bucket.Open(t.Context(), bucket.Config{Embedded: e})
		if err != nil {
			t.Fatal(err)
		}
		return e, s
	}
	first, before := open()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, after := open()                                      // its folder gets the first one's number
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // the client tries again for longer
	defer cancel()
	if _, err := before.Head(ctx, "uploads", "a.mp4"); err == nil || fault.Is(err, fault.NotFound) {
		t.Errorf("the closed endpoint answers %v", err)
	}
	if _, err := after.Head(t.Context(), "uploads", "a.mp4"); !fault.Is(err, fault.NotFound) {
		t.Error(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestClosingAtOnceEnds(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for range 100 {
		e, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{Root: root, Credentials: keys, Buckets: []string{"uploads"}})
		if err != nil {
			t.Fatal(err)
		}
		closed := make(chan error, 1)
		go func() { closed <- e.Close() }()
		select {
		case err := <-closed:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the endpoint does not end")
		}
	}
}

func TestClosingLetsAWriteFinish(t *testing.T) {
	t.Parallel()
	began, told := make(chan struct{}), false
	e, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{
		Root: t.TempDir(), Credentials: keys, Buckets: []string{"uploads"},
		Created: func(ctx context.Context, _ bucket.Object) error {
			close(began)
			time.Sleep(100 * time.Millisecond)
			told = ctx.Err() == nil
			return ctx.Err()
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bucket.Open(t.Context(), bucket.Config{Embedded: e})
	if err != nil {
		t.Fatal(err)
	}
	put := make(chan error)
	go func() {
		_, err := s.Put(context.WithoutCancel(t.Context()), "uploads", "a.mp4", strings.NewReader("x"), 1, "")
		put <- err
	}()
	<-began
	if err := e.Close(); err != nil {
		t.Error(err)
	}
	// The HEAD after the PUT may find the endpoint closed; the PUT itself was recorded.
	if err := <-put; err != nil && !fault.Is(err, fault.Unavailable) {
		t.Error(err)
	}
	if !told {
		t.Error("closing cut the recording of a write")
	}
}

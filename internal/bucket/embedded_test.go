package bucket_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/minio/minio-go/v7"
	"golang.org/x/sys/unix"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

func md5hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func TestForeignClientsPutReadListCopyAndDelete(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	names := []string{
		"plain.mp4", "folder/with space/[s] (1).mp4", "übung/日本語.mov", `quo"te'd & <odd>.mkv`, "a+b=c%20d.mp4", "semi;colon,comma.mp4",
	}
	clients := map[string]struct {
		put  func(ctx context.Context, key string, body []byte) error
		get  func(ctx context.Context, key string) ([]byte, error)
		copy func(ctx context.Context, from, to string) error
	}{
		"aws": {
			put: func(ctx context.Context, key string, body []byte) error {
				_, err := h.aws.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("video/x-test")})
				return err
			},
			get: func(ctx context.Context, key string) ([]byte, error) {
				out, err := h.aws.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("uploads"), Key: &key, Range: aws.String("bytes=2-5")})
				if err != nil {
					return nil, err
				}
				defer out.Body.Close()
				return io.ReadAll(out.Body)
			},
			copy: func(ctx context.Context, from, to string) error {
				_, err := h.minio.CopyObject(ctx, minio.CopyDestOptions{Bucket: "media", Object: to}, minio.CopySrcOptions{Bucket: "uploads", Object: from})
				return err
			},
		},
		"minio": {
			put: func(ctx context.Context, key string, body []byte) error {
				_, err := h.minio.PutObject(ctx, "uploads", key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{ContentType: "video/x-test"})
				return err
			},
			get: func(ctx context.Context, key string) ([]byte, error) {
				var o minio.GetObjectOptions
				if err := o.SetRange(2, 5); err != nil {
					return nil, err
				}
				body, err := h.minio.GetObject(ctx, "uploads", key, o)
				if err != nil {
					return nil, err
				}
				defer body.Close()
				return io.ReadAll(body)
			},
			copy: func(ctx context.Context, from, to string) error {
				_, err := h.minio.CopyObject(ctx, minio.CopyDestOptions{Bucket: "media", Object: to}, minio.CopySrcOptions{Bucket: "uploads", Object: from})
				return err
			},
		},
	}
	for client, c := range clients {
		for _, name := range names {
			key := client + "/" + name
			body := []byte("body of " + key)
			if err := c.put(t.Context(), key, body); err != nil {
				t.Fatalf("%s put %q: %v", client, key, err)
			}
			if part, err := c.get(t.Context(), key); err != nil || string(part) != string(body[2:6]) {
				t.Errorf("%s range of %q: %q, %v", client, key, part, err)
			}
			o, err := h.store.Head(t.Context(), "uploads", key)
			if err != nil || o.ETag != md5hex(body) || o.Size != int64(len(body)) || o.ContentType != "video/x-test" || time.Since(o.Modified) > time.Minute {
				t.Errorf("%s head %q: %+v, %v", client, key, o, err)
			}
			path, ok := h.store.LocalPath("uploads", key)
			if got, err := os.ReadFile(path); !ok || err != nil || !bytes.Equal(got, body) {
				t.Errorf("%s file of %q: %q, %v", client, key, got, err)
			}
			if err := c.copy(t.Context(), key, key); err != nil {
				t.Errorf("%s copy %q: %v", client, key, err)
			}
			if o, err := h.store.Head(t.Context(), "media", key); err != nil || o.ETag != md5hex(body) || o.ContentType != "video/x-test" {
				t.Errorf("%s copied %q: %+v, %v", client, key, o, err)
			}
		}
		var listed int
		for o, err := range h.store.List(t.Context(), "uploads", client+"/") {
			if err != nil {
				t.Fatal(err)
			}
			head, err := h.store.Head(t.Context(), "uploads", o.Key)
			head.ContentType = ""
			if err != nil || head != o {
				t.Errorf("list says %+v, head %+v, %v", o, head, err)
			}
			listed++
		}
		if listed != len(names) {
			t.Errorf("%s: %d objects listed, put %d", client, listed, len(names))
		}
	}
	if got, want := len(h.notes()), 2*2*len(names); got != want {
		t.Errorf("Created was told %d times of %d accepted writes", got, want)
	}
	for client := range clients {
		if n, err := h.store.DeletePrefix(t.Context(), "media", client+"/"); err != nil || n != len(names) {
			t.Errorf("DeletePrefix: %d, %v", n, err)
		}
	}
	left, err := os.ReadDir(h.root + "/media")
	if err != nil || len(left) != 1 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestAMultipartUploadOfManyPartsIsAcceptedOnceAndMayBeCompletedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	up, err := h.aws.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("big.mp4"), ContentType: aws.String("video/mp4")})
	if err != nil {
		t.Fatal(err)
	}
	if *up.Bucket != "uploads" {
		t.Errorf("the bucket came back as %q", *up.Bucket)
	}
	const parts, size = 3, 5 << 20
	var all []byte
	var done []types.CompletedPart
	for n := range parts {
		body := bytes.Repeat([]byte{byte('a' + n)}, size)
		all = append(all, body...)
		part, err := h.aws.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, PartNumber: aws.Int32(int32(n + 1)), Body: bytes.NewReader(body),
		})
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, types.CompletedPart{ETag: part.ETag, PartNumber: aws.Int32(int32(n + 1))})
	}
	if n := len(h.notes()); n != 0 {
		t.Fatalf("told %d times before the upload was complete", n)
	}
	complete := func() (*s3.CompleteMultipartUploadOutput, error) {
		return h.aws.CompleteMultipartUpload(t.Context(), &s3.CompleteMultipartUploadInput{
			Bucket: up.Bucket, Key: up.Key, UploadId: up.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: done},
		})
	}
	first, err := complete()
	if err != nil {
		t.Fatal(err)
	}
	again, err := complete()
	if err != nil || *again.ETag != *first.ETag {
		t.Errorf("completing again: %v, %v", again, err)
	}
	notes := h.notes()
	if len(notes) != 2 || notes[0] != notes[1] {
		t.Errorf("told %+v", notes)
	}
	path, _ := h.store.LocalPath("uploads", "big.mp4")
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, all) {
		t.Errorf("the file differs: %d bytes, %v", len(got), err)
	}
	o, err := h.store.Head(t.Context(), "uploads", "big.mp4")
	if err != nil || !strings.HasSuffix(o.ETag, "-3") || o != notes[0] || o.ContentType != "video/mp4" {
		t.Errorf("head %+v, %v", o, err)
	}
	// minio-go goes multipart by itself for a stream of unknown length.
	if _, err := h.minio.PutObject(t.Context(), "uploads", "stream.mp4", io.MultiReader(bytes.NewReader(all)), -1, minio.PutObjectOptions{PartSize: size}); err != nil {
		t.Error(err)
	}
	if o, err := h.store.Head(t.Context(), "uploads", "stream.mp4"); err != nil || o.Size != int64(len(all)) {
		t.Errorf("head %+v, %v", o, err)
	}
}

func TestAWriteIsRefusedWhileItCannotBeRecorded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.created = func(context.Context, bucket.Object) error { return errNoted }
	once := func(o *s3.Options) { o.RetryMaxAttempts = 1 }
	put := func() error {
		_, err := h.aws.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("a.mp4"), Body: strings.NewReader("bytes")}, once)
		return err
	}
	if err := put(); err == nil || !strings.Contains(err.Error(), "StatusCode: 500") {
		t.Errorf("the client was told %v", err)
	}
	if _, err := h.aws.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("media"), Key: aws.String("b.mp4"), CopySource: aws.String("uploads/a.mp4")}, once); err == nil {
		t.Error("a copy was acknowledged")
	}
	h.mu.Lock()
	h.created = nil
	h.mu.Unlock()
	if err := put(); err != nil {
		t.Errorf("trying again: %v", err)
	}
	if n := len(h.notes()); n != 3 {
		t.Errorf("told %d times", n)
	}
}

func TestQuickWritesOfOneKeyAreEachToldWithTheirOwnBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.created = func(ctx context.Context, o bucket.Object) error {
		time.Sleep(5 * time.Millisecond)
		now, err := h.store.Head(ctx, o.Bucket, o.Key)
		if err != nil || now != o {
			t.Errorf("told of %+v, there is %+v, %v", o, now, err)
		}
		if _, err := h.store.Pin(ctx, o, "media", "sources/"+o.ETag); err != nil {
			t.Error(err)
		}
		return nil
	}
	const writers = 8
	errs := make(chan error, writers)
	for n := range writers {
		go func() {
			_, err := h.aws.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("same.mp4"), Body: strings.NewReader(fmt.Sprint("bytes ", n))})
			errs <- err
		}()
	}
	for range writers {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	for n := range writers {
		want := []byte(fmt.Sprint("bytes ", n))
		path, _ := h.store.LocalPath("media", "sources/"+md5hex(want))
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("pin %d holds %q, %v", n, got, err)
		}
	}
}

func TestAnObjectIsOnDiskBeforeItIsTold(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	control := filepath.Join(h.root, "control")
	if err := os.WriteFile(control, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if unwritten(t, control) == 0 {
		t.Skip("this filesystem keeps nothing in the page cache")
	}
	var dirty uint64
	var seen bucket.Object
	h.created = func(_ context.Context, o bucket.Object) error {
		path, _ := h.store.LocalPath(o.Bucket, o.Key)
		dirty, seen = unwritten(t, path), o
		return nil
	}
	if _, err := h.store.Put(t.Context(), "uploads", "deep/er/a.mp4", bytes.NewReader(make([]byte, 1<<20)), 1<<20, "video/mp4"); err != nil {
		t.Fatal(err)
	}
	if dirty != 0 || seen.Size != 1<<20 || seen.ContentType != "video/mp4" || len(seen.ETag) != 32 {
		t.Errorf("%d pages not on disk when told of %+v", dirty, seen)
	}
}

// unwritten counts the pages of a file that are only in memory (cachestat(2), Linux 6.5).
func unwritten(t *testing.T, path string) uint64 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var stat unix.Cachestat_t
	if err := unix.Cachestat(uint(f.Fd()), &unix.CachestatRange{}, &stat, 0); errors.Is(err, unix.ENOSYS) {
		t.Skip("this kernel has no cachestat")
	} else if err != nil {
		t.Fatal(err)
	}
	return stat.Dirty + stat.Writeback
}

func TestOddKeysAreRefusedOrStayInTheirBucket(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, key := range []string{".sgwtmp/x.mp4", "a/../.sgwtmp/x.mp4", "../media/x.mp4", "a/../../media/x.mp4", "..", "bell\a.mp4", ".sgwtmp"} {
		if _, err := h.store.Put(t.Context(), "uploads", key, strings.NewReader("x"), 1, ""); err == nil {
			t.Errorf("%q was taken", key)
		}
		if path, ok := h.store.LocalPath("uploads", key); ok {
			t.Errorf("%q has the path %q", key, path)
		}
	}
	if _, ok := h.store.LocalPath("..", "x"); ok {
		t.Error("a bucket outside the root has a path")
	}
	if n := len(h.notes()); n != 0 {
		t.Errorf("told %d times", n)
	}
	if _, err := h.store.Put(t.Context(), "uploads", "a/b.mp4", strings.NewReader("x"), 1, ""); err != nil {
		t.Fatal(err)
	}
	if n := h.notes(); len(n) != 1 || n[0].Key != "a/b.mp4" {
		t.Errorf("told %+v", n)
	}
	// A name can't be both a folder and an object.
	if _, err := h.store.Put(t.Context(), "uploads", "a", strings.NewReader("x"), 1, ""); err == nil {
		t.Error("an object replaced a folder")
	}
	if _, err := h.store.Put(t.Context(), "uploads", "a/b.mp4/c.mp4", strings.NewReader("x"), 1, ""); err == nil {
		t.Error("an object became a folder")
	}
}

func TestStrangersAreRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	stranger := func(o *s3.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: keys.Access, SecretAccessKey: "guess"}, nil
		})
	}
	if _, err := h.aws.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("uploads")}, stranger); err == nil {
		t.Error("a wrong secret listed the bucket")
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.url+"/uploads/a.mp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	h.embedded.Handler().ServeHTTP(refusal{t}, r)
}

// refusal is a ResponseWriter that wants 403.
type refusal struct{ t *testing.T }

func (refusal) Header() http.Header         { return http.Header{} }
func (refusal) Write(b []byte) (int, error) { return len(b), nil }
func (r refusal) WriteHeader(status int) {
	if status != http.StatusForbidden {
		r.t.Errorf("an unsigned request got %d", status)
	}
}

func TestWhatIsThereSurvivesClosing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	c := bucket.EmbeddedConfig{Root: root, Credentials: keys, Buckets: []string{"uploads"}}
	half := filepath.Join(root, "uploads", ".sgwtmp", "file-1")
	for opened := range 2 {
		e, err := bucket.OpenEmbedded(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		s, err := bucket.Open(t.Context(), bucket.Config{Embedded: e})
		if err != nil {
			t.Fatal(err)
		}
		switch o, err := s.Head(t.Context(), "uploads", "b.mp4"); {
		case opened == 0 && !fault.Is(err, fault.NotFound):
			t.Errorf("a new folder has %+v, %v", o, err)
		case opened > 0 && (err != nil || o.ETag != md5hex([]byte("x"))):
			t.Errorf("after opening again: %+v, %v", o, err)
		}
		if _, err := s.Put(t.Context(), "uploads", "b.mp4", strings.NewReader("x"), 1, "video/mp4"); err != nil {
			t.Error(err)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(half); err == nil {
			t.Error("the copy of a killed process is still there")
		}
		if err := os.WriteFile(half, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

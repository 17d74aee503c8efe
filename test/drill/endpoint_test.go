package drill

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/test/rig"
)

// endpointPoints are between the durable steps of the storage endpoint's own operations (internal/bucket), by
// operation. A copy is stored
// as a PUT is.
var endpointPoints = map[string][]string{
	"complete": {
		"Complete.before", "Complete.checked", "Complete.begun", "Complete.copied", "Complete.noted", "Complete.freed", "Complete.joined",
		"Complete.described", "Complete.placed", "Upload.renamed", "Complete.removed", "Complete.accepted",
	},
	"put":    {"Put.staged", "Put.placed", "Put.accepted"},
	"copy":   {"Put.staged", "Put.placed", "Put.accepted"},
	"delete": {"Remove.before", "Remove.unlinked", "Remove.pruned"},
}

// shortEndpointPoints are those of make test.
var shortEndpointPoints = map[string][]string{"complete": {"Complete.freed", "Complete.placed"}, "copy": {"Put.staged"}, "delete": {"Remove.unlinked"}}

// padded is a clip that needs two parts: an MP4 that ends in a box of free space (ISO/IEC 14496-12, 8.1.2).
func padded(t *testing.T) []byte {
	t.Helper()
	body, err := os.ReadFile(rig.Clip(t, "clip.mp4", "320x180", 2))
	if err != nil {
		t.Fatal(err)
	}
	box := make([]byte, 6<<20)
	binary.BigEndian.PutUint32(box, uint32(len(box)))
	copy(box[4:], "free")
	return append(body, box...)
}

// storage is a client of a server's S3 endpoint that repeats what was not answered.
type storage struct {
	t *testing.T
	k *rig.Keeper
}

// again calls until it is answered, and reports whether that took more than once.
func (s storage) again(call func(ctx context.Context, client *s3.Client) error) (repeated bool) {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; repeated = true {
		err := s.once(call)
		if err == nil {
			return repeated
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("not answered: %v\n%s", err, s.k.Log())
		}
		s.k.Revive(time.Minute)
	}
}

func (s storage) once(call func(ctx context.Context, client *s3.Client) error) error {
	s.t.Helper()
	client := s.k.AWS()
	return call(context.Background(), s3.New(client.Options(), func(o *s3.Options) { o.RetryMaxAttempts = 1 }))
}

// complete uploads in two parts.
func (s storage) complete(key string, body []byte) *s3.CompleteMultipartUploadInput {
	s.t.Helper()
	in := &s3.CompleteMultipartUploadInput{Bucket: aws.String("uploads"), Key: &key, MultipartUpload: &types.CompletedMultipartUpload{}}
	s.again(func(ctx context.Context, client *s3.Client) error {
		up, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: in.Bucket, Key: &key, ContentType: aws.String("video/mp4")})
		if err == nil {
			in.UploadId = up.UploadId
		}
		return err
	})
	for n, part := range [][]byte{body[:5<<20], body[5<<20:]} {
		s.again(func(ctx context.Context, client *s3.Client) error {
			out, err := client.UploadPart(ctx, &s3.UploadPartInput{
				Bucket: in.Bucket, Key: &key, UploadId: in.UploadId, PartNumber: aws.Int32(int32(n + 1)), Body: bytes.NewReader(part),
			})
			if err == nil {
				in.MultipartUpload.Parts = append(in.MultipartUpload.Parts, types.CompletedPart{ETag: out.ETag, PartNumber: aws.Int32(int32(n + 1))})
			}
			return err
		})
	}
	return in
}

// TestAKillInsideTheStorageEndpoint_ClientRepeats_EndsInOneVideo kills the server inside each operation of its own S3
// endpoint.
func TestAKillInsideTheStorageEndpoint_ClientRepeats_EndsInOneVideo(t *testing.T) {
	beside(t)
	points := shortEndpointPoints
	if *full {
		points = endpointPoints
	}
	body := padded(t)
	k := rig.Keep(t, rig.Options{Tags: "drill"})
	k.Revive(time.Minute)
	s := storage{t, k}
	// A step whose process is lost at every try fails for good, and these kills follow each other within seconds.
	pause := func(paused bool) {
		t.Helper()
		if status := k.Ask(http.MethodPatch, "/v1/queues/ingest", map[string]any{"paused": paused}, nil); status != http.StatusOK {
			t.Fatalf("PATCH /v1/queues/ingest: %d", status)
		}
	}
	pause(true)
	videos, want := 0, map[string][]byte{}
	for operation, list := range points {
		for _, point := range list {
			key := fmt.Sprintf("%s/%s/clip.mp4", operation, point)
			do := s.prepare(operation, key, body)
			k.With("SLUICE_FAILPOINT="+point, "SLUICE_FAILED="+filepath.Join(t.TempDir(), "met"))
			restarts := k.Restarts
			if err := s.once(do); err == nil {
				t.Errorf("%s at %s was answered by a server that was to be killed", operation, point)
			}
			k.Revive(time.Minute)
			if k.Restarts == restarts {
				t.Errorf("%s was not killed at %s", operation, point)
			}
			injected(t, 1)
			// An object that is stored is found by the server itself; only a completion and a deletion can be repeated
			// without being another write.
			if operation == "complete" || operation == "delete" || point == "Put.staged" {
				s.again(do)
			}
			if operation == "delete" {
				want["media/"+key] = nil
			} else {
				videos++
				want["uploads/"+key] = body
			}
		}
	}
	pause(false)
	deadline := time.Now().Add(5 * time.Minute)
	var all []rig.Video
	for ready := -1; ready != videos; time.Sleep(100 * time.Millisecond) {
		all, ready = k.Videos(), 0
		for _, v := range all {
			if v.Status == "ready" {
				ready++
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d videos of %d are ready\n%s", ready, videos, k.Log())
		}
	}
	if len(all) != videos {
		t.Errorf("%d videos of %d uploads", len(all), videos)
	}
	for key, body := range want {
		got, err := os.ReadFile(filepath.Join(k.Data, "objects", key))
		if body == nil && !os.IsNotExist(err) || body != nil && !bytes.Equal(got, body) {
			t.Errorf("%s holds %d bytes, %v", key, len(got), err)
		}
		if _, err := os.Stat(filepath.Join(k.Data, "objects", filepath.Dir(key))); body == nil && !os.IsNotExist(err) {
			t.Errorf("the folder of %s is left: %v", key, err)
		}
	}
	staged(t, k.Data)
}

// prepare makes what an operation needs, and returns the operation.
func (s storage) prepare(operation, key string, body []byte) func(ctx context.Context, client *s3.Client) error {
	s.t.Helper()
	uploads := aws.String("uploads")
	put := func(bucket *string, key string) func(ctx context.Context, client *s3.Client) error {
		return func(ctx context.Context, client *s3.Client) error {
			_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: &key, Body: bytes.NewReader(body), ContentType: aws.String("video/mp4")})
			return err
		}
	}
	switch operation {
	case "complete":
		in := s.complete(key, body)
		return func(ctx context.Context, client *s3.Client) error {
			_, err := client.CompleteMultipartUpload(ctx, in)
			return err
		}
	case "put":
		return put(uploads, key)
	case "copy":
		from := "raw/" + key
		s.again(put(aws.String("media"), from))
		return func(ctx context.Context, client *s3.Client) error {
			_, err := client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: uploads, Key: &key, CopySource: aws.String("media/" + from)})
			return err
		}
	default:
		s.again(put(aws.String("media"), key)) // where no object becomes a video: the deletion of the object alone is what is looked at
		return func(ctx context.Context, client *s3.Client) error {
			_, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String("media"), Key: &key})
			return err
		}
	}
}

// staged fails where the staging folders hold anything.
func staged(t *testing.T, data string) {
	t.Helper()
	for _, bucket := range []string{"uploads", "media"} {
		top := filepath.Join(data, "objects", bucket, ".sgwtmp")
		err := filepath.WalkDir(top, func(path string, _ fs.DirEntry, err error) error {
			if err == nil && path != top && filepath.Base(path) != "multipart" {
				t.Errorf("left in the staging folder: %s", strings.TrimPrefix(path, data))
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// TestAStopInTheMiddleOfACompletion_ClientRepeats_EndsInOneVideo stops the server in order while a completion takes
// longer than requests are waited for.
func TestAStopInTheMiddleOfACompletion_ClientRepeats_EndsInOneVideo(t *testing.T) {
	if !*full {
		t.Skip("it waits for a shutdown that has to wait; make drill runs it")
	}
	met := filepath.Join(t.TempDir(), "met")
	k := rig.Keep(t, rig.Options{Tags: "drill", Env: []string{"SLUICE_STALL=Complete.copied", "SLUICE_STALL_FOR=45s", "SLUICE_FAILED=" + met}})
	k.Revive(time.Minute)
	s := storage{t, k}
	in := s.complete("clip.mp4", padded(t))
	do := func(ctx context.Context, client *s3.Client) error {
		_, err := client.CompleteMultipartUpload(ctx, in)
		return err
	}
	answered := make(chan error, 1)
	go func() { answered <- s.once(do) }()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if text, _ := os.ReadFile(met); strings.Contains(string(text), "Complete.copied") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the completion does not get to its middle")
		}
	}
	if err := k.Stop(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
	injected(t, 1)
	if err := <-answered; err == nil {
		t.Error("a completion that was stopped in the middle was answered")
	}
	k.Again()
	k.Revive(time.Minute)
	s.again(do)
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if all := k.Videos(); len(all) == 1 && all[0].Status == "ready" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("videos: %+v\n%s", k.Videos(), k.Log())
		}
	}
	staged(t, k.Data)
}

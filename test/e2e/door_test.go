package e2e

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"

	"sluice/test/rig"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func put(t *testing.T, s *rig.Server, key string, body []byte) {
	t.Helper()
	if _, err := s.AWS().PutObject(context.Background(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String(key), Body: bytes.NewReader(body)}); err != nil {
		t.Fatalf("%s: %v", key, err)
	}
}

// named waits until a video of that name is there and returns all of that name.
func named(t *testing.T, s *rig.Server, name string) (found []rig.Video) {
	t.Helper()
	for _, v := range s.Videos() {
		if v.Name == name {
			found = append(found, v)
		}
	}
	return found
}

func TestAnObjectPutByAnyS3ClientBecomesAVideoOnce(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	body := read(t, rig.Clip(t, "clip.mp4", "320x180", 2))
	ctx := context.Background()

	put(t, s, "films/summer/One.MP4", body)
	if _, err := s.Minio().FPutObject(ctx, "uploads", "two.mov", rig.Clip(t, "two.mov", "320x180", 2), minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	multipart(t, s, "three.mp4", padded(read(t, rig.Clip(t, "three.mp4", "320x180", 2)), 11<<20))
	put(t, s, "notes.txt", []byte("not a video"))

	for _, name := range []string{"films/summer/One.MP4", "two.mov", "three.mp4"} {
		found := named(t, s, name)
		if len(found) != 1 {
			t.Fatalf("%d videos are named %s", len(found), name)
		}
		if v := s.Await(found[0].ID, time.Minute); v.Status != "ready" {
			t.Errorf("%s: %s", name, v.Raw)
		}
	}
	if found := named(t, s, "notes.txt"); len(found) != 0 {
		t.Error("a text became a video")
	}
}

// padded appends a box to an MP4 that players pass over (ISO/IEC 14496-12 §8.1.2).
func padded(video []byte, size int) []byte {
	box := make([]byte, size)
	binary.BigEndian.PutUint32(box, uint32(len(box)))
	copy(box[4:], "free")
	return append(video, box...)
}

func multipart(t *testing.T, s *rig.Server, key string, body []byte) {
	t.Helper()
	if len(body) < 6<<20 {
		t.Fatalf("%d bytes are no multipart upload", len(body))
	}
	_, err := s.Minio().PutObject(context.Background(), "uploads", key, bytes.NewReader(body), int64(len(body)), minio.PutObjectOptions{PartSize: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
}

func TestAnOverwriteDuringTheEncodeMakesASecondVideoAndMixesNothing(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--workers-encode", "1"}})
	first, second := read(t, rig.Long(t, "a.mp4", "640x360", 16)), read(t, rig.Clip(t, "b.mp4", "320x180", 2))
	put(t, s, "same.mp4", first)
	s.AwaitUntil(named(t, s, "same.mp4")[0].ID, time.Minute, func(v rig.Video) bool { return v.Status == "processing" && v.Progress > 0 })
	put(t, s, "same.mp4", second)

	found := named(t, s, "same.mp4") // newest first
	if len(found) != 2 {
		t.Fatalf("%d videos, want 2", len(found))
	}
	b, a := s.Await(found[0].ID, time.Minute), s.Await(found[1].ID, time.Minute)
	if a.Sizes() != "640x360 426x240" || b.Sizes() != "320x180" || a.DurationMS < 15900 || b.DurationMS > 2200 {
		t.Errorf("mixed:\n%s\n%s", a.Raw, b.Raw)
	}
	plays(t, a)
	plays(t, b)
}

func TestADeletedVideosFileMayComeAgain(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	body := read(t, rig.Clip(t, "clip.mp4", "320x180", 2))
	for range 2 {
		put(t, s, "again.mp4", body)
		found := named(t, s, "again.mp4")
		if len(found) != 1 {
			t.Fatalf("%d videos, want 1", len(found))
		}
		if v := s.Await(found[0].ID, time.Minute); v.Status != "ready" {
			t.Fatalf("%s", v.Raw)
		}
		if status := s.Call("DELETE", "/v1/videos/"+found[0].ID, nil, nil); status != 204 {
			t.Fatalf("DELETE: %d", status)
		}
		gone(t, s, found[0])
	}
}

// gone waits until nothing of a video is left but its events.
func gone(t *testing.T, s *rig.Server, v rig.Video) {
	t.Helper()
	if status := s.Call("GET", "/v1/videos/"+v.ID, nil, nil); status != 404 {
		t.Errorf("GET of a deleted video: %d", status)
	}
	deadline := time.Now().Add(2 * time.Minute)
	for {
		var left []string
		for _, bucket := range []string{"media", "uploads"} {
			for key := range s.Objects(bucket) {
				if strings.Contains(key, v.ID) || (bucket == "uploads" && filepath.Base(key) == filepath.Base(v.Name)) {
					left = append(left, bucket+"/"+key)
				}
			}
		}
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left of a deleted video: %q", left)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func TestDeletingAVideoThatWaitsWithdrawsItsUpload(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--reconcile-every", "1s"}})
	clip := rig.Clip(t, "clip.mp4", "320x180", 1)
	grant := s.Grant(clip, "clip.mp4")
	if status := s.Call("DELETE", "/v1/videos/"+grant.ID, nil, nil); status != 204 {
		t.Fatalf("DELETE: %d", status)
	}
	s.Put(grant, clip)
	deadline := time.Now().Add(2 * time.Minute)
	for len(s.Objects("uploads")) > 0 || len(s.Objects("media")) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("kept: %v %v", s.Objects("uploads"), s.Objects("media"))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if all := s.Videos(); len(all) != 0 {
		t.Errorf("a video came of it: %s", all[0].Name)
	}
}

package bucket

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/versity/versitygw/s3response"
)

// age sets the modification time of a file to an hour ago, as if the file were made then, and returns that time.
func age(t *testing.T, name string) time.Time {
	t.Helper()
	before := time.Now().Add(-time.Hour).Truncate(time.Second)
	if err := os.Chtimes(name, before, before); err != nil {
		t.Fatal(err)
	}
	return before
}

// until polls a condition, for a minute at most.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(what)
		}
	}
}

// survives fails where the deletion of an hour-old write of the same bytes removes the object at key, or its time is
// before began.
func survives(t *testing.T, d *disk, key string, began, old time.Time) {
	t.Helper()
	now, err := d.describe("uploads", key)
	if err != nil {
		t.Fatal(err)
	}
	if now.Modified.Before(second(began)) {
		t.Errorf("the object was placed after %v and is dated %v", began.UTC(), now.Modified)
	}
	other, err := d.deleteWrite(t.Context(), Object{Bucket: "uploads", Key: key, ETag: now.ETag, Modified: old})
	if !other || err != nil {
		t.Errorf("the deletion of the write before: another write is there %v, %v", other, err)
	}
	if _, err := d.describe("uploads", key); err != nil {
		t.Errorf("the deletion of the write before removed the object: %v", err)
	}
}

func TestComplete_JoinedLongBefore_ObjectIsDatedWhenPlaced(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 100)
	parts, err := partsOf(m.folder(), m.parts)
	if err != nil {
		t.Fatal(err)
	}
	joined, err := d.join(t.Context(), m.folder(), parts) // the process that joined them was killed here
	if err != nil {
		t.Fatal(err)
	}
	old, began := age(t, joined), time.Now()
	if _, err := m.complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	survives(t, d, m.key, began, old)
}

func TestComplete_RepeatedAfterItsObjectWasPlaced_KeepsTheTime(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 100)
	if _, err := m.complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := age(t, filepath.Join(d.root, "uploads", m.key))
	if _, err := m.complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, err := d.describe("uploads", m.key); err != nil || !now.Modified.Equal(old) {
		t.Errorf("the time was %v, after a repeat %v, %v", old.UTC(), now.Modified, err)
	}
}

// TestPut_WaitedForTheKey_ObjectIsDatedWhenPlaced has a PUT wait for the lock of its key after its body is staged.
func TestPut_WaitedForTheKey_ObjectIsDatedWhenPlaced(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	unlock := d.lockKey(aws.String("uploads"), aws.String("a.mp4"))
	done := make(chan error, 1)
	go func() { done <- put(t, d, "a.mp4", "the same bytes") }()
	until(t, "the PUT does not wait for the key", func() bool {
		d.keys.mu.Lock()
		defer d.keys.mu.Unlock()
		return d.keys.held["uploads/a.mp4"].users == 2
	})
	staged, err := filepath.Glob(filepath.Join(d.root, "uploads", staging, putName+"*"))
	if err != nil || len(staged) != 1 {
		t.Fatalf("staged are %q, %v", staged, err)
	}
	old, began := age(t, staged[0]), time.Now()
	unlock()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	survives(t, d, "a.mp4", began, old)
}

// TestWrite_PlacedObject_CreatedAndAnswersNameOneTime compares the time that Created receives, that of a copy's answer
// and that of HEAD.
func TestWrite_PlacedObject_CreatedAndAnswersNameOneTime(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	if err := put(t, d, "a.mp4", "bytes"); err != nil {
		t.Fatal(err)
	}
	var told Object
	d.created = func(_ context.Context, o Object) error {
		told = o
		return nil
	}
	copied, err := d.CopyObject(t.Context(), s3response.CopyObjectInput{
		Bucket: aws.String("uploads"), Key: aws.String("b.mp4"), CopySource: aws.String("uploads/a.mp4"),
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(d.root, "uploads", "b.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	if answered := *copied.CopyObjectResult.LastModified; !answered.Equal(info.ModTime()) || !told.Modified.Equal(second(answered)) {
		t.Errorf("stored at %v, answered %v, Created received %v", info.ModTime(), answered, told.Modified)
	}
}

// TestDeleteWrite_RepeatedAfterItsObjectWasUnlinked_RemovesEmptyFolders repeats a deletion whose process was killed
// after the unlink.
func TestDeleteWrite_RepeatedAfterItsObjectWasUnlinked_RemovesEmptyFolders(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	if err := put(t, d, "films/new/a.mp4", "bytes"); err != nil {
		t.Fatal(err)
	}
	o, err := d.describe("uploads", "films/new/a.mp4")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(d.root, "uploads", o.Key)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if other, err := d.deleteWrite(t.Context(), o); other || err != nil {
			t.Errorf("the deletion repeated: another write is there %v, %v", other, err)
		}
	}
	if err := put(t, d, "films", "bytes"); err != nil {
		t.Errorf("the name of the removed folder can't be written: %v", err)
	}
}

package bucket

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"
)

// watchFolder records what happens to a folder and its files, in order (inotify(7)). It returns a function that reports
// how many files were
// removed before the folder got another name, and whether it got one.
func watchFolder(t *testing.T, dir string) func() (removed int, renamed bool) {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if _, err := unix.InotifyAddWatch(fd, dir, unix.IN_DELETE|unix.IN_MOVE_SELF); err != nil {
		t.Fatal(err)
	}
	return func() (removed int, renamed bool) {
		t.Helper()
		events := make([]byte, 64<<10)
		n, err := unix.Read(fd, events)
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			t.Fatal(err)
		}
		for at := 0; at < n; {
			mask, name := binary.NativeEndian.Uint32(events[at+4:]), binary.NativeEndian.Uint32(events[at+12:])
			if at += unix.SizeofInotifyEvent + int(name); mask&unix.IN_MOVE_SELF != 0 {
				return removed, true
			}
			if mask&unix.IN_DELETE != 0 {
				removed++
			}
		}
		return removed, false
	}
}

// TestUpload_Removed_LeavesTheUploadsBeforeItsFilesGo is about a kill in the removal: parts whose bytes are joined must
// not be left as an
// upload that can be completed.
func TestUpload_Removed_LeavesTheUploadsBeforeItsFilesGo(t *testing.T) {
	t.Parallel()
	// A client's abort, and the daily one of abandoned uploads, after a completion that was interrupted.
	t.Run("aborted", func(t *testing.T) {
		t.Parallel()
		d := endpoint(t, t.TempDir()).disk
		m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 5<<20, 100)
		if _, err := m.complete(interrupted(t, 3)); codeOf(err) != "SlowDown" {
			t.Fatal(err)
		}
		seen := watchFolder(t, m.folder())
		in := &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id}
		if err := d.AbortMultipartUpload(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		leftWhole(t, seen)
		unstaged(t, d.root)
		if err := d.AbortMultipartUpload(t.Context(), in); codeOf(err) != "NoSuchUpload" {
			t.Errorf("aborted again: %v", err)
		}
	})
	t.Run("completed", func(t *testing.T) {
		t.Parallel()
		d := endpoint(t, t.TempDir()).disk
		m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 100)
		seen := watchFolder(t, m.folder())
		if err := removeUpload(m.folder()); err != nil { // as after the object is placed
			t.Fatal(err)
		}
		leftWhole(t, seen)
		unstaged(t, d.root)
	})
	t.Run("found at the start, its object replaced", func(t *testing.T) {
		t.Parallel()
		root := t.TempDir()
		e := endpoint(t, root)
		m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 100)
		if err := os.WriteFile(filepath.Join(m.folder(), layoutName), nil, 0o600); err != nil { // without the joined file: it became the object
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		seen := watchFolder(t, m.folder())
		endpoint(t, root)
		leftWhole(t, seen)
		unstaged(t, root)
	})
}

func leftWhole(t *testing.T, seen func() (int, bool)) {
	t.Helper()
	if removed, renamed := seen(); removed > 0 || !renamed {
		t.Errorf("%d files were removed while the folder had the name of an upload; it left the uploads: %v", removed, renamed)
	}
}

func TestOpen_UploadThatWasBeingRemoved_IsGone(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	e := endpoint(t, root)
	m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, 100)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(m.folder(), filepath.Join(root, "uploads", stagedName(removedName))); err != nil { // killed here
		t.Fatal(err)
	}
	m.disk = endpoint(t, root).disk
	unstaged(t, root)
	if _, err := m.complete(t.Context()); codeOf(err) != "NoSuchUpload" {
		t.Errorf("completed: %v", err)
	}
}

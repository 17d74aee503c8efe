package bucket_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/test/away"
	"sluice/test/rig"
)

var absences = map[string]away.Absence{"no bucket": away.NoBucket, "no route": away.NoRoute, "silent": away.Silent}

// uses are the operations that may meet a 404, on an object that exists.
func uses(t *testing.T, s *bucket.Store, o bucket.Object) map[string]func() error {
	t.Helper()
	ctx, file := t.Context(), write(t, "content")
	src := o
	src.Bucket, src.Key = "uploads", "source.mp4"
	return map[string]func() error{
		"Head":   func() error { _, err := s.Head(ctx, o.Bucket, o.Key); return err },
		"Get":    func() error { return got(s.Get(ctx, o.Bucket, o.Key, "")) },
		"Local":  func() error { _, err := s.Local(ctx, o.Bucket, o.Key); return err },
		"Put":    func() error { _, err := s.Put(ctx, o.Bucket, "new", strings.NewReader("x"), 1, ""); return err },
		"Pin":    func() error { _, err := s.Pin(ctx, src, "media", "sources/new"); return err },
		"Delete": func() error { return s.Delete(ctx, o.Bucket, o.Key) },
		"PutFile": func() error {
			_, err := s.PutFile(ctx, o.Bucket, "streams/new", file, "")
			return err
		},
		"DeletePrefix": func() error { _, err := s.DeletePrefix(ctx, o.Bucket, "streams/"); return err },
		"Abort":        func() error { return s.Abort(ctx, bucket.Multipart{Bucket: o.Bucket, Key: o.Key, ID: "none"}) },
		"List": func() error {
			for _, err := range s.List(ctx, o.Bucket, "") {
				return err
			}
			return nil
		},
		"Multiparts": func() error {
			for _, err := range s.Multiparts(ctx, o.Bucket) {
				return err
			}
			return nil
		},
		"Folders": func() error {
			for _, err := range s.Folders(ctx, o.Bucket, "") {
				return err
			}
			return nil
		},
	}
}

func got(body io.ReadCloser, _ bucket.Object, err error) error {
	if err == nil {
		_ = body.Close()
	}
	return err
}

// stock puts the objects that uses need, and returns the one of the bucket media.
func stock(t *testing.T, s *bucket.Store) bucket.Object {
	t.Helper()
	if _, err := s.Put(t.Context(), "uploads", "source.mp4", strings.NewReader("content"), 7, ""); err != nil {
		t.Fatal(err)
	}
	o, err := s.Put(t.Context(), "media", "streams/a/1/index.m3u8", strings.NewReader("content"), 7, "")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestEveryOperation_BucketIsAway_IsUnavailable(t *testing.T) {
	t.Parallel()
	f := rig.VersityGW(t)
	front := away.BeforeStorage(t, f.URL)
	s := remote(t, front.URL, bucket.Credentials{Access: f.Access, Secret: f.Secret})
	o := stock(t, s)
	kept, err := s.Local(t.Context(), o.Bucket, o.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	all := uses(t, s, o)
	all["Fetch"] = func() error { return kept.Fetch(t.Context()) }
	for how, absence := range absences {
		front.Take(absence)
		for name, use := range all {
			if err := use(); !fault.Is(err, fault.Unavailable) {
				t.Errorf("%s, %s: %v", how, name, err)
			}
		}
		if err := s.CheckBuckets(t.Context(), "uploads", "media"); fault.Of(err).Code != "no_such_bucket" {
			t.Errorf("%s: CheckBuckets: %v", how, err)
		}
	}
	front.Take(away.Present)
	for _, name := range []string{"Head", "Get", "Local", "Put", "Pin", "PutFile", "Fetch", "Delete"} {
		if err := all[name](); err != nil {
			t.Errorf("%s, with the bucket back: %v", name, err)
		}
	}
	for _, name := range []string{"Head", "Get", "Local"} {
		if err := all[name](); fault.Of(err).Code != "no_such_object" || !fault.Permanent(err) {
			t.Errorf("%s, of an object that was deleted: %v", name, err)
		}
	}
	if err := all["Delete"](); err != nil {
		t.Errorf("a repeated deletion: %v", err)
	}
	if err := all["Abort"](); err != nil {
		t.Errorf("a repeated abort: %v", err)
	}
}

// TestEveryOperation_FolderOfBucketIsAway_IsUnavailable takes the folder of a bucket of the embedded storage away, as a
// disk that is not mounted does: once its
// place is empty, once an empty folder is there, as a mount point is.
func TestEveryOperation_FolderOfBucketIsAway_IsUnavailable(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	o := stock(t, h.store)
	media, aside := filepath.Join(h.root, "media"), filepath.Join(h.root, "aside")
	for _, mountPoint := range []bool{false, true} {
		if err := os.Rename(media, aside); err != nil {
			t.Fatal(err)
		}
		if mountPoint {
			if err := os.Mkdir(media, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, use := range uses(t, h.store, o) {
			if err := use(); !fault.Is(err, fault.Unavailable) {
				t.Errorf("mount point %t, %s: %v", mountPoint, name, err)
			}
		}
		if err := h.store.CheckBuckets(t.Context(), "uploads", "media"); fault.Of(err).Code != "no_such_bucket" {
			t.Errorf("mount point %t: CheckBuckets: %v", mountPoint, err)
		}
		left, err := os.ReadDir(media)
		if len(left) > 0 || mountPoint != (err == nil) {
			t.Errorf("mount point %t: %v was written where the bucket was, %v", mountPoint, left, err)
		}
		if mountPoint {
			if err := os.Remove(media); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Rename(aside, media); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.store.Head(t.Context(), o.Bucket, o.Key); err != nil {
		t.Errorf("with the bucket back: %v", err)
	}
}

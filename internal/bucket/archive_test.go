package bucket_test

import (
	"bytes"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// archived is an endpoint with a source, its pin, and outputs, kept in an archive.
type archived struct {
	*house
	archive bucket.Archive
	list    []byte
	sum     bucket.Sum
}

func newArchived(t *testing.T) *archived {
	t.Helper()
	a := &archived{house: newHouse(t), archive: bucket.Archive{Dir: filepath.Join(t.TempDir(), "contents")}}
	source := a.put(t, "uploads", "id/clip.mp4", "the source")
	if _, err := a.store.Pin(t.Context(), source, "media", "sources/pin"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"streams/a/1/360p/init.mp4", "streams/a/1/index.m3u8", "streams/a.b/1/index.m3u8", "streams/a b/1/ü.m3u8"} {
		a.put(t, "media", key, "what "+key+" holds")
	}
	a.save(t, nil)
	return a
}

func (a *archived) put(t *testing.T, in, key, body string) bucket.Object {
	t.Helper()
	o, err := a.store.Put(t.Context(), in, key, strings.NewReader(body), int64(len(body)), "video/mp4")
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func (a *archived) save(t *testing.T, before io.Reader) {
	t.Helper()
	var list bytes.Buffer
	sum, err := a.archive.Save(t.Context(), a.root, before, &list)
	if err != nil {
		t.Fatal(err)
	}
	a.list, a.sum = list.Bytes(), sum
}

// restore makes another endpoint from the archive.
func (a *archived) restore(t *testing.T) *house {
	t.Helper()
	root := t.TempDir()
	sum, err := a.archive.Restore(t.Context(), bytes.NewReader(a.list), root)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Objects != a.sum.Objects || sum.Bytes != a.sum.Bytes {
		t.Errorf("restored %+v of %+v", sum, a.sum)
	}
	h := &house{root: root}
	h.embedded, err = bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{Root: root, Credentials: keys, Buckets: []string{"uploads", "media"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.embedded.Close() })
	if h.store, err = bucket.Open(t.Context(), bucket.Config{Embedded: h.embedded}); err != nil {
		t.Fatal(err)
	}
	return h
}

// objects describes everything in the buckets, with what it holds.
func (h *house) objects(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, b := range []string{"uploads", "media"} {
		for o, err := range h.store.List(t.Context(), b, "") {
			if err != nil {
				t.Fatal(err)
			}
			body, o, err := h.store.Get(t.Context(), b, o.Key, "")
			if err != nil {
				t.Fatal(err)
			}
			holds, err := io.ReadAll(body)
			if err != nil {
				t.Fatal(err)
			}
			_ = body.Close()
			all[b+"/"+o.Key] = strings.Join([]string{o.ETag, o.ContentType, o.Modified.String(), string(holds)}, " ")
		}
	}
	return all
}

func TestAnArchiveRestoresObjectsWithTheirTagsTypesAndTimes(t *testing.T) {
	t.Parallel()
	a := newArchived(t)
	want := a.objects(t)
	restored := a.restore(t)
	got := restored.objects(t)
	if len(want) != 6 || len(got) != len(want) {
		t.Fatalf("%d objects of %d", len(got), len(want))
	}
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s is %q, was %q", key, got[key], want[key])
		}
	}
	source, err1 := os.Stat(filepath.Join(restored.root, "uploads/id/clip.mp4"))
	pin, err2 := os.Stat(filepath.Join(restored.root, "media/sources/pin"))
	if err1 != nil || err2 != nil || !os.SameFile(source, pin) {
		t.Error("a source and its pin take room twice")
	}
}

func TestASecondArchiveReadsOnlyWhatIsNew(t *testing.T) {
	t.Parallel()
	a := newArchived(t)
	if a.sum.Copied != a.sum.Bytes || a.sum.Bytes == 0 {
		t.Errorf("the first time, %d of %d bytes were copied", a.sum.Copied, a.sum.Bytes)
	}
	first := a.list
	a.save(t, bytes.NewReader(first))
	if a.sum.Copied != 0 || !bytes.Equal(a.list, first) {
		t.Errorf("nothing changed, and %d bytes were copied", a.sum.Copied)
	}
	a.put(t, "media", "streams/a/1/index.m3u8", "another playlist")
	if _, err := a.store.DeletePrefix(t.Context(), "media", "streams/a.b/"); err != nil {
		t.Fatal(err)
	}
	a.put(t, "media", "streams/0/1/index.m3u8", "a new one")
	a.save(t, bytes.NewReader(first))
	if want := int64(len("another playlist") + len("a new one")); a.sum.Copied != want || a.sum.Objects != 6 {
		t.Errorf("%d bytes were copied, want %d; %d objects", a.sum.Copied, want, a.sum.Objects)
	}
	if got, want := a.restore(t).objects(t), a.objects(t); len(got) != len(want) || got["media/streams/a/1/index.m3u8"] != want["media/streams/a/1/index.m3u8"] {
		t.Errorf("restored %q, want %q", got, want)
	}
}

func TestASecondArchiveCopiesAgainWhatIsGone(t *testing.T) {
	t.Parallel()
	a := newArchived(t)
	if err := os.Remove(a.content(t, "media/streams/a/1/index.m3u8")); err != nil {
		t.Fatal(err)
	}
	a.save(t, bytes.NewReader(a.list))
	if a.sum.Copied == 0 {
		t.Error("what was gone from the archive was not copied again")
	}
	a.restore(t)
}

// content is the file in the archive of what an object holds.
func (a *archived) content(t *testing.T, name string) string {
	t.Helper()
	for d := json.NewDecoder(bytes.NewReader(a.list)); ; {
		var line bucket.Archived
		if err := d.Decode(&line); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if line.Bucket+"/"+line.Key == name {
			return filepath.Join(a.archive.Dir, line.SHA256[:2], line.SHA256)
		}
	}
}

func TestAFlippedBitInAnArchiveIsFound(t *testing.T) {
	t.Parallel()
	a := newArchived(t)
	path := a.content(t, "uploads/id/clip.mp4")
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for does, spoil := range map[string]func() error{
		"a flipped bit": func() error { body[3] ^= 1; return os.WriteFile(path, body, 0o600) },
		"a lost byte":   func() error { return os.WriteFile(path, body[1:], 0o600) },
		"a lost file":   func() error { return os.Remove(path) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		for _, root := range []string{"", t.TempDir()} {
			if _, err := a.archive.Restore(t.Context(), bytes.NewReader(a.list), root); fault.Of(err).Code != "backup_damaged" {
				t.Errorf("%s: %v", does, err)
			}
		}
		if err := os.WriteFile(path, body, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAListThatNamesPathsIsRefused(t *testing.T) {
	t.Parallel()
	archive := bucket.Archive{Dir: t.TempDir()}
	for _, line := range []bucket.Archived{
		{Stored: bucket.Stored{Bucket: "media", Key: "a"}, SHA256: strings.Repeat("../", 21) + "x"},
		{Stored: bucket.Stored{Bucket: "media", Key: "../../a"}, SHA256: strings.Repeat("0", 64)},
		{Stored: bucket.Stored{Bucket: "../..", Key: "a"}, SHA256: strings.Repeat("0", 64)},
	} {
		list, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Restore(t.Context(), bytes.NewReader(list), t.TempDir()); fault.Of(err).Code != "backup_damaged" {
			t.Errorf("%s: %v", list, err)
		}
	}
}

func TestPruningKeepsWhatAnyListNames(t *testing.T) {
	t.Parallel()
	a := newArchived(t)
	first := a.list
	if _, err := a.store.DeletePrefix(t.Context(), "media", "streams/a.b/"); err != nil {
		t.Fatal(err)
	}
	a.put(t, "media", "streams/c/1/index.m3u8", "a new one")
	a.save(t, bytes.NewReader(first))
	if freed, err := a.archive.Prune(bytes.NewReader(first), bytes.NewReader(a.list)); err != nil || freed != 0 {
		t.Fatalf("freed %d bytes of what is named: %v", freed, err)
	}
	gone := int64(len("what streams/a.b/1/index.m3u8 holds"))
	if freed, err := a.archive.Prune(bytes.NewReader(a.list)); err != nil || freed != gone {
		t.Fatalf("freed %d bytes, want %d: %v", freed, gone, err)
	}
	a.restore(t)
	left := 0
	_ = filepath.WalkDir(a.archive.Dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			left++
		}
		return nil
	})
	if left != 5 { // the source once
		t.Errorf("%d contents are left, want 5", left)
	}
}

package bucket

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
)

func TestThePartsOfALongUploadFitTheAttributesOfAFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.Create(filepath.Join(dir, "object"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	long := backend.MpUploadMetadata{UploadID: "upload"}
	for n := range int64(10000) {
		long.Parts = append(long.Parts, (n+1)*(n%977+5<<20))
	}
	value, err := backend.MarshalMpUploadMetadata(long, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := (attributes{meta.XattrMeta{}}).StoreAttribute(f, dir, "object", multipartAttribute, value); err != nil {
		t.Fatal(err)
	}
	stored, err := meta.XattrMeta{}.RetrieveAttribute(f, dir, "object", multipartAttribute)
	if err != nil {
		t.Fatal(err)
	}
	short, err := backend.UnmarshalMpUploadMetadata(stored, false)
	if err != nil || short.UploadID != "upload" || len(short.Parts) != 1 || short.Parts[0] != long.Parts[9999] || len(stored) > 200 {
		t.Errorf("stored %d bytes: %+v, %v", len(stored), short, err)
	}
}

func TestAKeyIsLockedOnlyForItsOwnWriters(t *testing.T) {
	t.Parallel()
	var l locks
	release := l.acquire("a")
	l.acquire("b")() // another key doesn't wait
	got := make(chan struct{})
	go func() { defer close(got); l.acquire("a")() }()
	select {
	case <-got:
		t.Fatal("two writers hold one key")
	default:
	}
	release()
	<-got
	if len(l.held) != 0 {
		t.Errorf("%d locks kept", len(l.held))
	}
}

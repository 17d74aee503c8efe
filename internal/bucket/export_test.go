package bucket

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Rekey gives an upload in parts another key, one that a version before took.
func Rekey(t *testing.T, e *Embedded, bucket, from, to, id string) {
	t.Helper()
	top := filepath.Join(e.disk.root, bucket)
	before, after := filepath.Dir(partsFolder(top, from, id)), filepath.Dir(partsFolder(top, to, id))
	if err := os.Rename(before, after); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(after, "user.objname", []byte(to), 0); err != nil {
		t.Fatal(err)
	}
}

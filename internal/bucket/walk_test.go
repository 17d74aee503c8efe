package bucket_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
)

// TestList_KeysThatSortUnlikeFolders_AreInTheOrderOfTheEndpoint compares the listing of a storage with what its endpoint
// answers, by key, size, ETag and time.
func TestList_KeysThatSortUnlikeFolders_AreInTheOrderOfTheEndpoint(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, p place) {
		for _, key := range []string{"a.mp4", "a/b.mp4", "a/b/c.mp4", "a-b/c.mp4", "a!/c.mp4", "b", "ü/é.mp4", "z/z/z/z.mp4"} {
			if _, err := p.store.Put(t.Context(), "media", "walk/"+key, strings.NewReader(key), int64(len(key)), ""); err != nil {
				t.Fatal(err)
			}
		}
		for _, prefix := range []string{"walk/", "walk/a", "walk/a/", "walk/a/b", "walk/z/z/", "walk/none/", "walk/b/"} {
			out, err := p.aws().ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String("media"), Prefix: &prefix})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, o := range out.Contents {
				want = append(want, fmt.Sprint(*o.Key, *o.Size, strings.Trim(*o.ETag, `"`), o.LastModified.Unix()))
			}
			var got []string
			for o, err := range p.store.List(t.Context(), "media", prefix) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, fmt.Sprint(o.Key, o.Size, o.ETag, o.Modified.Unix()))
			}
			if !slices.Equal(got, want) || len(want) == 0 && !strings.Contains(prefix, "none") && prefix != "walk/b/" {
				t.Errorf("below %s\n%q, want\n%q", prefix, got, want)
			}
		}
		var folders []string
		for name, err := range p.store.Folders(t.Context(), "media", "walk/") {
			if err != nil {
				t.Fatal(err)
			}
			folders = append(folders, name)
		}
		if want := []string{"walk/a!/", "walk/a-b/", "walk/a/", "walk/z/", "walk/ü/"}; !slices.Equal(folders, want) {
			t.Errorf("folders %q, want %q", folders, want)
		}
	})
}

// TestList_FourTimesTheFolders_AllocatesFourTimesTheBytes counts what it costs to list many folders: reading a directory
// again for each thousand keys costs the square of their number.
func TestList_FourTimesTheFolders_AllocatesFourTimesTheBytes(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	cost := func(n int) (list, folders uint64) {
		root := t.TempDir()
		embedded, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{
			Root: root, Credentials: bucket.Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}, Buckets: []string{"media"},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = embedded.Close() }()
		store, err := bucket.Open(t.Context(), bucket.Config{Embedded: embedded})
		if err != nil {
			t.Fatal(err)
		}
		for i := range n {
			dir := filepath.Join(root, "media", "streams", fmt.Sprintf("video-%06d", i))
			if err := os.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "a.m4s"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		count := func(do func() int) uint64 {
			t.Helper()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			found := do()
			runtime.ReadMemStats(&after)
			if found != n {
				t.Errorf("%d of %d are listed", found, n)
			}
			return after.TotalAlloc - before.TotalAlloc
		}
		list = count(func() (found int) {
			for _, err := range store.List(t.Context(), "media", "") {
				if err != nil {
					t.Fatal(err)
				}
				found++
			}
			return found
		})
		folders = count(func() (found int) {
			for _, err := range store.Folders(t.Context(), "media", "streams/") {
				if err != nil {
					t.Fatal(err)
				}
				found++
			}
			return found
		})
		return list, folders
	}
	const n = 1500
	list, folders := cost(n)
	lists, allFolders := cost(4 * n)
	t.Logf("%d and %d folders allocate %d and %d bytes for their objects, %d and %d for their names", n, 4*n, list, lists, folders, allFolders)
	if lists > 5*list || allFolders > 5*folders {
		t.Error("four times the folders allocate more than five times the bytes")
	}
}

package upload_test

import (
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// TestAForeignStorageThatTellsNobodyIsLookedThrough puts sources on the S3 servers of others, which tell nobody, as a client with a presigned URL and as one with keys.
func TestAForeignStorageThatTellsNobodyIsLookedThrough(t *testing.T) {
	t.Parallel()
	for name, start := range foreigners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := start(t)
			records, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"), slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer records.Close()
			objects, err := bucket.Open(t.Context(), bucket.Config{Endpoint: storage.URL, Region: "us-east-1",
				Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret}})
			if err != nil {
				t.Fatal(err)
			}
			door := upload.New(upload.Config{Store: records, Objects: objects, Bucket: "uploads", MediaBucket: "media", PublicURL: storage.URL,
				Ingest: func(id video.ID, _ int) engine.Job { return engine.Job{Kind: "ingest", Group: string(id)} }})
			find := func(want int) {
				t.Helper()
				if n, err := door.Reconcile(t.Context()); n != want || err != nil {
					t.Errorf("found %d, %v; want %d", n, err, want)
				}
			}
			up, err := door.Grant(t.Context(), upload.Request{Filename: "Größe & Co.mp4", ContentType: "video/mp4", Size: 7})
			if err != nil {
				t.Fatal(err)
			}
			if status := send(t, up, "content"); status != http.StatusOK {
				t.Fatalf("the presigned PUT is answered with %d", status)
			}
			if status := send(t, up, "content that is longer"); status != http.StatusForbidden {
				t.Errorf("a PUT of another length is answered with %d", status)
			}
			put := func(key, content string) {
				t.Helper()
				if _, err := objects.Put(t.Context(), "uploads", key, strings.NewReader(content), int64(len(content)), ""); err != nil {
					t.Fatal(err)
				}
			}
			put("films/one.MOV", "first")
			put("notes.txt", "no video")
			find(2)
			find(0)
			put("films/one.MOV", "second")
			find(1)
			all, err := records.Videos(t.Context(), video.Query{Within: video.Everywhere(), Limit: 10})
			if err != nil || len(all) != 3 {
				t.Fatalf("%d videos, %v", len(all), err)
			}
			for _, v := range all {
				body, o, err := objects.Get(t.Context(), "media", v.Source.Pin, "")
				if err != nil {
					t.Fatal(err)
				}
				got, _ := io.ReadAll(body)
				_ = body.Close()
				if want := map[string]string{"Größe & Co.mp4": "content", "films/one.MOV": "first second"}[v.Name]; !strings.Contains(want, string(got)) || o.Size != v.Source.Size {
					t.Errorf("%s is pinned as %q", v.Name, got)
				}
				if v.Name == "Größe & Co.mp4" && v.ID != up.Video {
					t.Error("the granted upload made another video")
				}
			}
		})
	}
}

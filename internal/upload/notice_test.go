package upload_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
)

// sample reads a recorded message. Those of versitygw were taken from its process; those of the others follow their code and documents.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "events", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestEachSendersMessagesAreUnderstood(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"amazon-put":          `[{"vids" ["dir/Ein Film [s] ü 100%.mp4" "dir/Ein+Film+[s]+ü+100%.mp4" "dir/Ein+Film+%5Bs%5D+%C3%BC+100%25.mp4"]}]`,
		"amazon-many":         `[{"vids" ["a.mp4"]} {"vids" ["c+d.mp4" "c%2Bd.mp4"]} {"vids" ["e.mp4"]}]`,
		"amazon-test":         `[]`,
		"eventbridge":         `[{"vids" ["raw/a b+c%20.mp4"]}]`,
		"eventbridge-deleted": `[]`,
		"eventbridge-other":   `[]`,
		"minio-put":           `[{"vids" ["dir/hello wörld+1.mp4" "dir/hello+wörld+1.mp4" "dir%2Fhello+w%C3%B6rld%2B1.mp4"]}]`,
		"minio-removed":       `[]`,
		"versitygw-test":      `[]`,
		"versitygw-put":       `[{"vids" ["plain.mp4"]}]`,
		"versitygw-blank":     `[{"vids" ["dir/a b.mp4"]}]`,
		"versitygw-plus":      `[{"vids" ["a b.mp4" "a+b.mp4"]}]`,
		"versitygw-percent":   `[{"vids" ["ü ä .mp4" "ü ä%20.mp4"]}]`,
		"versitygw-multipart": `[{"vids" ["mp/x y.mp4"]}]`,
		"seaweedfs-create":    `[{"vids" ["dir/a b+c%20.mp4"]}]`,
		"seaweedfs-rename":    `[{"vids" ["a.mp4"]}]`,
		"seaweedfs-directory": `[]`,
		"seaweedfs-delete":    `[]`,
		"seaweedfs-part":      `[]`,
		"seaweedfs-elsewhere": `[]`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := upload.ParseStorageEvents(sample(t, name))
			if err != nil || fmt.Sprintf("%q", got) != want {
				t.Errorf("%q, %v; want %s", got, err, want)
			}
		})
	}
}

func TestWhatIsNoMessageOfAStorageIsRefused(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		``, `null`, `[]`, `"s3:TestEvent"`, `{`, `{}`, `{"hello":"world"}`, `{"Records":{}}`, `{"Records":[{}]}`,
		`{"Records":[{"eventName":"ObjectCreated:Put"}]}`,
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"vids"},"object":{}}}]}`,
		`{"detail-type":"Object Created","source":"aws.s3","detail":{}}`,
		`{"detail-type":"Object Created","source":"aws.s3"}`,
		`{"event_type":"create","key":7,"message":{}}`,
	} {
		if got, err := upload.ParseStorageEvents([]byte(body)); fault.Of(err).Code != "bad_event" || got != nil {
			t.Errorf("%s: %q, %v", body, got, err)
		}
	}
}

func FuzzParseNotices(f *testing.F) {
	all, err := filepath.Glob("testdata/events/*.json")
	if err != nil || len(all) < 10 {
		f.Fatal(all, err)
	}
	for _, name := range all {
		body, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		notices, err := upload.ParseStorageEvents(body)
		if err != nil && len(notices) > 0 {
			t.Errorf("%q beside %v", notices, err)
		}
		for _, n := range notices {
			if n.Bucket == "" || len(n.Keys) == 0 {
				t.Errorf("a notice of nothing: %q", n)
			}
		}
	})
}

func TestANoticeIsLookedAtUnderEachSpelling(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		h.quiet.Store(true)
		h.put(t, "a+b.mp4", "raw")
		h.put(t, "courses/c d.mp4", "encoded")
		h.quiet.Store(false)
		notices := []upload.StorageEvent{
			{Bucket: "uploads", Keys: []string{"a b.mp4", "a+b.mp4"}},
			{Bucket: "uploads", Keys: []string{"courses/c d.mp4", "courses/c+d.mp4"}},
			{Bucket: "uploads", Keys: []string{"../x.mp4"}},
			{Bucket: "elsewhere", Keys: []string{"a.mp4"}},
			{Bucket: "uploads", Keys: []string{"notes.txt"}},
		}
		for range 2 { // told twice
			if n, err := h.door.Tell(t.Context(), notices); n != 3 || err != nil {
				t.Fatalf("took %d, %v", n, err)
			}
		}
		for _, j := range h.queued {
			if j.Queue != upload.EventQueue {
				t.Errorf("%+v", j)
			}
			if err := h.door.Handlers()[j.Kind](t.Context(), engine.Attempt{Job: j}); err != nil {
				t.Errorf("%s: %v", j.Args, err)
			}
		}
		if len(h.queued) != 6 || len(h.videos(t)) != 2 || h.jobs.Load() != 2 {
			t.Errorf("%d jobs, videos %+v", len(h.queued), h.videos(t))
		}
	})
}

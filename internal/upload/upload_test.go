package upload_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/test/rig"
)

// shelf is the catalog, with a switch that takes the database away.
type shelf struct {
	*catalog.Store
	away   atomic.Bool
	queued []engine.Job // what was enqueued
}

func (s *shelf) Enqueue(ctx context.Context, jobs []engine.Job) error {
	if s.away.Load() {
		return errors.New("the database is away")
	}
	s.queued = append(s.queued, jobs...)
	return s.Store.Enqueue(ctx, jobs)
}

func (s *shelf) Received(ctx context.Context, v video.Video, src video.Source, next func(video.ID) []engine.Job) (video.ID, bool, error) {
	if s.away.Load() {
		return "", false, errors.New("the database is away")
	}
	return s.Store.Received(ctx, v, src, next)
}

type house struct {
	*shelf
	door    *upload.Service
	store   *bucket.Store
	foreign bool         // the storage is another's, and tells nobody: the tests do, as its events would
	jobs    atomic.Int64 // made for ingest
	quiet   atomic.Bool  // the storage tells nobody of writes
}

// everywhere runs a test on each S3 server: the endpoint within, and those of others.
func everywhere(t *testing.T, test func(t *testing.T, h *house)) {
	t.Helper()
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		test(t, newHouse(t))
	})
	for name, start := range foreigners {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storage := start(t)
			store, err := bucket.Open(t.Context(), bucket.Config{Endpoint: storage.URL, Region: "us-east-1",
				Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret}})
			if err != nil {
				t.Fatal(err)
			}
			h := &house{shelf: newShelf(t), store: store, foreign: true}
			h.openDoor(t, storage.URL)
			test(t, h)
		})
	}
}

// foreigners are the S3 servers that aren't ours.
var foreigners = map[string]func(testing.TB) *rig.Foreign{"versitygw": rig.VersityGW, "ceph": rig.Ceph, "minio": rig.MinIO}

func newShelf(t *testing.T) *shelf {
	t.Helper()
	records, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "catalog.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := records.Close(); err != nil {
			t.Error(err)
		}
	})
	return &shelf{Store: records}
}

// newHouse is one on the endpoint within.
func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{shelf: newShelf(t)}
	embedded, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{
		Root: t.TempDir(), Credentials: bucket.Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}, Buckets: []string{"uploads", "media"},
		Created: func(ctx context.Context, o bucket.Object) error {
			if h.quiet.Load() {
				return nil
			}
			return h.door.Created(ctx, o)
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	front := httptest.NewServer(embedded.Handler())
	t.Cleanup(front.Close)
	if h.store, err = bucket.Open(t.Context(), bucket.Config{Embedded: embedded}); err != nil {
		t.Fatal(err)
	}
	h.openDoor(t, front.URL)
	return h
}

func (h *house) openDoor(t *testing.T, url string) {
	t.Helper()
	h.door = upload.New(upload.Config{
		Store: h.shelf, Objects: h.store, Bucket: "uploads", MediaBucket: "media", PublicURL: url,
		Ingest: func(id video.ID, generation int) engine.Job {
			if generation != 1 {
				t.Errorf("ingest of generation %d", generation)
			}
			h.jobs.Add(1)
			return engine.Job{Kind: "ingest", Group: string(id)}
		},
	})
}

// tell tells of an object as the event of a foreign storage does; the endpoint within has told.
func (h *house) tell(t *testing.T, o bucket.Object) error {
	t.Helper()
	if !h.foreign || h.quiet.Load() {
		return nil
	}
	return h.door.Created(t.Context(), o)
}

// sent uses a granted upload, and reports whether it was recorded. The endpoint within answers 500 where it wasn't.
func (h *house) sent(t *testing.T, up video.Upload, content string) bool {
	t.Helper()
	status := send(t, up, content)
	if !h.foreign && status == http.StatusInternalServerError {
		return false
	}
	if status != http.StatusOK {
		t.Fatalf("the PUT got %d", status)
	}
	o, err := h.store.Head(t.Context(), up.Bucket, up.Key)
	if err != nil {
		t.Fatal(err)
	}
	return h.tell(t, o) == nil
}

func (h *house) put(t *testing.T, key, content string) bucket.Object {
	t.Helper()
	o, err := h.store.Put(t.Context(), "uploads", key, strings.NewReader(content), int64(len(content)), "video/mp4")
	if err == nil {
		err = h.tell(t, o)
	}
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// videos returns every video, by its id.
func (h *house) videos(t *testing.T) map[video.ID]video.Video {
	t.Helper()
	all, err := h.Videos(t.Context(), video.Query{Within: video.Everywhere(), Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	byID := map[video.ID]video.Video{}
	for _, v := range all {
		byID[v.ID] = v
	}
	return byID
}

func TestAGrantedVideoIsItsUploadersAndAnyOtherTheAdministrators(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Owner: "ann", Workspace: "main", Policy: video.Members})
	if err != nil {
		t.Fatal(err)
	}
	if status := send(t, up, "source"); status != http.StatusOK {
		t.Fatalf("the PUT was answered %d", status)
	}
	h.put(t, "found.mp4", "another")
	for id, v := range h.videos(t) {
		got, want := v.Owner+" "+v.Workspace+" "+string(v.Policy), video.Admin+" main signed"
		if id == up.Video {
			want = "ann main members"
		}
		if got != want {
			t.Errorf("%s: %s, want %s", v.Name, got, want)
		}
	}
	if n := len(h.videos(t)); n != 2 {
		t.Errorf("%d videos", n)
	}
}

// send uses a granted upload, once, and returns the status.
func send(t *testing.T, up video.Upload, content string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, up.URL, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range up.Header {
		r.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// pins reads what is pinned, by key.
func (h *house) pins(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for o, err := range h.store.List(t.Context(), "media", "sources/") {
		if err != nil {
			t.Fatal(err)
		}
		body, _, err := h.store.Get(t.Context(), "media", o.Key, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(body)
		_ = body.Close()
		if err != nil {
			t.Fatal(err)
		}
		all[o.Key] = string(b)
	}
	return all
}

func TestAGrantedUploadBecomesItsVideo(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		const content = "bytes of a film"
		before := time.Now()
		up, err := h.door.Grant(t.Context(), upload.Request{
			Filename: `C:\films\../Ein Film [s] "ü" 100%.MP4`, ContentType: "video/mp4", Size: int64(len(content)), Settings: video.Settings{MaxResolution: 480},
		})
		if err != nil {
			t.Fatal(err)
		}
		if up.Key != string(up.Video)+`/Ein Film [s] "ü" 100%.MP4` || up.Bucket != "uploads" || up.Expires.Sub(before).Round(time.Minute) != 5*time.Minute {
			t.Errorf("granted %+v", up)
		}
		waiting := h.videos(t)[up.Video]
		if waiting.Status != video.Waiting || waiting.Name != `Ein Film [s] "ü" 100%.MP4` || waiting.Settings.MaxResolution != 480 ||
			waiting.Prefix != `streams/Ein Film [s] "ü" 100%-`+string(up.Video) || waiting.Source != nil {
			t.Errorf("waiting %+v", waiting)
		}
		if !h.sent(t, up, content) {
			t.Fatal("the upload was not recorded")
		}
		got := h.videos(t)[up.Video]
		if len(h.videos(t)) != 1 || got.Source == nil || got.Source.Key != up.Key || got.Source.Size != int64(len(content)) {
			t.Fatalf("%+v", h.videos(t))
		}
		if pins := h.pins(t); len(pins) != 1 || pins[got.Source.Pin] != content {
			t.Errorf("pinned %q as %q", pins, got.Source.Pin)
		}
		if n := h.jobs.Load(); n != 1 {
			t.Errorf("%d jobs", n)
		}
	})
}

func TestAnyObjectWithAKnownSuffixBecomesAVideoOfItsName(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		h.put(t, "courses/week 1/Intro.MKV", "a")
		h.put(t, "notes.txt", "b")
		if _, err := h.store.Put(t.Context(), "media", "streams/a.mp4", strings.NewReader("c"), 1, ""); err != nil {
			t.Fatal(err)
		}
		if len(h.videos(t)) != 1 {
			t.Fatalf("%+v", h.videos(t))
		}
		for id, v := range h.videos(t) {
			if v.ID != id || v.Name != "courses/week 1/Intro.MKV" || v.Status != video.Waiting || v.Prefix != "streams/courses-week 1-Intro-"+string(id) {
				t.Errorf("%+v", v)
			}
		}
	})
}

func TestAnObjectBecomesAVideoOnceHoweverOftenItIsTold(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		o := h.put(t, "a.mp4", "bytes")
		const callers = 10
		errs := make(chan error, callers)
		for range callers {
			go func() { errs <- h.door.Created(context.WithoutCancel(t.Context()), o) }()
		}
		for range callers {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if n, err := h.door.Reconcile(t.Context()); n != 0 || err != nil {
			t.Errorf("reconciling found %d, %v", n, err)
		}
		if len(h.videos(t)) != 1 || h.jobs.Load() != 1 || len(h.pins(t)) != 1 {
			t.Errorf("%d videos, %d jobs, pins %q", len(h.videos(t)), h.jobs.Load(), h.pins(t))
		}
	})
}

func TestTwoWritesOfOneKeyAreTwoVideosWithTheirOwnBytes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	const writers = 4
	var all sync.WaitGroup
	for n := range writers {
		all.Go(func() {
			body := fmt.Sprint("bytes ", n)
			if _, err := h.store.Put(t.Context(), "uploads", up.Key, strings.NewReader(body), int64(len(body)), "video/mp4"); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if len(h.videos(t)) != writers || h.jobs.Load() != writers {
		t.Fatalf("%d videos, %d jobs", len(h.videos(t)), h.jobs.Load())
	}
	pins := h.pins(t)
	seen := map[string]bool{}
	for _, v := range h.videos(t) {
		seen[pins[v.Source.Pin]] = true
		if v.Name != "a.mp4" {
			t.Errorf("named %q", v.Name)
		}
	}
	if len(seen) != writers || !seen["bytes 0"] || !seen["bytes 3"] {
		t.Errorf("pinned %v", seen)
	}
}

func TestAnObjectThatWasNotRecordedIsFoundLater(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "lost.mp4"})
		if err != nil {
			t.Fatal(err)
		}
		h.away.Store(true)
		// What a client sees when the fact can't be recorded: no 200, though the object is there.
		if h.sent(t, up, "lost") {
			t.Fatal("a write was recorded without a database")
		}
		if _, err := h.door.Reconcile(t.Context()); err == nil {
			t.Error("reconciling without a database went well")
		}
		h.away.Store(false)
		for _, want := range []int{1, 0} {
			if n, err := h.door.Reconcile(t.Context()); n != want || err != nil {
				t.Errorf("reconciling found %d, %v; want %d", n, err, want)
			}
		}
		if len(h.videos(t)) != 1 || h.videos(t)[up.Video].Source == nil || len(h.pins(t)) != 1 {
			t.Errorf("videos %+v, pins %q", h.videos(t), h.pins(t))
		}
	})
}

func TestPinsOfRefusedWritesGoAndOthersStay(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		h.put(t, "kept.mp4", "kept")
		if err := h.store.Delete(t.Context(), "uploads", "kept.mp4"); err != nil { // its video lives by the pin alone
			t.Fatal(err)
		}
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "b.mp4"})
		if err != nil {
			t.Fatal(err)
		}
		h.away.Store(true)
		for _, body := range []string{"first try", "second try"} {
			if h.sent(t, up, body) {
				t.Error("a write was recorded without a database")
			}
		}
		h.away.Store(false)
		if !h.sent(t, up, "third try") {
			t.Error("the last try was not recorded")
		}
		if _, err := h.door.StrayPins(t.Context(), 0, true); err != nil || len(h.pins(t)) != 4 {
			t.Errorf("pins that are still young: %q, %v", h.pins(t), err)
		}
		h.door.Now = func() time.Time { return time.Now().Add(2 * time.Hour) } // a clock that is fast
		if _, err := h.door.StrayPins(t.Context(), 0, true); err != nil || len(h.pins(t)) != 4 {
			t.Errorf("pins that are young for the storage: %q, %v", h.pins(t), err)
		}
		h.door.Now = func() time.Time { return time.Now().Add(25 * time.Hour) }
		for _, remove := range []bool{false, true} {
			if found, err := h.door.StrayPins(t.Context(), 0, remove); err != nil || len(found) != 2 {
				t.Errorf("found %v, %v", found, err)
			}
		}
		var left []string
		for _, body := range h.pins(t) {
			left = append(left, body)
		}
		slices.Sort(left)
		if fmt.Sprint(left) != "[kept third try]" {
			t.Errorf("pinned %q", left)
		}
	})
}

func TestAnObjectThatIsGoneAgainIsPassedOver(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		if err := h.door.Created(t.Context(), bucket.Object{Bucket: "uploads", Key: "gone.mp4", ETag: "x"}); err != nil {
			t.Error(err)
		}
		if len(h.videos(t)) != 0 {
			t.Errorf("%+v", h.videos(t))
		}
	})
}

// A file laid into the folder by hand may be half there: it has no ETag.
func TestAFileThatWasLaidIntoTheFolderIsPassedOver(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	path, _ := h.store.LocalPath("uploads", "by hand.mp4")
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if n, err := h.door.Reconcile(t.Context()); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if len(h.videos(t)) != 0 {
		t.Errorf("%+v", h.videos(t))
	}
}

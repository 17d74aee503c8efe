package upload_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// counted is a storage that counts the requests for one object, and can be away.
type counted struct {
	upload.Objects
	heads atomic.Int64
	away  atomic.Bool
	after atomic.Pointer[func()] // called when a HEAD has its answer
}

func (c *counted) Head(ctx context.Context, bucketName, key string) (bucket.Object, error) {
	c.heads.Add(1)
	if c.away.Load() {
		return bucket.Object{}, fault.New(fault.Unavailable, "test", "storage_unavailable", "The storage can't be reached at the moment; try again later.", nil)
	}
	o, err := c.Objects.Head(ctx, bucketName, key)
	if after := c.after.Load(); after != nil {
		(*after)()
	}
	return o, err
}

// received wants the first complete call after a PUT to find its source.
func received(t *testing.T, d *upload.Service, id video.ID) {
	t.Helper()
	if ok, err := d.Complete(t.Context(), id); !ok || err != nil {
		t.Fatalf("received %v, %v", ok, err)
	}
}

func TestComplete_GrantedUpload_IsRecordedOnceHoweverOftenItIsCalled(t *testing.T) {
	t.Parallel()
	everywhere(t, func(t *testing.T, h *house) {
		h.quiet.Store(true)
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 7})
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := h.door.Complete(t.Context(), up.Video); ok || !fault.Is(err, fault.Conflict) || fault.Of(err).Code != "not_uploaded" {
			t.Errorf("before its PUT: %v, %v", ok, err)
		}
		if status := send(t, up, "content"); status != http.StatusOK {
			t.Fatalf("PUT: %d", status)
		}
		received(t, h.door, up.Video)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if ok, err := h.door.Complete(t.Context(), up.Video); !ok || err != nil {
					t.Errorf("once more: %v, %v", ok, err)
				}
			})
		}
		all.Wait()
		if n, err := h.door.Reconcile(t.Context()); n != 0 || err != nil {
			t.Errorf("the reconciler found %d, %v", n, err)
		}
		if videos := h.videos(t); len(videos) != 1 || videos[up.Video].Source == nil || videos[up.Video].Source.Size != 7 || h.jobs.Load() != 1 {
			t.Errorf("%d jobs for %+v", h.jobs.Load(), videos)
		}
	})
}

func TestComplete_WithoutAFile_SaysWhy(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.quiet.Store(true)
	storage := &counted{Objects: h.store}
	h.door.Objects = storage
	now := time.Now()
	h.door.Now = func() time.Time { return now }
	grant := func() video.Upload {
		t.Helper()
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 7})
		if err != nil {
			t.Fatal(err)
		}
		return up
	}
	expect := func(name string, id video.ID, kind fault.Kind, code string) {
		t.Helper()
		if ok, err := h.door.Complete(t.Context(), id); ok || !fault.Is(err, kind) || fault.Of(err).Code != code {
			t.Errorf("%s: %v, %v; want %s", name, ok, err, code)
		}
	}
	put := func(key, content string) {
		t.Helper()
		if _, err := h.store.Put(t.Context(), "uploads", key, strings.NewReader(content), int64(len(content)), ""); err != nil {
			t.Fatal(err)
		}
	}
	expect("never granted", video.NewID(now), fault.NotFound, "no_upload")
	put("films/one.mp4", "x")
	if err := h.door.Created(t.Context(), bucket.Object{Bucket: "uploads", Key: "films/one.mp4"}); err != nil {
		t.Fatal(err)
	}
	for id := range h.videos(t) {
		expect("put by an S3 client", id, fault.NotFound, "no_upload")
	}
	other := grant()
	put(other.Key, "longer than granted")
	expect("of another size", other.Video, fault.Conflict, "wrong_size")
	deleted := grant()
	if err := h.Delete(t.Context(), deleted.Video, nil); err != nil {
		t.Fatal(err)
	}
	expect("deleted", deleted.Video, fault.NotFound, "no_upload")
	dark := grant()
	storage.away.Store(true)
	expect("storage away", dark.Video, fault.Unavailable, "storage_unavailable")
	storage.away.Store(false)
	late := grant()
	now = now.Add(time.Hour)
	expect("expired", late.Video, fault.Gone, "upload_expired")
	put(late.Key, "content") // a PUT that began in time may end later
	now = now.Add(time.Hour)
	if ok, err := h.door.Complete(t.Context(), late.Video); !ok || err != nil {
		t.Errorf("expired, and stored: %v, %v", ok, err)
	}
}

// A client that calls in a loop, or many at once, costs the storage one request for each second.
func TestComplete_Flooded_CostsOneLookASecond(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	storage := &counted{Objects: h.store}
	h.door.Objects = storage
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			for range 2 {
				if _, err := h.door.Complete(t.Context(), up.Video); fault.Of(err).Code != "not_uploaded" {
					t.Errorf("%v", err)
				}
			}
		})
	}
	all.Wait()
	if n, most := storage.heads.Load(), 1+int64(time.Since(began)/time.Second); n > most {
		t.Errorf("32 calls in %s cost %d looks, at most %d are wanted", time.Since(began), n, most)
	}
}

// The answer to a call comes from a look that began after it, not from one that ended just before the PUT.
func TestComplete_FileStoredAfterALookThatFoundNothing_IsFound(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.quiet.Store(true)
	storage := &counted{Objects: h.store}
	h.door.Objects = storage
	for name, meanwhile := range map[string]func(put func(), id video.ID){
		"after the look": func(put func(), id video.ID) {
			if ok, err := h.door.Complete(t.Context(), id); ok || fault.Of(err).Code != "not_uploaded" {
				t.Errorf("before the PUT: %v, %v", ok, err)
			}
			put()
		},
		"during the look": func(put func(), id video.ID) {
			asked, goOn := make(chan struct{}), make(chan struct{})
			storage.after.Store(new(func() { close(asked); <-goOn }))
			go func() { _, _ = h.door.Complete(t.Context(), id) }()
			<-asked // the storage has answered that there is nothing
			put()
			storage.after.Store(nil)
			time.AfterFunc(100*time.Millisecond, func() { close(goOn) })
		},
	} {
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
		if err != nil {
			t.Fatal(err)
		}
		meanwhile(func() {
			if status := send(t, up, "content"); status != http.StatusOK {
				t.Fatalf("PUT: %d", status)
			}
		}, up.Video)
		if ok, err := h.door.Complete(t.Context(), up.Video); !ok || err != nil {
			t.Errorf("%s: %v, %v", name, ok, err)
		}
	}
}

// journal keeps the jobs of looks that are stored.
type journal struct {
	upload.Store
	looks []engine.Job
}

func (j *journal) Grant(ctx context.Context, v video.Video, up video.Upload, looks []engine.Job) error {
	j.looks = append(j.looks, looks...)
	return j.Store.Grant(ctx, v, up, looks)
}

func (j *journal) Looked(ctx context.Context, id video.ID, next time.Time, looks []engine.Job, done engine.Handle) error {
	j.looks = append(j.looks, looks...)
	return j.Store.Looked(ctx, id, next, looks, done)
}

// looking is a door on the embedded endpoint, which reports nothing, that looks for itself; its jobs are run by hand.
func looking(t *testing.T, first, expiry time.Duration) (*house, *upload.Service, *journal, *counted) {
	t.Helper()
	h := newHouse(t)
	h.quiet.Store(true)
	records, storage := &journal{Store: h.shelf}, &counted{Objects: h.store}
	d := upload.New(upload.Config{Store: records, Objects: storage, Bucket: "uploads", MediaBucket: "media", PublicURL: h.door.PublicURL, Expiry: expiry, FirstLook: first,
		Ingest: func(id video.ID, _ int) engine.Job { return engine.Job{Kind: "ingest", Group: string(id)} }, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	return h, d, records, storage
}

// run makes the newest look and returns whether another one follows.
func (j *journal) run(t *testing.T, d *upload.Service) bool {
	t.Helper()
	n := len(j.looks)
	if err := d.Handlers()[j.looks[n-1].Kind](t.Context(), engine.Attempt{Job: j.looks[n-1]}); err != nil {
		t.Fatal(err)
	}
	return len(j.looks) > n
}

func TestScheduledLooks_UnusedGrant_AreFewAndEndAfterItsExpiry(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, expiry time.Duration
		want          string
	}{
		{5 * time.Second, 5 * time.Minute, "[5s 10s 20s 40s 1m20s 2m40s 5m20s 10m0s]"},
		{time.Minute, 5 * time.Minute, "[1m0s 2m0s 4m0s 8m0s 10m0s]"},
		{5 * time.Second, time.Second, "[5s 10s 20s 40s 1m20s 2m40s 5m1s]"},
		{5 * time.Second, 7 * 24 * time.Hour, "[5s 22s 1m33s 6m43s 28m59s 2h5m12s 9h0m42s 38h55m10s 168h5m0s]"},
	} {
		t.Run(fmt.Sprint(c.first, " ", c.expiry), func(t *testing.T) {
			h, d, records, storage := looking(t, c.first, c.expiry)
			up, err := d.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
			if err != nil {
				t.Fatal(err)
			}
			granted := up.Expires.Add(-c.expiry)
			if next := h.videos(t)[up.Video].NextLook; next.Sub(granted).Round(time.Second) != c.first {
				t.Errorf("the first look is at %s of a grant at %s", next, granted)
			}
			for records.run(t, d) {
				last := records.looks[len(records.looks)-1]
				if next := h.videos(t)[up.Video].NextLook; next.UnixMilli() != last.After.UnixMilli() {
					t.Errorf("the video tells %s, the look is at %s", next, last.After)
				}
			}
			var at []time.Duration
			for _, j := range records.looks {
				at = append(at, j.After.Sub(granted).Round(time.Second))
				if j.Queue != upload.EventQueue || j.Group != string(up.Video) {
					t.Errorf("a look is %+v", j)
				}
			}
			if fmt.Sprint(at) != c.want || int(storage.heads.Load()) != len(at) || len(at) > 9 {
				t.Errorf("%d requests at %v, want %s", storage.heads.Load(), at, c.want)
			}
			if next := h.videos(t)[up.Video].NextLook; !next.IsZero() {
				t.Errorf("after the last look the video tells of one at %s", next)
			}
		})
	}
}

func TestScheduledLook_StoredFileThatNobodyReports_IsRecorded(t *testing.T) {
	t.Parallel()
	h, d, records, storage := looking(t, 5*time.Second, 0)
	up, err := d.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	storage.away.Store(true)
	if !records.run(t, d) {
		t.Error("a look while the storage is away is the last one")
	}
	storage.away.Store(false)
	if status := send(t, up, "content"); status != http.StatusOK {
		t.Fatalf("PUT: %d", status)
	}
	if records.run(t, d) {
		t.Error("another look follows one that found the file")
	}
	if v := h.videos(t)[up.Video]; v.Source == nil {
		t.Errorf("%+v", v)
	}
	before := storage.heads.Load()
	if records.run(t, d) || storage.heads.Load() != before {
		t.Error("a look for a file that is recorded asks the storage")
	}
}

func TestScheduledLook_DeletedVideo_EndsWithoutARequest(t *testing.T) {
	t.Parallel()
	h, d, records, storage := looking(t, 5*time.Second, 0)
	up, err := d.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Delete(t.Context(), up.Video, nil); err != nil {
		t.Fatal(err)
	}
	if records.run(t, d) || storage.heads.Load() != 0 {
		t.Errorf("%d requests, %d looks", storage.heads.Load(), len(records.looks))
	}
}

func TestGrant_StorageThatReportsEachObject_SchedulesNoLook(t *testing.T) {
	t.Parallel()
	h, d, records, _ := looking(t, 0, 0)
	up, err := d.Grant(t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil || len(records.looks) != 0 || !h.videos(t)[up.Video].NextLook.IsZero() {
		t.Errorf("%d looks, %v", len(records.looks), err)
	}
}

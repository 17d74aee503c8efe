package upload_test

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// stuck is a storage that does not answer a HEAD or a Pin of some objects before the context of the request ends.
type stuck struct {
	upload.Objects
	mu          sync.Mutex
	heads, pins map[string]bool // by key
	entered     chan struct{}   // has one element for each of those requests
}

func newStuck(o upload.Objects) *stuck {
	return &stuck{Objects: o, heads: map[string]bool{}, pins: map[string]bool{}, entered: make(chan struct{}, 1000)}
}

func (s *stuck) hangs(ctx context.Context, keys map[string]bool, key string) error {
	s.mu.Lock()
	hangs := keys[key]
	s.mu.Unlock()
	if !hangs {
		return nil
	}
	s.entered <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

func (s *stuck) Head(ctx context.Context, from, key string) (bucket.Object, error) {
	if err := s.hangs(ctx, s.heads, key); err != nil {
		return bucket.Object{}, err
	}
	return s.Objects.Head(ctx, from, key)
}

func (s *stuck) Pin(ctx context.Context, src bucket.Object, to, key string) (bucket.Object, error) {
	if err := s.hangs(ctx, s.pins, src.Key); err != nil {
		return bucket.Object{}, err
	}
	return s.Objects.Pin(ctx, src, to, key)
}

// grant grants an upload whose requests hang as keys says.
func (s *stuck) grant(t *testing.T, h *house, keys map[string]bool) video.Upload {
	t.Helper()
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 7})
	if err != nil {
		t.Fatal(err)
	}
	if keys != nil {
		s.mu.Lock()
		keys[up.Key] = true
		s.mu.Unlock()
	}
	return up
}

// stored puts the file of an upload.
func stored(t *testing.T, up video.Upload) {
	t.Helper()
	if status := send(t, up, "content"); status != http.StatusOK {
		t.Fatalf("PUT: %d", status)
	}
}

const manyLooks = 16 // the limit of looks and of copies that one process makes at the same time

// Looks that the storage does not answer end within seconds with an error, and so delay the look for another upload by
// seconds only. 202 would say that the file is there.
func TestComplete_StorageDoesNotAnswerLooks_IsAnError(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.quiet.Store(true)
	slow := newStuck(h.store)
	h.door.Objects = slow
	var all sync.WaitGroup
	for range manyLooks {
		up := slow.grant(t, h, slow.heads)
		all.Go(func() {
			if ok, err := h.door.Complete(t.Context(), up.Video); ok || !fault.Is(err, fault.Unavailable) || fault.Of(err).Code != "storage_slow" {
				t.Errorf("a look that hangs: %v, %v; want storage_slow", ok, err)
			}
		})
	}
	for range manyLooks {
		<-slow.entered
	}
	empty := slow.grant(t, h, nil)
	if ok, err := h.door.Complete(t.Context(), empty.Video); ok || err == nil {
		t.Errorf("behind looks that hang, without a file: %v, %v; want an error", ok, err)
	}
	all.Wait()
	there := slow.grant(t, h, nil)
	stored(t, there)
	if ok, err := h.door.Complete(t.Context(), there.Video); !ok || err != nil {
		t.Errorf("after looks that hang, with its file: %v, %v", ok, err)
	}
}

// 202 says that the file is there and that its copy is not complete. Copies that take long delay no look.
func TestComplete_LongCopies_AreAnsweredAsFoundAndDelayNoLook(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.quiet.Store(true)
	slow := newStuck(h.store)
	h.door.Objects = slow
	var all sync.WaitGroup
	copied := func() {
		up := slow.grant(t, h, slow.pins)
		stored(t, up)
		all.Go(func() {
			if ok, err := h.door.Complete(t.Context(), up.Video); ok || err != nil {
				t.Errorf("a long copy: %v, %v; want false without an error", ok, err)
			}
		})
	}
	for range manyLooks {
		copied()
	}
	for range manyLooks {
		<-slow.entered
	}
	copied() // its copy waits for its turn, its look does not
	empty := slow.grant(t, h, nil)
	if ok, err := h.door.Complete(t.Context(), empty.Video); ok || fault.Of(err).Code != "not_uploaded" {
		t.Errorf("without a file: %v, %v; want not_uploaded", ok, err)
	}
	all.Wait()
}

// A scheduled look holds a worker of its queue: one that the storage does not answer counts as one that found nothing.
func TestScheduledLook_StorageDoesNotAnswer_EndsAndTheNextFollows(t *testing.T) {
	t.Parallel()
	_, d, records, storage := looking(t, time.Second, time.Minute)
	slow := newStuck(storage)
	d.Objects = slow
	up, err := d.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 7})
	if err != nil {
		t.Fatal(err)
	}
	slow.heads[up.Key] = true
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n := len(records.looks)
	err = d.Handlers()[records.looks[n-1].Kind](ctx, engine.Attempt{Job: records.looks[n-1]})
	if err != nil || len(records.looks) != n+1 {
		t.Errorf("a look that hangs: %v, %d looks follow, want 1", err, len(records.looks)-n)
	}
}

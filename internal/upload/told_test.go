package upload_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/api"
	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/test/rig"
)

// full makes the flood one of 10,000 objects, as make drill does, instead of 200.
var full = flag.Bool("full", false, "run the flood of events with 10,000 objects")

// station is what takes events of a foreign storage: records, jobs, door and webhook.
type station struct {
	store   *bucket.Store
	door    *upload.Service
	catalog *catalog.Store
	hook    string // URL of the webhook
	posts   atomic.Int64
	refused atomic.Int64 // how many posts are still to be refused, as a server does that has no room
}

const hookToken = "a-token-for-tests"

// telling is versitygw, which tells of what it stores, and silent one that doesn't.
func telling(t testing.TB, hook string) (url string, c bucket.Credentials) {
	v := rig.StartVersity(t, strings.Replace(hook, "http://", "http://sluice:"+hookToken+"@", 1), "uploads", "media")
	return v.URL, bucket.Credentials{Access: v.Access, Secret: v.Secret}
}

func silent(t testing.TB, _ string) (url string, c bucket.Credentials) {
	v := rig.StartVersity(t, "", "uploads", "media")
	return v.URL, bucket.Credentials{Access: v.Access, Secret: v.Secret}
}

// newStation starts a storage, which may tell the webhook of what it stores, and everything that hears it.
func newStation(t *testing.T, dsn string, storage func(t testing.TB, hook string) (string, bucket.Credentials)) *station {
	t.Helper()
	s := &station{}
	records, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	s.catalog = records
	t.Cleanup(func() { _ = records.Close() })
	var handler http.Handler
	ready := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, password, _ := r.BasicAuth(); password != hookToken && r.Header.Get("Authorization") != "Bearer "+hookToken {
			t.Errorf("%s came without its token", r.URL.Path)
		}
		<-ready
		if s.refused.Add(-1) >= 0 {
			s.posts.Add(1)
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		handler.ServeHTTP(w, r)
		s.posts.Add(1)
	}))
	t.Cleanup(front.Close)
	s.hook = front.URL + "/v1/events/s3"
	s.door = upload.New(upload.Config{Store: records, Bucket: "uploads", MediaBucket: "media",
		Ingest: func(id video.ID, _ int) engine.Job {
			return engine.Job{Kind: "ingest", Group: string(id), Queue: "nobody"}
		}})
	handler = api.New(api.Config{Notices: s.door, Logger: slog.New(slog.DiscardHandler)})
	close(ready)
	url, keys := storage(t, s.hook)
	s.store, err = bucket.Open(t.Context(), bucket.Config{Endpoint: url, Region: "us-east-1", Credentials: keys})
	if err != nil {
		t.Fatal(err)
	}
	s.door.Objects = s.store
	jobs, err := engine.New(records.DB(), engine.Config{Workers: s.door.Handlers(), Queues: []engine.Queue{{Name: upload.EventQueue, Workers: 4}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = jobs.Stop(ctx)
	})
	return s
}

func (s *station) put(t *testing.T, key string) {
	t.Helper()
	body := "bytes of " + key
	if _, err := s.store.Put(t.Context(), "uploads", key, strings.NewReader(body), int64(len(body)), "video/mp4"); err != nil {
		t.Fatal(err)
	}
}

// names counts the videos by their names.
func (s *station) names(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	q := video.Query{Within: video.Everywhere(), Limit: 1000}
	for {
		page, err := s.catalog.Videos(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range page {
			all[v.Name]++
		}
		if len(page) == 0 {
			return all
		}
		q.Before = page[len(page)-1].ID
	}
}

// await waits until there are n videos, or no other has come for that long, and returns those that are there. It looks less often where there are many, because
// looking costs.
func (s *station) await(t *testing.T, n int, limit time.Duration) map[string]int {
	t.Helper()
	last, deadline := 0, time.Now().Add(limit)
	for ; ; time.Sleep(50*time.Millisecond + time.Duration(n)*200*time.Microsecond) {
		names := s.names(t)
		if len(names) > last {
			last, deadline = len(names), time.Now().Add(limit)
		}
		if len(names) >= n || time.Now().After(deadline) {
			return names
		}
	}
}

// heard waits until so many posts came and all that they told of was looked at.
func (s *station) heard(t *testing.T, posts int64) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var open int
		came := s.posts.Load()
		if err := s.catalog.DB().Read.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE queue = $1 AND state NOT IN ('completed', 'discarded', 'cancelled')`,
			upload.EventQueue).Scan(&open); err != nil {
			t.Fatal(err)
		}
		if came >= posts && open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d posts came, %d jobs are open", came, posts, open)
		}
	}
}

// versitygw 1.8.0 writes its messages beside the requests whose memory they share (s3event/webhook.go: go w.send), so under load one may name another key:
// the reconciler finds what that leaves.
func TestWhatVersitygwTellsBecomesVideos(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds versitygw")
	}
	s := newStation(t, t.TempDir()+"/catalog.db", telling)
	keys := []string{"plain.mp4", "dir/a b.mp4", "a+b.mp4", "ü ä%20.mp4", "100%.mp4"}
	for i, key := range append(slices.Clone(keys), "notes.txt") {
		s.put(t, key)
		s.heard(t, int64(i)+2) // it tried the way first
	}
	told := len(s.names(t))
	if told == 0 {
		t.Errorf("no video after %d posts", s.posts.Load())
	}
	if found, err := s.door.Reconcile(t.Context()); err != nil || found > len(keys)-told { // a message may still have come in between
		t.Errorf("reconciling found %d beside %d told, %v", found, told, err)
	}
	names := s.names(t)
	for _, key := range keys {
		if names[key] != 1 {
			t.Errorf("%q became %d videos", key, names[key])
		}
	}
	if len(names) != len(keys) {
		t.Errorf("videos %v", names)
	}
}

// MinIO keeps what it could not post, so each object is told, with nothing left to the reconciler: also one that was put while the webhook refused.
func TestWhatMinIOTellsBecomesVideos(t *testing.T) {
	t.Parallel()
	s := newStation(t, t.TempDir()+"/catalog.db", func(t testing.TB, hook string) (string, bucket.Credentials) {
		f := rig.TellingMinIO(t, hook, hookToken)
		return f.URL, bucket.Credentials{Access: f.Access, Secret: f.Secret}
	})
	keys := []string{"plain.mp4", "dir/a b.mp4", "a+b.mp4", "ü ä%20.mp4", "100%.mp4"}
	s.refused.Store(2)
	for _, key := range keys {
		s.put(t, key)
	}
	s.put(t, "notes.txt")
	names := s.await(t, len(keys), time.Minute)
	for _, key := range keys {
		if names[key] != 1 {
			t.Errorf("%q became %d videos", key, names[key])
		}
	}
	if found, err := s.door.Reconcile(t.Context()); err != nil || found != 0 || len(names) != len(keys) {
		t.Errorf("reconciling found %d beside %v, %v", found, names, err)
	}
	if s.refused.Load() > 0 {
		t.Error("the webhook refused nothing")
	}
}

// TestAFloodOfEventsMakesEachObjectOneVideo tells of each object three times, in any order, save of some that it never tells of: those the reconciler finds.
// TestAKeyThatNoRecordCanKeepHoldsUpNoOther tells of keys that Amazon S3 takes and PostgreSQL doesn't, beside others, and looks for them.
func TestAKeyThatNoRecordCanKeepHoldsUpNoOther(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		records, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		door := upload.New(upload.Config{Store: records, Bucket: "uploads", MediaBucket: "media", Objects: odd{}})
		notices, err := upload.ParseStorageEvents([]byte(`{"Records":[
			{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"uploads"},"object":{"key":"a%00.mp4"}}},
			{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"uploads"},"object":{"key":"%FF.mp4"}}},
			{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"uploads"},"object":{"key":"b.mp4"}}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := door.Tell(t.Context(), notices); err != nil {
			t.Error(err)
		}
		var kept int
		if err := records.DB().Read.QueryRowContext(t.Context(), `SELECT count(*) FROM river_job WHERE args ->> 'keys' LIKE '%b.mp4%'`).Scan(&kept); err != nil || kept != 1 {
			t.Errorf("%d jobs look for the other, %v", kept, err)
		}
		if _, err := door.Reconcile(t.Context()); !errors.Is(err, errReached) {
			t.Errorf("the search ended with %v, not at the last object", err)
		}
	})
}

// odd is a storage with odd keys, and one that shows that it was reached.
type odd struct{ upload.Objects }

var errReached = errors.New("reached")

func (odd) List(context.Context, string, string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		for _, key := range []string{"a\x00.mp4", "\xff.mp4", "b.mp4"} {
			if !yield(bucket.Object{Bucket: "uploads", Key: key, ETag: "e"}, nil) {
				return
			}
		}
	}
}

func (odd) Head(_ context.Context, _, key string) (bucket.Object, error) {
	if key == "b.mp4" {
		return bucket.Object{}, errReached
	}
	return bucket.Object{}, errors.New("asked for " + key)
}

func TestAFloodOfEventsMakesEachObjectOneVideo(t *testing.T) {
	if testing.Short() {
		t.Skip("builds versitygw")
	}
	enginetest.Each(t, func(t *testing.T, dsn string) {
		s := newStation(t, dsn, silent)
		n := 200
		if *full {
			n = 10_000
		}
		var events [][]byte
		dropped := 0
		work := make(chan string)
		var writers sync.WaitGroup
		for range 4 {
			writers.Go(func() {
				for key := range work {
					s.put(t, key)
				}
			})
		}
		for i := range n {
			key := fmt.Sprintf("flood/%d of %d.mp4", i, n)
			work <- key
			if i%10 == 3 {
				dropped++
				continue
			}
			body, _ := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": "ObjectCreated:Put",
				"s3": map[string]any{"bucket": map[string]any{"name": "uploads"}, "object": map[string]any{"key": strings.ReplaceAll(key, " ", "+")}}}}})
			events = append(events, body, body, body)
		}
		close(work)
		writers.Wait()
		rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		s.post(t, events)
		if names := s.await(t, n-dropped, 2*time.Minute); len(names) != n-dropped {
			t.Fatalf("%d videos of %d told", len(names), n-dropped)
		}
		found, err := s.door.Reconcile(t.Context())
		if err != nil || found != dropped {
			t.Errorf("reconciling found %d, %v; dropped were %d", found, err, dropped)
		}
		names := s.names(t)
		for name, count := range names {
			if count != 1 {
				t.Errorf("%s became %d videos", name, count)
			}
		}
		if len(names) != n {
			t.Errorf("%d videos of %d objects", len(names), n)
		}
		t.Logf("%d objects, %d events posted, %d dropped", n, len(events), 3*dropped)
		fmt.Printf("faults: %d by %s\n", len(events)*2/3+3*dropped, t.Name()) // doubles and losses; scripts/drill.sh adds them up
	})
}

// post sends bodies to the webhook, four at a time.
func (s *station) post(t *testing.T, bodies [][]byte) {
	t.Helper()
	work := make(chan []byte)
	var senders sync.WaitGroup
	for range 4 {
		senders.Go(func() {
			for body := range work {
				request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.hook, bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					continue
				}
				request.Header.Set("Authorization", "Bearer "+hookToken)
				answer, err := http.DefaultClient.Do(request)
				if err != nil {
					t.Error(err)
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				_ = answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					t.Errorf("%d", answer.StatusCode)
				}
			}
		})
	}
	for _, body := range bodies {
		work <- body
	}
	close(work)
	senders.Wait()
}

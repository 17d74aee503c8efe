package pipeline_test

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/ffmpeg"
	"sluice/internal/pipeline"
	"sluice/internal/sandbox"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/test/away"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES")))
}

// split reads files where they are and puts objects over the network, so that the network can be cut.
type split struct {
	*bucket.Store // by way of the link
	local         *bucket.Store
}

func (s split) Local(ctx context.Context, from, key string) (*bucket.File, error) {
	return s.local.Local(ctx, from, key)
}

// mill is everything between an upload and a published video, but for the server round it.
type mill struct {
	t       *testing.T
	store   *catalog.Store
	objects *bucket.Store
	storage *away.Link // before the objects that steps put
	log     *lines
	at      func(point string)
}

type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func newMill(t *testing.T, dsn string, at func(point string), change ...func(*pipeline.Config)) *mill {
	t.Helper()
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	m := &mill{t: t, log: &lines{}, at: at}
	t.Cleanup(func() {
		if t.Failed() {
			m.log.mu.Lock()
			defer m.log.mu.Unlock()
			t.Log(m.log.b.String())
		}
	})
	log := slog.New(slog.NewTextHandler(m.log, nil))
	var err error
	m.store, err = catalog.Open(ctx, dsn, log)
	must(err)
	t.Cleanup(func() { _ = m.store.Close() })
	keys := bucket.Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}
	var door *upload.Service
	embedded, err := bucket.OpenEmbedded(ctx, bucket.EmbeddedConfig{
		Root: filepath.Join(t.TempDir(), "objects"), Credentials: keys, Buckets: []string{"uploads", "media"}, Logger: log,
		Created: func(ctx context.Context, o bucket.Object) error { return door.Created(ctx, o) },
	})
	must(err)
	t.Cleanup(func() { _ = embedded.Close() })
	m.objects, err = bucket.Open(ctx, bucket.Config{Embedded: embedded})
	must(err)
	network := httptest.NewServer(embedded.Handler())
	t.Cleanup(network.Close)
	var address string
	m.storage, address = away.BeforeURL(t, network.URL)
	remote, err := bucket.Open(ctx, bucket.Config{Endpoint: address, Region: "us-east-1", Credentials: keys, Cache: filepath.Join(t.TempDir(), "cache"), CacheBytes: 1 << 30})
	must(err)
	door = upload.New(upload.Config{
		Store: m.store, Objects: m.objects, Bucket: "uploads", MediaBucket: "media", PublicURL: network.URL, Logger: log, Ingest: pipeline.IngestJob,
	})
	tool, err := ffmpeg.New(ffmpeg.Config{Logger: log})
	must(err)
	scratch := t.TempDir()
	must(pipeline.Clean(scratch))
	config := pipeline.Config{
		Store: m.store, Results: m.store, Remover: m.store, Objects: split{remote, m.objects}, Tool: tool, Media: "media", Scratch: scratch,
		Resolution: 240, Workers: 1, RetireAfter: time.Hour, Now: time.Now, At: at, Log: log,
	}
	for _, c := range change {
		c(&config)
	}
	way := pipeline.New(config)
	jobs, err := engine.New(m.store.DB(), engine.Config{
		Workers: way.Handlers(), Logger: log, Backoff: engine.Backoff{First: 200 * time.Millisecond, Max: time.Second},
		Queues: []engine.Queue{{Name: pipeline.EncodeQueue, Workers: 1}, {Name: pipeline.StillQueue, Workers: 1}, {Name: pipeline.IngestQueue, Workers: 1}, {Name: pipeline.ControlQueue, Workers: 1}},
	})
	must(err)
	must(jobs.Start(ctx))
	t.Cleanup(func() {
		stop, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := jobs.Stop(stop); err != nil {
			t.Error(err)
		}
	})
	return m
}

// put uploads a short clip.
func (m *mill) put() {
	m.t.Helper()
	m.upload(clip(m.t, "clip.mp4", "testsrc2=size=160x90:rate=25:duration=2"))
}

// clip encodes pictures into a file of the given name.
func clip(t *testing.T, name, pictures string, options ...string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	args := append([]string{"-nostdin", "-v", "error", "-f", "lavfi", "-i", pictures, "-c:v", "libx264", "-preset", "ultrafast"}, options...)
	if out, err := exec.Command("ffmpeg", append(args, "-pix_fmt", "yuv420p", name)...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

// upload puts a file under its name.
func (m *mill) upload(clip string) {
	m.t.Helper()
	file, err := os.Open(clip)
	if err != nil {
		m.t.Fatal(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		m.t.Fatal(err)
	}
	if _, err := m.objects.Put(m.t.Context(), "uploads", filepath.Base(clip), file, info.Size(), ""); err != nil {
		m.t.Fatal(err)
	}
}

// ready waits until the one video is ready, and returns its steps.
func (m *mill) ready() map[video.StepName]video.Step {
	m.t.Helper()
	var all []video.Video
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var err error
		all, err = m.store.Videos(m.t.Context(), video.Query{Within: video.Everywhere(), Limit: 2})
		if err == nil && len(all) == 1 && all[0].Status == video.Ready {
			break
		}
		if time.Now().After(deadline) || len(all) == 1 && all[0].Status == video.Failed {
			m.t.Fatalf("the video is not ready: %+v, %v", all, err)
		}
	}
	_, steps, err := m.store.Detail(m.t.Context(), all[0].ID)
	if err != nil {
		m.t.Fatal(err)
	}
	by := map[video.StepName]video.Step{}
	for _, s := range steps {
		by[s.Name] = s
	}
	return by
}

// counted wants every job to be on its first try.
func (m *mill) counted() {
	m.t.Helper()
	rows, err := m.store.DB().Read.QueryContext(m.t.Context(), `SELECT kind, attempt FROM river_job WHERE kind <> 'retire' ORDER BY id`)
	if err != nil {
		m.t.Fatal(err)
	}
	defer rows.Close()
	n := 0
	for ; rows.Next(); n++ {
		var kind string
		var attempt int
		if err := rows.Scan(&kind, &attempt); err != nil {
			m.t.Fatal(err)
		}
		if attempt != 1 {
			m.t.Errorf("the job %s is on try %d", kind, attempt)
		}
	}
	if err := rows.Err(); err != nil || n < 4 {
		m.t.Errorf("%d jobs, %v", n, err)
	}
}

// onceAt returns what calls f the first time that a point is reached.
func onceAt(point string, f func()) func(string) {
	var once sync.Once
	return func(p string) {
		if p == point {
			once.Do(f)
		}
	}
}

// database returns the name by which a database is reached, and what takes it away for a time: by a cut link, or by another process's write.
func database(t *testing.T, dsn string) (string, func(time.Duration)) {
	t.Helper()
	if engine.IsPostgres(dsn) {
		link, by := away.BeforeURL(t, dsn)
		return by, func(d time.Duration) { link.Cut(); time.AfterFunc(d, link.Mend) }
	}
	return dsn, func(d time.Duration) {
		other, err := sql.Open("sqlite", "file:"+dsn+"?_pragma=busy_timeout(60000)")
		if err != nil {
			t.Error(err)
			return
		}
		holder, err := other.Conn(context.Background())
		if err == nil {
			_, err = holder.ExecContext(context.Background(), "BEGIN IMMEDIATE")
		}
		if err != nil {
			t.Error(err)
			return
		}
		time.AfterFunc(d, func() {
			_, err := holder.ExecContext(context.Background(), "ROLLBACK")
			if err = errors.Join(err, holder.Close(), other.Close()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestWhatAStepMadeIsKeptWhileTheDatabaseIsAway takes the database away when an encode has put its objects and is about to say so. The SQLite file is held
// longer than a write waits for it.
func TestWhatAStepMadeIsKeptWhileTheDatabaseIsAway(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		lasts := 7 * time.Second // longer than a process may be silent
		if !engine.IsPostgres(dsn) {
			lasts = 17 * time.Second
		}
		by, take := database(t, dsn)
		m := newMill(t, by, onceAt("encode.made", func() { take(lasts) }))
		m.put()
		began := time.Now()
		steps := m.ready()
		if took := time.Since(began); took < lasts {
			t.Errorf("ready after %v: the database was not away", took)
		}
		if n := len(steps[video.Encode].Attempts); n != 1 {
			t.Errorf("the chunk was encoded %d times", n)
		}
		m.counted()
	})
}

// met waits until an attempt has failed with a code.
func (m *mill) met(code string) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		var n int
		if err := m.store.DB().Read.QueryRowContext(context.Background(), `SELECT count(*) FROM attempt WHERE code = $1`, code).Scan(&n); err == nil && n > 0 {
			return
		}
	}
	m.t.Errorf("no attempt met %s in a minute", code)
}

// TestStepsWaitForAStorageThatIsAway cuts the network to the storage when an encode begins, until a step has met that, and a while longer.
func TestStepsWaitForAStorageThatIsAway(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		var m *mill
		made := make(chan struct{})
		var mended sync.WaitGroup
		defer mended.Wait()
		m = newMill(t, dsn, onceAt("encode.begun", func() {
			<-made
			m.storage.Cut()
			mended.Go(func() {
				m.met("storage_unavailable")
				time.Sleep(2 * time.Second)
				m.storage.Mend()
			})
		}))
		close(made)
		m.put()
		waited := 0
		for _, step := range m.ready() {
			for _, a := range step.Attempts {
				if a.Failure != nil && a.Failure.Code == "storage_unavailable" {
					waited++
				}
			}
		}
		if waited == 0 {
			t.Error("no step met the storage away")
		}
		m.counted()
	})
}

// TestIngest_RemoteMatroska_NeedsNoRoomForACopy has a file that is read whole, and never copied, on a disk that holds
// it
// once, but not twice.
func TestIngest_RemoteMatroska_NeedsNoRoomForACopy(t *testing.T) {
	film := clip(t, "clip.mkv", "testsrc2=size=320x180:rate=25:duration=2,noise=alls=90:allf=t+u", "-qp", "1")
	info, err := os.Stat(film)
	if err != nil {
		t.Fatal(err)
	}
	size := info.Size()
	enginetest.Each(t, func(t *testing.T, dsn string) {
		m := newMill(t, dsn, nil, func(c *pipeline.Config) {
			c.Objects = c.Objects.(split).Store
			c.Space = func() (pipeline.Space, error) {
				return pipeline.Space{Free: 2 * size, Total: 2 * size, Least: size / 10}, nil
			}
		})
		m.upload(film)
		m.ready()
		m.counted()
	})
}

// late is a storage whose listings show some objects late or with their former size. HEAD and GET see them at once.
type late struct {
	split
	change func(sizes map[string]int64)
}

func (l late) Sizes(ctx context.Context, in, prefix string) (map[string]int64, error) {
	all, err := l.split.Sizes(ctx, in, prefix)
	l.change(all)
	return all, err
}

// TestPublish_ListingIsLate_AsksForTheObjects has listings that never show what was put.
func TestPublish_ListingIsLate_AsksForTheObjects(t *testing.T) {
	for name, change := range map[string]func(map[string]int64){
		"without the objects": func(sizes map[string]int64) { clear(sizes) },
		"with other sizes": func(sizes map[string]int64) {
			for key := range sizes {
				sizes[key]++
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMill(t, filepath.Join(t.TempDir(), "sluice.db"), nil, func(c *pipeline.Config) {
				c.Objects = late{c.Objects.(split), change}
			})
			m.put()
			m.ready()
			m.counted()
		})
	}
}

// TestPublish_ObjectIsGone_FailsForGood removes an output before publish looks for it.
func TestPublish_ObjectIsGone_FailsForGood(t *testing.T) {
	var m *mill
	m = newMill(t, filepath.Join(t.TempDir(), "sluice.db"), onceAt("publish.begun", func() {
		for key := range m.made(m.only().ID) {
			if err := m.objects.Delete(context.Background(), "media", path.Join(m.only().Prefix, "1", key)); err != nil {
				t.Error(err)
			}
			break
		}
	}))
	m.put()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		all, err := m.store.Videos(t.Context(), video.Query{Within: video.Everywhere(), Limit: 2})
		if err == nil && len(all) == 1 && all[0].Status == video.Failed && all[0].Failure.Code == "output_unfit" {
			return
		}
		if time.Now().After(deadline) || len(all) == 1 && all[0].Status == video.Ready {
			t.Fatalf("the video did not fail: %+v, %v", all, err)
		}
	}
}

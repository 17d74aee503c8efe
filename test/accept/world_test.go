package accept

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/pipeline"
	"sluice/internal/sweep"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/test/rig"
)

// world is the storage door in this process: the endpoint, or a client of a foreign one, with the doors, the records
// and the removal. No job runs by itself.
type world struct {
	sight
	t       *testing.T
	dir     string
	foreign *rig.Foreign // nil for the embedded endpoint

	endpoint *bucket.Embedded
	front    *httptest.Server
	door     *upload.Service
	way      *pipeline.Pipeline
	absent   atomic.Bool // the database is away

	deleted []deletion // by this history, not yet done twice
	stage   string
	at      func() (dies bool)
}

// sight is what a history sees of its storage and records.
type sight struct {
	records  *catalog.Store
	store    *bucket.Store
	s3       *s3.Client
	root     string // the folder of a storage that keeps its staged files beside its objects; empty for another
	embedded bool
}

// deletion is the work after one deletion.
type deletion struct {
	args json.RawMessage
	done int
}

var (
	errAway = errors.New("the database is away")
	errDied = errors.New("the process died")
)

func newWorld(t *testing.T, foreign *rig.Foreign) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), foreign: foreign}
	if w.root, w.embedded = filepath.Join(w.dir, "objects"), foreign == nil; foreign != nil {
		w.root = foreign.Root
	}
	if err := w.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *world) open(ctx context.Context) (err error) {
	if w.records, err = catalog.Open(ctx, filepath.Join(w.dir, "catalog.db"), slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if w.foreign == nil {
		key := bucket.Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}
		w.endpoint, err = bucket.OpenEmbedded(ctx, bucket.EmbeddedConfig{
			Root: filepath.Join(w.dir, "objects"), Credentials: key, Buckets: []string{"uploads", "media"},
			Created: func(ctx context.Context, o bucket.Object) error { return w.door.Created(ctx, o) },
		})
		if err != nil {
			return err
		}
		w.front = httptest.NewServer(w.endpoint.Handler())
		if w.store, err = bucket.Open(ctx, bucket.Config{Embedded: w.endpoint}); err != nil {
			return err
		}
		w.s3 = once(w.front.URL, key.Access, key.Secret)
	} else {
		f := w.foreign
		w.store, err = bucket.Open(ctx, bucket.Config{Endpoint: f.URL, Region: "us-east-1", Credentials: bucket.Credentials{Access: f.Access, Secret: f.Secret}})
		if err != nil {
			return err
		}
		w.s3 = once(f.URL, f.Access, f.Secret)
	}
	w.door = upload.New(upload.Config{Store: shelf{w.records, w}, Objects: w.store, Bucket: "uploads", MediaBucket: "media",
		Ingest: func(id video.ID, n int) engine.Job { return pipeline.IngestJob(id, n) }})
	w.way = pipeline.New(pipeline.Config{Remover: remover{w.records, w}, Objects: staged{w.store, w}, Media: "media", Scratch: filepath.Join(w.dir, "scratch"),
		Now: time.Now, Log: slog.New(slog.DiscardHandler), Arrived: w.door.Created})
	return nil
}

func (w *world) close() (err error) {
	if w.endpoint != nil {
		w.front.Close()
		err = w.endpoint.Close()
	}
	return errors.Join(err, w.records.Close())
}

// once is a client that tries once.
func once(url, access, secret string) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &url, Region: "us-east-1", UsePathStyle: true, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, ""),
	})
}

// shelf is the catalog, which may be away.
type shelf struct {
	*catalog.Store
	w *world
}

func (s shelf) Received(ctx context.Context, v video.Video, src video.Source, next func(video.ID) []engine.Job) (video.ID, bool, error) {
	if s.w.absent.Load() {
		return "", false, errAway
	}
	return s.Store.Received(ctx, v, src, next)
}

// around has a stage's operation done before and after a step of a deletion.
func (w *world) around(name string, do func() error) error {
	if err := w.meet(name + ".before"); err != nil {
		return err
	}
	if err := do(); err != nil {
		return err
	}
	return w.meet(name + ".after")
}

func (w *world) meet(name string) error {
	if at := w.at; at != nil && w.stage == name {
		w.at = nil
		if at() {
			return errDied
		}
	}
	return nil
}

// staged is the storage of the removal.
type staged struct {
	*bucket.Store
	w *world
}

func (s staged) DeleteWrite(ctx context.Context, o bucket.Object) (other bool, err error) {
	err = s.w.around("DeleteWrite", func() (err error) { other, err = s.Store.DeleteWrite(ctx, o); return err })
	return other, err
}

func (s staged) Delete(ctx context.Context, from, key string) error {
	return s.w.around("Delete", func() error { return s.Store.Delete(ctx, from, key) })
}

// remover ends videos.
type remover struct {
	*catalog.Store
	w *world
}

func (r remover) Remove(ctx context.Context, id video.ID, done engine.Handle) error {
	return r.w.around("Remove", func() error { return r.Store.Remove(ctx, id, done) })
}

func (s sight) client() *s3.Client { return s.s3 }

func (s sight) prompt() bool { return s.embedded }

func (s sight) videos(ctx context.Context, prefix string) (all []clip, err error) {
	found, err := s.records.Videos(ctx, video.Query{Within: video.Everywhere(), Limit: 1000})
	for _, v := range found {
		if from := v.Source; from != nil && strings.HasPrefix(from.Key, prefix) {
			all = append(all, clip{string(v.ID), from.Pin, fact{from.Key, from.ETag, from.Modified.Unix()}})
		}
	}
	return all, err
}

func (w *world) remove(ctx context.Context, id string) error {
	v, err := w.records.Video(ctx, video.ID(id))
	if err != nil {
		return err
	}
	jobs := pipeline.DeleteJobs(v.ID, v.Prefix, time.Time{}, time.Time{})
	w.deleted = append(w.deleted, deletion{args: jobs[0].Args})
	return w.records.Delete(ctx, v.ID, nil)
}

// purge runs each deletion once, and forgets those that have run twice, as their two jobs do.
func (w *world) purge(ctx context.Context, stage string, meanwhile func() bool) error {
	w.stage, w.at = stage, meanwhile
	defer func() { w.at = nil }()
	var left []deletion
	var errs []error
	for _, d := range w.deleted {
		switch err := w.way.Handlers()["delete"](ctx, engine.Attempt{Job: engine.Job{Args: d.args}}); {
		case errors.Is(err, errDied): // its job comes again
		case errors.Is(err, video.ErrStale):
			d.done++
		case err != nil:
			errs = append(errs, err)
		default:
			d.done++
		}
		if d.done < 2 {
			left = append(left, d)
		}
	}
	w.deleted = left
	return errors.Join(errs...)
}

func (w *world) reconcile(ctx context.Context) error {
	_, err := w.door.Reconcile(ctx)
	return err
}

func (w *world) tell(ctx context.Context, key string) error {
	return w.door.Created(ctx, bucket.Object{Bucket: "uploads", Key: key})
}

func (w *world) away(do func()) (surely bool) {
	w.absent.Store(true)
	defer w.absent.Store(false)
	do()
	return w.prompt()
}

// dying is for processes alone; in this one a death is a stage of a deletion, or a restart.
func (w *world) dying(do func()) { do() }

func (w *world) restart(ctx context.Context) error {
	if err := w.close(); err != nil {
		return err
	}
	return w.open(ctx)
}

func (w *world) sweep(ctx context.Context) error {
	later := func() time.Time { return time.Now().Add(48 * time.Hour) }
	w.door.Now = later
	defer func() { w.door.Now = time.Now }()
	_, err := sweep.New(sweep.Config{
		Store: w.records, Objects: w.store, Uploads: "uploads", Media: "media", After: 3 * time.Hour, Pins: w.door.StrayPins, Scratch: filepath.Join(w.dir, "scratch"),
		Now: later, Logger: slog.New(slog.DiscardHandler),
	}).Sweep(ctx, true)
	return err
}

func (s sight) pins(ctx context.Context) (map[string]string, error) {
	all := map[string]string{}
	for o, err := range s.store.List(ctx, "media", "sources/") {
		if err != nil {
			return nil, err
		}
		body, _, err := s.store.Get(ctx, "media", o.Key, "")
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(body)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
		all[o.Key] = string(text)
	}
	return all, nil
}

// staging lists the files in the folders in which versitygw keeps what isn't an object; of a server that keeps none,
// nothing.
func (s sight) staging() (all []string, err error) {
	if s.root == "" {
		return nil, nil
	}
	for _, name := range []string{"uploads", "media"} {
		err := filepath.WalkDir(filepath.Join(s.root, name, ".sgwtmp"), func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				return nil
			}
			if err == nil && d.Type().IsRegular() {
				all = append(all, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

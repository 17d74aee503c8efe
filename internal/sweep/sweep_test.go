package sweep_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/event"
	"sluice/internal/sweep"
	"sluice/internal/upload"
	"sluice/internal/video"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

// yard is records, storage and scratch, with a clock that can be set.
type yard struct {
	*catalog.Store
	t       *testing.T
	objects *bucket.Store
	s3      *s3.Client
	door    *upload.Service
	sweeper *sweep.Sweeper
	ahead   time.Duration // of the clock of the sweep
	inUse   map[string]bool
	jobs    []engine.Job
}

func (y *yard) Enqueue(_ context.Context, jobs []engine.Job) error {
	y.jobs = append(y.jobs, jobs...)
	return nil
}

const (
	access = "sluice"
	secret = "not-a-secret-outside-tests"
)

func newYard(t *testing.T, dsn string) *yard {
	t.Helper()
	records, err := catalog.Open(t.Context(), dsn, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	y := &yard{Store: records, t: t, inUse: map[string]bool{}}
	embedded, err := bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{
		Root: t.TempDir(), Credentials: bucket.Credentials{Access: access, Secret: secret}, Buckets: []string{"uploads", "media"},
		Created: func(ctx context.Context, o bucket.Object) error { return y.door.Created(ctx, o) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = embedded.Close() })
	front := httptest.NewServer(embedded.Handler())
	t.Cleanup(front.Close)
	if y.objects, err = bucket.Open(t.Context(), bucket.Config{Embedded: embedded}); err != nil {
		t.Fatal(err)
	}
	y.s3 = s3.New(s3.Options{BaseEndpoint: aws.String(front.URL), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(access, secret, "")})
	now := func() time.Time { return time.Now().Add(y.ahead) }
	y.door = upload.New(upload.Config{Store: records, Objects: y.objects, Bucket: "uploads", MediaBucket: "media", PublicURL: front.URL, Now: now,
		Ingest: func(id video.ID, _ int) engine.Job {
			return engine.Job{Kind: "ingest", Group: string(id), Queue: "nobody"}
		}})
	y.sweeper = sweep.New(sweep.Config{
		Store: y, History: records, ForgetAfter: 90 * 24 * time.Hour, Objects: y.objects, Uploads: "uploads", Media: "media", After: 24 * time.Hour, RetireAfter: time.Hour, Pins: y.door.StrayPins,
		Scratch: t.TempDir(), InUse: func(dir string) bool { return y.inUse[dir] }, Now: now, Logger: slog.New(slog.DiscardHandler),
		Retire: func(id video.ID, n int) engine.Job { return engine.Job{Kind: "retire", Group: fmt.Sprint(id, "/", n)} },
		Delete: func(id video.ID, prefix string) []engine.Job {
			return []engine.Job{{Kind: "delete", Group: string(id)}}
		},
	})
	return y
}

func (y *yard) put(name, key string) {
	y.t.Helper()
	if _, err := y.objects.Put(y.t.Context(), name, key, strings.NewReader("bytes"), 5, ""); err != nil {
		y.t.Fatal(err)
	}
}

func (y *yard) grant() video.Upload {
	y.t.Helper()
	up, err := y.door.Grant(y.t.Context(), upload.Request{Filename: "a.mp4"})
	if err != nil {
		y.t.Fatal(err)
	}
	return up
}

// source makes a video with its source.
func (y *yard) source(name string) video.Video {
	y.t.Helper()
	y.put("uploads", name)
	all, err := y.Videos(y.t.Context(), video.Query{Within: video.Everywhere(), Limit: 1000})
	if err != nil {
		y.t.Fatal(err)
	}
	for _, v := range all {
		if v.Name == name {
			return v
		}
	}
	y.t.Fatalf("%s became no video", name)
	return video.Video{}
}

// publish takes the first generation of a video through its steps.
func (y *yard) publish(id video.ID) {
	y.t.Helper()
	must := func(err error) {
		y.t.Helper()
		if err != nil {
			y.t.Fatal(err)
		}
	}
	begin := func(name video.StepName) video.StepRef {
		ref := video.StepRef{Video: id, Generation: 1, Name: name}
		_, err := y.Begin(y.t.Context(), ref, "test", engine.Handle{})
		must(err)
		return ref
	}
	must(y.Plan(y.t.Context(), begin(video.Ingest), video.Facts{}, video.Plan{Audio: &video.AudioRung{}}, nil, engine.Handle{}))
	must(y.Finish(y.t.Context(), begin(video.Audio), video.Result{}, nil, engine.Handle{}))
	must(y.Store.Publish(y.t.Context(), begin(video.Publish), video.Output{}, nil, engine.Handle{}))
}

// parts begins an upload in parts.
func (y *yard) parts(key string) {
	y.t.Helper()
	up, err := y.s3.CreateMultipartUpload(y.t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: &key})
	if err == nil {
		_, err = y.s3.UploadPart(y.t.Context(), &s3.UploadPartInput{Bucket: aws.String("uploads"), Key: &key, UploadId: up.UploadId, PartNumber: aws.Int32(1),
			Body: strings.NewReader("a part")})
	}
	if err != nil {
		y.t.Fatal(err)
	}
}

// scratch makes a folder of scratch with a file in it.
func (y *yard) scratch(name string) string {
	y.t.Helper()
	dir := filepath.Join(y.sweeper.Scratch, filepath.FromSlash(name))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		y.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "file"), []byte("bytes"), 0o600); err != nil {
		y.t.Fatal(err)
	}
	return dir
}

// sweep sweeps and returns what was found, as "kind name", sorted.
func (y *yard) sweep(remove bool) []string {
	y.t.Helper()
	items, err := y.sweeper.Sweep(y.t.Context(), remove)
	if err != nil {
		y.t.Fatal(err)
	}
	names := []string{}
	for _, i := range items {
		names = append(names, string(i.Kind)+" "+i.Name)
	}
	slices.Sort(names)
	return names
}

// keys lists all objects.
func (y *yard) keys() []string {
	y.t.Helper()
	all := map[string]bool{}
	for _, name := range []string{"uploads", "media"} {
		for o, err := range y.objects.List(y.t.Context(), name, "") {
			if err != nil {
				y.t.Fatal(err)
			}
			all[name+"/"+o.Key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func TestWhatNobodyNeedsIsShownThenRemovedAndNothingElse(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		y := newYard(t, dsn)
		stranger := video.NewID(time.Now())
		idle := y.grant()
		y.parts("given up.mp4")
		live := y.source("live.mp4")
		over := y.source("over.mp4")
		failed := video.StepRef{Video: over.ID, Generation: 1, Name: video.Ingest}
		if _, err := y.Begin(t.Context(), failed, "test", engine.Handle{}); err != nil {
			t.Fatal(err)
		}
		if err := y.Fail(t.Context(), failed, video.StepFailure{Failure: video.Failure{Code: "not_media"}, Final: true}, nil, engine.Handle{}); err != nil {
			t.Fatal(err)
		}
		shown := y.source("shown.mp4")
		y.publish(shown.ID)
		y.put("media", live.Prefix+"/1/720p/00001.m4s")
		y.put("media", live.Prefix+"/9/720p/00001.m4s") // no generation of that number was ever begun
		y.put("media", over.Prefix+"/1/720p/00001.m4s")
		y.put("media", over.Prefix+"/attempts/1/encode-0-2-abc/720p/00001.m4s") // a redrive may go on with it
		y.put("media", live.Prefix+"/attempts/1/encode-0-2-abc/720p/00001.m4s") // under way
		y.put("media", live.Prefix+"/attempts/9/encode-0-2-abc/720p/00001.m4s")
		y.put("media", shown.Prefix+"/1/720p/00001.m4s")
		y.put("media", shown.Prefix+"/attempts/1/encode-0-2-abc/720p/00001.m4s")
		y.put("media", "streams/gone-"+string(stranger)+"/1/index.m3u8")
		y.put("media", "streams/somebody's own/1/index.m3u8")
		y.put("media", "sources/0123456789abcdef0123456789abcdef")
		y.inUse[y.scratch("step-live")] = true
		y.scratch("step-over")
		y.scratch("sources/" + string(live.ID) + "-1")
		y.scratch("sources/" + string(over.ID) + "-1")
		y.scratch("cache")

		if found := y.sweep(true); len(found) != 0 {
			t.Fatalf("young things are left over: %q", found)
		}
		y.ahead = 26 * time.Hour
		want := []string{
			"generation " + live.Prefix + "/9", "generation " + over.Prefix + "/1", "generation streams/gone-" + string(stranger), "multipart uploads/given up.mp4",
			"generation " + live.Prefix + "/attempts/9", "generation " + shown.Prefix + "/attempts/1", "pin sources/0123456789abcdef0123456789abcdef", "scratch sources/" + string(over.ID) + "-1", "scratch step-over", "upload " + string(idle.Video),
		}
		slices.Sort(want)
		before := y.keys()
		if found := y.sweep(false); !slices.Equal(found, want) {
			t.Errorf("shown\n%q, want\n%q", found, want)
		}
		if after := y.keys(); !slices.Equal(before, after) || len(y.jobs) != 0 {
			t.Errorf("showing changed %q to %q, jobs %v", before, after, y.jobs)
		}
		if found := y.sweep(true); !slices.Equal(found, want) {
			t.Errorf("removed\n%q, want\n%q", found, want)
		}
		kept := []string{"uploads/shown.mp4", "media/" + shown.Source.Pin, "media/" + shown.Prefix + "/1/720p/00001.m4s",
			"media/" + over.Prefix + "/attempts/1/encode-0-2-abc/720p/00001.m4s", "media/" + live.Prefix + "/attempts/1/encode-0-2-abc/720p/00001.m4s",
			"uploads/live.mp4", "uploads/over.mp4", "media/" + live.Source.Pin, "media/" + over.Source.Pin, "media/" + live.Prefix + "/1/720p/00001.m4s",
			"media/" + over.Prefix + "/1/720p/00001.m4s", "media/streams/somebody's own/1/index.m3u8"} // what is over goes by its job
		slices.Sort(kept)
		if after := y.keys(); !slices.Equal(after, kept) {
			t.Errorf("left\n%q, want\n%q", after, kept)
		}
		if len(y.jobs) != 1 || y.jobs[0].Group != string(over.ID)+"/1" {
			t.Errorf("jobs %v", y.jobs)
		}
		if found := y.sweep(true); !slices.Equal(found, []string{"generation " + over.Prefix + "/1"}) { // until its job has run
			t.Errorf("again %q", found)
		}
		for dir, want := range map[string]bool{"step-live": true, "step-over": false, "sources/" + string(live.ID) + "-1": true, "sources/" + string(over.ID) + "-1": false, "cache": true} {
			if _, err := os.Stat(filepath.Join(y.sweeper.Scratch, dir)); (err == nil) != want {
				t.Errorf("%s: %v", dir, err)
			}
		}
		events, err := y.Events(t.Context(), idle.Video, 0, 10)
		if err != nil || len(events) != 2 || events[1].Type != "upload.abandoned" {
			t.Errorf("events %+v, %v", events, err)
		}
	})
}

func TestClocksAnHourOffCondemnNothingYoung(t *testing.T) {
	t.Parallel()
	y := newYard(t, filepath.Join(t.TempDir(), "sluice.db"))
	y.sweeper.After = 3 * time.Hour // the least that may be set
	y.ahead = -time.Hour            // who grants is an hour late
	y.grant()
	y.parts("under way.mp4")
	y.put("media", "sources/0123456789abcdef0123456789abcdef")
	y.put("media", "streams/young-"+string(video.NewID(time.Now()))+"/1/index.m3u8")
	y.scratch("step-young")
	y.ahead = time.Hour // who sweeps is an hour early
	if found := y.sweep(true); len(found) != 0 {
		t.Errorf("swept %q", found)
	}
}

func TestASourceThatComesLateKeepsItsVideo(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		y := newYard(t, dsn)
		up := y.grant()
		y.put("uploads", up.Key) // between the sweep's look and its removal
		if gone, err := y.Abandon(t.Context(), up.Video); gone || err != nil {
			t.Errorf("removed %v, %v", gone, err)
		}
		y.ahead = 1000 * time.Hour
		if found := y.sweep(true); len(found) != 0 {
			t.Errorf("swept %q", found)
		}
	})
}

func TestADeletionThatWasLostIsDoneAgain(t *testing.T) {
	t.Parallel()
	y := newYard(t, filepath.Join(t.TempDir(), "sluice.db"))
	v := y.source("a.mp4")
	y.put("media", v.Prefix+"/1/index.m3u8")
	if err := y.Delete(t.Context(), v.ID, nil); err != nil {
		t.Fatal(err)
	}
	y.ahead = 26 * time.Hour
	y.sweep(true)
	if len(y.jobs) != 1 || y.jobs[0].Kind != "delete" {
		t.Errorf("jobs %v", y.jobs)
	}
}

func TestRecordsOfLongAgoAreShownThenForgotten(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		y := newYard(t, dsn)
		if _, err := y.Subscribe(t.Context(), event.Subscription{ID: "s", Address: "ops@example.com", Events: event.Notable()}); err != nil {
			t.Fatal(err)
		}
		v := y.source("bad.mp4")
		ref := video.StepRef{Video: v.ID, Generation: 1, Name: video.Ingest}
		for _, final := range []bool{false, true} {
			if _, err := y.Begin(t.Context(), ref, "test", engine.Handle{}); err != nil {
				t.Fatal(err)
			}
			why := video.StepFailure{Failure: video.Failure{Code: "not_media", Message: "Send a video."}, Final: final}
			if err := y.Fail(t.Context(), ref, why, nil, engine.Handle{}); err != nil {
				t.Fatal(err)
			}
		}
		kept := func() (failed, told int) {
			errs, err := y.Errors(t.Context(), video.ErrorQuery{Within: video.Everywhere()})
			if err != nil {
				t.Fatal(err)
			}
			notices, err := y.Outbox(t.Context(), "", 0, 10)
			if err != nil {
				t.Fatal(err)
			}
			return len(errs), len(notices)
		}
		y.ahead = 89 * 24 * time.Hour
		if found := y.sweep(true); slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, "record") }) {
			t.Errorf("forgot %q", found)
		}
		y.ahead = 91 * 24 * time.Hour
		want := []string{"record 1 notices", "record 2 failed attempts"}
		if found := y.sweep(false); !slices.Equal(found, want) {
			t.Errorf("shown %q", found)
		}
		if failed, told := kept(); failed != 2 || told != 1 {
			t.Errorf("%d errors and %d notices are left by a look", failed, told)
		}
		if found := y.sweep(true); !slices.Equal(found, want) {
			t.Errorf("forgot %q", found)
		}
		if failed, told := kept(); failed != 0 || told != 0 {
			t.Errorf("%d errors and %d notices are left", failed, told)
		}
		if found := y.sweep(true); len(found) != 0 {
			t.Errorf("again %q", found)
		}
	})
}

package drill

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/catalog"
	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/test/away"
	"sluice/test/rig"
)

// hold is a state in which work is held.
type hold struct {
	short bool // it is drilled in make test, too
	drill func(*testing.T)
}

// holds are those of the table "What holds work, and what ends it" in docs/STATES.md, by their names there. Each
// drill makes the cause, sees work held, takes the cause away and wants everything to end. The longest wait is the
// rig's; docs/STATES.md has the times that are promised, which a busy machine exceeds.
var holds = map[string]hold{
	"disk low":           {true, diskLow},
	"no room for a copy": {true, noRoomForCopies},
	"cache full":         {false, cacheFull},
	"storage away":       {false, storageAway},
	"bucket missing":     {false, bucketMissing},
	"database away":      {false, databaseAway},
	"queue paused":       {true, queuePaused},
	"limit 0":            {false, limitZero},
	"share of the owner": {true, shareOfTheOwner},
	"retry":              {true, retry},
	"worker lost":        {false, workerLost},
}

func TestHold_TableOfStates_NamesTheDrills(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(rig.Root(t), "docs", "STATES.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "\n## What holds work, and what ends it\n")
	table, _, _ := strings.Cut(after, "\nOur own files")
	named := 0
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(table, -1) {
		if named++; holds[m[1]].drill == nil {
			t.Errorf("docs/STATES.md says what ends %q, and no drill does", m[1])
		}
	}
	if named != len(holds) {
		t.Errorf("docs/STATES.md has %d states and %d are drilled", named, len(holds))
	}
}

func TestHold_CauseGone_WorkEnds(t *testing.T) {
	beside(t)
	for name, h := range holds {
		if !h.short && !*full {
			continue
		}
		t.Run(name, func(t *testing.T) {
			beside(t)
			h.drill(t)
			injected(t, 1)
		})
	}
}

// workerLost takes a clip of two chunks: the encoders of one chunk alone have two threads, and then x264 makes other
// bytes each time.
func workerLost(t *testing.T) {
	loseNothing(t, rig.Clip(t, "clip.mp4", "320x180", 22), []string{"encode.begun"})
}

// pictures is a clip that costs little.
func pictures(t *testing.T) string { return rig.Clip(t, "clip.mp4", "320x180", 2) }

// untouched wants the first step of a video to wait and to have no attempt, after the server has had the time to take
// it.
func untouched(t *testing.T, s *rig.Server, id string) {
	t.Helper()
	time.Sleep(2 * time.Second) // nothing happens, which no condition shows
	if v := s.Video(id); len(v.Steps) != 1 || v.Steps[0].State != "waiting" || len(v.Steps[0].Attempts) != 0 {
		t.Errorf("work was taken: %s", v.Raw)
	}
}

// slow reports whether a video failed because this machine is so busy that a probe exceeds its time: it ended, with a
// code.
func slow(v rig.Video) bool {
	return v.Status == "failed" && v.Error != nil && v.Error.Code == "too_costly"
}

// over wants a video to end, each of its steps within so many attempts.
func over(t *testing.T, s *rig.Server, id string, attempts int) {
	t.Helper()
	v := s.Await(id, 10*time.Minute)
	if v.Status != "ready" && !slow(v) {
		t.Errorf("%s", v.Raw)
	}
	for _, step := range v.Steps {
		if len(step.Attempts) > attempts {
			t.Errorf("%s was tried %d times", step.Name, len(step.Attempts))
		}
	}
}

func setQueues(t *testing.T, s *rig.Server, change map[string]any, queues ...string) {
	t.Helper()
	for _, name := range queues {
		if status := s.Call(http.MethodPatch, "/v1/queues/"+name, change, nil); status != http.StatusOK {
			t.Fatalf("PATCH /v1/queues/%s: %d", name, status)
		}
	}
}

func queuePaused(t *testing.T) {
	s := rig.Start(t, rig.Options{Tags: "drill"})
	setQueues(t, s, map[string]any{"paused": true}, "ingest")
	id := s.Upload(pictures(t), "clip.mp4")
	untouched(t, s, id)
	setQueues(t, s, map[string]any{"paused": false}, "ingest")
	over(t, s, id, 1)
}

func limitZero(t *testing.T) {
	s := rig.Start(t, rig.Options{Tags: "drill"})
	setQueues(t, s, map[string]any{"workers": 0}, "ingest")
	time.Sleep(2 * time.Second) // processes read limits with their beat
	id := s.Upload(pictures(t), "clip.mp4")
	untouched(t, s, id)
	setQueues(t, s, map[string]any{"workers": 1}, "ingest")
	over(t, s, id, 1)
}

func diskLow(t *testing.T) {
	data := rig.SmallDisk(t, "96m")
	s := rig.Start(t, rig.Options{Data: data, Tags: "drill", Args: []string{"--disk-low", "40MiB"}})
	setQueues(t, s, map[string]any{"paused": true}, "ingest")
	id := s.Upload(pictures(t), "clip.mp4")
	free := rig.Fill(t, data, 30<<20)
	setQueues(t, s, map[string]any{"paused": false}, "ingest")
	untouched(t, s, id)
	free()
	over(t, s, id, 1)
}

// transport makes an MPEG transport stream, which has no index, of 2 s and some 5 MB: noise does not compress.
func transport(t *testing.T) string {
	t.Helper()
	clip := rig.Clip(t, "clip.ts", "320x180", 2, "-vf", "noise=alls=100:allf=t", "-qp", "14", "-f", "mpegts")
	info, err := os.Stat(clip)
	if err != nil {
		t.Fatal(err)
	}
	if mb := info.Size() >> 20; mb < 4 || mb > 5 {
		t.Fatalf("the transport stream has %d MB; the disks of these drills suit 4 to 5", mb)
	}
	return clip
}

// copiesIn counts the copies of sources in scratch.
func copiesIn(t *testing.T, s *rig.Server) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(s.Data, "scratch", "sources", "*", "source.*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// running counts the jobs under way.
func running(t *testing.T, s *rig.Server) (n int) {
	t.Helper()
	var list struct{ Items []held }
	if status := s.Call(http.MethodGet, "/v1/jobs?state=running&limit=200", nil, &list); status != http.StatusOK {
		t.Fatalf("GET /v1/jobs: %d", status)
	}
	return len(list.Items)
}

// noRoomForCopies uploads more sources without an index than the disk has room for copies of. Nobody else fills it.
// Encoding is paused until ingest has done what it can, so that only copies can keep the disk low. Without
// bookkeeping of that room all ingests make their copies, the disk is low, and nothing runs any more.
func noRoomForCopies(t *testing.T) {
	s := rig.Start(t, rig.Options{Data: rig.SmallDisk(t, "72m"), Tags: "drill", Args: []string{"--disk-low", "24MiB", "--workers-encode", "1"}})
	clip := transport(t)
	setQueues(t, s, map[string]any{"paused": true}, "encode", "still")
	var ids []string
	for n := range 6 {
		ids = append(ids, s.Upload(clip, fmt.Sprintf("stream %d.ts", n)))
	}
	waits := func() bool {
		return slices.ContainsFunc(ids, func(id string) bool { return refused(s.Video(id)) })
	}
	s.AwaitUntil(ids[0], 10*time.Minute, func(rig.Video) bool {
		status, _ := rig.Get(t, s.URL+"/readyz")
		return running(t, s) == 0 && copiesIn(t, s) > 0 && (waits() || status != http.StatusOK)
	})
	setQueues(t, s, map[string]any{"paused": false}, "encode", "still")
	idle := 0
	s.AwaitUntil(ids[0], 15*time.Minute, func(rig.Video) bool {
		ended := 0
		for _, id := range ids {
			switch v := s.Video(id); {
			case v.Status == "ready", slow(v):
				ended++
			case v.Status == "failed":
				t.Fatalf("%s", v.Raw)
			}
		}
		idle++
		if status, _ := rig.Get(t, s.URL+"/readyz"); status == http.StatusOK || running(t, s) > 0 || copiesIn(t, s) == 0 {
			idle = 0
		}
		if idle > 200 { // looks in a row, each of nine requests
			t.Fatalf("%d of %d have ended, the disk is low, nothing runs, and %d copies that nobody reads keep it low", ended, len(ids), copiesIn(t, s))
		}
		return ended == len(ids)
	})
	if !waits() {
		t.Error("no ingest waited for room: the disk is too large for this drill")
	}
	s.Quiet()
}

// refused reports whether an attempt at a video's ingest was kept waiting for room.
func refused(v rig.Video) bool {
	for _, step := range v.Steps {
		for _, a := range step.Attempts {
			if step.Name == "ingest" && a.Error != nil && a.Error.Code == "disk_full" {
				return true
			}
		}
	}
	return false
}

// TestHold_CopyThatNeverFits_FailsWithItsCode uploads a source whose copy does not fit beside it on the empty disk.
func TestHold_CopyThatNeverFits_FailsWithItsCode(t *testing.T) {
	beside(t)
	if !*full {
		t.Skip("only in the full form; internal/pipeline has the rule")
	}
	s := rig.Start(t, rig.Options{Data: rig.SmallDisk(t, "48m"), Tags: "drill", Args: []string{"--disk-low", "12MiB"}})
	clip := rig.Clip(t, "clip.ts", "320x180", 8, "-vf", "noise=alls=100:allf=t", "-qp", "14", "-f", "mpegts")
	if v := s.Await(s.Upload(clip, "large.ts"), 2*time.Minute); v.Error == nil || v.Error.Code != "disk_too_small" {
		t.Errorf("%s", v.Raw)
	}
	s.Quiet()
}

// jobs starts an engine with one slot, and returns what adds jobs to it and what waits until none is left.
func jobs(t *testing.T, do engine.Worker) (add func(...engine.Job), none func()) {
	t.Helper()
	store, err := catalog.Open(t.Context(), filepath.Join(t.TempDir(), "sluice.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	e, err := engine.New(store.DB(), engine.Config{Workers: map[string]engine.Worker{"work": do}, Queues: []engine.Queue{{Name: "work", Workers: 1}}})
	if err == nil {
		err = e.Start(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	add = func(all ...engine.Job) {
		for i := range all {
			all[i].Kind, all[i].Queue = "work", "work"
		}
		if err := store.DB().InTx(t.Context(), func(tx engine.Tx) error { return e.Insert(t.Context(), tx, all...) }); err != nil {
			t.Fatal(err)
		}
	}
	return add, func() {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			left, err := e.Jobs(t.Context(), engine.JobQuery{Limit: 100})
			if err == nil && !slices.ContainsFunc(left, func(s engine.Status) bool { return s.State != engine.Completed }) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%v, %+v", err, left)
			}
		}
	}
}

// shareOfTheOwner has one owner fill a queue before another comes with one job.
func shareOfTheOwner(t *testing.T) {
	began, goOn := make(chan string, 10), make(chan struct{})
	add, none := jobs(t, func(_ context.Context, a engine.Attempt) error {
		began <- a.Job.Owner
		<-goOn
		return nil
	})
	add(slices.Repeat([]engine.Job{{Owner: "many"}}, 6)...)
	if owner := <-began; owner != "many" {
		t.Fatalf("%q begins", owner)
	}
	add(engine.Job{Owner: "one"})
	var next []string // what an owner had while it was alone is not counted, so the older job may be first once more
	for range 2 {
		goOn <- struct{}{}
		next = append(next, <-began)
	}
	if !slices.Contains(next, "one") {
		t.Errorf("two slots were free, and %v had them", next)
	}
	close(goOn)
	none()
}

// retry has a job fail twice.
func retry(t *testing.T) {
	tries := 0
	add, none := jobs(t, func(context.Context, engine.Attempt) error {
		if tries++; tries < 3 {
			return errors.New("again")
		}
		return nil
	})
	add(engine.Job{})
	none()
	if tries != 3 {
		t.Errorf("%d tries", tries)
	}
}

// abroad starts a server whose objects are on a foreign storage behind a link that can be cut.
func abroad(t *testing.T, args ...string) (*rig.Server, *away.Link, *rig.Foreign) {
	t.Helper()
	there := rig.VersityGW(t)
	by := *there
	link, address := away.BeforeURL(t, there.URL)
	by.URL = address
	return rig.Start(t, rig.Options{Tags: "drill", Args: append(by.Flags(), append(args, "--reconcile-every", "1s", "--workers-encode", "1")...)}), link, there
}

// cacheFull has every source be more than the cache may keep.
func cacheFull(t *testing.T) {
	s, _, _ := abroad(t, "--cache-bytes", "1B")
	clip := rig.Clip(t, "clip.ts", "320x180", 4, "-f", "mpegts")
	for n := range 3 {
		over(t, s, s.Upload(clip, fmt.Sprintf("stream %d.ts", n)), 1)
	}
}

func storageAway(t *testing.T) {
	s, link, _ := abroad(t)
	setQueues(t, s, map[string]any{"paused": true}, "encode")
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 22), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return len(v.Steps) > 1 })
	link.Cut()
	setQueues(t, s, map[string]any{"paused": false}, "encode")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return met(v, "storage_unavailable") })
	link.Mend()
	over(t, s, id, 1<<20)
}

// bucketMissing moves the folder of a bucket away, as of a storage whose disk is not mounted yet.
func bucketMissing(t *testing.T) {
	s, _, there := abroad(t)
	setQueues(t, s, map[string]any{"paused": true}, "encode", "still")
	id := s.Upload(pictures(t), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return len(v.Steps) > 1 })
	gone, back := filepath.Join(there.Root, "media"), filepath.Join(there.Root, ".media")
	if err := os.Rename(gone, back); err != nil {
		t.Fatal(err)
	}
	setQueues(t, s, map[string]any{"paused": false}, "encode", "still")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool {
		for _, step := range v.Steps {
			if n := len(step.Attempts); step.Name != "ingest" && n > 0 && step.Attempts[n-1].Error != nil {
				return true
			}
		}
		return false
	})
	if err := os.Rename(back, gone); err != nil {
		t.Fatal(err)
	}
	over(t, s, id, 1<<20)
}

// met reports whether an attempt at a video failed with a code.
func met(v rig.Video, code string) bool {
	for _, step := range v.Steps {
		for _, a := range step.Attempts {
			if a.Error != nil && a.Error.Code == code {
				return true
			}
		}
	}
	return false
}

func databaseAway(t *testing.T) {
	link, dsn := away.BeforeURL(t, enginetest.Postgres(t))
	s := rig.Start(t, rig.Options{Tags: "drill", Env: []string{"SLUICE_DATABASE=" + dsn}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 10), "clip.mp4")
	s.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return len(v.Steps) > 1 })
	link.Cut()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if status, _ := rig.Get(t, s.URL+"/readyz"); status != http.StatusOK {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("nobody notices that the database is away")
		}
	}
	link.Mend()
	over(t, s, id, 1<<20)
}

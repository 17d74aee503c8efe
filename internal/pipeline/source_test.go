package pipeline

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

const mb = 1 << 20

// drive is a disk of which the copies in a pipeline's scratch take room: it counts bytes that nobody writes.
type drive struct {
	t      *testing.T
	total  int64
	taken  int64 // by sources and outputs
	least  int64
	low    bool
	since  time.Time
	now    time.Time
	sizes  map[string]int64 // of copies, by their file
	way    *Pipeline
	awoken []int64
}

func newDrive(t *testing.T, total, least int64) *drive {
	t.Helper()
	d := &drive{t: t, total: total, least: least, now: time.Unix(1e9, 0), sizes: map[string]int64{}}
	d.way = New(Config{
		Scratch: t.TempDir(), Space: d.space, Alone: true, Now: func() time.Time { return d.now }, Log: slog.New(slog.DiscardHandler),
		Wake: func(job int64) { d.awoken = append(d.awoken, job) },
	})
	return d
}

func (d *drive) space() (Space, error) {
	s := Space{Total: d.total, Free: d.total - d.taken, Least: d.least}
	for g, c := range d.way.sources.all { // asked in the middle of its work, by the one goroutine of the test
		if c.there {
			s.Free -= d.sizes[d.way.sources.path(g.video, g.n, "mp4")]
		}
	}
	was := d.low
	if d.low = s.Free < s.Least || d.low && s.Free < s.Least+s.Least/4; d.low && !was {
		d.since = d.now
	}
	if s.Low = d.low; s.Low {
		s.For = d.now.Sub(d.since)
	}
	return s, nil
}

// copy makes the copy of a source of so many bytes as a step does, and returns what ends the step.
func (d *drive) copy(id string, size int64, begun bool, job int64) (done func(), err error) {
	d.t.Helper()
	g := generation{video.ID(id), 1}
	done = d.way.sources.read(g, size)
	name := d.way.sources.path(g.video, g.n, "mp4")
	if d.way.sources.have(g, name) {
		return done, nil
	}
	if err := d.way.sources.reserve(g, demand{bytes: copyNeed(size), kept: size, copy: true, begun: begun, job: job}); err != nil {
		done()
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		d.t.Fatal(err)
	}
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		d.t.Fatal(err)
	}
	d.sizes[name] = size
	d.way.sources.made(g)
	return done, nil
}

// made has an ingest make a copy, and ends it.
func (d *drive) made(id string, size int64) {
	d.t.Helper()
	done, err := d.copy(id, size, false, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	done()
	d.now = d.now.Add(time.Second)
}

// there lists the videos whose copies are there.
func (d *drive) there() (all []string) {
	for name := range d.sizes {
		if _, err := os.Stat(name); err == nil {
			dir := filepath.Base(filepath.Dir(name))
			all = append(all, dir[:len(dir)-2])
		}
	}
	slices.Sort(all)
	return all
}

func code(err error) string {
	if err == nil {
		return ""
	}
	return fault.Of(err).Code
}

func TestSweep_CopyUnusedForAnHour_IsRemoved(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 0)
	d.made("idle", mb)
	d.made("used", mb)
	d.now = d.now.Add(50 * time.Minute)
	done, err := d.copy("used", mb, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.now = d.now.Add(keepCopy + time.Minute)
	d.way.sources.sweep()
	if got := d.there(); !slices.Equal(got, []string{"used"}) {
		t.Errorf("there are copies of %v while a step reads one", got)
	}
	done()
	d.now = d.now.Add(keepCopy + time.Minute)
	d.way.sources.sweep()
	if got := d.there(); len(got) > 0 {
		t.Errorf("the copies of %v stay", got)
	}
}

func TestReserve_RoomBesideOthers_DecidesWhoWaits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		total  int64
		others func(*drive)
		size   int64
		begun  bool
		want   string
	}{
		{"an ingest alone whose copy fits", 400 * mb, func(*drive) {}, 100 * mb, false, ""},
		{"an ingest alone that would make the disk low", 330 * mb, func(d *drive) { d.taken = 130 * mb }, 100 * mb, false, "disk_full"},
		{"a generation alone that has begun uses what is kept free", 330 * mb, func(d *drive) { d.taken = 130 * mb }, 100 * mb, true, ""},
		{"all but a quarter of it", 330 * mb, func(d *drive) { d.taken = 202 * mb }, 100 * mb, true, "disk_full"},
		{"an ingest leaves room for the outputs of who has a copy", 700 * mb, func(d *drive) { d.taken = 200 * mb; d.made("other", 100*mb) }, 100 * mb, false, "disk_full"},
		{"and what has begun does not wait for that", 700 * mb, func(d *drive) { d.taken = 200 * mb; d.made("other", 100*mb) }, 100 * mb, true, ""},
		{"a copy that is being made counts", 450 * mb, func(d *drive) {
			d.way.sources.read(generation{"other", 1}, 100*mb)
			if err := d.way.sources.reserve(generation{"other", 1}, demand{bytes: 250 * mb, copy: true, begun: true}); err != nil {
				d.t.Fatal(err)
			}
		}, 100 * mb, true, "disk_full"},
		{"an ingest leaves room for who has begun and waits", 1200 * mb, func(d *drive) {
			d.made("reader", 100*mb)
			d.taken = 800 * mb
			if _, err := d.copy("other", 500*mb, true, 0); code(err) != "disk_full" {
				d.t.Fatal(err)
			}
			d.way.sources.forget("reader", 1)
		}, 100 * mb, false, "disk_full"},
		{"a copy that never fits", 280 * mb, func(*drive) {}, 100 * mb, false, "disk_too_small"},
	} {
		d := newDrive(t, c.total, 100*mb)
		c.others(d)
		_, err := d.copy("it", c.size, c.begun, 7)
		if code(err) != c.want || err != nil && fault.Permanent(err) != (c.want == "disk_too_small") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// fetch promises the room for the fetch of a remote source.
func (d *drive) fetch(id string, size int64, begun bool) (done func(), err error) {
	d.t.Helper()
	g := generation{video.ID(id), 1}
	done = d.way.sources.read(g, size)
	return done, d.way.sources.reserve(g, demand{bytes: size, begun: begun})
}

func TestReserve_Fetch_NeedsOnlyWhatIsMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		total  int64
		others func(*drive)
		want   string
	}{
		{"a source that fits once", 250 * mb, func(*drive) {}, ""},
		{"beside a copy that is there", 400 * mb, func(d *drive) { d.made("other", 100*mb) }, ""},
		{"no room now", 250 * mb, func(d *drive) { d.taken = 100 * mb }, "disk_full"},
		{"a source that never fits", 190 * mb, func(*drive) {}, "disk_too_small"},
	} {
		d := newDrive(t, c.total, 100*mb)
		c.others(d)
		if _, err := d.fetch("it", 100*mb, false); code(err) != c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		if d.way.sources.waits("it", 1) {
			t.Errorf("%s: the generation waits for a copy that no step makes", c.name)
		}
	}
}

func TestFetched_ReaderGoesOn_GivesItsRoomToOthers(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 400*mb, 100*mb)
	done, err := d.fetch("first", 120*mb, false)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	if _, err := d.fetch("second", 270*mb, false); code(err) != "disk_full" {
		t.Errorf("room that is promised is promised again: %v", err)
	}
	d.taken = 120 * mb // the source is in the cache
	d.way.sources.fetched(generation{"first", 1}, 120*mb)
	if _, err := d.fetch("third", 120*mb, false); err != nil {
		t.Errorf("bytes that are on the disk count twice: %v", err)
	}
}

func TestHold_LowDisk_KeepsTheOldestCopyAndItsGenerationGoesOn(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 100*mb)
	for _, id := range []string{"a", "b", "c", "d"} {
		d.made(id, 50*mb)
	}
	d.taken = 720 * mb // 80 are free
	busy, err := d.copy("c", 50*mb, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if h := d.way.Hold(ControlQueue); h.Held {
		t.Error("publishing and removal are held")
	}
	if h := d.way.Hold("mail"); h.Held {
		t.Error("another package's queue is held")
	}
	if h := d.way.Hold(EncodeQueue); h.Held || !slices.Equal(d.there(), []string{"a", "b", "c"}) { // 130 are free
		t.Errorf("hold is %+v and there are copies of %v", h, d.there())
	}
	d.taken = 830 * mb
	if h := d.way.Hold(EncodeQueue); !h.Held || !slices.Equal(h.Except, []string{"c"}) || !slices.Equal(d.there(), []string{"c"}) {
		t.Errorf("hold is %+v and there are copies of %v", h, d.there())
	}
	if h := d.way.Hold(IngestQueue); !h.Held || !slices.Equal(h.Except, []string{"c"}) {
		t.Errorf("ingest: %+v", h)
	}
	busy()
	d.taken = 930 * mb // 20 are free, less than a quarter of what is kept
	if d.way.Hold(StillQueue); len(d.there()) > 0 {
		t.Errorf("there are copies of %v on a disk that has no room for what they are for", d.there())
	}
}

func TestHold_GenerationThatDoesNothing_LeavesItsTurnToTheNext(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 400*mb)
	d.made("a", 50*mb)
	d.made("b", 50*mb)
	d.taken = 560 * mb // low even without the copies
	turns := map[string]bool{}
	for range 4 {
		h := d.way.Hold(EncodeQueue)
		if len(h.Except) != 1 {
			t.Fatalf("hold is %+v", h)
		}
		turns[h.Except[0]] = true
		d.now = d.now.Add(idleCopy + time.Second)
	}
	if len(turns) != 2 {
		t.Errorf("only %v go on", turns)
	}
}

func TestHold_LowForADay_LetsTriesCount(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 400*mb)
	d.taken = 700 * mb
	if h := d.way.Hold(EncodeQueue); !h.Held || h.Count {
		t.Errorf("at first: %+v", h)
	}
	d.now = d.now.Add(longestLow + time.Second)
	for _, queue := range []string{IngestQueue, EncodeQueue, StillQueue} {
		if h := d.way.Hold(queue); h.Held || !h.Count {
			t.Errorf("%s after a day: %+v", queue, h)
		}
	}
	d.way.Alone = false
	if h := d.way.Hold(EncodeQueue); !h.Held {
		t.Errorf("where other machines take the work: %+v", h)
	}
}

func TestHold_RoomFreed_WakesWhoWaitsForIt(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 700*mb, 100*mb)
	d.made("first", 100*mb)
	d.taken = 300 * mb
	for job := range int64(3) {
		if _, err := d.copy(fmt.Sprint("later", job), 100*mb, false, job+1); code(err) != "disk_full" {
			t.Fatalf("%v", err)
		}
		d.now = d.now.Add(time.Second)
	}
	if d.way.Hold(EncodeQueue); len(d.awoken) > 0 {
		t.Errorf("%v are woken and have no room", d.awoken)
	}
	d.way.sources.forget("first", 1)
	d.now = d.now.Add(2 * time.Second)
	if d.way.Hold(EncodeQueue); !slices.Equal(d.awoken, []int64{1, 2}) {
		t.Errorf("%v are woken", d.awoken)
	}
}

func TestHold_CopyOfAnIngestMakesTheDiskLow_ItsIngestGoesOn(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 400*mb)
	d.way.Alone = false
	d.made("a", 150*mb) // the try ends after that
	d.taken = 480 * mb  // 370 are free: low, and without the copy it would not be
	if h := d.way.Hold(IngestQueue); !h.Held || !slices.Equal(h.Except, []string{"a"}) {
		t.Fatalf("hold is %+v", h)
	}
	if done, err := d.copy("a", 150*mb, false, 1); err != nil {
		t.Error(err)
	} else {
		done()
	}
}

func TestHold_LowDiskByACopyThatNobodyUses_EndsAfterAnHour(t *testing.T) {
	t.Parallel()
	for _, alone := range []bool{true, false} {
		d := newDrive(t, 1000*mb, 400*mb)
		d.way.Alone = alone
		d.made("ended elsewhere", 150*mb)
		d.taken = 480 * mb
		for began := d.now; d.way.Hold(EncodeQueue).Held; d.now = d.now.Add(time.Minute) {
			if d.now.Sub(began) > keepCopy+5*time.Minute {
				t.Fatalf("alone %v: still held, by the copies of %v", alone, d.there())
			}
		}
	}
}

func TestHold_GenerationHeldForHours_KeepsItsPlace(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 400*mb)
	d.made("busy", 50*mb)
	d.made("waits", 50*mb)
	done, err := d.copy("busy", 50*mb, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.taken = 640 * mb // low even without the copies
	for range 5 * 60 {
		if h := d.way.Hold(EncodeQueue); !slices.Equal(h.Except, []string{"busy"}) {
			t.Fatalf("hold is %+v", h)
		}
		d.now = d.now.Add(time.Minute)
	}
	done()
	d.way.sources.forget("busy", 1)
	if h := d.way.Hold(EncodeQueue); !h.Held || !slices.Equal(h.Except, []string{"waits"}) {
		t.Errorf("hold is %+v", h)
	}
}

func TestHold_TwoGenerationsThatEndedElsewhere_LeaveTurnsToTheThird(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 400*mb)
	for _, id := range []string{"ended1", "ended2", "waits"} {
		d.made(id, 20*mb)
	}
	d.way.sources.clear()
	d.taken = 700 * mb
	turns := map[string]int{}
	for range 40 {
		for _, id := range d.way.Hold(EncodeQueue).Except {
			turns[id]++
		}
		d.now = d.now.Add(15 * time.Second)
	}
	if len(turns) != 3 || turns["waits"] < 8 {
		t.Errorf("turns: %v", turns)
	}
}

func TestHold_CopyUnusedForAnHour_IsRemoved(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 100*mb)
	d.made("a", 300*mb)
	d.now = d.now.Add(keepCopy + time.Second)
	if d.way.Hold(EncodeQueue); len(d.there()) > 0 {
		t.Errorf("there are copies of %v", d.there())
	}
	d.made("b", 300*mb)
	d.way.Space = nil // nothing is kept free
	d.now = d.now.Add(keepCopy + time.Second)
	if d.way.Hold(EncodeQueue); len(d.there()) > 0 {
		t.Errorf("without a limit there are copies of %v", d.there())
	}
}

func TestRouse_GenerationThatEndedElsewhere_LeavesRoomToOthers(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 100*mb)
	d.taken = 800 * mb
	for i, id := range []string{"ended", "waits"} {
		if _, err := d.copy(id, 300*mb, id == "ended", int64(i+1)); code(err) != "disk_full" {
			t.Fatal(err)
		}
		d.now = d.now.Add(time.Second)
	}
	d.taken = 400 * mb // room for one
	for began := d.now; !slices.Contains(d.awoken, 2); d.now = d.now.Add(time.Second) {
		if d.way.Hold(IngestQueue); d.now.Sub(began) > lastWanted+time.Minute {
			t.Fatalf("woken are %v", d.awoken)
		}
	}
	if len(d.awoken) > 20 {
		t.Errorf("%d writes wake a job that is gone", len(d.awoken))
	}
}

func TestLeft_StepOfAnEndedGeneration_RemovesWhatNobodyReads(t *testing.T) {
	t.Parallel()
	d := newDrive(t, 1000*mb, 100*mb)
	d.made("a", 100*mb)
	done, err := d.copy("a", 100*mb, true, 0)
	if err != nil {
		t.Fatal(err)
	}
	if d.way.sources.left("a", 1); len(d.there()) != 1 {
		t.Error("a copy that another step reads is removed")
	}
	done()
	if d.way.sources.left("a", 1); len(d.there()) != 0 || len(d.way.sources.all) != 0 {
		t.Errorf("there are copies of %v", d.there())
	}
}

// work is a video of the simulation.
type work struct {
	id       string
	size     int64
	outputs  int64 // of one chunk
	chunks   int
	begun    bool
	running  func() // ends the chunk that runs
	finished bool
}

// TestRoom_RandomWorkThatFitsInTheEnd_AllEnds takes random steps of random videos on a disk on which all outputs fit
// and no two copies need to: whoever is chosen, all end.
func TestRoom_RandomWorkThatFitsInTheEnd_AllEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		simulate(t, seed)
	}
}

func simulate(t *testing.T, seed uint64) {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // a test's choices
	least := int64(random.IntN(3)) * 100 * mb
	var all []*work
	sum, largest := int64(0), int64(0)
	for n := range 2 + random.IntN(6) {
		w := &work{id: fmt.Sprint("v", n), size: int64(20+random.IntN(300)) * mb, chunks: 1 + random.IntN(4)}
		w.outputs = int64(random.IntN(200)) * w.size / 100 / int64(w.chunks)
		all = append(all, w)
		sum += w.size + w.outputs*int64(w.chunks)
		largest = max(largest, copyNeed(w.size))
	}
	d := newDrive(t, sum+largest+least+least/4, least)
	for _, w := range all {
		d.taken += w.size
	}
	took := 0
	for quiet := d.now; ; took++ {
		left := slices.DeleteFunc(slices.Clone(all), func(w *work) bool { return w.finished })
		if len(left) == 0 {
			return
		}
		if d.now.Sub(quiet) > time.Hour {
			s, _ := d.space()
			t.Fatalf("seed %d: %d of %d are left after an hour without a step; %d MB of %d are free, %d are kept free, low: %v, there are copies of %v",
				seed, len(left), len(all), s.Free/mb, s.Total/mb, s.Least/mb, s.Low, d.there())
		}
		d.now = d.now.Add(time.Duration(random.IntN(20)) * time.Second)
		if d.advance(left[random.IntN(len(left))]) {
			quiet = d.now
		}
		if s, _ := d.space(); s.Free < 0 {
			t.Fatalf("seed %d: %d MB more are used than there are", seed, -s.Free/mb)
		}
	}
}

// advance has a video take a step, and reports whether it could.
func (d *drive) advance(w *work) bool {
	if w.running != nil {
		d.taken += w.outputs
		w.running()
		if w.running = nil; w.chunks == 0 {
			d.way.sources.forget(video.ID(w.id), 1)
			w.finished = true
		}
		return true
	}
	queue := EncodeQueue
	if !w.begun {
		queue = IngestQueue
	}
	if h := d.way.Hold(queue); h.Held && !slices.Contains(h.Except, w.id) {
		return false
	}
	r := &run{ref: video.StepRef{Video: video.ID(w.id), Generation: 1, Name: video.StepName(queue)}}
	if d.way.room(r) != nil {
		return false
	}
	done, err := d.copy(w.id, w.size, w.begun, 1)
	if code(err) == "disk_too_small" {
		d.t.Fatal(err)
	}
	if err != nil {
		return false
	}
	if !w.begun {
		w.begun = true
		done()
		return true
	}
	w.chunks--
	w.running = done
	return true
}

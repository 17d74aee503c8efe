package pipeline

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

// Space is the room on the disk that scratch fills, in bytes.
type Space struct {
	Free  int64
	Total int64         // of the whole disk, used or free
	Least int64         // what is kept free
	Low   bool          // less than Least is free, or was and not enough has been freed since
	For   time.Duration // how long it has been low
}

const (
	// keepCopy is how long a copy that no step reads is kept while there is room: what ends a generation removes the
	// copies of its own machine alone.
	keepCopy = time.Hour
	// idleCopy is how long a copy that no step reads keeps others from the room that it takes.
	idleCopy = time.Minute
	// lastWanted is how long room is left to a generation that waits for it: each try renews that, and tries are at
	// most 6 minutes apart (engine.Backoff).
	lastWanted = 10 * time.Minute
	// sureWakes is how often a job is woken while the room is kept for it; then others get the room, since what waited
	// may have ended on another machine.
	sureWakes = 3
	// longestLow is how long a low disk holds work. From then on work is tried again and its tries count, as where
	// any other part is away (engine.Config.LongestWait).
	longestLow = 24 * time.Hour
)

// errNoRoom is why a step waits that has not met a full disk, and is kept from it.
var errNoRoom = errors.New("no room is left that may be used")

// demand is the room that a step asks for.
type demand struct {
	bytes int64
	kept  int64 // bytes of the source that are on this disk by then and stay there
	copy  bool  // for a copy; otherwise only for the fetch of a remote source
	begun bool  // the step is of a generation that has begun, not an ingest
	job   int64 // is woken when the room is there
}

// copyNeed is the room that a copy needs: remuxing keeps the streams and adds an index, which takes less than a
// sixteenth of any source but the smallest.
func copyNeed(source int64) int64 { return source + source/16 + 1<<20 }

// generation names what a copy is of.
type generation struct {
	video video.ID
	n     int
}

// sources keeps, for each generation, the copy of a source in a container with an index, where the source has none.
// It can be made again from the source at any time, so a crash costs only the copying. It also keeps the copies from
// filling the disk:
//
//   - A copy is made only where it fits beside those that are being made; else the step waits (fault.Unavailable,
//     "disk_full").
//   - Generations that have begun come first: ingest also leaves room for the copies that they wait for, and for the
//     outputs of those that have one.
//   - A low disk keeps no copy that no step reads, but one: that generation goes on, its ingest too, because its end
//     frees the copy. A generation that has begun and is alone may use three quarters of what is kept free.
//   - A copy that does not fit on a disk that holds nothing but its source fails its generation (fault.Invalid,
//     "disk_too_small"). So does a remote source that has to be fetched whole and never fits.
type sources struct {
	dir   string
	space func() (Space, error) // nil: there is room
	spare func()                // gives back what else is kept for later: the source cache; may be nil
	now   func() time.Time
	wake  func(job int64) // has a job that waits tried now; may be nil
	woke  time.Time       // when that was last looked for
	low   bool            // the disk is low, as Hold last saw it
	lowAt time.Time       // when it last was

	under singleflight.Group
	mu    sync.Mutex
	all   map[generation]*copied
	first *copied   // goes on while the disk is low
	since time.Time // when first was chosen
}

// copied is what this process knows of a generation's copy.
type copied struct {
	generation
	source   int64 // bytes
	readers  int   // steps that read it, or make it
	there    bool  // the file is whole
	reserved int64 // room that is promised to who makes it
	made     time.Time
	used     time.Time
	want     int64 // room that it waits for; 0 where it waits for none
	copies   bool  // it waits for room for a copy, not only for the fetch of its source
	begun    bool  // what waits is a generation that has begun, not an ingest
	job      int64 // that waits
	wakes    int   // how often that was woken since it was refused room
	woken    time.Time
	last     time.Time // when it was last chosen to go on while the disk is low
	turn     time.Time // when it was first chosen since its last use
}

func (s *sources) path(id video.ID, n int, container string) string {
	return filepath.Join(s.folder(generation{id, n}), "source."+map[string]string{"mp4": "mp4", "matroska": "mkv"}[container])
}

func (s *sources) folder(g generation) string {
	return filepath.Join(s.dir, fmt.Sprintf("%s-%d", g.video, g.n))
}

// read notes a reader of a generation's copy, there or not: it is not removed until the returned function is called.
func (s *sources) read(g generation, size int64) (done func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[g]
	if c == nil {
		c = &copied{generation: g, source: size, made: s.now()}
		if s.all == nil {
			s.all = map[generation]*copied{}
		}
		s.all[g] = c
	}
	c.readers++
	c.used = s.now()
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		c.readers--
		c.used = s.now()
		if c.readers == 0 {
			c.reserved = 0
			if !c.there && c.want == 0 && s.all[g] == c {
				delete(s.all, g)
			}
		}
	})
}

// waits reports whether a generation waits for room for its copy.
func (s *sources) waits(id video.ID, n int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[generation{id, n}]
	return c != nil && c.want > 0 && c.copies
}

// have reports whether the copy is there. The caller reads it.
func (s *sources) have(g generation, path string) bool {
	_, err := os.Stat(path)
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[g]
	if c != nil && c.there && err != nil { // somebody else removed it
		c.there = false
	}
	return c != nil && c.there
}

// reserve promises room to the steps of g, of which the caller has noted itself as a reader, until the copy is made,
// the
// source is fetched (fetched) or no step reads g.
func (s *sources) reserve(g generation, d demand) error {
	if s.space == nil {
		return nil
	}
	err := s.promise(g, d)
	if fault.Is(err, fault.Unavailable) && s.spare != nil {
		s.spare()
		err = s.promise(g, d)
	}
	for d.begun && fault.Is(err, fault.Unavailable) && s.dropOne(idleCopy) {
		err = s.promise(g, d)
	}
	return err
}

func (s *sources) promise(g generation, d demand) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	space, err := s.space() // under the mutex: a copy that is whole by then no longer has its room reserved
	if err != nil {
		return err
	}
	c := s.all[g]
	if c.reserved >= d.bytes {
		return nil
	}
	if space.Total-d.kept-d.bytes < space.Least {
		c.want = 0
		return tooSmall(d, space)
	}
	c.copies = d.copy
	if !s.fits(c, space, d.bytes, d.begun) {
		c.want, c.begun, c.job, c.wakes = d.bytes, d.begun, d.job, 0
		return noRoom(d, space)
	}
	c.want, c.reserved = 0, d.bytes
	return nil
}

// tooSmall is the failure of what never fits.
func tooSmall(d demand, space Space) error {
	what, use := "A file without an index is copied before it is encoded; the copy needs", "an MP4, MOV, Matroska or WebM file"
	if !d.copy {
		what, use = "A file of this kind is fetched whole before it is encoded, which needs", "an MP4 or MOV file that is not fragmented"
	}
	return fault.New(fault.Invalid, "pipeline.room", "disk_too_small", fmt.Sprintf("%s %d MB, and the server's disk has %d MB in all, of which "+
		"%d MB are kept free. Upload %s, or give the server a larger disk.", what, d.bytes>>20, space.Total>>20, space.Least>>20, use), nil)
}

// noRoom is why a step waits for room.
func noRoom(d demand, space Space) error {
	what := "The copy of a file without an index"
	if !d.copy {
		what = "A file that is fetched whole"
	}
	return fault.New(fault.Unavailable, "pipeline.room", "disk_full", fmt.Sprintf("%s needs %d MB of the server's disk, which has %d MB left and "+
		"keeps %d MB free; the step waits for room. Free some space.", what, d.bytes>>20, space.Free>>20, space.Least>>20), errNoRoom)
}

// fetched ends the promise of so many bytes: the source is in the cache, and counts there.
func (s *sources) fetched(g generation, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.all[g]; c != nil {
		c.reserved = max(0, c.reserved-bytes)
	}
}

// fits reports whether c's copy, of need bytes, may be made now. The mutex is held.
func (s *sources) fits(c *copied, space Space, need int64, begun bool) bool {
	floor, others, outputs := space.Least, 0, int64(0)
	for _, o := range s.all {
		switch {
		case o == c:
		case o.there || o.reserved > 0:
			others++
			need += o.reserved
			outputs += o.source // outputs take about as much as the source (docs/OPERATIONS.md)
		case o.want > 0 && o.begun && !begun && s.now().Sub(o.used) < lastWanted:
			need += o.want
		}
	}
	switch {
	case !begun && space.Low:
		return false
	case !begun && others > 0 && c.copies:
		need += outputs + c.source
	case begun && others == 0:
		floor /= 4
	}
	return space.Free-need >= floor
}

// made notes that the copy is whole.
func (s *sources) made(g generation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.all[g]
	c.there, c.reserved, c.want, c.job, c.made = true, 0, 0, 0, s.now()
}

// forget removes the copy of a generation that is over.
func (s *sources) forget(id video.ID, n int) {
	g := generation{id, n}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.all[g]; c != nil {
		c.there, c.reserved, c.want = false, 0, 0
		if c.readers == 0 {
			delete(s.all, g)
		}
	}
	_ = os.RemoveAll(s.folder(g)) // scratch is emptied at start, too
}

// drop removes a copy that nobody reads. Its generation has begun: it is the first to get room again. The mutex is
// held.
func (s *sources) drop(c *copied) {
	_ = os.RemoveAll(s.folder(c.generation))
	c.there, c.want, c.copies, c.begun = false, copyNeed(c.source), true, true
	c.used = s.now()
}

// idle lists the copies that no step has read for some time, the last made first. The mutex is held.
func (s *sources) idle(rest time.Duration) (all []*copied) {
	now := s.now()
	for _, c := range s.all {
		if c.there && c.readers == 0 && now.Sub(c.used) >= rest {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *copied) int { return b.made.Compare(a.made) })
	return all
}

// dropOne removes the copy that was made last of those that no step has read for some time, and reports whether there
// was one.
func (s *sources) dropOne(rest time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	idle := s.idle(rest)
	if len(idle) > 0 {
		s.drop(idle[0])
	}
	return len(idle) > 0
}

// clear removes what nobody reads: the disk is full, whatever is kept free.
func (s *sources) clear() {
	if s.spare != nil {
		s.spare()
	}
	for s.dropOne(0) {
	}
}

// note keeps when the disk was low.
func (s *sources) note(space Space) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.low = space.Low; s.low {
		s.lowAt = s.now()
	}
}

// sweep forgets what has not been used for keepCopy, and reports whether that was any: its generation went on, or
// ended,
// on another machine. While the disk is low a generation cannot use its copy before its turn, so its time begins there.
func (s *sources) sweep() (any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for g, c := range s.all {
		since := later(c.used, s.lowAt)
		if s.low {
			since = later(c.used, c.turn)
		}
		if c.readers > 0 || s.low && !c.turn.After(c.used) || s.now().Sub(since) <= keepCopy {
			continue
		}
		_ = os.RemoveAll(s.folder(g))
		delete(s.all, g)
		any = true
	}
	return any
}

// left forgets the copy of a generation of which a step found nothing to do, or was canceled. Another step may read it
// still; then that one forgets it.
func (s *sources) left(id video.ID, n int) {
	g := generation{id, n}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.all[g]; c != nil && c.readers == 0 {
		_ = os.RemoveAll(s.folder(g))
		delete(s.all, g)
	}
}

// room makes a step wait that writes much, where three quarters of what is kept free are used up: the rest is for the
// database and for what frees space.
func (p *Pipeline) room(r *run) error {
	if p.Space == nil || r.ref.Name == video.Publish {
		return nil
	}
	space, err := p.Space()
	if err != nil || !space.Low || space.Free >= space.Least/4 {
		return err
	}
	return fault.New(fault.Unavailable, "pipeline.room", "disk_full",
		fmt.Sprintf("The server's disk has %d MB left; the work waits for room. Free some space.", space.Free>>20), errNoRoom)
}

// Hold says which jobs of a queue wait because the disk is low. It removes first what nobody reads and what would end
// that.
func (p *Pipeline) Hold(queue string) engine.Hold {
	if !NeedsRoom(queue) {
		return engine.Hold{}
	}
	if p.Space == nil {
		p.sources.sweep()
		return engine.Hold{}
	}
	space, err := p.Space()
	if err != nil {
		return engine.Hold{Held: true}
	}
	if space.Low {
		space, err = p.sources.shrink(space)
	}
	p.sources.rouse(space)
	if err == nil {
		p.sources.note(space)
	}
	if p.sources.sweep() && err == nil {
		space, err = p.Space()
	}
	switch {
	case err != nil:
		return engine.Hold{Held: true}
	case !space.Low:
		return engine.Hold{}
	case p.Alone && space.For > longestLow:
		return engine.Hold{Count: true}
	default: // ingest too: where it made the copy and its try ended, only its next try leads to what frees the copy
		return engine.Hold{Held: true, Except: p.sources.favored(space)}
	}
}

// shrink removes copies that nobody reads, the last made first, until the disk is no longer low. It keeps the one
// that may go on.
func (s *sources) shrink(space Space) (_ Space, err error) {
	if s.spare != nil {
		s.spare()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.choose(space)
	for _, c := range s.idle(0) {
		if space, err = s.space(); err != nil || !space.Low {
			return space, err
		}
		if c == s.first && space.Free >= space.Least/4 {
			continue
		}
		s.drop(c)
	}
	if space, err = s.space(); err == nil && s.first == nil {
		s.choose(space)
	}
	return space, err
}

// choose sets first, the generation that goes on while the disk is low: one that is read now, else one whose copy is
// there, else one that waits to have its own again; of several, the one whose last turn is longest ago, then the oldest
// copy. One without a reader for idleCopy leaves its turn to the next. The mutex is held.
func (s *sources) choose(space Space) {
	now := s.now()
	if f := s.first; f != nil && s.all[f.generation] == f && s.mayGoOn(f, space) && (f.readers > 0 || now.Sub(later(f.used, s.since)) < idleCopy) {
		return
	}
	var all []*copied
	for _, c := range s.all {
		if s.mayGoOn(c, space) {
			all = append(all, c)
		}
	}
	slices.SortFunc(all, func(a, b *copied) int {
		return cmp.Or(bit(a == s.first)-bit(b == s.first), rank(a)-rank(b), a.last.Compare(b.last), a.made.Compare(b.made), cmp.Compare(a.video, b.video))
	})
	s.first, s.since = nil, now
	if len(all) > 0 {
		s.first = all[0]
		s.first.last = now
		if !s.first.turn.After(s.first.used) {
			s.first.turn = now
		}
	}
}

// mayGoOn reports whether the steps of a generation may write on a low disk: its end frees a copy, and a quarter of
// what is kept free is left. The mutex is held.
func (s *sources) mayGoOn(c *copied, space Space) bool {
	if c.there {
		return space.Free >= space.Least/4
	}
	return c.want > 0 && c.copies && c.begun && space.Free-c.want >= space.Least/4
}

func rank(c *copied) int {
	switch {
	case c.readers > 0:
		return 0
	case c.there:
		return 1
	default:
		return 2
	}
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// favored is the group of jobs that goes on while the disk is low.
func (s *sources) favored(space Space) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first == nil || !s.mayGoOn(s.first, space) {
		return nil
	}
	return []string{string(s.first.video)}
}

// rouse has those tried whose copies fit by now: first what has begun, then what has waited longest. A job whose
// refusal is not recorded yet is woken again a second later, then after twice as long each time, at most 256 s.
func (s *sources) rouse(space Space) {
	s.mu.Lock()
	now := s.now()
	if s.wake == nil || now.Sub(s.woke) < time.Second {
		s.mu.Unlock()
		return
	}
	s.woke = now
	var waiting []*copied
	for _, c := range s.all {
		if c.want > 0 && c.job != 0 && c.readers == 0 {
			waiting = append(waiting, c)
		}
	}
	slices.SortFunc(waiting, func(a, b *copied) int { return cmp.Or(bit(b.begun)-bit(a.begun), a.made.Compare(b.made)) })
	var jobs []int64
	for _, c := range waiting {
		if !s.fits(c, space, c.want, c.begun) {
			continue
		}
		if c.wakes == 0 || now.Sub(c.woken) >= time.Second<<min(c.wakes-1, 8) {
			c.wakes++
			c.woken = now
			jobs = append(jobs, c.job)
		}
		if c.wakes <= sureWakes {
			space.Free -= c.want
		}
	}
	s.mu.Unlock()
	for _, j := range jobs {
		s.wake(j)
	}
}

package ffmpeg

import (
	"bytes"
	"container/heap"
	"strconv"
	"time"

	"sluice/internal/video"
)

// reorder is how many pictures may lie between a picture's places in decoding and in showing: 16 in H.264 and HEVC,
// twice that for fields, and room for containers that interleave oddly.
const reorder = 64

// jump is the gap in a transport stream's clock that is a break, not a pause: what ffmpeg takes for one
// (-dts_delta_threshold).
const jump = 10 * time.Second

// track measures one stream from its packets.
type track struct {
	base     video.Ratio // seconds a tick
	clock    *clock
	packets  int64
	skipped  int64 // packets that an edit list leaves out
	untimed  int64 // packets without a presentation time
	first    int64 // ticks, of the earliest packet shown
	last     int64 // ticks, of the latest packet shown
	end      int64 // ticks, of the latest end of a packet
	duration int64 // ticks, of the packets together
	shown    cadence
	decoded  cadence
	pending  ticks // presentation times not yet in order
	latest   int64 // last time that left pending
	begun    bool  // latest counts
	lastDTS  int64
	timed    bool
}

// scan reads ffprobe's packet lines and measures the streams it was told of. It holds a few kilobytes a stream,
// however long the source is.
type scan struct {
	tracks map[int]*track
	breaks bool           // the container's clock may jump (transport streams)
	clocks map[int]*clock // by program: each has its own (ISO/IEC 13818-1 §2.4.2.1)
	rest   []byte         // an unfinished line
}

// clock follows the clock of one program over its jumps.
type clock struct {
	shift time.Duration
	last  time.Duration // of the last packet, shifted
	runs  bool          // last counts
}

// clockOf is the clock of a program; -1 is that of all tracks without one.
func (s *scan) clockOf(program int) *clock {
	if s.clocks[program] == nil {
		if s.clocks == nil {
			s.clocks = map[int]*clock{}
		}
		s.clocks[program] = &clock{}
	}
	return s.clocks[program]
}

// Write takes output of ffprobe -of csv=p=0 with the entries stream_index, pts, dts, duration, flags.
func (s *scan) Write(p []byte) (int, error) {
	n := len(p)
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if len(s.rest)+len(p) <= 4096 {
				s.rest = append(s.rest, p...)
			}
			return n, nil
		}
		s.line(append(s.rest, p[:i]...))
		s.rest, p = s.rest[:0], p[i+1:]
	}
}

func (s *scan) line(line []byte) {
	f := bytes.Split(line, []byte(","))
	if len(f) < 5 {
		return
	}
	index, err := strconv.Atoi(string(f[0]))
	t := s.tracks[index]
	if err != nil || t == nil {
		return
	}
	if bytes.ContainsRune(f[4], 'D') { // discarded, by an edit list
		t.skipped++
		return
	}
	pts, hasPTS := number(f[1])
	dts, hasDTS := number(f[2])
	duration, _ := number(f[3])
	if s.breaks && hasDTS {
		shift := ticksOf(t.clock.settle(timeOf(dts, t.base), timeOf(duration, t.base)), t.base)
		pts, dts = pts+shift, dts+shift
	}
	t.add(pts, hasPTS, dts, hasDTS, max(0, duration))
}

// settle returns the shift that keeps a jumping clock going on.
func (c *clock) settle(now, duration time.Duration) time.Duration {
	if c.runs && (now+c.shift-c.last > jump || c.last-now-c.shift > jump) {
		c.shift = c.last - now
	}
	c.last, c.runs = now+c.shift+duration, true
	return c.shift
}

func number(b []byte) (int64, bool) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

func (t *track) add(pts int64, hasPTS bool, dts int64, hasDTS bool, duration int64) {
	t.packets++
	t.duration += duration
	if hasDTS {
		if t.packets > 1 {
			t.decoded.add(dts - t.lastDTS)
		}
		t.lastDTS = dts
	}
	if !hasPTS {
		t.untimed++
		if !hasDTS {
			return
		}
		pts = dts
	}
	if !t.timed || pts < t.first {
		t.first = pts
	}
	if !t.timed || pts > t.last {
		t.last = pts
	}
	if !t.timed || pts+duration > t.end {
		t.end = pts + duration
	}
	t.timed = true
	heap.Push(&t.pending, pts)
	if len(t.pending) > reorder {
		t.release()
	}
}

func (t *track) release() {
	pts := heap.Pop(&t.pending).(int64)
	if t.begun {
		t.shown.add(pts - t.latest)
	}
	t.latest, t.begun = pts, true
}

// finish puts the remaining times in order.
func (t *track) finish() {
	for len(t.pending) > 0 {
		t.release()
	}
	t.shown.base, t.decoded.base = t.base, t.base
}

// cadence is that of the presentation times, or of the decoding times where packets lack the former (packed B-frames).
func (t *track) cadence() *cadence {
	if t.untimed > 0 {
		return &t.decoded
	}
	return &t.shown
}

func timeOf(n int64, base video.Ratio) time.Duration {
	return time.Duration(float64(n) * base.Float() * float64(time.Second))
}

func ticksOf(d time.Duration, base video.Ratio) int64 {
	if base.IsZero() {
		return 0
	}
	return int64(d.Seconds() / base.Float())
}

// ticks is a heap, smallest first.
type ticks []int64

func (h ticks) Len() int           { return len(h) }
func (h ticks) Less(i, j int) bool { return h[i] < h[j] }
func (h ticks) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *ticks) Push(x any)        { *h = append(*h, x.(int64)) }
func (h *ticks) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}

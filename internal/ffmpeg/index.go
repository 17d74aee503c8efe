package ffmpeg

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"sluice/internal/video"
)

// ErrPartial says that a command wanted more of a source than is there. It is repeated with the whole.
var ErrPartial = errors.New("the source is not there in full")

// Source is a file that a command reads. Of a partial one, as long as the whole, only what its Index names is there; where a command finds that this is
// not enough, it fails with ErrPartial.
type Source struct {
	Path    string
	Partial bool
}

// Whole is a source that is there in full.
func Whole(path string) Source { return Source{Path: path} }

const (
	// largestIndex and mostSamples bound what an index may cost here: bytes of the moov box (some hours of video have 10 MB), and samples of all tracks.
	largestIndex = 64 << 20
	mostSamples  = 4_000_000
	// opening is how many samples of each track the tools read to know a stream: ffmpeg decodes up to 20 frames to learn an encoder's delay.
	opening = 48
	// before is how much earlier than asked seeking may land on a key frame: ffmpeg goes back 3/23 s where there are B-frames, and our time 0 may be a packet
	// from ffmpeg's.
	before = time.Second
	// behind is how many samples are read after the last picture that is wanted: those that a decoder reorders, and filters look ahead to.
	behind = 32
)

// Index is the sample tables of an MP4 or MOV file: it tells which bytes of the file a command reads.
type Index struct {
	head   []video.Extent
	tracks []track4
	zero   float64 // s: the presentation time from which a source's times count
}

// track4 is one track of an Index, its samples in decoding order.
type track4 struct {
	handler string // "vide", "soun" or another
	scale   float64
	empty   float64 // s: how long the edit list keeps the track from beginning
	shift   float64 // s: what the edit list adds to a sample's own time
	at      []int64 // byte offset
	size    []int64 // bytes
	time    []int64 // presentation, ticks
	sync    []bool  // nil: all
}

// whole are the codecs, by sample entry, whose packets ffmpeg hands on as the tables have them. Others it parses anew, so that a probe
// must see their bytes.
var whole = []string{"avc1", "avc3", "hvc1", "hev1", "apch", "apcn", "apcs", "apco", "ap4h", "ap4x", "mp4a"}

// ReadIndex reads the index of a file of size bytes, and nothing else of it. It returns nil without an error where the file has none, or one by which it can't be
// told what commands will read: fragments, edits within, chapters, several pictures, media in other files. An error is r's.
func ReadIndex(r io.ReaderAt, size int64) (*Index, error) {
	head := []video.Extent{{To: min(size, 64<<10)}}
	var moov []byte
	for at := int64(0); at+8 <= size; {
		var b [16]byte
		n, err := r.ReadAt(b[:], at)
		if n < 8 {
			return nil, err
		}
		length, header := int64(binary.BigEndian.Uint32(b[:4])), int64(8)
		switch name := string(b[4:8]); {
		case at == 0 && !isBox(b[4:8]), name == "moof", moov != nil && name == "moov":
			return nil, nil
		case length == 1 && n == 16:
			length, header = int64(binary.BigEndian.Uint64(b[8:])), 16
		case length == 0:
			length = size - at
		}
		if length < header || length > size-at || len(head) > 1000 {
			return nil, nil
		}
		end := at + header
		if string(b[4:8]) == "moov" {
			if length > largestIndex {
				return nil, nil
			}
			end = at + length
			moov = make([]byte, length-header)
			if _, err := r.ReadAt(moov, at+header); err != nil && !errors.Is(err, io.EOF) {
				return nil, err
			}
		}
		head = append(head, video.Extent{From: at, To: end})
		at += length
	}
	if moov == nil {
		return nil, nil
	}
	x := &Index{head: head}
	if !x.read(moov, size) {
		return nil, nil
	}
	return x, nil
}

// Probed is what a probe reads: Opening, and the key pictures at which it looks whether pictures change their size.
func (x *Index) Probed() []video.Extent {
	wanted, length := x.Opening(), x.length()
	for i := range fewLooks {
		at := lookAt(i, fewLooks, length)
		wanted = append(wanted, x.keyed(at, 2)...) // a picture, and the packet that ffprobe reads before it stops
		// Seeking goes by decoding times, which are up to the reordering earlier than those of pictures.
		wanted = append(wanted, x.keyed(at+before, 2)...)
	}
	return wanted
}

// length is how long the source lasts, by the last samples of its tracks.
func (x *Index) length() time.Duration {
	seconds := 0.0
	for _, t := range x.tracks {
		if (t.handler == "vide" || t.handler == "soun") && len(t.time) > 0 {
			last := slices.Max(t.time[max(0, len(t.time)-opening):])
			seconds = max(seconds, float64(last)/t.scale+t.shift-x.zero)
		}
	}
	return time.Duration(min(seconds, longest) * float64(time.Second))
}

// Opening is what a command reads to open the file and to know its streams.
func (x *Index) Opening() []video.Extent {
	wanted := slices.Clone(x.head)
	for _, t := range x.tracks {
		wanted = append(wanted, t.extents(0, opening)...)
	}
	return wanted
}

// Pictures is what a command reads that decodes the video from one time to another of the source's, or to its end where to is 0.
func (x *Index) Pictures(from, to time.Duration) []video.Extent {
	wanted := x.Opening()
	for _, t := range x.tracks {
		if t.handler != "vide" {
			continue
		}
		ticks := func(d time.Duration) int64 { return int64((d.Seconds() + x.zero - t.shift) * t.scale) }
		first, last := 0, len(t.at)
		for i := range t.at {
			if t.time[i] <= ticks(from-before) && (t.sync == nil || t.sync[i]) {
				first = i
			}
			if t.time[i] <= ticks(to) {
				last = min(i+1+behind, len(t.at))
			}
		}
		if to == 0 {
			last = len(t.at)
		}
		wanted = append(wanted, t.extents(first, max(first, last))...)
	}
	return wanted
}

// keyed is what a command reads that decodes some pictures from the key picture at or before a time: the bytes of that
// many samples from where seeking may land.
func (x *Index) keyed(at time.Duration, samples int) (wanted []video.Extent) {
	for _, t := range x.tracks {
		if t.handler != "vide" {
			continue
		}
		limits := []time.Duration{at - before, at}
		if t.sync == nil { // each picture is a key picture, and none is reordered
			limits = limits[1:]
		}
		for _, limit := range limits {
			ticks, from := int64((limit.Seconds()+x.zero-t.shift)*t.scale), 0
			for i := range t.at {
				if t.time[i] <= ticks && (t.sync == nil || t.sync[i]) {
					from = i
				}
			}
			wanted = append(wanted, t.extents(from, from+samples)...)
		}
	}
	return wanted
}

// Sound is what a command reads that decodes all audio.
func (x *Index) Sound() []video.Extent {
	wanted := x.Opening()
	for _, t := range x.tracks {
		if t.handler == "soun" {
			wanted = append(wanted, t.extents(0, len(t.at))...)
		}
	}
	return wanted
}

// extents are the bytes of the samples [from, to), those that follow each other as one.
func (t *track4) extents(from, to int) (all []video.Extent) {
	for i := from; i < min(to, len(t.at)); i++ {
		if last := len(all) - 1; last >= 0 && all[last].To == t.at[i] {
			all[last].To += t.size[i]
			continue
		}
		all = append(all, video.Extent{From: t.at[i], To: t.at[i] + t.size[i]})
	}
	return all
}

// read fills the index from a moov box, and reports whether it is one to go by.
func (x *Index) read(moov []byte, size int64) bool {
	scale := headerScale(child(moov, "mvhd"))
	pictures, samples := 0, 0
	for _, c := range children(moov) {
		if c.name == "mvex" {
			return false
		}
		if c.name != "trak" {
			continue
		}
		t, ok := readTrack(c.body, scale, size, mostSamples-samples)
		if !ok || child(c.body, "tref", "chap") != nil {
			return false
		}
		if t.handler == "vide" {
			pictures++
		}
		samples += len(t.at)
		x.tracks = append(x.tracks, t)
	}
	if pictures > 1 || samples == 0 {
		return false
	}
	x.zero = math.Inf(1)
	for _, t := range x.tracks {
		if (t.handler == "vide" || t.handler == "soun") && len(t.time) > 0 {
			x.zero = min(x.zero, max(t.empty, float64(slices.Min(t.time[:min(len(t.time), opening)]))/t.scale+t.shift))
		}
	}
	return !math.IsInf(x.zero, 1)
}

package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"slices"
)

// box4 is a box inside moov: its four letters and what it holds.
type box4 struct {
	name string
	body []byte
}

// children are the boxes in b, up to one that doesn't fit.
func children(b []byte) (all []box4) {
	for len(b) >= 8 {
		length, header := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		if length == 1 && len(b) >= 16 {
			length, header = binary.BigEndian.Uint64(b[8:]), 16
		}
		if length < header || length > uint64(len(b)) {
			break
		}
		all = append(all, box4{string(b[4:8]), b[header:length]})
		b = b[length:]
	}
	return all
}

// child is the body of the first box of a name, inside boxes of the names before it; nil for none.
func child(b []byte, path ...string) []byte {
	for _, name := range path {
		at := slices.IndexFunc(children(b), func(c box4) bool { return c.name == name })
		if at < 0 {
			return nil
		}
		b = children(b)[at].body
	}
	return b
}

// headerScale is the timescale of an mvhd or mdhd box; 0 where there is none.
func headerScale(b []byte) float64 {
	at := 12
	if len(b) > 0 && b[0] == 1 { // 64 bit times
		at = 20
	}
	if len(b) < at+4 {
		return 0
	}
	return float64(binary.BigEndian.Uint32(b[at:]))
}

// table is the entries of a box that counts them: of width bytes each, from an offset behind version and flags.
func table(b []byte, from, width int) [][]byte {
	if len(b) < from || from < 4 {
		return nil
	}
	count := int(binary.BigEndian.Uint32(b[from-4:]))
	b = b[from:]
	entries := make([][]byte, 0, min(count, len(b)/width))
	for i := range cap(entries) {
		entries = append(entries, b[i*width:(i+1)*width])
	}
	return entries
}

func u32(b []byte) int64 { return int64(binary.BigEndian.Uint32(b)) }

// readTrack reads the sample tables of a trak box (ISO/IEC 14496-12 §8.6-8.7), of at most most samples, and reports whether they tell
// what ffmpeg will read.
func readTrack(trak []byte, movie float64, size int64, most int) (t track4, ok bool) {
	media := child(trak, "mdia")
	stbl := child(media, "minf", "stbl")
	hdlr := child(media, "hdlr")
	if len(hdlr) < 12 {
		return t, false
	}
	t.handler, t.scale = string(hdlr[8:12]), headerScale(child(media, "mdhd"))
	if t.scale == 0 || !t.described(child(stbl, "stsd")) || !here(child(media, "minf", "dinf", "dref")) || !t.edit(child(trak, "edts", "elst"), movie) {
		return t, false
	}
	if !t.sizes(child(stbl, "stsz"), most) || !t.offsets(stbl, size) || !t.times(child(stbl, "stts"), child(stbl, "ctts")) {
		return t, false
	}
	if stss := child(stbl, "stss"); stss != nil {
		t.sync = make([]bool, len(t.at))
		for _, e := range table(stss, 8, 4) {
			if n := u32(e); n >= 1 && n <= int64(len(t.sync)) {
				t.sync[n-1] = true
			}
		}
	}
	return t, true
}

// described reports whether a track has one description, of a codec whose packets are in the file as ffmpeg hands them on.
func (t *track4) described(stsd []byte) bool {
	if t.handler != "vide" && t.handler != "soun" {
		return true // only opened
	}
	if len(stsd) < 16 || u32(stsd[4:]) != 1 {
		return false
	}
	entry := children(stsd[8:])
	if len(entry) != 1 || !slices.Contains(whole, entry[0].name) {
		return false
	}
	// Of what mp4a may be, only AAC (object type 0x40, ISO/IEC 14496-1 §7.2.6.6): MP3 is parsed anew.
	if at := bytes.Index(entry[0].body, []byte("esds")); entry[0].name == "mp4a" {
		return at >= 0 && bytes.Contains(entry[0].body[at:min(len(entry[0].body), at+40)], []byte{0x40, 0x15})
	}
	return true
}

// here reports whether all media is in this file.
func here(dref []byte) bool {
	if len(dref) < 8 {
		return false
	}
	for _, c := range children(dref[8:]) {
		if len(c.body) < 4 || c.body[3]&1 == 0 {
			return false
		}
	}
	return true
}

// edit reads an edit list: none, or one edit, after an empty one or not.
func (t *track4) edit(elst []byte, movie float64) bool {
	width, long := 12, len(elst) > 0 && elst[0] == 1
	if long {
		width = 20
	}
	entries := table(elst, 8, width)
	for i, e := range entries {
		length, start := u32(e), int64(int32(binary.BigEndian.Uint32(e[4:])))
		if long {
			length, start = int64(binary.BigEndian.Uint64(e)), int64(binary.BigEndian.Uint64(e[8:]))
		}
		switch {
		case start == -1 && i == 0 && len(entries) == 2 && movie > 0:
			t.empty = float64(length) / movie
		case start >= 0 && i == len(entries)-1:
			t.shift = t.empty - float64(start)/t.scale
		default:
			return false
		}
	}
	return true
}

func (t *track4) sizes(stsz []byte, most int) bool {
	if len(stsz) < 12 {
		return false
	}
	uniform, count := u32(stsz[4:]), u32(stsz[8:])
	if count > int64(most) || uniform == 0 && int64(len(stsz)-12) < 4*count {
		return false
	}
	t.size = make([]int64, count)
	for i := range t.size {
		if t.size[i] = uniform; uniform == 0 {
			t.size[i] = u32(stsz[12+4*i:])
		}
	}
	return true
}

// offsets places the samples by their chunks.
func (t *track4) offsets(stbl []byte, size int64) bool {
	chunks, width := table(child(stbl, "stco"), 8, 4), 4
	if chunks == nil {
		chunks, width = table(child(stbl, "co64"), 8, 8), 8
	}
	runs := table(child(stbl, "stsc"), 8, 12) // first chunk, samples a chunk, description
	t.at = make([]int64, 0, len(t.size))
	for i, run := 0, 0; i < len(chunks) && len(t.at) < len(t.size); i++ {
		for run+1 < len(runs) && u32(runs[run+1]) <= int64(i+1) {
			run++
		}
		if len(runs) == 0 {
			return false
		}
		at := int64(0)
		if width == 8 {
			at = int64(binary.BigEndian.Uint64(chunks[i]))
		} else {
			at = u32(chunks[i])
		}
		for range min(u32(runs[run][4:]), int64(len(t.size)-len(t.at))) {
			if at < 0 || at > size {
				return false
			}
			t.at = append(t.at, at)
			at += t.size[len(t.at)-1]
		}
	}
	return len(t.at) == len(t.size)
}

// times adds decoding times and composition offsets up.
func (t *track4) times(stts, ctts []byte) bool {
	t.time = make([]int64, 0, len(t.at))
	decode := int64(0)
	for _, e := range table(stts, 8, 8) {
		for range min(u32(e), int64(len(t.at)-len(t.time))) {
			t.time = append(t.time, decode)
			decode += u32(e[4:])
		}
	}
	if len(t.time) != len(t.at) {
		return false
	}
	i := 0
	for _, e := range table(ctts, 8, 8) {
		for range min(u32(e), int64(len(t.time)-i)) {
			t.time[i] += int64(int32(binary.BigEndian.Uint32(e[4:])))
			i++
		}
	}
	return true
}

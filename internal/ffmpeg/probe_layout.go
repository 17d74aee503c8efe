package ffmpeg

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
)

// layout is what the structure of a file tells before any tool has opened it.
type layout struct {
	mp4       bool     // ISO base media (MP4, MOV, 3GP)
	index     bool     // there is an index to seek by: moov without fragments, Cues, idx1 or indx
	moov      bool     // MP4: the movie box is there
	mdat      bool     // MP4: media data is there, and not of zero bytes
	pastEnd   bool     // MP4: a box claims bytes behind the end of the file
	fragments bool     // MP4: moof
	entries   []string // MP4: the four letters of the sample descriptions: "avc1", "encv"
}

// maxBoxes bounds how many boxes, elements or chunks of a file are walked; a file that has more is left to its demuxer.
const maxBoxes = 200_000

// readLayout walks the structure of a file of size bytes whose beginning is head, reading a few bytes a box. It never
// fails: what cannot be read tells nothing.
func readLayout(r io.ReaderAt, size int64, head []byte) layout {
	var l layout
	switch {
	case len(head) >= 8 && isBox(head[4:8]):
		l.mp4 = true
		w := boxWalk{r: r, l: &l, left: maxBoxes}
		w.walk(0, size, 0)
		l.index = l.moov && !l.fragments
	case bytes.HasPrefix(head, []byte("\x1a\x45\xdf\xa3")):
		l.index = hasCues(r, size)
	case bytes.HasPrefix(head, []byte("RIFF")) && len(head) >= 12 && string(head[8:12]) == "AVI ":
		l.index = bytes.Contains(head, []byte("indx")) || hasIdx1(r, size)
	}
	return l
}

// isBox reports whether name is a box that an MP4 or MOV begins with (ISO/IEC 14496-12 §6.3; QuickTime adds the rest).
func isBox(name []byte) bool {
	return slices.Contains([]string{"ftyp", "styp", "moov", "moof", "mdat", "free", "skip", "wide", "pnot", "uuid", "sidx"}, string(name))
}

type boxWalk struct {
	r    io.ReaderAt
	l    *layout
	left int
}

// walk reads the boxes in [from, to) and those inside that lead to sample descriptions.
func (w *boxWalk) walk(from, to int64, depth int) {
	var b [16]byte
	for at := from; at+8 <= to && w.left > 0; {
		w.left--
		if _, err := w.r.ReadAt(b[:8], at); err != nil {
			return
		}
		size, header, name := int64(binary.BigEndian.Uint32(b[:4])), int64(8), string(b[4:8])
		switch size {
		case 0: // to the end of the file
			size = to - at
		case 1:
			if _, err := w.r.ReadAt(b[:16], at); err != nil {
				return
			}
			size, header = int64(binary.BigEndian.Uint64(b[8:16])), 16
		}
		if size < header {
			return
		}
		if depth == 0 && size > to-at {
			w.l.pastEnd = true
		}
		w.box(name, at+header, min(at+size, to), depth)
		if size > to-at {
			return
		}
		at += size
	}
}

func (w *boxWalk) box(name string, from, to int64, depth int) {
	switch name {
	case "mdat":
		w.l.mdat = w.l.mdat || depth == 0 && to > from
	case "moof":
		w.l.fragments = w.l.fragments || depth == 0
	case "moov":
		w.l.moov = w.l.moov || depth == 0
		fallthrough
	case "trak", "mdia", "minf", "stbl":
		if depth < 6 {
			w.walk(from, to, depth+1)
		}
	case "stsd":
		w.sampleEntries(from+8, to) // version, flags, entry count
	}
}

func (w *boxWalk) sampleEntries(at, to int64) {
	var b [8]byte
	for range 16 {
		if at+8 > to {
			return
		}
		if _, err := w.r.ReadAt(b[:], at); err != nil {
			return
		}
		w.l.entries = append(w.l.entries, string(b[4:8]))
		size := int64(binary.BigEndian.Uint32(b[:4]))
		if size < 8 {
			return
		}
		at += size
	}
}

// hasCues reports whether a Matroska or WebM file (RFC 9559) has a Cues element at the top of its Segment.
func hasCues(r io.ReaderAt, size int64) bool {
	const segment, cues = 0x18538067, 0x1c53bb6b
	at := int64(0)
	for range maxBoxes {
		id, length, header, ok := readElement(r, at)
		if !ok || at >= size {
			return false
		}
		switch {
		case id == cues:
			return true
		case id == segment:
			at += header
		case length < 0: // unknown size: a live recording, which has no index behind it
			return false
		default:
			at += header + length
		}
	}
	return false
}

// readElement reads an EBML element's id and length at an offset (RFC 8794 §4-5); length is -1 where it is unknown.
func readElement(r io.ReaderAt, at int64) (id uint32, length, header int64, ok bool) {
	var b [12]byte
	n, _ := r.ReadAt(b[:], at)
	idSize := bits.LeadingZeros8(b[0]) + 1
	if n < 2 || idSize > 4 || idSize >= n {
		return 0, 0, 0, false
	}
	for _, c := range b[:idSize] {
		id = id<<8 | uint32(c)
	}
	lengthSize := bits.LeadingZeros8(b[idSize]) + 1
	if lengthSize > 8 || idSize+lengthSize > n {
		return 0, 0, 0, false
	}
	mask := byte(0xff >> lengthSize)
	length = int64(b[idSize] & mask)
	unknown := b[idSize]&mask == mask
	for _, c := range b[idSize+1 : idSize+lengthSize] {
		length = length<<8 | int64(c)
		unknown = unknown && c == 0xff
	}
	if unknown {
		length = -1
	}
	return id, length, int64(idSize + lengthSize), true
}

// hasIdx1 reports whether an AVI file has an idx1 chunk beside its media.
func hasIdx1(r io.ReaderAt, size int64) bool {
	var b [8]byte
	at := int64(12)
	for range 1000 {
		if at >= size {
			return false
		}
		if _, err := r.ReadAt(b[:], at); err != nil {
			return false
		}
		if string(b[:4]) == "idx1" {
			return true
		}
		length := int64(binary.LittleEndian.Uint32(b[4:]))
		at += 8 + length + length&1
	}
	return false
}

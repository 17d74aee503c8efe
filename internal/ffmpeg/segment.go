package ffmpeg

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/video"
)

// TrackFiles is one track's part that a run made: what it is, and where its files lie.
type TrackFiles struct {
	Track video.Track       // Init and Segments named below the generation: "1080p/init.mp4", "1080p/00001.m4s"
	Paths map[string]string // each of those names to its local file
	Added time.Duration     // how much of its end is not of the source: the last picture held, or silence
}

// sample is one access unit on the track's own time line.
type sample struct {
	decode  int64 // ticks
	present int64 // ticks
	length  uint32
	sync    bool
	data    []byte
}

// movie reads the fragmented MP4 of one track, front to back, one fragment in memory.
type movie struct {
	file  *os.File
	in    *bufio.Reader
	pos   uint64
	trak  *mp4.TrakBox
	trex  *mp4.TrexBox
	scale uint32 // ticks a second
}

// openMovie opens path and reads up to its moov box.
func openMovie(path string) (*movie, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	m := &movie{file: file, in: bufio.NewReaderSize(file, 256<<10)}
	for m.trak == nil {
		box, err := m.box()
		if err != nil {
			_ = file.Close()
			return nil, fmt.Errorf("read the head: %w", err)
		}
		moov, ok := box.(*mp4.MoovBox)
		if !ok {
			continue
		}
		if len(moov.Traks) != 1 || moov.Mvex == nil || moov.Mvex.Trex == nil {
			_ = file.Close()
			return nil, errors.New("not a fragmented file of one track")
		}
		m.trak, m.trex, m.scale = moov.Trak, moov.Mvex.Trex, moov.Trak.Mdia.Mdhd.Timescale
	}
	return m, nil
}

func (m *movie) close() { _ = m.file.Close() }

// largestBox bounds what is held of the encoder's output: it is not trusted, and a fragment is 2 s of one rung, 6 MB at the
// highest cap.
const largestBox = 256 << 20

// box reads the next top-level box; io.EOF after the last whole one.
func (m *movie) box() (mp4.Box, error) {
	header, err := mp4.DecodeHeader(m.in)
	if err != nil {
		return nil, err
	}
	if header.Size > largestBox {
		return nil, fmt.Errorf("a box of %d bytes", header.Size)
	}
	box, err := mp4.DecodeBoxBody(m.pos, header, m.in)
	m.pos += header.Size
	return box, err
}

// fragment returns the samples of the next fragment; io.EOF after the last.
func (m *movie) fragment() ([]sample, error) {
	var moof *mp4.MoofBox
	for {
		box, err := m.box()
		if err != nil {
			return nil, err
		}
		switch b := box.(type) {
		case *mp4.MoofBox:
			moof = b
		case *mp4.MdatBox:
			if moof == nil {
				return nil, errors.New("media data without a fragment header")
			}
			return m.samples(moof, b)
		}
	}
}

func (m *movie) samples(moof *mp4.MoofBox, mdat *mp4.MdatBox) ([]sample, error) {
	full, err := (&mp4.Fragment{Moof: moof, Mdat: mdat}).GetFullSamples(m.trex)
	if err != nil {
		return nil, err
	}
	samples := make([]sample, len(full))
	for i, s := range full {
		decode := int64(s.DecodeTime) // a time before 0 wraps round in the box, and back here
		samples[i] = sample{decode: decode, present: decode + int64(s.CompositionTimeOffset), length: s.Dur, sync: s.IsSync(), data: s.Data}
	}
	return samples, nil
}

// sampleEntry is the track's only sample description.
func (m *movie) sampleEntry() (mp4.Box, error) {
	entries := m.trak.Mdia.Minf.Stbl.Stsd.Children
	if len(entries) != 1 {
		return nil, fmt.Errorf("%d sample descriptions", len(entries))
	}
	return entries[0], nil
}

// packager writes the CMAF files of one track (ISO/IEC 23000-19) into dir/<track name>.
type packager struct {
	dir   string
	files TrackFiles
	next  int64 // number of the next segment
}

// newPackager begins at segment number first.
func newPackager(dir string, track video.Track, first int64) (*packager, error) {
	if err := os.MkdirAll(filepath.Join(dir, track.Name), 0o755); err != nil {
		return nil, err
	}
	return &packager{dir: dir, files: TrackFiles{Track: track, Paths: map[string]string{}}, next: first}, nil
}

// writeInit writes the init segment, made anew from the sample entry alone: the same for all chunks of a track, and
// nothing else of the source or the encoder can leave with it. priming is how many ticks of the media come before time
// 0: they go into an edit list (ISO/IEC 14496-12 §8.6.6).
func (p *packager) writeInit(entry mp4.Box, priming int64) error {
	track := &p.files.Track
	language := track.Language
	if len(language) != 3 {
		language = "und" // mdhd holds ISO 639-2 alone; playlists and MPD tell the rest
	}
	init := mp4.CreateEmptyInit()
	init.Ftyp = mp4.NewFtyp("iso6", 0, []string{"iso6", "cmfc", "mp41"})
	init.Children[0] = init.Ftyp
	trak := init.AddEmptyTrack(track.Timescale, string(track.Kind), language)
	trak.Tkhd.Width, trak.Tkhd.Height = mp4.Fixed32(track.Width)<<16, mp4.Fixed32(track.Height)<<16
	trak.Mdia.Minf.Stbl.Stsd.AddChild(entry)
	if priming > 0 {
		list := &mp4.ElstBox{Version: 1, Entries: []mp4.ElstEntry{{MediaTime: priming, MediaRateInteger: 1}}}
		edits := &mp4.EdtsBox{}
		edits.AddChild(list)
		trak.Edts = edits
		trak.Children = slices.Insert(trak.Children, 1, mp4.Box(edits)) // after tkhd
	}
	object, err := p.write("init.mp4", init.Encode)
	track.Init = object
	track.Bytes += object.Bytes
	return err
}

// writeSegment writes one segment whose first sample decodes at start.
func (p *packager) writeSegment(samples []sample, start int64) error {
	fragment, err := mp4.CreateFragment(uint32(p.next), 1)
	if err != nil {
		return err
	}
	fragment.EncOptimize = mp4.OptimizeTrun
	decode := start
	for _, s := range samples {
		flags := mp4.SetNonSyncSampleFlags(0)
		if s.sync {
			flags = mp4.SyncSampleFlags
		}
		fragment.AddFullSample(mp4.FullSample{
			Sample:     mp4.NewSample(flags, s.length, uint32(len(s.data)), int32(s.present-decode)),
			DecodeTime: uint64(decode), Data: s.data,
		})
		decode += int64(s.length)
	}
	styp := mp4.NewStyp("msdh", 0, []string{"msdh", "cmfs", "cmff"})
	object, err := p.write(fmt.Sprintf("%05d.m4s", p.next), func(w io.Writer) error {
		return errors.Join(styp.Encode(w), fragment.Encode(w))
	})
	if err != nil {
		return err
	}
	segment := video.Segment{Object: object, Number: p.next, Start: uint64(start), Duration: uint64(decode - start), Offset: int64(styp.Size())}
	if p.files.Track.Kind == video.VideoTrack {
		segment.Sync = int64(fragment.Moof.Size()+fragment.Mdat.HeaderSize()) + int64(len(samples[0].data))
	}
	p.files.Track.Segments = append(p.files.Track.Segments, segment)
	p.files.Track.Bytes += object.Bytes
	p.next++
	return nil
}

// write makes one file of the track and tells its size and hash.
func (p *packager) write(base string, encode func(io.Writer) error) (video.Object, error) {
	name := p.files.Track.Name + "/" + base
	path := filepath.Join(p.dir, filepath.FromSlash(name))
	file, err := os.Create(path)
	if err != nil {
		return video.Object{}, err
	}
	hash := sha256.New()
	counted := &counter{}
	out := bufio.NewWriterSize(io.MultiWriter(file, hash, counted), 256<<10)
	if err := errors.Join(encode(out), out.Flush(), file.Close()); err != nil {
		return video.Object{}, err
	}
	p.files.Paths[name] = path
	return video.Object{Name: name, Bytes: counted.n, SHA256: hex.EncodeToString(hash.Sum(nil))}, nil
}

// counter counts the bytes written to it.
type counter struct{ n int64 }

func (c *counter) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return len(b), nil
}

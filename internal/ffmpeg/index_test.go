package ffmpeg

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"sluice/internal/video"
)

// partial writes a file as long as body that has only the extents of it, and fill in the rest. It returns how much is there.
func partial(t *testing.T, body []byte, extents []video.Extent, fill byte) (Source, int) {
	t.Helper()
	out, there := bytes.Repeat([]byte{fill}, len(body)), make([]bool, len(body))
	for _, x := range extents {
		copy(out[x.From:x.To], body[x.From:x.To])
		for i := x.From; i < x.To; i++ {
			there[i] = true
		}
	}
	n := 0
	for _, yes := range there {
		if yes {
			n++
		}
	}
	path := filepath.Join(t.TempDir(), "partial.mp4")
	if err := os.WriteFile(path, out, 0o600); err != nil {
		t.Fatal(err)
	}
	return Source{Path: path, Partial: true}, n
}

func indexOf(t *testing.T, body []byte) *Index {
	t.Helper()
	x, err := ReadIndex(bytes.NewReader(body), int64(len(body)))
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// outputs are the bytes of all files of tracks.
func outputs(t *testing.T, tracks ...TrackFiles) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, track := range tracks {
		for name, path := range track.Paths {
			all[name] = string(read(t, path))
		}
	}
	return all
}

// half makes half a minute of a picture that never repeats, with B-frames and a key frame each 2 s, and a tone.
func half(t *testing.T, tool *Tool, name string, more ...string) string {
	t.Helper()
	args := []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=30", "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=30",
		"-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-b:v", "1500k", "-pix_fmt", "yuv420p", "-c:a", "aac"}
	return makeMedia(t, tool, name, append(args, more...)...)
}

func TestAChunkOfAPartialSourceIsTheChunkOfTheWhole(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, more := range map[string][]string{
		"end.mp4":   nil, // moov at the end
		"front.mp4": {"-movflags", "+faststart"},
		"late.mov":  {"-output_ts_offset", "3"},
		"hevc.mp4":  {"-c:v", "libx265", "-x265-params", "log-level=error:keyint=75", "-preset", "ultrafast"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := half(t, tool, name, more...)
			body := read(t, src)
			f, err := tool.Probe(t.Context(), Whole(src), name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := video.MakePlan(f, video.Settings{MaxResolution: 240}, 2)
			if err != nil {
				t.Fatal(err)
			}
			p.Chunks = []video.Chunk{{Frames: 200}, {N: 1, Start: 200, Frames: 200}, {N: 2, Start: 600}}
			x := indexOf(t, body)
			if x == nil {
				t.Fatal("it has no index")
			}
			at := func(n int64) time.Duration { return time.Duration(float64(n) / p.Rate.Float() * float64(time.Second)) }
			for _, c := range p.Chunks {
				want, _, err := tool.EncodeChunk(t.Context(), Whole(src), f, p, c, t.TempDir(), 1, nil)
				if err != nil {
					t.Fatal(err)
				}
				to := at(c.Start + c.Frames)
				if c.Frames == 0 {
					to = 0
				}
				for _, fill := range []byte{0, 0xff}[:2-c.N%2] { // what is not there is not read, whatever it reads as
					part, n := partial(t, body, x.Pictures(at(c.Start)-p.Preroll, to), fill)
					if n > len(body)*7/10 {
						t.Errorf("chunk %d reads %d of %d bytes", c.N, n, len(body))
					}
					got, _, err := tool.EncodeChunk(t.Context(), part, f, p, c, t.TempDir(), 1, nil)
					if err != nil {
						t.Fatalf("chunk %d: %v\n%s", c.N, err, Detail(err))
					}
					if !reflect.DeepEqual(outputs(t, got...), outputs(t, want...)) {
						t.Errorf("chunk %d has other bytes", c.N)
					}
				}
			}
			want, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err)
			}
			part, n := partial(t, body, x.Sound(), 0)
			got, err := tool.EncodeAudio(t.Context(), part, f, p, t.TempDir(), nil)
			if err != nil || !reflect.DeepEqual(outputs(t, got), outputs(t, want)) {
				t.Errorf("the sound is other: %v", err)
			}
			if n > len(body)/3 {
				t.Errorf("the sound reads %d of %d bytes", n, len(body))
			}
			part, _ = partial(t, body, StillPart(x, f), 0)
			if files, err := tool.Stills(t.Context(), part, f, p, t.TempDir()); err != nil || len(files) != 2 {
				t.Errorf("stills: %v, %v", files, err)
			}
		})
	}
}

// telling are files whose tables say each something of their own: edits, B-frames, variable rates, late starts, metadata tracks, damage.
var telling = []string{
	"broken/bitrot-middle.mp4", "camera/iphone-ios9-720p-rot90-mebx.mov", "camera/phone-720p-rot180-vfr.mp4",
	"codec/h265-main10.mp4", "codec/prores422hq-1080i.mov",
	"structure/editlist-starts-on-b-frame.mp4", "structure/first-pts-10s.mp4",
}

func TestAProbeOfTheOpeningFindsWhatAProbeOfTheWholeDoes(t *testing.T) {
	t.Parallel()
	tool, saved := newTool(t), 0
	for _, file := range corpusFiles(t) {
		if !slices.Contains(telling, file.name) { // all of the corpus agree, and take two minutes
			continue
		}
		body := read(t, filepath.Join(corpus, file.name))
		x := indexOf(t, body)
		if x == nil {
			continue
		}
		t.Run(file.name, func(t *testing.T) {
			part, n := partial(t, body, x.Probed(), 0)
			got, err := tool.Probe(t.Context(), part, file.name)
			if errors.Is(err, ErrPartial) {
				t.Logf("wants the whole: %v", err)
				return
			}
			want, werr := tool.Probe(t.Context(), Whole(filepath.Join(corpus, file.name)), file.name)
			if err != nil || werr != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("of %d of %d bytes: %+v, %v\nof all: %+v, %v", n, len(body), got, err, want, werr)
			}
			saved++
		})
	}
	if saved < 4 {
		t.Errorf("only %d files are known by their opening", saved)
	}
}

func TestAHoleIsNoticed(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, more := range map[string][]string{"h264.mp4": nil, "hevc.mp4": {"-c:v", "libx265", "-x265-params", "log-level=error", "-preset", "ultrafast"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := half(t, tool, name, more...)
			body := read(t, src)
			f, err := tool.Probe(t.Context(), Whole(src), name)
			if err != nil {
				t.Fatal(err)
			}
			p, err := video.MakePlan(f, video.Settings{MaxResolution: 240}, 2)
			if err != nil {
				t.Fatal(err)
			}
			chunk := video.Chunk{N: 1, Start: 400, Frames: 250}
			x := indexOf(t, body)
			for what, extents := range map[string][]video.Extent{
				"nothing":        x.Opening(),
				"the first half": x.Pictures(14*time.Second, 19*time.Second),
				"the last half":  x.Pictures(22*time.Second, 27*time.Second),
				"all but 1 s":    append(x.Pictures(14*time.Second, 18*time.Second), x.Pictures(23*time.Second, 27*time.Second)...),
			} {
				part, _ := partial(t, body, extents, 0)
				if _, _, err := tool.EncodeChunk(t.Context(), part, f, p, chunk, t.TempDir(), 1, nil); !errors.Is(err, ErrPartial) {
					t.Errorf("%s is there: %v", what, err)
				}
			}
			part, _ := partial(t, body, x.Opening(), 0)
			if _, err := tool.EncodeAudio(t.Context(), part, f, p, t.TempDir(), nil); !errors.Is(err, ErrPartial) {
				t.Errorf("no sound is there: %v", err)
			}
		})
	}
}

func TestFilesThatCannotBeReadInPartsHaveNoIndex(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	picture := []string{"-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=2"}
	for name, args := range map[string][]string{
		"fragmented.mp4": append(slices.Clone(picture), "-c:v", "libx264", "-movflags", "+frag_keyframe+empty_moov"),
		"matroska.mkv":   append(slices.Clone(picture), "-c:v", "libx264"),
		"mpeg4.mp4":      append(slices.Clone(picture), "-c:v", "mpeg4"),
		"mp3.mp4":        append(slices.Clone(picture), "-f", "lavfi", "-i", "sine=duration=2", "-c:v", "libx264", "-c:a", "libmp3lame"),
		"pcm.mov":        append(slices.Clone(picture), "-f", "lavfi", "-i", "sine=duration=2", "-c:v", "libx264", "-c:a", "pcm_s16le"),
	} {
		if x := indexOf(t, read(t, makeMedia(t, tool, name, args...))); x != nil {
			t.Errorf("%s has an index", name)
		}
	}
	body := read(t, makeMedia(t, tool, "good.mp4", append(picture, "-c:v", "libx264")...))
	if indexOf(t, body) == nil {
		t.Error("good.mp4 has none")
	}
	moov := bytes.Index(body, []byte("moov"))
	for n := moov; n < len(body); n++ { // no byte of the tables may lead anywhere else than to an index within the file, or none
		for _, b := range []byte{0, 0x7f, 0xff} {
			changed := slices.Clone(body)
			changed[n] = b
			x := indexOf(t, changed)
			if x == nil {
				continue
			}
			for _, e := range append(x.Pictures(0, 0), x.Sound()...) {
				if e.From < 0 || e.To < e.From {
					t.Fatalf("byte %d as %#x: %v", n, b, e)
				}
			}
		}
		if x := indexOf(t, body[:n]); x != nil {
			t.Fatalf("cut at %d it has an index", n)
		}
	}
}

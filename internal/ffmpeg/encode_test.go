package ffmpeg

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/mp4ff/avc"
	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// clip makes the facts and the plan of a lavfi clip: one rung, chunks of chunkFrames.
func clip(rate video.Ratio, width, height int, frames, chunkFrames int64) (video.Facts, video.Plan) {
	f := video.Facts{Seekable: true, Video: &video.VideoFacts{Codec: "h264", PixFmt: "yuv420p", Width: width, Height: height, Rate: rate,
		Aspect: video.Ratio{Num: 1, Den: 1}}}
	gop := int(rate.Float() + 0.5)
	p := video.Plan{Rate: rate, Frames: frames, GOP: gop, SegmentFrames: 2 * gop, Preroll: 2 * time.Second, Threads: 1,
		Rungs: []video.Rung{
			{Name: "180p", Width: width, Height: height, MaxRate: 400_000, BufSize: 800_000, CRF: 26, Profile: "high", Level: "3.0"},
			{Name: "90p", Width: width / 2, Height: height / 2, MaxRate: 200_000, BufSize: 400_000, CRF: 28, Profile: "high", Level: "3.0"},
		}}
	for s := int64(0); s < frames; s += chunkFrames {
		p.Chunks = append(p.Chunks, video.Chunk{N: len(p.Chunks), Start: s, Frames: chunkFrames})
	}
	p.Chunks[len(p.Chunks)-1].Frames = 0
	return f, p
}

// encodeAll encodes all chunks of a plan and returns each rung's init and segments in order, and the frames.
func encodeAll(t *testing.T, tool *Tool, src string, f video.Facts, p video.Plan) (tracks []TrackFiles, frames int64) {
	t.Helper()
	for _, c := range p.Chunks {
		made, n, err := tool.EncodeChunk(t.Context(), Whole(src), f, p, c, t.TempDir(), 1, nil)
		if err != nil {
			t.Fatalf("chunk %d: %v\n%s", c.N, err, Detail(err))
		}
		frames += n
		if tracks == nil {
			tracks = made
			continue
		}
		for i, part := range made {
			whole := &tracks[i]
			if !bytes.Equal(read(t, part.Paths[part.Track.Init.Name]), read(t, whole.Paths[whole.Track.Init.Name])) {
				t.Errorf("%s: chunk %d has another init segment than chunk 0", part.Track.Name, c.N)
			}
			whole.Track.Segments = append(whole.Track.Segments, part.Track.Segments...)
			for name, path := range part.Paths {
				whole.Paths[name] = path
			}
		}
	}
	return tracks, frames
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// joined is the path of a track's init and all its segments as one file.
func joined(t *testing.T, track TrackFiles) string {
	t.Helper()
	all := read(t, track.Paths[track.Track.Init.Name])
	for _, s := range track.Track.Segments {
		all = append(all, read(t, track.Paths[s.Name])...)
	}
	path := t.TempDir() + "/joined.mp4"
	if err := os.WriteFile(path, all, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// boxes are the top-level boxes of an MP4 file.
func boxes(t *testing.T, data []byte) []mp4.Box {
	t.Helper()
	file, err := mp4.DecodeFile(bytes.NewReader(data), mp4.WithDecodeFlags(mp4.DecISMFlag))
	if err != nil {
		t.Fatal(err)
	}
	var all []mp4.Box
	for _, s := range file.Segments {
		all = append(all, s.Styp)
		for _, f := range s.Fragments {
			all = append(all, f.Children...)
		}
	}
	return all
}

func TestChunksJoinToOneTrack(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	rate := video.Ratio{Num: 30000, Den: 1001}
	src := makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", "testsrc2=r=30000/1001:d=10:s=320x180", "-c:v", "libx264", "-preset", "ultrafast", "-g", "100")
	f, p := clip(rate, 320, 180, 300, 120)
	tracks, frames := encodeAll(t, tool, src, f, p)
	if frames != 300 || len(tracks) != 2 || len(tracks[0].Track.Segments) != 5 {
		t.Fatalf("%d frames in %d tracks, the first of %d segments; want 300, 2, 5", frames, len(tracks), len(tracks[0].Track.Segments))
	}
	if track := tracks[0].Track; track.Codec != "avc1.64001e" || track.Timescale != 30000 || track.Width != 320 || track.Init.Name != "180p/init.mp4" {
		t.Errorf("the track says %+v", track)
	}
	for i, s := range tracks[0].Track.Segments {
		data := read(t, tracks[0].Paths[s.Name])
		sum := sha256.Sum256(data)
		if s.Number != int64(i+1) || s.Name != fmt.Sprintf("180p/%05d.m4s", i+1) || s.Start != uint64(i)*60*1001 || s.Duration != 60*1001 ||
			s.Bytes != int64(len(data)) || s.SHA256 != hex.EncodeToString(sum[:]) {
			t.Errorf("segment %d says %+v", i, s)
		}
		parts := boxes(t, data)
		if len(parts) != 3 || parts[0].Type() != "styp" || parts[1].Type() != "moof" || parts[2].Type() != "mdat" {
			t.Fatalf("segment %d is made of %v", i, parts)
		}
		moof := parts[1].(*mp4.MoofBox)
		if moof.Mfhd.SequenceNumber != uint32(i+1) || moof.Traf.Tfdt.BaseMediaDecodeTime() != s.Start {
			t.Errorf("segment %d has sequence number %d and decode time %d", i, moof.Mfhd.SequenceNumber, moof.Traf.Tfdt.BaseMediaDecodeTime())
		}
		if first := int64(moof.Size() + 8 + uint64(moof.Traf.Trun.Samples[0].Size)); s.Offset != int64(parts[0].Size()) || s.Sync != first {
			t.Errorf("segment %d: its first picture is at %d+%d, not at %d+%d", i, parts[0].Size(), first, s.Offset, s.Sync)
		}
		if nalu := parts[2].(*mp4.MdatBox).Data; !slices.Contains(avc.FindNaluTypes(nalu[:moof.Traf.Trun.Samples[0].Size]), avc.NALU_IDR) {
			t.Errorf("segment %d does not begin with an IDR", i)
		}
	}
}

func TestJoinedChunksDecodeWithoutASeam(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", "testsrc2=r=25:d=10:s=320x180", "-c:v", "libx264", "-preset", "ultrafast", "-g", "100")
	f, p := clip(video.Ratio{Num: 25, Den: 1}, 320, 180, 250, 50)
	tracks, _ := encodeAll(t, tool, src, f, p)
	for _, track := range tracks {
		path := joined(t, track)
		dir := t.TempDir()
		r, err := tool.run(t.Context(), spec{op: "test", dir: dir, reads: []string{path}, args: []string{"-xerror", "-err_detect", "explode", "-copyts", "-i", path,
			"-fps_mode", "passthrough", "-enc_time_base", "-1", "-f", "framemd5", "out.md5"}})
		if err != nil || r.Tail != "" {
			t.Fatalf("%v\n%s", err, r.Tail)
		}
		n := int64(0)
		for line := range strings.Lines(string(read(t, dir+"/out.md5"))) {
			var stream, dts, pts int64
			if c, _ := fmt.Sscanf(line, "%d, %d, %d,", &stream, &dts, &pts); c == 3 {
				if want := n * 1000; pts != want {
					t.Fatalf("%s: picture %d is at %d instead of %d", track.Track.Name, n, pts, want)
				}
				n++
			}
		}
		if n != 250 {
			t.Errorf("%s: %d pictures instead of 250", track.Track.Name, n)
		}
	}
}

func TestNoChunkIsMadeOfPicturesThatAreNotThere(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mkv", "-f", "lavfi", "-i", "testsrc2=r=25:d=5:s=160x96", "-f", "lavfi", "-i", "sine=d=1", "-c:v", "libx264", "-preset", "ultrafast")
	soundless := makeMedia(t, tool, "src.h264", "-f", "lavfi", "-i", "testsrc2=r=25:d=5:s=160x96", "-c:v", "libx264", "-preset", "ultrafast")
	noise := filepath.Join(t.TempDir(), "noise.h264")
	data := read(t, soundless)
	for i := 200; i < len(data); i++ { // the parameter sets stay
		data[i] = byte(i * 7919 >> 3)
	}
	if err := os.WriteFile(noise, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, p := clip(video.Ratio{Num: 25, Den: 1}, 160, 96, 500, 100)
	for _, c := range []struct {
		name, src string
		chunk     video.Chunk
		code      string
	}{
		{"a chunk that the video ends in", src, video.Chunk{N: 1, Start: 100, Frames: 100}, "truncated"},
		{"a chunk behind the video's end", src, video.Chunk{N: 4, Start: 400}, "truncated"},
		{"a first chunk that the video ends in", src, video.Chunk{Frames: 200}, "truncated"},
		{"no picture at all", noise, video.Chunk{}, "damaged"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			_, _, err := tool.EncodeChunk(t.Context(), Whole(c.src), f, p, c.chunk, dir, 1, nil)
			if codeOf(err) != c.code || !fault.Permanent(err) {
				t.Errorf("got %v, want %s", err, c.code)
			}
		})
	}
}

func TestASecondTryMakesTheSameBytesAndNoneTellsOfTheSource(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mov", "-f", "lavfi", "-i", "testsrc2=r=25:d=6:s=160x96", "-f", "lavfi", "-i", "sine=d=6", "-c:v", "libx264", "-preset", "ultrafast",
		"-metadata", "title=SECRET", "-metadata", "location=+52.5SECRET/", "-metadata:s:v", "handler_name=SECRET", "-metadata:s:a", "handler_name=SECRET", "-timecode", "01:02:03:04")
	f, p := clip(video.Ratio{Num: 25, Den: 1}, 160, 96, 150, 100)
	f.Audio = []video.AudioFacts{{Index: 1}}
	p.Threads = 1 // several threads with a VBV make other bytes each time (findings/x264-vbv-threads-bytes.sh)
	p.Audio = &video.AudioRung{Stream: 1, Name: "audio", Bitrate: 128_000, Channels: 2, SampleRate: 48_000}
	var sums [2][]string
	for try := range sums {
		for _, c := range p.Chunks {
			tracks, _, err := tool.EncodeChunk(t.Context(), Whole(src), f, p, c, t.TempDir(), p.Threads, nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			for _, track := range append(tracks, sound) {
				sums[try] = append(sums[try], track.Track.Init.SHA256)
				for _, s := range track.Track.Segments {
					sums[try] = append(sums[try], s.SHA256)
				}
				for name, path := range track.Paths {
					if bytes.Contains(read(t, path), []byte("SECRET")) {
						t.Errorf("%s tells of the source", name)
					}
				}
			}
		}
	}
	if !slices.Equal(sums[0], sums[1]) {
		t.Errorf("the second try made other bytes:\n%v\n%v", sums[0], sums[1])
	}
}

// TestEncodeChunk_LowRate_HasNoReordering encodes pictures at the rates on both sides of the one from which B-frames are
// used: offsets and an edit list together, or neither.
func TestEncodeChunk_LowRate_HasNoReordering(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for _, c := range []struct{ rate, late int64 }{{5, 0}, {10, 2}} {
		src := makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", fmt.Sprintf("testsrc2=r=%d:d=8:s=160x96", c.rate), "-c:v", "libx264", "-preset", "ultrafast")
		f, p := clip(video.Ratio{Num: c.rate, Den: 1}, 160, 96, 8*c.rate, 8*c.rate)
		tracks, frames, err := tool.EncodeChunk(t.Context(), Whole(src), f, p, p.Chunks[0], t.TempDir(), 1, nil)
		if err != nil || frames != 8*c.rate {
			t.Fatalf("%d frames a second: %d frames, %v", c.rate, frames, err)
		}
		for _, track := range tracks {
			m, err := openMovie(joined(t, track))
			if err != nil {
				t.Fatal(err)
			}
			defer m.close()
			samples, err := m.fragment()
			if err != nil {
				t.Fatal(err)
			}
			_, tick := timescale(p.Rate)
			edit := int64(0)
			if m.trak.Edts != nil {
				edit = m.trak.Edts.Elst[0].Entries[0].MediaTime
			}
			if got := samples[0].present - samples[0].decode; got != c.late*tick || edit != got {
				t.Errorf("%d frames a second: the first picture is %d ticks late, the edit %d; want %d", c.rate, got, edit, c.late*tick)
			}
		}
	}
}

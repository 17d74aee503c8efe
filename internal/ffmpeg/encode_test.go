package ffmpeg

import (
	"bytes"
	"os"
	"testing"
	"time"

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
		made, n, err := tool.EncodeChunk(t.Context(), src, f, p, c, t.TempDir(), 1, nil)
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

func TestChunksJoinToOneTrack(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	rate := video.Ratio{Num: 30000, Den: 1001}
	src := makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", "testsrc2=r=30000/1001:d=10:s=320x180", "-c:v", "libx264", "-preset", "ultrafast", "-g", "100")
	f, p := clip(rate, 320, 180, 300, 120)
	tracks, frames := encodeAll(t, tool, src, f, p)
	if frames != 300 {
		t.Errorf("%d frames instead of 300", frames)
	}
	var out bytes.Buffer
	_, err := tool.run(t.Context(), spec{probe: true, dir: t.TempDir(), reads: nil, stdout: &out, args: []string{"-version"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(joined(t, tracks[0]), tracks[0].Track.Codec)
	for _, s := range tracks[0].Track.Segments {
		t.Logf("%+v", s)
	}
}

package ffmpeg

import (
	"os"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

// spoil writes a changed copy of a file and returns its path.
func spoil(t *testing.T, path string, change func([]byte) []byte) string {
	t.Helper()
	spoiled := t.TempDir() + "/spoiled.m4s"
	if err := os.WriteFile(spoiled, change(read(t, path)), 0o600); err != nil {
		t.Fatal(err)
	}
	return spoiled
}

func TestATrackIsVerifiedByDecodingIt(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mkv", "-f", "lavfi", "-i", "testsrc2=r=25:d=8:s=160x96", "-f", "lavfi", "-i", "sine=d=8", "-c:v", "libx264", "-preset", "ultrafast")
	f, p := clip(video.Ratio{Num: 25, Den: 1}, 160, 96, 200, 200)
	f.Audio = []video.AudioFacts{{Index: 1}}
	p.Audio = &video.AudioRung{Stream: 1, Name: "audio", Bitrate: 128_000, Channels: 2, SampleRate: 48_000}
	tracks, _ := encodeAll(t, tool, src, f, p)
	sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	files := func(track TrackFiles) (init string, segments []string) {
		for _, s := range track.Track.Segments {
			segments = append(segments, track.Paths[s.Name])
		}
		return track.Paths[track.Track.Init.Name], segments
	}
	for _, track := range append(tracks, sound) {
		init, segments := files(track)
		if err := tool.Verify(t.Context(), init, segments, t.TempDir()); err != nil {
			t.Errorf("%s: %v\n%s", track.Track.Name, err, Detail(err))
		}
	}
	init, segments := files(tracks[0])
	for name, change := range map[string]func([]byte) []byte{
		"empty":        func([]byte) []byte { return nil },
		"cut off":      func(b []byte) []byte { return b[:len(b)*2/3] },
		"overwritten":  func(b []byte) []byte { clear(b[len(b)/2:]); return b },
		"without moof": func(b []byte) []byte { return b[:28] },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad := []string{segments[0], spoil(t, segments[1], change), segments[2], segments[3]}
			if err := tool.Verify(t.Context(), init, bad, t.TempDir()); codeOf(err) != "bad_output" {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := tool.Verify(t.Context(), init, nil, t.TempDir()); codeOf(err) != "bad_output" {
		t.Errorf("a track without segments: %v", err)
	}
}

func TestWhatIsMadeMayDifferByHalfASecondOrOnePercent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		made, source time.Duration
		code         string
	}{
		{10 * time.Second, 10 * time.Second, ""},
		{9500 * time.Millisecond, 10 * time.Second, ""},
		{9499 * time.Millisecond, 10 * time.Second, "truncated"},
		{10501 * time.Millisecond, 10 * time.Second, "damaged"},
		{99 * time.Minute, 100 * time.Minute, ""},
		{98 * time.Minute, 100 * time.Minute, "truncated"},
	} {
		if err := CheckDuration(c.made, c.source); codeOf(err) != c.code || err != nil && !fault.Permanent(err) {
			t.Errorf("%v of %v: %v, want %q", c.made, c.source, err, c.code)
		}
	}
}

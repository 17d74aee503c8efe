package manifest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Eyevinn/hls-m3u8/m3u8"
	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/video"
)

// TestFFmpegPlaysWhatTheManifestsSay makes a real stream of 10 s at 29.97 with sound, writes its manifests, and lets ffmpeg's
// own HLS and DASH clients fetch it over HTTP, below a path that needs escaping, and count what they decode; once as it is, and once
// signed, from a server that answers nothing whose signature doesn't cover it.
func TestFFmpegPlaysWhatTheManifestsSay(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(tool + " isn't installed")
		}
	}
	root := t.TempDir()
	folder := filepath.Join(root, "te[s]t_ video ' _-01/1")
	picture := video.Track{Kind: video.VideoTrack, Name: "180p", Codec: "avc1.42c00d", Width: 320, Height: 180, FrameRate: video.Ratio{Num: 30000, Den: 1001}}
	sound := video.Track{Kind: video.AudioTrack, Name: "audio-1", Codec: "mp4a.40.2", Channels: 1, SampleRate: 48000, Language: "en"}
	encode(t, folder, picture.Name, "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=30000/1001:duration=10", "-c:v", "libx264",
		"-preset", "ultrafast", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "60", "-keyint_min", "60", "-sc_threshold", "0")
	encode(t, folder, sound.Name, "-f", "lavfi", "-i", "sine=sample_rate=48000:duration=10", "-c:a", "aac")
	p := presentation(scan(t, folder, picture), scan(t, folder, sound))
	for name, content := range files(p) {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(http.FileServer(http.Dir(root)))
	t.Cleanup(server.Close)
	guarded := httptest.NewServer(guard(t, root))
	t.Cleanup(guarded.Close)
	base := "/te%5Bs%5Dt_%20video%20%27%20_-01/1/"
	pass := "?" + covering("/te[s]t_ video ' _-01/1/")
	pictures, sounds := 300, 470 // 10 s of each; the AAC encoder adds its priming and its last, filled, frame
	for _, c := range []struct {
		file        string
		kind        string
		least, most int
	}{
		{HLS, "v:0", pictures, pictures}, {HLS, "a:0", sounds - 1, sounds + 1},
		{DASH, "v:0", pictures, pictures}, {DASH, "a:0", sounds - 1, sounds + 1},
	} {
		for _, address := range []string{server.URL + base + c.file, guarded.URL + base + c.file + pass} {
			if n := decoded(t, address, c.kind); n < c.least || n > c.most {
				t.Errorf("%s: %d frames of %s decoded, want %d to %d", address, n, c.kind, c.least, c.most)
			}
		}
	}
	checkIFrames(t, folder, p.Tracks[0])
}

// covering is a query that stands for a signature over all paths that begin with prefix, as a policy with a wildcard is.
func covering(prefix string) string { return fmt.Sprintf("Policy=%x&Key-Pair-Id=K1", prefix) }

// guard serves what is below root to those whose query covers the path, manifests signed anew: each folder with a signature for that folder alone.
func guard(t *testing.T, root string) http.Handler {
	plain := http.FileServer(http.Dir(root))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prefix, err := hex.DecodeString(r.URL.Query().Get("Policy"))
		if err != nil || len(prefix) == 0 || !strings.HasPrefix(r.URL.Path, string(prefix)) || r.URL.RawQuery != covering(string(prefix)) {
			t.Errorf("%s was asked for with %q", r.URL.Path, r.URL.RawQuery)
			http.Error(w, "no", http.StatusForbidden)
			return
		}
		if ext := path.Ext(r.URL.Path); ext != path.Ext(HLS) && ext != path.Ext(DASH) {
			plain.ServeHTTP(w, r)
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(r.URL.Path)))
		if err != nil {
			t.Error(err)
		}
		cut, err := cutOf(r.URL.Path, text)
		if err != nil {
			t.Error(err)
			return
		}
		out, err := cut.Sign(nil, func(folder string) (string, error) { return covering(path.Dir(r.URL.Path) + "/" + folder), nil })
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write(out)
	})
}

// checkIFrames decodes the ranges of the I-frame playlist, each behind the init segment, and compares the pictures with
// those that the whole segments begin with. (ffmpeg's HLS client can't: it strings the ranges together as one file.)
func checkIFrames(t *testing.T, folder string, track video.Track) {
	t.Helper()
	parsed, _, err := m3u8.DecodeFrom(bytes.NewReader(IFrames(track)), true)
	if err != nil {
		t.Fatal(err)
	}
	list := parsed.(*m3u8.MediaPlaylist)
	read := func(name string) []byte {
		content, err := os.ReadFile(filepath.Join(folder, track.Name, name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	first := read(list.Map.URI)
	for _, s := range list.GetAllSegments() {
		whole := read(s.URI)
		part := whole[s.Offset : s.Offset+s.Limit]
		if got, want := firstPicture(t, first, part), firstPicture(t, first, whole); got != want {
			t.Errorf("%s: the I-frame's range decodes to %s, its segment begins with %s", s.URI, got, want)
		}
		if bytes.Equal(part, whole) {
			t.Errorf("%s: the I-frame's range is the whole segment", s.URI)
		}
	}
}

// firstPicture is the hash of the first picture of init and media together.
func firstPicture(t *testing.T, init, media []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "piece.mp4")
	if err := os.WriteFile(file, slices.Concat(init, media), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-nostdin", "-v", "quiet", "-i", file, "-frames:v", "1", "-f", "md5", "-").Output()
	if err != nil || !bytes.HasPrefix(out, []byte("MD5=")) {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// encode makes init.mp4 and segments of 4.004 s named as SegmentName does.
func encode(t *testing.T, folder, name string, args ...string) {
	t.Helper()
	dir := filepath.Join(folder, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	args = append(append([]string{"-nostdin", "-v", "error"}, args...), "-f", "hls", "-hls_time", "4.004", "-hls_playlist_type", "vod", "-start_number", "1",
		"-hls_segment_type", "fmp4", "-hls_segment_options", "movflags=+cmaf+negative_cts_offsets", "-hls_fmp4_init_filename", "init.mp4",
		"-hls_segment_filename", filepath.Join(dir, "%05d.m4s"), filepath.Join(dir, "made.m3u8"))
	if out, err := exec.CommandContext(t.Context(), "ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// scan fills in a track from the files on disk.
func scan(t *testing.T, folder string, track video.Track) video.Track {
	t.Helper()
	parsed, err := mp4.ReadMP4File(filepath.Join(folder, InitName(track.Name)))
	if err != nil {
		t.Fatal(err)
	}
	track.Init.Name = InitName(track.Name)
	track.Timescale = parsed.Init.Moov.Trak.Mdia.Mdhd.Timescale
	defaults := parsed.Init.Moov.Mvex.Trex
	for n := int64(1); ; n++ {
		name := SegmentName(track.Name, n)
		content, err := os.ReadFile(filepath.Join(folder, name))
		if os.IsNotExist(err) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		file, err := mp4.DecodeFile(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		fragment := file.Segments[0].Fragments[0]
		samples, err := fragment.GetFullSamples(defaults)
		if err != nil {
			t.Fatal(err)
		}
		s := video.Segment{Object: video.Object{Name: name, Bytes: int64(len(content))}, Number: n, Start: samples[0].DecodeTime}
		for _, one := range samples {
			s.Duration += uint64(one.Dur)
		}
		s.Offset = int64(fragment.Moof.StartPos)
		if track.Kind == video.VideoTrack {
			s.Sync = int64(fragment.Mdat.PayloadAbsoluteOffset()) - s.Offset + int64(samples[0].Size)
		}
		track.Segments = append(track.Segments, s)
	}
	Rate(&track)
	return track
}

// decoded counts the frames of one stream that ffprobe decodes; a word of complaint fails the test.
func decoded(t *testing.T, address, stream string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-allowed_extensions", "ALL", "-count_frames", "-select_streams", stream, "-show_entries", "stream=nb_read_frames", "-of", "json", address)
	if strings.HasSuffix(address, ".mpd") {
		cmd.Args = append(cmd.Args[:3:3], cmd.Args[5:]...) // the DASH client has no such option
	}
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil || complaint.Len() > 0 {
		t.Fatalf("%s: %v\n%s", address, err, complaint.String())
	}
	var found struct {
		Streams []struct {
			Frames string `json:"nb_read_frames"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &found); err != nil || len(found.Streams) == 0 {
		t.Fatal(fmt.Errorf("%s: %w in %s", address, err, out.String()))
	}
	n, err := strconv.Atoi(found.Streams[0].Frames)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

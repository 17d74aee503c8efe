// Package e2e takes real files through a real server: upload to playback, as a user does it.
package e2e

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

func TestMain(m *testing.M) {
	code := enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))
	rig.Clean()
	os.Exit(code)
}

type tellingFile struct {
	file, sizes, error string
	audio              int
	seconds            float64 // of the source as its packets say, 0 where it doesn't matter
	short              bool    // without -full, too
}

// telling are files that each say something of their own. sizes is what the ladder must be; error the code of a refusal.
var telling = []tellingFile{
	{file: "camera/flower-540p.mp4", sizes: "960x540 854x480 640x360 426x240", audio: 1, seconds: 5.055},              // moov first
	{file: "camera/portrait-coded-404x720.mp4", sizes: "404x720 360x642 240x428", audio: 1, seconds: 9.82},            // moov at end, portrait
	{file: "camera/iphone-h264-rot90-568x320.mov", sizes: "320x568 240x426", audio: 1, seconds: 2.07, short: true},    // rotated
	{file: "camera/kpy-uno-1186x664-vfr.mp4", sizes: "1186x664 858x480 644x360 428x240", seconds: 5.717, short: true}, // VFR, silent
	{file: "codec/hevc-main10-360p.ts", sizes: "640x360 426x240", seconds: 12},                                        // TS, starts at 1.4 s, 10 bit
	{file: "codec/mpeg2-480i-scte20-captions.ts", sizes: "640x480 480x360 320x240", short: true},                      // interlaced TS
	{file: "codec/h264-444-chapters.mkv", sizes: "320x240", audio: 1, seconds: 5.02},                                  // MKV, 4:4:4
	{file: "codec/vp9-opus-gizmo.webm", sizes: "560x320 420x240", audio: 1, seconds: 5.6},                             // WebM
	{file: "codec/mpeg4-asp-mp3.avi", sizes: "960x400 864x360 576x240", audio: 1, seconds: 4.09},                      // AVI
	{file: "structure/noaudio-gizmo.mp4", sizes: "560x320 420x240", seconds: 5.53},                                    // silent
	{file: "audio/mp3-cover-chapters.mp3", audio: 1, short: true},                                                     // audio only, cover art
	{file: "audio/aac-in-mp4.mp4", audio: 1, seconds: 10},                                                             // audio only
	{file: "structure/first-pts-10s.mp4", sizes: "1136x640 852x480 640x360 426x240"},                                  // late start, wide pixels
	{file: "structure/fragmented.mp4", sizes: "1080x720 720x480 540x360 360x240", audio: 1},                           // the header says 143165 s
	{file: "broken/zero-byte.mov", error: "not_media"},                                                                // nothing
	{file: "broken/truncated-moov-at-end-60pct.mp4", error: "truncated", short: true},                                 // no index
	{file: "broken/text-named.mp4", error: "not_media"},                                                               // the frame of an MP4 without media
	{file: "hostile/html-named.mp4", error: "not_media", short: true},                                                 // text
	{file: "hostile/hls-playlist-named.mp4", error: "not_media"},                                                      // a playlist
	{file: "codec/vvc-undecodable.mp4", error: "unsupported_codec"},                                                   // no decoder
	{file: "structure/encrypted-cenc.mp4", error: "encrypted"},                                                        // CENC
	{file: "structure/te[s]t_ video ' _ .flv", sizes: "320x240", seconds: 1.9, short: true},                           // a name to trip over
}

func TestEveryTellingFileEndsAsItShould(t *testing.T) {
	t.Parallel()
	rig.Media(t, "MANIFEST.tsv")
	s := rig.Start(t, rig.Options{})
	telling := telling
	if !*full { // the encoder's tests take each of them, and make drill the whole corpus through a server
		telling = slices.DeleteFunc(slices.Clone(telling), func(f tellingFile) bool { return !f.short })
	}
	ids := make([]string, len(telling))
	for i, f := range telling {
		ids[i] = s.Upload(rig.Media(t, f.file), filepath.Base(f.file))
	}
	for i, f := range telling {
		t.Run(f.file, func(t *testing.T) {
			v := s.Await(ids[i], 4*time.Minute)
			if f.error != "" {
				refused(t, v, f.error)
				return
			}
			if v.Status != "ready" || !v.Playable || v.Sizes() != f.sizes || len(v.Audio) != f.audio {
				t.Fatalf("want %s and %d audio; got %s", f.sizes, f.audio, v.Raw)
			}
			if v.TimeToPlayableMS == nil || *v.TimeToPlayableMS <= 0 {
				t.Errorf("no time to playable in %s", v.Raw)
			}
			if got := float64(v.DurationMS) / 1000; f.seconds > 0 && (got < f.seconds-0.5 || got > f.seconds+0.5) {
				t.Errorf("plays %.2f s, the source %.2f s", got, f.seconds)
			}
			plays(t, v)
			validMPD(t, v)
			posterIsThere(t, v, f.sizes != "")
		})
	}
	s.Quiet()
}

func refused(t *testing.T, v rig.Video, code string) {
	t.Helper()
	if v.Status != "failed" || v.Playable || v.Error == nil || v.Error.Code != code || len(v.Error.Message) < 20 {
		t.Errorf("want %s; got %s", code, v.Raw)
	}
	if strings.Contains(string(v.Raw), "/objects/") || strings.Contains(string(v.Raw), "goroutine") {
		t.Errorf("the answer tells of the host: %s", v.Raw)
	}
}

// plays has ffmpeg play the HLS and the MPD from the server to the end, and compares their lengths.
func plays(t *testing.T, v rig.Video) {
	t.Helper()
	for name, at := range map[string]string{"HLS": v.Playback.HLS, "DASH": v.Playback.DASH} {
		out, err := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", at, "-f", "null", "-").CombinedOutput()
		if name == "DASH" && err != nil && strings.Contains(string(out), "Unknown input format") {
			continue // this ffmpeg has no DASH reader
		}
		if err != nil || len(out) > 0 {
			t.Errorf("%s does not play: %v\n%s", name, err, out)
		}
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", v.Playback.HLS).CombinedOutput()
	if err != nil {
		t.Fatalf("ffprobe: %v\n%s", err, out)
	}
	if seconds, _ := strconv.ParseFloat(strings.TrimSpace(string(out)), 64); seconds < float64(v.DurationMS)/1000-0.3 {
		t.Errorf("HLS lasts %.2f s, the API says %d ms", seconds, v.DurationMS)
	}
}

func validMPD(t *testing.T, v rig.Video) {
	t.Helper()
	schema := filepath.Join(rig.Root(t), "..", "shared", "schema", "dash", "DASH-MPD.xsd")
	if _, err := os.Stat(schema); err != nil {
		return
	}
	status, body := rig.Get(t, v.Playback.DASH)
	if status != 200 {
		t.Fatalf("MPD: %d", status)
	}
	file := filepath.Join(t.TempDir(), "index.mpd")
	if err := os.WriteFile(file, body, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("xmllint", "--noout", "--schema", schema, file).CombinedOutput(); err != nil {
		t.Errorf("the MPD is not valid: %s", out)
	}
}

func posterIsThere(t *testing.T, v rig.Video, want bool) {
	t.Helper()
	if !want {
		if v.Playback.Poster != "" {
			t.Errorf("a poster without a picture: %s", v.Playback.Poster)
		}
		return
	}
	for _, at := range []string{v.Playback.Poster, v.Playback.Thumbnail} {
		if status, body := rig.Get(t, at); status != 200 || len(body) < 200 || string(body[:2]) != "\xff\xd8" {
			t.Errorf("%s: %d, %d bytes", at, status, len(body))
		}
	}
}

func TestNoMetadataOfTheSourceLeavesWithTheOutputs(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--max-resolution", "240"}}) // tags do not depend on it
	var ids []string
	names := []string{"camera/iphone-h264-rot90-568x320.mov", "camera/iphone-ios9-720p-rot90-mebx.mov", "camera/phone-720p-rot180-vfr.mp4", "camera/iphone4s-sideways-rot90-24fps.mov"}
	if !*full {
		names = names[:2]
	}
	for _, name := range names {
		ids = append(ids, s.Upload(rig.Media(t, name), filepath.Base(name)))
	}
	for _, id := range ids {
		if v := s.Await(id, 2*time.Minute); v.Status != "ready" {
			t.Fatalf("%s", v.Raw)
		}
	}
	root := filepath.Join(s.Data, "objects", "media")
	checked := 0
	for key := range s.Objects("media") {
		if strings.HasPrefix(key, "sources/") {
			continue
		}
		body, err := os.ReadFile(filepath.Join(root, key))
		if err != nil {
			t.Fatal(err)
		}
		checked++
		for _, tell := range []string{"Apple", "iPhone", "com.apple", "\xa9xyz", "location", "GPS", "Exif", "creation_time", "mebx"} {
			if strings.Contains(string(body), tell) {
				t.Errorf("%s holds %q", key, tell)
			}
		}
		if filepath.Ext(key) == ".mp4" {
			out, err := exec.Command("ffprobe", "-v", "error", "-show_entries", "format_tags:stream_tags", "-of", "json", filepath.Join(root, key)).Output()
			if err != nil {
				continue // an init segment alone is not always enough for ffprobe
			}
			for _, tell := range []string{"creation_time", "location", "make", "model"} {
				if strings.Contains(string(out), tell) {
					t.Errorf("%s has the tag %q: %s", key, tell, out)
				}
			}
		}
	}
	if checked == 0 {
		t.Fatal("no output was there to check")
	}
}

// TestAClipWithoutTheCorpus runs where there is no corpus: the whole way with a clip that ffmpeg makes.
func TestAClipGoesTheWholeWay(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	id := s.Upload(rig.Clip(t, "clip.mp4", "640x360", 4), "My clip.mp4")
	v := s.Await(id, time.Minute)
	if v.Status != "ready" || v.Sizes() != "640x360 426x240" || len(v.Audio) != 1 {
		t.Fatalf("%s", v.Raw)
	}
	plays(t, v)
	validMPD(t, v)
	posterIsThere(t, v, true)
	hls, err := url.PathUnescape(v.Playback.HLS)
	if err != nil || !strings.Contains(hls, fmt.Sprintf("/stream/My clip-%s/1/", id)) {
		t.Errorf("HLS is at %s", v.Playback.HLS)
	}
	for key := range s.Objects("media") {
		if !strings.HasPrefix(key, "sources/") && !strings.HasPrefix(key, "streams/My clip-"+id+"/1/") {
			t.Errorf("an output lies at %s", key)
		}
	}
	var events struct{ Items []struct{ Type string } }
	s.Call("GET", "/v1/videos/"+id+"/events", nil, &events)
	text, _ := json.Marshal(events)
	for _, want := range []string{"upload.granted", "source.received", "video.planned", "video.ready"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no event %s in %s", want, text)
		}
	}
	s.Quiet()
}

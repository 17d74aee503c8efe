package ffmpeg

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/Eyevinn/mp4ff/mp4"

	"sluice/internal/video"
)

// beep is a tone of 0.1 s at each full second.
const beep = "if(lt(mod(t\\,1)\\,0.1)\\,0.8*sin(2*PI*1000*t)\\,0)"

// soundPlan is the plan of a source whose first audio stream is encoded, and its facts.
func soundPlan() (video.Facts, video.Plan) {
	return video.Facts{Audio: []video.AudioFacts{{Index: 0}}},
		video.Plan{Audio: &video.AudioRung{Name: "audio", Bitrate: 128_000, Channels: 2, SampleRate: 48_000, Language: "eng"}}
}

func TestSoundIsCutIntoSegmentsBehindItsPriming(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	src := makeMedia(t, tool, "src.mp3", "-f", "lavfi", "-i", "aevalsrc="+beep+":s=44100:d=10.1")
	f, p := soundPlan()
	sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	track := sound.Track
	if track.Codec != "mp4a.40.2" || track.Timescale != 48_000 || track.Channels != 2 || track.Kind != video.AudioTrack || track.Language != "eng" {
		t.Errorf("the track says %+v", track)
	}
	if n := len(track.Segments); n != 3 {
		t.Fatalf("%d segments instead of 3 of about 4 s", n)
	}
	at := uint64(0)
	for i, s := range track.Segments {
		moof := boxes(t, read(t, sound.Paths[s.Name]))[1].(*mp4.MoofBox)
		if s.Start != at || moof.Traf.Tfdt.BaseMediaDecodeTime() != at || moof.Mfhd.SequenceNumber != uint32(i+1) || s.Number != int64(i+1) {
			t.Errorf("segment %d: %+v at %d", i, s, moof.Traf.Tfdt.BaseMediaDecodeTime())
		}
		at += s.Duration
		if ideal := uint64(i+1) * 4 * 48_000; i < 2 && (at < ideal+1024-512 || at > ideal+1024+512) {
			t.Errorf("segment %d ends at %d, not as near as it can to %d behind the priming", i, at, ideal)
		}
	}
	head, err := mp4.DecodeFile(bytes.NewReader(read(t, sound.Paths[track.Init.Name])))
	if err != nil {
		t.Fatal(err)
	}
	if edit := head.Moov.Trak.Edts.Elst[0].Entries[0]; edit.MediaTime != 1024 || head.Moov.Trak.Mdia.Mdhd.GetLanguage() != "eng" {
		t.Errorf("the edit list says %+v", edit)
	}
	ends := beeps(t, tool, joined(t, sound))
	if len(ends) != 10 {
		t.Fatalf("beeps at %v", ends)
	}
	for i, e := range ends {
		if math.Abs(e-float64(i+1)) > 0.005 {
			t.Errorf("the beep of second %d is at %.4f", i+1, e)
		}
	}
}

func TestSoundThatChangesItsFormStaysInTime(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	surround := makeMedia(t, tool, "a.ts", "-f", "lavfi", "-i", "aevalsrc="+beep+"|0|0|0|0|0:c=5.1:s=48000:d=3", "-c:a", "ac3")
	stereo := makeMedia(t, tool, "b.ts", "-f", "lavfi", "-i", "aevalsrc="+beep+"|0:c=stereo:s=44100:d=3", "-c:a", "ac3", "-output_ts_offset", "3")
	both := filepath.Join(t.TempDir(), "both.ts")
	if err := os.WriteFile(both, append(read(t, surround), read(t, stereo)...), 0o600); err != nil {
		t.Fatal(err)
	}
	src := copied(t, tool, both, "matroska")
	f, p := soundPlan()
	sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
	if err != nil {
		t.Fatal(err, Detail(err))
	}
	at := beeps(t, tool, joined(t, sound))
	if len(at) != 5 {
		t.Fatalf("beeps at %v", at)
	}
	for i, e := range at {
		if math.Abs(e-float64(i+1)) > allowed {
			t.Errorf("the beep of second %d is at %.4f", i+1, e)
		}
	}
}

func TestSoundThatCannotBeDecodedIsRefused(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	data := read(t, makeMedia(t, tool, "src.mp4", "-f", "lavfi", "-i", "sine=d=2", "-c:a", "libmp3lame", "-movflags", "faststart"))
	for i := bytes.Index(data, []byte("mdat")) + 4; i < len(data); i++ {
		data[i] = 0
	}
	src := filepath.Join(t.TempDir(), "src.mp4")
	if err := os.WriteFile(src, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, p := soundPlan()
	if _, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil); codeOf(err) != "damaged_audio" {
		t.Errorf("got %v\n%s", err, Detail(err))
	}
}

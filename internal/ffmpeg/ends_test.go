package ffmpeg

import (
	"fmt"
	"math"
	"testing"
	"time"

	"sluice/internal/video"
)

// TestEncode_TracksOfUnequalLength_BeginAndEndTogether encodes sources whose picture or sound begins late or ends early
// by far more than a segment. Both tracks must last as long as the longer one, show the first or last picture where
// there is none, be silent where there is no sound, and cost no more encoding for a longer gap.
func TestEncode_TracksOfUnequalLength_BeginAndEndTogether(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name           string
		picture, sound [2]float64 // from, to: seconds
		file           string
	}{
		{name: "picture ends early", picture: [2]float64{0, 5}, sound: [2]float64{0, 30.3}, file: "a.mp4"},
		{name: "picture ends early by less than a segment", picture: [2]float64{0, 5}, sound: [2]float64{0, 7.3}, file: "a.mp4"},
		{name: "picture ends early, several chunks", picture: [2]float64{0, 22}, sound: [2]float64{0, 36}, file: "a.mkv"},
		{name: "picture begins late and ends early", picture: [2]float64{21, 25}, sound: [2]float64{0, 39}, file: "a.mkv"},
		{name: "one picture", picture: [2]float64{0, 0.1}, sound: [2]float64{0, 33}, file: "a.mkv"},
		{name: "sound begins late and ends early", picture: [2]float64{0, 30}, sound: [2]float64{10, 20}, file: "a.mkv"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			tool := newTool(t)
			length := func(part [2]float64) float64 { return part[1] - part[0] }
			// The picture brightens from black to white; the sound is one tone.
			src := makeMedia(t, tool, c.file,
				"-itsoffset", fmt.Sprint(c.picture[0]), "-f", "lavfi", "-i",
				fmt.Sprintf("color=white:s=64x64:r=10:d=%g,fade=in:0:%d", length(c.picture), max(1, int(10*length(c.picture))-1)),
				"-itsoffset", fmt.Sprint(c.sound[0]), "-f", "lavfi", "-i", fmt.Sprintf("sine=r=48000:d=%g", length(c.sound)),
				"-map", "0", "-map", "1", "-c:v", "libx264", "-preset", "ultrafast", "-g", "10", "-pix_fmt", "yuv420p", "-c:a", "flac",
				"-strict", "-2")
			f, err := tool.Probe(t.Context(), Whole(src), c.file)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			p, err := video.MakePlan(f, video.Settings{}, 2)
			if err != nil {
				t.Fatal(err)
			}
			end := math.Max(c.picture[1], c.sound[1])
			tracks, encoded, heldFor := encodeCounted(t, tool, src, f, p)
			sound, err := tool.EncodeAudio(t.Context(), Whole(src), f, p, t.TempDir(), nil)
			if err != nil {
				t.Fatal(err, Detail(err))
			}
			for _, track := range append(tracks, sound) {
				last := track.Track.Segments[len(track.Track.Segments)-1]
				if got := float64(last.Start+last.Duration) / float64(track.Track.Timescale); math.Abs(got-end) > 0.15 {
					t.Errorf("%s ends at %.3f s, not at %.3f s", track.Track.Name, got, end)
				}
			}
			// What is of the source, a segment to repeat and a part of one on either side, and the rounding up to a segment.
			if most := int64(10*length(c.picture)) + 5*int64(p.SegmentFrames); encoded > most {
				t.Errorf("%d frames were encoded for %d in the source and %d in all; at most %d are due", encoded, f.Video.Packets, p.Frames, most)
			}
			if want := end - c.picture[1]; math.Abs(heldFor.Seconds()-want) > 0.15 {
				t.Errorf("the last picture is said to be held for %s, not for %.1f s", heldFor, want)
			}
			if want := end - c.sound[1]; math.Abs(sound.Added.Seconds()-want) > 0.15 {
				t.Errorf("%s of silence are said to be added, not %.1f s", sound.Added, want)
			}
			checkPictures(t, tool, joined(t, tracks[0]), c.picture)
			checkSound(t, tool, joined(t, sound), c.sound, end)
		})
	}
}

// encodeCounted is encodeAll; encoded is how many frames the encoder made, heldFor what is said to be added.
func encodeCounted(t *testing.T, tool *Tool, src string, f video.Facts, p video.Plan) (tracks []TrackFiles, encoded int64, heldFor time.Duration) {
	t.Helper()
	for _, c := range p.Chunks {
		var runs, last int64
		made, _, err := tool.EncodeChunk(t.Context(), Whole(src), f, p, c, t.TempDir(), 1, func(n int64) {
			if n < last { // another run
				runs += last
			}
			last = n
		})
		if err != nil {
			t.Fatalf("chunk %d: %v\n%s", c.N, err, Detail(err))
		}
		encoded += runs + last
		heldFor += made[0].Added
		if tracks == nil {
			tracks = made
			continue
		}
		for i, part := range made {
			for name, path := range part.Paths {
				if name == part.Track.Init.Name && string(read(t, path)) != string(read(t, tracks[i].Paths[name])) {
					t.Errorf("chunk %d has another init segment than chunk 0", c.N)
				}
				tracks[i].Paths[name] = path
			}
			tracks[i].Track.Segments = append(tracks[i].Track.Segments, part.Track.Segments...)
		}
	}
	return tracks, encoded, heldFor
}

// checkPictures looks at the brightness of the pictures: black before the source's, white after, ten a second.
func checkPictures(t *testing.T, tool *Tool, path string, picture [2]float64) {
	t.Helper()
	times, values := printed(t, tool, path, "v", "signalstats,metadata", "lavfi.signalstats.YAVG")
	for i, at := range times {
		if math.Abs(at-times[0]-float64(i)/10) > 0.01 {
			t.Fatalf("picture %d is shown at %.3f s", i, at)
		}
		switch {
		case picture[1]-picture[0] < 1: // one picture, black
		case at < picture[0] && values[i] > 40:
			t.Fatalf("the picture at %.1f s has a brightness of %.0f; the first one is black", at, values[i])
		case at > picture[1] && values[i] < 200:
			t.Fatalf("the picture at %.1f s has a brightness of %.0f; the last one is white", at, values[i])
		}
	}
}

// checkSound looks for the tone where the source has it, and for silence elsewhere.
func checkSound(t *testing.T, tool *Tool, path string, sound [2]float64, end float64) {
	t.Helper()
	times, levels := printed(t, tool, path, "a", "astats=metadata=1:reset=1,ametadata", "lavfi.astats.Overall.RMS_level")
	for i, at := range times {
		inside := at > sound[0]+0.1 && at < sound[1]-0.1
		outside := at < sound[0]-0.1 || at > sound[1]+0.1
		if inside && !(levels[i] > -40) || outside && levels[i] > -80 {
			t.Fatalf("at %.2f s of %.1f s the sound has %.0f dB; the tone is from %.1f s to %.1f s", at, end, levels[i], sound[0], sound[1])
		}
	}
}

// TestProbe_PacketsWithoutDuration_LastsToTheirEnd measures WavPack in Matroska, whose packets of a second have no
// duration, with a header and as a live recording without one.
func TestProbe_PacketsWithoutDuration_LastsToTheirEnd(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for name, c := range map[string]struct {
		args           []string
		least, longest time.Duration
	}{
		"header":         {nil, 5300 * time.Millisecond, 5310 * time.Millisecond},
		"no header":      {[]string{"-live", "1"}, 5 * time.Second, 6 * time.Second},
		"known duration": {[]string{"-c:a", "flac"}, 5300 * time.Millisecond, 5310 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"-f", "lavfi", "-i", "sine=d=5.3:r=48000", "-c:a", "wavpack"}, c.args...)
			f, err := tool.Probe(t.Context(), Whole(makeMedia(t, tool, "a.mka", args...)), "a.mka")
			if err != nil || len(f.Audio) != 1 {
				t.Fatalf("%+v, %v", f, err)
			}
			if d := f.Audio[0].Duration; d < c.least || d > c.longest {
				t.Errorf("lasts %s, want %s to %s", d, c.least, c.longest)
			}
		})
	}
}

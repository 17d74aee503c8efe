package manifest

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/internal/video"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// files are all manifests of a presentation by name, as publish writes them.
func files(p Presentation) map[string][]byte {
	out := map[string][]byte{HLS: Multivariant(p), DASH: MPD(p)}
	for _, t := range p.Tracks {
		out[t.Name+"/"+HLS] = Media(t)
		if list := IFrames(t); list != nil {
			out[t.Name+"/"+IFrame] = list
		}
	}
	return out
}

func TestManifestsAreAsTheGoldensSay(t *testing.T) {
	for name, p := range fixtures() {
		t.Run(name, func(t *testing.T) {
			var got bytes.Buffer
			all := files(p)
			write := func(file string) {
				if content, ok := all[file]; ok {
					got.WriteString("-- " + file + " --\n")
					got.Write(content)
				}
			}
			write(HLS)
			write(DASH)
			for i, track := range p.Tracks {
				if i > 0 && track.Kind == video.VideoTrack {
					continue // the other rungs differ in nothing but their tracks' names
				}
				write(track.Name + "/" + HLS)
				write(track.Name + "/" + IFrame)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got.Bytes(), want) {
				t.Errorf("differs from %s (run with -update and look at the change); got:\n%s", golden, got.String())
			}
		})
	}
}

// schema is xmllint with the DASH schema.
func schema(t *testing.T) func(files ...string) ([]byte, error) {
	t.Helper()
	schema, err := filepath.Abs("../../../shared/schema/dash/DASH-MPD.xsd")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(schema); err != nil {
		t.Skip("the DASH schema isn't here")
	}
	lint, err := exec.LookPath("xmllint")
	if err != nil {
		t.Skip("xmllint (libxml2-utils) isn't installed")
	}
	return func(files ...string) ([]byte, error) {
		return exec.Command(lint, append([]string{"--noout", "--nonet", "--schema", schema}, files...)...).CombinedOutput()
	}
}

func TestEveryMPDIsValidAgainstTheDASHSchema(t *testing.T) {
	lint := schema(t)
	dir := t.TempDir()
	var names []string
	for name, p := range fixtures() {
		file := filepath.Join(dir, name+".mpd")
		if err := os.WriteFile(file, MPD(p), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, file)
	}
	if out, err := lint(names...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	broken := filepath.Join(dir, "broken.mpd")
	if err := os.WriteFile(broken, bytes.Replace(MPD(fixtures()["ntsc"]), []byte(`startWithSAP="1"`), []byte(`startWithSAP="x"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := lint(broken); err == nil {
		t.Error("the check passes a broken MPD too: it proves nothing")
	}
}

func TestPlayersBeginWithTheBestVariantOfTwoMegabits(t *testing.T) {
	for name, want := range map[string]string{
		"ntsc":       "480p/index.m3u8",    // 720p is above with its audio
		"silent":     "480p/index.m3u8",    // 720p is 1.7 Mbit/s in two of three segments, and above in all
		"portrait":   "360p/index.m3u8",    // the rung below is the only one
		"single":     "96p/index.m3u8",     // nothing to choose
		"audio-only": "audio-1/index.m3u8", // the sound is the variant
	} {
		var first string
		for line := range strings.Lines(string(Multivariant(fixtures()[name]))) {
			if !strings.HasPrefix(line, "#") {
				first = strings.TrimSpace(line)
				break
			}
		}
		if first != want {
			t.Errorf("%s begins with %q, want %q", name, first, want)
		}
	}
}

func TestPeakIsOfTheWorstRunOfSegmentsBetweenHalfAndOneAndAHalfTargets(t *testing.T) {
	at := func(durations []uint64, bytes []int64) video.Track {
		tr := video.Track{Timescale: 1000, Init: video.Object{Bytes: 7}}
		for i := range durations {
			tr.Segments = append(tr.Segments, video.Segment{Object: video.Object{Bytes: bytes[i]}, Duration: durations[i]})
		}
		Rate(&tr)
		return tr
	}
	for name, c := range map[string]struct {
		durations           []uint64
		bytes               []int64
		peak, average, size int64
	}{
		"the worst segment":                        {[]uint64{4000, 4000, 4000}, []int64{1000, 4000, 1000}, 8000, 4000, 6007},
		"a short one counts with its neighbour":    {[]uint64{4000, 1000}, []int64{1000, 2000}, 4800, 4800, 3007},
		"two short ones count together":            {[]uint64{4000, 1000, 1000, 4000}, []int64{400, 1000, 1000, 400}, 8000, 2240, 2807},
		"too short for a run: the average":         {[]uint64{300}, []int64{300}, 8000, 8000, 307},
		"never below the average":                  {[]uint64{1000, 100}, []int64{1000, 1000}, 14546, 14546, 2007},
		"rounded up, because it is an upper bound": {[]uint64{3000}, []int64{1000}, 2667, 2667, 1007},
	} {
		got := at(c.durations, c.bytes)
		if got.Peak != c.peak || got.Average != c.average || got.Bytes != c.size {
			t.Errorf("%s: peak %d, average %d, bytes %d; want %d, %d, %d", name, got.Peak, got.Average, got.Bytes, c.peak, c.average, c.size)
		}
	}
}

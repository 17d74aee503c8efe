package drill

import (
	"cmp"
	"context"
	"encoding/json"
	"encoding/xml"
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

	"sluice/test/rig"
)

// faultInput is one row of the table of `make faults`: an input after a public bug report, and what a correct server
// makes of it. To add rows, write a slice of them in a file faults_TOPIC_test.go and name it in faultInputs.
type faultInput struct {
	name string
	// make writes the input and returns its path. "" skips the row: its script is not on this machine.
	make func(t *testing.T) string
	// as is the filename of the upload; "" for that of the input.
	as string
	// right reports on t what is wrong with the video that the input became.
	right func(t *testing.T, s *rig.Server, v rig.Video)
	// run replaces the upload where the fault is not in a file but in a request. It returns the outcome in a few words.
	// input is what make wrote, "" without make.
	run func(t *testing.T, s *rig.Server, input string) string
}

// faultInputs are all rows, by topic.
var faultInputs = slices.Concat(endsFaults, tracksFaults, doorFaults)

// TestFault_EachInput_EndsAsItShould sends each row of the table to one server, one after the other, and prints input,
// outcome and seconds. `make faults` runs it; without -full the tests of the packages cover the same kinds of input.
func TestFault_EachInput_EndsAsItShould(t *testing.T) {
	if !*full {
		t.Skip("every input of the table: make faults")
	}
	s := rig.Start(t, rig.Options{})
	for _, f := range faultInputs {
		t.Run(f.name, func(t *testing.T) {
			input := ""
			if f.make != nil {
				if input = f.make(t); input == "" {
					t.Skip("../shared/faults is not beside the repository")
				}
			}
			began, outcome := time.Now(), ""
			if f.run != nil {
				outcome = f.run(t, s, input)
			} else {
				v := s.Await(s.Upload(input, cmp.Or(f.as, filepath.Base(input))), 10*time.Minute)
				f.right(t, s, v)
				outcome = outcomeOf(v)
			}
			verdict := "right"
			if t.Failed() {
				verdict = "WRONG"
			}
			fmt.Printf("%-44s %-5s %6.1f s  %s\n", f.name, verdict, time.Since(began).Seconds(), outcome)
		})
	}
}

// outcomeOf says in a few words what a video became.
func outcomeOf(v rig.Video) string {
	switch {
	case v.Error != nil:
		return v.Status + " " + v.Error.Code
	case len(v.Renditions) > 0:
		return fmt.Sprintf("%s %s, %.1f s", v.Status, v.Sizes(), float64(v.DurationMS)/1000)
	default:
		return fmt.Sprintf("%s, %.1f s", v.Status, float64(v.DurationMS)/1000)
	}
}

// script has ../shared/faults/NAME.sh make an input, where that is beside the repository.
func script(name, ext string) func(*testing.T) string {
	return func(t *testing.T) string {
		path := filepath.Join(rig.Root(t), "..", "shared", "faults", name+".sh")
		if _, err := os.Stat(path); err != nil {
			return ""
		}
		out := filepath.Join(t.TempDir(), name+ext)
		if said, err := exec.Command(path, out).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, said)
		}
		return out
	}
}

// lavfi has ffmpeg make an input of generated picture and sound: args come before the output's name.
func lavfi(name string, args ...string) func(*testing.T) string {
	return func(t *testing.T) string { return rig.Make(t, name, args...) }
}

// mustBeReady fails the row unless the video is ready.
func mustBeReady(t *testing.T, v rig.Video) {
	t.Helper()
	if v.Status != "ready" {
		t.Fatalf("want ready; got %s", v.Raw)
	}
}

// trackEnds is how many seconds each media playlist of a published HLS presentation lasts, by its address below the
// multivariant playlist.
func trackEnds(t *testing.T, hls string) map[string]float64 {
	t.Helper()
	base, err := url.Parse(hls)
	if err != nil {
		t.Fatal(err)
	}
	ends := map[string]float64{}
	for _, line := range playlist(t, hls) {
		name := line
		if strings.HasPrefix(line, "#EXT-X-MEDIA:") {
			_, rest, _ := strings.Cut(line, `URI="`)
			name, _, _ = strings.Cut(rest, `"`)
		} else if strings.HasPrefix(line, "#") {
			continue
		}
		at, err := base.Parse(name)
		if err != nil || name == "" {
			continue
		}
		for _, l := range playlist(t, at.String()) {
			if value, ok := strings.CutPrefix(l, "#EXTINF:"); ok {
				length, _ := strconv.ParseFloat(strings.Split(value, ",")[0], 64)
				ends[name] += length
			}
		}
	}
	return ends
}

// playlist returns the lines of a playlist without spaces in them.
func playlist(t *testing.T, address string) []string {
	t.Helper()
	status, body := rig.Get(t, address)
	if status != 200 {
		t.Fatalf("GET %s: %d", address, status)
	}
	return strings.Fields(strings.ReplaceAll(string(body), ", ", ","))
}

// mustEndTogether fails the row unless all tracks of the presentation end within a segment of each other, at about want
// seconds, and the MPD says the same length.
func mustEndTogether(t *testing.T, v rig.Video, want float64) {
	t.Helper()
	mustBeReady(t, v)
	ends := trackEnds(t, v.Playback.HLS)
	for name, end := range ends {
		if end < want-0.5 || end > want+0.5 {
			t.Errorf("%s ends at %.3f s; want %.3f s (all: %v)", name, end, want, ends)
		}
	}
	if len(ends) < 2 {
		t.Errorf("want picture and sound; got %v", ends)
	}
	_, body := rig.Get(t, v.Playback.DASH)
	var mpd struct {
		Duration string `xml:"mediaPresentationDuration,attr"`
	}
	if err := xml.Unmarshal(body, &mpd); err != nil {
		t.Fatal(err)
	}
	length, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(mpd.Duration, "PT")))
	if err != nil || length.Seconds() < want-0.5 || length.Seconds() > want+0.5 {
		t.Errorf("the MPD lasts %s; want %.3f s", mpd.Duration, want)
	}
}

// pictureOf is what ffprobe reads of the picture of a published presentation, or of a file.
func pictureOf(t *testing.T, hls string) (p struct {
	Width, Height int
	Rate          string `json:"r_frame_rate"`
	Aspect        string `json:"sample_aspect_ratio"`
}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-select_streams", "V:0",
		"-show_entries", "stream=width,height,r_frame_rate,sample_aspect_ratio", "-of", "json", hls).Output()
	if err != nil {
		t.Fatalf("ffprobe %s: %v", hls, err)
	}
	var all struct{ Streams []json.RawMessage }
	if err := json.Unmarshal(out, &all); err != nil || len(all.Streams) == 0 {
		t.Fatalf("ffprobe says %s", out)
	}
	if err := json.Unmarshal(all.Streams[0], &p); err != nil {
		t.Fatal(err)
	}
	return p
}

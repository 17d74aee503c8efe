package ffmpeg

import (
	"slices"
	"strings"
	"testing"

	"sluice/internal/video"
)

func TestNoDemuxerThatOpensOtherFilesMayRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"hls", "applehttp", "concat", "dash", "image2", "image2pipe", "imf", "lavfi", "rtsp", "sdp", "rtp", "tty", "srt", "ass",
		"webm_dash_manifest", "vapoursynth", "tedcaptions", "xbin", "bin", "adf", "idf", "gif", "ffmetadata", "avisynth"} {
		if slices.Contains(formats, name) {
			t.Errorf("%s is on the list", name)
		}
	}
	for _, name := range []string{"ansi", "bintext", "xbin", "idf"} {
		if slices.Contains(decoders, name) {
			t.Errorf("decoder %s is on the list", name)
		}
	}
}

func TestInputArgumentsGuardEveryInput(t *testing.T) {
	t.Parallel()
	got := strings.Join(inputArgs(video.Limits{Pixels: 1000, Streams: 5}, "/a b/x.mp4", "-ss", "3"), " ")
	for _, want := range []string{"-protocol_whitelist file ", "-format_whitelist mov,", "-codec_whitelist h264,", "-max_streams 5 ", "-max_pixels 1000 ", "-ss 3 -i file:/a b/x.mp4"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q lacks %q", got, want)
		}
	}
	if !strings.HasSuffix(got, "-i file:/a b/x.mp4") {
		t.Error("the input is not last")
	}
}

func TestEveryDecoderAndDemuxerOfTheListsExists(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	for option, list := range map[string][]string{"-decoders": decoders, "-demuxers": formats} {
		var out strings.Builder
		if _, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), bare: true, args: []string{"-hide_banner", option}, stdout: &out}); err != nil {
			t.Fatal(err)
		}
		known := map[string]bool{}
		for line := range strings.Lines(out.String()) {
			if f := strings.Fields(line); len(f) > 1 {
				for name := range strings.SplitSeq(f[1], ",") {
					known[name] = true
				}
			}
		}
		for _, name := range list {
			if !known[name] && !strings.HasPrefix(name, "lib") { // builds differ in their libraries
				t.Errorf("%s: there is no %s", option, name)
			}
		}
	}
}

// TestFormats_EachDecoderOfFFmpeg_IsListedOrLeftOutWithAReason keeps docs/FORMATS.md complete: what ffmpeg 5.1 decodes is
// let in or named there, and what is let in is not named as left out.
func TestFormats_EachDecoderOfFFmpeg_IsListedOrLeftOutWithAReason(t *testing.T) {
	t.Parallel()
	tool := newTool(t)
	if !strings.HasPrefix(tool.Version(), "5.1.") {
		t.Skip("the docs list the decoders of ffmpeg 5.1")
	}
	docs := string(read(t, "../../docs/FORMATS.md"))
	listed, left, _ := strings.Cut(docs, "## Left out")
	var out strings.Builder
	if _, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), bare: true, args: []string{"-hide_banner", "-decoders"}, stdout: &out}); err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(out.String(), " ------")
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		in := slices.Contains(decoders, f[1])
		if in == strings.Contains(left, "`"+f[1]+"`") || in && !strings.Contains(listed, "`"+f[1]+"`") {
			t.Errorf("%s: let in %v; docs/FORMATS.md says otherwise, or nothing", f[1], in)
		}
	}
	for _, name := range formats {
		if !strings.Contains(listed, "`"+name+"`") {
			t.Errorf("docs/FORMATS.md lacks the container %s", name)
		}
	}
}

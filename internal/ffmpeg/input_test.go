package ffmpeg

import (
	"path/filepath"
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

// TestFormats_EachCodec_OfAnEncoder_EndsInTracks makes a source by each encoder of the installed ffmpeg whose codec is
// let in, and takes it through probe and encode. Containers that the encoder's stream does not fit are passed over.
func TestFormats_EachCodec_OfAnEncoder_EndsInTracks(t *testing.T) {
	t.Parallel()
	if !*full {
		t.Skip("only with -full")
	}
	tool := newTool(t)
	var table strings.Builder
	if _, err := tool.run(t.Context(), spec{op: "test", dir: t.TempDir(), bare: true, args: []string{"-hide_banner", "-codecs"}, stdout: &table}); err != nil {
		t.Fatal(err)
	}
	made := 0
	for line := range strings.Lines(table.String()) {
		f := strings.Fields(line)
		if len(f) < 2 || len(f[0]) != 6 || f[0][0] != 'D' || f[0][1] != 'E' || f[0][2] != 'V' && f[0][2] != 'A' || !slices.Contains(decoders, f[1]) {
			continue
		}
		made++
		t.Run(f[1], func(t *testing.T) {
			args := []string{"-f", "lavfi", "-i", "testsrc2=s=352x288:r=25:d=1", "-c:v", f[1], "-strict", "-2"}
			if f[0][2] == 'A' {
				args = []string{"-f", "lavfi", "-i", "sine=f=440:d=1", "-c:a", f[1], "-strict", "-2"}
			}
			src := ""
			for _, name := range []string{"a.mkv", "a.mov", "a.nut", "a.avi", "a.rm", "a.flv", "a.mxf", "a.mpg", "a.wav"} {
				dir := t.TempDir()
				_, err := tool.run(t.Context(), spec{op: "test", args: append(slices.Clone(args), "-y", name), dir: dir})
				if err == nil { // it may be that no decoder reads it from that container
					_, err = tool.run(t.Context(), spec{op: "test", args: []string{"-xerror", "-i", name, "-f", "null", "-"}, dir: dir})
				}
				if err == nil {
					src = filepath.Join(dir, name)
					break
				}
			}
			if src == "" {
				t.Skip("its encoder takes neither this size and rate nor these containers")
			}
			facts, err := tool.Probe(t.Context(), Whole(src), filepath.Base(src))
			if err != nil {
				t.Fatal(err)
			}
			source := src // as ingest does: one that can't be copied is encoded in one piece
			if container := RemuxFor(facts); container != "" {
				copied := filepath.Join(t.TempDir(), "copy")
				if err := tool.Remux(t.Context(), src, copied, facts, container); err != nil && !Uncut(facts) {
					t.Fatal(err, Detail(err))
				} else if err == nil {
					source = copied
				}
			}
			if source != src {
				if facts, err = tool.Probe(t.Context(), Whole(source), filepath.Base(src)); err != nil {
					t.Fatal(err)
				}
			}
			plan, err := video.MakePlan(facts, video.Settings{}, 1)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Audio != nil {
				_, err = tool.EncodeAudio(t.Context(), Whole(source), facts, plan, t.TempDir(), nil)
			} else {
				_, _, err = tool.EncodeChunk(t.Context(), Whole(source), facts, plan, plan.Chunks[0], t.TempDir(), 1, nil)
			}
			if err != nil {
				t.Errorf("%s: %v\n%s", filepath.Base(src), err, Detail(err))
			}
		})
	}
	if made < 50 {
		t.Errorf("only %d codecs were tried", made)
	}
}

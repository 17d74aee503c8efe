package ffmpeg

import (
	"encoding/csv"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/video"
)

// corpus is the folder of real files beside the repository.
const corpus = "../../../shared/media"

type corpusFile struct {
	name, expected, notes string
}

// corpusFiles are the videos and sounds of the corpus; the test is skipped where the corpus is absent.
func corpusFiles(t *testing.T) []corpusFile {
	t.Helper()
	f, err := os.Open(filepath.Join(corpus, "MANIFEST.tsv"))
	if err != nil {
		t.Skip("the media corpus is not here")
	}
	defer func() { _ = f.Close() }()
	r := csv.NewReader(f)
	r.Comma, r.LazyQuotes, r.FieldsPerRecord = '\t', true, -1
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	column := map[string]int{}
	for i, name := range rows[0] {
		column[name] = i
	}
	var files []corpusFile
	for _, row := range rows[1:] {
		name := row[column["file"]]
		if strings.HasPrefix(name, "image/") || strings.HasPrefix(name, "captions/") {
			continue
		}
		files = append(files, corpusFile{name, row[column["expected"]], row[column["notes"]]})
	}
	return files
}

// errorCodes reads the table of docs/ERRORS.md.
func errorCodes(t *testing.T) map[string]bool {
	t.Helper()
	b, err := os.ReadFile("../../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|").FindAllStringSubmatch(string(b), -1) {
		codes[m[1]] = true
	}
	return codes
}

// otherwise are files for which the manifest's column is about another service, or its note allows both.
var otherwise = map[string]string{
	"hostile/gif-named.jpg":                 "reject", // ok as an image
	"hostile/polyglot-jpeg-php-in-exif.jpg": "reject", // ok as an image
	"hostile/bomb-png-ztxt-1x1.png":         "reject", // an image
}

func TestEveryFileOfTheCorpusMeetsItsExpectation(t *testing.T) {
	t.Parallel()
	tool, codes := newTool(t), errorCodes(t)
	for i, file := range corpusFiles(t) {
		every := 8
		if folder := path.Dir(file.name); folder == "broken" || folder == "hostile" {
			every = 4
		}
		if !*full && i%every > 0 { // make drill takes all
			continue
		}
		t.Run(file.name, func(t *testing.T) {
			start := time.Now()
			facts, err := tool.Probe(t.Context(), Whole(filepath.Join(corpus, file.name)), file.name)
			took := time.Since(start)
			t.Logf("%5dms %s", took.Milliseconds(), summary(facts, err))
			expected := file.expected
			if other, ok := otherwise[file.name]; ok {
				expected = other
			}
			switch {
			case strings.HasPrefix(expected, "reject"):
				if err == nil {
					t.Error("not refused")
				}
			case expected == "ok":
				if err != nil || facts.Video == nil {
					t.Errorf("refused, or no video: %v\n%s", err, Detail(err))
				}
			case expected == "audio-only":
				if err != nil || facts.Video != nil || len(facts.Audio) == 0 {
					t.Errorf("refused, or not audio only: %v", err)
				}
			}
			if err != nil && !codes[codeOf(err)] {
				t.Errorf("code %q is not in docs/ERRORS.md", codeOf(err))
			}
			if err != nil && strings.Contains(Detail(err), "root:") {
				t.Error("the details hold a line of a host file")
			}
			if took > 2*time.Minute {
				t.Errorf("took %v", took)
			}
		})
	}
}

// summary is a line about facts for people.
func summary(f video.Facts, err error) string {
	if err != nil {
		return err.Error()
	}
	s := fmt.Sprintf("%s %.3fs seek=%v remux=%q", f.Container, f.Duration.Seconds(), f.Seekable, RemuxFor(f))
	if v := f.Video; v != nil {
		s += fmt.Sprintf(" · %s %s %s/%d %dx%d sar %d:%d rot %d rate %d/%d vfr=%v int=%v %s/%s/%s full=%v start %.3f dur %.3f n=%d hold %.3f",
			v.Codec, v.Profile, v.PixFmt, v.BitDepth, v.Width, v.Height, v.Aspect.Num, v.Aspect.Den, v.Rotation, v.Rate.Num, v.Rate.Den, v.VFR, v.Interlaced,
			v.Transfer, v.Primaries, v.Matrix, v.FullRange, v.Start.Seconds(), v.Duration.Seconds(), v.Packets, v.MaxHold.Seconds())
	}
	for _, a := range f.Audio {
		s += fmt.Sprintf(" · %s %dch %d %q start %.3f dur %.3f", a.Codec, a.Channels, a.SampleRate, a.Language, a.Start.Seconds(), a.Duration.Seconds())
	}
	return s
}

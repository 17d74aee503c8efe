package drill

import (
	"encoding/csv"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// otherwise are files whose expectation in the manifest is that of an image service.
var otherwise = map[string]string{"hostile/gif-named.jpg": "reject", "hostile/polyglot-jpeg-php-in-exif.jpg": "reject"}

// TestTheWholeCorpusEndsAsItsManifestSays takes every video and audio file of the corpus the whole way, with -full.
func TestTheWholeCorpusEndsAsItsManifestSays(t *testing.T) {
	if !*full {
		t.Skip("only in full; the encoder's tests probe each damaged file")
	}
	beside(t)
	manifest, err := os.Open(rig.Media(t, "MANIFEST.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer manifest.Close()
	lines := csv.NewReader(manifest)
	lines.Comma, lines.LazyQuotes, lines.FieldsPerRecord = '\t', true, -1
	rows, err := lines.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	expected := 0
	for i, name := range rows[0] {
		if name == "expected" {
			expected = i
		}
	}
	s := rig.Start(t, rig.Options{})
	type sent struct{ file, want, id string }
	var all []sent
	for _, row := range rows[1:] {
		file, want := row[0], row[expected]
		folder := path.Dir(file)
		if folder == "image" || folder == "captions" {
			continue
		}
		if other := otherwise[file]; other != "" {
			want = other
		}
		// What starts a video is a name's ending; what is in it, its content tells.
		all = append(all, sent{file, want, s.Upload(rig.Media(t, file), strings.TrimSuffix(path.Base(file), path.Ext(file))+".mp4")})
	}
	for _, f := range all {
		t.Run(f.file, func(t *testing.T) {
			v := s.Await(f.id, 30*time.Minute)
			switch {
			case strings.HasPrefix(f.want, "either"):
			case strings.HasPrefix(f.want, "reject"):
				if v.Status != "failed" || v.Error == nil || v.Error.Code == "internal" || v.Error.Code == "tool_failed" {
					t.Errorf("want a refusal; got %s", v.Raw)
				}
			case v.Status != "ready":
				t.Errorf("want %s; got %s", f.want, v.Raw)
			case f.want == "audio-only" && (len(v.Renditions) > 0 || len(v.Audio) != 1):
				t.Errorf("want audio only; got %s", v.Raw)
			}
		})
	}
	s.Quiet()
}

package manifest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"
)

// seeds are the handwritten manifests, those of the writers, and small ones with references of every form.
func seeds(f *testing.F, ext string) {
	f.Helper()
	for _, ref := range []string{"a", "//", "//h/a", "a:b", "?", "#", "a?#", "a?b=c&#d", "/a/../b", "$$/$Number%05d$", "&amp;&#35;&#x3F;"} {
		if ext == ".m3u8" {
			f.Add([]byte("#EXTM3U\r\n#EXT-X-MAP:URI=\"" + ref + "\"\r\n" + ref))
		} else {
			f.Add([]byte("<MPD><BaseURL> " + ref + " </BaseURL><Location>" + ref + "</Location><Period xlink:href='" + ref + "'/><SegmentURL media=\"" + ref + "\"/></MPD>"))
		}
	}
	names, err := filepath.Glob(filepath.Join("testdata", "every", "*"+ext))
	if err != nil || len(names) == 0 {
		f.Fatalf("%q %v", names, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	for _, p := range fixtures() {
		for name, text := range files(p) {
			if strings.HasSuffix(name, ext) {
				f.Add(text)
			}
		}
	}
}

// carries checks the references of a signed manifest against those before: the ones that a browser would fetch from the host of
// the manifest have the query, once, and are otherwise what they were; others are untouched.
func carries(t *testing.T, before, after []string, query string) {
	t.Helper()
	if len(before) != len(after) {
		t.Fatalf("%d references became %d: %q, %q", len(before), len(after), before, after)
	}
	base, err := url.Parse("https://edge.example/stream/x/1/")
	if err != nil {
		t.Fatal(err)
	}
	for i, ref := range after {
		if ref == before[i] {
			itself := ref == "" || ref[0] == '#'
			if to, err := base.Parse(ref); err == nil && to.Host == base.Host && to.Scheme == "https" && !itself && !strings.HasPrefix(ref, "//") {
				t.Fatalf("%q has no query", ref)
			}
			continue
		}
		to, err := base.Parse(strings.ReplaceAll(ref, "%", "%25")) // a template's widths are no escapes
		if err != nil || to.Host != base.Host {
			t.Fatalf("%q was signed, and leads to %v (%v)", before[i], to, err)
		}
		if strings.Count(to.RawQuery, query) != 1 || !strings.HasSuffix(to.RawQuery, query) {
			t.Fatalf("%q became %q", before[i], ref)
		}
		head, tail, _ := strings.Cut(ref, query)
		if head+tail != before[i] && strings.TrimSuffix(head, "&")+tail != before[i] && strings.TrimSuffix(head, "?")+tail != before[i] {
			t.Fatalf("%q became %q", before[i], ref)
		}
	}
}

// quoted finds what a lenient player takes for references: URI attributes wherever they stand in a tag that has them, and lines without "#".
var quoted = regexp.MustCompile(`(?:^|[:,])(?:URI|SERVER-URI|X-ASSET-URI|X-ASSET-LIST)=(?:"([^"]*)"|([^",]*))`)

func lenient(text []byte) []string {
	var refs []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		name, _, _ := strings.Cut(strings.TrimPrefix(line, "#"), ":")
		switch {
		case line == "":
		case line[0] != '#':
			refs = append(refs, line)
		case referring[name] != nil:
			blank := regexp.MustCompile(`"[^"]*"`)
			for _, at := range quoted.FindAllStringIndex(line, -1) {
				m := quoted.FindStringSubmatch(line[at[0]:at[1]])
				attribute := strings.TrimLeft(line[at[0]:at[0]+strings.IndexByte(line[at[0]:], '=')], ":,")
				// Not within another attribute's quotes: an even number of quotes stands before it.
				if strings.Count(blank.ReplaceAllString(line[:at[0]], ""), `"`) == 0 && slices.Contains(referring[name], attribute) {
					refs = append(refs, m[1]+m[2])
				}
			}
		}
	}
	return refs
}

// decodes asks another parser, which panics over some playlists that are none.
func decodes(text []byte) (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	_, _, err := m3u8.DecodeFrom(bytes.NewReader(text), false)
	return err == nil
}

func FuzzASignedPlaylistStaysAPlaylist(f *testing.F) {
	seeds(f, ".m3u8")
	f.Fuzz(func(t *testing.T, text []byte) {
		cut, err := CutPlaylist(text)
		if err != nil {
			return
		}
		query := "Fuzz-Policy=p_~&Fuzz-Key=k"
		out, err := cut.Sign(nil, Everywhere(query))
		if err != nil {
			return // a reference that has these parameters
		}
		carries(t, lenient(text), lenient(out), query)
		again, err := CutPlaylist(out)
		if err != nil || !slices.Equal(again.folders, cut.folders) || len(again.cuts) != len(cut.cuts) {
			t.Fatalf("the signed playlist is another: %v\n%s", err, out)
		}
		if _, err := again.Sign(nil, Everywhere(query)); err == nil && len(cut.cuts) > 0 {
			t.Fatal("it can be signed twice")
		}
		if decodes(text) && !decodes(out) {
			t.Fatalf("the signed playlist doesn't parse:\n%s", out)
		}
	})
}

// readable is what encoding/xml makes of a document: its references as CutMPD should find them, and everything else.
func readable(text []byte) (refs []string, rest string, err error) {
	var b strings.Builder
	depth, open := 0, 0
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			if depth != 0 {
				err = io.ErrUnexpectedEOF
			} else {
				err = nil
			}
			return refs, b.String(), err
		}
		if err != nil {
			return nil, "", err
		}
		switch token := token.(type) {
		case xml.StartElement:
			depth++
			open = 0
			if token.Name.Space == "" && slices.Contains(mpdContaining, token.Name.Local) {
				open = 1
				if token.Name.Local == "BaseURL" {
					open = 2
				}
			}
			b.WriteString("<" + token.Name.Space + ":" + token.Name.Local)
			for _, a := range token.Attr {
				if a.Name.Space == "xlink" && a.Name.Local == "href" || a.Name.Space == "" && token.Name.Space == "" && slices.Contains(mpdReferring[token.Name.Local], a.Name.Local) {
					refs = append(refs, a.Value)
					continue
				}
				b.WriteString(" " + a.Name.Space + ":" + a.Name.Local + "=" + a.Value)
			}
		case xml.EndElement:
			depth--
			open = 0
			b.WriteString(">")
		case xml.CharData:
			ref := strings.Trim(string(token), " \t\r\n")
			if open == 1 || open == 2 && ref != "" && !folder(ref) {
				refs = append(refs, ref)
			} else {
				b.Write(token)
			}
		default:
		}
	}
}

func FuzzASignedMPDStaysAnMPD(f *testing.F) {
	seeds(f, ".mpd")
	f.Fuzz(func(t *testing.T, text []byte) {
		cut, err := CutMPD(text)
		if err != nil {
			return
		}
		query := "Fuzz-Policy=p_~&Fuzz-Key=k"
		out, err := cut.Sign(nil, Everywhere(query))
		if err != nil {
			return
		}
		again, err := CutMPD(out)
		if err != nil || !slices.Equal(again.folders, cut.folders) || len(again.cuts) != len(cut.cuts) {
			t.Fatalf("the signed MPD is another: %v\n%s", err, out)
		}
		before, rest, err := readable(text)
		if err != nil {
			return // encoding/xml is stricter here and there
		}
		after, restAfter, err := readable(out)
		if err != nil || rest != restAfter {
			t.Fatalf("the signed MPD doesn't parse or says something else: %v\n%s", err, out)
		}
		carries(t, before, after, query)
	})
}

package manifest

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"sluice/internal/fault"
)

// signature is a query as CloudFront spells one of a custom policy (RSA 2048: 344 characters), for tests.
var signature = "Policy=eyJTdGF0ZW1lbnQiOlt7fV19_" + strings.Repeat("Aa0~", 40) + "&Signature=" + strings.Repeat("b-9~", 86) + "&Key-Pair-Id=K2JCJMDEHXQW5F"

// cutOf makes the template of a file by its name.
func cutOf(name string, text []byte) (*Template, error) {
	if strings.HasSuffix(name, ".mpd") {
		return CutMPD(text)
	}
	return CutPlaylist(text)
}

func signed(t *testing.T, name string, text []byte, query string) []byte {
	t.Helper()
	cut, err := cutOf(name, text)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, text)
	}
	out, err := cut.Sign(nil, Everywhere(query))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return out
}

func TestEverySortOfReferenceGetsTheQuery(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"master.m3u8", "media.m3u8", "images.m3u8", "list.mpd", "template.mpd"} {
		source, err := os.ReadFile(filepath.Join("testdata", "every", name))
		if err != nil {
			t.Fatal(err)
		}
		got := signed(t, name, source, "Policy=p_~&Signature=s-~&Key-Pair-Id=K1")
		golden := filepath.Join("testdata", "every", name+".signed")
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("differs from %s (run with -update and look at the change); got:\n%s", golden, got)
		}
		if name == "media.m3u8" || strings.HasSuffix(name, "mpd") {
			windows := bytes.ReplaceAll(source, []byte("\n"), []byte("\r\n"))
			again := signed(t, name, windows, "Policy=p_~&Signature=s-~&Key-Pair-Id=K1")
			if !bytes.Equal(again, bytes.ReplaceAll(want, []byte("\n"), []byte("\r\n"))) {
				t.Errorf("%s with CR LF is signed otherwise:\n%s", name, again)
			}
		}
	}
}

func TestTheQueryIsMergedWithWhatAReferenceHas(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"a.m4s":           "a.m4s?k=v&l=w",
		"../x/a.m4s":      "../x/a.m4s?k=v&l=w",
		"/x/a.m4s":        "/x/a.m4s?k=v&l=w",
		"a.m4s?":          "a.m4s?k=v&l=w",
		"a.m4s?x=1":       "a.m4s?x=1&k=v&l=w",
		"a.m4s?x=1&":      "a.m4s?x=1&k=v&l=w",
		"a.m4s#t=1":       "a.m4s?k=v&l=w#t=1",
		"a.m4s?x#t":       "a.m4s?x&k=v&l=w#t",
		"a.m4s?x=a/b:c?d": "a.m4s?x=a/b:c?d&k=v&l=w",
		"?x=1":            "?x=1&k=v&l=w",
		"a/b:c.m4s":       "a/b:c.m4s?k=v&l=w",
		// foreign, or the manifest itself
		"https://other.example/a.m4s": "https://other.example/a.m4s",
		"//other.example/a.m4s":       "//other.example/a.m4s",
		"HTTP:a":                      "HTTP:a",
		"a:b/c":                       "a:b/c",
		"skd://key":                   "skd://key",
		"data:text/plain;base64,QQ==": "data:text/plain;base64,QQ==",
		"#t":                          "#t",
	} {
		list := "#EXTM3U\n#EXT-X-MAP:URI=\"" + ref + "\",BYTERANGE=\"7@9\"\n#EXTINF:1,a,URI=\"b\"\n#EXT-X-BYTERANGE:7@9\n"
		if ref[0] != '#' {
			list += ref + "\n"
		}
		got := string(signed(t, HLS, []byte(list), "k=v&l=w"))
		if expect := strings.ReplaceAll(list, ref, want); got != expect {
			t.Errorf("%q in a playlist: got\n%swant\n%s", ref, got, expect)
		}
		for _, quote := range []string{`"`, `'`} {
			mpd := "<MPD><a x='" + ref + "'/><SegmentURL mediaRange=\"7-9\" media=" + quote + escaped(ref) + quote + " index=" + quote + quote + " /></MPD>"
			got := string(signed(t, DASH, []byte(mpd), "k=v&l=w"))
			expect := strings.Replace(mpd, quote+escaped(ref)+quote, quote+escaped(want)+quote, 1)
			if quote == "'" {
				expect = "<MPD><a x='" + ref + "'/><SegmentURL mediaRange=\"7-9\" media='" + escaped(want) + "' index='' /></MPD>"
			}
			if got != expect {
				t.Errorf("%q in an MPD: got\n%s\nwant\n%s", ref, got, expect)
			}
		}
	}
}

func escaped(s string) string { return strings.ReplaceAll(s, "&", "&amp;") }

func TestWhatTwoReadersMayReadInTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"empty.m3u8":             "",
		"page.m3u8":              "<html>",
		"mark.m3u8":              "\ufeff#EXTM3U\na.m4s\n",
		"backslash.m3u8":         "#EXTM3U\n\\\\evil.example\\a.m4s\n",
		"one slash.m3u8":         "#EXTM3U\n/\\evil.example/a.m4s\n",
		"tab.m3u8":               "#EXTM3U\n/\t/evil.example/a.m4s\n",
		"space.m3u8":             "#EXTM3U\n //evil.example/a.m4s\n",
		"lone return.m3u8":       "#EXTM3U\na.m4s\r//evil.example/b.m4s\n",
		"next line.m3u8":         "#EXTM3U\na.m4s\u0085//evil.example/b.m4s\n",
		"line separator.m3u8":    "#EXTM3U\n#a\u2028//evil.example/b.m4s\n",
		"not utf8.m3u8":          "#EXTM3U\n#\xff\n",
		"variable.m3u8":          "#EXTM3U\n{$host}/a.m4s\n",
		"open quote.m3u8":        "#EXTM3U\n#EXT-X-MAP:URI=\"a\n",
		"twice.m3u8":             "#EXTM3U\n#EXT-X-MAP:URI=\"a\",URI=\"//evil.example\"\n",
		"no attributes.m3u8":     "#EXTM3U\n#EXT-X-MAP:\n",
		"after quote.m3u8":       "#EXTM3U\n#EXT-X-MAP:URI=\"a\"b\n",
		"spaces.m3u8":            "#EXTM3U\n#EXT-X-MAP:BYTERANGE=1, URI=\"a\"\n",
		"bad own query.m3u8":     "#EXTM3U\na.m4s?%zz=1\n",
		"empty.mpd":              "",
		"other root.mpd":         "<html/>",
		"prefixed.mpd":           "<d:MPD xmlns:d='urn:mpeg:dash:schema:mpd:2011'/>",
		"two roots.mpd":          "<MPD/><MPD/>",
		"breaks off.mpd":         "<MPD><Period>",
		"crossed.mpd":            "<MPD><a><b></a></b></MPD>",
		"text outside.mpd":       "<MPD/>x",
		"doctype.mpd":            "<!DOCTYPE MPD [<!ENTITY a 'b'>]><MPD/>",
		"cdata.mpd":              "<MPD><Location><![CDATA[a]]></Location></MPD>",
		"comment in a URI.mpd":   "<MPD><BaseURL>a<!-- -->b</BaseURL></MPD>",
		"element in a URI.mpd":   "<MPD><BaseURL>a<b/></BaseURL></MPD>",
		"foreign base.mpd":       "<MPD><BaseURL>https://evil.example/</BaseURL></MPD>",
		"hidden base.mpd":        "<MPD><BaseURL> &#x2f;&#47;evil.example/</BaseURL></MPD>",
		"backslash base.mpd":     "<MPD><BaseURL>/\\evil.example/</BaseURL></MPD>",
		"xml base.mpd":           "<MPD xml:base='//evil.example/'/>",
		"unknown entity.mpd":     "<MPD><SegmentURL media='&slash;&slash;evil'/></MPD>",
		"open entity.mpd":        "<MPD><SegmentURL media='a&amp'/></MPD>",
		"no quotes.mpd":          "<MPD><SegmentURL media=a/></MPD>",
		"attribute twice.mpd":    "<MPD><SegmentURL media='a' media='b'/></MPD>",
		"angle.mpd":              "<MPD><SegmentURL media='a<b'/></MPD>",
		"utf16.mpd":              "<?xml version='1.0' encoding='UTF-16'?><MPD/>",
		"null.mpd":               "<MPD>\x00</MPD>",
		"deep.mpd":               strings.Repeat("<MPD>", 65) + strings.Repeat("</MPD>", 65),
		"id is a host.mpd":       "<MPD><Representation id='//evil.example'/></MPD>",
		"id is a scheme.mpd":     "<MPD><Representation id='https:'/></MPD>",
		"id asks.mpd":            "<MPD><Representation id='a?b'/></MPD>",
		"no id.mpd":              "<MPD><Representation/></MPD>",
		"newline in a URI.mpd":   "<MPD><SegmentURL media='/&#10;/evil'/></MPD>",
		"space in a URI.mpd":     "<MPD><SegmentURL media=' //evil'/></MPD>",
		"declaration open.mpd":   "<?xml version='1.0'",
		"instruction open.mpd":   "<MPD/><?a",
		"comment open.mpd":       "<MPD/><!--",
		"tag open.mpd":           "<MPD a='b'",
		"end with attribute.mpd": "<MPD></MPD a='b'>",
		"end with slash.mpd":     "<MPD></MPD/>",
	} {
		var f *fault.Error
		if cut, err := cutOf(name, []byte(text)); !errors.As(err, &f) || f.Code != "manifest_unfit" {
			t.Errorf("%s: %v %v", name, cut, err)
		}
	}
}

func TestAQueryThatCouldEndWhatItStandsInIsRefused(t *testing.T) {
	t.Parallel()
	cut, err := CutPlaylist([]byte("#EXTM3U\na.m4s?Policy=x\n"))
	if err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{`a="`, "a=<", "a=b c", "a=b\n", "a=$Number$", "?a=b", "&a=b", "a=b&", "=b", "a=b#c", "a=ü", "a/b=c", "Policy=y", "x=1&Policy=y", "%50olicy=y"} {
		var f *fault.Error
		if out, err := cut.Sign(nil, Everywhere(query)); !errors.As(err, &f) || f.Code != "query_unfit" {
			t.Errorf("%q: %s %v", query, out, err)
		}
	}
	for _, query := range []string{"a=b", "a", "a=b==", "a=%20-._~", ""} {
		if _, err := cut.Sign(nil, Everywhere(query)); err != nil {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func TestTheFaultsOfManifestsAreInTheTable(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{unfit("x"), misfit("x")} {
		if code := fault.Of(err).Code; !bytes.Contains(table, []byte("| `"+code+"` |")) {
			t.Errorf("%s is not in docs/ERRORS.md", code)
		}
	}
}

func TestEachFolderIsSignedOnceAndForItself(t *testing.T) {
	t.Parallel()
	p := fixtures()["ntsc"]
	for file, want := range map[string][]string{
		HLS:               {"audio-1/", "480p/", "1080p/", "720p/", "360p/"},
		DASH:              {"1080p/", "720p/", "480p/", "360p/", "audio-1/"},
		"1080p/" + HLS:    {""},
		"1080p/" + IFrame: {""},
	} {
		cut, err := cutOf(file, files(p)[file])
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		out, err := cut.Sign([]byte("before "), func(folder string) (string, error) {
			asked = append(asked, folder)
			if folder == "720p/" {
				return "", nil
			}
			return "of=" + strings.TrimSuffix(folder, "/"), nil
		})
		if err != nil || !slices.Equal(asked, want) || !slices.Equal(cut.Folders(), want) {
			t.Fatalf("%s: asked for %q of %q, %v", file, asked, cut.Folders(), err)
		}
		text, found := strings.CutPrefix(string(out), "before ")
		if !found {
			t.Errorf("%s: what dst held is gone", file)
		}
		for _, ref := range references(t, file, []byte(text)) {
			folder, name, _ := strings.Cut("/"+ref, "/")
			if at := strings.IndexByte(name, '/'); at >= 0 {
				folder = name[:at]
			}
			if query := "?of=" + folder; folder == "720p" == strings.Contains(ref, "?") || folder != "720p" && !strings.HasSuffix(ref, query) {
				t.Errorf("%s: %s", file, ref)
			}
		}
	}
	no := errors.New("no")
	cut, err := CutMPD([]byte(`<MPD><SegmentTemplate media="$RepresentationID$/$Number$.m4s"/></MPD>`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cut.Sign(nil, func(folder string) (string, error) {
		if folder != "$RepresentationID$/" {
			t.Errorf("asked for %q", folder)
		}
		return "", no
	}); !errors.Is(err, no) {
		t.Errorf("the signer's refusal became %v", err)
	}
}

// references finds the references of a manifest by other means than the templates': an HLS library, and encoding/xml.
func references(t *testing.T, name string, text []byte) []string {
	t.Helper()
	if strings.HasSuffix(name, ".mpd") {
		return mpdReferences(t, text)
	}
	list, _, err := m3u8.DecodeFrom(bytes.NewReader(text), true)
	if err != nil {
		t.Fatalf("%s doesn't parse: %v\n%s", name, err, text)
	}
	var refs []string
	switch list := list.(type) {
	case *m3u8.MasterPlaylist:
		for _, v := range list.Variants {
			refs = append(refs, v.URI)
			for _, a := range v.Alternatives {
				refs = append(refs, a.URI)
			}
		}
	case *m3u8.MediaPlaylist:
		refs = append(refs, list.Map.URI)
		for _, s := range list.GetAllSegments() {
			refs = append(refs, s.URI)
		}
	}
	return refs
}

func mpdReferences(t *testing.T, text []byte) []string {
	t.Helper()
	var refs []string
	within := ""
	for d := xml.NewDecoder(bytes.NewReader(text)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return refs
		}
		if err != nil {
			t.Fatalf("the MPD doesn't parse: %v\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			within = token.Name.Local
			for _, a := range token.Attr {
				if slices.Contains(mpdReferring[within], a.Name.Local) {
					refs = append(refs, a.Value)
				}
			}
		case xml.EndElement:
			within = ""
		case xml.CharData:
			if slices.Contains(mpdContaining, within) {
				refs = append(refs, strings.TrimSpace(string(token)))
			}
		}
	}
}

// FuzzOurOwnManifestsAreSignedWhole takes manifests of the writers: each reference is what it was and then the query, once.
func FuzzOurOwnManifestsAreSignedWhole(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		checkSigned(t, random(rand.New(rand.NewPCG(seed, 2))))
	})
}

func TestFixturesAreSignedWhole(t *testing.T) {
	t.Parallel()
	for name, p := range fixtures() {
		t.Run(name, func(t *testing.T) { checkSigned(t, p) })
	}
}

func checkSigned(t *testing.T, p Presentation) {
	t.Helper()
	for name, text := range files(p) {
		got := signed(t, name, text, signature)
		before, after := references(t, name, text), references(t, name, got)
		if len(before) != len(after) || len(before) == 0 {
			t.Fatalf("%s: %d references became %d", name, len(before), len(after))
		}
		for i, ref := range after {
			if ref != before[i]+"?"+signature {
				t.Fatalf("%s: %q became %q", name, before[i], ref)
			}
		}
		query := signature
		if strings.HasSuffix(name, ".mpd") {
			query = escaped(query)
		}
		if back := bytes.ReplaceAll(got, []byte("?"+query), nil); !bytes.Equal(back, text) {
			t.Errorf("%s: something else changed:\n%s", name, got)
		}
	}
}

package manifest

import (
	"bytes"
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/Eyevinn/hls-m3u8/m3u8"

	"sluice/internal/fault"
	"sluice/internal/video"
)

func codecs(t testing.TB, names ...string) Codecs {
	t.Helper()
	set, unknown := CodecsOf(names...)
	if unknown != "" {
		t.Fatal(unknown)
	}
	return set
}

// offered is a multivariant playlist in short: "720p 480p | 720p | audio", variants, I-frame playlists, renditions.
func offered(t testing.TB, text []byte) string {
	t.Helper()
	m, err := readMultivariant(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	name := func(ref string) string { folder, _, _ := strings.Cut(ref, "/"); return folder }
	var parts [3][]string
	for _, v := range m.variants {
		_, ref, _ := strings.Cut(string(text[v.start:v.end]), "\n")
		parts[0] = append(parts[0], name(ref))
	}
	for i, list := range [][]variant{m.tricks, m.media} {
		for _, v := range list {
			_, ref, _ := strings.Cut(string(text[v.start:v.end]), `URI="`)
			parts[i+1] = append(parts[i+1], name(ref))
		}
	}
	return strings.Join(parts[0], " ") + " | " + strings.Join(parts[1], " ") + " | " + strings.Join(parts[2], " ")
}

// represented is an MPD in short: "720p 480p / audio", the representations of each set.
func represented(t testing.TB, text []byte) string {
	t.Helper()
	var doc struct {
		Sets []struct {
			Reps []struct {
				ID string `xml:"id,attr"`
			} `xml:"Representation"`
		} `xml:"Period>AdaptationSet"`
	}
	if err := xml.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	var sets []string
	for _, set := range doc.Sets {
		var ids []string
		for _, r := range set.Reps {
			ids = append(ids, r.ID)
		}
		sets = append(sets, strings.Join(ids, " "))
	}
	return strings.Join(sets, " / ")
}

// mixed has two codecs, sound in two groups and by itself, and captions: more than the ladder makes.
const mixed = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="a",URI="aac/index.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="surround",NAME="a",URI="surround/index.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="aac",NAME="en",URI="captions/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=9000000,CODECS="hvc1.2.4.L150.B0,ec-3",RESOLUTION=3840x2160,AUDIO="surround",SUBTITLES="aac"
h2160/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=2500000,CODECS="hvc1.2.4.L120.B0,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="aac"
h1080/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=5000000,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="aac"
a1080/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1000000,CODECS="avc1.64001f,mp4a.40.2,wvtt",RESOLUTION=480x854,AUDIO="aac"
a480/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=130000,CODECS="mp4a.40.2",AUDIO="aac"
aac/index.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=900000,CODECS="hvc1.2.4.L150.B0",RESOLUTION=3840x2160,URI="h2160/iframes.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=500000,CODECS="avc1.640028",RESOLUTION=1920x1080,URI="a1080/iframes.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.64001f",RESOLUTION=480x854,URI="a480/iframes.m3u8"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,CODECS="avc1.64001f",URI="untold/iframes.m3u8"
#EXT-X-IMAGE-STREAM-INF:BANDWIDTH=12460,RESOLUTION=320x180,CODECS="jpeg",URI="storyboard/index.m3u8"
`

func TestAChoiceOffersWhatItSaysInItsOrder(t *testing.T) {
	t.Parallel()
	ntsc, only, sound := Multivariant(fixtures()["ntsc"]), Multivariant(fixtures()["single"]), Multivariant(fixtures()["audio-only"])
	apple, web := codecs(t, "avc1", "hvc1", "mp4a", "ec-3"), codecs(t, "avc1", "mp4a")
	for _, c := range []struct {
		text   []byte
		choice Choice
		want   string
	}{
		{ntsc, Choice{}, "480p 1080p 720p 360p | 1080p 720p 480p 360p | audio-1"},
		{ntsc, Choice{MaxResolution: 720}, "480p 720p 360p | 720p 480p 360p | audio-1"},
		{ntsc, Choice{MaxResolution: 719}, "480p 360p | 480p 360p | audio-1"},
		{ntsc, Choice{MaxResolution: 240}, "360p | 360p | audio-1"},
		{ntsc, Choice{Order: Highest}, "1080p 720p 480p 360p | 1080p 720p 480p 360p | audio-1"},
		{ntsc, Choice{Order: Lowest}, "360p 480p 720p 1080p | 1080p 720p 480p 360p | audio-1"},
		{ntsc, Choice{Order: Balanced, Start: 5_000_000}, "720p 1080p 480p 360p | 1080p 720p 480p 360p | audio-1"},
		{ntsc, Choice{Order: Balanced, Start: 1}, "360p 1080p 720p 480p | 1080p 720p 480p 360p | audio-1"},
		{ntsc, Choice{Order: Balanced, Start: 1 << 40, MaxResolution: 480}, "480p 360p | 480p 360p | audio-1"},
		{ntsc, Choice{Codecs: codecs(t, "hvc1")}, "480p 1080p 720p 360p | 1080p 720p 480p 360p | audio-1"}, // none fits: all stay
		{ntsc, Choice{Codecs: codecs(t, "hvc1"), MaxResolution: 480}, "480p 360p | 480p 360p | audio-1"},   // and the cap holds
		{only, Choice{MaxResolution: 48, Order: Balanced}, "96p | 96p | audio-1"},
		{sound, Choice{MaxResolution: 48, Order: Balanced, Codecs: web}, "audio-1 |  | "},

		{[]byte(mixed), Choice{}, "h2160 h1080 a1080 a480 aac | h2160 a1080 a480 untold | aac surround captions"},
		{[]byte(mixed), Choice{MaxResolution: 1080}, "h1080 a1080 a480 aac | a1080 a480 | aac"},
		{[]byte(mixed), Choice{Codecs: web}, "a1080 a480 aac | a1080 a480 untold | aac"},
		{[]byte(mixed), Choice{Codecs: apple, Order: Highest}, "h2160 a1080 h1080 a480 aac | h2160 a1080 a480 untold | aac surround captions"},
		{[]byte(mixed), Choice{Codecs: codecs(t, "hvc1")}, "h2160 h1080 aac | h2160 | aac surround captions"},
		{[]byte(mixed), Choice{Codecs: codecs(t, "ec-3")}, "h2160 | h2160 a1080 a480 untold | surround captions"},
		{[]byte(mixed), Choice{Order: Lowest}, "a480 h1080 a1080 h2160 aac | h2160 a1080 a480 untold | aac surround captions"},
		{[]byte(mixed), Choice{Order: Balanced, Start: 200_000}, "a480 h2160 a1080 h1080 aac | h2160 a1080 a480 untold | aac surround captions"},
		{[]byte(mixed), Choice{MaxResolution: 144, Codecs: codecs(t, "hvc1")}, "a480 aac | a480 | aac"}, // the cap comes before the codecs
	} {
		got, err := c.choice.Playlist(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if s := offered(t, got); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%s", c.choice.Key(), s, c.want, got)
		}
	}
	media := Media(fixtures()["ntsc"].Tracks[0])
	if got, err := (Choice{MaxResolution: 144, Order: Lowest}).Playlist(media); err != nil || !bytes.Equal(got, media) {
		t.Errorf("a media playlist is changed: %v\n%s", err, got)
	}
}

func TestAVariantThatDoesNotSayItsSizeIsAboveEveryCap(t *testing.T) {
	t.Parallel()
	head := "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"avc1.64001f,mp4a.40.2\"\na/index.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb/index.m3u8\n"
	tail := "#EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=4x4\nc/index.m3u8\n"
	for text, want := range map[string]string{head + tail: "c |  | ", head: "a b |  | "} {
		got, err := Choice{MaxResolution: 2160}.Playlist([]byte(text))
		if err != nil || offered(t, got) != want {
			t.Errorf("%s %v", got, err)
		}
	}
}

// manySets is an MPD with sets of two codecs, trick mode, sound, captions and thumbnails.
const manySets = `<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period>
 <AdaptationSet id="0" contentType="video" codecs="avc1.640028">
  <Representation id="a1080" bandwidth="5000000" width="1920" height="1080"/>
  <Representation id="a480" bandwidth="1000000" width="480" height="854"/>
 </AdaptationSet>
 <AdaptationSet id="1" mimeType="video/mp4" codecs="hvc1.2.4.L150.B0" width="3840" height="2160">
  <Representation id="h2160" bandwidth="9000000"></Representation>
  <Representation id="h1080" bandwidth="2500000" width="1920" height="1080"><BaseURL>x</BaseURL></Representation>
 </AdaptationSet>
 <AdaptationSet id="2" contentType="video" codecs="avc1.64000d">
  <EssentialProperty schemeIdUri="http://dashif.org/guidelines/trickmode" value="0"/>
  <Representation id="t720" bandwidth="90000" width="1280" height="720"/>
  <Representation id="t180" bandwidth="9000" width="320" height="180"/>
 </AdaptationSet>
 <AdaptationSet contentType="audio">
  <Representation id="aac" bandwidth="128000" codecs="mp4a.40.2"/>
  <Representation id="eac3" bandwidth="384000" codecs="ec-3"/>
 </AdaptationSet>
 <AdaptationSet contentType="text"><Representation id="en" bandwidth="1" codecs="stpp.ttml.im1t"/></AdaptationSet>
 <AdaptationSet contentType="image"><Representation id="tiles" bandwidth="1" width="9000" height="9000"/></AdaptationSet>
 <AdaptationSet contentType="video"/>
</Period></MPD>
`

func TestAChoiceOffersTheSameOfAnMPD(t *testing.T) {
	t.Parallel()
	ntsc := MPD(fixtures()["ntsc"])
	for _, c := range []struct {
		text   []byte
		choice Choice
		want   string
	}{
		{ntsc, Choice{}, "1080p 720p 480p 360p / audio-1"},
		{ntsc, Choice{MaxResolution: 720}, "720p 480p 360p / audio-1"},
		{ntsc, Choice{MaxResolution: 144, Codecs: codecs(t, "mp4a")}, "360p / audio-1"},
		{ntsc, Choice{Order: Lowest}, "360p 480p 720p 1080p / audio-1"},
		{ntsc, Choice{Order: Balanced, Start: 2_000_000}, "480p 1080p 720p 360p / audio-1"},
		{MPD(fixtures()["audio-only"]), Choice{MaxResolution: 144, Codecs: codecs(t, "avc1", "opus"), Order: Lowest}, "audio-1"},

		{[]byte(manySets), Choice{}, "a1080 a480 / h2160 h1080 / t720 t180 / aac eac3 / en / tiles / "},
		{[]byte(manySets), Choice{MaxResolution: 1080}, "a1080 a480 / h1080 / t720 t180 / aac eac3 / en / tiles / "},
		{[]byte(manySets), Choice{MaxResolution: 480}, "a480 / t180 / aac eac3 / en / tiles / "},
		{[]byte(manySets), Choice{MaxResolution: 96}, "a480 / t180 / aac eac3 / en / tiles / "},
		{[]byte(manySets), Choice{Codecs: codecs(t, "avc1", "ec-3")}, "a1080 a480 / t720 t180 / eac3 / en / tiles / "},
		{[]byte(manySets), Choice{Codecs: codecs(t, "hvc1", "opus")}, "h2160 h1080 / aac eac3 / en / tiles / "},
		{[]byte(manySets), Choice{Order: Lowest}, "a480 a1080 / h1080 h2160 / t720 t180 / aac eac3 / en / tiles / "},
	} {
		got, err := c.choice.MPD(c.text)
		if err != nil {
			t.Fatal(err)
		}
		if s := represented(t, got); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%s", c.choice.Key(), s, c.want, got)
		}
	}
}

func TestAChoiceKeepsEachLineAsItIs(t *testing.T) {
	t.Parallel()
	for name, p := range fixtures() {
		for file, apply := range map[string]func(Choice, []byte) ([]byte, error){HLS: Choice.Playlist, DASH: Choice.MPD} {
			text := files(p)[file]
			same, err := apply(Choice{}, text)
			if err != nil || !bytes.Equal(same, text) {
				t.Errorf("%s of %s: the zero choice changes it: %v\n%s", file, name, err, same)
			}
			bounds := regexp.MustCompile(` max(Width|Height|FrameRate)="[^"]*"`) // TestAnMPDTellsTheBoundsOfWhatIsLeft
			lines := strings.SplitAfter(bounds.ReplaceAllString(string(text), ""), "\n")
			got, err := apply(Choice{MaxResolution: 480, Order: Lowest}, text)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range strings.SplitAfter(bounds.ReplaceAllString(string(got), ""), "\n") {
				if !slices.Contains(lines, line) {
					t.Errorf("%s of %s: the line %q is new", file, name, line)
				}
			}
		}
	}
}

// A player that is told of a larger picture than there is may leave out a set that it could show.
func TestAnMPDTellsTheBoundsOfWhatIsLeft(t *testing.T) {
	t.Parallel()
	const bounded = `<MPD><Period>
 <AdaptationSet contentType="video" maxFrameRate="60000/1001" maxWidth='3840' minWidth="640" maxHeight = "2160" minHeight="360" minBandwidth="300" maxBandwidth="9000" minFrameRate="24">
  <Representation id="2160" bandwidth="9000" width="3840" height="2160" frameRate="60000/1001"/>
  <Representation id="720" bandwidth="2000" width="1280" height="720" frameRate="30"/>
  <Representation id="480" bandwidth="1000" width="854" height="480" frameRate="30000/1001"/>
  <Representation id="360" bandwidth="300" width="640" height="360" frameRate="24"/>
 </AdaptationSet>
 <AdaptationSet contentType="video" maxWidth="1280" maxHeight="720">
  <Representation id="b720" bandwidth="2000" width="1280" height="720"/>
  <Representation id="b480" bandwidth="1000" width="480" height="854"/>
 </AdaptationSet>
</Period></MPD>`
	for _, c := range []struct {
		choice Choice
		want   string // the first set's attributes, then the second's
	}{
		{Choice{}, `maxFrameRate="60000/1001" maxWidth='3840' minWidth="640" maxHeight = "2160" minHeight="360" minBandwidth="300" maxBandwidth="9000" minFrameRate="24" | maxWidth="1280" maxHeight="720"`},
		{Choice{Order: Lowest}, `maxFrameRate="60000/1001" maxWidth='3840' minWidth="640" maxHeight = "2160" minHeight="360" minBandwidth="300" maxBandwidth="9000" minFrameRate="24" | maxWidth="1280" maxHeight="720"`},
		{Choice{MaxResolution: 720}, `maxFrameRate="30" maxWidth='1280' minWidth="640" maxHeight = "720" minHeight="360" minBandwidth="300" maxBandwidth="2000" minFrameRate="24" | maxWidth="1280" maxHeight="720"`},
		{Choice{MaxResolution: 480}, `maxFrameRate="30000/1001" maxWidth='854' minWidth="640" maxHeight = "480" minHeight="360" minBandwidth="300" maxBandwidth="1000" minFrameRate="24" | maxWidth="480" maxHeight="854"`},
		{Choice{MaxResolution: 144}, `maxFrameRate="24" maxWidth='640' minWidth="640" maxHeight = "360" minHeight="360" minBandwidth="300" maxBandwidth="300" minFrameRate="24"`},
	} {
		got, err := c.choice.MPD([]byte(bounded))
		if err != nil {
			t.Fatal(err)
		}
		var says []string
		for _, m := range regexp.MustCompile(`<AdaptationSet contentType="video" ([^>]*)>`).FindAllSubmatch(got, -1) {
			says = append(says, string(m[1]))
		}
		if s := strings.Join(says, " | "); s != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.choice.Key(), s, c.want)
		}
	}
	const silent = `<MPD><Period><AdaptationSet contentType="video" maxWidth="9" maxHeight="9" maxFrameRate="x"><Representation bandwidth="2" width="9" height="9"/><Representation bandwidth="1" width="4" height="4" frameRate="1/0"/></AdaptationSet></Period></MPD>`
	got, err := Choice{MaxResolution: 4}.MPD([]byte(silent))
	if err != nil || !strings.Contains(string(got), `maxWidth="4" maxHeight="4" maxFrameRate="x"`) {
		t.Errorf("%s %v", got, err)
	}
}

// FuzzAChoiceOfOurOwnHoldsItsCap compares what is left with the tracks.
func FuzzAChoiceOfOurOwnHoldsItsCap(f *testing.F) {
	for seed := range uint64(100) {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 3))
		p := random(r)
		c := Choice{MaxResolution: r.IntN(3000), Order: []Order{Stored, Balanced, Highest, Lowest}[r.IntN(4)], Start: r.Int64N(9_000_000)}
		pictures, sounds := split(p.Tracks)
		short := func(a video.Track) int { return min(a.Width, a.Height) }
		limit := c.MaxResolution
		if limit == 0 {
			limit = 1 << 30
		} else if len(pictures) > 0 {
			limit = max(limit, short(slices.MinFunc(pictures, func(a, b video.Track) int { return cmp.Compare(short(a), short(b)) })))
		}
		var want, all []string
		for _, track := range pictures {
			if short(track) <= limit {
				want = append(want, track.Name)
			}
		}
		for _, track := range sounds {
			all = append(all, track.Name)
		}
		list, err := c.Playlist(Multivariant(p))
		if err != nil {
			t.Fatal(err)
		}
		if _, kind, err := m3u8.DecodeFrom(bytes.NewReader(list), true); err != nil || kind != m3u8.MASTER {
			t.Fatalf("what is chosen doesn't parse: %v\n%s", err, list)
		}
		names := strings.Split(offered(t, list), " | ")
		rungs := strings.Fields(names[0])
		slices.Sort(rungs)
		if len(pictures) > 0 && (!slices.Equal(rungs, want) || names[1] != strings.Join(want, " ") || names[2] != strings.Join(all, " ")) {
			t.Errorf("%s of %v: %q, want %q", c.Key(), pictures, names, want)
		}
		mpd, err := c.MPD(MPD(p))
		if err != nil {
			t.Fatal(err)
		}
		ids := strings.Fields(strings.ReplaceAll(represented(t, mpd), "/", ""))
		slices.Sort(ids)
		both := append(slices.Clone(want), all...)
		slices.Sort(both)
		if !slices.Equal(ids, both) {
			t.Errorf("%s: the MPD has %q, want %q", c.Key(), ids, both)
		}
		if again, err := c.Playlist(list); err != nil || !bytes.Equal(again, list) {
			t.Errorf("chosen twice it is another: %v", err)
		}
	})
}

// FuzzAChoiceLeavesAManifest takes anything.
func FuzzAChoiceLeavesAManifest(f *testing.F) {
	seeds(f, ".m3u8")
	seeds(f, ".mpd")
	f.Add([]byte(mixed))
	f.Add([]byte(manySets))
	f.Fuzz(func(t *testing.T, text []byte) {
		avc, _ := CodecsOf("avc1")
		for _, c := range []Choice{{}, {MaxResolution: 480, Order: Lowest}, {Codecs: avc, Order: Balanced, Start: 1_000_000}} {
			if out, err := c.Playlist(text); err == nil {
				if again, err := c.Playlist(out); err != nil || !bytes.Equal(again, out) {
					t.Fatalf("chosen twice it is another: %v\n%s", err, out)
				}
			}
			if out, err := c.MPD(text); err == nil {
				if again, err := c.MPD(out); err != nil || !bytes.Equal(again, out) {
					t.Fatalf("chosen twice it is another: %v\n%s", err, out)
				}
			}
		}
	})
}

func TestAManifestThatSaysTooLittleIsNotChosenFrom(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"#EXTM3U\n#EXT-X-STREAM-INF:RESOLUTION=4x4\na.m3u8\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=-1\na.m3u8\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=4\na.m3u8\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=0x4\na.m3u8\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n#EXT-X-ENDLIST\n",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na.m3u8",
		"#EXTM3U\n#EXT-X-STREAM-INF:\na.m3u8\n",
		"<MPD><Period><AdaptationSet><Representation id='a'/></AdaptationSet></Period></MPD>",
		"<MPD><Period><AdaptationSet><Representation bandwidth='&x;'/></AdaptationSet></Period></MPD>",
		"<MPD><Period><AdaptationSet id='&x;'/></Period></MPD>",
		"<MPD><Period>",
	} {
		var f *fault.Error
		apply := Choice.Playlist
		if text[0] == '<' {
			apply = Choice.MPD
		}
		if out, err := apply(Choice{}, []byte(text)); !errors.As(err, &f) || f.Code != "manifest_unfit" {
			t.Errorf("%s: %s %v", text, out, err)
		}
	}
}

func TestKeysTellChoicesApart(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]Choice{
		"stored":                              {Start: 7},
		"max=720":                             {MaxResolution: 720},
		"order=lowest":                        {Order: Lowest, Start: 7},
		"max=480;start=730000;order=balanced": {MaxResolution: 480, Order: Balanced, Start: 730_000},
		"order=highest;codecs=avc1+hvc1+mp4a+ec-3": {Order: Highest, Codecs: codecs(t, "ec-3", "mp4a", "hvc1", "avc1", "avc1")},
	} {
		if got := c.Key(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for _, c := range []struct{ asked, cap, want int }{{0, 0, 0}, {0, 720, 720}, {1080, 720, 720}, {480, 720, 480}, {480, 0, 480}} {
		if got := (Choice{MaxResolution: c.asked}).Capped(c.cap).MaxResolution; got != c.want {
			t.Errorf("%d under %d is %d", c.asked, c.cap, got)
		}
	}
	if set, unknown := CodecsOf("avc1", "h264"); set != 0 || unknown != "h264" {
		t.Errorf("%v %q", set, unknown)
	}
	if all, _ := CodecsOf(FamilyNames()...); all != pictureCodecs|soundCodecs || all.String() != strings.Join(families[:], "+") {
		t.Errorf("%v", all)
	}
}

func TestChosenAndSignedMPDsAreValidAgainstTheDASHSchema(t *testing.T) {
	lint := schema(t)
	dir := t.TempDir()
	var names []string
	add := func(name string, text []byte) {
		names = append(names, filepath.Join(dir, fmt.Sprintf("%d-%s.mpd", len(names), name)))
		if err := os.WriteFile(names[len(names)-1], signed(t, DASH, text, signature), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, p := range fixtures() {
		add(name, MPD(p))
		chosen, err := Choice{MaxResolution: 480, Order: Lowest}.MPD(MPD(p))
		if err != nil {
			t.Fatal(err)
		}
		add(name, chosen)
	}
	for _, name := range []string{"list.mpd", "template.mpd"} {
		text, err := os.ReadFile(filepath.Join("testdata", "every", name))
		if err != nil {
			t.Fatal(err)
		}
		add(name, text)
	}
	if out, err := lint(names...); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

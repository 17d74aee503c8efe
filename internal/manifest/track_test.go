package manifest

import (
	"strings"
	"testing"

	"sluice/internal/fault"
)

func TestATrackOfPicturesGetsTheQueryAndCaptionsStayAsTheyAre(t *testing.T) {
	t.Parallel()
	const query = "Policy=p_~&Key-Pair-Id=K1"
	for given, want := range map[string]string{
		"WEBVTT\n\n00:00.000 --> 00:05.000\nsprite-0.jpg#xywh=0,0,160,90\n\n00:05.000 --> 00:10.000\nsprite-0.jpg#xywh=160,0,160,90\n": "WEBVTT\n\n00:00.000 --> 00:05.000\nsprite-0.jpg?" + query +
			"#xywh=0,0,160,90\n\n00:05.000 --> 00:10.000\nsprite-0.jpg?" + query + "#xywh=160,0,160,90\n",
		"\ufeffWEBVTT - pictures\r\n\r\n1\r\n00:00.000 --> 00:05.000 align:start\r\nstory/a.WEBP\r\n\r\n": "\ufeffWEBVTT - pictures\r\n\r\n1\r\n00:00.000 --> 00:05.000 align:start\r\nstory/a.WEBP?" + query + "\r\n\r\n",
		"WEBVTT\r\r00:00.000 --> 00:05.000\ra.png?v=2#xywh=percent:0,0,50,50":                             "WEBVTT\r\r00:00.000 --> 00:05.000\ra.png?v=2&" + query + "#xywh=percent:0,0,50,50",
		"WEBVTT\n\n00:00.000 --> 00:05.000\nhttps://elsewhere.example/a.jpg#xywh=0,0,1,1":                 "",
		"WEBVTT\n\n00:00.000 --> 00:05.000\n//elsewhere.example/a.jpg":                                    "",
		"WEBVTT\n\n00:00.000 --> 00:05.000\n\\\\elsewhere.example/a.jpg":                                  "",
		"WEBVTT\n\n00:00.000 --> 00:05.000\nLook at a.jpg#xywh=0,0,1,1\n":                                 "",
		"WEBVTT\n\n00:00.000 --> 00:05.000\na.jpg\nand a second line\n":                                   "",
		"WEBVTT\n\n00:00.000 --> 00:05.000\n<v Ada>Hello.</v>\n":                                          "",
		"WEBVTT\n\nNOTE\na.jpg\n\nSTYLE\na.jpg\n":                                                         "",
		"WEBVTT": "",
	} {
		cut, err := CutTrack([]byte(given))
		if err != nil {
			t.Errorf("%q: %v", given, err)
			continue
		}
		if want == "" {
			want = given
		}
		if got, err := cut.Sign(nil, Everywhere(query)); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v", given, got, err)
		}
		if refers := want != given; refers != (len(cut.Folders()) > 0) {
			t.Errorf("%q refers to %q", given, cut.Folders())
		}
	}
}

func TestWhatIsNoTrackIsRefused(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "WEB", "WEBVTTX", "x\nWEBVTT", "#EXTM3U\n", "WEBVTT\n\xff", "WEBVTT\n\x00", "WEBVTT\n\n00:00.000 --> 00:05.000\na.jpg?%zz\n"} {
		if _, err := CutTrack([]byte(text)); fault.Of(err).Code != "manifest_unfit" {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// pictures finds what a player of storyboards takes for addresses: the first line behind each line of times.
func pictures(text []byte) (refs []string) {
	lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text)), "\n")
	for i, line := range lines {
		if i > 0 && strings.Contains(lines[i-1], "-->") && pictured(line) && (i+1 == len(lines) || lines[i+1] == "") {
			refs = append(refs, line)
		}
	}
	return refs
}

func FuzzASignedTrackStaysATrack(f *testing.F) {
	for _, ref := range []string{"a.jpg", "a.jpg#xywh=0,0,1,1", "a.jpg?b=c#xywh=1,2,3,4", "//h/a.png", "a:b.gif", "?.jpg", "/a/../b.webp", "text", "a.jpg\nb.jpg"} {
		f.Add([]byte("WEBVTT\n\n00:00.000 --> 00:05.000\n" + ref + "\n\n1\r\n00:05.000 --> 00:06.000\r\n" + ref))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		cut, err := CutTrack(text)
		if err != nil {
			return
		}
		const query = "Fuzz-Policy=p_~&Fuzz-Key=k"
		out, err := cut.Sign(nil, Everywhere(query))
		if err != nil {
			return // a reference that has these parameters
		}
		carries(t, pictures(text), pictures(out), query)
		again, err := CutTrack(out)
		if err != nil || len(again.cuts) != len(cut.cuts) {
			t.Fatalf("the signed track is another: %v\n%q", err, out)
		}
		joins := strings.NewReplacer(query, "", "?", "", "&", "") // what else there is keeps its bytes
		if joins.Replace(string(out)) != joins.Replace(string(text)) {
			t.Fatalf("%q became %q", text, out)
		}
	})
}

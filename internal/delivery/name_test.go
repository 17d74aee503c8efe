package delivery

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"sluice/internal/signing"
	"sluice/internal/upload"
	"sluice/internal/video"
)

// names are those that have been trouble somewhere.
var names = []string{
	"a%2Fb.mp4", "%2e%2e%2f.mp4", "100%.mp4", "50%25.mp4", "%252e%252e.mp4", "%00.mp4", "%u002e.mp4", "a;b=c;.mp4", `..\..\win.ini.mp4`, "../../etc/passwd.mp4", "...", ".mp4", " .mp4", "a. . .mp4",
	"tab\there\r\n\x00\x7f.mp4", "a?b=c&d#e.mp4", "*?[a-z]{1}.mp4", `"'<>|^` + "`~$!@+=,:.mp4", "p-01jq3v8k2m4n5p6r7s8t9v0w1x.mp4", "-01jq3v8k2m4n5p6r7s8t9v0w1x-.mp4", "\u202egnp.4pm.mp4", "a\u0301\u0327.mp4",
	"日本語\u3000の動画。.webm", "👩‍👩‍👧‍👦🏳️‍🌈.mov", "\ufeffbom\ufffd.mp4", "\u0085\u2028\u2029.mp4", strings.Repeat("ü", 600) + ".mp4", strings.Repeat("%2", 90) + "F.mp4", strings.Repeat("👍", 26) + "%41.mp4", "\xff\xfe\x80.mp4", "Policy=x&Signature=y.mp4",
}

// served asks the edge for outputs of a video whose source had that name, by the addresses that the server gives.
func (g *guarded) served(t *testing.T, name string) {
	t.Helper()
	id := video.NewID(time.Now())
	prefix := upload.Prefix(name, id)
	folder := strings.TrimPrefix(prefix, "streams/")
	g.catalog.mu.Lock()
	g.published[generation{folder, 1}] = true
	g.playbacks[folder] = video.Playback{Video: id, Prefix: prefix, Policy: video.Signed, Ready: true}
	g.catalog.mu.Unlock()
	top := strings.TrimSuffix(URL(g.server.URL, prefix+"/1/x"), "x")
	for _, file := range []string{"720p/00001.m4s", "poster.jpg", "download.mp4"} {
		key := prefix + "/1/" + file
		if _, err := g.store.Put(t.Context(), "media", key, strings.NewReader(file), int64(len(file)), ""); err != nil {
			t.Fatalf("%q: %v", name, err)
		}
		address := URL(g.server.URL, key)
		canned, err := g.user.SignCanned(address, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		custom := g.sign(t, g.user, top+"*")
		for way, c := range map[string]signing.Credential{"canned": canned, "custom": custom, "none": {}} {
			at, want := address, http.StatusOK
			if way == "none" {
				want = http.StatusForbidden
			} else {
				at = c.SignedURL(address)
			}
			u, err := url.Parse(at) // as a client reads it
			if err != nil {
				t.Fatalf("%q: %v", name, err)
			}
			if got := g.ask(t, u.RequestURI()); got.status != want || want == http.StatusOK && got.body != file {
				t.Errorf("a file called %q, %s, by %s: %s at %s", name, file, way, got, address)
			}
		}
	}
}

func TestAFileOfAnyNameIsServedByTheAddressThatIsGiven(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	for _, name := range names {
		g.served(t, name)
	}
	r := rand.New(rand.NewPCG(1, 2))
	const trouble = "%25fFeE20/\\;:?#&=+*~.. \t\u00a0\u200b\u0301é日👍-'\"<>"
	for range 100 {
		var b strings.Builder
		for range r.IntN(150) {
			switch r.IntN(4) {
			case 0:
				b.WriteRune(rune(r.IntN(utf8.MaxRune)))
			case 1:
				b.WriteByte(byte(r.IntN(256)))
			default:
				all := []rune(trouble)
				b.WriteRune(all[r.IntN(len(all))])
			}
		}
		g.served(t, b.String()+".mp4")
	}
}

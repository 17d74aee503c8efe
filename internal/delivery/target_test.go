package delivery

import (
	"net/url"
	"path"
	"strings"
	"testing"

	"sluice/internal/signing"
)

// FuzzAPathNamesOneKeyOrNone holds two promises: whatever a client sends, the key lies below its own generation in its
// plainest spelling; and the address of that key is the way back to it.
func FuzzAPathNamesOneKeyOrNone(f *testing.F) {
	for _, below := range []string{
		"index.m3u8", "1080p/00001.m4s", "../1/index.m3u8", "%2e%2e/1/index.m3u8", "..%2findex.m3u8", "a%5cb.mp4", "//index.m3u8", "./index.mpd",
		"a/../index.mpd", ".index.mpd", "%00.mp4", "\x7f.mp4", "%252e%252e/index.mpd", "index.mpd?x=/../y", "index.mpd#/..", ";/index.mpd", "a:b@c/index.jpg",
	} {
		f.Add("stem", below)
		f.Add("te[s]t_ video ' _ 100%?#;ü", below)
	}
	f.Fuzz(func(t *testing.T, stem, below string) {
		u, err := url.ParseRequestURI("/stream/" + url.PathEscape(stem+"-"+string(id)) + "/2/" + below)
		if err != nil {
			return // net/http answers 400
		}
		p, err := signing.Normalize(u.EscapedPath())
		if err != nil {
			return
		}
		got, ok := parse(p)
		if !ok {
			return
		}
		key := got.key("streams/" + got.folder)
		if !strings.HasPrefix(key, "streams/"+stem+"-"+string(id)+"/2/") || path.Clean(key) != key || strings.ContainsAny(key, "\\\x00\r\n") {
			t.Fatalf("%q is read as %q", u, key)
		}
		again, err := signing.Normalize(URL("", key))
		if err != nil {
			t.Fatal(err)
		}
		if back, ok := parse(again); !ok || back != got {
			t.Fatalf("the address %q of %q is read as %+v", again, key, back)
		}
	})
}

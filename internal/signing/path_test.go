package signing

import (
	"net/url"
	"strings"
	"testing"
)

func TestAPathHasOneSpelling(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ raw, want string }{
		{"/", "/"},
		{"/stream/clip-01/1/index.m3u8", "/stream/clip-01/1/index.m3u8"},
		{"/a/b/", "/a/b/"},
		{"/a%2Db%5f%7E%2E%41", "/a-b_~.A"},
		{"/caf%c3%a9", "/caf%C3%A9"},
		{"/caf\u00e9", "/caf%C3%A9"},
		{"/a%20b%3B%22%3f%23", "/a%20b%3B%22%3F%23"},
		{"/a!$&'()*+,=:@", "/a!$&'()*+,=:@"},
		{"/%21%24", "/%21%24"}, // reserved characters and their escapes aren't the same (RFC 3986 §2.2)
		{`/a"<>[]^{|}` + "`", "/a%22%3C%3E%5B%5D%5E%7B%7C%7D%60"},
		{"/...", "/..."},
		{"/.hidden/..a/b..", "/.hidden/..a/b.."},
		{"/100%25", "/100%25"},
		{"/100%25%20done", "/100%25%20done"},
		{"/%2541", "/%2541"},
	} {
		got, err := Normalize(c.raw)
		if err != nil || got.String() != c.want {
			t.Errorf("%q: %q, %v; want %q", c.raw, got, err, c.want)
		}
	}
}

func TestAPathThatCouldBeReadTwiceIsRefused(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"", "a", "stream/a", "//", "//a", "/a//b", "/a//",
		"/.", "/..", "/a/.", "/a/..", "/a/./b", "/a/../b", "/../a", "/A/../B/x",
		"/%2e", "/%2E%2e", "/a/%2e%2e/b", "/a/.%2e/b", "/a/%2e./b", "/a/%2E",
		"/a%2fb", "/a%2Fb", "/a/..%2fb", "/%2f", "/a%5cb", "/a%5Cb", `/a\b`, `/a\..\b`, "/a/..%5cb",
		"/a;x", "/a;/b", "/a/..;/b", "/a;jsessionid=1/b",
		"/a%00", "/a%00.m3u8", "/a\x00b", "/a%0ab", "/a%0D%0Ab", "/a\nb", "/a\tb", "/a%7f", "/a\x7f", "/a%1F", "/a b",
		"/a%", "/a%2", "/a%zz", "/a%2g", "/%%", "/%u002e",
		"/%252e%252e/b", "/a%252fb", "/a%255cb", "/a%2500b", "/a%25252f", "/a%253bb", "/%25%32%65/a%252E",
		"/a?b", "/a#b",
		"/%c0%af", "/%c0%ae%c0%ae/", "/%ff", "/a\xff", "/%e0%80%af", "/%ed%a0%80", "/%c3", "/%c3/%a9", "/%c2%85", "/a\u0085b",
		"/" + strings.Repeat("a", longestPath),
	} {
		if got, err := Normalize(raw); err == nil || code(err) != "bad_path" || got != (Path{}) {
			t.Errorf("%q became %q (%v)", raw, got, err)
		}
	}
}

func TestAPlainPathIsNotCopied(t *testing.T) {
	raw := "/stream/clip-0123456789abcdef/1/720p/00001.m4s"
	if n := testing.AllocsPerRun(100, func() {
		if _, err := Normalize(raw); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestNormalize_LongestPath_IsAccepted(t *testing.T) {
	t.Parallel()
	if _, err := Normalize("/" + strings.Repeat("a", longestPath-1)); err != nil {
		t.Error(err)
	}
}

func FuzzAPathIsCanonicalOrRefused(f *testing.F) {
	for _, s := range []string{"/", "/a/b.m4s", "/a%2e%2e", "/%C3%A9/x", "/a/../b", "/%252e", "//", "/a;b", "/\xff", "/%2", "/é", "/100%25", "/%25%32%65"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := Normalize(raw)
		if err != nil {
			return
		}
		s := p.String()
		if again, err := Normalize(s); len(s) <= longestPath && (err != nil || again != p) {
			t.Fatalf("%q became %q, and that %q (%v)", raw, s, again, err)
		}
		decoded, err := url.PathUnescape(s)
		if err != nil {
			t.Fatalf("%q became %q: %v", raw, s, err)
		}
		if same, err := url.PathUnescape(raw); err != nil || same != decoded {
			t.Fatalf("%q means %q and became %q, which means %q", raw, same, s, decoded)
		}
		if strings.ContainsAny(decoded, "\x00\\\n") || strings.Contains(decoded, "//") || !plain(s) {
			t.Fatalf("%q became %q", raw, decoded)
		}
		for e := range strings.SplitSeq(decoded, "/") {
			if e == "." || e == ".." {
				t.Fatalf("%q became %q", raw, decoded)
			}
		}
	})
}

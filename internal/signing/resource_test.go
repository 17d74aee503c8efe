package signing

import (
	"strings"
	"testing"
)

// The examples are those of "Create a signed URL using a custom policy", "Wildcard characters", and what follows from its rules.
func TestAResourceCoversWhatCloudFrontDocuments(t *testing.T) {
	t.Parallel()
	const h = "https://d111111abcdef8.cloudfront.net"
	for _, c := range []struct {
		resource string
		yes, no  []string
	}{
		{h + "/*game_download.zip*",
			[]string{h + "/game_download.zip", h + "/example_game_download.zip?license=yes", h + "/test_game_download.zip?license=temp", h + "/a/b/game_download.zip.sig"},
			[]string{h + "/download.zip?game_download.zip", "http" + h[5:] + "/game_download.zip"}},
		{"https://www.example.com/hello*world", []string{"https://www.example.com/helloworld", "https://www.example.com/hello-world", "https://www.example.com/hello/a/world"},
			[]string{"https://www.example.com/hello?world", "https://www.example.net/helloworld", "https://www.example.com/helloworld?a=b", "https://www.example.com/hello?a=world"}},
		{"http://example.com/hello*", []string{"http://example.com/hello", "http://example.com/hello/x", "http://example.com/hello?a=b", "http://example.com/hellox?a=b"},
			[]string{"http://example.com/hell", "https://example.com/hello", "http://example.com/x?/hello"}},
		{"http://example.com*", []string{"http://example.com/", "http://example.com/a?b=c", "http://example.com.au/x"}, []string{"http://www.example.com/", "https://example.com/"}},
		{"*example.com", []string{"https://www.example.com/", "http://example.com/"}, []string{"https://www.example.com/a", "https://www.example.com/?a=b", "https://example.org/example.com"}},
		{"*", []string{"https://a/b?c=d", "http://x/"}, nil},
		{"", []string{"https://a/b?c=d"}, nil},
		{"https://*", []string{"https://a/b?c=d"}, []string{"http://a/b"}},
		{"*://h/a", []string{"https://h/a", "http://h/a"}, []string{"https://h/b"}},
		{"http*://h/a", []string{"https://h/a", "http://h/a"}, []string{"https://h/b"}},
		{"*/a", []string{"https://h/a", "http://any.where/a"}, []string{"https://h/b", "https://h/b/a"}},
		{"https://*.example.com/a", []string{"https://x.example.com/a", "https://x.y.example.com/a"}, []string{"https://evil.test/x.example.com/a", "https://evil.test/?.example.com/a", "https://example.com/a"}},
		{"https://WWW.Example.com/a", []string{"https://www.example.com/a"}, []string{"https://www.example.com/A"}},
		{"https://h?.example.com/a", []string{"https://h1.example.com/a"}, []string{"https://h.example.com/a", "https://h12.example.com/a"}},
		{h + "/images/horizon.jpg?size=large&license=yes", []string{h + "/images/horizon.jpg?size=large&license=yes"},
			[]string{h + "/images/horizon.jpg", h + "/images/horizon.jpg?size=large", h + "/images/horizon.jpg?license=yes&size=large", h + "/images/horizon.jpg?size=large&license=yes&x=1"}},
		{h + "/image?.jpg", []string{h + "/image1.jpg"}, []string{h + "/image.jpg", h + "/image10.jpg"}},
		{h + "/a?b=*", []string{h + "/a?b=", h + "/a?b=1&c=2", h + "/a?b=/?"}, []string{h + "/a", h + "/a?c=1"}},
		{h + "/a?b=*&c=1", []string{h + "/a?b=x&c=1"}, []string{h + "/a?b=x&c=2"}},
		{h + "/*?v=1", []string{h + "/x/y?v=1"}, []string{h + "/x?w=2?v=1", h + "/x"}},
		{h + "/A/*", []string{h + "/A/", h + "/A/x", h + "/A/x/y?z"}, []string{h + "/A", h + "/AA/x", h + "/B/x", h + "/a/x", h + "/B/A/x", h + "/?/A/x"}},
		{h + "/*/A/*?*b*c", []string{h + "/x/A/?bc", h + "/x/A/y?1b2c"}, []string{h + "/x/A/bc"}},
		{h, []string{h + "/"}, []string{h + "/a"}},
		{h + ":8443/a", []string{h + ":8443/a"}, []string{h + "/a"}},
	} {
		p, err := compile(c.resource)
		if err != nil {
			t.Errorf("%s: %v", c.resource, err)
			continue
		}
		for _, u := range c.yes {
			if _, q := ask(t, u); !p.matches(q) {
				t.Errorf("%s doesn't cover %s", c.resource, u)
			}
		}
		for _, u := range c.no {
			if _, q := ask(t, u); p.matches(q) {
				t.Errorf("%s covers %s", c.resource, u)
			}
		}
	}
	var none pattern
	if _, q := ask(t, h+"/"); none.matches(q) {
		t.Error("the zero pattern covers something")
	}
}

func TestManyWildcardsCostLittle(t *testing.T) {
	t.Parallel()
	p, err := compile("https://h/" + strings.Repeat("*a", mostWildcards-1) + "b")
	if err != nil {
		t.Fatal(err)
	}
	if _, q := ask(t, "https://h/"+strings.Repeat("a", 4000)); p.matches(q) {
		t.Error("it matched")
	}
}

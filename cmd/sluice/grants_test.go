package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

func TestSettingsOfGrantsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	for _, flags := range [][]string{
		{"--grants-expiry", "0s"}, {"--grants-longest", "169h"}, {"--grants-longest", "1h"}, {"--grants-members", "-1h"},
		{"--playback-cookies-domain", "a;b"}, {"--playback-cookies-domain", "a\r\nb"}, {"--playback-cookies-domain", "https://a.example"}, {"--playback-cookies-path", "stream"},
		{"--playback-cookies-path", "/a; Domain=b"}, {"--playback-cookies-same-site", "some"}, {"--playback-cookies-same-site", "none", "--edge-url", "http://edge.example"},
		{"--seal-key", "short"},
	} {
		var c Serve
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(flags); err == nil {
			t.Errorf("%q is taken", flags)
		}
	}
}

func TestCookiesAreSetWhereTheEdgeGetsThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rules        CookieRules
		public, edge string
		set, secure  bool
	}{
		{CookieRules{}, "https://v.example", "https://v.example", true, true},
		{CookieRules{}, "http://127.0.0.1:8080", "http://127.0.0.1:9090", true, false}, // cookies know no ports
		{CookieRules{}, "https://v.example", "https://cdn.v.example", false, true},
		{CookieRules{Domain: ".V.example"}, "https://v.example", "https://cdn.v.example", true, true},
		{CookieRules{Domain: "v.example"}, "https://api.v.example", "https://cdn.v.example", true, true},
		{CookieRules{Domain: "v.example"}, "https://api.v.example", "https://cdnv.example", false, true},
		{CookieRules{Domain: "cdn.v.example"}, "https://api.v.example", "https://cdn.v.example", false, true},
	} {
		if got := c.rules.rules(c.public, c.edge); got.Set != c.set || got.Secure != c.secure || got.SameSite != http.SameSiteLaxMode {
			t.Errorf("%+v from %s to %s: %+v", c.rules, c.public, c.edge, got)
		}
	}
	for name, want := range map[string]http.SameSite{"strict": http.SameSiteStrictMode, "none": http.SameSiteNoneMode, "lax": http.SameSiteLaxMode} {
		if got := (CookieRules{SameSite: name}).rules("https://a.example", "https://a.example"); got.SameSite != want {
			t.Errorf("%s: %v", name, got.SameSite)
		}
	}
	if err := (Grants{Expiry: time.Hour, Longest: 2 * time.Hour, Members: time.Minute}).check(); err != nil {
		t.Error(err)
	}
}

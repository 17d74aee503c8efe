package delivery

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"sluice/internal/signing"
	"sluice/internal/video"
)

func TestATrustedCacheAsksWhetherItsClientMay(t *testing.T) {
	t.Parallel()
	const shown = "the secret of the cache in front"
	trust := func(c *Config) {
		c.CDN = CDN{Header: "X-Origin-Secret", Secrets: []string{"the secret that follows", shown}}
	}
	g, members, public := newGuarded(t, video.Signed, trust), newGuarded(t, video.Members, trust), newGuarded(t, video.Public, trust)
	file, secret := at(folder, "1080p/00001.m4s"), "X-Origin-Secret: "+shown
	signed := query(g.sign(t, g.user, "/stream/*"))
	for name, c := range map[string]struct {
		g     *guarded
		want  string
		lines []string
	}{
		"a signature":                     {g, "204", []string{secret, "X-Original-URI: " + file + signed}},
		"cookies":                         {g, "204", []string{secret, "X-Original-URI: " + file, "Cookie: " + cookies(g.sign(t, g.user, "/stream/*"))}},
		"an access token":                 {g, "204", []string{secret, "X-Original-URI: " + file, "Authorization: Bearer main"}},
		"a part of a file":                {g, "204", []string{secret, "X-Original-URI: " + file + signed, "Range: bytes=999999999-", "If-None-Match: *"}},
		"a public video":                  {public, "204", []string{secret, "X-Original-URI: " + file}},
		"a page that asks first":          {g, "204", []string{secret, "X-Original-URI: " + file, "X-Original-Method: OPTIONS"}},
		"a head":                          {g, "403 signature_missing", []string{secret, "X-Original-URI: " + file, "X-Original-Method: HEAD"}},
		"nothing, and the secret alone":   {g, "403 signature_missing", []string{secret, "X-Original-URI: " + file}},
		"a signature of another video":    {g, "403 policy_wrong_resource", []string{secret, "X-Original-URI: " + file + query(g.sign(t, g.user, "/stream/x/*"))}},
		"a user's key for members":        {members, "403 members_only", []string{secret, "X-Original-URI: " + file + query(members.sign(t, members.user, "/stream/*"))}},
		"the server's key for members":    {members, "204", []string{secret, "X-Original-URI: " + file + query(members.sign(t, members.internal, "/stream/*"))}},
		"an access token that is no good": {g, "401 unauthorized", []string{secret, "X-Original-URI: " + file, "Authorization: Bearer bad"}},
		"another spelling of the path":    {g, "403", []string{secret, "X-Original-URI: /stream/x/.." + file[len("/stream"):] + signed}},
		"another host":                    {g, "403", []string{secret, "X-Original-URI: http://x" + file + signed}},
		"itself":                          {g, "403", []string{secret, "X-Original-URI: /stream/verify"}},
		"two addresses":                   {g, "403", []string{secret, "X-Original-URI: " + file + signed, "X-Original-URI: " + file}},
		"no address":                      {g, "403", []string{secret}},
		"no secret":                       {g, "404 not_found", []string{"X-Original-URI: " + file + signed}},
		"another secret":                  {g, "404 not_found", []string{"X-Origin-Secret: x", "X-Original-URI: " + file + signed}},
	} {
		if got := c.g.ask(t, "/stream/verify", c.lines...); got.String() != c.want || got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, want %s; %s", name, got, c.want, got.header.Get("Cache-Control"))
		}
	}
	g.set(string(playbackID), func(p *video.Playback) { p.MaxResolution = 720 })
	behind := newGuarded(t, video.Signed, trust, func(c *Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	near := func(p *signing.Policy) { p.Client = netip.MustParsePrefix("192.0.2.0/24") }
	for name, c := range map[string]struct {
		g                     *guarded
		want, file, forwarded string
		own                   func(*signing.Policy)
	}{
		"below the cap":                {g: g, want: "204", file: at(string(playbackID), "720p/00001.m4s")},
		"above the cap":                {g: g, want: "403 over_max_resolution", file: at(string(playbackID), "1080p/00001.m4s")},
		"a client's address":           {g: behind, want: "204", file: file, forwarded: "192.0.2.7", own: near},
		"another client's":             {g: behind, want: "403 policy_wrong_ip", file: file, forwarded: "203.0.113.9", own: near},
		"one that a client claims":     {g: behind, want: "403 policy_wrong_ip", file: file, forwarded: "192.0.2.7, 203.0.113.9", own: near},
		"one that nobody is asked for": {g: g, want: "403 policy_wrong_ip", file: file, forwarded: "192.0.2.7", own: near},
	} {
		own := c.own
		if own == nil {
			own = func(*signing.Policy) {}
		}
		lines := []string{secret, "X-Original-URI: " + c.file + query(c.g.sign(t, c.g.user, "/stream/*", own))}
		if c.forwarded != "" {
			lines = append(lines, "X-Forwarded-For: "+c.forwarded)
		}
		if got := c.g.ask(t, "/stream/verify", lines...); got.String() != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	friend := newGuarded(t, video.Signed, trust, func(c *Config) { c.Origins = []string{"https://friend.example"} })
	signed = query(friend.sign(t, friend.user, "/stream/*"))
	if got := friend.ask(t, "/stream/verify", secret, "X-Original-URI: "+file+signed, "Origin: https://friend.example"); got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "https://friend.example" {
		t.Errorf("of a page: %s %v", got, got.header)
	}
	if got := newGuarded(t, video.Signed).ask(t, "/stream/verify", secret, "X-Original-URI: "+file+signed); got.status != 404 {
		t.Errorf("where no secret is set: %s", got)
	}
	if got := g.send(t, "GET "+file+" HTTP/1.1\r\n", "X-Original-URI: "+file+signed); got.status != 403 {
		t.Errorf("the header beside another path: %s", got)
	}
}

// TestACDNVouchesByItsCertificate asks over connections of which the edge is told that they are the CDN's, or a client's; internal/certificate tests which are.
func TestACDNVouchesByItsCertificate(t *testing.T) {
	t.Parallel()
	const shown = "the secret of the cache in front"
	certified := func(s *tls.ConnectionState) bool { return s != nil && s.ServerName == "cdn" }
	alone := func(c *Config) { c.CDN = CDN{Header: "X-Origin-Secret", Certificate: certified} }
	both := func(c *Config) {
		c.CDN = CDN{Header: "X-Origin-Secret", Certificate: certified, Secrets: []string{shown}}
	}
	g, two, members := newGuarded(t, video.Signed, alone), newGuarded(t, video.Signed, both), newGuarded(t, video.Members, alone)
	neither := newGuarded(t, video.Signed, func(c *Config) { c.CDN = CDN{Header: "X-Origin-Secret"} })
	file := at(folder, "1080p/00001.m4s")
	signed := query(g.sign(t, g.user, "/stream/*"))
	const open, missing, may = "200 public, s-maxage=31536000, max-age=3600, immutable", "403 no-store", "204 no-store"
	for name, c := range map[string]struct {
		g     *guarded
		conn  string // "cdn", "client", or "" for no TLS
		path  string
		want  string
		lines []string
	}{
		"the CDN":                         {g, "cdn", file, open, nil},
		"the CDN, of a video for members": {members, "cdn", file, missing, nil},
		"a client":                        {g, "client", file, missing, nil},
		"somebody without TLS":            {g, "", file, missing, nil},
		"a client with a secret, of which is none": {g, "client", file, missing, []string{"X-Origin-Secret", shown}},
		"the CDN, where none is":                   {neither, "cdn", file, missing, nil},
		"the CDN that has not checked":             {g, "cdn", file, missing, []string{"X-Origin-Secret", "unchecked"}},
		"the same with an empty header":            {g, "cdn", file, missing, []string{"X-Origin-Secret", ""}},
		"the same where there are secrets":         {two, "cdn", file, missing, []string{"X-Origin-Secret", "unchecked"}},
		"the CDN, by its certificate of two":       {two, "cdn", file, open, nil},
		"the CDN, by its secret of two":            {two, "client", file, open, []string{"X-Origin-Secret", shown}},
		"a client, by neither of two":              {two, "client", file, missing, nil},

		"a question with a signature":           {g, "cdn", "/stream/verify", may, []string{"X-Original-URI", file + signed}},
		"a question without one":                {g, "cdn", "/stream/verify", missing, []string{"X-Original-URI", file}},
		"a client's question":                   {g, "client", "/stream/verify", "404 no-store", []string{"X-Original-URI", file + signed}},
		"a question of one that says otherwise": {g, "cdn", "/stream/verify", "404 no-store", []string{"X-Original-URI", file + signed, "X-Origin-Secret", "unchecked"}},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		if c.conn != "" {
			r.TLS = &tls.ConnectionState{ServerName: c.conn}
		}
		r.Host = strings.TrimPrefix(c.g.server.URL, "http://")
		for i := 0; i < len(c.lines); i += 2 {
			r.Header.Set(c.lines[i], c.lines[i+1])
		}
		w := httptest.NewRecorder()
		c.g.server.Config.Handler.ServeHTTP(w, r)
		if got := strconv.Itoa(w.Code) + " " + w.Header().Get("Cache-Control"); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
}

package delivery

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice/internal/bucket"
	"sluice/internal/signing"
	"sluice/internal/video"
)

// references are the relative addresses in a playlist.
func references(text string) []string {
	var all []string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if _, uri, ok := strings.Cut(line, `URI="`); ok {
			line, _, _ = strings.Cut(uri, `"`)
		}
		if line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

func TestASignedManifestOpensAllThatItNames(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	index := at(folder, "index.m3u8")
	top := index[:strings.LastIndexByte(index, '/')+1]
	got := g.ask(t, index+query(g.sign(t, g.user, top+"*")))
	if got.status != 200 || got.header.Get("Cache-Control") != "private, no-store" || got.header.Get("ETag") != "" {
		t.Fatalf("%s %v", got, got.header)
	}
	if n := len(references(got.body)); n != 4 {
		t.Fatalf("%d references: %s", n, got.body)
	}
	for _, ref := range references(got.body) {
		list := g.ask(t, top+ref)
		if list.status != 200 {
			t.Fatalf("%s: %s", ref, list)
		}
		rung, _, _ := strings.Cut(ref, "/")
		if segment := references(list.body)[1]; g.ask(t, top+rung+"/"+segment).status != 200 {
			t.Errorf("%s of %s isn't open", segment, rung)
		}
	}
	for name, lines := range map[string][]string{"nothing": {index}, "by its cookies": {index, "Cookie: " + cookies(g.sign(t, g.user, top+"*"))}} {
		if got := g.ask(t, lines[0], lines[1:]...); strings.Contains(got.body, "Signature") {
			t.Errorf("%s: somebody else's signature, or one that isn't needed: %s", name, got.body)
		}
	}
	canned, err := g.user.SignCanned(g.server.URL+index, g.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]signing.Credential{"canned": canned, "custom": g.sign(t, g.user, index)} {
		if got := g.ask(t, index+query(c)); got.status != 200 || strings.Contains(got.body, "Signature") {
			t.Errorf("a %s signature of the playlist alone: %s", name, got)
		}
	}
}

func TestALongSignedManifestIsCompressed(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	long := strings.Replace(media, "#EXTINF:4,\n00001.m4s\n", strings.Repeat("#EXTINF:4,\n00001.m4s\n", 500), 1)
	if _, err := g.store.Put(t.Context(), "media", "streams/"+folder+"/2/720p/long.m3u8", strings.NewReader(long), int64(len(long)), ""); err != nil {
		t.Fatal(err)
	}
	signed := query(g.sign(t, g.user, "/stream/*"))
	plain := g.ask(t, at(folder, "720p/long.m3u8")+signed)
	for _, tail := range []string{signed, ""} {
		lines := []string{"Accept-Encoding: br;q=1, gzip;q=0.5", "Range: bytes=0-9"}
		if tail == "" {
			lines = append(lines, "Authorization: Bearer main")
		}
		got := g.ask(t, at(folder, "720p/long.m3u8")+tail, lines...)
		unzip, err := gzip.NewReader(strings.NewReader(got.body))
		if err != nil || got.header.Get("Content-Encoding") != "gzip" || !slices.Contains(got.header.Values("Vary"), "Accept-Encoding") {
			t.Fatalf("%q: %v %s %v", tail, err, got, got.header)
		}
		text, err := io.ReadAll(unzip)
		want := long
		if tail != "" {
			want = plain.body
		}
		if err != nil || string(text) != want || len(got.body) > len(text)/10 {
			t.Errorf("%q: %v, %d bytes of %d", tail, err, len(got.body), len(text))
		}
	}
	for _, refused := range []string{"gzip;q=0", "identity", ""} {
		if got := g.ask(t, at(folder, "720p/long.m3u8")+signed, "Accept-Encoding: "+refused); got.header.Get("Content-Encoding") != "" || got.body != plain.body {
			t.Errorf("%q: %v", refused, got.header)
		}
	}
}

func TestACapHoldsForManifestsAndSegments(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	g.set(string(playbackID), func(p *video.Playback) { p.MaxResolution = 720 })
	token := "Authorization: Bearer main"
	own := string(playbackID)
	for _, q := range []string{"", "?max_resolution=1080"} {
		if got := g.ask(t, at(own, "index.m3u8")+q, token); got.status != 200 || strings.Contains(got.body, "1080p") || !strings.Contains(got.body, "720p") {
			t.Errorf("%q: %s %s", q, got, got.body)
		}
	}
	for file, want := range map[string]string{
		"720p/00001.m4s": "200", "360p/00001.m4s": "200", "audio-1/00001.m4s": "200", "poster.jpg": "200", "1080p/00001.m4s": "403 over_max_resolution",
		"1080p/index.m3u8": "403 over_max_resolution", "1080p/init.mp4": "403 over_max_resolution", "2160p/00001.m4s": "403 over_max_resolution", "whole.mp4": "403 over_max_resolution",
	} {
		if got := g.ask(t, at(own, file), token); got.String() != want {
			t.Errorf("%s: %s, want %s", file, got, want)
		}
	}
	if got := g.ask(t, at(folder, "1080p/00001.m4s"), token); got.status != 200 {
		t.Errorf("the video's own address has no cap: %s", got)
	}
	g.set(otherFolder, func(p *video.Playback) { p.MaxResolution = 144 })
	if got := g.ask(t, at(otherFolder, "index.m3u8"), "Authorization: Bearer other"); !strings.Contains(got.body, "360p") || strings.Contains(got.body, "720p") {
		t.Errorf("all are above the cap: %s", got.body)
	}
}

func TestAManifestSignedUpToARungOpensNoOther(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]bool{"signed": false, "members": true} {
		g := newGuarded(t, map[bool]video.Policy{false: video.Signed, true: video.Members}[members])
		key := map[bool]signing.KeyPair{false: g.user, true: g.internal}[members]
		index := at(folder, "index.m3u8")
		top := index[:strings.LastIndexByte(index, '/')+1]
		ask := index + "?max_resolution=720"
		signed := query(g.sign(t, key, ask))[1:]
		got := g.ask(t, ask+"&"+signed)
		if got.status != 200 || strings.Contains(got.body, "1080p") {
			t.Fatalf("%s: %s %s", name, got, got.body)
		}
		refs := references(got.body)
		if len(refs) != 3 {
			t.Fatalf("%s: %q", name, refs)
		}
		for _, ref := range refs {
			list := g.ask(t, top+ref)
			if list.status != 200 {
				t.Fatalf("%s, %s: %s", name, ref, list)
			}
			folderOf, q, _ := strings.Cut(ref, "index.m3u8")
			if got := g.ask(t, top+folderOf+references(list.body)[1]); got.status != 200 {
				t.Errorf("%s: a segment of %s: %s", name, folderOf, got)
			}
			for _, other := range []string{"1080p/00001.m4s", "1080p/index.m3u8", "index.m3u8"} {
				if got := g.ask(t, top+other+q); got.status != 403 {
					t.Errorf("%s: what is for %s opens %s: %s", name, folderOf, other, got)
				}
			}
		}
		for _, changed := range []string{index + "?", index + "?max_resolution=1080&", index + "?max_resolution=720&codecs=avc1&", index + "?max_resolution=720&max_resolution=1080&", top + "1080p/00001.m4s?max_resolution=720&"} {
			if got := g.ask(t, changed+signed); got.status != 403 {
				t.Errorf("%s: %s: %s", name, changed, got)
			}
		}
	}
}

func TestDevicesGetManifestsOfTheirOwnAndFromNoOneElsesCache(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Public)
	index := at(folder, "index.m3u8")
	first := func(a answered) string { r, _, _ := strings.Cut(references(a.body)[1], "/"); return r }
	for range 2 {
		for agent, want := range map[string]string{
			"User-Agent: x": "1080p", "Save-Data: on": "360p", "User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X)": "360p", "User-Agent: SmartTV": "720p",
			"X-Forwarded-Host: evil.example": "1080p", "X-Original-URL: /stream/x": "1080p",
		} {
			got := g.ask(t, index, agent)
			if got.status != 200 || first(got) != want {
				t.Errorf("%s: %s begins with %s, want %s", agent, got, first(got), want)
			}
			vary := strings.Join(got.header.Values("Vary"), ", ")
			for _, name := range DeviceHeaders {
				if !strings.Contains(vary, name) {
					t.Errorf("Vary %q doesn't name %s", vary, name)
				}
			}
			if got.header.Get("Accept-CH") != DeviceHints() || got.header.Get("Cache-Control") != "public, max-age=60" {
				t.Errorf("%v", got.header)
			}
		}
	}
	for q, want := range map[string]string{"?max_resolution=360": "200", "?max_resolution=361": "422 bad_max_resolution", "?max_resolution=360&max_resolution=720": "422 bad_max_resolution",
		"?order=x": "422 bad_order", "?codecs=": "422 bad_codecs", "?%zz": "422 bad_query", "?utm=1": "200"} {
		if got := g.ask(t, index+q); got.String() != want {
			t.Errorf("%s: %s, want %s", q, got, want)
		}
	}
	a, b := g.ask(t, at(folder, "1080p/00001.m4s")), g.ask(t, at(folder, "1080p/00001.m4s")+"?max_resolution=1&x="+strings.Repeat("y", 4000))
	if a.body != b.body || a.header.Get("ETag") != b.header.Get("ETag") || b.status != 200 {
		t.Errorf("a query changes a segment: %s", b)
	}
	// What one could see is in memory, and stays closed to others.
	g.set(folder, func(p *video.Playback) { p.Policy = video.Signed })
	g.ahead.Store(3)
	if got := g.ask(t, index, "Save-Data: on"); got.status != 403 {
		t.Errorf("after the policy changed: %s", got)
	}
}

func TestAPlaybackIsWithdrawnAndBoundToPages(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Public)
	file := at(string(playbackID), "1080p/00001.m4s")
	got := g.ask(t, file)
	if got.status != 200 || got.header.Get("Surrogate-Key") != fmt.Sprintf("video-%s generation-%s-2 playback-%s", id, id, playbackID) ||
		got.header.Get("Cache-Tag") != strings.ReplaceAll(got.header.Get("Surrogate-Key"), " ", ",") {
		t.Errorf("%s %v", got, got.header)
	}
	g.set(string(playbackID), func(p *video.Playback) { p.Origins = []string{"https://shop.example"} })
	g.ahead.Store(3)
	for name, c := range map[string]struct {
		want  int
		allow string
		lines []string
	}{
		"its page":             {200, "https://shop.example", []string{"Origin: https://shop.example"}},
		"our page":             {200, "https://page.example", []string{"Origin: https://page.example"}},
		"another page":         {403, "", []string{"Origin: https://shop.example.evil.example"}},
		"one that others may":  {403, "", []string{"Origin: https://friend.example"}},
		"no origin at all":     {403, "", []string{"Origin: null"}},
		"by its referrer":      {200, "", []string{"Referer: https://shop.example/a/b?c"}},
		"by another referrer":  {403, "", []string{"Referer: https://evil.example/https://shop.example/"}},
		"a page without name":  {403, "", []string{"Sec-Fetch-Site: cross-site"}},
		"a sibling's page":     {403, "", []string{"Sec-Fetch-Site: same-site"}},
		"an app":               {200, "", nil},
		"a page with userinfo": {403, "", []string{"Referer: https://shop.example@evil.example/"}},
	} {
		if got := g.ask(t, file, c.lines...); got.status != c.want || got.header.Get("Access-Control-Allow-Origin") != c.allow || !slices.Contains(got.header.Values("Vary"), "Origin") ||
			strings.Contains(got.header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %s %v", name, got, got.header)
		}
	}
	g.set(string(playbackID), func(p *video.Playback) { p.Revoked = true })
	g.ahead.Store(6)
	if got := g.ask(t, file, "Origin: https://shop.example"); got.String() != "403 playback_revoked" {
		t.Error(got)
	}
	if got := g.ask(t, at(folder, "1080p/00001.m4s")); got.status != 200 {
		t.Errorf("the video itself: %s", got)
	}
}

func TestPagesReadWhatTheyMayByName(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	open := newGuarded(t, video.Signed, func(c *Config) { c.Origins = append(c.Origins, "*") })
	for _, c := range []struct {
		g              *guarded
		origin, allow  string
		withCookies    bool
		whatItIsCalled string
	}{
		{g, "https://page.example", "https://page.example", true, "ours"}, {g, "https://friend.example", "https://friend.example", true, "one that is allowed"},
		{g, "https://evil.example", "", false, "another"}, {g, "null", "", false, "none"}, {open, "https://evil.example", "*", false, "another, where all may read"},
		{open, "https://friend.example", "https://friend.example", true, "one that is named beside the star"},
	} {
		signed := query(c.g.sign(t, c.g.user, "/stream/*"))
		for _, first := range []string{"GET %s HTTP/1.1\r\n", "HEAD %s HTTP/1.1\r\n", "OPTIONS %s HTTP/1.1\r\n"} {
			for _, tail := range []string{signed, ""} {
				got := c.g.send(t, fmt.Sprintf(first, at(folder, "1080p/00001.m4s")+tail), "Origin: "+c.origin)
				if got.header.Get("Access-Control-Allow-Origin") != c.allow || got.header.Get("Access-Control-Allow-Credentials") != map[bool]string{true: "true"}[c.withCookies] ||
					!slices.Contains(got.header.Values("Vary"), "Origin") || got.header.Get("Referrer-Policy") != "no-referrer" {
					t.Errorf("%s, %s: %s %v", c.whatItIsCalled, first, got, got.header)
				}
			}
		}
	}
}

func TestACDNVouchesByItsSecret(t *testing.T) {
	t.Parallel()
	old, fresh := "the old secret of the CDN", "the new secret of the CDN"
	trust := func(c *Config) { c.CDN = CDN{Header: "X-Origin-Secret", Secrets: []string{old, fresh}} }
	g, members := newGuarded(t, video.Signed, trust), newGuarded(t, video.Members, trust)
	file, index := at(folder, "1080p/00001.m4s"), at(folder, "index.m3u8")
	for name, c := range map[string]struct {
		g     *guarded
		path  string
		want  string
		cache string
		lines []string
	}{
		"the old secret":           {g, file, "200", "public, s-maxage=31536000, max-age=3600, immutable", []string{"X-Origin-Secret: " + old}},
		"the new one":              {g, file, "200", "public, s-maxage=31536000, max-age=3600, immutable", []string{"X-Origin-Secret: " + fresh}},
		"a manifest":               {g, index, "200", "public, max-age=60", []string{"X-Origin-Secret: " + fresh}},
		"a signature comes along":  {g, index + query(g.sign(t, g.user, "/stream/*")), "200", "private, no-store", []string{"X-Origin-Secret: " + fresh}},
		"a bad one comes along":    {g, index + query(g.sign(t, g.internal, "/x/*")), "403 policy_wrong_resource", "no-store", []string{"X-Origin-Secret: " + fresh}},
		"a signed segment":         {g, file + query(g.sign(t, g.user, "/stream/*")), "200", "public, s-maxage=31536000, max-age=3600, immutable", []string{"X-Origin-Secret: " + fresh}},
		"one without the secret":   {g, file + query(g.sign(t, g.user, "/stream/*")), "200", "private, max-age=3600, immutable", nil},
		"no secret":                {g, file, "403 signature_missing", "no-store", nil},
		"an empty one":             {g, file, "403 signature_missing", "no-store", []string{"X-Origin-Secret: "}},
		"a part of it":             {g, file, "403 signature_missing", "no-store", []string{"X-Origin-Secret: " + old[:10]}},
		"a good and a bad one":     {g, file, "403 signature_missing", "no-store", []string{"X-Origin-Secret: " + old, "X-Origin-Secret: x"}},
		"a video for members":      {members, file, "403 signature_missing", "no-store", []string{"X-Origin-Secret: " + old}},
		"an address there is none": {g, at("x-"+string(otherID), "index.m3u8"), "404 not_found", "no-store", []string{"X-Origin-Secret: " + old}},
	} {
		if got := c.g.ask(t, c.path, c.lines...); got.String() != c.want || got.header.Get("Cache-Control") != c.cache {
			t.Errorf("%s: %s %s", name, got, got.header.Get("Cache-Control"))
		}
	}
}

func TestRangesThatCostMuchAreNotServed(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Public)
	for name, c := range map[string]struct {
		want  int
		lines []string
	}{
		"a thousand":                   {200, []string{"Range: bytes=" + strings.Repeat("0-1,", 999) + "5-6"}},
		"that overlap":                 {200, []string{"Range: bytes=0-,0-,0-,0-,0-,0-,0-,0-,0-"}},
		"eight that are all of it":     {200, []string{"Range: bytes=0-,0-,0-,0-,0-,0-,0-,0-"}},
		"in two headers":               {200, []string{"Range: bytes=0-1", "Range: bytes=2-3"}},
		"a number that is no number":   {416, []string{"Range: bytes=99999999999999999999-"}},
		"a negative start":             {416, []string{"Range: bytes=--5"}},
		"another unit":                 {416, []string{"Range: rows=0-1"}},
		"an empty one":                 {200, []string{"Range: "}},
		"a range with white space":     {206, []string{"Range: bytes= 0 - 1"}},
		"a range of bytes in capitals": {416, []string{"Range: BYTES=0-1"}},
	} {
		got := g.ask(t, at(folder, "1080p/00001.m4s"), c.lines...)
		if got.status != c.want || len(got.body) > len(content) {
			t.Errorf("%s: %s, %d bytes", name, got, len(got.body))
		}
	}
}

func TestARequestThatTwoServersMayReadDifferentlyIsRefused(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Public)
	file := at(folder, "1080p/00001.m4s")
	host := "Host: " + g.server.Listener.Addr().String()
	for name, c := range map[string]struct {
		want int
		raw  string
	}{
		"a body":                      {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nContent-Length: 5\r\n\r\nhello"},
		"a body that never comes":     {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nContent-Length: 500000\r\n\r\n"},
		"chunks":                      {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		"length and chunks":           {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"},
		"two lengths":                 {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde"},
		"a length with a sign":        {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nContent-Length: +4\r\n\r\nabcd"},
		"an encoding of another name": {501, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
		"a space before the colon":    {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"},
		"a header that goes on":       {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nX: y\r\n\tz\x00\r\n\r\n"},
		"two hosts":                   {400, "GET " + file + " HTTP/1.1\r\n" + host + "\r\nHost: evil.example\r\n\r\n"},
		"no host":                     {400, "GET " + file + " HTTP/1.1\r\n\r\n"},
		"a control character in it":   {400, "GET " + file + "\x01 HTTP/1.1\r\n" + host + "\r\n\r\n"},
		"a space in the path":         {400, "GET " + file + " x HTTP/1.1\r\n" + host + "\r\n\r\n"},
		"an authority":                {404, "GET //evil.example" + file + " HTTP/1.1\r\n" + host + "\r\nConnection: close\r\n\r\n"},
	} {
		conn, err := net.Dial("tcp", g.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, c.raw); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		all, err := io.ReadAll(io.LimitReader(conn, 1<<20))
		if err != nil {
			t.Errorf("%s: the connection stays open: %v", name, err)
		}
		_ = conn.Close()
		if statuses := regexp.MustCompile(`HTTP/1\.[01] (\d+)`).FindAllStringSubmatch(string(all), -1); len(statuses) != 1 || statuses[0][1] != fmt.Sprint(c.want) {
			t.Errorf("%s: %q, want one %d", name, statuses, c.want)
		}
	}
}

// whole is storage on another machine that has one endless object.
type whole struct{ size int64 }

func (whole) LocalPath(string, string) (string, bool) { return "", false }

func (w whole) Head(_ context.Context, b, key string) (bucket.Object, error) {
	return bucket.Object{Bucket: b, Key: key, ETag: "e", Size: w.size}, nil
}

func (w whole) Get(_ context.Context, b, key, _ string) (io.ReadCloser, bucket.Object, error) {
	return io.NopCloser(zeros{}), bucket.Object{Bucket: b, Key: key, ETag: "e", Size: w.size}, nil
}

func (whole) Cached(bucket.Object) (*bucket.File, error) {
	return nil, errors.New("nothing is kept")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// pipes listens to connections in memory, which know deadlines and have no room between.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

func TestAClientThatTakesNothingIsCutOffAndOneThatIsSlowIsNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 4 << 20
		c := &catalog{published: map[generation]bool{{folder, 2}: true}, playbacks: map[string]video.Playback{folder: {Video: id, Prefix: "streams/" + folder, Policy: video.Public}}}
		edge, err := New(Config{Objects: whole{size}, Playbacks: c, Keys: c, Viewer: viewer, MediaBucket: "media", Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		conns := make(pipes)
		server := &http.Server{Handler: edge, ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
		go func() { _ = server.Serve(conns) }()
		take := func(pause time.Duration) (n int64, took time.Duration) {
			here, there := net.Pipe()
			conns <- there
			began := time.Now()
			if _, err := io.WriteString(here, "GET "+at(folder, "1080p/00001.m4s")+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 64<<10)
			for {
				time.Sleep(pause)
				got, err := here.Read(buf)
				if n += int64(got); err != nil {
					if !errors.Is(err, io.EOF) {
						t.Error(err)
					}
					_ = here.Close()
					return n, time.Since(began)
				}
			}
		}
		if n, took := take(time.Second); n < size {
			t.Errorf("64 KB a second: %d bytes in %v", n, took)
		}
		if n, took := take(20 * time.Second); n >= size || took > 5*time.Minute {
			t.Errorf("64 KB in 20 s: %d bytes in %v", n, took)
		}
		if n, took := take(10 * time.Minute); n > 128<<10 {
			t.Errorf("nothing for ten minutes: %d bytes in %v", n, took)
		}
		close(conns)
		_ = server.Close()
	})
}

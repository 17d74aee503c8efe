package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// hand writes a request as it is told, ends its side where it is told to, and returns all that comes back.
func hand(t *testing.T, host, text string, ends bool) string {
	t.Helper()
	conn, err := net.Dial("tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(60 * time.Second))
	go func() {
		_, _ = io.WriteString(conn, text) // it may be refused before its end
		if ends {                         // nginx takes that for a client that has left
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	all, err := io.ReadAll(io.LimitReader(conn, 64<<20))
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%.60q…: the connection stays open: %v", text, err)
	}
	return string(all)
}

// TestWhatOneClientAsksDoesNotChangeWhatTheCacheGivesOthers has somebody who may watch ask for each file first, with what a cache's key doesn't have and an origin might heed.
func TestWhatOneClientAsksDoesNotChangeWhatTheCacheGivesOthers(t *testing.T) {
	t.Parallel()
	c := startCDN(t)
	video := c.Upload(rig.Clip(t, "clip.mp4", "640x360", 32), "clip.mp4")
	v := c.Await(video, 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	attacker, jar := c.give(t, map[string]any{"video": video}), jarOf(c.give(t, map[string]any{"video": video, "way": "cookies"}))
	host, path := strings.TrimPrefix(c.url, "http://"), strings.TrimPrefix(v.Playback.HLS, c.url)
	top := strings.TrimSuffix(path, "index.m3u8")
	truth := func(path string) (*http.Response, []byte) {
		return c.ask(t, http.MethodGet, c.URL+path, "Authorization: Bearer "+c.Token, "Accept-Encoding: identity")
	}
	innocent := func(does, path string) {
		t.Helper()
		want, body := truth(path)
		resp, got := c.ask(t, http.MethodGet, c.url+path, jar, "Accept-Encoding: identity")
		if resp.StatusCode != http.StatusOK || !bytes.Equal(got, body) || resp.Header.Get("Content-Type") != want.Header.Get("Content-Type") || resp.Header.Get("Content-Encoding") != "" {
			t.Errorf("after %s, of %s: %s, %d bytes of %d: %v", does, path, resp.Status, len(got), len(body), resp.Header)
		}
		if all := fmt.Sprint(resp.Header); strings.Contains(all, "evil") || strings.Contains(all, "Access-Control-Allow-Origin") || resp.Header.Get("Set-Cookie")+resp.Header.Get("Location") != "" {
			t.Errorf("after %s, of %s: %v", does, path, resp.Header)
		}
	}

	// Each of these takes a file of its own, which nobody has asked for before.
	var fresh []string
	for key := range c.Objects("media") {
		if _, file, ok := strings.Cut(key, "/1/"); ok && strings.HasPrefix(key, "streams/") && regexp.MustCompile(`\.(m4s|jpg|mp4)$`).MatchString(file) {
			fresh = append(fresh, file)
		}
	}
	slices.Sort(fresh)
	next := 0
	for does, lines := range map[string][]string{
		"another host":               {"GET {} HTTP/1.1", "Host: evil.example"},
		"a host with a port":         {"GET {} HTTP/1.1", "Host: evil.example:80"},
		"an address with a host":     {"GET http://evil.example{} HTTP/1.1", "Host: " + host},
		"a forwarded host":           {"GET {} HTTP/1.1", "Host: " + host, "X-Forwarded-Host: evil.example", "Forwarded: host=evil.example", "X-Host: evil.example", "X-Forwarded-Server: evil.example"},
		"a forwarded scheme":         {"GET {} HTTP/1.1", "Host: " + host, "X-Forwarded-Proto: evil", "X-Forwarded-Scheme: evil", "X-Forwarded-Port: 1", "X-Forwarded-Prefix: /evil"},
		"another address in headers": {"GET {} HTTP/1.1", "Host: " + host, "X-Original-URL: /stream/evil", "X-Rewrite-URL: /stream/evil", "X-Original-URI: /stream/evil"},
		"another method in headers":  {"GET {} HTTP/1.1", "Host: " + host, "X-HTTP-Method-Override: DELETE", "X-Method-Override: HEAD", "X-Original-Method: OPTIONS"},
		"HEAD":                       {"HEAD {} HTTP/1.1", "Host: " + host},
		"a part":                     {"GET {} HTTP/1.1", "Host: " + host, "Range: bytes=0-3"},
		"parts, and if":              {"GET {} HTTP/1.1", "Host: " + host, "Range: bytes=0-3,5-6", `If-Range: "evil"`},
		"conditions":                 {"GET {} HTTP/1.1", "Host: " + host, "If-None-Match: *", "If-Modified-Since: Fri, 20 Nov 2099 00:00:00 GMT"},
		"conditions that fail":       {"GET {} HTTP/1.1", "Host: " + host, `If-Match: "evil"`, "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"},
		"another page":               {"GET {} HTTP/1.1", "Host: " + host, "Origin: https://friend.example"},
		"an encoding":                {"GET {} HTTP/1.1", "Host: " + host, "Accept-Encoding: gzip, evil", "TE: trailers", "Accept: evil/*"},
		"cookies":                    {"GET {} HTTP/1.1", "Host: " + host, "Cookie: a=evil; sluice=evil"},
		"a long header":              {"GET {} HTTP/1.1", "Host: " + host, "X-Evil: " + strings.Repeat("evil", 1500)},
		"an upgrade":                 {"GET {} HTTP/1.1", "Host: " + host, "Upgrade: h2c, websocket", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"},
		"a parameter":                {"GET {}&evil=<script> HTTP/1.1", "Host: " + host},
		"a parameter of manifests":   {"GET {}&max_resolution=9999&order=evil HTTP/1.1", "Host: " + host},
		"HTTP/1.0":                   {"GET {} HTTP/1.0", "Host: " + host},
	} {
		if next == len(fresh) {
			t.Fatalf("%d files are too few", next)
		}
		at := top + fresh[next]
		next++
		lines[0] = strings.Replace(lines[0], "{}", at+"?"+attacker.Query, 1)
		said := hand(t, host, strings.Join(append(lines, "Connection: close", "", ""), "\r\n"), false)
		if _, err := http.ReadResponse(bufio.NewReader(strings.NewReader(said)), &http.Request{Method: lines[0][:strings.IndexByte(lines[0], ' ')]}); err != nil {
			t.Errorf("%s: %v: %.200q", does, err, said)
		}
		innocent(does, at)
	}

	// Manifests depend on more, and each of that is in the key, in Vary, or refused.
	for _, file := range []string{"index.m3u8", "index.mpd"} {
		for does, ask := range map[string][]string{
			"a thrifty client":     {"", "Save-Data: on"},
			"a telephone":          {"", "User-Agent: Mozilla/5.0 (iPhone; evil)"},
			"a narrow screen":      {"", "Sec-CH-UA-Mobile: ?1", "Sec-CH-Viewport-Width: 1", "Sec-CH-DPR: 1"},
			"hints that lie":       {"", "Sec-CH-Viewport-Width: -1", "Viewport-Width: 1e9", "DPR: evil"},
			"a parameter":          {"?max_resolution=144&order=lowest"},
			"a bad parameter":      {"?max_resolution=evil"},
			"a parameter twice":    {"?max_resolution=144&max_resolution=2160"},
			"a parameter's escape": {"?max%5fresolution=144"},
			"junk":                 {"?evil=1"},
			"a query of nothing":   {"?"},
			"gzip":                 {"", "Accept-Encoding: gzip"},
			"a token":              {"", "Authorization: Bearer " + c.Token},
		} {
			header := append([]string{jar}, ask[1:]...)
			if does == "a token" {
				header = ask[1:]
			}
			c.ask(t, http.MethodGet, c.url+top+file+ask[0], header...)
			innocent(does, top+file)
		}
		c.ask(t, http.MethodGet, c.url+top+file+"?"+attacker.Query) // one with signatures in it
		innocent("a signed manifest", top+file)
	}
	c.holdsNo(t, attacker.Query, c.give(t, map[string]any{"video": video, "expires_in": 600}).Query, jar[len("Cookie: "):], c.Token)
}

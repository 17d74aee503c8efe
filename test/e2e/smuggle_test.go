package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

const (
	refusedThen = "the first is refused, and the connection ends"
	once        = "the first is answered, and the connection ends"
	both        = "there are two, as anybody sees"
)

// smuggled are requests that two servers in a row may cut differently: {outer} is the target of what both see, {inner} a whole request that only one of them may
// see. alone is what the server by itself makes of them: most are refused, and the connection ends.
var smuggled = []struct{ does, text, alone string }{
	{"CL.TE", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"TE.CL", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n{hex}\r\n{inner}\r\n0\r\n\r\n", refusedThen},
	{"TE.TE, the second another", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\nContent-Length: 4\r\n\r\n{hex}\r\n{inner}\r\n0\r\n\r\n", refusedThen},
	{"TE.TE, a list", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"an encoding of another name", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a tab before the encoding", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\tchunked\r\nContent-Length: {n}\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"a space before the colon", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"a vertical tab before the encoding", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"obs-fold of the encoding", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"obs-fold that hides it", "GET {outer} HTTP/1.1\r\nHost: h\r\nX: y\r\n Transfer-Encoding: chunked\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"obs-fold in the first header", "GET {outer} HTTP/1.1\r\n Host: h\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a name that ends in a line end", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding\r\n: chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"bare LF before the encoding", "GET {outer} HTTP/1.1\r\nHost: h\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"bare CR before the encoding", "GET {outer} HTTP/1.1\r\nHost: h\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}", refusedThen},
	{"bare LF everywhere", "GET {outer} HTTP/1.1\nHost: h\n\n{inner}", both},
	{"NUL in a header", "GET {outer} HTTP/1.1\r\nHost: h\r\nX: a\x00b\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"an extension of a chunk", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;a=b\r\nx\r\n0\r\n\r\n{inner}", refusedThen},
	{"bare LF behind an extension", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1;\nx\r\n0\r\n\r\n{inner}", refusedThen},
	{"a request in an extension", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0;\n{inner}\r\n\r\n", refusedThen},
	{"a size with 0x", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n0\r\n\r\n{inner}", refusedThen},
	{"a size with a sign", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n{inner}", refusedThen},
	{"a size that runs over", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000001\r\nx\r\n0\r\n\r\n{inner}", refusedThen},
	{"a length in the trailers", "GET {outer} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length\r\n\r\n0\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"two lengths", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"two lengths in one", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: 0, {n}\r\n\r\n{inner}", refusedThen},
	{"a length with a sign", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: +{n}\r\n\r\n{inner}", refusedThen},
	{"a length below nothing", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: -{n}\r\n\r\n{inner}", refusedThen},
	{"a length in hex", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: 0x{hex}\r\n\r\n{inner}", refusedThen},
	{"a length that runs over", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: 18446744073709551616\r\n\r\n{inner}", refusedThen},
	{"a length with blanks", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: 1 {n}\r\n\r\n{inner}", refusedThen},
	{"a body of a GET", "GET {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a body that is waited for", "GET {outer} HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a body of a HEAD", "HEAD {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a body of an OPTIONS", "OPTIONS {outer} HTTP/1.1\r\nHost: h\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"chunks in HTTP/1.0", "GET {outer} HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n{inner}", once},
	{"a version that isn't one", "GET {outer} HTTP/1.1x\r\nHost: h\r\n\r\n{inner}", refusedThen},
	{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{inner}", refusedThen},
	{"an upgrade to h2c", "GET {outer} HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
	{"a header that Connection names", "GET {outer} HTTP/1.1\r\nHost: h\r\nConnection: Content-Length, Transfer-Encoding\r\nContent-Length: {n}\r\n\r\n{inner}", refusedThen},
}

// cut fills a form in. Its inner request can be told from all others by n.
func cut(text, outer string, n int) string {
	inner := fmt.Sprintf("GET /stream/smuggled%d-01jq3v8k2m4n5p6r7s8t9v0w1x/1/00001.m4s HTTP/1.1\r\nHost: h\r\nX-Original-Method: OPTIONS\r\nConnection: close\r\n\r\n", n)
	return strings.NewReplacer("{outer}", outer, "{n}", fmt.Sprint(len(inner)), "{hex}", fmt.Sprintf("%x", len(inner)), "{inner}", inner).Replace(text)
}

var statusLine = regexp.MustCompile(`HTTP/1\.[01] ([2-5]\d\d) `)

func TestARequestIsCutAlikeByTheServerAndACacheBeforeIt(t *testing.T) {
	t.Parallel()
	c := startCDN(t)
	video := c.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := c.Await(video, 2*time.Minute)
	g := c.give(t, map[string]any{"video": video})
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	outer := strings.TrimPrefix(segment, c.url) + "?" + g.Query
	behind, alone := strings.TrimPrefix(c.url, "http://"), strings.TrimPrefix(c.URL, "http://")
	_, want := c.ask(t, "GET", c.URL+strings.TrimPrefix(segment, c.url), "Authorization: Bearer "+c.Token)

	for i, s := range smuggled {
		answers := statusLine.FindAllStringSubmatch(hand(t, alone, cut(s.text, outer, i), true), -1)
		made := refusedThen
		switch {
		case len(answers) == 2:
			made = both
		case len(answers) == 1 && answers[0][1] < "400":
			made = once
		}
		if made != s.alone || len(answers) == 0 {
			t.Errorf("%s, by the server alone: answered %q: %s, want: %s", s.does, answers, made, s.alone)
		}
	}
	before := len(c.asks("smuggled"))
	if before != 0 {
		t.Fatalf("what the server was asked alone is counted: %d", before)
	}
	for i, s := range smuggled {
		hand(t, behind, strings.Replace(cut(s.text, outer, i), "Host: h", "Host: h\r\nConnection: close", 1), false)
	}
	// What nginx takes for a request of its own it writes down; the server must have seen no other.
	for i, s := range smuggled {
		name := fmt.Sprintf("/smuggled%d-", i)
		logged, seen := strings.Count(string(read(t, c.log)), name), len(c.asks(name))
		if seen > logged {
			t.Errorf("%s: behind nginx the server saw %d requests that nginx knows %d of", s.does, seen, logged)
		}
		for _, a := range c.asks(name) {
			if strings.HasSuffix(a, " vouched") {
				t.Errorf("%s: what was smuggled came with the secret", s.does)
			}
		}
	}
	for range 3 { // those who come next get what they asked for
		resp, got := c.ask(t, "GET", segment, "Cookie: "+jarOf(c.give(t, map[string]any{"video": video, "way": "cookies"}))[len("Cookie: "):])
		if resp.StatusCode != 200 || string(got) != string(want) {
			t.Errorf("the next one: %s, %d bytes of %d", resp.Status, len(got), len(want))
		}
	}
}

// The API takes bodies, so a second request may follow one; it has no part in the credentials of the first.
func TestARequestBehindAnotherHasNoPartInItsCredentials(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	if v := s.Await(id, 2*time.Minute); v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	host := strings.TrimPrefix(s.URL, "http://")
	const body = `{"all":true}`
	inner := "DELETE /v1/videos/" + id + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
	head := "POST /v1/keys HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + s.Token + "\r\nContent-Type: application/json\r\n"
	for does, text := range map[string]string{
		"two in a row":           fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s%s", head, len(body), body, inner),
		"CL.TE":                  fmt.Sprintf("%sContent-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n%s", head, len(body)+len(inner)+30, len(body), body, inner),
		"TE.CL":                  fmt.Sprintf("%sTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", head, len(inner), inner),
		"two lengths":            fmt.Sprintf("%sContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s%s", head, len(body), body, inner),
		"obs-fold":               fmt.Sprintf("%sX: y\r\n Content-Length: %d\r\n\r\n%s", head, len(inner), inner),
		"bare LF":                strings.ReplaceAll(fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, len(body)), "\r\n", "\n") + body + strings.ReplaceAll(inner, "\r\n", "\n"),
		"an extension":           fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x;a=b\r\n%s\r\n0;\n\r\n%s", head, len(body), body, inner),
		"a chunk that never end": fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n%s", head, inner),
		"trailers":               fmt.Sprintf("%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\nAuthorization: Bearer %s\r\n\r\n%s", head, len(body), body, s.Token, inner),
	} {
		answers := statusLine.FindAllStringSubmatch(hand(t, host, text, true), -1)
		if len(answers) == 0 || len(answers) > 2 || len(answers) == 2 && answers[1][1] != "401" && answers[1][1] != "400" {
			t.Errorf("%s: %q", does, answers)
		}
	}
	if v := s.Video(id); v.Status != "ready" {
		t.Errorf("the video is %s", v.Status)
	}
}

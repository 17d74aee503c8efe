package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"sluice/internal/signing"
	"sluice/test/rig"
)

// delivered is a server with a video of several rungs whose generation has each sort of file, and the way to ask its edge.
type delivered struct {
	*rig.Server
	t         *testing.T
	video     string
	top       string // the address of the generation, with a slash at its end
	hls, dash string
}

// beside are sorts of files that generations may have, and the encoder doesn't make: a multivariant playlist with everything in it among them.
var beside = map[string]string{
	"download.mp4": "a film", "captions/en.m3u8": "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\n00001.vtt\n#EXT-X-ENDLIST\n",
	"captions/00001.vtt": "WEBVTT\n\n00:00.000 --> 00:04.000\nHello.\n", "storyboard.vtt": "WEBVTT\n\n00:00.000 --> 00:04.000\nstory/00001.jpg#xywh=0,0,160,90\n", "story/00001.jpg": "a picture",
}

func deliver(t *testing.T, flags ...string) *delivered {
	t.Helper()
	d := &delivered{t: t, Server: rig.Start(t, rig.Options{Args: append([]string{"--playback", "signed", "--trusted-proxies", "127.0.0.1"}, flags...)})}
	d.video = d.Upload(rig.Clip(t, "clip.mp4", "854x480", 3), "A clip, 100%2F; of it.mp4")
	v := d.Await(d.video, 2*time.Minute)
	if v.Status != "ready" || len(v.Renditions) < 3 {
		t.Fatalf("%s", v.Raw)
	}
	d.hls, d.dash, d.top = v.Playback.HLS, v.Playback.DASH, strings.TrimSuffix(v.Playback.HLS, "index.m3u8")
	prefix := ""
	for key := range d.Objects("media") {
		if strings.HasSuffix(key, "/1/index.m3u8") {
			prefix = strings.TrimSuffix(key, "index.m3u8")
		}
	}
	status, stored := d.get(d.hls, "Authorization: Bearer "+d.Token)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	files := map[string]string{"full.m3u8": strings.Replace(stored, "#EXT-X-STREAM-INF:", "#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"subs\",NAME=\"English\",LANGUAGE=\"en\",URI=\"captions/en.m3u8\"\n#EXT-X-STREAM-INF:SUBTITLES=\"subs\",", 1)}
	for name, text := range beside {
		files[name] = text
	}
	for name, text := range files {
		if _, err := d.Minio().PutObject(t.Context(), "media", prefix+name, strings.NewReader(text), int64(len(text)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// get asks the edge, with headers as lines.
func (d *delivered) get(address string, header ...string) (status int, body string) {
	d.t.Helper()
	resp, text := (&cdn{}).ask(d.t, http.MethodGet, address, header...)
	return resp.StatusCode, string(text)
}

// said is a status, and the code of a refusal.
func (d *delivered) said(address string, header ...string) string {
	d.t.Helper()
	status, body := d.get(address, header...)
	if code := regexp.MustCompile(`"code":"(\w+)"`).FindStringSubmatch(body); status >= 400 && code != nil {
		return fmt.Sprint(status, " ", code[1])
	}
	return fmt.Sprint(status)
}

func (d *delivered) grant(body map[string]any) (g given) {
	d.t.Helper()
	if status := d.Call(http.MethodPost, "/v1/keys", body, &g); status != http.StatusOK {
		d.t.Fatalf("%v: %d", body, status)
	}
	return g
}

var reference = regexp.MustCompile(`URI="([^"]+)"`)

// referred are all addresses that a manifest leads to, its own among them.
func (d *delivered) referred(address string) (all []string) {
	d.t.Helper()
	seen := map[string]bool{}
	var follow func(string)
	follow = func(at string) {
		if seen[at] {
			return
		}
		seen[at] = true
		all = append(all, at)
		path, _, _ := strings.Cut(at, "?")
		kind := filepath.Ext(path)
		if !slices.Contains([]string{".m3u8", ".mpd", ".vtt"}, kind) {
			return
		}
		status, body := d.get(at)
		base, err := url.Parse(at)
		if status != http.StatusOK || err != nil {
			d.t.Fatalf("%s: %d %v %s", at, status, err, body)
		}
		var next []string
		switch kind {
		case ".mpd":
			segments, err := rig.Segments(at, []byte(body))
			if err != nil {
				d.t.Fatal(err)
			}
			next = segments
		case ".vtt":
			for _, m := range regexp.MustCompile(`(?m)^(\S+\.jpg\S*)#xywh`).FindAllStringSubmatch(body, -1) {
				next = append(next, m[1])
			}
		default:
			for line := range strings.Lines(body) {
				line = strings.TrimSpace(line)
				if m := reference.FindStringSubmatch(line); m != nil {
					line = m[1]
				} else if strings.HasPrefix(line, "#") || line == "" {
					continue
				}
				next = append(next, line)
			}
		}
		for _, one := range next {
			to, err := base.Parse(one)
			if err != nil {
				d.t.Fatal(err)
			}
			follow(to.String())
		}
	}
	follow(address)
	return all
}

// ring are the public halves of the key pairs, as the API tells them.
func (d *delivered) ring() *signing.KeyRing {
	d.t.Helper()
	var list struct {
		Items []struct{ ID, Public, Hash string }
	}
	if status := d.Call(http.MethodGet, "/v1/key-pairs", nil, &list); status != http.StatusOK {
		d.t.Fatal(status)
	}
	var pairs []signing.KeyPair
	for _, k := range list.Items {
		pair, err := signing.ImportPublic([]byte(k.Public), k.ID, time.Now().Add(-time.Hour))
		if err != nil {
			d.t.Fatal(err)
		}
		pairs = append(pairs, pair)
	}
	ring, err := signing.NewKeyRing(pairs...)
	if err != nil {
		d.t.Fatal(err)
	}
	return ring
}

// verified has a foreign eye on an address: whether its signature fits it, and by which policy.
func verified(t *testing.T, ring *signing.KeyRing, address string) (signing.Verified, error) {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	path, err := signing.Normalize(u.EscapedPath())
	if err != nil {
		t.Fatal(err)
	}
	c, rest, err := signing.FromQuery(u.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	return ring.Verify(c, &signing.Request{Scheme: u.Scheme, Host: u.Host, Path: path, Query: rest, Client: netip.MustParseAddr("127.0.0.1"), Now: time.Now()})
}

func TestEveryReferenceOfASignedManifestOpensByItsSignatureAlone(t *testing.T) {
	t.Parallel()
	d := deliver(t)
	for _, algorithm := range []string{"ecdsa-p256", "rsa-2048"} {
		if algorithm == "rsa-2048" {
			command(t, d.Server, "keys", "make", "--algorithm", algorithm, "--hash", "SHA1")
			for key := range d.keyPairs("ecdsa-p256") {
				command(t, d.Server, "keys", "retire", key, "--after", "0s")
			}
		}
		g := d.grant(map[string]any{"video": d.video})
		ring := d.ring()
		for name, address := range map[string]string{"HLS": g.HLS, "DASH": g.DASH, "with captions": d.top + "full.m3u8?" + g.Query, "a storyboard": d.top + "storyboard.vtt?" + g.Query} {
			all := d.referred(address)
			for _, one := range all {
				if said := d.said(one); said != "200" {
					t.Errorf("%s, %s: %s: %s", algorithm, name, one, said)
				}
				plain, query, _ := strings.Cut(one, "?")
				if said := d.said(plain); said != "403 signature_missing" {
					t.Errorf("%s, %s, without its signature: %s: %s", algorithm, name, plain, said)
				}
				if _, err := verified(t, ring, one); err != nil || query == "" {
					t.Errorf("%s, %s: the signature of %s: %v", algorithm, name, one, err)
				}
			}
			least := map[string]int{"HLS": 14, "DASH": 9, "with captions": 16, "a storyboard": 2}[name]
			if len(all) < least {
				t.Errorf("%s, %s leads to %d addresses: %q", algorithm, name, len(all), all)
			}
		}
		if rsaSigned := len(g.Query) > 600; rsaSigned != (algorithm == "rsa-2048") { // 344 characters of a signature, or 96
			t.Errorf("%s: a query of %d bytes", algorithm, len(g.Query))
		}
	}
}

// keyPairs are the ids of the key pairs of an algorithm that are not retired.
func (d *delivered) keyPairs(algorithm string) map[string]bool {
	d.t.Helper()
	var list struct {
		Items []struct{ ID, Algorithm, State string }
	}
	if status := d.Call(http.MethodGet, "/v1/key-pairs", nil, &list); status != http.StatusOK {
		d.t.Fatal(status)
	}
	all := map[string]bool{}
	for _, k := range list.Items {
		if k.Algorithm == algorithm && k.State != "retired" {
			all[k.ID] = true
		}
	}
	return all
}

// own makes a key pair whose private half the server doesn't have.
func (d *delivered) own(algorithm string) signing.KeyPair {
	d.t.Helper()
	file := filepath.Join(d.t.TempDir(), "own.pem")
	out := command(d.t, d.Server, "keys", "make", "--private", file, "--algorithm", algorithm)
	text, err := os.ReadFile(file)
	if err != nil {
		d.t.Fatal(err)
	}
	pair, err := signing.Import(text, strings.Fields(strings.Split(out, "\n")[1])[0], signing.SHA256, time.Now().Add(-time.Hour))
	if err != nil {
		d.t.Fatal(err)
	}
	return pair
}

// TestAManifestThatIsSignedUpToARungOpensNoOther has a backend sign one address, and the edge sign each rung that is left.
func TestAManifestThatIsSignedUpToARungOpensNoOther(t *testing.T) {
	t.Parallel()
	d := deliver(t)
	command(t, d.Server, "keys", "make", "--algorithm", "rsa-2048")
	backend := d.own("ecdsa-p256")
	ring := d.ring()
	folder := regexp.MustCompile(`/1/([^/?]+)/`)
	for _, name := range []string{"index.m3u8", "index.mpd"} {
		address := d.top + name + "?max_resolution=360"
		c, err := backend.Sign(signing.Policy{Resource: address, Expires: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]string{} // folder → query
		for _, one := range d.referred(c.SignedURL(address))[1:] {
			if said := d.said(one); said != "200" {
				t.Errorf("%s: %s: %s", name, one, said)
			}
			rung := folder.FindStringSubmatch(one)
			g, err := verified(t, ring, one)
			if err != nil || rung == nil || !strings.HasSuffix(g.Policy().Resource, "/1/"+rung[1]+"/*") || g.KeyPairID() == backend.ID {
				t.Fatalf("%s: %s: %v", name, one, err)
			}
			_, found[rung[1]], _ = strings.Cut(one, "?")
			if c, _, err := signing.FromQuery(found[rung[1]]); err != nil || len(c.Signature) != 344 { // base64 of 256 bytes: RSA's
				t.Errorf("%s: the edge's signature has %d characters: %v", name, len(c.Signature), err)
			}
		}
		if len(found) != 3 || found["480p"] != "" || found["360p"] == "" || found["240p"] == "" {
			t.Fatalf("%s: rungs %q", name, found)
		}
		for rung, query := range found {
			for _, other := range []string{"480p", "360p", "240p", "audio"} {
				want := "403 policy_wrong_resource"
				if other == rung {
					want = "200"
				}
				if said := d.said(d.top + other + "/00001.m4s?" + query); said != want {
					t.Errorf("%s: the signature for %s on %s: %s, want %s", name, rung, other, said, want)
				}
			}
			for _, file := range []string{name, "poster.jpg", "download.mp4"} {
				if said := d.said(d.top + file + "?" + query); said != "403 policy_wrong_resource" {
					t.Errorf("%s: the signature for %s on %s: %s", name, rung, file, said)
				}
			}
		}
		for _, wider := range []string{name + "?max_resolution=480", name, name + "?max_resolution=360&order=lowest"} {
			mark := map[bool]string{true: "&", false: "?"}[strings.Contains(wider, "?")]
			if said := d.said(d.top + wider + mark + string(c.AppendQuery(nil))); said != "403 policy_wrong_resource" {
				t.Errorf("the signature of %s on %s: %s", address, wider, said)
			}
		}
	}
}

// TestEachSortOfFileIsDeliveredInEachWay is the table of sorts and ways.
func TestEachSortOfFileIsDeliveredInEachWay(t *testing.T) {
	t.Parallel()
	d := deliver(t)
	other := d.Upload(rig.Clip(t, "other.mp4", "320x180", 2), "other.mp4")
	if w := d.Await(other, 2*time.Minute); w.Status != "ready" {
		t.Fatalf("%s", w.Raw)
	}
	manifest, cookies := d.grant(map[string]any{"video": d.video}), jarOf(d.grant(map[string]any{"video": d.video, "way": "cookies"}))
	elsewhere, foreign := d.grant(map[string]any{"video": other}), jarOf(d.grant(map[string]any{"video": other, "way": "cookies"}))
	for _, file := range []string{
		"index.m3u8", "index.mpd", "480p/index.m3u8", "480p/iframes.m3u8", "480p/init.mp4", "480p/00001.m4s", "audio/index.m3u8", "audio/00001.m4s", "poster.jpg", "poster-thumbnail.jpg",
		"captions/en.m3u8", "captions/00001.vtt", "storyboard.vtt", "story/00001.jpg", "download.mp4", "full.m3u8",
	} {
		plain := d.top + file
		canned := d.grant(map[string]any{"video": d.video, "way": "url", "path": file})
		custom := d.grant(map[string]any{"video": d.video, "way": "url", "path": file, "ip": "127.0.0.0/8"})
		single := jarOf(d.grant(map[string]any{"video": d.video, "way": "cookies", "path": file}))
		for name, c := range map[string]struct {
			want, address string
			header        []string
		}{
			"nothing":                   {"403 signature_missing", plain, nil},
			"cookies":                   {"200", plain, []string{cookies}},
			"cookies of one file":       {"200", plain, []string{single}},
			"a URL":                     {"200", canned.URL, nil},
			"a URL with conditions":     {"200", custom.URL, nil},
			"the manifest's signature":  {"200", plain + "?" + manifest.Query, nil},
			"a token":                   {"200", plain, []string{"Authorization: Bearer " + d.Token}},
			"another video's cookies":   {"403 policy_wrong_resource", plain, []string{foreign}},
			"another video's signature": {"403 policy_wrong_resource", plain + "?" + elsewhere.Query, nil},
			"a part, by a URL":          {"206", canned.URL, []string{"Range: bytes=0-1"}},
		} {
			want := c.want
			if kind := filepath.Ext(file); name == "a part, by a URL" && (kind == ".m3u8" || kind == ".mpd") {
				want = "200" // what is signed for one request has no parts
			}
			if said := d.said(c.address, c.header...); said != want {
				t.Errorf("%s by %s: %s, want %s", file, name, said, want)
			}
		}
	}
}

func TestConditionsOfGrantsHoldAtTheEdge(t *testing.T) {
	t.Parallel()
	d := deliver(t)
	segment := d.top + "480p/00001.m4s"
	for name, c := range map[string]struct {
		ip, forwarded, want string
	}{
		"from the network":                     {"203.0.113.0/24", "203.0.113.9", "200"},
		"from another":                         {"203.0.113.0/24", "198.51.100.9", "403 policy_wrong_ip"},
		"who writes the network to the left":   {"203.0.113.0/24", "203.0.113.9, 198.51.100.9", "403 policy_wrong_ip"},
		"two proxies, the last one ours":       {"203.0.113.0/24", "198.51.100.9, 203.0.113.9, 127.0.0.1", "200"},
		"a chain of ours before a stranger":    {"203.0.113.0/24", "203.0.113.9, 127.0.0.1, 198.51.100.9, 127.0.0.1", "403 policy_wrong_ip"},
		"nonsense at the right end":            {"203.0.113.0/24", "203.0.113.9, unknown", "403 policy_wrong_ip"},
		"a port":                               {"203.0.113.0/24", "203.0.113.9:80", "403 policy_wrong_ip"},
		"nobody forwarded":                     {"203.0.113.0/24", "", "403 policy_wrong_ip"},
		"IPv6":                                 {"2001:db8::/32", "2001:db8::7", "200"},
		"IPv6 from another":                    {"2001:db8::/32", "2001:db9::7", "403 policy_wrong_ip"},
		"IPv4 in IPv6":                         {"203.0.113.9", "::ffff:203.0.113.9", "200"},
		"this machine without a proxy's words": {"127.0.0.1", "", "200"},
	} {
		g := d.grant(map[string]any{"video": d.video, "ip": c.ip})
		var header []string
		if c.forwarded != "" {
			header = []string{"X-Forwarded-For: " + c.forwarded}
		}
		if said := d.said(segment+"?"+g.Query, header...); said != c.want {
			t.Errorf("%s: %s, want %s", name, said, c.want)
		}
		if said := d.said(segment+"?"+g.Query, append(header, "X-Real-IP: 203.0.113.9", "Forwarded: for=203.0.113.9", "True-Client-IP: 203.0.113.9")...); said != c.want {
			t.Errorf("%s, who says it in other headers: %s, want %s", name, said, c.want)
		}
	}
	if g := d.grant(map[string]any{"video": d.video, "ip": "203.0.113.0/24"}); d.said(segment+"?"+g.Query, "X-Forwarded-For: 198.51.100.9", "X-Forwarded-For: 203.0.113.9") != "200" {
		t.Error("two lines of X-Forwarded-For are one list (RFC 9110 §5.3): its right end counts")
	}

	begins := time.Now().Add(4 * time.Second).Truncate(time.Second)
	for _, way := range []string{"manifest", "cookies"} {
		g := d.grant(map[string]any{"video": d.video, "way": way, "not_before": begins.Format(time.RFC3339)})
		ask := func() string {
			if way == "cookies" {
				return d.said(segment, jarOf(g))
			}
			return d.said(segment + "?" + g.Query)
		}
		if said := ask(); time.Now().Before(begins) && said != "403 policy_not_yet_valid" {
			t.Errorf("%s, too early: %s", way, said)
		}
		for end := time.Now().Add(time.Minute); ask() != "200"; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: it does not begin: %s", way, ask())
			}
		}
		if time.Now().Before(begins.Add(-time.Second)) {
			t.Errorf("%s: it begins early", way)
		}
	}
}

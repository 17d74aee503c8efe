package delivery

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/signing"
	"sluice/internal/video"
)

const (
	otherID     = video.ID("01jq3v8k2m4n5p6r7s8t9v0w1y")
	otherFolder = "b-" + string(otherID)
	playbackID  = video.PlaybackID("p-01jq3v8k2m4n5p6r7s8t9v0w20")
)

// threeRungs is a multivariant playlist of three rungs with sound.
const threeRungs = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="audio",NAME="en",DEFAULT=YES,AUTOSELECT=YES,URI="audio-1/index.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=7091996,AVERAGE-BANDWIDTH=5607660,CODECS="avc1.640028,mp4a.40.2",RESOLUTION=1920x1080,AUDIO="audio"
1080p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=3941996,AVERAGE-BANDWIDTH=3116962,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,AUDIO="audio"
720p/index.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=1241996,AVERAGE-BANDWIDTH=982078,CODECS="avc1.4d401e,mp4a.40.2",RESOLUTION=640x360,AUDIO="audio"
360p/index.m3u8
`

const media = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"init.mp4\"\n#EXTINF:4,\n00001.m4s\n#EXT-X-ENDLIST\n"

// guarded is a stage whose videos need a proof, and what proofs are made of.
type guarded struct {
	*stage
	user, internal signing.KeyPair
	now            time.Time
	ahead          atomic.Int64 // seconds that the edge's clock is ahead of now
}

func newGuarded(t *testing.T, policy video.Policy, changes ...func(*Config)) *guarded {
	t.Helper()
	g := &guarded{now: time.Now().Truncate(time.Second)}
	for _, k := range []*signing.KeyPair{&g.user, &g.internal} {
		var err error
		if *k, err = signing.Make(signing.ECDSAP256, signing.SHA256, g.now.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
	clock := func(c *Config) {
		c.Now = func() time.Time { return g.now.Add(time.Duration(g.ahead.Load()) * time.Second) }
	}
	g.stage = newStage(t, "local", append([]func(*Config){clock}, changes...)...)
	g.users, g.stage.internal = []signing.KeyPair{g.user}, []signing.KeyPair{g.internal}
	g.set(folder, func(p *video.Playback) { p.Policy, p.Workspace = policy, "main" })
	g.playbacks[otherFolder] = video.Playback{Video: otherID, Prefix: "streams/" + otherFolder, Policy: policy, Ready: true, Workspace: "other"}
	g.playbacks[string(playbackID)] = video.Playback{ID: playbackID, Video: id, Prefix: "streams/" + folder, Policy: policy, Ready: true, Workspace: "main"}
	g.published[generation{otherFolder, 2}], g.published[generation{string(playbackID), 2}] = true, true
	files := map[string]string{otherFolder + "/2/1080p/00001.m4s": "other", otherFolder + "/2/index.m3u8": threeRungs, folder + "/2/poster.jpg": "picture"}
	for _, rung := range []string{"360p", "720p", "audio-1"} {
		files[folder+"/2/"+rung+"/00001.m4s"] = rung
	}
	for _, rung := range []string{"360p", "720p", "1080p", "audio-1"} {
		files[folder+"/2/"+rung+"/index.m3u8"] = media
	}
	files[folder+"/2/index.m3u8"] = threeRungs
	for key, body := range files {
		if _, err := g.store.Put(t.Context(), "media", "streams/"+key, strings.NewReader(body), int64(len(body)), ""); err != nil {
			t.Fatal(err)
		}
	}
	return g
}

func (g *guarded) set(folder string, change func(*video.Playback)) {
	g.catalog.mu.Lock()
	defer g.catalog.mu.Unlock()
	p := g.playbacks[folder]
	change(&p)
	g.playbacks[folder] = p
}

// at is the path of a file of a folder's generation 2.
func at(folder, file string) string { return URL("", "streams/"+folder+"/2/"+file) }

// sign is the query of a signature for a pattern of paths, for an hour.
func (g *guarded) sign(t *testing.T, k signing.KeyPair, resource string, changes ...func(*signing.Policy)) signing.Credential {
	t.Helper()
	p := signing.Policy{Resource: resource, Expires: g.now.Add(time.Hour)}
	if strings.HasPrefix(resource, "/") {
		p.Resource = g.server.URL + resource
	}
	for _, change := range changes {
		change(&p)
	}
	c, err := k.Sign(p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func query(c signing.Credential) string { return "?" + string(c.AppendQuery(nil)) }

func cookies(c signing.Credential) string {
	var all []string
	for _, one := range c.Cookies() {
		all = append(all, one.Name+"="+one.Value)
	}
	return strings.Join(all, "; ")
}

// answered is what came back.
type answered struct {
	status int
	code   string // of a problem
	header http.Header
	body   string
}

func (a answered) String() string { return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, a.code)) }

// ask sends a path as it is, with headers as lines.
func (g *guarded) ask(t *testing.T, path string, lines ...string) answered {
	t.Helper()
	return g.send(t, "GET "+path+" HTTP/1.1\r\n", lines...)
}

func (g *guarded) send(t *testing.T, first string, lines ...string) answered {
	t.Helper()
	conn, err := net.Dial("tcp", g.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	all := first + strings.Join(append(slices.Clone(lines), "Connection: close", "", ""), "\r\n")
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Host:") }) {
		all = strings.Replace(all, "\r\n", "\r\nHost: "+g.server.Listener.Addr().String()+"\r\n", 1)
	}
	if _, err := io.WriteString(conn, all); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(first, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", first, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answered{status: resp.StatusCode, header: resp.Header, body: string(body)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "application/problem+json") && method != http.MethodHead {
		var p fault.Problem
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatal(err)
		}
		a.code = p.Code
	}
	return a
}

func TestEachPolicyOpensToItsProofsAlone(t *testing.T) {
	t.Parallel()
	for policy, want := range map[video.Policy]map[string]string{
		video.Public: {"nothing": "200", "a signature": "200", "a grant of the server": "200", "somebody who may": "200", "somebody who may not": "200", "bad token": "200"},
		video.Signed: {"nothing": "403 signature_missing", "a signature": "200", "a grant of the server": "200", "somebody who may": "200",
			"somebody who may not": "404 not_found", "bad token": "401 unauthorized"},
		video.Members: {"nothing": "403 signature_missing", "a signature": "403 members_only", "a grant of the server": "200", "somebody who may": "200",
			"somebody who may not": "404 not_found", "bad token": "401 unauthorized"},
	} {
		g := newGuarded(t, policy)
		file := at(folder, "1080p/00001.m4s")
		signed, granted := g.sign(t, g.user, "/stream/*"), g.sign(t, g.internal, "/stream/*")
		for name, lines := range map[string][]string{
			"nothing": {file}, "a signature": {file, "Cookie: " + cookies(signed)}, "a grant of the server": {file, "Cookie: a=b; " + cookies(granted)},
			"somebody who may": {file, "Authorization: Bearer main"}, "somebody who may not": {file, "Authorization: Bearer nowhere"}, "bad token": {file, "Authorization: Bearer bad"},
		} {
			got := g.ask(t, lines[0], lines[1:]...)
			if got.String() != want[name] || got.status == 200 && got.body != string(content) || got.status != 200 && got.header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %s, want %s", policy, name, got, want[name])
			}
			if policy != video.Public && got.status == 200 && !strings.HasPrefix(got.header.Get("Cache-Control"), "private, max-age=") {
				t.Errorf("%s, %s: %s", policy, name, got.header.Get("Cache-Control"))
			}
		}
		if got := g.ask(t, file+query(granted)); got.status != 200 {
			t.Errorf("%s: a grant in the address: %s", policy, got)
		}
	}
}

func TestNobodyLearnsWhatThereIs(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	known, unknown := at(folder, "1080p/00001.m4s"), at("a-01jq3v8k2m4n5p6r7s8t9v0w99", "1080p/00001.m4s")
	elsewhere := query(g.sign(t, g.user, "/stream/x/*"))
	for _, tail := range []string{"", elsewhere, "?Policy=x", "?Policy=x&Signature=y&Key-Pair-Id=Z"} {
		a, b := g.ask(t, known+tail), g.ask(t, unknown+tail)
		a.header.Del("Date")
		b.header.Del("Date")
		if a.status != 403 || a.status != b.status || a.body != b.body || fmt.Sprint(a.header) != fmt.Sprint(b.header) {
			t.Errorf("%q: %s %v and %s %v", tail, a, a.header, b, b.header)
		}
	}
	if got := g.ask(t, unknown+query(g.sign(t, g.user, "/stream/*"))); got.status != 404 {
		t.Errorf("one who could see it: %s", got)
	}
	if got := g.ask(t, strings.Replace(known, "/2/", "/3/", 1)); got.status != 403 {
		t.Errorf("another generation: %s", got)
	}
}

func TestASignatureOpensWhatItIsForAlone(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	whole := "/stream/" + strings.Split(at(folder, "x"), "/")[2]
	for name, c := range map[string]struct {
		resource, path, want string
	}{
		"the video":                       {whole + "/*", whole + "/2/1080p/00001.m4s", "200"},
		"one rung":                        {whole + "/2/720p/*", whole + "/2/720p/00001.m4s", "200"},
		"another rung":                    {whole + "/2/720p/*", whole + "/2/1080p/00001.m4s", "403 policy_wrong_resource"},
		"another video":                   {whole + "/*", at(otherFolder, "1080p/00001.m4s"), "403 policy_wrong_resource"},
		"a playback of the same video":    {whole + "/*", at(string(playbackID), "1080p/00001.m4s"), "403 policy_wrong_resource"},
		"dots to another":                 {whole + "/*", whole + "/../" + otherFolder + "/2/1080p/00001.m4s", "404 not_found"},
		"encoded dots":                    {whole + "/*", whole + "/%2e%2e/" + otherFolder + "/2/1080p/00001.m4s", "404 not_found"},
		"half encoded dots":               {whole + "/*", whole + "/.%2E/" + otherFolder + "/2/1080p/00001.m4s", "404 not_found"},
		"encoded slashes":                 {whole + "/*", whole + "/2%2f1080p%2f00001.m4s", "404 not_found"},
		"two slashes":                     {whole + "/*", whole + "//2/1080p/00001.m4s", "404 not_found"},
		"parameters of the path":          {whole + "/*", whole + ";x/2/1080p/00001.m4s", "404 not_found"},
		"a backslash":                     {whole + "/*", whole + `/2\1080p\00001.m4s`, "404 not_found"},
		"twice encoded dots":              {whole + "/*", whole + "/%252e%252e/" + otherFolder + "/2/1080p/00001.m4s", "404 not_found"},
		"escapes of plain characters":     {whole + "/2/1080p/*", whole + "/2/%31080p/00001.m4s", "200"},
		"another host":                    {"https://other.example" + whole + "/*", whole + "/2/1080p/00001.m4s", "403 policy_wrong_resource"},
		"another scheme":                  {"https://*" + whole + "/*", whole + "/2/1080p/00001.m4s", "403 policy_wrong_resource"},
		"a folder that begins like it":    {whole + "/2/1080*", whole + "/2/1080p/00001.m4s", "200"},
		"a prefix without its slash":      {"/stream/b*", at(otherFolder, "1080p/00001.m4s"), "200"},
		"a name that only begins like it": {whole[:len(whole)-1] + "/*", whole + "/2/1080p/00001.m4s", "403 policy_wrong_resource"},
		"an absolute target":              {whole + "/*", "http://evil.example" + whole + "/2/1080p/00001.m4s", "200"},
	} {
		signed := g.sign(t, g.user, c.resource)
		for way, got := range map[string]answered{"cookies": g.ask(t, c.path, "Cookie: "+cookies(signed)), "the address": g.ask(t, c.path+query(signed))} {
			if got.String() != c.want || got.status == 200 && strings.Contains(got.body, secret) {
				t.Errorf("%s, by %s: %s, want %s", name, way, got, c.want)
			}
		}
	}
}

func TestASignatureIsJudgedOnceAndAsItCame(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	file := at(folder, "1080p/00001.m4s")
	good, bad := g.sign(t, g.user, "/stream/*"), g.sign(t, g.user, "/nothing/*")
	canned, err := g.user.SignCanned(g.server.URL+file, g.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	withQuery, err := g.user.SignCanned(g.server.URL+file+"?x=1", g.now.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		want  string
		lines []string
	}{
		"two cookies of one name":             {"403 signature_duplicate", []string{file, "Cookie: " + cookies(good) + "; CloudFront-Policy=" + bad.Policy}},
		"two cookies in two headers":          {"403 signature_duplicate", []string{file, "Cookie: " + cookies(good), "Cookie: " + cookies(good)}},
		"a parameter twice":                   {"403 signature_duplicate", []string{file + query(good) + "&Policy=" + good.Policy}},
		"an escaped parameter":                {"403 signature_malformed", []string{file + query(good) + "&%50olicy=x"}},
		"a part of the cookies":               {"403 signature_incomplete", []string{file, "Cookie: CloudFront-Policy=" + good.Policy}},
		"a good cookie and a bad address":     {"403 policy_wrong_resource", []string{file + query(bad), "Cookie: " + cookies(good)}},
		"a bad cookie and a good address":     {"200", []string{file + query(good), "Cookie: " + cookies(bad)}},
		"a bad cookie and a session":          {"200", []string{file, "Cookie: session=main; " + cookies(bad)}},
		"a bad cookie and a bad session":      {"404 not_found", []string{file, "Cookie: session=nowhere; " + cookies(bad)}},
		"a good cookie and a bad token":       {"401 unauthorized", []string{file, "Authorization: Bearer bad", "Cookie: " + cookies(good)}},
		"a canned address":                    {"200", []string{file + query(canned)}},
		"a canned address with more":          {"403", []string{file + "?x=1&" + query(canned)[1:]}},
		"a canned address of a query":         {"200", []string{file + "?x=1&" + query(withQuery)[1:]}},
		"its query changed":                   {"403", []string{file + "?x=2&" + query(withQuery)[1:]}},
		"a canned signature of another":       {"403", []string{at(folder, "720p/00001.m4s") + query(canned)}},
		"a policy that another one signed":    {"403 signature_invalid", []string{file + strings.Replace(query(good), good.Signature, bad.Signature, 1)}},
		"one that asks in another host":       {"200", []string{file + query(good), "Host: evil.example"}},
		"one that asks in the alias":          {"403 policy_wrong_resource", []string{file + query(good), "Host: alias.example"}},
		"the alias's own":                     {"200", []string{file + query(g.sign(t, g.user, "https://alias.example/stream/*")), "Host: ALIAS.example:443"}},
		"the alias's own elsewhere":           {"403 policy_wrong_resource", []string{file + query(g.sign(t, g.user, "https://alias.example/stream/*"))}},
		"X-Forwarded-Host":                    {"403 policy_wrong_resource", []string{file + query(g.sign(t, g.user, "https://alias.example/stream/*")), "X-Forwarded-Host: alias.example"}},
		"X-Original-URL":                      {"403", []string{at(otherFolder, "1080p/00001.m4s") + query(canned), "X-Original-URL: " + file, "X-Rewrite-URL: " + file}},
		"a secret header without the setting": {"403 signature_missing", []string{file, "X-Origin-Secret: "}},
	} {
		if got := g.ask(t, c.lines[0], c.lines[1:]...); got.String() != c.want && (len(c.want) > 3 || fmt.Sprint(got.status) != c.want) {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
	}
	if log := g.logged(); log != "" {
		t.Errorf("refusals fill the log: %s", log)
	}
}

func TestASignatureBeginsAndEndsToTheSecond(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	file := at(folder, "1080p/00001.m4s")
	signed := query(g.sign(t, g.user, "/stream/*", func(p *signing.Policy) { p.NotBefore, p.Expires = g.now.Add(10*time.Second), g.now.Add(20*time.Second) }))
	for ahead, want := range map[int64]string{9: "403 policy_not_yet_valid", 10: "403 policy_not_yet_valid", 11: "200", 19: "200", 20: "403 policy_expired", 21: "403 policy_expired"} {
		g.ahead.Store(ahead)
		got := g.ask(t, file+signed)
		if got.String() != want {
			t.Errorf("after %d s: %s, want %s", ahead, got, want)
		}
		if keep := fmt.Sprintf("private, max-age=%d, immutable", 20-ahead); got.status == 200 && got.header.Get("Cache-Control") != keep {
			t.Errorf("after %d s: Cache-Control %q, want %q", ahead, got.header.Get("Cache-Control"), keep)
		}
	}
}

func TestAKeyPairThatIsRetiredOrUnknownOpensNothing(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, video.Signed)
	file := at(folder, "1080p/00001.m4s")
	late, err := signing.Make(signing.RSA2048, signing.SHA1, g.now)
	if err != nil {
		t.Fatal(err)
	}
	old, lateOne := query(g.sign(t, g.user, "/stream/*")), query(g.sign(t, late, "/stream/*"))
	for range 20 {
		if got := g.ask(t, file+lateOne); got.String() != "403 key_unknown" {
			t.Fatalf("an unknown key pair: %s", got)
		}
	}
	if g.asks > 2 {
		t.Errorf("unknown keys made the edge ask %d times", g.asks)
	}
	if got := g.ask(t, file+old); got.status != 200 {
		t.Fatal(got)
	}
	retired, err := g.user.Retiring(g.now, g.now)
	if err != nil {
		t.Fatal(err)
	}
	g.catalog.mu.Lock()
	g.users = []signing.KeyPair{retired, late}
	g.catalog.mu.Unlock()
	g.ahead.Store(4)
	if got := g.ask(t, file+lateOne); got.status != 200 {
		t.Errorf("a key pair that was made a moment ago: %s", got)
	}
	if got := g.ask(t, file+old); got.String() != "403 key_retired" {
		t.Errorf("a retired one: %s", got)
	}
	g.catalog.mu.Lock()
	g.users = []signing.KeyPair{late}
	g.catalog.mu.Unlock()
	g.ahead.Store(25)
	if got := g.ask(t, file+old); got.String() != "403 key_unknown" {
		t.Errorf("a removed one: %s", got)
	}
}

func TestAnAddressOfClientsBinds(t *testing.T) {
	t.Parallel()
	only := func(network string) func(*signing.Policy) {
		return func(p *signing.Policy) { p.Client = netip.MustParsePrefix(network) }
	}
	file := at(folder, "1080p/00001.m4s")
	plain := newGuarded(t, video.Signed)
	behind := newGuarded(t, video.Signed, func(c *Config) {
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")}
	})
	for name, c := range map[string]struct {
		g       *guarded
		network string
		want    int
		lines   []string
	}{
		"its own":                             {plain, "127.0.0.1/32", 200, nil},
		"another":                             {plain, "192.0.2.0/24", 403, nil},
		"one that it only claims":             {plain, "192.0.2.0/24", 403, []string{"X-Forwarded-For: 192.0.2.7"}},
		"a proxy's client":                    {behind, "192.0.2.0/24", 200, []string{"X-Forwarded-For: 192.0.2.7"}},
		"one that a proxy's client claims":    {behind, "192.0.2.0/24", 403, []string{"X-Forwarded-For: 192.0.2.7, 203.0.113.9"}},
		"the same in two headers":             {behind, "192.0.2.0/24", 403, []string{"X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 203.0.113.9"}},
		"two proxies":                         {behind, "192.0.2.0/24", 200, []string{"X-Forwarded-For: 192.0.2.7, 10.1.1.1"}},
		"a proxy that is not heard":           {behind, "192.0.2.0/24", 403, []string{"X-Forwarded-For: 192.0.2.7, nonsense"}},
		"a proxy that says nothing":           {behind, "192.0.2.0/24", 403, nil},
		"a proxy's client with IPv6":          {behind, "2001:db8::/32", 200, []string{"X-Forwarded-For: 2001:db8::1"}},
		"a proxy's client, IPv4 said as IPv6": {behind, "192.0.2.0/24", 200, []string{"X-Forwarded-For: ::ffff:192.0.2.7"}},
	} {
		if got := c.g.ask(t, file+query(c.g.sign(t, c.g.user, "/stream/*", only(c.network))), c.lines...); got.status != c.want {
			t.Errorf("%s: %s, want %d", name, got, c.want)
		}
	}
}

func TestWhoAsksIsRememberedForAMoment(t *testing.T) {
	t.Parallel()
	var looked atomic.Int64
	var out atomic.Bool
	g := newGuarded(t, video.Members, func(c *Config) {
		c.Viewer = func(r *http.Request) (account.Principal, bool, error) {
			looked.Add(1)
			if out.Load() {
				return account.Principal{}, false, nil
			}
			return viewer(r)
		}
	})
	file := at(folder, "1080p/00001.m4s")
	for range 5 {
		if got := g.ask(t, file, "Authorization: Bearer main"); got.status != 200 {
			t.Fatal(got)
		}
	}
	for name, lines := range map[string][]string{"another": {"Authorization: Bearer nowhere"}, "nobody": nil, "the same in a cookie": {"Cookie: Bearer main"}, "two": {"Authorization: Bearer main", "Cookie: x"}} {
		before := looked.Load()
		if got := g.ask(t, file, lines...); looked.Load() == before || got.status == 200 && name != "two" {
			t.Errorf("%s: %s", name, got)
		}
	}
	if n := looked.Load(); n != 5 {
		t.Errorf("looked %d times", n)
	}
	out.Store(true)
	g.ahead.Store(2)
	if got := g.ask(t, file, "Authorization: Bearer main"); got.String() != "403 signature_missing" {
		t.Errorf("two seconds after signing out: %s", got)
	}
}

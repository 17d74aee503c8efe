package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/internal/signing"
	"sluice/test/rig"
)

// command runs the program against a server.
func command(t *testing.T, s *rig.Server, args ...string) string {
	t.Helper()
	run := exec.Command(rig.Binary(t, ""), append(args, "--data", s.Data)...)
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("sluice %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// example is a block of code of docs/PLAYBACK.md.
func example(t *testing.T, language string) []byte {
	t.Helper()
	text := string(read(t, filepath.Join(rig.Root(t), "docs", "PLAYBACK.md")))
	_, rest, found := strings.Cut(text, "```"+language+"\n")
	code, _, ended := strings.Cut(rest, "\n```\n")
	if !found || !ended {
		t.Fatalf("docs/PLAYBACK.md has no block of %s", language)
	}
	return []byte(code + "\n")
}

// printed runs an example and returns the addresses and cookies that it prints.
func printed(t *testing.T, dir, file string, code []byte, program ...string) (addresses []string, jar string) {
	t.Helper()
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file) })
	run := exec.Command(program[0], program[1:]...)
	run.Dir = dir
	out, err := run.Output()
	if err != nil {
		t.Fatalf("%q: %v", program, err)
	}
	var pairs []string
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if pair, _, ok := strings.Cut(line, "; "); ok {
			pairs = append(pairs, pair)
		} else {
			addresses = append(addresses, line)
		}
	}
	return addresses, strings.Join(pairs, "; ")
}

// TestTheExamplesForBackendsSignWithAKeyPairOfSluice runs the programs of docs/PLAYBACK.md as they stand there, with a key pair that `sluice keys make` made.
func TestTheExamplesForBackendsSignWithAKeyPairOfSluice(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	browser := filepath.Join(rig.Root(t), "test", "browser")
	for _, algorithm := range []string{"ecdsa-p256", "rsa-2048"} {
		private := filepath.Join(t.TempDir(), "backend.pem")
		out := command(t, s, "keys", "make", "--private", private, "--algorithm", algorithm)
		lines := strings.Split(out, "\n")
		id, _, _ := strings.Cut(lines[1], " ")
		if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 || !strings.Contains(lines[1], "elsewhere") {
			t.Fatalf("%v %v\n%s", info, err, out)
		}
		var list struct {
			Items []struct{ ID, Public string }
		}
		if status := s.Call(http.MethodGet, "/v1/key-pairs", nil, &list); status != http.StatusOK {
			t.Fatal(status)
		}
		var pair signing.KeyPair
		for _, k := range list.Items {
			if k.ID == id {
				var err error
				if pair, err = signing.ImportPublic([]byte(k.Public), id, time.Now()); err != nil {
					t.Fatal(err)
				}
			}
		}
		ring, err := signing.NewKeyRing(pair)
		if err != nil {
			t.Fatal(err)
		}
		address := s.URL + "/stream/a-01jq3v8k2m4n5p6r7s8t9v0w1x/1/index.m3u8"
		code := filepath.Join(t.TempDir(), "sign.go")
		goes, _ := printed(t, rig.Root(t), code, example(t, "go"), "go", "run", code, id, private, address)
		holds(t, ring, address, goes[0], goes[1], "")
		if _, err := os.Stat(filepath.Join(browser, "node_modules", "@aws-sdk", "cloudfront-signer")); err != nil {
			t.Fatal("@aws-sdk/cloudfront-signer is missing: run npm ci in test/browser, or make test")
		}
		code = filepath.Join(browser, "example-"+algorithm+".mjs") // where the signer is found
		nodes, jar := printed(t, browser, code, example(t, "js"), "node", code, id, private, address)
		holds(t, ring, address, nodes[0], nodes[1], jar)
	}
}

// holds checks what one file's address, a manifest's address and cookies open.
func holds(t *testing.T, ring *signing.KeyRing, address, one, all, jar string) {
	t.Helper()
	segment := strings.Replace(address, "index.m3u8", "720p/00001.m4s", 1)
	query := func(signed string) string { _, q, _ := strings.Cut(signed, "?"); return q }
	for _, c := range []struct {
		address, query, cookies string
		opens                   bool
	}{
		{address, query(one), "", true}, {segment, query(one), "", false},
		{address, query(all), "", true}, {segment, query(all), "", true}, {strings.Replace(segment, "/1/", "/2/", 1), query(all), "", false},
		{segment, "", jar, jar != ""},
	} {
		u, err := url.Parse(c.address)
		if err != nil {
			t.Fatal(err)
		}
		path, err := signing.Normalize(u.EscapedPath())
		if err != nil {
			t.Fatal(err)
		}
		credential, rest, err := signing.FromQuery(c.query)
		if err == nil && c.cookies != "" {
			credential, err = signing.FromCookies([]string{c.cookies})
		}
		if err == nil {
			_, err = ring.Verify(credential, &signing.Request{Scheme: u.Scheme, Host: u.Host, Path: path, Query: rest, Client: netip.MustParseAddr("127.0.0.1"), Now: time.Now()})
		}
		if (err == nil) != c.opens {
			t.Errorf("%s with %q and %q: %v", c.address, c.query, c.cookies, err)
		}
	}
}

func TestKeyPairsAreRotatedByCommand(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	out := command(t, s, "keys", "make", "--algorithm", "rsa-2048", "--hash", "SHA1")
	old := strings.Fields(strings.Split(out, "\n")[1])[0]
	out = command(t, s, "keys", "make", "--replaces", old, "--after", "1h")
	fresh := strings.Fields(strings.Split(out, "\n")[1])[0]
	if public := command(t, s, "keys", "list", "--public", fresh); !strings.HasPrefix(public, "-----BEGIN PUBLIC KEY-----") {
		t.Errorf("its public key: %s", public)
	}
	command(t, s, "keys", "retire", fresh, "--after", "0s")
	if list := command(t, s, "keys", "list", "--json"); strings.Count(list, `"state":"retired"`) != 1 || strings.Contains(list, "PRIVATE") {
		t.Errorf("%s", list)
	}
	command(t, s, "keys", "remove", fresh)
	if list := command(t, s, "keys", "list"); strings.Contains(list, fresh) || !strings.Contains(list, old) {
		t.Errorf("%s", list)
	}
	if strings.Contains(s.Log(), "PRIVATE") || strings.Count(s.Log(), "key_pair="+fresh) != 3 {
		t.Errorf("the log: %s", s.Log())
	}
}

func TestAPrivateKeyIsSealedInTheDatabaseAndItsBackup(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{})
	command(t, s, "keys", "make")
	seal, err := os.ReadFile(filepath.Join(s.Data, "seal.key"))
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "backups")
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, s, "backup", to, "--no-secrets")
	found := 0
	err = filepath.Walk(to, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		body, err := os.ReadFile(path)
		if strings.Contains(string(body), "PRIVATE KEY") {
			t.Errorf("%s holds a private key", path)
		}
		if strings.Contains(string(body), strings.TrimSpace(string(seal))) {
			found++
		}
		return err
	})
	if err != nil || found != 0 {
		t.Errorf("%v; the secret that seals is in %d files of a backup without secrets", err, found)
	}
	if log := fmt.Sprint(s.Log()); strings.Contains(log, strings.TrimSpace(string(seal))) {
		t.Error("it is in the log")
	}
}

// given is the answer of POST /v1/keys.
type given struct {
	HLS, DASH, Poster, Thumbnail, URL, Query, Policy, Way string
	Cookies                                               []struct{ Name, Value string }
}

// fetch asks the edge for an address, with headers, and returns the status.
func fetch(t *testing.T, address string, header ...string) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

// playsAll reports whether ffprobe reads all segments of a manifest, as a foreign player would.
func playsAll(t *testing.T, address string, header ...string) error {
	t.Helper()
	args := []string{"-v", "error", "-count_packets", "-select_streams", "v:0", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"}
	if len(header) > 0 {
		args = append(args, "-headers", strings.Join(header, "\r\n")+"\r\n")
	}
	out, err := exec.Command("ffprobe", append(args, address)...).CombinedOutput()
	if err == nil && !strings.Contains(string(out), "50") { // two seconds at 25 Hz
		err = fmt.Errorf("read %s", out)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

func TestEachWayOpensWhatItWasGivenFor(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	clip := rig.Clip(t, "clip.mp4", "640x360", 2)
	video, other := s.Upload(clip, "clip.mp4"), s.Upload(clip, "other.mp4")
	v, w := s.Await(video, 2*time.Minute), s.Await(other, 2*time.Minute)
	ask := func(body map[string]any) (g given) {
		t.Helper()
		if status := s.Call(http.MethodPost, "/v1/keys", body, &g); status != http.StatusOK {
			t.Fatalf("%v: %d", body, status)
		}
		return g
	}
	edit := func(id, policy string) {
		t.Helper()
		if status := s.Call(http.MethodPatch, "/v1/videos/"+id, map[string]any{"playback_policy": policy}, nil); status != http.StatusOK {
			t.Fatal(status)
		}
		time.Sleep(2500 * time.Millisecond) // what an edge may still believe
	}
	bearer := "Authorization: Bearer " + s.Token
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "360p/00001.m4s", 1)
	for _, policy := range []string{"signed", "members", "public"} {
		edit(video, policy)
		if got, want := fetch(t, segment), map[string]int{"public": 200}[policy]; got != want && want != 0 || want == 0 && got != 403 {
			t.Errorf("%s, with nothing: %d", policy, got)
		}
		if got := fetch(t, segment, bearer); got != 200 {
			t.Errorf("%s, with a token: %d", policy, got)
		}
		m := ask(map[string]any{"video": video})
		for _, address := range []string{m.HLS, m.DASH} {
			if err := playsAll(t, address); err != nil {
				t.Errorf("%s, by manifest: %v", policy, err)
			}
		}
		if got := fetch(t, m.Poster); got != 200 {
			t.Errorf("%s, poster: %d", policy, got)
		}
		c := ask(map[string]any{"video": video, "way": "cookies"})
		var jar []string
		for _, one := range c.Cookies {
			jar = append(jar, one.Name+"="+one.Value)
		}
		if err := playsAll(t, c.HLS, "Cookie: "+strings.Join(jar, "; ")); err != nil {
			t.Errorf("%s, by cookies: %v", policy, err)
		}
		if got := fetch(t, w.Playback.HLS, "Cookie: "+strings.Join(jar, "; ")); got != 403 {
			t.Errorf("%s, cookies on another video: %d", policy, got)
		}
		u := ask(map[string]any{"video": video, "way": "url", "path": "poster.jpg"})
		if got := fetch(t, u.URL); got != 200 {
			t.Errorf("%s, by url: %d", policy, got)
		}
		if policy == "public" {
			continue
		}
		if got := fetch(t, segment+"?"+m.Query); got != 200 {
			t.Errorf("%s, a segment with the manifest's signature: %d", policy, got)
		}
		for what, address := range map[string]string{"another file": segment + "?" + u.URL[strings.Index(u.URL, "?")+1:], "another video": w.Playback.HLS + "?" + m.Query} {
			if got := fetch(t, address); got != 403 {
				t.Errorf("%s, %s: %d", policy, what, got)
			}
		}
		all := ask(map[string]any{"all": true})
		for _, address := range []string{segment, w.Playback.HLS} {
			if got := fetch(t, address+"?"+all.Query); got != 200 {
				t.Errorf("%s, everything: %s: %d", policy, address, got)
			}
		}
	}
}

func TestACapAndARevocationHoldAtTheEdge(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "854x480", 2), "clip.mp4")
	s.Await(id, 2*time.Minute)
	var g given
	if status := s.Call(http.MethodPost, "/v1/keys", map[string]any{"video": id, "max_resolution": 360}, &g); status != http.StatusOK {
		t.Fatal(status)
	}
	if err := playsAll(t, g.HLS); err != nil {
		t.Error(err)
	}
	at := func(rung string) string {
		plain, query, _ := strings.Cut(g.HLS, "?")
		return strings.Replace(plain, "index.m3u8", rung+"/00001.m4s", 1) + "?" + query
	}
	if low, high := fetch(t, at("360p")), fetch(t, at("480p")); low != 200 || high != 403 {
		t.Errorf("under the cap %d, above %d", low, high)
	}
	_, listed := rig.Get(t, g.HLS)
	if strings.Contains(string(listed), "480p") || !strings.Contains(string(listed), "360p") {
		t.Errorf("listed:\n%s", listed)
	}
	var list struct {
		Items []struct{ ID string }
	}
	if status := s.Call(http.MethodGet, "/v1/videos/"+id+"/playbacks", nil, &list); status != http.StatusOK || len(list.Items) != 1 {
		t.Fatal(status, list)
	}
	if status := s.Call(http.MethodDelete, "/v1/videos/"+id+"/playbacks/"+list.Items[0].ID, nil, nil); status != http.StatusNoContent {
		t.Fatal(status)
	}
	for deadline := time.Now().Add(time.Minute); fetch(t, at("360p")) == 200; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a revoked playback id goes on")
		}
	}
	if status := s.Call(http.MethodPost, "/v1/keys", map[string]any{"video": id}, &g); status != http.StatusOK || playsAll(t, g.HLS) != nil {
		t.Error("the video itself does not play any more")
	}
}

func TestAKeyPairThatIsRetiredIsRefusedWithinAMinute(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Args: []string{"--playback", "signed"}})
	id := s.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	s.Await(id, 2*time.Minute)
	var g given
	if status := s.Call(http.MethodPost, "/v1/keys", map[string]any{"video": id}, &g); status != http.StatusOK || fetch(t, g.HLS) != 200 {
		t.Fatal(status)
	}
	pair := g.HLS[strings.Index(g.HLS, "Key-Pair-Id=")+len("Key-Pair-Id="):]
	pair, _, _ = strings.Cut(pair, "&")
	command(t, s, "keys", "retire", pair, "--after", "0s")
	began := time.Now()
	for fetch(t, g.HLS) == 200 {
		if time.Since(began) > 60*time.Second { // the product's promise
			t.Fatal("it opens for over a minute")
		}
		time.Sleep(200 * time.Millisecond)
	}
	if status := s.Call(http.MethodPost, "/v1/keys", map[string]any{"video": id}, &g); status != http.StatusOK || fetch(t, g.HLS) != 200 {
		t.Errorf("a new grant: %d", status)
	}
}

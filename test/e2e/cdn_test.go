package e2e

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/test/rig"
)

// cdn is an nginx that runs the file of docs/CDN.md before a server, with a witness between them.
type cdn struct {
	*rig.Server
	url, cache, log string

	mu    sync.Mutex
	asked []string // what reached the server for an object: address, and whether it came with the secret
}

// asks are the requests for objects whose address has a part.
func (c *cdn) asks(part string) (all []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.asked {
		if strings.Contains(a, part) {
			all = append(all, a)
		}
	}
	return all
}

// inDocs is the first block of code of a kind that docs/CDN.md has after some words.
func inDocs(t *testing.T, after, kind string) string {
	t.Helper()
	_, text, found := strings.Cut(string(read(t, filepath.Join(rig.Root(t), "docs", "CDN.md"))), after)
	_, text, begun := strings.Cut(text, "```"+kind+"\n")
	text, _, ended := strings.Cut(text, "\n```\n")
	if !found || !begun || !ended {
		t.Fatalf("docs/CDN.md has no %s after %q", kind, after)
	}
	return text
}

// startCDN starts the three of them. The file of the docs is changed in its addresses and folders alone.
func startCDN(t *testing.T) *cdn {
	t.Helper()
	text := inDocs(t, "\n## nginx\n", "nginx")
	secret := regexp.MustCompile(`X-Origin-Secret (\w+);`).FindStringSubmatch(text)
	if secret == nil {
		t.Fatal("docs/CDN.md has no file for nginx with a secret")
	}
	address := rig.Address(t)
	c := &cdn{url: "http://" + address}
	c.Server = rig.Start(t, rig.Options{Args: []string{"--playback", "signed", "--edge-url", c.url, "--trusted-proxies", "127.0.0.1", "--cdn-secret", secret[1], "--cors-origins", "https://friend.example"}})
	origin, err := url.Parse(c.URL)
	if err != nil {
		t.Fatal(err)
	}
	witness := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		if r.In.URL.Path != "/stream/verify" {
			vouched := " asked"
			if r.In.Header.Get("X-Origin-Secret") != "" {
				vouched = " vouched"
			}
			c.mu.Lock()
			c.asked = append(c.asked, r.In.URL.RequestURI()+vouched)
			c.mu.Unlock()
		}
		r.SetURL(origin)
		r.Out.Host = r.In.Host
		r.Out.Header["X-Forwarded-For"] = r.In.Header["X-Forwarded-For"]
	}})
	t.Cleanup(witness.Close)
	c.run(t, text, address, witness.Listener.Addr().String())
	return c
}

// run starts nginx by a file of the docs, before a server at upstream.
func (c *cdn) run(t *testing.T, text, address, upstream string) {
	t.Helper()
	dir := t.TempDir()
	c.cache, c.log = filepath.Join(dir, "cache"), filepath.Join(dir, "stream.log")
	for old, fresh := range map[string]string{
		"listen 443 ssl;": "listen " + address + ";", "127.0.0.1:8082": upstream, "/var/cache/nginx/sluice": c.cache, "/var/log/nginx/stream.log": c.log,
	} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("docs/CDN.md has %q %d times", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, fresh, 1)
	}
	text = regexp.MustCompile(`(?m)^ *ssl_.*\n`).ReplaceAllString(text, "")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		text = kind + "_temp_path " + filepath.Join(dir, kind) + ";\n" + text
	}
	text = "user root root; daemon off; worker_processes 1; error_log stderr warn; pid " + filepath.Join(dir, "pid") + ";\nevents {}\nhttp {\n" + text + "\n}\n"
	runNginx(t, filepath.Join(dir, "nginx.conf"), text, address)
}

// runNginx starts an nginx in the foreground and waits until it answers.
func runNginx(t *testing.T, file, text, address string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // outside of many a user's path
	}
	var said bytes.Buffer
	cmd := exec.Command(program, "-c", file, "-p", filepath.Dir(file))
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; scripts/install.sh test installs nginx", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-ended
		if t.Failed() {
			t.Logf("nginx said:\n%s", said.String())
		}
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get("http://" + address + "/")
		if err == nil {
			_ = resp.Body.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("nginx ended: %v\n%s", err, said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
}

// got is what nginx answered: "HIT 200", say, and the code of a problem.
func (c *cdn) got(t *testing.T, address string, header ...string) string {
	t.Helper()
	resp, body := c.ask(t, http.MethodGet, address, header...)
	said := strings.TrimSpace(resp.Header.Get("X-Cache") + " " + resp.Status[:3])
	if code := regexp.MustCompile(`"code":"(\w+)"`).FindSubmatch(body); code != nil {
		said += " " + string(code[1])
	}
	return said
}

func (c *cdn) ask(t *testing.T, method, address string, header ...string) (*http.Response, []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// give asks for a grant.
func (c *cdn) give(t *testing.T, body map[string]any) (g given) {
	t.Helper()
	if status := c.Call(http.MethodPost, "/v1/keys", body, &g); status != http.StatusOK {
		t.Fatalf("%v: %d", body, status)
	}
	return g
}

// until waits for an answer.
func (c *cdn) until(t *testing.T, want, address string, header ...string) {
	t.Helper()
	said := c.got(t, address, header...)
	for deadline := time.Now().Add(time.Minute); said != want; said = c.got(t, address, header...) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: %s, want %s", address, said, want)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func jarOf(g given) string {
	var all []string
	for _, one := range g.Cookies {
		all = append(all, one.Name+"="+one.Value)
	}
	return "Cookie: " + strings.Join(all, "; ")
}

func TestNginxKeepsStreamsAndServesThemToThoseWhoMay(t *testing.T) {
	t.Parallel()
	c := startCDN(t)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	video, other := c.Upload(clip, "A clip, 100%.mp4"), c.Upload(clip, "other.mp4")
	v, w := c.Await(video, 2*time.Minute), c.Await(other, 2*time.Minute)
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	if !strings.HasPrefix(segment, c.url+"/stream/") {
		t.Fatalf("not nginx's address: %s", segment)
	}
	one, two := c.give(t, map[string]any{"video": video}), c.give(t, map[string]any{"video": video, "expires_in": 600})
	jar := jarOf(c.give(t, map[string]any{"video": video, "way": "cookies"}))
	elsewhere := c.give(t, map[string]any{"video": video, "ip": "203.0.113.0/24"})
	if one.Query == two.Query {
		t.Fatal("two viewers have one signature")
	}
	bearer := "Authorization: Bearer " + c.Token
	for _, step := range []struct {
		who, want, address string
		header             []string
	}{
		{"nobody", "403 signature_missing", segment, nil},
		{"the first viewer", "MISS 200", segment + "?" + one.Query, nil},
		{"the second viewer", "HIT 200", segment + "?" + two.Query, nil},
		{"one with cookies", "HIT 200", segment, []string{jar}},
		{"one with a token", "HIT 200", segment, []string{bearer}},
		{"a part of it", "HIT 206", segment + "?" + two.Query, []string{"Range: bytes=0-9"}},
		{"nobody, now that it is kept", "403 signature_missing", segment, nil},
		{"one who says the secret's header", "403 signature_missing", segment, []string{"X-Origin-Secret: x"}},
		{"one who names what is asked", "403 signature_missing", segment, []string{"X-Original-URI: /stream/" + one.HLS[len(c.url+"/stream/"):]}},
		{"a viewer of another video", "403 policy_wrong_resource", segment + "?" + c.give(t, map[string]any{"video": other}).Query, nil},
		{"one of another network", "403 policy_wrong_ip", segment + "?" + elsewhere.Query, nil},
		{"one who says to be of it", "403 policy_wrong_ip", segment + "?" + elsewhere.Query, []string{"X-Forwarded-For: 203.0.113.9"}},
		{"one with a bad token", "401 unauthorized", segment, []string{"Authorization: Bearer x"}},
		{"a second spelling", "404 not_found", strings.Replace(segment, "180p/00001", "180p%2f00001", 1), []string{jar}},
		{"a query beside", "HIT 200", segment + "?x=1", []string{jar}},
		{"the question itself", "404 not_found", c.url + "/stream/verify?" + one.Query, []string{jar}},
		{"what there isn't", "MISS 404 not_found", strings.Replace(segment, "00001", "99999", 1), []string{jar}},
		{"a manifest, by cookies", "MISS 200", v.Playback.HLS, []string{jar}},
		{"the same, by a token", "HIT 200", v.Playback.HLS, []string{bearer}},
		{"a signed manifest", "BYPASS 200", one.HLS, nil},
		{"another's", "BYPASS 200", two.HLS, nil},
		{"a manifest, by nobody", "403 signature_missing", v.Playback.HLS, nil},
	} {
		if said := c.got(t, step.address, step.header...); said != step.want {
			t.Errorf("%s: %s, want %s", step.who, said, step.want)
		}
	}
	vouched := 0
	for _, a := range c.asks("180p/00001.m4s") {
		if strings.HasSuffix(a, " vouched") {
			vouched++
		}
	}
	if vouched != 1 {
		t.Errorf("the segment was fetched %d times: %q", vouched, c.asks("180p/00001.m4s"))
	}
	for _, g := range []given{one, two} {
		if err := playsAll(t, g.HLS); err != nil {
			t.Errorf("HLS: %v", err)
		}
		if err := playsAll(t, g.DASH); err != nil {
			t.Errorf("DASH: %v", err)
		}
	}
	if err := playsAll(t, v.Playback.HLS, jar); err != nil {
		t.Errorf("by cookies: %v", err)
	}
	if err := playsAll(t, w.Playback.HLS, jar); err == nil {
		t.Error("cookies for one video play another")
	}
	page, _ := c.ask(t, http.MethodOptions, segment, "Origin: https://friend.example", "Access-Control-Request-Method: GET", "Access-Control-Request-Headers: range")
	refused, _ := c.ask(t, http.MethodGet, segment, "Origin: https://friend.example")
	for _, resp := range []*http.Response{page, refused} {
		if resp.Header.Get("Access-Control-Allow-Origin") != "https://friend.example" || resp.StatusCode != map[string]int{"OPTIONS": 204, "GET": 403}[resp.Request.Method] {
			t.Errorf("%s of a page: %s %v", resp.Request.Method, resp.Status, resp.Header)
		}
	}
	c.holdsNo(t, one.Query, two.Query, jar[len("Cookie: "):], c.Token)
}

// holdsNo looks for credentials in all that nginx has written: in what it keeps, its keys, and its log.
func (c *cdn) holdsNo(t *testing.T, credentials ...string) {
	t.Helper()
	var secrets []string
	for _, all := range credentials {
		for one := range strings.FieldsFuncSeq(all, func(r rune) bool { return strings.ContainsRune("&=; ", r) }) {
			if len(one) > 60 || all == one {
				secrets = append(secrets, one)
			}
		}
	}
	files := 0
	err := filepath.WalkDir(filepath.Dir(c.log), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		body := read(t, path)
		for _, secret := range secrets {
			if bytes.Contains(body, []byte(secret)) {
				t.Errorf("%s holds a credential", path)
			}
		}
		return nil
	})
	if err != nil || files < 5 || len(secrets) < 6 || !strings.Contains(string(read(t, c.log)), "p/00001.m4s\" 200") {
		t.Errorf("%v: looked in %d files for %d secrets", err, files, len(secrets))
	}
}

func TestNginxServesWhatIsPublicWithoutTheOrigin(t *testing.T) {
	t.Parallel()
	c := startCDN(t)
	id := c.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := c.Await(id, 2*time.Minute)
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	policy := func(name string) {
		t.Helper()
		if status := c.Call(http.MethodPatch, "/v1/videos/"+id, map[string]string{"playback_policy": name}, nil); status != http.StatusOK {
			t.Fatal(status)
		}
	}
	policy("public")
	c.until(t, "MISS 200", segment)
	for _, address := range []string{segment, segment + "?whatever=1"} {
		if said := c.got(t, address); said != "HIT 200" {
			t.Errorf("%s: %s", address, said)
		}
	}
	if vouched := strings.Count(strings.Join(c.asks("180p/00001.m4s"), "\n"), " vouched"); vouched != 1 {
		t.Errorf("the segment was fetched %d times", vouched)
	}
	for _, address := range []string{v.Playback.HLS, v.Playback.DASH} {
		if err := playsAll(t, address); err != nil {
			t.Error(err)
		}
	}

	policy("members")
	c.until(t, "403 signature_missing", segment) // though it is kept
	// What members get is private: it is kept by nobody, and each one's proof reaches the edge.
	g := c.give(t, map[string]any{"video": id})
	if err := playsAll(t, g.HLS); err != nil {
		t.Errorf("a member: %v", err)
	}
	private := strings.Replace(v.Playback.HLS, "index.m3u8", "poster.jpg", 1)
	for range 2 {
		if said := c.got(t, private+"?"+g.Query); said != "MISS 200" {
			t.Errorf("a member's picture: %s", said)
		}
	}

	if status := c.Call(http.MethodDelete, "/v1/videos/"+id, nil, nil); status >= 300 {
		t.Fatal(status)
	}
	c.until(t, "404 not_found", segment, "Authorization: Bearer "+c.Token)
	if said := c.got(t, segment); said != "403 signature_missing" {
		t.Errorf("a deleted video, to nobody: %s", said)
	}

	// The bytes are there still, until they are removed as the docs say; and that touches nobody else's.
	other := c.Await(c.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "other.mp4"), 2*time.Minute)
	if status := c.Call(http.MethodPatch, "/v1/videos/"+other.ID, map[string]string{"playback_policy": "public"}, nil); status != http.StatusOK {
		t.Fatal(status)
	}
	kept := strings.Replace(other.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	c.until(t, "MISS 200", kept)
	folder := func(address string) string {
		name, _, _ := strings.Cut(strings.TrimPrefix(address, c.url+"/stream/"), "/")
		return name
	}
	if n := c.files(t, folder(segment)); n == 0 {
		t.Error("nginx has kept nothing of the deleted video")
	}
	command := inDocs(t, "To have the bytes gone", "sh")
	remove := exec.Command("sh", "-c", command)
	remove.Env = append(os.Environ(), "CACHE="+c.cache, "FOLDER="+folder(segment))
	if out, err := remove.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if gone, there := c.files(t, folder(segment)), c.files(t, folder(kept)); gone != 0 || there != 1 {
		t.Errorf("after the removal there are %d files of the deleted video and %d of the other", gone, there)
	}
	if said := c.got(t, kept); said != "HIT 200" {
		t.Errorf("what is kept of the other: %s", said)
	}
}

// files counts what nginx keeps of a folder of addresses.
func (c *cdn) files(t *testing.T, folder string) (n int) {
	t.Helper()
	err := filepath.WalkDir(c.cache, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && bytes.Contains(read(t, path), []byte("\nKEY: /stream/"+folder+"/")) {
			n++
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

package e2e

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"sluice/internal/certificate/certificatetest"
	"sluice/test/rig"
)

// secured is a server that speaks TLS itself, and knows a CDN by the certificates that the docs make.
type secured struct {
	*rig.Server
	ca        *certificatetest.Authority // of its certificate
	cert, key string                     // files of that
	cdn       string                     // the folder in which the docs' commands were run
}

// hostname is the name of the server's certificate, which is not the one that it listens on.
const hostname = "video.example.com"

func ofName(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{hostname}, nil }

func startSecured(t *testing.T, args ...string) *secured {
	t.Helper()
	dir := t.TempDir()
	s := &secured{ca: certificatetest.New(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem"), cdn: filepath.Join(dir, "cdn")}
	s.renew(t)
	if err := os.Mkdir(s.cdn, 0o700); err != nil {
		t.Fatal(err)
	}
	made := exec.Command("sh", "-ec", inDocs(t, "\n## By certificate\n", "sh"))
	made.Dir = s.cdn
	if out, err := made.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool(), ServerName: hostname, MinVersion: tls.VersionTLS12}}}
	t.Cleanup(client.CloseIdleConnections)
	s.Server = rig.Start(t, rig.Options{HTTP: client, Args: append([]string{"--playback", "signed", "--tls-cert", s.cert, "--tls-key", s.key,
		"--cdn-client-ca", filepath.Join(s.cdn, "cdn-ca.pem"), "--cdn-client-names", "cdn"}, args...)})
	return s
}

// renew puts a new certificate in the place of the server's.
func (s *secured) renew(t *testing.T) (serial string) {
	t.Helper()
	pair := s.ca.Server(t, ofName)
	for from, to := range map[string]string{pair.Cert: s.cert, pair.Key: s.key} {
		if err := os.WriteFile(to, read(t, from), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return pair.Leaf.SerialNumber.String()
}

// curl is what curl, a client that we have not made, gets: the status and the version of HTTP, or "refused". The certificate's name is not the address, so that is given to it.
func (s *secured) curl(t *testing.T, address string, args ...string) string {
	t.Helper()
	at := strings.TrimPrefix(s.URL, "https://")
	address = strings.Replace(address, s.URL, "https://"+hostname, 1)
	all := append([]string{"-sS", "-o", filepath.Join(t.TempDir(), "body"), "-w", "%{http_code} %{http_version}", "--max-time", "60", "--cacert", s.ca.File, "--connect-to", hostname + ":443:" + at, address}, args...)
	out, err := exec.Command("curl", all...).Output()
	if err != nil {
		return "refused"
	}
	return string(out)
}

// shows are curl's arguments that show a certificate.
func shows(cert, key string) []string { return []string{"--cert", cert, "--key", key} }

func TestOverTLSACertificateOpensStreamsAndNothingElse(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	if !strings.HasPrefix(s.URL, "https://127.0.0.1:") {
		t.Fatal(s.URL)
	}
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	out, err := exec.Command(rig.Binary(t, ""), "put", "--json", "--data", s.Data, clip).Output() // a command of this machine, which no name of the certificate leads to
	var put struct{ ID, Status string }
	if jerr := json.Unmarshal(out, &put); err != nil || jerr != nil || put.Status != "ready" {
		t.Fatalf("%v, %v: %s\n%s", err, jerr, out, s.Log())
	}
	v := s.Await(put.ID, 2*time.Minute)
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	if !strings.HasPrefix(segment, s.URL+"/stream/") {
		t.Fatal(segment)
	}
	cdn := shows(filepath.Join(s.cdn, "cdn-client.pem"), filepath.Join(s.cdn, "cdn-client.key"))
	foreign := certificatetest.New(t).Client(t, "cdn")
	verify := s.URL + "/stream/verify"
	for _, step := range []struct {
		who, want, address string
		args               []string
	}{
		{"nobody", "403 2", segment, nil},
		{"the CDN", "200 2", segment, cdn},
		{"the CDN, in the old way", "200 1.1", segment, append([]string{"--http1.1"}, cdn...)},
		{"the CDN, with TLS 1.2", "200 2", segment, append([]string{"--tls-max", "1.2"}, cdn...)},
		{"one of another CA", "403 2", segment, shows(foreign.Cert, foreign.Key)},
		{"the CDN, with a header", "403 2", segment, append([]string{"-H", "X-Origin-Secret: unchecked"}, cdn...)},
		{"one with a header alone", "403 2", segment, []string{"-H", "X-Origin-Secret: x"}},
		{"the CDN's question, of nobody", "403 2", verify, append([]string{"-H", "X-Original-URI: " + strings.TrimPrefix(segment, s.URL)}, cdn...)},
		{"the same, not the CDN's", "404 2", verify, []string{"-H", "X-Original-URI: " + strings.TrimPrefix(segment, s.URL)}},
		{"the CDN, at the API", "401 2", s.URL + "/v1/videos", cdn},
		{"the CDN, at the API for operators", "401 2", s.URL + "/v1/jobs", cdn},
		{"one of TLS 1.1", "refused", segment, []string{"--tls-max", "1.1"}},
		{"health", "200 2", s.URL + "/readyz", nil},
	} {
		if got := s.curl(t, step.address, step.args...); got != step.want {
			t.Errorf("%s: %s, want %s", step.who, got, step.want)
		}
	}
	if plain, err := http.Get("http://" + strings.TrimPrefix(s.URL, "https://") + "/readyz"); err == nil {
		defer plain.Body.Close()
		if plain.StatusCode == http.StatusOK {
			t.Error("the listener speaks HTTP too")
		}
	}
	s.tellsTheTruth(t)
	grant := s.Grant(clip, "by HTTP2.mp4")
	args := []string{"-T", clip}
	for name, value := range grant.Headers {
		args = append(args, "-H", name+": "+value)
	}
	if got := s.curl(t, strings.Replace(grant.URL, s.URL, "https://"+hostname, 1), append(args, "-H", "Host: "+strings.TrimPrefix(s.URL, "https://"))...); got != "200 2" {
		t.Errorf("an upload: %s", got)
	}
	s.Await(grant.ID, 2*time.Minute)

	serial := s.renew(t)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(s.URL, "https://"), &tls.Config{RootCAs: s.ca.Pool(), ServerName: hostname, MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		shown := conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
		_ = conn.Close()
		if shown == serial {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not shown")
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) { // the note for commands follows
		out, err := exec.Command(rig.Binary(t, ""), "jobs", "list", "--data", s.Data).CombinedOutput()
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a command, after the renewal: %v\n%s", err, out)
		}
	}
}

// tellsTheTruth looks at what a server says of itself that speaks TLS.
func (s *secured) tellsTheTruth(t *testing.T) {
	t.Helper()
	if log := s.Log(); !strings.Contains(log, "Page        "+s.URL) {
		t.Errorf("its greeting has another address:\n%s", log)
	}
	password := regexp.MustCompile(`Password +(\S+)`).FindStringSubmatch(s.Log())
	if password == nil {
		t.Fatalf("no password in its greeting:\n%s", s.Log())
	}
	body, err := json.Marshal(map[string]string{"email": "admin@localhost", "password": password[1]})
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool(), ServerName: hostname, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	resp, err := client.Post(s.URL+"/v1/session", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.Header.Get("Strict-Transport-Security") == "" {
		t.Error("no Strict-Transport-Security")
	}
	cookies := resp.Cookies()
	if len(cookies) != 1 || cookies[0].Name != "__Host-sluice" || !cookies[0].Secure || !cookies[0].HttpOnly {
		t.Errorf("%s: a session's cookie is %v", resp.Status, cookies)
	}
}

func TestAServerWhoseCertificateCannotBeUsedDoesNotStart(t *testing.T) {
	t.Parallel()
	ca := certificatetest.New(t)
	a, b, expired := ca.Server(t), ca.Server(t), ca.Server(t, certificatetest.Expired)
	for want, args := range map[string][]string{
		"tls_mismatched":       {"--tls-cert", a.Cert, "--tls-key", b.Key},
		"tls_expired":          {"--tls-cert", expired.Cert, "--tls-key", expired.Key},
		"tls_unreadable":       {"--tls-cert", a.Cert + ".none", "--tls-key", a.Key},
		"client_ca_unreadable": {"--tls-cert", a.Cert, "--tls-key", a.Key, "--cdn-client-ca", a.Key},
		"go together":          {"--tls-cert", a.Cert},
		"https://":             {"--tls-cert", a.Cert, "--tls-key", a.Key, "--public-url", "http://video.example.com"},
		"over TLS of":          {"--cdn-client-ca", ca.File},
		"belong to":            {"--cdn-client-names", "cdn"},
		"shut people":          {"--tls-cert", a.Cert, "--tls-key", a.Key, "--cdn-client-ca", ca.File, "--cdn-client-required"},
	} {
		out, err := exec.Command(rig.Binary(t, ""), append([]string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, args...)...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%q: %v, want %q:\n%s", args, err, want, out)
		}
	}
}

func TestNginxIsTrustedByItsCertificate(t *testing.T) {
	t.Parallel()
	address := rig.Address(t)
	s := startSecured(t, "--edge-url", "http://"+address, "--trusted-proxies", "127.0.0.1")
	c := &cdn{Server: s.Server, url: "http://" + address}
	text := inDocs(t, "\n## nginx\n", "nginx")
	const secret = "proxy_set_header X-Origin-Secret 0123456789abcdef0123456789abcdef;"
	for _, change := range []struct {
		old, fresh string
		times      int
	}{
		{`proxy_set_header X-Origin-Secret "";`, "proxy_set_header X-Origin-Secret unchecked;", 1},
		{secret, `proxy_set_header X-Origin-Secret "";`, 2},
		{"proxy_pass http://sluice", "proxy_pass https://sluice", 3},
		{"    merge_slashes off;\n", "    merge_slashes off;\n" + inDocs(t, "### nginx by certificate", "nginx") + "\n", 1},
		{"/etc/nginx/cdn-client.pem", filepath.Join(s.cdn, "cdn-client.pem"), 1},
		{"/etc/nginx/cdn-client.key", filepath.Join(s.cdn, "cdn-client.key"), 1},
		{"/etc/ssl/certs/ca-certificates.crt", s.ca.File, 1},
	} {
		if n := strings.Count(text, change.old); n != change.times {
			t.Fatalf("%q is there %d times, want %d", change.old, n, change.times)
		}
		text = strings.ReplaceAll(text, change.old, change.fresh)
	}
	c.run(t, text, address, strings.TrimPrefix(s.URL, "https://"))

	id := c.Upload(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4")
	v := c.Await(id, 2*time.Minute)
	segment := strings.Replace(v.Playback.HLS, "index.m3u8", "180p/00001.m4s", 1)
	one, two := c.give(t, map[string]any{"video": id}), c.give(t, map[string]any{"video": id, "expires_in": 600})
	for range 3 { // over connections that nginx keeps and uses for all
		for _, step := range []struct {
			who, want, address string
			header             []string
		}{
			{"nobody", "403 signature_missing", segment, nil},
			{"the first viewer", "200", segment + "?" + one.Query, nil},
			{"the second viewer", "HIT 200", segment + "?" + two.Query, nil},
			{"nobody, now that it is kept", "403 signature_missing", segment, nil},
			{"one who says the header", "403 signature_missing", segment, []string{"X-Origin-Secret: x"}},
			{"a viewer who says the header", "HIT 200", segment + "?" + one.Query, []string{"X-Origin-Secret: x"}},
			{"a manifest, by nobody", "403 signature_missing", v.Playback.HLS, nil},
			{"a signed manifest", "BYPASS 200", one.HLS, nil},
		} {
			if said := c.got(t, step.address, step.header...); said != step.want && said != "HIT "+step.want && said != "MISS "+step.want {
				t.Errorf("%s: %s, want %s", step.who, said, step.want)
			}
		}
	}
	if err := playsAll(t, one.HLS); err != nil {
		t.Error(err)
	}
}

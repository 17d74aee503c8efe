package topology

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"database/sql"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"sluice/test/rig"
)

// patience is how long the test waits for what must happen. The machine may be slow.
const patience = 5 * time.Minute

// world is the machines of the document, all of them on loopback.
type world struct {
	t        *testing.T
	document document
	values   map[string]string // what the document says → what it is here
	names    map[string]string // name:port → address, as the DNS of the document
	env      []string          // of /etc/sluice/env
	shell    []string          // the environment of an operator's shell
	machines []*machine
	database *rig.Database
	storage  *rig.Foreign
	client   *http.Client // resolves the names and trusts the certificate
}

// machine runs one process.
type machine struct {
	w          *world
	role, name string // name is its address in the document
	address    string // its address here
	unit       unit

	mu    sync.Mutex // of restarts
	cmd   *exec.Cmd
	ended chan error   // of the process
	out   bytes.Buffer // of all its processes; read after they have ended
}

// roles are the machines of the document.
var roles = []struct {
	role  string
	names []string
}{
	{"api", []string{"10.0.0.11", "10.0.0.12"}},
	{"worker", []string{"10.0.0.21", "10.0.0.22"}},
	{"edge", []string{"10.0.0.31", "10.0.0.32"}},
}

// build follows the document from its first block to the last, up to where all processes are ready.
func build(t *testing.T, storage *rig.Foreign) *world {
	t.Helper()
	w := &world{t: t, document: readDocument(t), database: rig.Postgres(t), storage: storage}
	w.dropOwnDatabase()
	root, bin, proxy := t.TempDir(), t.TempDir(), rig.Address(t)
	network := fmt.Sprintf("127.%d.%d.", 1+mathrand.IntN(250), mathrand.IntN(250)) //nolint:gosec // no secret
	server, err := url.Parse(w.database.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(rig.Binary(t, ""), filepath.Join(bin, "sluice")); err != nil {
		t.Fatal(err)
	}
	w.values = map[string]string{
		"10.0.0.1": "127.0.0.1", "listen 443 ssl": "listen " + proxy + " ssl", "postgres@db.internal": server.User.String() + "@" + server.Host,
		"@db.internal": "@" + server.Host, "https://s3.internal": storage.URL, "YOUR_ACCESS_KEY": storage.Access, "YOUR_SECRET_KEY": storage.Secret,
		"/etc/ssl/sluice": filepath.Join(root, "ssl"), "/etc/sluice": filepath.Join(root, "etc"), "/usr/local/bin/sluice": filepath.Join(bin, "sluice"),
	}
	for _, r := range roles {
		for _, name := range r.names {
			address := network + name[strings.LastIndex(name, ".")+1:]
			w.values[name] = address
			w.machines = append(w.machines, &machine{w: w, role: r.role, name: name, address: address})
		}
	}
	w.names = map[string]string{"video.example.com:443": proxy, "cdn.example.com:443": proxy}
	w.certify(filepath.Join(root, "ssl"))
	w.shell = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "HTTPS_PROXY="+w.resolver(), "NO_PROXY=127.0.0.1",
		"SSL_CERT_FILE="+filepath.Join(root, "ssl", "fullchain.pem"), "CURL_CA_BUNDLE="+filepath.Join(root, "ssl", "fullchain.pem"))
	w.ssh(bin)

	for _, script := range w.document.find(t, "sh", "setup") {
		w.run(script, root)
	}
	w.env = readEnvironment(t, filepath.Join(root, "etc", "env"))
	for _, m := range w.machines {
		m.install(filepath.Join(root, m.name))
		m.start()
	}
	w.nginx(w.replaced(w.document.find(t, "nginx", "")[0]))
	for _, m := range w.machines {
		m.awaitReady()
	}
	return w
}

// dropOwnDatabase removes the database that rig.Postgres makes: the document makes its own, of the same name.
func (w *world) dropOwnDatabase() {
	db, err := sql.Open("pgx", strings.Replace(w.database.URL, "/sluice?", "/postgres?", 1))
	if err == nil {
		_, err = db.ExecContext(context.Background(), "DROP DATABASE sluice")
		_ = db.Close()
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) replaced(text string) string {
	w.t.Helper()
	return w.document.replacer(w.t, w.values).Replace(text)
}

// run runs a block of the document in a folder, as an operator does.
func (w *world) run(script, dir string) string {
	w.t.Helper()
	cmd := exec.Command("bash", "-c", w.replaced(script)) //nolint:gosec // the project's document
	cmd.Env, cmd.Dir = w.shell, dir
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		w.t.Fatalf("%v\n%s\n%s%s", err, script, out.String(), said.String())
	}
	return out.String()
}

// certify makes the certificate of both names.
func (w *world) certify(dir string) {
	w.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "video.example.com"}, DNSNames: []string{"video.example.com", "cdn.example.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		w.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		w.t.Fatal(err)
	}
	chain := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	for name, body := range map[string][]byte{"fullchain.pem": chain, "privkey.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(chain)
	dial := func(ctx context.Context, network, address string) (net.Conn, error) {
		if at, named := w.names[address]; named {
			address = at
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
	w.client = &http.Client{Timeout: patience, Transport: &http.Transport{DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}}
}

// resolver is an HTTP proxy that knows the names of the document; programs use it in the place of the DNS. It returns
// its URL.
func (w *world) resolver() string {
	proxy := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		to, named := w.names[r.Host]
		if r.Method != http.MethodConnect || !named {
			http.Error(rw, "only CONNECT to the names of the document", http.StatusForbidden)
			return
		}
		far, err := net.Dial("tcp", to)
		if err != nil {
			http.Error(rw, err.Error(), http.StatusBadGateway)
			return
		}
		defer far.Close()
		rw.WriteHeader(http.StatusOK)
		near, buffered, err := http.NewResponseController(rw).Hijack()
		if err != nil {
			return
		}
		defer near.Close()
		go func() { _, _ = io.Copy(far, buffered); _ = far.(*net.TCPConn).CloseWrite() }()
		_, _ = io.Copy(near, far)
	}))
	w.t.Cleanup(proxy.Close)
	return proxy.URL
}

// ssh puts a program of that name on the operator's path: "ssh MACHINE systemctl restart sluice" restarts the machine's
// process, and returns as systemd does
// once the new one was started.
func (w *world) ssh(bin string) {
	w.t.Helper()
	restarter := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		for _, m := range w.machines {
			if r.URL.Path == "/"+m.address {
				if err := m.restart(); err != nil {
					http.Error(rw, err.Error(), http.StatusInternalServerError)
				}
				return
			}
		}
		http.NotFound(rw, r)
	}))
	w.t.Cleanup(restarter.Close)
	script := fmt.Sprintf("#!/bin/sh\n[ \"$2 $3 $4\" = 'systemctl restart sluice' ] && exec curl -fsS -X POST %s/$1\nexit 2\n", restarter.URL)
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		w.t.Fatal(err)
	}
}

// nginx starts nginx with the document's configuration, included where Debian's nginx.conf includes conf.d.
func (w *world) nginx(conf string) {
	w.t.Helper()
	dir := w.t.TempDir()
	main := fmt.Sprintf(`daemon off; worker_processes 1; error_log stderr warn; pid %[1]s/pid; events { worker_connections 512; }
http { access_log off;
  client_body_temp_path %[1]s/body; proxy_temp_path %[1]s/proxy; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  include %[1]s/sluice.conf; }
`, dir)
	if os.Getuid() == 0 {
		main = "user root root;\n" + main // who may read the folder of the test
	}
	for name, text := range map[string]string{"nginx.conf": main, "sluice.conf": conf} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	program, err := exec.LookPath("nginx")
	if err != nil {
		program = "/usr/sbin/nginx" // outside of many a user's path
	}
	cmd := exec.Command(program, "-p", dir, "-c", filepath.Join(dir, "nginx.conf"))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		w.t.Fatalf("%v; scripts/install.sh test installs nginx", err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if w.t.Failed() {
			w.t.Logf("nginx:\n%s", said.String())
		}
	})
	w.await("nginx", func() bool {
		conn, err := net.Dial("tcp", w.names["video.example.com:443"])
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

func (w *world) await(what string, done func() bool) {
	w.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not after %s", what, patience)
		}
	}
}

// install gives a machine the unit of its role, with a data folder and an address of its own.
func (m *machine) install(data string) {
	w := m.w
	w.t.Helper()
	w.values["/var/lib/sluice"], w.values["--listen :8080"] = data, "--listen "+m.address+":8080"
	m.unit = readUnit(w.t, w.replaced(w.document.find(w.t, "ini", m.role)[0]))
	w.t.Cleanup(func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		_ = m.cmd.Process.Kill()
		<-m.ended
		if w.t.Failed() {
			w.t.Logf("%s %s:\n%s", m.role, m.name, m.out.String())
		}
	})
}

// start starts the process as systemd does: the environment is the file's.
func (m *machine) start() {
	m.w.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.launch(); err != nil {
		m.w.t.Fatal(err)
	}
}

func (m *machine) launch() error {
	program := strings.Fields(m.unit.execStart)
	m.cmd = exec.Command(program[0], program[1:]...) //nolint:gosec // the project's document
	m.cmd.Env = append(readEnvironment(m.w.t, m.unit.environmentFile), "PATH="+os.Getenv("PATH"))
	m.cmd.Stdout, m.cmd.Stderr = &m.out, &m.out
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.cmd.Start(); err != nil {
		return err
	}
	cmd, ended := m.cmd, make(chan error, 1)
	m.ended = ended
	go func() { ended <- cmd.Wait(); close(ended) }()
	return nil
}

// revive starts a process again that ended by itself, as Restart=always does in the unit.
func (m *machine) revive() {
	m.w.t.Helper()
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case err := <-m.ended:
		m.w.t.Logf("%s %s ended by itself and is started again: %v", m.role, m.name, err)
		if err := m.launch(); err != nil {
			m.w.t.Fatal(err)
		}
	default:
	}
}

// restart is systemctl restart.
func (m *machine) restart() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	if m.role != "worker" {
		if err := m.leaves(); err != nil {
			return err
		}
	}
	if err := <-m.ended; err != nil {
		return fmt.Errorf("%s %s ended badly: %w", m.role, m.name, err)
	}
	return m.launch()
}

// leaves wants of a process that received SIGTERM what load balancers with health checks rely on: /readyz says 503
// while the process still answers.
func (m *machine) leaves() error {
	fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		answer, err := fresh.Get("http://" + m.address + ":8080/readyz")
		if err != nil {
			return fmt.Errorf("%s %s was not seen to be stopping before it refused connections: %w", m.role, m.name, err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode == http.StatusServiceUnavailable {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	answer, err := fresh.Get("http://" + m.address + ":8080/healthz")
	if err != nil {
		return fmt.Errorf("%s %s takes no requests in its grace: %w", m.role, m.name, err)
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Connection") != "close" && !answer.Close {
		return fmt.Errorf("%s %s answers %d in its grace, close %v", m.role, m.name, answer.StatusCode, answer.Close)
	}
	return nil
}

func (m *machine) awaitReady() {
	m.w.t.Helper()
	m.w.await(m.role+" "+m.name+" is ready", func() bool {
		m.revive()
		answer, err := http.Get("http://" + m.address + ":8080/readyz")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

package bench

import (
	"crypto/md5" //nolint:gosec // what nginx's secure_link_md5 is made of
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"sluice/test/rig"
)

// The secret of nginx's links.
const linkSecret = "a secret of nginx"

// nginxConfig is nginx as one sets it up to serve signed files fast: sendfile, as Debian has it, and neither log nor limit of requests on a connection. The verbs are for: cores, folder,
// connections, address, the open file cache, streams.
const nginxConfig = `
user root root; # who may read the folder of the tests; others have a warning for this
daemon off; worker_processes %d; error_log stderr error; pid %[2]s/pid;
worker_rlimit_nofile %[3]d;
events { worker_connections %[4]d; }
http {
	client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
	types { video/iso.segment m4s; video/mp4 mp4; application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; image/jpeg jpg; }
	access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;
	keepalive_timeout 65; keepalive_requests 100000000;
	server {
		listen %[5]s;
		%[6]s
		location /stream/ {
			secure_link $arg_md5,$arg_expires;
			secure_link_md5 "$secure_link_expires$uri %[8]s";
			if ($secure_link = "") { return 403; }
			if ($secure_link = "0") { return 410; }
			alias %[7]s/;
		}
	}
}
`

// openFiles has nginx keep files open. What is gone may be served for a minute, so it is shown beside the plain one.
const openFiles = "open_file_cache max=20000 inactive=60s; open_file_cache_valid 60s; open_file_cache_min_uses 1;"

// startNginx serves a folder at /stream/, and gives its address and processes.
func startNginx(t *testing.T, streams, more string, on cores) (address string, pids func() []int) {
	t.Helper()
	dir, most := t.TempDir(), descriptors(t)
	address = rig.Address(t)
	file := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf(nginxConfig, on.number(), dir, most, most/2, address, more, streams, linkSecret)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // outside of many a user's path
	}
	program := append(on.under(), path, "-c", file, "-p", dir)
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%v; scripts/install.sh test installs nginx", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			_ = conn.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not answer: %v", err)
		}
	}
	return address, func() []int {
		all := []int{cmd.Process.Pid}
		for pid := range rig.Children(cmd.Process.Pid) {
			all = append(all, pid)
		}
		return all
	}
}

// linked is a path with nginx's signature: MD5 of the end, the path and the secret.
func linked(path string) string {
	end := time.Now().Add(12 * time.Hour).Unix()
	sum := md5.Sum(fmt.Appendf(nil, "%d%s %s", end, path, linkSecret)) //nolint:gosec // as above
	return fmt.Sprintf("%s?md5=%s&expires=%d", path, base64.RawURLEncoding.EncodeToString(sum[:]), end)
}

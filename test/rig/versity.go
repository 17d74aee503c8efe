package rig

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Versity is a versitygw of its own process: an S3 server that is not ours. Its root account is "access" with the secret "not-a-secret-outside-tests".
type Versity struct {
	URL            string
	Access, Secret string
	Root           string // the folder of the buckets
}

// StartVersity builds versitygw, as go.mod names it, and starts it on a free port with those buckets. It posts its events to webhook, where that is not
// empty, and ends with the test.
func StartVersity(t testing.TB, webhook string, buckets ...string) Versity {
	t.Helper()
	v := Versity{Access: "access", Secret: "not-a-secret-outside-tests", Root: t.TempDir()}
	for _, name := range buckets {
		if err := os.Mkdir(filepath.Join(v.Root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	free, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := free.Addr().String()
	_ = free.Close()
	v.URL = "http://" + at
	args := []string{"--quiet", "--port", at, "--access", v.Access, "--secret", v.Secret}
	if webhook != "" {
		args = append(args, "--event-webhook-url", webhook)
	}
	out := &lockedBuffer{}
	cmd := exec.Command(versityBinary(t), append(args, "posix", v.Root)...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if answer, err := http.Get(v.URL); err == nil {
			_ = answer.Body.Close()
			return v
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("versitygw ended: %v\n%s", err, out)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("versitygw does not answer\n%s", out)
		}
	}
}

// versityBinary builds versitygw into .tools, once.
func versityBinary(t testing.TB) string {
	t.Helper()
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/versity/versitygw").Output()
	if err != nil {
		t.Fatal(err)
	}
	v := strings.TrimSpace(string(version))
	dir := filepath.Join(Root(t), ".tools", "versitygw-"+v)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil { // packages are tested side by side
		t.Fatal(err)
	}
	path := filepath.Join(dir, "versitygw")
	if _, err := os.Stat(path); err == nil {
		return path
	}
	build := exec.Command("go", "install", "github.com/versity/versitygw/cmd/versitygw@"+v)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go install: %v\n%s", err, text)
	}
	return path
}

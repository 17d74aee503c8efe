package rig

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Versity is a versitygw that tells of what it stores, a process of its own. Its root account is "access" with the secret "not-a-secret-outside-tests".
type Versity struct {
	URL            string
	Access, Secret string
	Root           string // the folder of the buckets
}

// StartVersity starts a versitygw on a free port with those buckets. It posts its events to webhook, where that is not
// empty, and ends with the test.
func StartVersity(t testing.TB, webhook string, buckets ...string) Versity {
	t.Helper()
	v := Versity{Access: "access", Secret: "not-a-secret-outside-tests", Root: t.TempDir()}
	for _, name := range buckets {
		if err := os.Mkdir(filepath.Join(v.Root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	at := Address(t)
	v.URL = "http://" + at
	args := []string{"--quiet", "--port", at, "--access", v.Access, "--secret", v.Secret}
	if webhook != "" {
		args = append(args, "--event-webhook-url", webhook)
	}
	out := &lockedBuffer{}
	cmd := exec.Command(install(t, "versitygw"), append(args, "posix", v.Root)...)
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
	for deadline := time.Now().Add(leastWait); ; time.Sleep(20 * time.Millisecond) {
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

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/rig"
)

var printedLink = regexp.MustCompile(`(http://\S+)/#admin=([\w-]{43})`)

// TestSignInLink_PrintedOnATerminal_SignsInOnceUntilTheSignOut takes the link that the start prints on a terminal alone.
func TestSignInLink_PrintedOnATerminal_SignsInOnceUntilTheSignOut(t *testing.T) {
	t.Parallel()
	first := rig.Start(t, rig.Options{}) // prints a temporary password: a link is for later starts
	if err := first.Stop(); err != nil {
		t.Fatal(err)
	}
	server := exec.CommandContext(t.Context(), rig.Binary(t, ""), "serve", "--data", first.Data, "--listen", rig.Address(t))
	ours, theirs := terminal(t)
	server.Stdout, server.Stderr = theirs, theirs
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
		_ = ours.Close()
	})
	_ = theirs.Close()
	found := make(chan []string, 1)
	go func() { // to the end: a terminal that nobody reads stops who writes to it
		for lines := bufio.NewScanner(ours); lines.Scan(); {
			if m := printedLink.FindStringSubmatch(lines.Text()); m != nil {
				found <- m
			}
		}
	}()
	var url, code string
	select {
	case m := <-found:
		url, code = m[1], m[2]
	case <-time.After(2 * time.Minute):
		t.Fatal("no link was printed")
	}
	ask := func(method, path, token, body string) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if token != "" {
			r.Header.Set("Authorization", "Bearer "+token)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		all, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]any{}
		_ = json.Unmarshal(all, &values) // empty after a sign-out
		return answer.StatusCode, values
	}
	exchange := func() (int, string) {
		status, body := ask(http.MethodPost, "/v1/session/link", "", fmt.Sprintf(`{"code":%q}`, code))
		token, _ := body["token"].(string)
		return status, token
	}
	status, token := exchange()
	if status != http.StatusCreated {
		t.Fatalf("the exchange: %d", status)
	}
	if status, again := exchange(); status != http.StatusGone || again != "" {
		t.Errorf("the same code again: %d", status)
	}
	if status, me := ask(http.MethodGet, "/v1/session", token, ""); status != http.StatusOK || me["role"] != "admin" {
		t.Errorf("who asks: %d %v", status, me)
	}
	_, audit := ask(http.MethodGet, "/v1/audit", token, "")
	if log := fmt.Sprint(audit); !strings.Contains(log, "sign_in.link") || strings.Contains(log, token) {
		t.Errorf("the audit log: %v", log)
	}
	if status, _ := ask(http.MethodDelete, "/v1/session", token, ""); status != http.StatusNoContent {
		t.Errorf("the sign-out: %d", status)
	}
	if status, _ := ask(http.MethodGet, "/v1/videos", token, ""); status != http.StatusUnauthorized {
		t.Errorf("after the sign-out: %d", status)
	}
}

// terminal returns both ends of a pseudo-terminal (pty(7)).
func terminal(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	theirs, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

package bench

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

// signIn tries to sign in and returns the status and how long that took.
func signIn(t *testing.T, url, email, password string) (int, time.Duration) {
	t.Helper()
	began := time.Now()
	res, err := http.Post(url+"/v1/session", "application/json", strings.NewReader(fmt.Sprintf(`{"email":%q,"password":%q}`, email, password)))
	if err != nil {
		t.Error(err)
		return 0, 0
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	return res.StatusCode, time.Since(began)
}

// resident is the most memory that a process ever had, in MiB.
func resident(t *testing.T, pid int) (mib int) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
	if m == nil {
		t.Fatal("no VmHWM")
	}
	if _, err := fmt.Sscan(string(m[1]), &mib); err != nil {
		t.Fatal(err)
	}
	return mib / 1024
}

// 200 argon2id runs side by side would take 3,800 MiB.
func TestManySignInsAtOnceKeepTheMemoryBounded(t *testing.T) {
	s := rig.Start(t, rig.Options{})
	before := resident(t, s.PID())
	began := time.Now()
	var all sync.WaitGroup
	for i := range 200 {
		all.Go(func() {
			if status, _ := signIn(t, s.URL, fmt.Sprintf("u%d@example.com", i), "wrong"); status != http.StatusUnauthorized && status != http.StatusTooManyRequests {
				t.Errorf("sign-in %d: %d", i, status)
			}
		})
	}
	all.Wait()
	after := resident(t, s.PID())
	t.Logf("200 sign-ins at once in %s: %d MiB before, at most %d MiB", time.Since(began).Round(time.Millisecond), before, after)
	if after-before > 800 {
		t.Errorf("%d MiB more", after-before)
	}
}

// A coarse look at what a stranger could measure: the medians of failures of a known and of unknown users differ by less than a factor of three. That the work is the same is tested by
// counting it, in internal/identity.
func TestAnUnknownUserTakesAsLongAsAKnownOne(t *testing.T) {
	s := rig.Start(t, rig.Options{Args: []string{"--admin-email", "root@example.com", "--trusted-proxies", "127.0.0.1"}})
	var known, unknown []time.Duration
	for i := range 4 { // more would have to wait
		_, took := signIn(t, s.URL, "root@example.com", "wrong")
		known = append(known, took)
		_, took = signIn(t, s.URL, fmt.Sprintf("nobody%d@example.com", i), "wrong")
		unknown = append(unknown, took)
	}
	slices.Sort(known)
	slices.Sort(unknown)
	t.Logf("known %v, unknown %v", known, unknown)
	if k, u := known[1], unknown[1]; *full && (k > 3*u+50*time.Millisecond || u > 3*k+50*time.Millisecond) {
		t.Errorf("a known user takes %s, an unknown one %s", k, u)
	}
}

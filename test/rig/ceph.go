package rig

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Ceph is an account of its own, with its own buckets, at the object gateway of a Ceph. SLUICE_TEST_CEPH is the folder of one that scripts/ceph.sh started, for
// all tests; "off" skips the test; without it the test starts one, which ends with it.
func Ceph(t testing.TB) *Foreign {
	t.Helper()
	cluster := os.Getenv("SLUICE_TEST_CEPH")
	switch cluster {
	case "off":
		t.Skip("SLUICE_TEST_CEPH is off")
	case "":
		cluster = ownCeph(t)
	}
	url, err := os.ReadFile(filepath.Join(cluster, "url"))
	if err != nil {
		t.Fatal(err)
	}
	f := &Foreign{URL: strings.TrimSpace(string(url)), Access: "access" + rand.Text(), Secret: foreignSecret, t: t}
	account := exec.Command("radosgw-admin", "-c", filepath.Join(cluster, "ceph.conf"), "user", "create", "--tenant", rand.Text(), "--uid", "sluice",
		"--display-name", "Sluice's tests", "--access-key", f.Access, "--secret-key", f.Secret)
	if out, err := account.CombinedOutput(); err != nil {
		t.Fatalf("radosgw-admin: %v\n%s", err, out)
	}
	f.makeBuckets()
	return f
}

// ownCeph starts a Ceph that ends with the test.
func ownCeph(t testing.TB) (cluster string) {
	t.Helper()
	script, dir := filepath.Join(Root(t), "scripts", "ceph.sh"), t.TempDir()
	t.Cleanup(func() {
		if out, err := exec.Command(script, "stop", dir).CombinedOutput(); err != nil {
			t.Errorf("ceph.sh stop: %v\n%s", err, out)
		}
	})
	start := exec.Command(script, "start", dir)
	var said strings.Builder
	start.Stderr = &said
	out, err := start.Output()
	if err != nil {
		t.Fatalf("ceph.sh start: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

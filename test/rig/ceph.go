package rig

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// Ceph is an account of its own, with its own buckets, at the object gateway of a Ceph. SLUICE_TEST_CEPH is the folder
// of a cluster that scripts/ceph.sh started for all tests. "off" skips the test: `make test` sets it, and
// `make test-storage` runs these tests. If it is not set, the test starts a cluster that ends with the test.
func Ceph(t testing.TB) *Foreign {
	t.Helper()
	cluster := os.Getenv("SLUICE_TEST_CEPH")
	switch cluster {
	case "off":
		t.Skip("runs on Ceph: make test-storage runs it")
	case "":
		cluster = ownCeph(t)
	}
	f := &Foreign{
		URL: strings.TrimSpace(readText(t, filepath.Join(cluster, "url"))), t: t,
		Access: "access" + rand.Text(), Secret: foreignSecret,
	}
	f.makeAccount(readText(t, filepath.Join(cluster, "admin")))
	f.makeBuckets()
	return f
}

func readText(t testing.TB, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// makeAccount creates the user of f by the gateway's admin API (docs.ceph.com, "Admin Operations", create user). admin
// is the access key and the secret of a user that may.
func (f *Foreign) makeAccount(admin string) {
	f.t.Helper()
	access, secret, _ := strings.Cut(strings.TrimSpace(admin), " ")
	user := url.Values{
		"uid": {"sluice"}, "tenant": {rand.Text()}, "display-name": {"Sluice's tests"},
		"access-key": {f.Access}, "secret-key": {f.Secret},
	}
	request, err := http.NewRequest(http.MethodPut, f.URL+"/admin/user?"+user.Encode(), http.NoBody)
	if err != nil {
		f.t.Fatal(err)
	}
	nothing := sha256.Sum256(nil)
	hash := hex.EncodeToString(nothing[:])
	request.Header.Set("X-Amz-Content-Sha256", hash)
	keys := aws.Credentials{AccessKeyID: access, SecretAccessKey: secret}
	if err := v4.NewSigner().SignHTTP(context.Background(), keys, request, hash, "s3", "us-east-1", time.Now()); err != nil {
		f.t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		f.t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		f.t.Fatalf("create a user of Ceph: %d %s %v", answer.StatusCode, body, err)
	}
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

package rig

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"golang.org/x/sys/unix"
)

// Foreign is an S3 server that is not ours: a process of its own, with the empty buckets uploads and media.
type Foreign struct {
	URL, Access, Secret string
	Root                string // the folder that it keeps everything in

	t    testing.TB
	cmd  *exec.Cmd
	args []string
	env  []string // beside that of the test
}

// The foreign servers: the module that holds each one's program, and how it is started on a folder and an address.
var foreigners = map[string]struct {
	module, program string
	args            func(root, address string) []string
}{
	"versitygw": {"github.com/versity/versitygw", "github.com/versity/versitygw/cmd/versitygw", func(root, address string) []string {
		return []string{"--port", address, "--quiet", "posix", root}
	}},
	"minio": {"github.com/minio/minio", "github.com/minio/minio", func(root, address string) []string {
		return []string{"server", "--quiet", "--address", address, root}
	}},
}

const (
	foreignAccess = "sluice-test"
	foreignSecret = "not-a-secret-outside-tests"
)

// VersityGW starts a versitygw of the version that is built into Sluice. It is ended with the test.
func VersityGW(t testing.TB) *Foreign {
	t.Helper()
	return startForeign(t, "versitygw", install(t, "versitygw"))
}

// EmptyVersityGW is a versitygw without buckets.
func EmptyVersityGW(t testing.TB) *Foreign {
	t.Helper()
	return launchForeign(t, "versitygw", install(t, "versitygw"))
}

// Notify restarts a versitygw with a webhook for its events, and with more in its environment. It starts only while the
// webhook answers.
func (f *Foreign) Notify(webhook string, env ...string) {
	f.t.Helper()
	f.Stop()
	f.args = append([]string{f.args[0], "--event-webhook-url", webhook}, f.args[1:]...)
	f.env = append(f.env, env...)
	f.Start()
}

// MinIO starts a MinIO server; the test is skipped where `make minio-test` has not built one: that takes minutes.
func MinIO(t testing.TB) *Foreign {
	t.Helper()
	return minIO(t)
}

// TellingMinIO is a MinIO server that posts to webhook, with that token, what is created in the bucket uploads. What it can't post it keeps, and posts later.
func TellingMinIO(t testing.TB, webhook, token string) *Foreign {
	t.Helper()
	f := minIO(t, "MINIO_NOTIFY_WEBHOOK_ENABLE_SLUICE=on", "MINIO_NOTIFY_WEBHOOK_ENDPOINT_SLUICE="+webhook,
		"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_SLUICE=Bearer "+token, "MINIO_NOTIFY_WEBHOOK_QUEUE_DIR_SLUICE="+t.TempDir())
	if _, err := f.Client().PutBucketNotificationConfiguration(context.Background(), &s3.PutBucketNotificationConfigurationInput{
		Bucket: aws.String("uploads"),
		NotificationConfiguration: &types.NotificationConfiguration{QueueConfigurations: []types.QueueConfiguration{
			{QueueArn: aws.String("arn:minio:sqs::SLUICE:webhook"), Events: []types.Event{types.EventS3ObjectCreated}},
		}},
	}); err != nil {
		t.Fatal(err)
	}
	return f
}

func minIO(t testing.TB, env ...string) *Foreign {
	t.Helper()
	program := filepath.Join(Root(t), ".tools", "minio", "minio")
	if _, err := os.Stat(program); err != nil {
		t.Skip("no MinIO server is there: make minio-test builds one")
	}
	return startForeign(t, "minio", program, env...)
}

// install builds a foreign server's program into .tools, once.
func install(t testing.TB, name string) string {
	t.Helper()
	f := foreigners[name]
	version, err := exec.Command("go", "list", "-m", "-f", "{{.Version}}", f.module).Output()
	if err != nil {
		t.Fatalf("go list -m %s: %v", f.module, err)
	}
	v := strings.TrimSpace(string(version))
	dir := filepath.Join(Root(t), ".tools", name+"-"+v)
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
	program := filepath.Join(dir, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	build := exec.Command("go", "install", f.program+"@"+v)
	build.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go install %s: %v\n%s", f.program, err, out)
	}
	return program
}

func startForeign(t testing.TB, name, program string, env ...string) *Foreign {
	t.Helper()
	f := launchForeign(t, name, program, env...)
	f.makeBuckets()
	return f
}

func launchForeign(t testing.TB, name, program string, env ...string) *Foreign {
	t.Helper()
	address := Address(t)
	f := &Foreign{URL: "http://" + address, Access: foreignAccess, Secret: foreignSecret, Root: t.TempDir(), t: t, env: env}
	f.args = append([]string{program}, foreigners[name].args(f.Root, address)...)
	f.Start()
	t.Cleanup(f.Stop)
	return f
}

func (f *Foreign) makeBuckets() {
	f.t.Helper()
	for _, b := range []string{"uploads", "media"} {
		if _, err := f.Client().CreateBucket(context.Background(), &s3.CreateBucketInput{Bucket: &b}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// Start starts the server again after Stop, on the same folder and port.
func (f *Foreign) Start() {
	f.t.Helper()
	f.cmd = exec.Command(f.args[0], f.args[1:]...)
	f.cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+f.Access, "ROOT_SECRET_KEY="+f.Secret, "MINIO_ROOT_USER="+f.Access, "MINIO_ROOT_PASSWORD="+f.Secret)
	f.cmd.Env = append(f.cmd.Env, f.env...)
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	log := &lockedBuffer{}
	f.cmd.Stdout, f.cmd.Stderr = log, log
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	deadline := time.Now().Add(leastWait)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := f.Client().ListBuckets(ctx, &s3.ListBucketsInput{})
		cancel()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("the storage does not start: %v\n%s", err, log.String())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Stop ends the server as kill -9 does.
func (f *Foreign) Stop() {
	_ = f.cmd.Process.Kill()
	_ = f.cmd.Wait()
}

// Client is Amazon's S3 client of the server.
func (f *Foreign) Client() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(f.URL), Region: "us-east-1", UsePathStyle: true, HTTPClient: &http.Client{Transport: http.DefaultTransport},
		Credentials: credentials.NewStaticCredentialsProvider(f.Access, f.Secret, ""),
	})
}

// Flags are the settings by which a server keeps its objects there.
func (f *Foreign) Flags() []string {
	return []string{"--s3-endpoint", f.URL, "--s3-access-key", f.Access, "--s3-secret-key", f.Secret}
}

// Keys lists a bucket's objects with their sizes.
func (f *Foreign) Keys(bucket string) map[string]int64 {
	f.t.Helper()
	keys := map[string]int64{}
	pages := s3.NewListObjectsV2Paginator(f.Client(), &s3.ListObjectsV2Input{Bucket: &bucket})
	for pages.HasMorePages() {
		page, err := pages.NextPage(context.Background())
		if err != nil {
			f.t.Fatal(fmt.Errorf("list %s: %w", bucket, err))
		}
		for _, o := range page.Contents {
			keys[aws.ToString(o.Key)] = aws.ToInt64(o.Size)
		}
	}
	return keys
}

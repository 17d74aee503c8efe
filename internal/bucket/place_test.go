package bucket_test

import (
	"path/filepath"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
	"sluice/test/rig"
)

// place is where objects are, and a Store over it.
type place struct {
	store *bucket.Store
	name  string // of the server
	url   string // of its S3 endpoint
	keys  bucket.Credentials
}

// aws is Amazon's client of the endpoint.
func (p place) aws() *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: &p.url, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(p.keys.Access, p.keys.Secret, ""),
	})
}

// ours reports whether the server is the embedded endpoint.
func (p place) ours() bool { return p.name == "embedded" || p.name == "own door" }

// places are the S3 servers, each as a Store reaches it: ours by its shortcuts, ours by S3 alone, and those of others, processes of their own.
var places = []struct {
	name   string
	remote bool // what is there is reached by S3 alone
	open   func(*testing.T) place
}{
	{"embedded", false, func(t *testing.T) place {
		h := newHouse(t)
		return place{store: h.store, url: h.url, keys: keys}
	}},
	{"own door", true, func(t *testing.T) place { return remotely(t, newHouse(t).url, keys) }},
	{"versitygw", true, foreign(rig.VersityGW)},
	{"ceph", true, foreign(rig.Ceph)},
	{"minio", true, foreign(rig.MinIO)}, // skipped where make minio-test has built none
}

func foreign(start func(testing.TB) *rig.Foreign) func(*testing.T) place {
	return func(t *testing.T) place {
		f := start(t)
		return remotely(t, f.URL, bucket.Credentials{Access: f.Access, Secret: f.Secret})
	}
}

func remotely(t *testing.T, url string, c bucket.Credentials) place {
	t.Helper()
	return place{store: remote(t, url, c), url: url, keys: c}
}

// everywhere runs a test on each S3 server.
func everywhere(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	for _, at := range places {
		t.Run(at.name, func(t *testing.T) {
			t.Parallel()
			p := at.open(t)
			p.name = at.name
			test(t, p)
		})
	}
}

// elsewhere runs a test on each S3 server that is reached by S3 alone.
func elsewhere(t *testing.T, test func(t *testing.T, p place)) {
	t.Helper()
	for _, at := range places {
		if at.remote {
			t.Run(at.name, func(t *testing.T) {
				t.Parallel()
				p := at.open(t)
				p.name = at.name
				test(t, p)
			})
		}
	}
}

func remote(t *testing.T, url string, c bucket.Credentials) *bucket.Store {
	t.Helper()
	s, err := bucket.Open(t.Context(), bucket.Config{Endpoint: url, Region: "us-east-1", Credentials: c, Cache: filepath.Join(t.TempDir(), "cache"), CacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

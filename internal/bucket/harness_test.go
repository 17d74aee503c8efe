package bucket_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/minio/minio-go/v7"
	mcreds "github.com/minio/minio-go/v7/pkg/credentials"

	"sluice/internal/bucket"
)

var keys = bucket.Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}

const origin = "https://page.example.org"

// house is an embedded endpoint behind a front door on a TCP port, with a note of what Created was told.
type house struct {
	root     string
	url      string
	embedded *bucket.Embedded
	store    *bucket.Store
	aws      *s3.Client
	minio    *minio.Client

	mu      sync.Mutex
	told    []bucket.Object
	created func(context.Context, bucket.Object) error // beside the note; nil for nothing
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{root: filepath.Join(t.TempDir(), strings.Repeat("long-", 25), "[buckets")}
	if err := os.MkdirAll(h.root, 0o755); err != nil {
		t.Fatal(err)
	}
	var err error
	h.embedded, err = bucket.OpenEmbedded(t.Context(), bucket.EmbeddedConfig{
		Root: h.root, Credentials: keys, Buckets: []string{"uploads", "media"}, Created: h.note, Domain: "video.example.org",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.embedded.Close(); err != nil {
			t.Error(err)
		}
	})
	s3door := bucket.CORS([]string{origin}, h.embedded.Handler())
	mux := http.NewServeMux()
	door := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if bucket.IsS3Request(r) {
			s3door.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(door.Close)
	h.url = door.URL
	if h.store, err = bucket.Open(t.Context(), bucket.Config{Embedded: h.embedded}); err != nil {
		t.Fatal(err)
	}
	h.aws = s3.New(s3.Options{
		BaseEndpoint: &h.url, Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(keys.Access, keys.Secret, ""),
	})
	h.minio, err = minio.New(strings.TrimPrefix(h.url, "http://"), &minio.Options{Creds: mcreds.NewStaticV4(keys.Access, keys.Secret, ""), Region: "us-east-1"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) note(ctx context.Context, o bucket.Object) error {
	h.mu.Lock()
	h.told = append(h.told, o)
	also := h.created
	h.mu.Unlock()
	if also != nil {
		return also(ctx, o)
	}
	return nil
}

func (h *house) notes() []bucket.Object {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bucket.Object(nil), h.told...)
}

var errNoted = errors.New("the fact could not be recorded")

// unsigned lets a client send a body that can't seek.
func unsigned(o *s3.Options) {
	o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
	s3.WithAPIOptions(v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware)(o)
}

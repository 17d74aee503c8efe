package bucket_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"sluice/internal/bucket"
	"sluice/internal/fault"
)

// TestAFullStorageTakesNothingInAndGivesEverythingOut asks with Amazon's client: the error must be one that it knows.
func TestAFullStorageTakesNothingInAndGivesEverythingOut(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var free int64 = 1 << 30
	door := httptest.NewServer(bucket.Gate(func(n int64) error {
		if n < free {
			return nil
		}
		return fault.New(fault.Unavailable, "test", "disk_full", "Free some space.", nil)
	}, h.embedded.Handler()))
	t.Cleanup(door.Close)
	client := s3.New(s3.Options{
		BaseEndpoint: &door.URL, Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(keys.Access, keys.Secret, ""),
	})
	ctx, uploads, key := t.Context(), aws.String("uploads"), aws.String("a.mp4")
	put := func(key string, size int) error {
		_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: uploads, Key: &key, Body: bytes.NewReader(make([]byte, size))})
		return err
	}
	if err := put(*key, 100); err != nil {
		t.Fatal(err)
	}
	begun, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: uploads, Key: aws.String("b.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	part := &s3.UploadPartInput{Bucket: uploads, Key: aws.String("b.mp4"), UploadId: begun.UploadId, PartNumber: aws.Int32(1), Body: strings.NewReader("part")}
	stored, err := client.UploadPart(ctx, part)
	if err != nil {
		t.Fatal(err)
	}

	full := func(what string, err error) {
		t.Helper()
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "SlowDown" || api.ErrorMessage() != "Free some space." {
			t.Errorf("%s: %v, want SlowDown", what, err)
		}
	}
	free = 5000
	full("a large object", put("large.mp4", 20_000_000))
	if err := put("small.mp4", 1000); err != nil {
		t.Errorf("an object that fits: %v", err)
	}
	free = 0
	full("an object", put("c.mp4", 1))
	full("an empty object", put("d.mp4", 0))
	part.Body = strings.NewReader("part")
	_, err = client.UploadPart(ctx, part)
	full("a part", err)
	_, err = client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: uploads, Key: aws.String("e.mp4")})
	full("a multipart upload", err)
	_, err = client.CopyObject(ctx, &s3.CopyObjectInput{Bucket: uploads, Key: aws.String("f.mp4"), CopySource: aws.String("uploads/" + url.PathEscape(*key))})
	full("a copy", err)

	if _, err := client.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: uploads, Key: aws.String("b.mp4"), UploadId: begun.UploadId,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: stored.ETag}}}}); err != nil {
		t.Errorf("completing: %v", err)
	}
	if _, err := client.PutObjectTagging(ctx, &s3.PutObjectTaggingInput{Bucket: uploads, Key: key, Tagging: &types.Tagging{TagSet: []types.Tag{{Key: key, Value: key}}}}); err != nil {
		t.Errorf("tagging: %v", err)
	}
	got, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: uploads, Key: key})
	if err != nil {
		t.Errorf("reading: %v", err)
	} else {
		_ = got.Body.Close()
	}
	if _, err := client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: uploads, Key: key}); err != nil {
		t.Errorf("deleting: %v", err)
	}
}

// TestABrowserLearnsWhyItsUploadIsRefused sends a body at once, without waiting to be asked for it, as browsers do.
func TestABrowserLearnsWhyItsUploadIsRefused(t *testing.T) {
	t.Parallel()
	door := httptest.NewServer(bucket.CORS([]string{origin}, bucket.Gate(func(int64) error {
		return fault.New(fault.Unavailable, "test", "disk_full", "Free <some> space.", nil)
	}, http.NotFoundHandler())))
	t.Cleanup(door.Close)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, door.URL+"/uploads/a.mp4?X-Amz-Signature=x", bytes.NewReader(make([]byte, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", origin)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var body bytes.Buffer
	_, _ = body.ReadFrom(response.Body)
	if response.StatusCode != 503 || response.Header.Get("Retry-After") == "" || response.Header.Get("Access-Control-Allow-Origin") != origin ||
		!strings.Contains(body.String(), "<Error><Code>SlowDown</Code><Message>Free &lt;some&gt; space.</Message><RequestId>") {
		t.Errorf("%d %v %s", response.StatusCode, response.Header, body.String())
	}
}

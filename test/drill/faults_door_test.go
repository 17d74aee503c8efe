package drill

import (
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"sluice/test/rig"
)

// doorFaults are requests to the S3 endpoint.
var doorFaults = []faultInput{
	{name: "s3-metadata-case", make: script("s3-metadata-case", ".mp4"), run: metadataCase},
	{name: "s3-double-slash", make: script("s3-double-slash", ".mp4"), run: doubleSlash},
	{name: "S3 keys of one path", run: keysOfOnePath},
	{name: "requests that look like S3", run: looksLikeS3},
}

// putS3 puts bytes and returns the code of the S3 error, "" for none.
func putS3(t *testing.T, s *rig.Server, key string, body []byte, metadata map[string]string) string {
	t.Helper()
	_, err := s.AWS().PutObject(t.Context(), &s3.PutObjectInput{
		Bucket: aws.String("uploads"), Key: &key, Body: strings.NewReader(string(body)), Metadata: metadata,
	})
	var api smithy.APIError
	if err != nil && !errors.As(err, &api) {
		t.Fatal(err)
	}
	if err != nil {
		return api.ErrorCode()
	}
	return ""
}

func metadataCase(t *testing.T, s *rig.Server, input string) string {
	body, err := os.ReadFile(input)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"mtime": "1", "camera-id": "a7"}
	if code := putS3(t, s, "meta.mp4", body, want); code != "" {
		t.Fatal(code)
	}
	signed, err := s3.NewPresignClient(s.AWS()).PresignHeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("uploads"), Key: aws.String("meta.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), signed.Method, signed.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	// net/http and the SDK change the case of names, so the answer is read as its bytes.
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.URL.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r.Close = true
	if err := r.Write(conn); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range want {
		if line := "\r\nx-amz-meta-" + name + ": " + value + "\r\n"; !strings.Contains(string(answer), line) {
			t.Errorf("no line %q:\n%s", line, answer)
		}
	}
	return "names in lower case"
}

func doubleSlash(t *testing.T, s *rig.Server, input string) string {
	first, err := os.ReadFile(input)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(input + ".2")
	if err != nil {
		t.Fatal(err)
	}
	if code := putS3(t, s, "q/x.mp4", first, nil); code != "" {
		t.Fatal(code)
	}
	code := putS3(t, s, "q//x.mp4", second, nil)
	head, err := s.AWS().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String("uploads"), Key: aws.String("q/x.mp4")})
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(first)
	if etag := strings.Trim(aws.ToString(head.ETag), `"`); code != "InvalidArgument" || etag != hex.EncodeToString(sum[:]) {
		t.Errorf("q//x.mp4: %q, and q/x.mp4 has the ETag %s; want InvalidArgument and the first file's", code, etag)
	}
	return "refused with " + code + ", the object is kept"
}

func keysOfOnePath(t *testing.T, s *rig.Server, _ string) string {
	if code := putS3(t, s, "a/b.bin", []byte("first"), nil); code != "" {
		t.Fatal(code)
	}
	odd := []string{"/a/b.bin", "a//b.bin", "./a/b.bin", "a/./b.bin", "a/../a/b.bin", "a/b.bin\n", "a/b\x7f.bin", "a/\tb.bin"}
	for _, key := range odd {
		if code := putS3(t, s, key, []byte("other"), nil); code != "InvalidArgument" {
			t.Errorf("%q: %q; want InvalidArgument", key, code)
		}
	}
	return fmt.Sprintf("%d keys refused", len(odd))
}

func looksLikeS3(t *testing.T, s *rig.Server, _ string) string {
	paths := []string{"/uploads", "/uploads/", "/uploads/x.mp4", "/nosuch", "/nosuch/", "/nosuch/x.mp4", "/x?AWSAccessKeyId=A&Expires=1&Signature=x", "/x?X-Amz-Credential=A"}
	for _, path := range paths {
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		for _, element := range []string{"<Error>", "<Code>", "<Message>", "<RequestId>"} {
			if !strings.Contains(string(body), element) {
				t.Errorf("GET %s: %d %s has no %s", path, res.StatusCode, body, element)
			}
		}
	}
	return fmt.Sprintf("%d requests got an S3 error", len(paths))
}

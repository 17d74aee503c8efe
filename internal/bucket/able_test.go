package bucket_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"sluice/internal/bucket"
)

var update = flag.Bool("update", false, "write the table of docs/S3.md")

// refused reports whether err is one of an S3 server with that code.
func refused(err error, codes ...string) bool {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return false
	}
	for _, code := range codes {
		if api.ErrorCode() == code {
			return true
		}
	}
	return false
}

// replaced puts the object "a" again, which a request has removed; it is false.
func replaced(t *testing.T, c *s3.Client, err error) bool {
	t.Helper()
	if err != nil {
		t.Logf("refused by another error: %v", err)
	}
	if _, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String("a"), Body: strings.NewReader("first")}); err != nil {
		t.Fatal(err)
	}
	return false
}

// abilities are what Sluice asks of an S3 server, or would like to. Each test begins with the object "a" of the bucket media, which holds "first".
var abilities = []struct {
	says string
	able func(t *testing.T, p place, c *s3.Client) bool
}{
	{"`If-None-Match: *` on PUT keeps what is there", func(t *testing.T, _ place, c *s3.Client) bool {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String("a"), Body: strings.NewReader("x"), IfNoneMatch: aws.String("*")})
		return refused(err, "PreconditionFailed")
	}},
	{"of eight such PUTs at once one is taken", func(t *testing.T, _ place, c *s3.Client) bool {
		var taken atomic.Int64
		for round := range 4 {
			var all sync.WaitGroup
			for n := range 8 {
				all.Go(func() {
					_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String(fmt.Sprint("twin ", round)),
						Body: strings.NewReader(fmt.Sprint("twin ", n)), IfNoneMatch: aws.String("*")})
					if err == nil {
						taken.Add(1)
					}
				})
			}
			all.Wait()
		}
		return taken.Load() == 4
	}},
	{"`If-Match` on GET", func(t *testing.T, _ place, c *s3.Client) bool {
		out, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("media"), Key: aws.String("a"), IfMatch: aws.String(`"` + md5hex(nil) + `"`)})
		if err == nil {
			_ = out.Body.Close()
		}
		return refused(err, "PreconditionFailed")
	}},
	{"`x-amz-copy-source-if-match` on copies", func(t *testing.T, _ place, c *s3.Client) bool {
		_, err := c.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String("media"), Key: aws.String("copy"), CopySource: aws.String("media/a"),
			CopySourceIfMatch: aws.String(`"` + md5hex(nil) + `"`)})
		return refused(err, "PreconditionFailed")
	}},
	{"`x-amz-copy-source-if-match` on copied parts", func(t *testing.T, _ place, c *s3.Client) bool {
		up, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("media"), Key: aws.String("parts")})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.UploadPartCopy(t.Context(), &s3.UploadPartCopyInput{Bucket: aws.String("media"), Key: aws.String("parts"), UploadId: up.UploadId, PartNumber: aws.Int32(1),
			CopySource: aws.String("media/a"), CopySourceIfMatch: aws.String(`"` + md5hex(nil) + `"`)})
		return refused(err, "PreconditionFailed")
	}},
	{"`If-Match` on DELETE keeps other bytes", func(t *testing.T, _ place, c *s3.Client) bool {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("media"), Key: aws.String("a"), IfMatch: aws.String(`"` + md5hex(nil) + `"`)})
		return refused(err, "PreconditionFailed") || replaced(t, c, err)
	}},
	{"`x-amz-if-match-last-modified-time` on DELETE keeps a later write of the same bytes", func(t *testing.T, _ place, c *s3.Client) bool {
		_, err := c.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("media"), Key: aws.String("a"), IfMatch: aws.String(`"` + md5hex([]byte("first")) + `"`),
			IfMatchLastModifiedTime: aws.Time(time.Now().Add(-time.Hour))})
		return refused(err, "PreconditionFailed") || replaced(t, c, err)
	}},
	{"an object's ETag is its MD5", func(t *testing.T, p place, _ *s3.Client) bool {
		o, err := p.store.Head(t.Context(), "media", "a")
		return err == nil && o.ETag == md5hex([]byte("first"))
	}},
	{"a body that is not its `Content-MD5` is refused", func(t *testing.T, _ place, c *s3.Client) bool {
		_, err := c.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("media"), Key: aws.String("damaged"), Body: strings.NewReader("x"),
			ContentMD5: aws.String("1B2M2Y8AsgTpgAmY7PhCfg==")}) // of nothing
		return refused(err, "BadDigest")
	}},
	{"a signed length and type bind a presigned PUT", func(t *testing.T, p place, _ *s3.Client) bool {
		for content, kind := range map[string]string{"four": "text/html", "longer": "video/mp4"} {
			url, _, err := p.store.PresignPut(t.Context(), bucket.PresignRequest{Bucket: "media", Key: "presigned", ContentType: "video/mp4", Size: 4, Expires: time.Minute, PublicURL: p.url})
			if err != nil {
				t.Fatal(err)
			}
			if put(t, url, content, map[string]string{"Content-Type": kind}) != 403 {
				return false
			}
		}
		return true
	}},
	{"one listing finds all abandoned uploads in parts", func(t *testing.T, p place, c *s3.Client) bool {
		want := map[string]bool{}
		for _, key := range []string{"abandoned", "films/abandoned"} {
			if _, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: &key}); err != nil {
				t.Fatal(err)
			}
			want[key] = true
		}
		for m, err := range p.store.Multiparts(t.Context(), "uploads") {
			if err != nil {
				t.Fatal(err)
			}
			if err := p.store.Abort(t.Context(), m); err != nil {
				t.Error(err)
			}
			delete(want, m.Key)
		}
		return len(want) == 0
	}},
	{"an object's key may begin as another's, with a slash", func(t *testing.T, p place, _ *s3.Client) bool {
		_, err := p.store.Put(t.Context(), "media", "a/below", strings.NewReader("x"), 1, "")
		return err == nil
	}},
}

// TestWhatEachServerIsAbleToDoIsWritten asks each S3 server, and compares with docs/S3.md (-update writes the column of each that is there).
func TestWhatEachServerIsAbleToDoIsWritten(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	found := map[string][]bool{}
	t.Run("asked", func(t *testing.T) {
		for _, at := range places {
			if at.name == "own door" { // which is the embedded one's
				continue
			}
			t.Run(at.name, func(t *testing.T) {
				t.Parallel()
				p := at.open(t)
				c := p.aws()
				if _, err := p.store.Put(t.Context(), "media", "a", strings.NewReader("first"), 5, ""); err != nil {
					t.Fatal(err)
				}
				able := make([]bool, len(abilities))
				for n, a := range abilities {
					able[n] = a.able(t, p, c)
				}
				mu.Lock()
				defer mu.Unlock()
				found[at.name] = able
			})
		}
	})
	const path = "../../docs/S3.md"
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	fence := regexp.MustCompile(`(?s)<!-- table: written by internal/bucket -->\n(.*?)<!-- end -->`)
	at := fence.FindSubmatchIndex(page)
	if at == nil {
		t.Fatalf("%s has no place for the table", path)
	}
	got := ableTable(string(page[at[2]:at[3]]), found)
	if *update {
		if err := os.WriteFile(path, bytes.Join([][]byte{page[:at[2]], []byte(got), page[at[3]:]}, nil), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if got != string(page[at[2]:at[3]]) {
		t.Errorf("docs/S3.md says otherwise (-update writes it):\n%s", got)
	}
}

// ableTable writes what was found; of a server that wasn't asked it keeps what the table before says. Another release of a server may be able to do more.
func ableTable(before string, found map[string][]bool) string {
	var names []string
	for _, at := range places {
		if at.name != "own door" {
			names = append(names, at.name)
		}
	}
	cell := func(says string, column int) string {
		for line := range strings.Lines(before) {
			if cells := strings.Split(line, "|"); len(cells) > column+2 && strings.TrimSpace(cells[1]) == says {
				return strings.TrimSpace(cells[column+2])
			}
		}
		return "?"
	}
	table := "| | " + strings.Join(names, " | ") + " |\n|---" + strings.Repeat("|:-:", len(names)) + "|\n"
	for n, a := range abilities {
		table += "| " + a.says
		for column, name := range names {
			says := cell(a.says, column)
			if able := found[name]; able != nil {
				now := map[bool]string{true: "yes", false: "**no**"}[able[n]]
				if says != "**no**" || name == "embedded" || *update {
					says = now
				}
			}
			table += " | " + says
		}
		table += " |\n"
	}
	return table
}

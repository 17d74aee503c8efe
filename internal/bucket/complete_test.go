package bucket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
	"golang.org/x/sys/unix"

	"sluice/internal/fault"
)

// endpoint opens an embedded endpoint at root, whose operations the tests call without HTTP.
func endpoint(t *testing.T, root string) *Embedded {
	t.Helper()
	e, err := OpenEmbedded(t.Context(), EmbeddedConfig{
		Root: root, Credentials: Credentials{Access: "sluice", Secret: "not-a-secret-outside-tests"}, Buckets: []string{"uploads", "media"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if e.disk.life.Err() != nil {
			return // the test closed it
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// multipart is an upload in parts of a test.
type multipart struct {
	t     *testing.T
	disk  *disk
	key   string
	id    string
	parts []types.CompletedPart
	bytes []byte
}

// begin begins an upload with parts of the given sizes.
func begin(t *testing.T, d *disk, key string, in s3response.CreateMultipartUploadInput, sizes ...int) *multipart {
	t.Helper()
	in.Bucket, in.Key = aws.String("uploads"), &key
	up, err := d.CreateMultipartUpload(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	m := &multipart{t: t, disk: d, key: key, id: up.UploadId}
	for n, size := range sizes {
		body := bytes.Repeat([]byte{byte('a' + n)}, size)
		copy(body, fmt.Sprintf("part %d begins", n))
		m.bytes = append(m.bytes, body...)
		m.parts = append(m.parts, m.part(int32(n+1), body))
	}
	return m
}

func (m *multipart) part(number int32, body []byte) types.CompletedPart {
	m.t.Helper()
	out, err := m.disk.UploadPart(m.t.Context(), &s3.UploadPartInput{
		Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, PartNumber: &number, Body: bytes.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return types.CompletedPart{
		PartNumber: &number, ETag: out.ETag, ChecksumCRC32: out.ChecksumCRC32, ChecksumSHA256: out.ChecksumSHA256, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
	}
}

func (m *multipart) input() *s3.CompleteMultipartUploadInput {
	return &s3.CompleteMultipartUploadInput{
		Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, MultipartUpload: &types.CompletedMultipartUpload{Parts: m.parts},
	}
}

func (m *multipart) complete(ctx context.Context) (s3response.CompleteMultipartUploadResult, error) {
	out, _, err := m.disk.CompleteMultipartUpload(ctx, m.input())
	return out, err
}

func (m *multipart) folder() string {
	return partsFolder(filepath.Join(m.disk.root, "uploads"), m.key, m.id)
}

// holds fails where the object does not hold the bytes, or anything is left of the upload.
func (m *multipart) holds(want []byte) {
	m.t.Helper()
	got, err := os.ReadFile(filepath.Join(m.disk.root, "uploads", m.key))
	if err != nil || !bytes.Equal(got, want) {
		m.t.Errorf("%d bytes are stored, uploaded %d, equal %v, %v", len(got), len(want), bytes.Equal(got, want), err)
	}
	unstaged(m.t, m.disk.root)
}

// unstaged fails where the staging folders hold anything.
func unstaged(t *testing.T, root string) {
	t.Helper()
	for _, bucket := range []string{"uploads", "media"} {
		err := filepath.WalkDir(filepath.Join(root, bucket, staging), func(path string, d fs.DirEntry, err error) error {
			if name := filepath.Base(path); err == nil && name != staging && name != uploadsFolder {
				t.Errorf("left in the staging folder: %s", path)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// codeOf is the S3 code of an error.
func codeOf(err error) string {
	var known interface{ ErrorCode() string }
	if api, ok := errors.AsType[s3err.APIError](err); ok {
		return api.Code
	}
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	for code, known := range map[string]s3err.ErrorCode{
		"NoSuchUpload": s3err.ErrNoSuchUpload, "KeyTooLongError": s3err.ErrKeyTooLong, "InvalidPart": s3err.ErrInvalidPart,
	} {
		if errors.Is(err, s3err.GetAPIError(known)) {
			return code
		}
	}
	return fmt.Sprint(err)
}

func put(t *testing.T, d *disk, key, body string) error {
	t.Helper()
	_, err := d.PutObject(t.Context(), s3response.PutObjectInput{
		Bucket: aws.String("uploads"), Key: &key, Body: strings.NewReader(body), ContentLength: aws.Int64(int64(len(body))),
	})
	return err
}

func TestComplete_UploadAbortedOrNeverBegun_ReturnsNoSuchUpload(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	if err := put(t, d, "a.mp4", "the object under the key"); err != nil {
		t.Fatal(err)
	}
	aborted := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 100)
	if err := d.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &aborted.key, UploadId: &aborted.id}); err != nil {
		t.Fatal(err)
	}
	never := *aborted
	never.id = "00000000-0000-0000-0000-000000000000"
	odd := *aborted
	odd.id = "../../../../media"
	for what, m := range map[string]*multipart{"aborted": aborted, "never begun": &never, "a path": &odd} {
		out, err := m.complete(t.Context())
		if codeOf(err) != "NoSuchUpload" || out.ETag != nil {
			t.Errorf("%s: %+v, %v", what, out, err)
		}
	}
	for name, err := range map[string]error{
		"abort": d.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &odd.key, UploadId: &odd.id}),
		"list": func() error {
			_, err := d.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("uploads"), Key: &odd.key, UploadId: &odd.id, MaxParts: aws.Int32(9)})
			return err
		}(),
	} {
		if codeOf(err) != "NoSuchUpload" {
			t.Errorf("%s of an id that is a path: %v", name, err)
		}
	}
	if got, err := os.ReadFile(filepath.Join(d.root, "uploads", "a.mp4")); string(got) != "the object under the key" {
		t.Errorf("the object holds %q, %v", got, err)
	}
}

func TestComplete_Repeated_AnswersTheSameUntilTheObjectIsAnother(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	m := begin(t, d, "deep/a.mp4", s3response.CreateMultipartUploadInput{ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumType: types.ChecksumTypeComposite})
	body := []byte("one part")
	m.parts = []types.CompletedPart{m.summed(1, body)}
	first, err := m.complete(t.Context())
	if err != nil || deref(first.ChecksumSHA256) == "" {
		t.Fatalf("%+v, %v", first, err)
	}
	again, err := m.complete(t.Context())
	if err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the answer was %+v, and repeated %+v, %v", first, again, err)
	}
	m.holds(body)
	other := *m
	other.parts = []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: aws.String(`"` + strings.Repeat("0", 32) + `"`)}}
	if _, err := other.complete(t.Context()); codeOf(err) != "NoSuchUpload" {
		t.Errorf("completed again with other parts: %v", err)
	}
	if err := put(t, d, m.key, "a newer object"); err != nil {
		t.Fatal(err)
	}
	if out, err := m.complete(t.Context()); codeOf(err) != "NoSuchUpload" {
		t.Errorf("after another write: %+v, %v", out, err)
	}
	m.holds([]byte("a newer object"))
}

// summed uploads a part with its SHA-256.
func (m *multipart) summed(number int32, body []byte) types.CompletedPart {
	m.t.Helper()
	sum := sha256Base64(body)
	out, err := m.disk.UploadPart(m.t.Context(), &s3.UploadPartInput{
		Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, PartNumber: &number, Body: bytes.NewReader(body),
		ContentLength: aws.Int64(int64(len(body))), ChecksumSHA256: &sum,
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return types.CompletedPart{PartNumber: &number, ETag: out.ETag, ChecksumSHA256: &sum}
}

// TestComplete_SameInput_MatchesVersitygw completes the same uploads by versitygw's own completion and by ours.
func TestComplete_SameInput_MatchesVersitygw(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	const part = 5 << 20
	text := aws.String
	rich := s3response.CreateMultipartUploadInput{
		ContentType: text("video/mp4"), ContentEncoding: text("gzip"), ContentDisposition: text("inline"), ContentLanguage: text("ja"), CacheControl: text("no-store"),
		Expires: text("Thu, 01 Dec 2094 16:00:00 GMT"), Metadata: map[string]string{"camera": "two"}, Tagging: text("team=a&kind=b"),
	}
	crc32 := s3response.CreateMultipartUploadInput{ChecksumAlgorithm: types.ChecksumAlgorithmCrc32, ChecksumType: types.ChecksumTypeFullObject}
	crc64 := s3response.CreateMultipartUploadInput{ChecksumAlgorithm: types.ChecksumAlgorithmCrc64nvme, ChecksumType: types.ChecksumTypeFullObject}
	composite := s3response.CreateMultipartUploadInput{ChecksumAlgorithm: types.ChecksumAlgorithmSha256, ChecksumType: types.ChecksumTypeComposite}
	none := func(*multipart, *s3.CompleteMultipartUploadInput) {}
	cases := []struct {
		name   string
		in     s3response.CreateMultipartUploadInput
		sizes  []int
		change func(*multipart, *s3.CompleteMultipartUploadInput)
		fails  bool
	}{
		{"plain", s3response.CreateMultipartUploadInput{}, []int{part, part + 1, 3}, none, false},
		{"one empty part", s3response.CreateMultipartUploadInput{}, []int{0}, none, false},
		{"all properties", rich, []int{7}, none, false},
		{"CRC32 of the object", crc32, []int{part, 9}, none, false},
		{"CRC64NVME of the object", crc64, []int{part, 9}, none, false},
		{"composite SHA-256", composite, nil, func(m *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{m.summed(1, make([]byte, part)), m.summed(4, []byte("end"))}
		}, false},
		{"some parts", s3response.CreateMultipartUploadInput{}, []int{part, part, 5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = slices.Delete(slices.Clone(in.MultipartUpload.Parts), 1, 2)
		}, false},
		{"size as announced", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.MpuObjectSize = aws.Int64(5) }, false},
		{"size not as announced", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.MpuObjectSize = aws.Int64(6) }, true},
		{"a part too small", s3response.CreateMultipartUploadInput{}, []int{5, 5}, none, true},
		{"parts in disorder", s3response.CreateMultipartUploadInput{}, []int{part, part}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{in.MultipartUpload.Parts[1], in.MultipartUpload.Parts[0]}
		}, true},
		{"a part twice", s3response.CreateMultipartUploadInput{}, []int{part}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = append(slices.Clone(in.MultipartUpload.Parts), in.MultipartUpload.Parts[0])
		}, true},
		{"a part that is missing", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{{PartNumber: aws.Int32(2), ETag: in.MultipartUpload.Parts[0].ETag}}
		}, true},
		{"another ETag", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: aws.String(`"` + strings.Repeat("0", 32) + `"`)}}
		}, true},
		{"a checksum that nobody asked for", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) {
			in.MultipartUpload.Parts = []types.CompletedPart{{PartNumber: aws.Int32(1), ETag: in.MultipartUpload.Parts[0].ETag, ChecksumCRC32: aws.String("AAAAAA==")}}
		}, true},
		{"another checksum of the object", crc32, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.ChecksumCRC32 = aws.String("AAAAAA==") }, true},
		{"another type of checksum", crc32, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.ChecksumType = types.ChecksumTypeComposite }, true},
		{"none may be there, none is", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.IfNoneMatch = aws.String("*") }, false},
		{"one must be there, none is", s3response.CreateMultipartUploadInput{}, []int{5}, func(_ *multipart, in *s3.CompleteMultipartUploadInput) { in.IfMatch = aws.String("x") }, true},
	}
	for n, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			theirs := begin(t, d, fmt.Sprintf("theirs/%d.mp4", n), c.in, c.sizes...)
			ours := begin(t, d, fmt.Sprintf("ours/%d.mp4", n), c.in, c.sizes...)
			in := theirs.input()
			c.change(theirs, in)
			in.Bucket = aws.String(filepath.Join(d.root, "uploads"))
			want, _, wantErr := d.posix.CompleteMultipartUpload(t.Context(), in)
			in = ours.input()
			c.change(ours, in)
			got, _, err := d.CompleteMultipartUpload(t.Context(), in)
			if (err != nil) != c.fails || !reflect.DeepEqual(without(err, ours.id), without(wantErr, theirs.id)) {
				t.Fatalf("ours: %v; versitygw's: %v", err, wantErr)
			}
			if err != nil {
				return
			}
			want.Bucket, want.Key = got.Bucket, got.Key
			if !reflect.DeepEqual(got, want) {
				t.Errorf("we answer %+v, versitygw %+v", got, want)
			}
			a, b := stored(t, d, ours.key), stored(t, d, theirs.key)
			if !maps.EqualFunc(a.attributes, b.attributes, bytes.Equal) || !bytes.Equal(a.bytes, b.bytes) || a.mode != b.mode {
				t.Errorf("we stored %d bytes %v %q, versitygw %d bytes %v %q", len(a.bytes), a.mode, a.attributes, len(b.bytes), b.mode, b.attributes)
			}
		})
	}
}

// without is an error's text and type without the id of its upload.
func without(err error, id string) string {
	return strings.ReplaceAll(fmt.Sprintf("%T %+v", err, err), id, "ID")
}

type storedObject struct {
	attributes map[string][]byte
	bytes      []byte
	mode       fs.FileMode
}

func stored(t *testing.T, d *disk, key string) (o storedObject) {
	t.Helper()
	file, err := os.Open(filepath.Join(d.root, "uploads", key))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if o.attributes, err = attributesOf(file); err != nil {
		t.Fatal(err)
	}
	delete(o.attributes, "user."+multipartAttribute) // compressed, with the upload's id; others read it back
	if o.bytes, err = io.ReadAll(file); err != nil {
		t.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	o.mode = info.Mode()
	return o
}

// countdown is a context that is canceled once it was asked n times.
type countdown struct {
	context.Context
	n *int
}

func (c countdown) Err() error {
	if *c.n--; *c.n < 0 {
		return context.Canceled
	}
	return nil
}

func interrupted(t *testing.T, after int) countdown { return countdown{t.Context(), &after} }

func TestComplete_InterruptedInTheMiddle_UploadStaysUsable(t *testing.T) {
	t.Parallel()
	const part = 5 << 20
	ways := map[string]func(t *testing.T, m *multipart) []byte{
		"completed again": func(_ *testing.T, m *multipart) []byte { return m.bytes },
		"completed with fewer parts": func(_ *testing.T, m *multipart) []byte {
			m.parts = []types.CompletedPart{m.parts[0], m.parts[2]}
			return append(slices.Clone(m.bytes[:part]), m.bytes[2*part:]...)
		},
		"a part uploaded again": func(_ *testing.T, m *multipart) []byte {
			body := bytes.Repeat([]byte("new"), part)
			m.parts[0] = m.part(1, body)
			return append(body, m.bytes[part:]...)
		},
		"the same part uploaded again": func(_ *testing.T, m *multipart) []byte {
			m.parts[1] = m.part(2, m.bytes[part:2*part])
			return m.bytes
		},
		"interrupted again with fewer parts": func(t *testing.T, m *multipart) []byte {
			all := m.parts
			m.parts = all[:2]
			if _, err := m.complete(interrupted(t, 2)); codeOf(err) != "SlowDown" {
				t.Fatalf("interrupted again: %v", err)
			}
			m.parts = all
			return m.bytes
		},
	}
	for what, then := range ways {
		for asked := range 4 { // the more often the context is asked, the more is joined
			if asked < 2 && what != "completed again" {
				continue // nothing is joined
			}
			t.Run(fmt.Sprintf("%s, %d", what, asked), func(t *testing.T) {
				root := t.TempDir()
				e := endpoint(t, root)
				if err := put(t, e.disk, "a.mp4", "an older object"); err != nil {
					t.Fatal(err)
				}
				m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, part, part, 100)
				if _, err := m.complete(interrupted(t, asked)); codeOf(err) != "SlowDown" {
					t.Fatalf("interrupted: %v", err)
				}
				if asked%2 == 1 {
					if err := e.Close(); err != nil {
						t.Fatal(err)
					}
					m.disk = endpoint(t, root).disk
				}
				listed, err := m.disk.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, MaxParts: aws.Int32(9)})
				if err != nil || len(listed.Parts) != 3 || listed.Parts[1].Size != part || listed.Parts[1].ETag != *m.parts[1].ETag {
					t.Errorf("listed %+v, %v", listed, err)
				}
				if got, err := os.ReadFile(filepath.Join(root, "uploads", "a.mp4")); string(got) != "an older object" {
					t.Errorf("the older object holds %d bytes, %v", len(got), err)
				}
				want := then(t, m)
				if _, err := m.complete(t.Context()); err != nil {
					t.Fatal(err)
				}
				m.holds(want)
			})
		}
	}
}

func TestAbort_AfterAnInterruptedCompletion_LeavesNothing(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	e := endpoint(t, root)
	m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 5<<20)
	if _, err := m.complete(interrupted(t, 1)); codeOf(err) != "SlowDown" {
		t.Fatal(err)
	}
	up, err := e.disk.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads"), MaxUploads: aws.Int32(9)})
	if err != nil || len(up.Uploads) != 1 {
		t.Errorf("uploads %+v, %v", up, err)
	}
	if err := e.disk.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id}); err != nil {
		t.Fatal(err)
	}
	unstaged(t, root)
}

// TestOpen_FolderThatVersitygwClaimed_IsTheUploadAgain opens what a kill in versitygw's own completion leaves.
func TestOpen_FolderThatVersitygwClaimed_IsTheUploadAgain(t *testing.T) {
	t.Parallel()
	for _, older := range []bool{false, true} {
		root := t.TempDir()
		e := endpoint(t, root)
		if older {
			if err := put(t, e.disk, "a.mp4", "an older object"); err != nil {
				t.Fatal(err)
			}
		}
		m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 7)
		if err := os.Rename(m.folder(), m.folder()+"."+strings.Repeat("0", 32)+"-2.inprogress"); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		m.disk = endpoint(t, root).disk
		up, err := m.disk.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads"), MaxUploads: aws.Int32(9)})
		if err != nil || len(up.Uploads) != 1 || up.Uploads[0].UploadID != m.id {
			t.Errorf("uploads %+v, %v", up, err)
		}
		if _, err := m.complete(t.Context()); err != nil {
			t.Error(err)
		}
		m.holds(m.bytes)
	}
}

func TestOpen_RubbishOfAKilledProcess_IsRemoved(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	e := endpoint(t, root)
	done := begin(t, e.disk, "done.mp4", s3response.CreateMultipartUploadInput{}, 10) // its object is made, its folder not yet removed
	folder := done.folder()
	kept := filepath.Join(root, "kept")
	if err := os.CopyFS(kept, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	if _, err := done.complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{filepath.Dir(folder), filepath.Join(root, "uploads", staging, "join-X", staging), filepath.Join(root, "uploads", staging, uploadsFolder, strings.Repeat("0", 64), done.id)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(unix.Setxattr(filepath.Dir(folder), keyAttribute, []byte(done.key), 0), os.Rename(kept, folder),
		os.WriteFile(filepath.Join(root, "media", staging, "put-X"), []byte("x"), 0o600)); err != nil {
		t.Fatal(err)
	}
	replaced := begin(t, e.disk, "replaced.mp4", s3response.CreateMultipartUploadInput{}, 10) // so is its object, which another write replaced
	if err := os.WriteFile(filepath.Join(replaced.folder(), layoutName), []byte("[]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := put(t, e.disk, replaced.key, "newer"); err != nil {
		t.Fatal(err)
	}
	if _, err := replaced.complete(t.Context()); codeOf(err) != "NoSuchUpload" {
		t.Errorf("an upload that was complete before: %v", err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	endpoint(t, root)
	unstaged(t, root)
	if got, err := os.ReadFile(filepath.Join(root, "uploads", "replaced.mp4")); string(got) != "newer" {
		t.Errorf("the newer object holds %q, %v", got, err)
	}
}

func TestUploadPart_UploadEndsMeanwhile_ReturnsNoSuchUploadAndLeavesNothing(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{})
	body, client := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		_, err := d.UploadPart(t.Context(), &s3.UploadPartInput{
			Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, PartNumber: aws.Int32(1), Body: body, ContentLength: aws.Int64(6),
		})
		ended <- err
	}()
	if _, err := client.Write([]byte("abc")); err != nil { // the part is being taken
		t.Fatal(err)
	}
	if err := d.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("def")); err != nil {
		t.Fatal(err)
	}
	_ = client.Close()
	if err := <-ended; codeOf(err) != "NoSuchUpload" {
		t.Errorf("the part: %v", err)
	}
	unstaged(t, d.root)
}

func TestClose_CompletionUnderWay_WaitsForIt(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	e := endpoint(t, root)
	m := begin(t, e.disk, "a.mp4", s3response.CreateMultipartUploadInput{}, 5<<20, 7)
	e.disk.ending.RLock() // as a completion does
	closed := make(chan error, 1)
	go func() { closed <- e.Close() }()
	<-e.disk.life.Done()
	if err := e.disk.make(t.Context(), m.input(), m.folder()); codeOf(err) != "SlowDown" {
		t.Errorf("a completion in an endpoint that closes: %v", err)
	}
	select {
	case <-closed:
		t.Error("the endpoint closed under a completion")
	case <-time.After(50 * time.Millisecond):
	}
	e.disk.ending.RUnlock()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	m.disk = endpoint(t, root).disk
	if _, err := m.complete(t.Context()); err != nil {
		t.Error(err)
	}
	m.holds(m.bytes)
}

// small mounts a filesystem of so many megabytes.
func small(t *testing.T, megabytes int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%dm", megabytes)); err != nil {
		t.Skipf("a small filesystem can't be mounted here (that wants root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := unix.Setxattr(dir, "user.sluice", []byte("1"), 0); err != nil {
		t.Skipf("this kernel's tmpfs has no extended attributes: %v", err)
	}
	return dir
}

func TestComplete_DiskWithoutRoomForASecondCopy_JoinsInPlace(t *testing.T) {
	t.Parallel()
	root := small(t, 112)
	d := endpoint(t, root).disk
	m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 20<<20, 20<<20, 20<<20) // 60 of 112: never twice
	filler := filepath.Join(root, "filler")
	if err := os.WriteFile(filler, make([]byte, 30<<20), 0o600); err != nil { // 22 free: less than two chunks
		t.Fatal(err)
	}
	_, err := m.complete(t.Context())
	if api, _ := errors.AsType[s3err.APIError](err); api.Code != "SlowDown" || api.HTTPStatusCode != http.StatusServiceUnavailable || !strings.Contains(api.Description, "disk is full") {
		t.Fatalf("on a full disk: %v", err)
	}
	if left, err := d.free(); err != nil || left < 20<<20 {
		t.Errorf("the completion left %d bytes, %v", left, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if _, err := m.complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.holds(m.bytes)
}

func TestUploadPart_FilesystemThatCutsNothing_RefusesWhatCannotBeCompleted(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	var asked []int64
	d.frees, d.room = false, func(bytes int64) error {
		asked = append(asked, bytes)
		if bytes > 25<<20 {
			return fault.New(fault.Unavailable, "disk", "disk_full", "The server's disk has too little left.", nil)
		}
		return nil
	}
	m := begin(t, d, "a.mp4", s3response.CreateMultipartUploadInput{}, 6<<20, 6<<20)
	_, err := d.UploadPart(t.Context(), &s3.UploadPartInput{
		Bucket: aws.String("uploads"), Key: &m.key, UploadId: &m.id, PartNumber: aws.Int32(3), Body: bytes.NewReader(make([]byte, 7<<20)), ContentLength: aws.Int64(7 << 20),
	})
	if api, _ := errors.AsType[s3err.APIError](err); api.HTTPStatusCode != http.StatusServiceUnavailable || !strings.Contains(api.Description, "too little") {
		t.Errorf("a part after which the upload can't be completed: %v", err)
	}
	if _, err := m.complete(t.Context()); err != nil {
		t.Error(err)
	}
	if want := []int64{12 << 20, 18 << 20, 26 << 20, 12 << 20}; !slices.Equal(asked, want) {
		t.Errorf("room was asked for %d, want %d", asked, want)
	}
	m.holds(m.bytes)
}

func TestKeys_LongLastElement_IsStoredAgainAndAgain(t *testing.T) {
	t.Parallel()
	for _, name := range []string{strings.Repeat("n", 227), strings.Repeat("n", 228), strings.Repeat("n", 255), strings.Repeat("日", 76)} {
		t.Run(fmt.Sprint(len(name)), func(t *testing.T) {
			d := endpoint(t, t.TempDir()).disk
			key := "folder/" + name
			for n := range 3 {
				if err := put(t, d, key, fmt.Sprint("bytes ", n)); err != nil {
					t.Fatalf("PUT %d: %v", n, err)
				}
				m := begin(t, d, key, s3response.CreateMultipartUploadInput{}, 100+n)
				if _, err := m.complete(t.Context()); err != nil {
					t.Fatalf("multipart upload %d: %v", n, err)
				}
				m.holds(m.bytes)
				if _, err := d.CopyObject(t.Context(), s3response.CopyObjectInput{Bucket: aws.String("media"), Key: &key, CopySource: aws.String("uploads/" + key)}); err != nil {
					t.Fatalf("copy %d: %v", n, err)
				}
			}
			src, err := d.describe("uploads", key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.pin(src, "media", "pins/"+name); err != nil {
				t.Errorf("pin: %v", err)
			}
			if _, err := d.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("uploads"), Key: &key}); err != nil {
				t.Errorf("delete: %v", err)
			}
			if _, err := os.Stat(filepath.Join(d.root, "uploads", "folder")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the folder is left: %v", err)
			}
		})
	}
	d := endpoint(t, t.TempDir()).disk
	for _, key := range []string{"folder/" + strings.Repeat("n", 256), strings.Repeat("n", 256) + "/a.mp4", strings.Repeat("n", 256)} {
		_, created := d.CreateMultipartUpload(t.Context(), s3response.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: &key})
		for what, err := range map[string]error{"PUT": put(t, d, key, "x"), "multipart": created} {
			long, ok := errors.AsType[s3err.KeyTooLongError](err)
			if !ok || !strings.Contains(long.Description, "255 bytes") {
				t.Errorf("%s of a key that is too long: %v", what, err)
			}
		}
	}
	unstaged(t, d.root)
}

func TestDelete_RepeatedAfterAKill_RemovesTheEmptyFolders(t *testing.T) {
	t.Parallel()
	d := endpoint(t, t.TempDir()).disk
	if err := os.MkdirAll(filepath.Join(d.root, "uploads", "a", "b"), 0o755); err != nil { // the object was removed, its folders not yet
		t.Fatal(err)
	}
	if err := put(t, d, "file", "an object"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"a/b/c.mp4", "file/x.mp4"} {
		if _, err := d.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("uploads"), Key: &key}); err != nil {
			t.Error(err)
		}
	}
	if err := put(t, d, "a", "an object of the folder's name"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(filepath.Join(d.root, "uploads", "file")); string(got) != "an object" {
		t.Errorf("an object that was named as a folder holds %q, %v", got, err)
	}
}

func sha256Base64(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(sum[:])
}

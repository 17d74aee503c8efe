package upload_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/bucket"
	"sluice/internal/fault"
	"sluice/internal/upload"
	"sluice/internal/video"
	"sluice/test/rig"
)

const lowPut = bucket.LeastPart // what the tests let one PUT have

// parted is a house on a versitygw to which sources over lowPut come in parts.
func parted(t *testing.T) (*house, *rig.Foreign) {
	t.Helper()
	storage := rig.VersityGW(t)
	store, err := bucket.Open(t.Context(), bucket.Config{Endpoint: storage.URL, Region: "us-east-1",
		Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret}})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{shelf: newShelf(t), store: store, foreign: true}
	h.openDoor(t, storage.URL)
	h.door.SinglePut = lowPut
	h.quiet.Store(true)
	return h, storage
}

// pieces is a source of lowPut*2+7 bytes, and the grant of it.
func pieces(t *testing.T, h *house) ([]byte, video.Upload) {
	t.Helper()
	content := bytes.Repeat([]byte("0123456789abcde\n"), (lowPut*2+16)/16)[:lowPut*2+7]
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", ContentType: "video/mp4", Size: int64(len(content))})
	if err != nil {
		t.Fatal(err)
	}
	return content, up
}

// sendPart PUTs body as part n and returns the status.
func sendPart(t *testing.T, h *house, id video.ID, n int, body []byte) int {
	t.Helper()
	parts, _, err := h.door.Parts(t.Context(), id, n, 1)
	if err != nil || len(parts) != 1 || parts[0].Number != n {
		t.Fatalf("part %d: %+v, %v", n, parts, err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, parts[0].URL, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res.StatusCode
}

// sendParts PUTs those parts of content.
func sendParts(t *testing.T, h *house, up video.Upload, content []byte, numbers ...int) {
	t.Helper()
	for _, n := range numbers {
		from := int64(n-1) * up.Part
		if status := sendPart(t, h, up.Video, n, content[from:from+up.PartSize(n)]); status != http.StatusOK {
			t.Fatalf("PUT of part %d: %d", n, status)
		}
	}
}

func refused(t *testing.T, h *house, id video.ID, code, sentence string) {
	t.Helper()
	ok, err := h.door.Complete(t.Context(), id)
	if f := fault.Of(err); ok || err == nil || f.Code != code || !strings.Contains(f.Message, sentence) {
		t.Errorf("%v, %v; want %s with %q", ok, err, code, sentence)
	}
}

func TestGrant_SizeAndStorage_DecideBetweenOnePutAndParts(t *testing.T) {
	t.Parallel()
	h, _ := parted(t)
	for size, parts := range map[int64]int{1: 0, lowPut: 0, lowPut + 1: 2, 3 * lowPut: 3, lowPut * bucket.MostParts: bucket.MostParts} {
		up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: size})
		if err != nil || up.Parts() != parts || (up.Multipart != "") != (parts > 0) || (up.URL == "") != (parts > 0) {
			t.Errorf("%d bytes: %+v, %v", size, up, err)
		}
	}
	if _, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: lowPut*bucket.MostParts + 1}); fault.Of(err).Code != "too_large" {
		t.Errorf("over 10,000 parts: %v", err)
	}
	h.door.SinglePut = bucket.SinglePut
	up, err := h.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 100e9})
	if err != nil || up.Part != 64<<20 || up.PartSize(up.Parts()) != int64(100e9)%(64<<20) {
		t.Errorf("100 GB: parts of %d bytes, %v", up.Part, err)
	}
	own := newHouse(t)
	if up, err := own.door.Grant(t.Context(), upload.Request{Filename: "a.mp4", Size: 6 << 30}); err != nil || up.URL == "" || up.Parts() != 0 {
		t.Errorf("on the embedded storage: %+v, %v", up, err)
	}
	if _, _, err := own.door.Parts(t.Context(), up.Video, 1, 1); fault.Of(err).Code != "no_upload" {
		t.Errorf("parts of no upload: %v", err)
	}
}

func TestComplete_UploadInParts_IsJoinedOnceHoweverOftenItIsCalled(t *testing.T) {
	t.Parallel()
	h, _ := parted(t)
	content, up := pieces(t, h)
	refused(t, h, up.Video, "parts_missing", "0 of the 3 parts")
	sendParts(t, h, up, content, 3, 1)
	refused(t, h, up.Video, "parts_missing", "not part 2")
	sendParts(t, h, up, content, 1, 2) // one of them again
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if ok, err := h.door.Complete(t.Context(), up.Video); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
	all.Wait()
	v := h.videos(t)[up.Video]
	body, o, err := h.store.Get(t.Context(), "media", v.Source.Pin, "")
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	var got bytes.Buffer
	if _, err := got.ReadFrom(body); err != nil || !bytes.Equal(got.Bytes(), content) || o.Size != up.Size {
		t.Errorf("%d bytes are pinned, %v", got.Len(), err)
	}
	if h.jobs.Load() != 1 {
		t.Errorf("%d jobs", h.jobs.Load())
	}
	if _, _, err := h.door.Parts(t.Context(), up.Video, 1, 1); fault.Of(err).Code != "no_parts" {
		t.Errorf("parts of a source that is there: %v", err)
	}
}

// A process that dies between the completion on the storage and the record leaves an object and no multipart upload.
func TestComplete_JoinedBefore_RecordsTheObject(t *testing.T) {
	t.Parallel()
	for name, found := range map[string]func(h *house, id video.ID) error{
		"by the call": func(h *house, id video.ID) error { _, err := h.door.Complete(t.Context(), id); return err },
		"by the comparison": func(h *house, _ video.ID) error {
			n, err := h.door.Reconcile(t.Context())
			if n != 1 {
				err = fmt.Errorf("found %d, %w", n, err)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := parted(t)
			content, up := pieces(t, h)
			sendParts(t, h, up, content, 1, 2, 3)
			m := bucket.Multipart{Bucket: up.Bucket, Key: up.Key, ID: up.Multipart}
			parts, err := h.store.ListParts(t.Context(), m)
			if err != nil {
				t.Fatal(err)
			}
			if err := h.store.JoinParts(t.Context(), m, parts); err != nil {
				t.Fatal(err)
			}
			if err := found(h, up.Video); err != nil {
				t.Error(err)
			}
			if v := h.videos(t)[up.Video]; v.Source == nil || v.Source.Size != up.Size {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestComplete_PartsThatAreNotThoseGranted_AreNamed(t *testing.T) {
	t.Parallel()
	h, storage := parted(t)
	content, up := pieces(t, h)
	if status := sendPart(t, h, up.Video, 3, []byte("longer than 7")); status != http.StatusForbidden {
		t.Errorf("a part of another length is answered with %d", status)
	}
	sendParts(t, h, up, content, 1, 2)
	put := func(n int32, body string) { // as a client with keys can
		t.Helper()
		if _, err := storage.Client().UploadPart(t.Context(), &s3.UploadPartInput{Bucket: &up.Bucket, Key: &up.Key, UploadId: &up.Multipart,
			PartNumber: aws.Int32(n), Body: strings.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
	}
	put(3, "longer than 7")
	refused(t, h, up.Video, "wrong_size", "Part 3 has 13 bytes")
	sendParts(t, h, up, content, 3)
	put(4, "more")
	refused(t, h, up.Video, "wrong_size", "4 parts")
	if err := h.store.Abort(t.Context(), bucket.Multipart{Bucket: up.Bucket, Key: up.Key, ID: up.Multipart}); err != nil {
		t.Fatal(err)
	}
	refused(t, h, up.Video, "upload_expired", "ask for another upload")
}

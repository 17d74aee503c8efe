package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/test/rig"
)

// way is a proxy before a storage. The first PUT of part 2 through it breaks off in the middle, and the first of part 3
// is answered as one whose URL has expired.
type way struct {
	*httptest.Server

	mu   sync.Mutex
	puts map[string]int // of each part, by its number
}

func wayTo(t *testing.T, storage *rig.Foreign) *way {
	t.Helper()
	to, err := url.Parse(storage.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := httputil.NewSingleHostReverseProxy(to) // keeps the Host, which the signatures cover
	w := &way{puts: map[string]int{}}
	w.Server = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		part := r.URL.Query().Get("partNumber")
		first := false
		if r.Method == http.MethodPut && part != "" {
			w.mu.Lock()
			w.puts[part]++
			first = w.puts[part] == 1
			w.mu.Unlock()
		}
		switch {
		case first && part == "2":
			_, _ = io.CopyN(io.Discard, r.Body, r.ContentLength/2)
			conn, _, _ := http.NewResponseController(rw).Hijack()
			_ = conn.Close()
		case first && part == "3":
			_, _ = io.Copy(io.Discard, r.Body)
			rw.Header().Set("Access-Control-Allow-Origin", "*")
			rw.WriteHeader(http.StatusForbidden)
			fmt.Fprint(rw, "<Error><Code>AccessDenied</Code><Message>Request has expired</Message></Error>")
		default:
			through.ServeHTTP(rw, r)
		}
	}))
	t.Cleanup(w.Close)
	return w
}

// counts are how often part 1, 2 and 3 were PUT.
func (w *way) counts() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return fmt.Sprint(w.puts["1"], w.puts["2"], w.puts["3"])
}

// inParts is a server to whose storage sources over 5 MiB come in parts, the way there, and a video of three parts.
func inParts(t *testing.T) (k *rig.Keeper, storage *rig.Foreign, w *way, clip string) {
	t.Helper()
	storage = rig.VersityGW(t)
	w = wayTo(t, storage)
	k = rig.Keep(t, rig.Options{Env: []string{lateLooks}, Args: append(storage.Flags(), "--reconcile-every", "1h",
		"--s3-single-put", "5MiB", "--s3-public-endpoint", w.URL)})
	started := time.Now()
	k.Revive(time.Minute)
	reconciled(t, k, started)
	video, err := os.ReadFile(rig.Clip(t, "clip.mp4", "320x180", 2))
	if err != nil {
		t.Fatal(err)
	}
	clip = filepath.Join(t.TempDir(), "large.mp4")
	if err := os.WriteFile(clip, padded(video, 11<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	return k, storage, w, clip
}

// unfinished are the multipart uploads that a storage has.
func unfinished(t *testing.T, storage *rig.Foreign) int {
	t.Helper()
	out, err := storage.Client().ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads")})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Uploads)
}

func TestPut_LargerThanOnePutOfAForeignStorage_IsSentInParts(t *testing.T) {
	t.Parallel()
	k, storage, w, clip := inParts(t)
	put := exec.Command(rig.Binary(t, ""), "put", "--url", k.URL, "--json", "--wait", "ready", clip)
	put.Env = append(os.Environ(), "SLUICE_TOKEN="+k.Token)
	var out, screen bytes.Buffer
	put.Stdout, put.Stderr = &out, &screen
	if err := put.Run(); err != nil || !strings.Contains(out.String(), `"status":"ready"`) {
		t.Fatalf("%v\n%s\n%s", err, out.String(), screen.String())
	}
	if got := w.counts(); got != "1 2 2" {
		t.Errorf("parts were PUT %s times; want 1 2 2", got)
	}
	if videos := k.Videos(); len(videos) != 1 || unfinished(t, storage) != 0 {
		t.Errorf("%d videos, %d unfinished uploads", len(videos), unfinished(t, storage))
	}
}

func TestDeleteVideo_PartsOfItsUploadLieThere_AbortsThem(t *testing.T) {
	t.Parallel()
	k, storage, _, clip := inParts(t)
	info, err := os.Stat(clip)
	if err != nil {
		t.Fatal(err)
	}
	var grant struct {
		ID, URL string
		Parts   struct{ Size, Count int64 }
	}
	ask := map[string]any{"filename": "large.mp4", "size": info.Size()}
	if status := k.Call(http.MethodPost, "/v1/uploads", ask, &grant); status != http.StatusCreated || grant.URL != "" || grant.Parts.Count != 3 {
		t.Fatalf("%d %+v", status, grant)
	}
	var page struct {
		Parts []struct {
			Size int64
			URL  string
		}
	}
	at := "/v1/uploads/" + grant.ID
	if status := k.Call(http.MethodPost, at+"/parts", map[string]int{"first": 1, "count": 100}, &page); status != http.StatusOK || len(page.Parts) != 3 {
		t.Fatalf("%d %+v", status, page)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, page.Parts[0].URL, bytes.NewReader(make([]byte, page.Parts[0].Size)))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %+v", err, res)
	}
	_ = res.Body.Close()
	if status := k.Call(http.MethodPost, at+"/complete", nil, nil); status != http.StatusConflict || unfinished(t, storage) != 1 {
		t.Errorf("complete with parts missing: %d, %d unfinished uploads", status, unfinished(t, storage))
	}
	if status := k.Call(http.MethodDelete, "/v1/videos/"+grant.ID, nil, nil); status/100 != 2 {
		t.Fatalf("DELETE: %d", status)
	}
	for deadline := time.Now().Add(5 * time.Minute); unfinished(t, storage) != 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the parts are still there:\n%s", k.Log())
		}
	}
	if status := k.Call(http.MethodPost, at+"/parts", map[string]int{"first": 2, "count": 1}, nil); status != http.StatusNotFound {
		t.Errorf("parts of a deleted video: %d", status)
	}
}

func TestThePage_LargerThanOnePutOfAForeignStorage_IsSentInParts(t *testing.T) {
	rig.BuiltPage(t)
	t.Parallel()
	k, storage, w, clip := inParts(t)
	if _, err := storage.Client().PutBucketCors(context.Background(), &s3.PutBucketCorsInput{Bucket: aws.String("uploads"), CORSConfiguration: &types.CORSConfiguration{
		CORSRules: []types.CORSRule{{AllowedMethods: []string{"PUT"}, AllowedOrigins: []string{k.URL}, AllowedHeaders: []string{"*"}}},
	}}); err != nil {
		t.Fatal(err)
	}
	node(t, "parts.test.mjs", "SLUICE_URL="+k.URL, "SLUICE_TOKEN="+k.Token, "SLUICE_FILE="+clip)
	if got := w.counts(); got != "1 2 2" {
		t.Errorf("parts were PUT %s times; want 1 2 2", got)
	}
}

package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"sluice/internal/video"
	"sluice/test/rig"
)

// silent starts a server on a versitygw that reports nothing. Its reconciler runs at the start and then hourly: it
// finds nothing within a test.
func silent(t *testing.T, env ...string) (*rig.Keeper, *rig.Foreign) {
	t.Helper()
	storage := rig.VersityGW(t)
	k := rig.Keep(t, rig.Options{Env: env, Args: append(storage.Flags(), "--reconcile-every", "1h")})
	started := time.Now()
	k.Revive(time.Minute)
	reconciled(t, k, started)
	return k, storage
}

// lateLooks has the server expect events, which never come: its first look is a minute after a grant, so that what is
// found before was not found by it.
const lateLooks = "SLUICE_EVENTS_TOKEN=a-token-for-a-storage-that-is-silent"

// reconciled waits for the end of the comparison that each start makes, of a server that was started then. Until it
// begins, the database has the time that the process before set.
func reconciled(t *testing.T, k *rig.Keeper, started time.Time) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var state struct {
			Next    time.Time
			Running bool
		}
		if k.Ask(http.MethodGet, "/v1/reconcile", nil, &state); !state.Running && state.Next.After(started.Add(time.Hour)) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the comparison of the start does not end")
		}
	}
}

// looked is how many looks for a video's source were made, as its jobs tell.
func looked(t *testing.T, k *rig.Keeper, id string) (n int) {
	t.Helper()
	var page struct {
		Items []struct {
			Kind    string
			Attempt int
		}
	}
	if status := k.Call(http.MethodGet, "/v1/jobs?limit=200&video="+id, nil, &page); status != http.StatusOK {
		t.Fatalf("GET /v1/jobs: %d", status)
	}
	for _, j := range page.Items {
		if j.Kind == "look" {
			n += j.Attempt
		}
	}
	return n
}

func TestPut_StorageThatReportsNothing_VideoIsReceivedByTheCompleteCall(t *testing.T) {
	t.Parallel()
	k, _ := silent(t, lateLooks)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	server, err := url.Parse(k.URL)
	if err != nil {
		t.Fatal(err)
	}
	var completed atomic.Int64 // calls that were answered with 200
	way := httputil.NewSingleHostReverseProxy(server)
	way.ModifyResponse = func(r *http.Response) error {
		if strings.HasSuffix(r.Request.URL.Path, "/complete") && r.StatusCode == http.StatusOK {
			completed.Add(1)
		}
		return nil
	}
	front := httptest.NewServer(way)
	defer front.Close()
	put := exec.Command(rig.Binary(t, ""), "put", "--url", front.URL, "--json", "--wait", "ready", clip)
	put.Env = append(os.Environ(), "SLUICE_TOKEN="+k.Token)
	var out, screen bytes.Buffer
	put.Stdout, put.Stderr = &out, &screen
	if err := put.Run(); err != nil || !strings.Contains(out.String(), `"status":"ready"`) {
		t.Fatalf("%v\n%s\n%s", err, out.String(), screen.String())
	}
	if videos := k.Videos(); len(videos) != 1 || videos[0].Status != "ready" || completed.Load() != 1 {
		t.Errorf("%d calls found the file; %+v", completed.Load(), videos)
	}
	if strings.Contains(k.Log(), "found objects without a video") {
		t.Errorf("the reconciler found it:\n%s", k.Log())
	}
}

func TestCompleteUpload_StorageThatReportsNothing_AnswersForEachState(t *testing.T) {
	t.Parallel()
	k, storage := silent(t, lateLooks)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	grant := k.Grant(clip, "clip.mp4")
	complete := func(id string) int { return k.Call(http.MethodPost, "/v1/uploads/"+id+"/complete", nil, nil) }
	if status := complete(grant.ID); status != http.StatusConflict {
		t.Errorf("before the PUT: %d", status)
	}
	if v := k.Video(grant.ID); !bytes.Contains(v.Raw, []byte(`"for":"source"`)) || !bytes.Contains(v.Raw, []byte(`"next_look":"`)) {
		t.Errorf("it does not say what it waits for: %s", v.Raw)
	}
	if status := complete(string(video.NewID(time.Now()))); status != http.StatusNotFound {
		t.Errorf("of an upload that never was: %d", status)
	}
	k.Put(grant, clip)
	if looked(t, k, grant.ID) > 0 {
		t.Skip("the machine took a minute for one PUT, and a look came first")
	}
	until := time.Now().Add(5 * time.Minute)
	for status := 0; status != http.StatusOK; time.Sleep(100 * time.Millisecond) { // what the call before found stands for a second
		if status = complete(grant.ID); status != http.StatusOK && status != http.StatusConflict || time.Now().After(until) {
			t.Fatalf("after the PUT: %d", status)
		}
	}
	if v := k.Video(grant.ID); bytes.Contains(v.Raw, []byte(`"for":"source"`)) || !bytes.Contains(v.Raw, []byte(`"received":"`)) {
		t.Errorf("after the call: %s", v.Raw)
	}
	if status := complete(grant.ID); status != http.StatusOK {
		t.Errorf("once more: %d", status)
	}
	dark := k.Grant(clip, "dark.mp4")
	storage.Stop()
	if status := complete(dark.ID); status != http.StatusServiceUnavailable && status != http.StatusAccepted {
		t.Errorf("while the storage is away: %d", status)
	}
}

// A client that vanishes after its PUT calls nothing: a look that was scheduled with the grant finds the file, also
// where the server was killed in between.
func TestGrant_ClientThatVanishesAfterItsPut_IsFoundByALookThatOutlivesAKill(t *testing.T) {
	t.Parallel()
	k, _ := silent(t)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	grant := k.Grant(clip, "clip.mp4")
	k.Kill()
	started := time.Now()
	k.Revive(time.Minute)
	reconciled(t, k, started)
	k.Put(grant, clip)
	k.AwaitUntil(grant.ID, 5*time.Minute, func(v rig.Video) bool { return bytes.Contains(v.Raw, []byte(`"received":"`)) })
	if strings.Contains(k.Log(), "found objects without a video") {
		t.Errorf("the reconciler found it:\n%s", k.Log())
	}
	if len(k.Videos()) != 1 {
		t.Errorf("%d videos", len(k.Videos()))
	}
}

// An object that an S3 client put without a grant is found at the reconciler's time, or when an operator asks.
func TestReconcile_ObjectOfAnS3Client_IsFoundWhenAskedFor(t *testing.T) {
	t.Parallel()
	k, storage := silent(t)
	body, err := os.ReadFile(rig.Clip(t, "clip.mp4", "320x180", 2))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Client().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("films/one.mp4"), Body: bytes.NewReader(body)}); err != nil {
		t.Fatal(err)
	}
	ask := exec.Command(rig.Binary(t, ""), "reconcile", "--now", "--url", k.URL)
	ask.Env = append(os.Environ(), "SLUICE_TOKEN="+k.Token)
	if out, err := ask.CombinedOutput(); err != nil || !strings.Contains(string(out), "comparison") {
		t.Fatalf("%v %s", err, out)
	}
	for deadline := time.Now().Add(5 * time.Minute); len(k.Videos()) == 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it is not found:\n%s", k.Log())
		}
	}
}

func TestThePage_StorageThatReportsNothing_CompletesItsUploads(t *testing.T) {
	rig.BuiltPage(t)
	t.Parallel()
	k, storage := silent(t, lateLooks)
	if _, err := storage.Client().PutBucketCors(context.Background(), &s3.PutBucketCorsInput{Bucket: aws.String("uploads"), CORSConfiguration: &types.CORSConfiguration{
		CORSRules: []types.CORSRule{{AllowedMethods: []string{"PUT"}, AllowedOrigins: []string{k.URL}, AllowedHeaders: []string{"*"}}},
	}}); err != nil {
		t.Fatal(err)
	}
	node(t, "told.test.mjs", "SLUICE_URL="+k.URL, "SLUICE_TOKEN="+k.Token, "SLUICE_FILE="+rig.Clip(t, "clip.mp4", "320x180", 2))
}

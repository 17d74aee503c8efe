package drill

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/test/rig"
)

// litter leaves behind what nobody needs: an upload in parts, outputs of a video that nobody knows, and outputs of one that was deleted. It takes two uploads
// whose sources never came, the second deleted.
func litter(t *testing.T, client *s3.Client, orphan string) {
	t.Helper()
	ctx := context.Background()
	if _, err := client.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: aws.String("uploads"), Key: aws.String("left.mp4")}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"01jq3v8k2m4n5p6r7s8t9v0w1x", orphan} { // the first was never given to a video
		key := "streams/dropped-" + id + "/1/stray.m4s"
		if _, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("media"), Key: &key, Body: strings.NewReader("nobody needs this")}); err != nil {
			t.Fatal(err)
		}
	}
}

// swept has all of that removed: two days pass for the server, and then it is asked until nothing is left over.
func swept(t *testing.T, k *rig.Keeper, client *s3.Client, abandoned string) {
	t.Helper()
	k.With("SLUICE_CLOCK=48h")
	found := struct {
		Count int
		Items []struct{ Kind, Name string }
	}{Count: -1}
	for deadline := time.Now().Add(2 * time.Minute); found.Count != 0; time.Sleep(200 * time.Millisecond) {
		for _, remove := range []bool{true, false} {
			if status := k.Ask(http.MethodPost, "/v1/sweep", map[string]any{"delete": remove}, &found); status != http.StatusOK {
				t.Errorf("sweep: %d", status)
			}
		}
		if time.Now().After(deadline) {
			t.Errorf("left over: %+v", found.Items)
			break
		}
	}
	k.With("SLUICE_CLOCK=")
	if v := k.Look(abandoned); v.ID != "" {
		t.Errorf("an upload that was never used is still there: %s", v.Raw)
	}
	left, err := client.ListMultipartUploads(context.Background(), &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads")})
	if err != nil || len(left.Uploads) > 0 {
		t.Errorf("uploads in parts are left: %+v, %v", left, err)
	}
}

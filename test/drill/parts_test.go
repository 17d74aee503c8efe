package drill

import (
	"bytes"
	"encoding/binary"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/test/rig"
)

// TestKill_AroundAnUploadInParts_LosesNoPart kills a server on a storage that takes sources over 5 MiB in parts while it
// begins, completes and aborts such an upload. Its reconciler runs at starts and hourly. Without -full one point kills.
func TestKill_AroundAnUploadInParts_LosesNoPart(t *testing.T) {
	beside(t)
	for _, point := range pointsOf(partMoves) {
		if *full || point == "JoinParts.after" {
			t.Run(point, func(t *testing.T) { inParts(t, point) })
		}
	}
}

func inParts(t *testing.T, point string) {
	met := filepath.Join(t.TempDir(), "met")
	o := rig.Options{Tags: "drill", Env: []string{"SLUICE_FAILPOINT=" + point, "SLUICE_FAILED=" + met},
		Args: []string{"--reconcile-every", "1h", "--s3-single-put", "5MiB"}}
	world := shared(t, &o)
	k := rig.Keep(t, o)
	k.Revive(time.Minute)
	w := world(k)
	source, err := os.ReadFile(rig.Clip(t, "clip.mp4", "320x180", 2))
	if err != nil {
		t.Fatal(err)
	}
	padding := make([]byte, 6<<20) // a box that players pass over (ISO/IEC 14496-12 §8.1.2)
	binary.BigEndian.PutUint32(padding, uint32(len(padding)))
	copy(padding[4:], "free")
	source = append(source, padding...)

	id := sendParts(t, k, source, 2)
	if status := k.Ask(http.MethodPost, "/v1/uploads/"+id+"/complete", nil, nil); status/100 != 2 {
		t.Fatalf("complete: %d", status)
	}
	w.Acked = append(w.Acked, id)
	k.Until(id, 5*time.Minute, ended)

	deleted := sendParts(t, k, source, 1)
	if status := k.Ask(http.MethodDelete, "/v1/videos/"+deleted, nil, nil); status/100 != 2 && status != http.StatusNotFound {
		t.Fatalf("DELETE: %d", status)
	}
	w.Deleted = append(w.Deleted, deleted)
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, err := w.client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: aws.String("uploads")})
		if err != nil {
			t.Fatal(err)
		}
		left := false
		for _, u := range out.Uploads {
			left = left || strings.HasPrefix(aws.ToString(u.Key), deleted)
		}
		if !left {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the parts of a deleted video are still there\n%s", k.Log())
		}
		k.Revive(time.Minute)
	}
	k.Revive(time.Minute)
	if noted, err := os.ReadFile(met); err != nil || !strings.Contains(string(noted), point) || k.Restarts != 1 {
		t.Errorf("the point was not met: %d restarts, %v", k.Restarts, err)
	}
	w.Servers = []*rig.Server{k.Server}
	rig.Check(t, w.World)
	injected(t, 1)
}

// sendParts asks for an upload of source and PUTs its first parts; it returns the id.
func sendParts(t *testing.T, k *rig.Keeper, source []byte, count int) string {
	t.Helper()
	var grant struct{ ID string }
	ask := map[string]any{"filename": "large.mp4", "size": len(source)}
	if status := k.Ask(http.MethodPost, "/v1/uploads", ask, &grant); status != http.StatusCreated {
		t.Fatalf("POST /v1/uploads: %d", status)
	}
	var page struct {
		Parts []struct {
			Size int
			URL  string
		}
	}
	if status := k.Ask(http.MethodPost, "/v1/uploads/"+grant.ID+"/parts", map[string]int{"first": 1, "count": count}, &page); status != http.StatusOK {
		t.Fatalf("POST /v1/uploads/{id}/parts: %d", status)
	}
	from := 0
	for _, part := range page.Parts {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, part.URL, bytes.NewReader(source[from:from+part.Size]))
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("PUT of a part: %v %+v", err, res)
		}
		_ = res.Body.Close()
		from += part.Size
	}
	return grant.ID
}

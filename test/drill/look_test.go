package drill

import (
	"bytes"
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

// TestKill_AroundALookForAStoredFile_LosesNoLook kills a server on a storage that reports nothing while it looks for
// the file of a client that vanishes, and while an operator
// has the storage looked through. Its reconciler runs at starts and hourly. Without -full one point kills.
func TestKill_AroundALookForAStoredFile_LosesNoLook(t *testing.T) {
	beside(t)
	for _, point := range pointsOf(lookMoves) {
		if *full || point == "Looked.after" {
			t.Run(point, func(t *testing.T) { lookedFor(t, point) })
		}
	}
}

func lookedFor(t *testing.T, point string) {
	met := filepath.Join(t.TempDir(), "met")
	o := rig.Options{Tags: "drill", Env: []string{"SLUICE_FAILPOINT=" + point, "SLUICE_FAILED=" + met}, Args: []string{"--reconcile-every", "1h"}}
	world := shared(t, &o)
	k := rig.Keep(t, o)
	k.Revive(time.Minute)
	w := world(k)
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	passed := func() bool {
		noted, err := os.ReadFile(met)
		return err == nil && strings.Contains(string(noted), point)
	}
	if strings.HasPrefix(point, "HurryDuty") {
		body, err := os.ReadFile(clip)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("uploads"), Key: aws.String("films/one.mp4"), Body: bytes.NewReader(body)}); err != nil {
			t.Fatal(err)
		}
		if status := k.Ask(http.MethodPost, "/v1/reconcile", nil, nil); status != http.StatusAccepted {
			t.Fatalf("POST /v1/reconcile: %d", status)
		}
		for deadline := time.Now().Add(5 * time.Minute); len(w.Acked) == 0; time.Sleep(100 * time.Millisecond) {
			for _, v := range k.Videos() {
				w.Acked = append(w.Acked, v.ID)
			}
			if time.Now().After(deadline) {
				t.Fatal("the object is not found")
			}
		}
	} else {
		grant := k.Grant(clip, "clip.mp4")
		for deadline := time.Now().Add(5 * time.Minute); !passed(); time.Sleep(50 * time.Millisecond) { // the first look finds nothing
			if time.Now().After(deadline) {
				t.Fatal("no look is made")
			}
		}
		k.Revive(time.Minute)
		k.Put(grant, clip)
		w.Acked = append(w.Acked, grant.ID)
	}
	for _, id := range w.Acked {
		k.Until(id, 5*time.Minute, ended)
	}
	if !passed() || k.Restarts != 1 {
		t.Errorf("the point was not met: %d restarts", k.Restarts)
	}
	w.Servers = []*rig.Server{k.Server}
	rig.Check(t, w.World)
	injected(t, 1)
}

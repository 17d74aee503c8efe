package drill

import (
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// only names points, to look at one by itself.
var only = flag.String("points", "", "kill at these points only")

// chosen are the points of the short form: where a fact and an object, or a fact and a letter, could part.
var chosen = []string{"Pin.after", "Finish.encode.after", "Publish.publish.before", "Lost.before", "DeletePrefix.after", "Settle.before", "Delete.record.after", "CopiesDropped.before"}

// eventsToken lets a storage tell of objects.
const eventsToken = "a-token-for-the-storage-alone"

// rounds is how many stories the points are spread over: each point kills once, and no job may be killed as often as it may be tried.
const rounds = 14

// TestAKillBeforeOrAfterAnyDurableStepLosesNothing tells the whole story of videos (uploaded, encoded, edited, encoded again, deleted, refused, canceled and
// gone on with, told of by mail and to a CDN, swept up after) to a server that is killed at the points and started again.
func TestAKillBeforeOrAfterAnyDurableStepLosesNothing(t *testing.T) {
	beside(t)
	if *only != "" {
		for name, ground := range bothGrounds {
			t.Run(name, func(t *testing.T) { killed(t, strings.Fields(*only), ground) })
		}
		return
	}
	if !*full {
		t.Run("chosen", func(t *testing.T) { killed(t, chosen, embedded) })
		return
	}
	all := allPoints()
	for name, ground := range bothGrounds {
		for round := range rounds {
			var points []string
			for i := round; i < len(all); i += rounds {
				points = append(points, all[i])
			}
			t.Run(name+" "+strings.Join(points, " "), func(t *testing.T) { killed(t, points, ground) })
		}
	}
}

// ground is what a server stands on: it adds to the options what says so, and returns how that is seen past the server.
type ground func(t *testing.T, o *rig.Options) func(*rig.Keeper) site

// site is what a server stands on, seen past it.
type site struct {
	rig.World
	client *s3.Client // of its storage
}

var bothGrounds = map[string]ground{"SQLite": embedded, "PostgreSQL": shared}

// grounds are both, where there is time.
func grounds() map[string]ground {
	if *full {
		return bothGrounds
	}
	return map[string]ground{"SQLite": embedded}
}

// embedded is SQLite and the endpoint in the server.
func embedded(*testing.T, *rig.Options) func(*rig.Keeper) site {
	return func(k *rig.Keeper) site {
		return site{rig.World{Database: filepath.Join(k.Data, "sluice.db"), Objects: k.Files()}, k.AWS()}
	}
}

// shared is PostgreSQL and a foreign S3.
func shared(t *testing.T, o *rig.Options) func(*rig.Keeper) site {
	t.Helper()
	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	o.Env, o.Args = append(o.Env, "SLUICE_DATABASE="+dsn), append(o.Args, storage.Flags()...)
	o.Token = "a-token-that-all-members-share" // a start on shared records asks for it, and for the secret that goes with it
	return func(*rig.Keeper) site {
		return site{rig.World{Database: dsn, Objects: rig.Remote{Client: storage.Client(), List: storage.Keys}}, storage.Client()}
	}
}

// killed runs the story with a kill at each of the points, and checks what is left.
func killed(t *testing.T, points []string, g ground) {
	met := filepath.Join(t.TempDir(), "met")
	o := rig.Options{
		Tags: "drill", Env: []string{"SLUICE_FAILPOINT=" + strings.Join(points, " "), "SLUICE_FAILED=" + met, "SLUICE_EVENTS_TOKEN=" + eventsToken},
		Args: []string{"--retire-after", "0s", "--reconcile-every", "1s", "--sweep-after", "3h", "--sweep-forget-after", "3h"},
	}
	if slices.ContainsFunc(points, func(point string) bool { return strings.HasPrefix(point, "KeepDuty.") }) {
		o.Env = append(o.Env, "SLUICE_STALL=Lost.before Lost.after", "SLUICE_STALL_FOR=4s") // a duty that takes no time isn't kept
	}
	office, caches, world := post(t, &o, 1), cdn(t, &o), g(t, &o)
	k := rig.Keep(t, o)
	k.Revive(time.Minute)
	began := time.Now()
	w := world(k)
	subscription := subscribe(t, k)
	w.Acked, w.Deleted = story(t, k, w)
	told(t, k, office, subscription, w.Acked[1])
	toDrop(t, k, caches, w.Acked[0], w.Deleted[0])
	if *full || *only != "" {
		canceled, removed := operate(t, k, rig.Clip(t, "long.mp4", "320x180", 42), patience)
		abandoned, orphan := dropped(t, k, false), dropped(t, k, true)
		w.Acked, w.Deleted = append(w.Acked, canceled), append(w.Deleted, removed, orphan)
		litter(t, w.client, orphan)
		swept(t, k, w.client, abandoned)
	}
	w.Servers = []*rig.Server{k.Server}
	for _, point := range points {
		if point == "Pin.after" || point == "Received.before" {
			w.LeftPins++
		}
	}
	rig.Check(t, w.World)
	noted, err := os.ReadFile(met)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	kills := 0
	for _, point := range points {
		if slices.Contains(strings.Fields(string(noted)), point) {
			kills++
		} else {
			t.Errorf("the point %s was never met", point)
		}
	}
	injected(t, kills)
	t.Logf("%d kills at %q in %s", kills, points, time.Since(began).Round(time.Second))
	if err := k.Stop(); err != nil {
		t.Errorf("an orderly stop: %v", err)
	}
}

// patience is how long an upload that was not answered is given to be found before it is sent again.
const patience = 3 * time.Second

// story is what people do with videos. Each demand is made until it is answered.
func story(t *testing.T, k *rig.Keeper, w site) (acked, deleted []string) {
	t.Helper()
	clip := rig.Clip(t, "clip.mp4", "320x180", 22) // two chunks
	junk := filepath.Join(t.TempDir(), "junk.mp4")
	if err := os.WriteFile(junk, []byte(strings.Repeat("This is no video. ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	first, doomed, refused := k.Send(clip, "first.mp4", patience), k.Send(clip, "doomed.mp4", patience), k.Send(junk, "junk.mp4", patience)
	robbed := k.Send(rig.Clip(t, "short.mp4", "320x180", 2), "robbed.mp4", patience)

	for range 3 { // what is told again is no other write
		k.Tell(eventsToken, "uploads", first+"/first.mp4")
	}
	if v := k.Until(first, 3*time.Minute, ended); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	}
	if status := k.Ask(http.MethodPatch, "/v1/videos/"+first, map[string]any{"title": "A title"}, nil); status != http.StatusOK {
		t.Errorf("PATCH: %d", status)
	}
	if v := k.Until(refused, 2*time.Minute, ended); v.Status != "failed" || v.Error == nil || v.Error.Code != "not_media" {
		t.Errorf("%s", v.Raw)
	}
	// Where no answer came, the encode may have begun all the same: then it is refused as one too many, or the video is there twice.
	if status := k.Ask(http.MethodPost, "/v1/videos/"+first+"/encode", map[string]any{}, nil); status >= 300 && status != http.StatusConflict {
		t.Errorf("encode: %d", status)
	}
	k.Until(first, 3*time.Minute, func(v rig.Video) bool { return v.Generation >= 2 && v.Progress == 1 })
	k.Until(doomed, 3*time.Minute, ended)
	if status := k.Ask(http.MethodDelete, "/v1/videos/"+doomed, nil, nil); status >= 300 && status != http.StatusNotFound {
		t.Errorf("DELETE: %d", status)
	}
	if v := k.Until(robbed, 3*time.Minute, ended); v.Status != "ready" {
		t.Errorf("%s", v.Raw)
	}
	rob(t, w.Objects, robbed+"/robbed.mp4")
	k.Until(robbed, 2*time.Minute, func(v rig.Video) bool { return v.Error != nil && v.Error.Code == "source_missing" })
	// What follows from that comes when it comes: objects that are left after three minutes are left for good.
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline) && remains(w.Objects, doomed, first); time.Sleep(100 * time.Millisecond) {
		k.Revive(time.Minute)
	}
	return []string{first, refused, robbed}, []string{doomed}
}

// rob removes the pin of an upload: of all sources the one that is as long.
func rob(t *testing.T, objects rig.Storage, key string) {
	t.Helper()
	size := objects.Keys("uploads")[key]
	for pin, bytes := range objects.Keys("media") {
		if strings.HasPrefix(pin, "sources/") && bytes == size {
			if err := objects.Remove("media", pin); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Errorf("%s has no pin among %v", key, objects.Keys("media"))
}

func ended(v rig.Video) bool { return v.Status == "ready" || v.Status == "failed" }

// remains says whether objects of the deleted video, or of the first generation of the other, are still there.
func remains(objects rig.Storage, deleted, again string) bool {
	for _, bucket := range []string{"uploads", "media"} {
		for key := range objects.Keys(bucket) {
			if strings.Contains(key, deleted) || strings.Contains(key, again+"/1/") {
				return true
			}
		}
	}
	return false
}

// beside lets the short form's drills run side by side: they wait more than they work.
func beside(t *testing.T) {
	t.Helper()
	if !*full {
		t.Parallel()
	}
}

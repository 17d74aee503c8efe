package e2e

import (
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

// clusterToken is the admin token of all processes of a cluster.
const clusterToken = "a-token-that-many-processes-share"

// member starts one process of a cluster on a database and a storage.
func member(t *testing.T, dsn string, storage *rig.Foreign, roles string, more ...string) *rig.Server {
	t.Helper()
	args := append(storage.Flags(), "--roles", roles, "--reconcile-every", "1s", "--workers-encode", "1")
	return rig.Start(t, rig.Options{Token: clusterToken, Env: []string{"SLUICE_DATABASE=" + dsn}, Args: append(args, more...)})
}

func TestProcessesOfDifferentRolesShareTheWorkAndOutliveEachOther(t *testing.T) {
	inFull(t)
	t.Parallel()
	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	edge := member(t, dsn, storage, "edge")
	first := member(t, dsn, storage, "api,edge", "--edge-url", edge.URL)
	second := member(t, dsn, storage, "api,edge", "--edge-url", edge.URL)
	doomed := member(t, dsn, storage, "worker")
	other := member(t, dsn, storage, "worker")

	id := first.Upload(rig.Clip(t, "clip.mp4", "640x360", 50), "A clip.mp4")
	second.AwaitUntil(id, 30*time.Second, func(v rig.Video) bool { return encoding(v) == 2 })
	doomed.Kill()
	v := second.Await(id, 2*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	lost := 0
	for _, s := range v.Steps {
		if len(s.Attempts) > 1 {
			lost++
		}
	}
	if lost == 0 {
		t.Errorf("no step was taken over: %s", v.Raw)
	}
	if !strings.HasPrefix(v.Playback.HLS, edge.URL) {
		t.Errorf("HLS is at %s, the edge at %s", v.Playback.HLS, edge.URL)
	}
	plays(t, v)
	posterIsThere(t, v, true)

	for at, want := range map[string]int{
		edge.URL + "/v1/videos": http.StatusNotFound, edge.URL + "/": http.StatusNotFound, other.URL + v.Playback.HLS[len(edge.URL):]: http.StatusNotFound,
		first.URL + "/v1/videos": http.StatusUnauthorized, other.URL + "/readyz": http.StatusOK, edge.URL + "/readyz": http.StatusOK,
	} {
		if status, body := rig.Get(t, at); status != want {
			t.Errorf("%s: %d %s, want %d", at, status, body, want)
		}
	}
	if status := first.Call("DELETE", "/v1/videos/"+id, nil, nil); status >= 300 {
		t.Fatalf("DELETE: %d", status)
	}
	for deadline := time.Now().Add(2 * time.Minute); len(storage.Keys("media"))+len(storage.Keys("uploads")) > 0; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("left over: %v %v", storage.Keys("media"), storage.Keys("uploads"))
		}
	}
}

// TestASourceIsFetchedAboutOnceByAllWorkersTogether counts the bytes that three workers fetch to make a video of several chunks: of its source, and of
// the outputs that are checked.
func TestASourceIsFetchedAboutOnceByAllWorkersTogether(t *testing.T) {
	inFull(t)
	t.Parallel()
	dsn, storage := enginetest.Postgres(t), rig.VersityGW(t)
	api := member(t, dsn, storage, "api,edge")
	var workers []*rig.Server
	for range 3 {
		workers = append(workers, member(t, dsn, storage, "worker", "--max-resolution", "240"))
	}
	clip := rig.Clip(t, "clip.mp4", "640x360", 120, "-b:v", "3M", "-minrate", "3M", "-maxrate", "3M", "-bufsize", "3M", "-g", "50", "-x264-params", "nal-hrd=cbr")
	info, err := os.Stat(clip)
	if err != nil {
		t.Fatal(err)
	}
	v := api.Await(api.Upload(clip, "clip.mp4"), 3*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	plays(t, v)
	var sources, busy int64
	for _, w := range workers {
		if err := w.Stop(); err != nil {
			t.Errorf("%v\n%s", err, w.Log())
		}
		said := regexp.MustCompile(`fetched_bytes=(\d+)`).FindStringSubmatch(w.Log())
		if said == nil {
			t.Fatalf("it does not say what it fetched:\n%s", w.Log())
		}
		if strings.Contains(w.Log(), "step=encode") {
			busy++
		}
		n, _ := strconv.ParseInt(said[1], 10, 64)
		sources += n
	}
	// Which worker takes which step decides how much two of them share: 1.18 to 1.31 were seen.
	const most = 1.4
	share := float64(sources) / float64(info.Size())
	t.Logf("%d workers fetched %.2f bytes a byte of source", busy, share)
	if busy < 2 || share > most {
		t.Errorf("%d workers fetched %.2f bytes a byte of source, want several and at most %.1f", busy, share, most)
	}
}

// encoding is how many encode steps run.
func encoding(v rig.Video) (n int) {
	for _, s := range v.Steps {
		if s.Name == "encode" && s.State == "running" {
			n++
		}
	}
	return n
}

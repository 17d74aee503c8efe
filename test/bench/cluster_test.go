package bench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

const clusterToken = "a-token-that-many-processes-share"

// cluster is an API process and workers on PostgreSQL and a foreign S3 server, each worker with a folder of its own.
type cluster struct {
	*rig.Server
	fetched atomic.Int64 // bytes of sources that were read from the storage
}

// newCluster starts so many workers, each on a core of its own where pinned.
func newCluster(t *testing.T, workers int, pinned bool) *cluster {
	t.Helper()
	c := &cluster{}
	storage := *rig.VersityGW(t)
	storage.URL = c.count(t, storage.URL)
	dsn := enginetest.Postgres(t)
	start := func(roles string, under ...string) *rig.Server {
		return rig.Start(t, rig.Options{Token: clusterToken, Env: []string{"SLUICE_DATABASE=" + dsn}, Under: under,
			Args: append(storage.Flags(), "--roles", roles, "--workers-encode", "1", "--reconcile-every", "1s", "--disk-low", "0")})
	}
	c.Server = start("api,edge")
	for n := range workers {
		var under []string
		if pinned {
			under = []string{"taskset", "-c", fmt.Sprint(n)}
		}
		start("worker", under...)
	}
	return c
}

// count puts a counter of the bytes of sources before a storage.
func (c *cluster) count(t *testing.T, upstream string) string {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	door := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) { // nothing that a signature covers changes
			p.Out.URL.Scheme, p.Out.URL.Host, p.Out.URL.RawQuery, p.Out.Host = to.Scheme, to.Host, p.In.URL.RawQuery, p.In.Host
		},
		ModifyResponse: func(r *http.Response) error {
			if path := r.Request.URL.Path; r.Request.Method == http.MethodGet && (strings.HasPrefix(path, "/media/sources/") || strings.HasPrefix(path, "/uploads/")) {
				r.Body = counted{r.Body, &c.fetched}
			}
			return nil
		},
	})
	t.Cleanup(door.Close)
	return door.URL
}

type counted struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// wall takes a file from upload to ready, and returns how long that was from when the upload was noticed: how soon, nobody but the storage decides.
func (c *cluster) wall(t *testing.T, clip string) time.Duration {
	t.Helper()
	id := c.Upload(clip, filepath.Base(clip))
	c.AwaitUntil(id, time.Minute, func(v rig.Video) bool { return v.Status != "waiting" })
	start := time.Now()
	v := c.Await(id, 20*time.Minute)
	if v.Status != "ready" {
		t.Fatalf("%s", v.Raw)
	}
	return time.Since(start)
}

// TestTwoWorkersAgainstOne measures the way of a video on one and on two worker processes, each pinned to a core of its own.
func TestTwoWorkersAgainstOne(t *testing.T) {
	if _, err := exec.LookPath("taskset"); err != nil || runtime.NumCPU() < 2 {
		t.Skip("two workers need taskset and two cores")
	}
	size, seconds := "320x180", 22
	if *full {
		size, seconds = "1280x720", 60
	}
	clip := rig.Clip(t, "clip.mp4", size, seconds)
	var took [3]time.Duration
	for _, workers := range []int{1, 2} {
		t.Run(fmt.Sprint(workers), func(t *testing.T) { took[workers] = newCluster(t, workers, true).wall(t, clip) })
	}
	fmt.Printf("\n%d s of %s, workers of one core each: one %.1f s, two %.1f s: %.2f× (goal ≥1.9)\n", seconds, size, took[1].Seconds(), took[2].Seconds(),
		took[1].Seconds()/took[2].Seconds())
}

// TestBytesFetchedPerByteOfSource measures how much of a source three workers read from the storage.
func TestBytesFetchedPerByteOfSource(t *testing.T) {
	size, seconds := "320x180", 22
	if *full {
		size, seconds = "1280x720", 180
	}
	clip := rig.Clip(t, "clip.mp4", size, seconds)
	info, err := os.Stat(clip)
	if err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, 3, false)
	c.wall(t, clip)
	fmt.Printf("\n%d s of %s on three workers: %.2f bytes of the source fetched per byte of it (goal ≤1.3)\n", seconds, size, float64(c.fetched.Load())/float64(info.Size()))
}

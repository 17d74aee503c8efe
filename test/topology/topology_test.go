// Package topology runs the cluster that docs/OPERATIONS.md describes under "Topologies": its blocks as they stand,
// with a real PostgreSQL, a foreign S3
// server, nginx and the built program. What is replaced is what the document tells operators to replace.
package topology

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

var full = flag.Bool("full", false, "restart all machines several times, and on Ceph too")

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	rig.Clean()
	os.Exit(code)
}

func TestTopologies_AsDocumented_RestartsWithoutAFailedRequest(t *testing.T) {
	t.Run("versitygw", func(t *testing.T) {
		storage := rig.EmptyVersityGW(t)
		w := build(t, storage)
		events, _, _ := strings.Cut(setting(w.env, "SLUICE_PUBLIC_URL"), "://")
		storage.Notify(events+"://sluice:"+setting(w.env, "SLUICE_EVENTS_TOKEN")+"@video.example.com/v1/events/s3", w.shell...)
		follow(t, w)
	})
	t.Run("ceph", func(t *testing.T) {
		if !*full {
			t.Skip("the long form has it: -args -full")
		}
		follow(t, build(t, rig.Ceph(t))) // without events: uploads are found by the reconciler at the latest
	})
}

// follow uploads, plays and restarts as the document says, under constant requests.
func follow(t *testing.T, w *world) {
	t.Helper()
	dir := t.TempDir()
	clip := rig.Clip(t, "clip.mp4", "320x180", 2)
	if err := os.Symlink(clip, filepath.Join(dir, "clip.mp4")); err != nil {
		t.Fatal(err)
	}
	t.Logf("put: %s", w.run(w.document.find(t, "sh", "upload")[0], dir))
	c := &client{w: w, http: w.client, token: setting(w.env, "SLUICE_ADMIN_TOKEN"), url: setting(w.env, "SLUICE_PUBLIC_URL")}
	var list struct{ Items []rig.Video }
	if err := c.json(http.MethodGet, "/v1/videos", nil, &list); err != nil || len(list.Items) != 1 || list.Items[0].Status != "ready" {
		t.Fatalf("%v: %+v", err, list)
	}
	segments := c.plays(t, list.Items[0].ID)

	rounds, cases, pause := 1, 2, 50*time.Millisecond
	if *full {
		rounds, cases, pause = 5, 40, 5*time.Millisecond
	}
	stop, load := make(chan struct{}), &load{}
	source, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	uploaded := make(chan string, cases)
	load.run(stop, "read of the API", pause, func(int) error { return c.json(http.MethodGet, "/v1/videos/"+list.Items[0].ID, nil, nil) })
	load.run(stop, "write to the API", pause, func(int) error { // a POST, which nginx does not repeat
		return c.json(http.MethodPost, "/v1/keys", map[string]any{"video": list.Items[0].ID, "way": "manifest"}, nil)
	})
	load.run(stop, "segment", pause, func(n int) error { _, err := c.get(segments[n%len(segments)]); return err })
	load.run(stop, "upload", 500*time.Millisecond, func(n int) error {
		if n >= cases {
			return nil
		}
		id, err := c.upload(fmt.Sprintf("clip-%d.mp4", n), source)
		if err == nil {
			uploaded <- id
		}
		return err
	})
	for range rounds {
		w.run(w.document.find(t, "sh", "restart")[0], dir)
	}
	close(stop)
	load.done.Wait()
	close(uploaded)
	for _, err := range load.failed {
		t.Error(err)
	}
	t.Logf("%d restarts under %s", rounds*len(w.machines), load.String())
	for id := range uploaded {
		var v rig.Video
		w.await("the upload is ready", func() bool {
			return c.json(http.MethodGet, "/v1/videos/"+id, nil, &v) == nil && (v.Status == "ready" || v.Status == "failed")
		})
		if v.Status != "ready" {
			t.Errorf("%+v", v)
		}
	}
	c.plays(t, list.Items[0].ID) // a new grant, and processes that all were started again, share the keys
}

// load is constant requests.
type load struct {
	done   sync.WaitGroup
	mu     sync.Mutex
	counts []string
	failed []error
}

// run does something again and again until stop is closed, with a pause between.
func (l *load) run(stop <-chan struct{}, what string, pause time.Duration, do func(n int) error) {
	l.done.Go(func() {
		n := 0
		for ; ; n++ {
			select {
			case <-stop:
				l.mu.Lock()
				defer l.mu.Unlock()
				l.counts = append(l.counts, fmt.Sprintf("%d of %s", n, what))
				return
			case <-time.After(pause):
			}
			if err := do(n); err != nil {
				l.mu.Lock()
				l.failed = append(l.failed, fmt.Errorf("%s %d: %w", what, n, err))
				l.mu.Unlock()
			}
		}
	})
}

func (l *load) String() string { return strings.Join(l.counts, ", ") }

// client is a program of a user.
type client struct {
	w          *world
	http       *http.Client
	url, token string
}

// send makes one request, and wants an answer of 2xx that is whole. Nothing is repeated by the transport: a request
// that has sent its connection's first
// byte in vain is a failed request.
func (c *client) send(request *http.Request) ([]byte, error) {
	request.Header.Set("Authorization", "Bearer "+c.token)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		return nil, fmt.Errorf("%s %s: %d %s", request.Method, request.URL.Path, response.StatusCode, body)
	}
	return body, nil
}

func (c *client) get(at string) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, at, nil)
	if err != nil {
		return nil, err
	}
	return c.send(request)
}

func (c *client) json(method, path string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	request, err := http.NewRequest(method, c.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := c.send(request)
	if err != nil || out == nil {
		return err
	}
	return json.Unmarshal(answer, out)
}

// upload asks for a presigned URL and puts a source there, at the storage itself.
func (c *client) upload(name string, source []byte) (id string, err error) {
	var grant rig.Grant
	if err := c.json(http.MethodPost, "/v1/uploads", map[string]any{"filename": name, "size": len(source)}, &grant); err != nil {
		return "", err
	}
	request, err := http.NewRequest(http.MethodPut, grant.URL, bytes.NewReader(source))
	if err != nil {
		return "", err
	}
	for name, value := range grant.Headers {
		request.Header.Set(name, value)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return "", err
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return "", fmt.Errorf("PUT: %d", response.StatusCode)
	}
	return grant.ID, nil
}

// plays fetches the whole of a video from the edge by a signed address, has ffmpeg decode one rendition, and returns
// the addresses of all segments.
func (c *client) plays(t *testing.T, id string) []string {
	t.Helper()
	var given struct{ DASH string }
	if err := c.json(http.MethodPost, "/v1/keys", map[string]any{"video": id, "way": "manifest"}, &given); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(given.DASH, "https://cdn.example.com/stream/") {
		t.Fatalf("the address of the edge is %s", given.DASH)
	}
	body, err := c.get(given.DASH)
	if err != nil {
		t.Fatal(err)
	}
	segments, err := rig.Segments(given.DASH, body)
	if err != nil {
		t.Fatal(err)
	}
	var film bytes.Buffer
	for i, at := range segments {
		part, err := c.get(at)
		if err != nil {
			t.Fatal(err)
		}
		if i > 0 && bytes.Equal(part[4:8], []byte("ftyp")) {
			break // the next rendition
		}
		film.Write(part)
	}
	decode := exec.Command("ffmpeg", "-nostdin", "-v", "error", "-xerror", "-i", "-", "-f", "null", "-")
	decode.Stdin = &film
	if said, err := decode.CombinedOutput(); err != nil || len(said) > 0 {
		t.Fatal(errors.Join(err, errors.New(string(said))))
	}
	return segments
}

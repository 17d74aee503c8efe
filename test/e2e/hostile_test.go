package e2e

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/test/rig"
)

// canary listens where the hostile files point and counts who comes.
func canary(t *testing.T, addresses ...string) *atomic.Int64 {
	t.Helper()
	var visits atomic.Int64
	for _, address := range addresses {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Logf("no canary at %s: %v", address, err)
			continue
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				visits.Add(1)
				_ = c.Close()
			}
		}()
	}
	return &visits
}

func TestHostileFilesReachNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Dir(rig.Media(t, "hostile/hls-playlist-named.avi"))
	visits := canary(t, "127.0.0.1:81", "127.0.0.1:80", "127.127.127.127:80")
	secret := "canary-" + t.Name()
	file := filepath.Join(t.TempDir(), "canary.txt")
	if err := os.WriteFile(file, []byte(secret), 0o644); err != nil {
		t.Fatal(err)
	}
	s := rig.Start(t, rig.Options{})
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]string{}
	for _, e := range entries {
		ids[e.Name()] = s.Upload(filepath.Join(dir, e.Name()), strings.TrimSuffix(e.Name(), filepath.Ext(e.Name()))+".mp4")
	}
	// Playlists of our own that read the canary file and call the canary server.
	for name, text := range map[string]string{
		"reads.mp4":  "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://" + file + "\n#EXT-X-ENDLIST\n",
		"calls.mp4":  "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:81/x.ts\n#EXT-X-ENDLIST\n",
		"concat.mp4": "ffconcat version 1.0\nfile '" + file + "'\n",
	} {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ids[name] = s.Upload(path, name)
	}
	for name, id := range ids {
		v := s.Await(id, 2*time.Minute)
		if v.Status == "ready" && !strings.HasPrefix(name, "polyglot") {
			t.Errorf("%s was published: %s", name, v.Raw)
		}
		if strings.Contains(string(v.Raw), "root:x:") || strings.Contains(string(v.Raw), secret) {
			t.Errorf("%s: the answer holds a file of the host: %s", name, v.Raw)
		}
	}
	if n := visits.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	s.Quiet()
	if s.Call("GET", "/v1/videos", nil, nil) != 200 {
		t.Error("the server is gone")
	}
}

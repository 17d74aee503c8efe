package drill

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/test/rig"
)

// TestAFullDiskBreaksNothing fills the disk under a server to the last byte while it works, and makes room again.
func TestAFullDiskBreaksNothing(t *testing.T) {
	beside(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64m"); err != nil {
		t.Skipf("a small filesystem can't be mounted here (that wants root): %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	if err := unix.Setxattr(dir, "user.sluice", []byte("1"), 0); err != nil {
		t.Skipf("this kernel's tmpfs has no extended attributes: %v", err)
	}
	// The low-water mark is off: this is about the disk that is full all the same.
	k := rig.Keep(t, rig.Options{Data: filepath.Join(dir, "data"), Tags: "drill", Args: []string{"--disk-low", "0B"}})
	k.Revive(time.Minute)
	clip := rig.Clip(t, "clip.mp4", "320x180", 22)
	first := k.Send(clip, "first.mp4", time.Second)
	fill(t, filepath.Join(dir, "filler"))
	injected(t, 1)
	var grant struct {
		URL     string
		Headers map[string]string
	}
	body, err := os.ReadFile(clip)
	if err != nil {
		t.Fatal(err)
	}
	if status := k.Call(http.MethodPost, "/v1/uploads", map[string]any{"filename": "second.mp4"}, &grant); status == http.StatusCreated {
		request, err := http.NewRequest(http.MethodPut, grant.URL, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if response.StatusCode < 500 || !strings.Contains(string(text), "<Error>") {
			t.Errorf("a PUT to a full disk: %d %s", response.StatusCode, text)
		}
	} else if status < 500 {
		t.Errorf("POST /v1/uploads on a full disk: %d", status)
	}
	time.Sleep(5 * time.Second)
	if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
		t.Fatal(err)
	}
	second := k.Send(clip, "third.mp4", time.Second)
	for _, id := range []string{first, second} {
		if v := k.Until(id, 2*time.Minute, ended); v.Status != "ready" {
			t.Logf("failed for a reason: %s", v.Raw)
		}
	}
	if v := k.Look(second); v.Status != "ready" {
		t.Errorf("there is room again: %s", v.Raw)
	}
	rig.Check(t, rig.World{Servers: []*rig.Server{k.Server}, Database: filepath.Join(k.Data, "sluice.db"), Objects: k.Files(), Acked: []string{first, second}})
}

// fill writes until not one byte more fits.
func fill(t *testing.T, name string) {
	t.Helper()
	file, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for size := 1 << 20; size > 0; {
		if _, err := file.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

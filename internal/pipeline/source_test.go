package pipeline

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestACopyGoesAnHourAfterItsLastStepBegan(t *testing.T) {
	t.Parallel()
	s := sources{dir: filepath.Join(t.TempDir(), "sources")}
	now := time.Now()
	made := map[string]string{}
	for _, id := range []string{"idle", "used"} {
		made[id] = s.path("video", len(made)+1, "mp4")
		if err := os.MkdirAll(filepath.Dir(made[id]), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(made[id], nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if !s.have(made["used"], now.Add(50*time.Minute)) || s.have(filepath.Join(s.dir, "none-1", "source.mp4"), now) {
		t.Fatal("what is there is not there, or the other way round")
	}
	s.sweep(now.Add(61 * time.Minute))
	if exists(made["idle"]) || !exists(made["used"]) {
		t.Error("the wrong copy is gone")
	}
	s.sweep(now.Add(2 * time.Hour))
	if exists(made["used"]) {
		t.Error("a copy stays for ever")
	}
}

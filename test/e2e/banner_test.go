package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestBanner_AdminTokenIsSet_ItsCommandsWork runs what the start prints under "Try:" as it stands, in a shell that has
// the server's environment.
func TestBanner_AdminTokenIsSet_ItsCommandsWork(t *testing.T) {
	t.Parallel()
	s := rig.Start(t, rig.Options{Token: clusterToken})
	_, after, found := strings.Cut(s.Log(), "Try:\n")
	if !found {
		t.Fatalf("the start prints no commands:\n%s", s.Log())
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(rig.Binary(t, ""), filepath.Join(dir, "bin", "sluice")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(rig.Clip(t, "clip.mp4", "160x90", 1), filepath.Join(dir, "VIDEO.mp4")); err != nil {
		t.Fatal(err)
	}
	ran := 0
	for line := range strings.Lines(after) {
		if !strings.HasPrefix(line, "  ") {
			if ran > 0 {
				break
			}
			continue
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		command := exec.CommandContext(ctx, "sh", "-c", strings.Replace(line, "curl ", "curl -fsS ", 1))
		command.Dir, command.Env = dir, append(os.Environ(), "SLUICE_ADMIN_TOKEN="+clusterToken)
		out, err := command.CombinedOutput()
		cancel()
		if err != nil {
			t.Errorf("%s: %v\n%s", strings.TrimSpace(line), err, out)
		}
		ran++
	}
	if ran < 2 {
		t.Errorf("%d commands were run, want two or more", ran)
	}
}

package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Node runs one file of test/browser with more environment. It skips the test where npm ci has not been run there.
func Node(t testing.TB, file string, env ...string) {
	t.Helper()
	dir := filepath.Join(Root(t), "test", "browser")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Skip("the browser tests are not installed; make test does that")
	}
	cmd := exec.Command("node", "--test", "--test-reporter=spec", file)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

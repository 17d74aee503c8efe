package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Node runs one file of test/browser with more environment. The test fails if npm ci has not been run there.
func Node(t testing.TB, file string, env ...string) {
	t.Helper()
	dir := filepath.Join(Root(t), "test", "browser")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", "playwright-core")); err != nil {
		t.Fatal("the npm packages of the browser tests are missing: run npm ci in test/browser, or make test")
	}
	cmd := exec.Command("node", "--test", "--test-reporter=spec", file)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
}

// BuiltPage fails the test if the page has not been built, so that a server has none to serve.
func BuiltPage(t testing.TB) {
	t.Helper()
	if entries, err := os.ReadDir(filepath.Join(Root(t), "ui", "dist", "assets")); err != nil || len(entries) == 0 {
		t.Fatal("the page is not built: run make build")
	}
}

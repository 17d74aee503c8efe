package sluice_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// What is promised of security names the test that fails without it: one that is there.
func TestTheTestsThatTheDocsNameAreThere(t *testing.T) {
	t.Parallel()
	list := exec.Command("git", "grep", "--untracked", "-hoE", `^func (Test|Benchmark|Fuzz)\w+`, "--", "*_test.go")
	out, err := list.Output()
	if err != nil {
		t.Skipf("this is no repository of git: %v", err)
	}
	all := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		all[strings.TrimSpace(strings.TrimPrefix(line, "func "))] = true
	}
	named := 0
	for _, name := range []string{"docs/SECURITY.md", "docs/ASVS.md"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`((?:Test|Fuzz)\\w+)`").FindAllStringSubmatch(string(text), -1) {
			if named++; !all[m[1]] {
				t.Errorf("%s names %s, which is no test", name, m[1])
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d tests are named", named)
	}
}

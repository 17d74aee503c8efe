package e2e

import (
	"flag"
	"testing"
)

// full also runs the tests that take minutes; make drill sets it.
var full = flag.Bool("full", false, "run the tests that take minutes, too")

// inFull skips a test without -full. Each of them repeats on one server, and for minutes, what shorter tests or the short
// form of a drill prove in parts.
func inFull(t *testing.T) {
	t.Helper()
	if !*full {
		t.Skip("takes minutes; make drill runs it")
	}
}

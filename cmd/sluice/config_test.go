package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/config", RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func TestSizesAreReadAndPrinted(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"0": "0B", "1": "1B", "1024": "1KiB", "8GiB": "8GiB", "100GB": "100GB", "1000": "1KB", "1500 MB": "1500MB"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err != nil || s.String() != want {
			t.Errorf("%q: %s, %v, want %s", text, s, err, want)
		}
	}
	for _, text := range []string{"", "GB", "-1", "1.5GB", "9999999999TB", "1 lightyear"} {
		var s Size
		if err := s.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q passes for a size: %d", text, s)
		}
	}
}

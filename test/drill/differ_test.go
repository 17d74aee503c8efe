package drill

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/test/rig"
)

// differMoves are the durable steps that are taken only where two attempts of a step made different bytes.
var differMoves = []string{"Replace"}

// another writes a program that runs ffmpeg as another machine would, and returns the environment in which a server
// finds it: it puts options before those that it
// is given, and replaces one word of them by another.
func another(t *testing.T, options, word, by string) string {
	t.Helper()
	dir := t.TempDir()
	script := fmt.Sprintf(`#!/bin/sh
for word; do
	shift
	[ "$word" = %q ] && word=%q
	set -- "$@" "$word"
done
exec /usr/bin/ffmpeg %s "$@"
`, word, by, options)
	if err := os.WriteFile(filepath.Join(dir, "ffmpeg"), []byte(script), 0o755); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	return "PATH=" + dir + ":" + os.Getenv("PATH")
}

// TestTakeover_OtherMachineMakesOtherBytes_PublishesOneAttemptPerStep kills a server that has put the outputs of a step
// and not recorded it. A server with another
// ffmpeg takes over: without SIMD code, whose resampler makes other samples, or with another preset, as another version
// does. That one is killed around the move
// of its outputs to their names.
func TestTakeover_OtherMachineMakesOtherBytes_PublishesOneAttemptPerStep(t *testing.T) {
	beside(t)
	clip := rig.Clip(t, "clip.mov", "320x180", 4, "-ar", "44100", "-c:a", "pcm_s16le") // resampling to floats makes other bytes without SIMD code
	for _, c := range []struct {
		point, options, word, by string
		kills                    []string
	}{
		{"audio.made", "-cpuflags 0", "none", "none", []string{"Replace.before", "Replace.after"}},
		{"encode.made", "", "veryfast", "superfast", []string{"Replace.after"}},
	} {
		t.Run(c.point, func(t *testing.T) {
			if !*full && c.point != "audio.made" {
				t.Skip("only in full")
			}
			beside(t)
			o := rig.Options{Data: filepath.Join(t.TempDir(), "data"), Tags: "drill", Env: []string{"SLUICE_FAILPOINT=" + c.point}}
			s := rig.Start(t, o)
			id := s.Upload(clip, "clip.mov")
			killed := func(at string) {
				t.Helper()
				if err := s.Wait(2 * time.Minute); err == nil || !strings.Contains(err.Error(), "killed") {
					t.Fatalf("the server was to be killed at %s: %v", at, err)
				}
				injected(t, 1)
			}
			killed(c.point)
			other := another(t, c.options, c.word, c.by)
			for _, at := range c.kills {
				o.Env = []string{other, "SLUICE_FAILPOINT=" + at}
				s = rig.Launch(t, o) // it may be killed before it is up
				killed(at)
			}
			o.Env = []string{other}
			s = rig.Start(t, o)
			if v := s.Await(id, 3*time.Minute); v.Status != "ready" || v.Generation != 1 {
				t.Fatalf("%s", v.Raw)
			}
			lost, _, _ := strings.Cut(c.point, ".")
			var told struct {
				Steps []struct {
					Name     string
					Attempts []struct{ Number int }
				}
			}
			s.Call("GET", "/v1/videos/"+id, nil, &told)
			seen := false
			for _, step := range told.Steps {
				if n := len(step.Attempts); step.Name != "publish" && n > 2 || step.Name == lost && n != 2 {
					t.Errorf("%s took %d attempts", step.Name, n)
				}
				seen = seen || step.Name == lost
			}
			if !seen {
				t.Errorf("no step %s in %+v", lost, told)
			}
			s.Quiet()
			rig.Check(t, rig.World{Servers: []*rig.Server{s}, Database: filepath.Join(o.Data, "sluice.db"), Objects: s.Files(), Acked: []string{id}})
			if err := s.Stop(); err != nil {
				t.Errorf("an orderly stop: %v", err)
			}
		})
	}
}

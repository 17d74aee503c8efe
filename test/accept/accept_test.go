// Package accept drives the storage door beside a small model of what it promises: every acknowledged write is a video,
// or was deleted by name; nothing else
// vanishes; at the end nothing is left over.
package accept

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/test/rig"
)

var (
	full = flag.Bool("full", false, "play histories for minutes, and those of real processes that are killed")
	seed = flag.Uint64("accept.seed", 0, "play the history of this seed alone")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code := m.Run()
	rig.Clean()
	os.Exit(code)
}

// length is how many operations a history has.
const length = 40

// TestDoor_RandomHistories_DoesWhatItsModelDoes plays random operations of S3 clients, of people who delete videos, of
// the reconciler, of deaths and of sweeps.
// A failure prints the seed and the shortest history that still fails; -args -accept.seed repeats it.
func TestDoor_RandomHistories_DoesWhatItsModelDoes(t *testing.T) {
	for name, c := range map[string]struct {
		start     func(testing.TB) *rig.Foreign
		worlds    int
		histories int
	}{
		"embedded":  {nil, 8, 2},
		"versitygw": {rig.VersityGW, 2, 2},
		"ceph":      {rig.Ceph, 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			counts := map[string]int{}
			for n := range c.worlds {
				if *seed != 0 && n > 0 {
					break
				}
				t.Run(fmt.Sprint(n), func(t *testing.T) {
					t.Parallel()
					var foreign *rig.Foreign
					if c.start != nil {
						foreign = c.start(t)
					}
					seeds := make([]uint64, 0, c.histories)
					for k := range c.histories {
						seeds = append(seeds, uint64(1+n*c.histories+k))
					}
					if *seed != 0 {
						seeds = []uint64{*seed}
					}
					until := time.Now()
					if *full && *seed == 0 {
						until = until.Add(5 * time.Minute)
					}
					for k := 0; k < len(seeds) || time.Now().Before(until); k++ {
						s := uint64(100_000*(n+1) + k)
						if k < len(seeds) {
							s = seeds[k]
						}
						counted := map[string]int{}
						try(t, foreign, s, counted)
						mu.Lock()
						for kind, times := range counted {
							counts[kind] += times
						}
						mu.Unlock()
					}
				})
			}
			t.Cleanup(func() { t.Logf("%v", counts) })
		})
	}
}

// try plays the history of a seed in a world of its own, and shrinks it where it fails.
func try(t *testing.T, foreign *rig.Foreign, seed uint64, counts map[string]int) {
	t.Helper()
	all := history(seed, length)
	tries := 0
	play := func(ops []op, counts map[string]int) (err error) {
		tries++
		t.Run(fmt.Sprint("seed ", seed, " try ", tries), func(t *testing.T) {
			w := newWorld(t, foreign)
			err = run(t.Context(), w, fmt.Sprintf("s%d-%d", seed, tries), ops, counts)
		})
		return err
	}
	err := play(all, counts)
	if err == nil {
		return
	}
	first := err
	limit := time.Minute
	if *full {
		limit = 5 * time.Minute
	}
	all = shrink(all, limit, func(less []op) bool {
		failed := play(less, map[string]int{})
		if failed != nil {
			err = failed
		}
		return failed != nil
	})
	lines := make([]string, len(all))
	for n, o := range all {
		lines[n] = fmt.Sprintf("%d. %v", n+1, o)
	}
	t.Fatalf("seed %d: %v\nshrunk to: %v\n%s", seed, first, err, strings.Join(lines, "\n"))
}

package drill

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// faults counts what was injected, by drill.
var faults = struct {
	sync.Mutex
	by map[string]int
}{by: map[string]int{}}

// injected counts faults of a drill: a kill, a stop, a cut.
func injected(t *testing.T, n int) {
	t.Helper()
	drill, _, _ := strings.Cut(t.Name(), "/")
	faults.Lock()
	defer faults.Unlock()
	faults.by[drill] += n
}

// tell prints how many faults each drill injected. scripts/drill.sh adds up these lines.
func tell() {
	faults.Lock()
	defer faults.Unlock()
	for _, drill := range slices.Sorted(maps.Keys(faults.by)) {
		fmt.Printf("faults: %d by %s\n", faults.by[drill], drill)
	}
}

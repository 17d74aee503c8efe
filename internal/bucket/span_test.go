package bucket

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"sluice/internal/video"
)

// TestSpans_RandomExtents_MatchAnArrayOfPositions compares unions, differences and changes in place with a plain array.
func TestSpans_RandomExtents_MatchAnArrayOfPositions(t *testing.T) {
	t.Parallel()
	const size = 60
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() (spans, [size]bool) {
		var extents []video.Extent
		var model [size]bool
		for range random.IntN(8) {
			from := random.Int64N(size)
			e := video.Extent{From: from, To: from + random.Int64N(size-from+1)}
			extents = append(extents, e)
			for i := e.From; i < e.To; i++ {
				model[i] = true
			}
		}
		return union(extents), model
	}
	check := func(s spans, model [size]bool) {
		t.Helper()
		var got [size]bool
		for i, e := range s {
			if e.From >= e.To || i > 0 && e.From <= s[i-1].To {
				t.Fatalf("out of order, empty or touching: %v", s)
			}
			for n := e.From; n < e.To; n++ {
				got[n] = true
			}
		}
		if got != model {
			t.Fatalf("%v is not %v", s, model)
		}
	}
	for range 5000 {
		a, inA := draw()
		b, inB := draw()
		check(a, inA)
		added, removed := slices.Clone(a), slices.Clone(a)
		inAdded, inRemoved := inA, inA
		for _, e := range b {
			all, some := true, false
			for i := e.From; i < e.To; i++ {
				all, some = all && inA[i], some || inA[i]
				inAdded[i], inRemoved[i] = true, false
			}
			if a.holds(e) != all || a.meets(e) != some {
				t.Fatalf("%v of %v: holds %v, meets %v", e, a, a.holds(e), a.meets(e))
			}
			added.add(e)
			removed.remove(e)
		}
		check(added, inAdded)
		check(removed, inRemoved)
		for i := range inA {
			inA[i] = inA[i] && !inB[i]
		}
		check(a.without(b), inA)
		if n := len(a.bridged(1, 3)); n > 3 {
			t.Fatalf("%d are left of %v", n, a)
		}
		var n int64
		for _, e := range a.bridged(5, 3).pieces(7) {
			if e.To-e.From > 7 || e.From >= e.To {
				t.Fatalf("a piece %v", e)
			}
			n += e.To - e.From
		}
		if n < a.bytes() {
			t.Fatalf("bridging and cutting lost positions: %d of %d", n, a.bytes())
		}
	}
}

// TestFetch_FourTimesTheExtents_AllocatesFourTimesTheBytes counts what a fetch of many places costs where all of them
// are in the file: merging one at a time
// allocates with the square of their number.
func TestFetch_FourTimesTheExtents_AllocatesFourTimesTheBytes(t *testing.T) { //nolint:paralleltest // it counts the allocations of the process
	c := &cache{}
	cost := func(n int) uint64 {
		extents := make([]video.Extent, n)
		for i := range extents {
			at := int64(i) * 10_000
			extents[i] = video.Extent{From: at, To: at + 300}
		}
		size := int64(n) * 10_000
		e := &entry{have: spans{{To: size}}, changed: make(chan struct{})}
		file := &File{Size: size, cache: c, entry: e}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if err := file.Fetch(t.Context(), extents...); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	const n = 4000
	one, four := cost(n), cost(4*n)
	t.Logf("%d extents allocate %d bytes, %d allocate %d", n, one, 4*n, four)
	if four > 6*one {
		t.Errorf("%d extents allocate %d bytes, %d allocate %d: %.1f times", n, one, 4*n, four, float64(four)/float64(one))
	}
}

// TestSpans_PiecesInOrder_JoinToOneExtent records pieces in an order that eight requests at once have.
func TestSpans_PiecesInOrder_JoinToOneExtent(t *testing.T) {
	t.Parallel()
	var have spans
	for i := range int64(4000) {
		at := i ^ 7 // the last of eight comes first
		have.add(video.Extent{From: at * 100, To: at*100 + 100})
		if len(have) > 8 {
			t.Fatalf("%d extents after %d pieces", len(have), i+1)
		}
	}
	if len(have) != 1 || have.bytes() != 400_000 {
		t.Errorf("%v", have)
	}
}

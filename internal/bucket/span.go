package bucket

import (
	"cmp"
	"slices"

	"sluice/internal/video"
)

// spans is a set of byte positions, as extents in order that neither touch nor overlap.
type spans []video.Extent

// union returns the set of all positions in extents, which may come in any order, overlap and be empty. It sorts them
// once: an index of ten hours
// of video has a million, nearly in order.
func union(extents []video.Extent) spans {
	all := make(spans, 0, len(extents))
	for _, e := range extents {
		if e.From < e.To {
			all = append(all, e)
		}
	}
	byStart := func(a, b video.Extent) int { return cmp.Compare(a.From, b.From) }
	if !slices.IsSortedFunc(all, byStart) {
		slices.SortFunc(all, byStart)
	}
	joined := all[:0]
	for _, e := range all {
		if last := len(joined) - 1; last >= 0 && e.From <= joined[last].To {
			joined[last].To = max(joined[last].To, e.To)
			continue
		}
		joined = append(joined, e)
	}
	return joined
}

// add adds e to the set in place. It compares O(log n) extents and moves those behind e.
func (s *spans) add(e video.Extent) {
	if e.To <= e.From {
		return
	}
	from, to := s.overlap(e.From, e.To)
	if from < to {
		e.From, e.To = min(e.From, (*s)[from].From), max(e.To, (*s)[to-1].To)
	}
	*s = slices.Replace(*s, from, to, e)
}

// remove removes e from the set in place, at the cost of add.
func (s *spans) remove(e video.Extent) {
	if e.To <= e.From {
		return
	}
	from, to := s.overlap(e.From, e.To)
	var rest [2]video.Extent
	left := rest[:0]
	if from < to {
		if first := (*s)[from]; first.From < e.From {
			left = append(left, video.Extent{From: first.From, To: e.From})
		}
		if last := (*s)[to-1]; last.To > e.To {
			left = append(left, video.Extent{From: e.To, To: last.To})
		}
	}
	*s = slices.Replace(*s, from, to, left...)
}

// overlap returns the indexes of the extents that overlap or touch [at, end).
func (s *spans) overlap(at, end int64) (from, to int) {
	from, _ = slices.BinarySearchFunc(*s, at, func(x video.Extent, at int64) int { return cmp.Compare(x.To, at) })
	to, touches := slices.BinarySearchFunc(*s, end, func(x video.Extent, end int64) int { return cmp.Compare(x.From, end) })
	if touches {
		to++
	}
	return from, max(from, to)
}

// holds reports whether all of e is in the set.
func (s spans) holds(e video.Extent) bool {
	at, _ := slices.BinarySearchFunc(s, e.To, func(x video.Extent, end int64) int { return cmp.Compare(x.To, end) })
	return e.To <= e.From || at < len(s) && s[at].From <= e.From
}

// meets reports whether a position of e is in the set.
func (s spans) meets(e video.Extent) bool {
	at, _ := slices.BinarySearchFunc(s, e.From+1, func(x video.Extent, first int64) int { return cmp.Compare(x.To, first) })
	return e.From < e.To && at < len(s) && s[at].From < e.To
}

// without returns the part of s that is not in other.
func (s spans) without(other spans) spans {
	var rest spans
	for _, e := range s {
		at, _ := slices.BinarySearchFunc(other, e.From, func(x video.Extent, at int64) int { return cmp.Compare(x.To, at) })
		for ; at < len(other) && other[at].From < e.To; at++ {
			if other[at].From > e.From {
				rest = append(rest, video.Extent{From: e.From, To: other[at].From})
			}
			e.From = max(e.From, other[at].To)
		}
		if e.From < e.To {
			rest = append(rest, e)
		}
	}
	return rest
}

func (s spans) bytes() (n int64) {
	for _, e := range s {
		n += e.To - e.From
	}
	return n
}

// bridged joins extents that lie less than gap apart, and those that lie farther apart where more than most would be left: one request for both costs
// less than two.
func (s spans) bridged(gap int64, most int) spans {
	out := slices.Clone(s)
	for {
		joined := out[:0]
		for _, e := range out {
			if last := len(joined) - 1; last >= 0 && e.From-joined[last].To < gap {
				joined[last].To = e.To
				continue
			}
			joined = append(joined, e)
		}
		if out = joined; len(out) <= most {
			return out
		}
		gap *= 2
	}
}

// pieces cuts extents so that none is longer than most.
func (s spans) pieces(most int64) spans {
	var out spans
	for _, e := range s {
		for ; e.To-e.From > most; e.From += most {
			out = append(out, video.Extent{From: e.From, To: e.From + most})
		}
		out = append(out, e)
	}
	return out
}

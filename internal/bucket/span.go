package bucket

import (
	"cmp"
	"slices"

	"sluice/internal/video"
)

// spans is a set of byte positions, as extents in order that neither touch nor overlap.
type spans []video.Extent

// with returns the set and e.
func (s spans) with(e video.Extent) spans {
	if e.To <= e.From {
		return s
	}
	from, _ := slices.BinarySearchFunc(s, e.From, func(x video.Extent, at int64) int { return cmp.Compare(x.To, at) })
	to := from
	for ; to < len(s) && s[to].From <= e.To; to++ {
		e.From, e.To = min(e.From, s[to].From), max(e.To, s[to].To)
	}
	return slices.Concat(s[:from], spans{e}, s[to:])
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
	var out spans
	for _, e := range s {
		if last := len(out) - 1; last >= 0 && e.From-out[last].To < gap {
			out[last].To = e.To
			continue
		}
		out = append(out, e)
	}
	if len(out) > most {
		return out.bridged(2*gap, most)
	}
	return out
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

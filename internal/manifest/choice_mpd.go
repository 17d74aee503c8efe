package manifest

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// trickMode marks the adaptation sets that are for fast forward alone (DASH-IF IOP §3.2.9).
const trickMode = "http://dashif.org/guidelines/trickmode"

// mpdPeriod, mpdSet and mpdRepresentation are elements of an MPD as a Choice sees them: bytes into the text, the spaces before them included.
type (
	mpdPeriod struct{ sets []mpdSet }
	mpdSet    struct {
		start, end int
		says       map[string]string
		trick      bool
		bounds     []mpdBound
		list       []mpdRepresentation
	}
	mpdRepresentation struct {
		candidate
		start, end int
		sort       string // "video", "audio", "text", "image"; may be empty
		says       map[string]string
	}
)

// MPD applies the Choice to an MPD, each Period by itself. Representations stay byte for byte, and in the places of their adaptation set's; a set without any is
// left out, what a set tells of all of its representations (maxWidth) is that of those which are left, and sets for trick mode keep to the same limits. Sound is chosen by its codecs alone; captions and pictures that don't move (thumbnails) stay.
func (c Choice) MPD(text []byte) ([]byte, error) {
	periods, err := readPeriods(text)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(text))
	from := 0
	for _, p := range periods {
		ranks := c.ranks(p)
		next := 0
		for _, set := range p.sets {
			mine := ranks[next : next+len(set.list)]
			next += len(set.list)
			kept := ordered(mine)
			if len(kept) == 0 && len(mine) > 0 {
				out = append(out, text[from:set.start]...)
				from = set.end
				continue
			}
			left := make([]mpdRepresentation, len(kept))
			for i, at := range kept {
				left[i] = set.list[at]
			}
			for _, b := range set.bounds {
				if value := b.bounded(left); value != "" && len(left) < len(set.list) {
					out = append(append(out, text[from:b.start]...), value...)
					from = b.end
				}
			}
			for i, r := range set.list {
				out = append(out, text[from:r.start]...)
				if i < len(left) {
					out = append(out, text[left[i].start:left[i].end]...)
				}
				from = r.end
			}
		}
	}
	return append(out, text[from:]...), nil
}

// ordered is the indexes of what has a rank, lowest rank first.
func ordered(ranks []int) []int {
	var kept []int
	for i, rank := range ranks {
		if rank >= 0 {
			kept = append(kept, i)
		}
	}
	slices.SortStableFunc(kept, func(i, j int) int { return ranks[i] - ranks[j] })
	return kept
}

// ranks says of each representation of a period, over all its sets, which place it has among its sort; -1 for those that are left out.
func (c Choice) ranks(p mpdPeriod) []int {
	var list []mpdRepresentation
	var trick []bool
	for _, set := range p.sets {
		list = append(list, set.list...)
		trick = append(trick, slices.Repeat([]bool{set.trick}, len(set.list))...)
	}
	ranks := make([]int, len(list))
	for _, sort := range []string{"video", "audio"} {
		var all []candidate
		var places []int
		for i, r := range list {
			if r.sort == sort && !trick[i] {
				all, places = append(all, r.candidate), append(places, i)
				ranks[i] = -1
			}
		}
		choice := c
		if sort == "audio" {
			choice = Choice{Codecs: c.Codecs}
		}
		l := choice.limit(all)
		for rank, i := range choice.pick(all, l) {
			ranks[places[i]] = rank
		}
		for i, r := range list {
			if r.sort == sort && trick[i] && len(all) > 0 && !l.allow(r.candidate) {
				ranks[i] = -1
			}
		}
	}
	return ranks
}

// readPeriods finds the periods, sets and representations of an MPD.
func readPeriods(text []byte) ([]mpdPeriod, error) {
	s, err := scanXML(text)
	if err != nil {
		return nil, err
	}
	var periods []mpdPeriod
	for {
		tag, more, err := s.next()
		if err != nil || !more {
			return periods, err
		}
		// Where the element stands: the scanner has it on its stack already if it goes on.
		around := s.open
		if tag.opens && !tag.closes {
			around = around[:len(around)-1]
		}
		switch path := strings.Join(around, "/") + "/" + tag.name; {
		case path == "MPD/Period" && tag.opens:
			periods = append(periods, mpdPeriod{})
		case strings.HasPrefix(path, "MPD/Period/AdaptationSet"):
			if err := periods[len(periods)-1].read(s, tag, path); err != nil {
				return nil, err
			}
		}
	}
}

// read takes what is said of adaptation sets and representations.
func (p *mpdPeriod) read(s *xmlScanner, tag xmlTag, path string) error {
	last := len(p.sets) - 1
	switch path {
	case "MPD/Period/AdaptationSet":
		if tag.opens {
			says, err := s.values(tag)
			if err != nil {
				return err
			}
			set := mpdSet{start: s.spaced(tag.start), says: says}
			for _, a := range tag.attributes {
				if of, most, ok := boundOf(a.name); ok {
					set.bounds = append(set.bounds, mpdBound{a.start, a.end, of, most})
				}
			}
			p.sets = append(p.sets, set)
			last++
		}
		p.sets[last].end = tag.end
	case "MPD/Period/AdaptationSet/EssentialProperty":
		scheme, err := s.value(tag, "schemeIdUri")
		p.sets[last].trick = p.sets[last].trick || scheme == trickMode
		return err
	case "MPD/Period/AdaptationSet/Representation":
		set := &p.sets[last]
		if tag.opens {
			r, err := set.represents(s, tag)
			if err != nil {
				return err
			}
			set.list = append(set.list, r)
		}
		set.list[len(set.list)-1].end = tag.end
	}
	return nil
}

// represents reads a representation; what it doesn't say, its set does (ISO/IEC 23009-1 §5.3.7).
func (set *mpdSet) represents(s *xmlScanner, tag xmlTag) (mpdRepresentation, error) {
	r := mpdRepresentation{start: s.spaced(tag.start)}
	own, err := s.values(tag)
	if err != nil {
		return r, err
	}
	r.says = own
	say := func(name string) string { return cmp.Or(own[name], set.says[name]) }
	r.codecs = say("codecs")
	r.sort, _, _ = strings.Cut(cmp.Or(set.says["contentType"], say("mimeType")), "/")
	if r.rate, err = strconv.ParseInt(own["bandwidth"], 10, 64); err != nil || r.rate < 0 {
		return r, unfit("a representation doesn't say its bandwidth")
	}
	if r.sort != "video" {
		return r, nil
	}
	var ok bool
	if r.short, ok = short(say("width"), say("height")); !ok {
		r.short = unknown
	}
	return r, nil
}

// values are all attributes of a tag, their entities resolved.
func (s *xmlScanner) values(tag xmlTag) (map[string]string, error) {
	found := make(map[string]string, len(tag.attributes))
	for _, a := range tag.attributes {
		v, _, err := unescape(s.text[a.start:a.end])
		if err != nil {
			return nil, err
		}
		found[a.name] = v
	}
	return found, nil
}

// spaced is where the spaces before byte at begin.
func (s *xmlScanner) spaced(at int) int {
	for at > 0 && strings.IndexByte(" \t\r\n", s.text[at-1]) >= 0 {
		at--
	}
	return at
}

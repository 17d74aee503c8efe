package manifest

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Choice is what of a stored multivariant playlist or MPD is offered to a device, and in which order. The zero Choice is all
// of it, as it is stored. It is a value: two Choices with one Key make the same bytes of the same manifest.
//
// The cap holds: of the rungs above it nothing is left, neither variants nor I-frame playlists nor Representations. Only where all
// are above it the lowest stays, so that there is something to play. A rung that doesn't say its size counts as above.
// Codecs are chosen among what is left, and never leave nothing: where none would fit, all stay, and it is the player's to find out.
type Choice struct {
	MaxResolution int    // short side in pixels, by which rungs are named; 0 for no cap
	Start         int64  // Balanced begins with the best rung of at most so many bits a second on average
	Order         Order  // of the video rungs
	Codecs        Codecs // what the device decodes
}

// Order is the order of variants and Representations. Players begin with the variant listed first.
type Order string

// The orders.
const (
	Stored   Order = ""         // as the manifest has them
	Balanced Order = "balanced" // the rung of Choice.Start, then the others, best first
	Highest  Order = "highest"  // best first
	Lowest   Order = "lowest"   // smallest first
)

// Codecs is a set of codec families. It says nothing about a sort of media of which it has none: the set {avc1} allows every sound.
type Codecs uint16

// families are the codecs that may be asked for, by the first element of an RFC 6381 name, in the order of Codecs' bits; the sound
// begins after the pictures.
var families = [...]string{"avc1", "hvc1", "av01", "vp09", "mp4a", "ac-3", "ec-3", "opus", "flac"}

// soundsAt is the bit of the first family of sound.
const soundsAt = 4

// The sets of one sort.
const (
	pictureCodecs = Codecs(1<<soundsAt - 1)
	soundCodecs   = Codecs(1<<len(families)-1) &^ pictureCodecs
)

// CodecsOf makes a set of families: "avc1", "hvc1", "av01", "vp09", "mp4a", "ac-3", "ec-3", "opus", "flac". It returns the first name that isn't one, if any.
func CodecsOf(names ...string) (set Codecs, unknown string) {
	for _, name := range names {
		at := slices.Index(families[:], name)
		if at < 0 {
			return 0, name
		}
		set |= 1 << at
	}
	return set, ""
}

// String lists the families, joined by "+".
func (c Codecs) String() string {
	var names []string
	for i, name := range families {
		if c&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "+")
}

// FamilyNames are all names that CodecsOf knows.
func FamilyNames() []string { return slices.Clone(families[:]) }

// family is that of one codec ("avc1.640028", "Opus"), 0 for one that no set names.
func family(codec string) Codecs {
	name, _, _ := strings.Cut(codec, ".")
	switch name {
	case "avc3":
		name = "avc1"
	case "hev1":
		name = "hvc1"
	case "Opus":
		name = "opus"
	case "fLaC":
		name = "flac"
	}
	set, _ := CodecsOf(name)
	return set
}

// decodes reports whether a device with these codecs plays all of a list as CODECS attributes have it. Captions (RFC 8216
// §4.3.4.2, wvtt and stpp) are everyone's; codecs that no set names are nobody's where there is a set.
func (c Codecs) decodes(list string) bool {
	if c == 0 || list == "" {
		return true
	}
	for codec := range strings.SplitSeq(list, ",") {
		codec = strings.TrimSpace(codec)
		f := family(codec)
		for _, sort := range []Codecs{pictureCodecs, soundCodecs} {
			if f&sort != 0 && c&sort != 0 && f&c == 0 {
				return false
			}
		}
		if f == 0 && !strings.HasPrefix(codec, "wvtt") && !strings.HasPrefix(codec, "stpp") {
			return false
		}
	}
	return true
}

// Capped is the Choice under one more cap, which holds whatever else was asked: the lower of the two. 0 caps nothing.
func (c Choice) Capped(resolution int) Choice {
	if resolution > 0 && (c.MaxResolution == 0 || resolution < c.MaxResolution) {
		c.MaxResolution = resolution
	}
	return c
}

// Key is the Choice as a key for caches, the same for all Choices that make the same answers: "max=720;start=730000;order=balanced;codecs=avc1+mp4a". It is "stored" for the zero Choice.
func (c Choice) Key() string {
	var parts []string
	if c.MaxResolution > 0 {
		parts = append(parts, fmt.Sprintf("max=%d", c.MaxResolution))
	}
	if c.Order == Balanced {
		parts = append(parts, fmt.Sprintf("start=%d", c.Start))
	}
	if c.Order != Stored {
		parts = append(parts, "order="+string(c.Order))
	}
	if c.Codecs != 0 {
		parts = append(parts, "codecs="+c.Codecs.String())
	}
	return cmp.Or(strings.Join(parts, ";"), "stored")
}

// candidate is what Choice knows of a variant or Representation.
type candidate struct {
	short  int   // pixels; 0 for sound alone, unknown for a picture that doesn't say
	rate   int64 // bits a second
	codecs string
}

// unknown is above every cap.
const unknown = math.MaxInt

// limits are what a Choice comes to for one manifest: what of it all other lists, such as I-frame playlists, keep to.
type limits struct {
	short  int
	codecs Codecs
}

func (l limits) allow(c candidate) bool { return c.short <= l.short && l.codecs.decodes(c.codecs) }

// limit finds the limits for a list of rungs, so that they leave some; where there are pictures, one with a picture.
func (c Choice) limit(list []candidate) limits {
	l := limits{short: unknown}
	base := slices.DeleteFunc(slices.Clone(list), func(one candidate) bool { return one.short == 0 })
	if len(base) == 0 {
		base = list
	}
	if c.MaxResolution > 0 {
		lowest := unknown
		for _, one := range base {
			lowest = min(lowest, one.short)
		}
		l.short = max(c.MaxResolution, lowest)
	}
	if slices.ContainsFunc(base, limits{l.short, c.Codecs}.allow) {
		l.codecs = c.Codecs
	}
	return l
}

// pick is the candidates under the limits, as indexes in the order of the Choice.
func (c Choice) pick(list []candidate, l limits) []int {
	var kept []int
	for i, one := range list {
		if l.allow(one) {
			kept = append(kept, i)
		}
	}
	if c.Order == Stored {
		return kept
	}
	slices.SortStableFunc(kept, func(i, j int) int {
		a, b := list[i], list[j]
		if (a.short == 0) != (b.short == 0) { // sound alone comes last: nobody should begin with it
			return cmp.Compare(b.short, a.short)
		}
		if c.Order == Lowest {
			return cmp.Compare(a.rate, b.rate)
		}
		return cmp.Compare(b.rate, a.rate)
	})
	if c.Order != Balanced {
		return kept
	}
	first := -1
	for at, i := range kept {
		if list[i].short == 0 && at > 0 {
			break
		}
		first = at
		if list[i].rate <= c.Start {
			break
		}
	}
	if first > 0 {
		start := kept[first]
		kept = slices.Insert(slices.Delete(kept, first, first+1), 0, start)
	}
	return kept
}

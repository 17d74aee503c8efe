package video

import "time"

// Together is how far the ends (or starts) of sound and picture may lie apart without anything being added. It is more
// than one access unit of sound and one picture at 25 frames a second, and too short to be noticed.
const Together = 100 * time.Millisecond

// Addition is a stretch that a generation shows or plays although the source has nothing there, so that sound and
// picture begin and end together. Players that use Media Source Extensions play only what every track has.
type Addition struct {
	Kind AdditionKind  `json:"kind"`
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

// AdditionKind says what was added.
type AdditionKind string

// The kinds of addition.
const (
	Silence AdditionKind = "silence"
	Held    AdditionKind = "held_picture" // the first or the last picture, standing still
)

// AdditionKinds lists the kinds.
func AdditionKinds() []AdditionKind { return []AdditionKind{Silence, Held} }

// Additions lists what a generation of length end adds to its source: picture and sound are how much of the ends of
// its tracks is not of the source.
func (p Plan) Additions(f Facts, end, picture, sound time.Duration) (all []Addition) {
	add := func(kind AdditionKind, from, to time.Duration) {
		if to-from > Together {
			all = append(all, Addition{kind, from, to})
		}
	}
	if a := p.Sound(f); a != nil && f.Video != nil {
		add(Held, 0, f.Video.Start)
		add(Held, end-picture, end)
		add(Silence, 0, a.Start)
		add(Silence, end-sound, end)
	}
	return all
}

// Sound returns the facts of the audio stream that the plan uses; nil without one.
func (p Plan) Sound(f Facts) *AudioFacts {
	if p.Audio == nil {
		return nil
	}
	var found *AudioFacts
	var length time.Duration
	for i := range f.Audio {
		if a := &f.Audio[i]; a.Index == p.Audio.Stream {
			found = a
		} else if p.Audio.Right != 0 && a.Index == p.Audio.Right {
			length = a.Duration
		}
	}
	if found != nil && length > found.Duration { // both channels last as long as the longer one
		both := *found
		both.Duration, found = length, &both
	}
	return found
}

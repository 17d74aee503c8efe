package pipeline

import (
	"slices"
	"sync"

	"golang.org/x/sync/singleflight"

	"sluice/internal/ffmpeg"
)

// indexesKept is how many indexes a process keeps: one that steps read and one of the video that comes next. The index
// of ten hours of video takes some 70 MB.
const indexesKept = 2

// indexes keeps the indexes of the pinned sources that were read last. Each chunk of a video needs the same one, which
// grows with the video: reading it for each chunk costs the square of the length.
type indexes struct {
	under singleflight.Group
	mu    sync.Mutex
	kept  []keptIndex // the one used last comes last
}

type keptIndex struct {
	pin   string
	index *ffmpeg.Index // nil: the source has none
}

// of returns the index of a pinned source, whose bytes never change. It is read once by all that ask for it at the same
// time, and again after an error.
func (x *indexes) of(pin string, read func() (*ffmpeg.Index, error)) (*ffmpeg.Index, error) {
	got, err, shared := x.under.Do(pin, func() (any, error) {
		if index, ok := x.use(pin); ok {
			return index, nil
		}
		index, err := read()
		if err == nil {
			x.keep(pin, index)
		}
		return index, err
	})
	if err != nil && shared { // it may be that the one who read has ended
		return read()
	}
	index, _ := got.(*ffmpeg.Index)
	return index, err
}

func (x *indexes) use(pin string) (*ffmpeg.Index, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i := slices.IndexFunc(x.kept, func(k keptIndex) bool { return k.pin == pin })
	if i < 0 {
		return nil, false
	}
	found := x.kept[i]
	x.kept = append(slices.Delete(x.kept, i, i+1), found)
	return found.index, true
}

func (x *indexes) keep(pin string, index *ffmpeg.Index) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.kept) == indexesKept {
		x.kept = slices.Delete(x.kept, 0, 1)
	}
	x.kept = append(x.kept, keptIndex{pin, index})
}

package video

import "strconv"

// Copies are what caches in front of the edge keep of a video, and are to drop. Each answer of the edge says by marks which copies it makes.
type Copies struct {
	ID         int64 // of the record; 0 for none
	Video      ID
	Generation int      // only of this one; 0: of all
	Folders    []string // what their addresses begin with: the folder of the video and its playback ids, or only some of these
	Playbacks  bool     // only of the playback ids that Folders lists
	Again      bool     // they are to be dropped once more, later
}

// Marks are the names of these copies.
func (c Copies) Marks() []string {
	switch {
	case c.Playbacks:
		marks := make([]string, len(c.Folders))
		for i, f := range c.Folders {
			marks[i] = PlaybackMark(PlaybackID(f))
		}
		return marks
	case c.Generation > 0:
		return []string{GenerationMark(c.Video, c.Generation)}
	}
	return []string{Mark(c.Video)}
}

// Mark is on all copies of a video.
func Mark(id ID) string { return "video-" + string(id) }

// GenerationMark is on those of one generation.
func GenerationMark(id ID, n int) string { return "generation-" + string(id) + "-" + strconv.Itoa(n) }

// PlaybackMark is on those that were asked for by a playback id.
func PlaybackMark(id PlaybackID) string { return "playback-" + string(id) }

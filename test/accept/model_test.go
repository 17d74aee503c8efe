package accept

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fact names one write of a key as S3 tells writes apart: two writes of the same bytes within one second are one.
type fact struct {
	key, etag string
	second    int64 // since the epoch
}

// clip is a video as the records have it.
type clip struct {
	id, pin string
	fact    fact
}

// write is what the model keeps of one fact.
type write struct {
	body    string
	acked   bool   // a client got its 200
	due     bool   // a video has to come of it, since it was acknowledged or seen
	video   string // the video that it became; empty before
	deleted bool   // that video was deleted by name
}

// model is what the storage and the records have to hold, after each operation. It learns the identity of a write by a
// HEAD right after it, and knows
// everything else from what was done.
type model struct {
	writes  map[fact]*write
	current map[string]fact // what lies under each key
	told    bool            // a write is accepted before its client is answered
}

func newModel(told bool) *model {
	return &model{writes: map[fact]*write{}, current: map[string]fact{}, told: told}
}

// stored notes that a write lies under its key. One that is acknowledged after its twin's video was deleted is a write
// of its own, whatever its identity is.
func (m *model) stored(f fact, body string, acked bool) {
	w := m.writes[f]
	if w == nil || w.deleted && acked {
		w = &write{body: body}
		m.writes[f] = w
	}
	w.acked = w.acked || acked
	w.due = w.due || acked && m.told
	m.current[f.key] = f
}

// seen notes that the storage was looked through: what lies there has to be a video from now on.
func (m *model) seen() {
	for _, f := range m.current {
		if w := m.writes[f]; !w.deleted {
			w.due = true
		}
	}
}

// unstored notes that a client deleted an object.
func (m *model) unstored(key string) { delete(m.current, key) }

// removed notes that a video was deleted by name.
func (m *model) removed(id string) {
	for _, w := range m.writes {
		if w.video == id {
			w.deleted = true
		}
	}
}

// live are the facts whose video is there.
func (m *model) live() (all []fact) {
	for f, w := range m.writes {
		if w.video != "" && !w.deleted {
			all = append(all, f)
		}
	}
	slices.SortFunc(all, func(a, b fact) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	return all
}

// look compares the records and the bucket of uploads with the model. settled says that nothing is under way.
func (m *model) look(videos []clip, objects map[string]fact, settled bool) error {
	there := map[string]clip{}
	for _, v := range videos {
		there[v.id] = v
		w := m.writes[v.fact]
		switch {
		case w == nil:
			return fmt.Errorf("video %s is of %v, which nobody wrote", v.id, v.fact)
		case w.deleted:
			return fmt.Errorf("video %s is of %v, whose video was deleted", v.id, v.fact)
		case w.video == "":
			w.video = v.id
		case w.video != v.id:
			return fmt.Errorf("%v is the video %s and the video %s", v.fact, w.video, v.id)
		}
	}
	for f, w := range m.writes {
		if _, ok := there[w.video]; w.due && !w.deleted && !ok {
			return fmt.Errorf("%v (acknowledged: %v) is no video", f, w.acked)
		}
		if _, ok := there[w.video]; w.video != "" && !w.deleted && !ok {
			return fmt.Errorf("video %s of %v vanished", w.video, f)
		}
	}
	for key, f := range m.current {
		switch now, ok := objects[key]; {
		case ok && now != f:
			return fmt.Errorf("%v lies where %v was put", now, f)
		case !ok && !m.writes[f].deleted:
			return fmt.Errorf("the object of %v vanished", f)
		case ok && m.writes[f].deleted && settled:
			return fmt.Errorf("the object of %v, whose video was deleted, is left over", f)
		case !ok:
			delete(m.current, key)
		}
	}
	for key, f := range objects {
		if _, ok := m.current[key]; !ok {
			return fmt.Errorf("%v lies where nothing should", f)
		}
	}
	return nil
}

// left compares the pins with the videos, once nothing is under way and all leftovers were swept.
func (m *model) left(videos []clip, pins map[string]string) error {
	rest := maps.Clone(pins)
	for _, v := range videos {
		body, ok := pins[v.pin]
		if w := m.writes[v.fact]; w != nil && (!ok || body != w.body) {
			return fmt.Errorf("video %s is pinned as %q (there: %v), want %q", v.id, body, ok, w.body)
		}
		delete(rest, v.pin)
	}
	for pin := range rest {
		return fmt.Errorf("pin %s is of no video", pin)
	}
	return nil
}

package catalog

import (
	"fmt"
	"slices"
	"strings"

	"sluice/internal/event"
	"sluice/internal/video"
)

// model is what the step machine should be, in memory and without a fence: each method is one move, done as docs/STATES.md says it, by one actor at a time. What
// it answers and what it holds is compared with the store after every move.
type model struct {
	videos map[video.ID]*modelVideo
	jobs   []*modelJob // of all videos, oldest first
}

type modelVideo struct {
	id                video.ID
	status            video.Status // "" when its rows are gone
	failure           string
	newest, published int
	generations       map[int]string
	steps             map[video.StepRef]video.StepState
	attempts          map[video.StepRef][]*modelAttempt
	events            []event.Type
	broken            int // the newest generation of which a step failed for good
	everPlayed        bool
}

type modelAttempt struct {
	of     *modelTry
	closed bool
	code   string
}

// modelJob is a row of River's. id 0 is one that the store has inserted and the test has not yet looked up.
type modelJob struct {
	id       int64
	ref      video.StepRef
	state    string
	tries    int
	canceled bool // asked to, while it runs
	holder   *modelTry
}

// modelTry is a worker that took a job: it holds it until the job is taken from it, and may go on after that.
type modelTry struct {
	job    *modelJob
	number int
	worker string
	begun  bool
	over   bool
}

// The answers of a move.
const (
	fine    = "nil"
	stale   = "stale"
	missed  = "no_video"
	busy    = "busy"
	over    = "job_done"
	unfaild = "not_failed"
)

func (m *model) insert(ref video.StepRef) {
	m.jobs = append(m.jobs, &modelJob{ref: ref, state: "available"})
}

func (m *model) receive(id video.ID) {
	m.videos[id] = &modelVideo{id: id, status: video.Waiting, newest: 1, generations: map[int]string{}, steps: map[video.StepRef]video.StepState{},
		attempts: map[video.StepRef][]*modelAttempt{}}
	m.start(m.videos[id])
	m.videos[id].events = []event.Type{event.SourceReceived}
}

// start makes the newest generation.
func (m *model) start(v *modelVideo) {
	v.generations[v.newest] = waiting
	v.steps[step(v.id, v.newest, video.Ingest, 0)] = video.StepWaiting
	m.insert(step(v.id, v.newest, video.Ingest, 0))
}

func (v *modelVideo) seen() bool { return v != nil && v.status != "" && v.status != video.Deleting }

func (v *modelVideo) underWay() bool {
	return v.seen() && (v.generations[v.newest] == waiting || v.generations[v.newest] == planned)
}

// current is the video where ref's generation is under way, else nil.
func (m *model) current(ref video.StepRef) *modelVideo {
	if v := m.videos[ref.Video]; v.underWay() && v.newest == ref.Generation {
		return v
	}
	return nil
}

// end ends a try's job where the try still holds it.
func (t *modelTry) end(state string) {
	if t.job.holder == t {
		t.job.state, t.job.holder = state, nil
	}
}

func (m *model) begin(t *modelTry) string {
	t.begun = true
	v := m.current(t.job.ref)
	if v == nil || t.job.holder != t || v.steps[t.job.ref] != video.StepWaiting && v.steps[t.job.ref] != video.StepRunning {
		t.over = true
		t.end("completed")
		return stale
	}
	v.steps[t.job.ref] = video.StepRunning
	v.attempts[t.job.ref] = append(v.attempts[t.job.ref], &modelAttempt{of: t})
	if v.published == 0 {
		v.status = video.Processing
	}
	return fine
}

// done ends a step well, whichever attempt says so first.
func (m *model) done(t *modelTry) string {
	t.over = true
	ref := t.job.ref
	v := m.current(ref)
	t.end("completed")
	if v == nil || v.steps[ref] != video.StepRunning {
		return stale
	}
	v.steps[ref] = video.StepDone
	for _, a := range v.attempts[ref] {
		if a.of == t {
			a.closed = true
		}
	}
	v.events = append(v.events, event.StepFinished)
	switch ref.Name {
	case video.Ingest:
		v.generations[v.newest] = planned
		for _, next := range smallParts(v.id, v.newest) {
			v.steps[next] = video.StepWaiting
			m.insert(next)
		}
		v.events = append(v.events, event.VideoPlanned)
	case video.Publish:
		for n, state := range v.generations {
			if state == published {
				v.generations[n] = superseded
			}
		}
		recovered := v.broken > v.published
		v.generations[v.newest], v.published, v.status, v.failure = published, v.newest, video.Ready, ""
		if !v.everPlayed {
			v.events = append(v.events, event.VideoPlayable)
		}
		v.everPlayed = true
		v.events = append(v.events, event.VideoReady)
		if recovered {
			v.events = append(v.events, event.VideoRecovered)
		}
	case video.Encode, video.Audio, video.Stills:
		for _, other := range smallParts(v.id, v.newest) {
			if v.steps[other] != video.StepDone {
				return fine
			}
		}
		publish := step(v.id, v.newest, video.Publish, 0)
		v.steps[publish] = video.StepWaiting
		m.insert(publish)
	}
	return fine
}

// failed ends an attempt badly: only the step's latest decides anything.
func (m *model) failed(t *modelTry, final bool) string {
	t.over = true
	ref := t.job.ref
	v := m.current(ref)
	if v == nil {
		t.end("completed")
		return stale
	}
	all := v.attempts[ref]
	for _, a := range all {
		if a.of == t && !a.closed {
			a.closed, a.code = true, "not_media"
		}
	}
	if all[len(all)-1].of != t || v.steps[ref] != video.StepRunning {
		t.end("completed")
		return stale
	}
	v.events = append(v.events, event.StepFailed)
	if !final {
		v.steps[ref] = video.StepWaiting
		t.end("available") // the engine gives it back
		return fine
	}
	v.steps[ref], v.broken = video.StepFailed, v.newest
	t.end("discarded")
	m.abandon(v, "not_media", t.job)
	return fine
}

// abandon fails the newest generation, for the sake of own.
func (m *model) abandon(v *modelVideo, code string, own *modelJob) {
	v.generations[v.newest] = failed
	m.stop(v, own)
	v.failure, v.status = code, video.Failed
	if v.published > 0 {
		v.status = video.Ready
	}
	v.events = append(v.events, event.VideoFailed)
}

// stop cancels the steps of the newest generation and the jobs of the video, save own: it ends by itself, or finds its step over.
func (m *model) stop(v *modelVideo, own *modelJob) {
	for ref, state := range v.steps {
		if ref.Generation == v.newest && (state == video.StepWaiting || state == video.StepRunning) {
			v.steps[ref] = video.StepCanceled
		}
	}
	for _, j := range m.jobs {
		if j.ref.Video != v.id || j == own {
			continue
		}
		switch j.state {
		case "available":
			j.state = "cancelled"
		case "running":
			j.canceled = true
		}
	}
}

func (m *model) cancel(ref video.StepRef) string {
	v := m.videos[ref.Video]
	if !v.seen() {
		return missed
	}
	if m.current(ref) == nil {
		return over
	}
	m.abandon(v, "encode_canceled", nil)
	return fine
}

func (m *model) encode(id video.ID) string {
	v := m.videos[id]
	switch {
	case !v.seen():
		return missed
	case v.underWay():
		return busy
	}
	v.newest++
	m.restart(v)
	m.start(v)
	v.events = append(v.events, event.EncodeRequested)
	return fine
}

func (m *model) restart(v *modelVideo) {
	v.failure, v.status = "", video.Waiting
	if v.published > 0 {
		v.status = video.Ready
	}
}

func (m *model) redrive(id video.ID) string {
	v := m.videos[id]
	switch {
	case !v.seen():
		return missed
	case v.underWay():
		return busy
	case v.generations[v.newest] == published:
		return unfaild
	}
	m.forget(id)
	if v.generations[v.newest] == failed {
		v.generations[v.newest] = planned
		if v.steps[step(id, v.newest, video.Ingest, 0)] != video.StepDone {
			v.generations[v.newest] = waiting
		}
		var open []video.StepRef
		for ref, state := range v.steps {
			if ref.Generation == v.newest && (state == video.StepFailed || state == video.StepCanceled) {
				v.steps[ref] = video.StepWaiting
				open = append(open, ref)
			}
		}
		slices.SortFunc(open, inOrder)
		for _, ref := range open {
			m.insert(ref)
		}
	} else {
		v.newest++
		m.start(v)
	}
	m.restart(v)
	v.events = append(v.events, event.VideoRedriven)
	return fine
}

// forget drops a video's jobs that are over.
func (m *model) forget(id video.ID) {
	m.jobs = slices.DeleteFunc(m.jobs, func(j *modelJob) bool {
		return j.ref.Video == id && j.state != "available" && j.state != "running"
	})
}

func (m *model) delete(id video.ID) string {
	v := m.videos[id]
	if !v.seen() {
		return missed
	}
	if v.underWay() {
		v.generations[v.newest] = canceled
	}
	m.stop(v, nil)
	v.status = video.Deleting
	v.events = append(v.events, event.VideoDeleted)
	return fine
}

func (m *model) remove(id video.ID) string {
	v := m.videos[id]
	if v.status != video.Deleting {
		return stale
	}
	*v = modelVideo{id: id, events: v.events}
	m.forget(id)
	return fine
}

// retire moves a generation towards its end: first it is condemned, then gone.
func (m *model) retire(id video.ID, n int, gone bool) string {
	v := m.videos[id]
	if !v.seen() {
		return stale
	}
	switch state := v.generations[n]; {
	case gone && state == retiring:
		v.generations[n] = "retired"
		v.events = append(v.events, event.GenerationRetired)
	case !gone && slices.Contains([]string{superseded, failed, canceled, retiring}, state):
		v.generations[n] = retiring
	default:
		return stale
	}
	return fine
}

// stuck names a step that is due and that no job will ever do.
func (m *model) stuck() string {
	for _, v := range m.videos {
		for ref, state := range v.steps {
			if !v.underWay() || ref.Generation != v.newest || state != video.StepWaiting && state != video.StepRunning {
				continue
			}
			if !slices.ContainsFunc(m.jobs, func(j *modelJob) bool {
				return j.ref == ref && (j.state == "available" || j.state == "running" && !j.canceled)
			}) {
				return fmt.Sprint(ref)
			}
		}
	}
	return ""
}

// tell writes all that the model holds of a video, in the words in which the store is read.
func (m *model) tell(id video.ID) string {
	v := m.videos[id]
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if v.status != "" {
		add("video %s newest %d published %d failure %q", v.status, v.newest, v.published, v.failure)
	}
	for n, state := range v.generations {
		add("generation %d %s served %v", n, state, v.seen() && (state == published || state == superseded))
	}
	for ref, state := range v.steps {
		add("step %d %s %d %s", ref.Generation, ref.Name, ref.N, state)
		for i, a := range v.attempts[ref] {
			add("attempt %d %s %d #%d job %d try %d closed %v %s", ref.Generation, ref.Name, ref.N, i+1, a.of.job.id, a.of.number, a.closed, a.code)
		}
	}
	for _, j := range m.jobs {
		if j.ref.Video == id {
			add("job %d of %d %s %d %s tried %d canceled %v", j.id, j.ref.Generation, j.ref.Name, j.ref.N, j.state, j.tries, j.canceled && j.state == "running")
		}
	}
	slices.Sort(lines)
	return strings.Join(append(lines, fmt.Sprint("events ", v.events)), "\n")
}

package catalog

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"sluice/internal/engine"
	"sluice/internal/event"
	"sluice/internal/fault"
	"sluice/internal/video"
)

var (
	machineSeed = flag.Uint64("machine.seed", 0, "run the step machine's test with this seed alone")
	machineTime = flag.Duration("machine.time", 3*time.Second, "how long the step machine's test takes, for each database")
)

// TestTheStepMachineDoesWhatItsModelDoes takes random moves, one after the other: workers that take jobs, are rescued from and go on, end, fail, are told twice;
// people who encode again, redrive, cancel and delete; removals. Each move is a transaction, so every interleaving of several processes is one such sequence. After
// each move the answer, the rows, the events and the jobs must be the model's, and no step that is due may be without a job.
//
// A failure prints its seed; -machine.seed repeats it. That the test can fail is proven by test/mutants, which removes one
// condition of a statement at a time.
func TestTheStepMachineDoesWhatItsModelDoes(t *testing.T) {
	each(t, func(w *world) {
		if w.db.SQLite != nil { // no test of power cuts
			_, err := w.db.SQLite.ExecContext(w.t.Context(), `PRAGMA synchronous = OFF`)
			w.must(err)
		}
		moves, counts := 0, map[string]int{}
		lacking := func() string {
			for _, kind := range kinds {
				if counts[kind] == 0 {
					return kind
				}
			}
			return ""
		}
		for seed, until := uint64(1), time.Now().Add(*machineTime); time.Now().Before(until) || lacking() != "" && seed < 200; seed++ {
			if *machineSeed != 0 {
				seed, until = *machineSeed, time.Now()
				for _, kind := range kinds {
					counts[kind]++
				}
			}
			m := &machine{world: w, model: model{videos: map[video.ID]*modelVideo{}}, seed: seed, random: rand.New(rand.NewPCG(seed, 7)), counts: counts}
			for range 250 {
				m.move()
				moves++
			}
		}
		if kind := lacking(); kind != "" {
			t.Errorf("in %d moves there was no %s that counted", moves, kind)
		}
		t.Logf("%d moves, those that counted: %v", moves, counts)
	})
}

// kinds are the moves that must have counted for the test to say anything.
var kinds = []string{"receive", "claim", "begin", "done", "publish", "fail", "fail for good", "rescue", "twin", "delete", "remove", "encode", "redrive", "cancel",
	"condemn", "retire", "told twice"}

// machine takes the store and its model through the same moves.
type machine struct {
	*world
	model  model
	seed   uint64
	random *rand.Rand
	counts map[string]int
	log    []string
	ids    []video.ID
	tries  []*modelTry
}

// smallPlan fans out into three steps.
var smallPlan = video.Plan{Rate: video.Ratio{Num: 25, Den: 1}, Frames: 100, Rungs: []video.Rung{{Name: "720p"}}, Chunks: []video.Chunk{{N: 0, Frames: 50}, {N: 1, Start: 50}}}

func smallParts(id video.ID, generation int) []video.StepRef {
	return []video.StepRef{step(id, generation, video.Encode, 0), step(id, generation, video.Encode, 1), step(id, generation, video.Stills, 0)}
}

// refJob is a step's job, as the pipeline makes it.
func refJob(ref video.StepRef) []engine.Job {
	body, err := json.Marshal(ref)
	if err != nil {
		panic(err)
	}
	return []engine.Job{{Kind: string(ref.Name), Group: string(ref.Video), Args: body}}
}

// handleOf is a handle such as an engine gives.
func handleOf(id int64, number int, worker string) engine.Handle {
	h := struct {
		id     int64
		number int
		worker string
	}{id, number, worker}
	made := *(*engine.Handle)(unsafe.Pointer(&h)) //nolint:gosec // the same fields; checked below
	if unsafe.Sizeof(h) != unsafe.Sizeof(made) || made.ID() != id || made.Number() != number {
		panic("engine.Handle has changed; change this with it")
	}
	return made
}

func some[T any](m *machine, all []T) (one T, ok bool) {
	if len(all) == 0 {
		return one, false
	}
	return all[m.random.IntN(len(all))], true
}

// move does one random thing and compares.
func (m *machine) move() {
	m.t.Helper()
	id, _ := some(m, m.ids)
	switch n := m.random.IntN(100); {
	case len(m.ids) == 0, n < 2 && len(m.ids) < 2:
		m.receive()
		return
	case n < 30:
		m.claim()
		return
	case n < 52:
		m.try(func(t *modelTry) bool { return !t.begun }, m.begin)
		return
	case n < 82:
		m.try(func(t *modelTry) bool { return t.begun && !t.over }, m.finish)
		return
	case n < 87:
		m.rescue()
		return
	case n < 89:
		m.twin()
		return
	case n < 90:
		m.check("told twice", id, m.toldTwice(id), fine)
	case n < 91:
		m.check("delete", id, m.Delete(m.t.Context(), id, nil), m.model.delete(id))
	case n < 92:
		m.check("remove", id, m.Remove(m.t.Context(), id, engine.Handle{}), m.model.remove(id))
	case n < 94:
		_, err := m.Encode(m.t.Context(), id, video.Settings{}, func(n int) []engine.Job { return refJob(step(id, n, video.Ingest, 0)) })
		m.check("encode", id, err, m.model.encode(id))
	case n < 96:
		_, err := m.Redrive(m.t.Context(), id, nil, refJob)
		m.check("redrive", id, err, m.model.redrive(id))
	case n < 97:
		if j, ok := some(m, m.model.jobs); ok {
			m.check("cancel", j.ref.Video, m.CancelStep(m.t.Context(), j.ref, nil), m.model.cancel(j.ref))
		}
	default:
		m.retire(id)
	}
}

func (m *machine) receive() {
	id := video.NewID(m.now())
	_, _, err := m.Received(m.t.Context(), video.Video{ID: id, Prefix: "p"}, source(string(id), "e"), m.ingest)
	m.ids = append(m.ids, id)
	m.model.receive(id)
	m.check("receive", id, err, fine)
}

func (m *machine) ingest(id video.ID) []engine.Job { return refJob(step(id, 1, video.Ingest, 0)) }

// toldTwice tells of the write again that the video began with; only where its rows are gone may it begin another.
func (m *machine) toldTwice(id video.ID) error {
	if m.model.videos[id].status == "" {
		return nil
	}
	got, fresh, err := m.Received(m.t.Context(), video.Video{ID: video.NewID(m.now()), Prefix: "p"}, source(string(id), "e"), m.ingest)
	if err == nil && (fresh || got != id) {
		err = fmt.Errorf("a write that is known made %s", got)
	}
	return err
}

// claim has a worker take a job, as the engine does.
func (m *machine) claim() {
	j, ok := some(m, slices.Collect(func(yield func(*modelJob) bool) {
		for _, j := range m.model.jobs {
			if j.state == "available" && !yield(j) {
				return
			}
		}
	}))
	if !ok {
		return
	}
	t := &modelTry{job: j, number: j.tries + 1, worker: fmt.Sprint("w", len(m.tries))}
	holders := `jsonb_insert(coalesce(attempted_by, jsonb('[]')), '$[#]', $2)`
	if m.db.Pool != nil {
		holders = `array_append(attempted_by, CAST($2 AS TEXT))`
	}
	err := m.sql(`UPDATE river_job SET state = 'running', attempt = attempt + 1, attempted_by = `+holders+` WHERE id = $1 AND state = 'available'`, j.id, t.worker)
	j.state, j.tries, j.holder = "running", t.number, t
	m.tries = append(m.tries, t)
	m.check("claim", j.ref.Video, err, fine)
}

func (m *machine) sql(statement string, args ...any) error {
	return m.db.InTx(m.t.Context(), func(tx engine.Tx) error {
		_, err := tx.ExecContext(m.t.Context(), statement, args...)
		return err
	})
}

// try lets one of the workers that which chooses do something.
func (m *machine) try(which func(*modelTry) bool, do func(*modelTry)) {
	m.tries = slices.DeleteFunc(m.tries, func(t *modelTry) bool { return t.over })
	var all []*modelTry
	for _, t := range m.tries {
		if which(t) {
			all = append(all, t)
		}
	}
	if t, ok := some(m, all); ok {
		do(t)
	}
}

func (m *machine) begin(t *modelTry) {
	_, err := m.Begin(m.t.Context(), t.job.ref, t.worker, t.handle())
	m.check("begin", t.job.ref.Video, err, m.model.begin(t))
}

func (t *modelTry) handle() engine.Handle { return handleOf(t.job.id, t.number, t.worker) }

// finish ends a worker's step, well or not.
func (m *machine) finish(t *modelTry) {
	ctx, ref, h := m.t.Context(), t.job.ref, t.handle()
	held := t.job.holder == t
	if n := m.random.IntN(10); n < 2 {
		final := n == 0
		kind := "fail"
		if final {
			kind = "fail for good"
		}
		err := m.Fail(ctx, ref, video.StepFailure{Failure: video.Failure{Code: "not_media"}, Final: final}, nil, h)
		want := m.model.failed(t, final)
		if want == fine && !final && held { // the engine hears of the failure and gives the job back
			to := `state = 'available'`
			if t.job.canceled {
				to, t.job.state = `state = 'cancelled', finalized_at = scheduled_at`, "cancelled"
			}
			m.must(m.sql(`UPDATE river_job SET `+to+` WHERE id = $1`, t.job.id))
		}
		m.check(kind, ref.Video, err, want)
		return
	}
	var err error
	switch ref.Name {
	case video.Ingest:
		var next []engine.Job
		for _, part := range smallParts(ref.Video, ref.Generation) {
			next = append(next, refJob(part)...)
		}
		err = m.Plan(ctx, ref, video.Facts{}, smallPlan, next, h)
	case video.Publish:
		err = m.Publish(ctx, ref, video.Output{}, nil, h)
	case video.Encode, video.Audio, video.Stills:
		err = m.Finish(ctx, ref, video.Result{}, refJob(step(ref.Video, ref.Generation, video.Publish, 0)), h)
	}
	kind := "done"
	if ref.Name == video.Publish {
		kind = "publish"
	}
	m.check(kind, ref.Video, err, m.model.done(t))
}

// rescue takes a job from its worker, as the engine does when that falls silent. The worker goes on.
func (m *machine) rescue() {
	for _, j := range m.model.jobs {
		if j.state != "running" || m.random.IntN(3) > 0 {
			continue
		}
		to := `state = 'available'`
		j.state, j.holder = "available", nil
		if j.canceled {
			to, j.state = `state = 'cancelled', finalized_at = scheduled_at`, "cancelled"
		}
		m.check("rescue", j.ref.Video, m.sql(`UPDATE river_job SET `+to+` WHERE id = $1`, j.id), fine)
		return
	}
}

// twin inserts a second job for a step.
func (m *machine) twin() {
	j, ok := some(m, m.model.jobs)
	if !ok || m.model.videos[j.ref.Video].status == "" {
		return
	}
	m.model.insert(j.ref)
	m.check("twin", j.ref.Video, m.write(m.t.Context(), func(x tx) error { return x.insert(m.t.Context(), video.Admin, refJob(j.ref)) }), fine)
}

func (m *machine) retire(id video.ID) {
	v := m.model.videos[id]
	n := 1 + m.random.IntN(v.newest+1)
	if v.generations[n] != retiring && m.random.IntN(4) > 0 {
		_, err := m.Retirable(m.t.Context(), id, n, engine.Handle{})
		m.check("condemn", id, err, m.model.retire(id, n, false))
		return
	}
	m.check("retire", id, m.Retire(m.t.Context(), id, n, engine.Handle{}), m.model.retire(id, n, true))
}

// check compares the answer of a move, and all that the store holds of the video, with the model.
func (m *machine) check(kind string, id video.ID, err error, want string) {
	m.t.Helper()
	got := fine
	switch f := fault.Of(err); {
	case errors.Is(err, video.ErrStale):
		got = stale
	case err != nil:
		got = f.Code
	}
	m.log = append(m.log, fmt.Sprintf("%s of %d: %s", kind, slices.Index(m.ids, id), got))
	if got == want && want == fine {
		m.counts[kind]++
	}
	there := m.tell(id)
	if told := m.model.tell(id); got != want || there != told {
		m.t.Fatalf("seed %d, move %d: %s answered %s (%v), the model %s.\nthe store:\n%s\nthe model:\n%s\nmoves:\n%s",
			m.seed, len(m.log), kind, got, err, want, there, told, strings.Join(m.log, "\n"))
	}
	if ref := m.model.stuck(); ref != "" {
		m.t.Fatalf("seed %d, move %d: after %s nobody will ever do %s\nmoves:\n%s", m.seed, len(m.log), kind, ref, strings.Join(m.log, "\n"))
	}
}

// tell writes all that the store holds of a video; jobs that are new to the model get their ids.
func (m *machine) tell(id video.ID) string {
	m.t.Helper()
	var lines []string
	add := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	m.query(`SELECT status, newest, published, failure FROM video WHERE id = $1`, id, func(scan func(...any)) {
		var status, failure string
		var newest, published int
		scan(&status, &newest, &published, &failure)
		var why video.Failure
		m.must(unmarshal(failure, &why))
		add("video %s newest %d published %d failure %q", status, newest, published, why.Code)
	})
	m.query(`SELECT n, state FROM generation WHERE video = $1`, id, func(scan func(...any)) {
		var n int
		var state string
		scan(&n, &state)
		add("generation %d %s served %v", n, state, m.model.videos[id].seen() && (state == published || state == superseded))
	})
	m.query(`SELECT generation, name, n, state FROM step WHERE video = $1`, id, func(scan func(...any)) {
		var generation, n int
		var name, state string
		scan(&generation, &name, &n, &state)
		add("step %d %s %d %s", generation, name, n, state)
	})
	m.query(`SELECT generation, name, n, number, job, try, finished, code FROM attempt WHERE video = $1`, id, func(scan func(...any)) {
		var generation, n, number, job, try, finished int64
		var name, code string
		scan(&generation, &name, &n, &number, &job, &try, &finished, &code)
		add("attempt %d %s %d #%d job %d try %d closed %v %s", generation, name, n, number, job, try, finished > 0, code)
	})
	m.query(`SELECT id, CAST(state AS TEXT), attempt, CAST(coalesce(metadata ->> 'cancel_attempted_at', '') AS TEXT), CAST(args ->> 'generation' AS BIGINT),
		args ->> 'step', CAST(args ->> 'n' AS BIGINT) FROM river_job WHERE metadata ->> 'group' = $1 ORDER BY id`, id, func(scan func(...any)) {
		var job int64
		var tried, generation, n int
		var state, canceled, name string
		scan(&job, &state, &tried, &canceled, &generation, &name, &n)
		m.know(job, step(id, generation, video.StepName(name), n))
		add("job %d of %d %s %d %s tried %d canceled %v", job, generation, name, n, state, tried, canceled != "" && state == "running")
	})
	slices.Sort(lines)
	var events []event.Type
	m.query(`SELECT type FROM event WHERE video = $1 ORDER BY id`, id, func(scan func(...any)) {
		var what event.Type
		scan(&what)
		events = append(events, what)
	})
	return strings.Join(append(lines, fmt.Sprint("events ", events)), "\n")
}

// know gives the model's oldest job without an id the one that the store gave it.
func (m *machine) know(id int64, ref video.StepRef) {
	if slices.ContainsFunc(m.model.jobs, func(j *modelJob) bool { return j.id == id }) {
		return
	}
	for _, j := range m.model.jobs {
		if j.id == 0 && j.ref == ref {
			j.id = id
			return
		}
	}
}

func (m *machine) query(query string, id video.ID, row func(scan func(...any))) {
	m.t.Helper()
	rows, err := m.db.Read.QueryContext(m.t.Context(), query, string(id))
	m.must(err)
	defer rows.Close()
	for rows.Next() {
		row(func(into ...any) { m.t.Helper(); m.must(rows.Scan(into...)) })
	}
	m.must(rows.Err())
}

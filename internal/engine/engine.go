package engine

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"

	"sluice/internal/fault"
)

// Attempt is one try at a job.
type Attempt struct {
	Job    Job
	ID     int64 // of the job
	Number int   // which try, from 1. Max+1 where the workers of all tries were lost: then there is only the failure to be told
	Max    int
	Worker string // the process that runs it
	Handle Handle

	wait    *wait // how the job has waited before this try; nil where it has not
	mayWait bool  // whether it may again
}

// Worker does one try. Returning nil completes the job, if it was not completed in a transaction. Returning an error has it tried again later, or ends it as
// dead where the error is permanent (fault.Permanent) or this was the last try (Attempt.Final). An error that says that a part is away isn't counted as a try
// (Attempt.Waits). Its context is canceled with the cause ErrStopped, ErrCanceled or ErrLost;
// it must return soon then.
type Worker func(ctx context.Context, a Attempt) error

// Queue is a limit that jobs share.
type Queue struct {
	Name    string
	Workers int // tries side by side in this process, where no limit says otherwise
}

// Backoff is how long a failed job waits: First, twice as long after each further try, at most Max; each drawn from within a fifth of that.
type Backoff struct {
	First time.Duration // 0 means 1 s
	Max   time.Duration // 0 means 5 min
}

// Hold says which jobs of a queue this process leaves to other processes and for later. The zero value holds nothing.
type Hold struct {
	Held   bool     // no job of the queue is taken
	Except []string // but those of these groups
	Count  bool     // tries count even where a part is away: the cause has lasted longer than a job may wait
}

// Config is what an Engine is made from.
type Config struct {
	Name      string            // of this machine, for people who read attempts and for limits; a random part is added
	Workers   map[string]Worker // by kind
	Queues    []Queue           // none: this engine only inserts
	Roles     string            // of this process, for people who list queues
	Backoff   Backoff
	LostAfter time.Duration // how long a process may be silent before its jobs are given to others; 0 means 5 s
	// LongestWait is how long a job waits for a part that is away, its tries not counted; 0 means 24 h. From then on each counts.
	LongestWait time.Duration
	// Hold is called before jobs of a queue are taken, several times a second, and when a try begins. Nil holds
	// nothing.
	Hold   func(queue string) Hold
	Stage  func(Duties) Duties // wraps what duties are kept by; drills fail there. Nil leaves it as it is
	Now    func() time.Time    // this machine's clock, which may be wrong; nil means time.Now
	Logger *slog.Logger        // nil discards
}

const (
	defaultLostAfter = 5 * time.Second
	// River tells its processes of an insert at most once in each fetchPause, and looks unasked each fetchEvery: a job starts within their sum.
	fetchPause = 50 * time.Millisecond
	fetchEvery = 250 * time.Millisecond
	// never keeps River's own rescue, which knows nothing of beats, from touching a long job.
	never = 100 * 365 * 24 * time.Hour
)

// Engine runs jobs and inserts them. It may be used by many goroutines.
type Engine struct {
	db     DB
	cfg    Config
	id     string // of this process in worker and river_job
	log    *slog.Logger
	client client
	pilot  *pilot
	duties Duties
	beat   beat
	away   outage           // of the database
	gates  map[string]*gate // by queue

	holds holds // what this process holds of each queue
	lines lines // what was read of each queue for those that look
	said  said  // what was logged lately, for failures that come several times a second

	mu      sync.Mutex
	hurries map[string]chan struct{} // by duty; see Hurry
	running map[*try]struct{}
	stopped bool          // tries under way are given back
	gone    chan struct{} // closed when nobody waits for settling any more
	beats   context.CancelFunc
	beating sync.WaitGroup
}

// New makes an engine on db, whose tables Migrate has made.
func New(db DB, cfg Config) (*Engine, error) {
	if cfg.LostAfter == 0 {
		cfg.LostAfter = defaultLostAfter
	}
	if cfg.LongestWait == 0 {
		cfg.LongestWait = defaultLongestWait
	}
	if cfg.Backoff.First == 0 {
		cfg.Backoff.First = time.Second
	}
	if cfg.Backoff.Max == 0 {
		cfg.Backoff.Max = 5 * time.Minute
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	e := &Engine{
		db:      db,
		cfg:     cfg,
		id:      processID(cfg.Name),
		log:     cfg.Logger,
		pilot:   &pilot{ours: map[int64]int{}},
		gates:   map[string]*gate{},
		hurries: map[string]chan struct{}{},
		running: map[*try]struct{}{},
		gone:    make(chan struct{}),
	}
	e.away.log, e.said.last = cfg.Logger, map[string]time.Time{}
	e.pilot.engine = e
	e.duties = duties{db, e.id}
	if cfg.Stage != nil {
		e.duties = cfg.Stage(e.duties)
	}
	for _, q := range cfg.Queues {
		e.gates[q.Name] = newGate(q)
	}
	e.beat = beat{db: db, id: e.id, lostAfter: cfg.LostAfter, queues: cfg.Queues, roles: cfg.Roles, log: cfg.Logger, held: e.holds.texts}
	c, err := newClient(db, e.river(), e.pilot)
	if err != nil {
		return nil, fault.New(fault.Invalid, "engine.new", "bad_engine_config", "The job queues are set up wrongly; give each queue a name and at least one worker.", err)
	}
	e.client = c
	return e, nil
}

// idTail is how much of a process's id is random.
const idTail = 12

// processID names this process as no other, within River's 100 characters.
func processID(name string) string {
	const longest = 60
	if len(name) > longest {
		name = name[:longest]
	}
	return strings.TrimLeft(name+"-", "-") + strings.ToLower(rand.Text()[:idTail])
}

func (e *Engine) river() *river.Config {
	cfg := &river.Config{
		ID:                          e.id,
		DiscardedJobRetentionPeriod: never, // dead jobs are kept for people to look at; River's own -1 for that deletes all of them at once on SQLite
		FetchCooldown:               fetchPause,
		FetchPollInterval:           fetchEvery,
		JobTimeout:                  -1,
		Logger:                      quiet(e.cfg.Logger, &e.away),
		RescueStuckJobsAfter:        never,
		SkipUnknownJobCheck:         true, // another process may know the kind
	}
	if len(e.cfg.Queues) == 0 {
		return cfg
	}
	cfg.Queues = map[string]river.QueueConfig{}
	for _, q := range e.cfg.Queues {
		cfg.Queues[q.Name] = river.QueueConfig{MaxWorkers: e.gates[q.Name].slots}
	}
	cfg.Workers = river.NewWorkers()
	river.AddWorkerArgs(cfg.Workers, args{kind: idleKind}, &idler{engine: e})
	for kind, f := range e.cfg.Workers {
		river.AddWorkerArgs(cfg.Workers, args{kind: kind}, &worker{engine: e, do: f})
	}
	return cfg
}

// Start begins to take jobs, until Stop; ctx bounds the start alone.
func (e *Engine) Start(ctx context.Context) error {
	if _, err := e.beat.strike(ctx, nil); err != nil { // a job of a process without a beat would be taken from it
		return unavailable("engine.start", err)
	}
	if err := e.readLimits(ctx); err != nil {
		return unavailable("engine.start", err)
	}
	beats, cancel := context.WithCancel(context.WithoutCancel(ctx))
	e.beats = cancel
	e.beating.Go(func() { e.watch(beats) })
	if err := e.client.Start(context.WithoutCancel(ctx)); err != nil {
		cancel()
		return unavailable("engine.start", err)
	}
	return nil
}

// Stop takes no more jobs, cancels the contexts of running tries, waits for them until ctx is done, and gives their jobs back: available at once, the try
// not counted. An engine that only inserts, or has stopped, has nothing to stop.
func (e *Engine) Stop(ctx context.Context) error {
	if e.beats == nil || !e.giveBack() {
		return nil
	}
	err := e.client.StopAndCancel(ctx)
	if err != nil {
		err = fault.New(fault.Unavailable, "engine.stop", "jobs_not_stopped", "Some jobs did not stop in time; others take them over.", err)
	}
	close(e.gone)
	e.beats()
	e.beating.Wait()
	leave, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.cfg.LostAfter)
	defer cancel()
	if berr := e.beat.end(leave); berr != nil {
		e.log.Warn("the beat could not be ended; others wait before they take jobs over", "error", berr)
	}
	return err
}

// giveBack cancels the tries under way, and lets no other begin. It reports whether it is the first to.
func (e *Engine) giveBack() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return false
	}
	e.stopped = true
	for t := range e.running {
		t.cancel(ErrStopped)
	}
	return true
}

// Ready returns nil while this engine takes jobs and the database hears its beat.
func (e *Engine) Ready() error {
	if e.stopping() || time.Since(e.beat.last()) > e.cfg.LostAfter {
		return fault.New(fault.Unavailable, "engine.ready", "not_ready", "The server is not taking jobs; it is starting, stopping, or cut off from its database.", nil)
	}
	return nil
}

// Insert adds jobs in tx.
func (e *Engine) Insert(ctx context.Context, tx Tx, jobs ...Job) error {
	if len(jobs) == 0 {
		return nil
	}
	all := make([]river.InsertManyParams, len(jobs))
	for i, j := range jobs {
		var err error
		if all[i], err = j.params(); err != nil {
			return err
		}
	}
	if err := e.client.insert(ctx, tx, all); err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	return nil
}

// Complete ends h's job in tx. A job that another worker has taken meanwhile stays that worker's, without an error: what fences the records is their own
// state.
func (e *Engine) Complete(ctx context.Context, tx Tx, h Handle) error {
	if h.id == 0 {
		return nil
	}
	held, err := held(ctx, tx, h)
	if err != nil || !held {
		return err
	}
	return e.client.set(ctx, tx, riverdriver.JobSetStateCompleted(h.id, time.Now(), nil))
}

// Holds reports whether h's try is still the one that has its job, and keeps it so until tx ends. The zero Handle holds what it is asked for.
func (e *Engine) Holds(ctx context.Context, tx Tx, h Handle) (bool, error) {
	if h.id == 0 {
		return true, nil
	}
	return held(ctx, tx, h)
}

// CancelGroup cancels the unfinished jobs of a group, save those named. Those that run, in whichever process, have their contexts canceled within 2 s of the
// commit; then they end as canceled, unless they succeed.
func (e *Engine) CancelGroup(ctx context.Context, tx Tx, name string, except ...int64) error {
	ids, err := group(ctx, tx, name, except)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if err := e.client.cancel(ctx, tx, id); err != nil {
			return fmt.Errorf("cancel a job: %w", err)
		}
	}
	return nil
}

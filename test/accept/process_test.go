package accept

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	_ "modernc.org/sqlite" // "sqlite"

	"sluice/internal/bucket"
	"sluice/internal/catalog"
	"sluice/test/rig"
)

// patience is how long a process has for work that nothing delays.
const patience = 5 * time.Minute

// eventsToken lets the tests report objects, as a storage does.
const eventsToken = "a-token-for-the-events-of-this-test"

// process is a real server that is killed at any moment, with its records and storage read beside it.
type process struct {
	sight
	t      *testing.T
	k      *rig.Keeper
	db     *sql.DB
	random *rand.Rand
}

func newProcess(t *testing.T, foreign *rig.Foreign, seed uint64) *process {
	t.Helper()
	o := rig.Options{Tags: "drill", Env: []string{"SLUICE_EVENTS_TOKEN=" + eventsToken}}
	if foreign != nil {
		o.Args = foreign.Flags()
	}
	p := &process{t: t, k: rig.Keep(t, o), random: rand.New(rand.NewPCG(seed, 17))}
	p.k.Revive(time.Minute)
	var err error
	if p.db, err = sql.Open("sqlite", filepath.Join(p.k.Data, "sluice.db")); err != nil {
		t.Fatal(err)
	}
	if p.records, err = catalog.Open(t.Context(), filepath.Join(p.k.Data, "sluice.db"), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.db.Close(), p.records.Close() })
	storage := foreign
	if storage == nil {
		storage = &rig.Foreign{Root: filepath.Join(p.k.Data, "objects"), URL: p.k.URL}
		storage.Access, storage.Secret = p.k.Keys()
	}
	p.root, p.embedded = storage.Root, foreign == nil
	p.s3 = once(storage.URL, storage.Access, storage.Secret)
	p.store, err = bucket.Open(t.Context(), bucket.Config{
		Endpoint: storage.URL, Region: "us-east-1", Credentials: bucket.Credentials{Access: storage.Access, Secret: storage.Secret},
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// dying runs do and kills the process at some moment of it, or soon after, and starts another.
func (p *process) dying(do func()) {
	p.t.Helper()
	moment := time.Duration(p.random.Int64N(int64(20 * time.Millisecond)))
	killed := make(chan struct{})
	time.AfterFunc(moment, func() {
		p.k.Kill()
		close(killed)
	})
	do()
	<-killed
	p.k.Revive(time.Minute)
}

// away is a process that dies: its database dies with it.
func (p *process) away(do func()) (surely bool) {
	p.dying(do)
	return false
}

func (p *process) restart(context.Context) error {
	p.dying(func() {})
	return nil
}

func (p *process) remove(_ context.Context, id string) error {
	if status := p.k.Ask(http.MethodDelete, "/v1/videos/"+id, nil, nil); status != http.StatusNoContent && status != http.StatusNotFound {
		return fmt.Errorf("the deletion of %s is answered %d", id, status)
	}
	return nil
}

// purge waits until nothing is under way. The deletions run by themselves since they were asked for, so the stage says
// only that something happens meanwhile.
func (p *process) purge(ctx context.Context, _ string, meanwhile func() bool) error {
	if meanwhile != nil && meanwhile() {
		p.dying(func() {})
	}
	return p.until("the jobs end", func() (bool, error) {
		var n int
		err := p.db.QueryRowContext(ctx,
			`SELECT count(*) FROM river_job WHERE state IN ('available', 'pending', 'running', 'retryable')`).Scan(&n)
		return n == 0, err
	})
}

func (p *process) until(what string, done func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		if ok, err := done(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("after %s it is not so that %s\n%s", patience, what, p.k.Log())
		}
	}
}

func (p *process) reconcile(context.Context) error {
	p.k.Ask(http.MethodPost, "/v1/reconcile", nil, nil)
	return p.until("the comparison ends", func() (bool, error) {
		var state struct {
			Next    time.Time
			Running bool
		}
		p.k.Ask(http.MethodGet, "/v1/reconcile", nil, &state)
		return !state.Running && time.Until(state.Next) > time.Minute, nil
	})
}

func (p *process) tell(ctx context.Context, key string) error {
	p.k.Tell(eventsToken, "uploads", key)
	return p.purge(ctx, "", nil)
}

// sweep has two days pass for the server, and asks it until nothing is left over.
func (p *process) sweep(context.Context) error {
	p.k.With("SLUICE_CLOCK=48h")
	var found struct {
		Count int
		Items []struct{ Kind, Name string }
	}
	err := p.until("nothing is left over", func() (bool, error) {
		for _, remove := range []bool{true, false} {
			if status := p.k.Ask(http.MethodPost, "/v1/sweep", map[string]any{"delete": remove}, &found); status != http.StatusOK {
				return false, fmt.Errorf("sweep is answered %d", status)
			}
		}
		return found.Count == 0, nil
	})
	p.k.With("SLUICE_CLOCK=")
	return err
}

// TestDoor_KilledProcesses_KeepWhatTheyAcknowledged plays histories against real servers, which are killed in the middle
// of requests, deletions and looks. The moments of the kills depend on the machine, so a history that fails may pass
// when it is repeated.
func TestDoor_KilledProcesses_KeepWhatTheyAcknowledged(t *testing.T) {
	if !*full {
		t.Skip("-args -full plays it")
	}
	for name, start := range map[string]func(testing.TB) *rig.Foreign{"embedded": nil, "versitygw": rig.VersityGW} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counts := map[string]int{}
			until := time.Now().Add(10 * time.Minute)
			histories := 0
			for s := max(*seed, 1); histories == 0 || *seed == 0 && time.Now().Before(until); s++ {
				histories++
				t.Run(fmt.Sprint("seed ", s), func(t *testing.T) {
					var foreign *rig.Foreign
					if start != nil {
						foreign = start(t)
					}
					p := newProcess(t, foreign, s)
					all := deadly(s, length)
					if err := run(t.Context(), p, fmt.Sprint("p", s), all, counts); err != nil {
						for n, o := range all {
							t.Logf("%d. %v", n+1, o)
						}
						t.Fatal(err)
					}
				})
				if t.Failed() {
					break
				}
			}
			kills := counts["killed"] + counts["lost"] + counts["restart"] + counts["died"]
			t.Logf("faults: %d by the model of the storage door on %s, in %d histories: %v", kills, name, histories, counts)
		})
	}
}

// deadly makes the operations of a seed, a third of which the process does not survive.
func deadly(seed uint64, length int) []op {
	random := rand.New(rand.NewPCG(seed, 23))
	all := history(seed, length)
	for i, o := range all {
		switch o.kind {
		case "put", "part", "complete", "abort", "copy", "unput", "remove":
			if random.IntN(3) == 0 {
				all[i] = op{kind: "killed", key: o.key, body: o.body, which: o.which, inner: &o}
			}
		}
	}
	return all
}

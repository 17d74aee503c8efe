package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/engine/enginetest"
	"sluice/internal/fault"
)

// groups are n jobs, each in a group of its own named by prefix and number.
func groups(prefix, owner string, n, priority int) (jobs []engine.Job, names []string) {
	for i := range n {
		names = append(names, fmt.Sprint(prefix, i))
		jobs = append(jobs, engine.Job{Group: names[i], Owner: owner, Priority: priority, Args: json.RawMessage(fmt.Sprint(i))})
	}
	return jobs, names
}

// standingsUntil asks where groups stand until done says so.
func standingsUntil(t *testing.T, e *engine.Engine, names []string, done func(map[string]engine.QueuePosition) bool) map[string]engine.QueuePosition {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		all, err := e.Standings(t.Context(), names, []string{"work"})
		if err != nil {
			t.Fatal(err)
		}
		if done(all) {
			return all
		}
		if time.Now().After(deadline) {
			t.Fatalf("the jobs stand at %+v", all)
		}
	}
}

// TestStandings_JobsOfSeveralOwners_AreTheOrderOfTheSlots compares what is said of each job with the order in which
// they start.
func TestStandings_JobsOfSeveralOwners_AreTheOrderOfTheSlots(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		a, as := groups("a", "ann", 5, 3)
		b, bs := groups("b", "ben", 2, 3)
		c, cs := groups("c", "ann", 2, 1)
		insert(t, db, slices.Concat(a, b, c)...)
		names := slices.Concat(as, bs, cs)
		e := inserter(t, db)
		said := standingsUntil(t, e, names, func(all map[string]engine.QueuePosition) bool { return len(all) == len(names) })
		slices.SortFunc(names, func(a, b string) int { return said[a].Ahead - said[b].Ahead })
		for i, name := range names {
			if s := said[name]; s.Ahead != i || s.Queue != "default" || s.Workers != 0 || s.Start != nil || s.Paused || s.Held {
				t.Errorf("%s stands at %+v, place %d", name, s, i)
			}
		}
		order := make(chan string, len(names))
		start(t, db, 1, func(_ context.Context, a engine.Attempt) error {
			order <- a.Job.Group
			return nil
		})
		var got []string
		for range names {
			got = append(got, receive(t, order))
		}
		if !slices.Equal(got, names) {
			t.Errorf("started %v, said %v", got, names)
		}
	})
}

// TestStandings_OneWorkerBusy_CountDownWithAnEstimate lets jobs end one by one.
func TestStandings_OneWorkerBusy_CountDownWithAnEstimate(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		jobs, names := groups("v", "", 4, 3)
		insert(t, db, jobs...)
		goOn := make(chan struct{})
		e := start(t, db, 1, func(ctx context.Context, _ engine.Attempt) error {
			select {
			case <-goOn:
			case <-ctx.Done():
			}
			return ctx.Err()
		})
		for ended := range len(names) {
			last := len(names) - 1 - ended
			all := standingsUntil(t, e, names, func(all map[string]engine.QueuePosition) bool {
				return all[names[ended]].Running && len(all) == last+1 && all[names[len(names)-1]].Ahead == max(0, last-1) && all[names[ended]].Workers == 1
			})
			for i := ended + 1; i < len(names); i++ {
				s := all[names[i]]
				if s.Ahead != i-ended-1 || s.Workers != 1 {
					t.Errorf("after %d: %s stands at %+v", ended, names[i], s)
				}
				if known := ended > 0; (s.Start != nil) != known || known && *s.Start <= 0 {
					t.Errorf("after %d: %s starts in %v", ended, names[i], s.Start)
				}
			}
			goOn <- struct{}{}
		}
		standingsUntil(t, e, names, func(all map[string]engine.QueuePosition) bool { return len(all) == 0 })
	})
}

func TestStandings_QueueOfAnotherState_NamesIt(t *testing.T) {
	enginetest.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn)
		looker := inserter(t, db)
		holding, away := true, true
		change := make(chan func(), 1)
		e, err := engine.New(db, engine.Config{
			Queues: []engine.Queue{{Name: "default", Workers: 1}}, Backoff: engine.Backoff{First: time.Hour, Max: time.Hour}, LostAfter: lostAfter,
			Hold: func(string) engine.Hold {
				select {
				case f := <-change:
					f()
				default:
				}
				return engine.Hold{Held: holding, Except: []string{"spared"}}
			},
			Workers: map[string]engine.Worker{"work": func(context.Context, engine.Attempt) error {
				if away {
					return fault.New(fault.Unavailable, "test", "storage_unavailable", "The storage is away.", nil)
				}
				return nil
			}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, e) })
		insert(t, db, engine.Job{Group: "held"}, engine.Job{Group: "spared"})
		names := []string{"held", "spared"}
		all := standingsUntil(t, looker, names, func(all map[string]engine.QueuePosition) bool {
			return all["held"].Held && !all["spared"].Due.IsZero()
		})
		if s := all["spared"]; s.Held || s.Code != "storage_unavailable" || time.Until(s.Due) < time.Minute {
			t.Errorf("what the storage keeps stands at %+v", s)
		}
		if s := all["held"]; s.Start != nil || s.Code != "" {
			t.Errorf("what is held stands at %+v", s)
		}
		set(t, e, engine.QueueChange{Paused: new(true)})
		standingsUntil(t, looker, names, func(all map[string]engine.QueuePosition) bool { return all["held"].Paused && all["spared"].Paused })
		set(t, e, engine.QueueChange{Paused: new(false)})
		change <- func() { holding, away = false, false }
		standingsUntil(t, looker, names, func(all map[string]engine.QueuePosition) bool { return len(all) == 1 })
	})
}

package drill

import (
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/away"
	"sluice/test/rig"
)

// cluster is several processes on one PostgreSQL and one foreign S3, with lines to both that can be cut.
type cluster struct {
	members  []*rig.Keeper
	fronts   []*rig.Keeper // those of the members that have the role api
	storage  *rig.Foreign
	dsn      string // past the line
	database *away.Link
	objects  *away.Link

	env, args []string // of every member
}

// found makes a cluster without members.
func found(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dsn: enginetest.Postgres(t), storage: rig.VersityGW(t)}
	var dsn string
	c.database, dsn = away.BeforeURL(t, c.dsn)
	line, endpoint := away.BeforeURL(t, c.storage.URL)
	c.objects = line
	remote := *c.storage
	remote.URL = endpoint
	c.env = []string{"SLUICE_DATABASE=" + dsn}
	c.args = append(remote.Flags(), "--workers-encode", "1", "--reconcile-every", "1s", "--upload-expiry", "24h")
	return c
}

// join launches one more member, on a data folder of its own.
func (c *cluster) join(t *testing.T, clock string, args ...string) *rig.Keeper {
	t.Helper()
	k := rig.Keep(t, rig.Options{
		Data: filepath.Join(t.TempDir(), "data"), Tags: "drill", Token: "a-token-that-all-members-share", Env: append([]string{"SLUICE_CLOCK=" + clock}, c.env...),
		Args: append(slices.Clone(c.args), args...),
	})
	c.members = append(c.members, k)
	return k
}

// gather launches processes with all roles, each with its own clock, and waits until all take work.
func gather(t *testing.T, clocks ...string) *cluster {
	t.Helper()
	c := found(t)
	for _, clock := range clocks {
		c.fronts = append(c.fronts, c.join(t, clock))
	}
	for _, k := range c.members {
		k.Revive(time.Minute)
	}
	return c
}

// gatherRoles launches an api, two workers and an edge, and waits until all are ready.
func gatherRoles(t *testing.T) *cluster {
	t.Helper()
	c := found(t)
	edge := c.join(t, "", "--roles", "edge")
	edge.Revive(time.Minute)
	c.members = nil
	api := c.join(t, "", "--roles", "api", "--edge-url", edge.URL) // the first member: the checker asks it
	c.fronts = []*rig.Keeper{api}
	c.join(t, "", "--roles", "worker")
	c.join(t, "", "--roles", "worker")
	c.members = append(c.members, edge)
	for _, k := range c.members {
		k.Revive(time.Minute)
	}
	return c
}

// check has the checker look at all of it, once every server takes work.
func (c *cluster) check(t *testing.T, acked, deleted []string) {
	t.Helper()
	w := rig.World{Database: c.dsn, Objects: rig.Remote{Client: c.storage.Client(), List: c.storage.Keys}, Acked: acked, Deleted: deleted}
	for _, k := range c.members {
		k.Revive(time.Minute)
		w.Servers = append(w.Servers, k.Server)
	}
	for _, id := range acked {
		c.members[0].Until(id, 5*time.Minute, ended)
	}
	rig.Check(t, w)
}

func TestFourProcessesMayStartAtOnceOnAFreshDatabase(t *testing.T) {
	beside(t)
	c := gather(t, "", "", "", "")
	injected(t, len(c.members))
	for _, k := range c.members {
		if k.Restarts > 0 {
			t.Errorf("a process ended at its start:\n%s", k.Log())
		}
	}
	id := c.members[3].Send(rig.Clip(t, "clip.mp4", "320x180", 2), "clip.mp4", time.Minute)
	c.check(t, []string{id}, nil)
}

// TestProcessesThatDieAndStallAndLoseTheirLinesLoseNothing kills, stops and continues processes and cuts their lines, every second or two, while videos come
// in; the clocks of two of them are an hour off.
func TestProcessesThatDieAndStallAndLoseTheirLinesLoseNothing(t *testing.T) {
	beside(t)
	span, uploads := 10*time.Second, 3
	if *full {
		span, uploads = 3*time.Minute, 30
	}
	c := gather(t, "", "1h", "-1h")
	injected(t, 2) // the clocks
	acked := c.endure(t, span, uploads)
	failed := 0
	for _, id := range acked {
		if v := c.members[0].Look(id); v.Status == "failed" {
			failed++
			t.Logf("failed for a reason: %s", v.Raw)
		}
	}
	t.Logf("%d failed", failed)
}

// TestRoles_KilledAndStoppedAndCutOff_EveryAcknowledgedVideoEndsReady does the same to an api, two workers and an edge,
// as docs/OPERATIONS.md has them.
func TestRoles_KilledAndStoppedAndCutOff_EveryAcknowledgedVideoEndsReady(t *testing.T) {
	beside(t)
	span, uploads := 8*time.Second, 2
	if *full {
		span, uploads = 3*time.Minute, 30
	}
	c := gatherRoles(t)
	for _, id := range c.endure(t, span, uploads) {
		if v := c.members[0].Look(id); v.Status != "ready" {
			t.Errorf("an acknowledged video did not end ready: %s", v.Raw)
		}
	}
}

// endure injects faults for a span while videos are uploaded, has the checker look at what came of it, and returns the
// videos whose upload was acknowledged.
func (c *cluster) endure(t *testing.T, span time.Duration, uploads int) (acked []string) {
	t.Helper()
	for _, k := range c.members {
		k.Forgiving = true
	}
	clip := rig.Clip(t, "clip.mp4", "320x180", 22)
	var later sync.WaitGroup
	after := func(d time.Duration, do func()) { later.Add(1); time.AfterFunc(d, func() { defer later.Done(); do() }) }
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0)) //nolint:gosec // chance, not secrets
	stopped, cut := map[*rig.Keeper]time.Time{}, time.Time{}
	counts := map[string]int{}
	for began := time.Now(); time.Since(began) < span; time.Sleep(time.Second + time.Duration(dice.IntN(1000))*time.Millisecond) {
		k := c.members[dice.IntN(len(c.members))]
		switch fault := dice.IntN(6); {
		case fault < 3 && time.Now().After(stopped[k]):
			counts["kill -9"]++
			k.Kill()
			k.Again()
		case fault == 3 && time.Now().After(stopped[k]): // longer than it takes to be given up for lost
			counts["SIGSTOP for 7 s"]++
			process, pid := k.Server, k.PID()
			stopped[k] = time.Now().Add(8 * time.Second)
			_ = syscall.Kill(pid, syscall.SIGSTOP)
			after(7*time.Second, func() {
				if process.Alive() {
					_ = syscall.Kill(pid, syscall.SIGCONT)
				}
			})
		case fault >= 4 && time.Now().After(cut):
			line, name := c.database, "database"
			if fault == 5 {
				line, name = c.objects, "S3"
			}
			cut = time.Now().Add(5 * time.Second)
			if dice.IntN(2) == 0 {
				counts[name+" cut"]++
				line.Cut()
			} else {
				counts[name+" hangs"]++
				line.Hang()
			}
			after(3*time.Second, line.Mend)
		}
		for _, k := range c.members {
			if !k.Alive() {
				k.Again() // it ended by itself, or was killed before
			}
		}
		if due := int(float64(uploads) * float64(time.Since(began)) / float64(span)); len(acked) <= due && len(acked) < uploads {
			if front := c.fronts[dice.IntN(len(c.fronts))]; time.Now().After(stopped[front]) {
				acked = append(acked, front.Send(clip, "clip.mp4", 2*time.Second))
			}
		}
	}
	later.Wait()
	for len(acked) < uploads {
		acked = append(acked, c.fronts[0].Send(clip, "clip.mp4", 2*time.Second))
	}
	c.check(t, acked, nil)
	sum := 0
	for _, n := range counts {
		sum += n
	}
	injected(t, sum)
	t.Logf("%d faults in %s: %v; %d uploads acknowledged", sum, span, counts, len(acked))
	return acked
}

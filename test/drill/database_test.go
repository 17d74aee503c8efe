package drill

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"sluice/test/rig"
)

// TestADatabaseThatStopsUnderWorkCostsNothing stops PostgreSQL itself while two processes work: once it is frozen for longer than it takes to give a process up for
// lost, once it crashes and starts again. Work waits, and no try at a step is spent on that.
func TestADatabaseThatStopsUnderWorkCostsNothing(t *testing.T) {
	beside(t)
	frozen, crashes := 7*time.Second, 1
	clip := rig.Clip(t, "clip.mp4", "320x180", 22)
	if *full {
		frozen, crashes = 20*time.Second, 5
		clip = rig.Clip(t, "longer.mp4", "640x360", 60)
	}
	for name, fault := range map[string]func(*testing.T, *rig.Database){
		"frozen": func(t *testing.T, d *rig.Database) {
			d.Freeze()
			time.Sleep(frozen)
			d.Thaw()
			injected(t, 1)
		},
		"crashed": func(t *testing.T, d *rig.Database) {
			for range crashes {
				d.Crash()
				injected(t, 1)
				time.Sleep(2 * time.Second)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			beside(t)
			stopped(t, clip, fault)
		})
	}
}

func stopped(t *testing.T, clip string, fault func(*testing.T, *rig.Database)) {
	t.Helper()
	d, storage := rig.Postgres(t), rig.VersityGW(t)
	c := &cluster{dsn: d.URL, storage: storage}
	for range 2 {
		c.members = append(c.members, rig.Keep(t, rig.Options{
			Data: filepath.Join(t.TempDir(), "data"), Tags: "drill", Token: "a-token-that-all-members-share", Env: []string{"SLUICE_DATABASE=" + d.URL},
			Args: append(storage.Flags(), "--workers-encode", "1", "--reconcile-every", "1s"),
		}))
	}
	for _, k := range c.members {
		k.Revive(time.Minute)
	}
	k := c.members[0]
	acked := []string{k.Send(clip, "first.mp4", time.Second), k.Send(clip, "second.mp4", time.Second)}
	for _, id := range acked {
		k.Until(id, time.Minute, func(v rig.Video) bool {
			for _, s := range v.Steps {
				if s.Name == "encode" && s.State == "running" {
					return true
				}
			}
			return v.Progress > 0.1
		})
	}
	fault(t, d)
	acked = append(acked, c.members[1].Send(clip, "third.mp4", 5*time.Second))
	c.check(t, acked, nil)
	for _, id := range acked {
		if v := k.Look(id); v.Status != "ready" {
			t.Errorf("%s", v.Raw)
		}
	}
	db, err := sql.Open("pgx", d.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(context.Background(), `SELECT video, name, n, number, code, message FROM attempt WHERE number > 1 OR code <> ''`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var id, step, code, message string
		var n, number int
		if err := rows.Scan(&id, &step, &n, &number, &code, &message); err != nil {
			t.Fatal(err)
		}
		t.Errorf("step %s %d of %s has an attempt %d: %s %s", step, n, id, number, code, message)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
	for _, k := range c.members {
		if k.Restarts > 0 {
			t.Errorf("a process ended for its database:\n%s", k.Log())
		}
	}
}

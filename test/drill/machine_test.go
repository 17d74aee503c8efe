package drill

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sluice/test/rig"
)

// fence is one of the step machine, and what takes it away.
type fence struct {
	name, file string // of internal/catalog
	old, new   string
	test       string // that must catch it; empty for the model's
	full       bool
}

// The tests that miss a fence.
const (
	modelTest = "TestTheStepMachineDoesWhatItsModelDoes"
	twinTest  = "TestTwoLastStepsMakePublishDueExactlyOnce"
)

var fences = []fence{
	{name: "a worker that lost its job begins", file: "step.go", old: "err != nil || !held {", new: "err != nil || !held && false {"},
	{name: "a failure counts though the step was taken over", file: "publish.go", old: "if number != latest {", new: "if number != latest && false {"},
	{name: "publish is due before the last step is done", file: "step.go", old: "if err != nil || left > 0 {", new: "if err != nil || left > 1 {"},
	{name: "steps that wait are not counted", file: "sqlc/step.sql.go", old: "state <> 'done'", new: "state = 'running'", full: true},
	{name: "a video is not locked", file: "sqlc/video.sql.go", old: "UPDATE video SET updated = updated WHERE id = $1 AND status <> 'deleting' RETURNING id,",
		new: "SELECT id,", test: twinTest, full: true},
	{name: "any step begins", file: "sqlc/step.sql.go", old: "AND n = $5 AND state IN ('waiting', 'running')", new: "AND n = $5", full: true},
	{name: "any step is done", file: "sqlc/step.sql.go", old: "result = $5, finished = $6 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running'",
		new: "result = $5, finished = $6 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4", full: true},
	{name: "any step fails", file: "sqlc/step.sql.go", old: "SET state = 'failed', finished = $5 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running'",
		new: "SET state = 'failed', finished = $5 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4", full: true},
	{name: "any step waits again", file: "sqlc/step.sql.go", old: "SET state = 'waiting', progress = 0 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4 AND state = 'running'",
		new: "SET state = 'waiting', progress = 0 WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4", full: true},
	{name: "an older generation goes on", file: "catalog.go", old: "g.N != v.Newest || g.State", new: "g.State", full: true},
	{name: "a generation that is over goes on", file: "catalog.go", old: "g.N != v.Newest || g.State != waiting && g.State != planned", new: "g.N != v.Newest", full: true},
	{name: "the job of a move that came too late stays", file: "catalog.go", old: "err = t.complete(ctx, done)", new: "err = nil", full: true},
	{name: "a deleted video is moved", file: "sqlc/video.sql.go", old: "UPDATE video SET updated = updated WHERE id = $1 AND status <> 'deleting'",
		new: "UPDATE video SET updated = updated WHERE id = $1", full: true},
	{name: "a deletion leaves jobs", file: "video.go", old: "s.jobs.CancelGroup(ctx, t.raw, row.ID)", new: "error(nil)", full: true},
	{name: "a failure leaves jobs", file: "publish.go", old: "t.store.jobs.CancelGroup(ctx, t.raw, v.ID, done.ID())", new: "error(nil)", full: true},
	{name: "a failure leaves steps", file: "sqlc/step.sql.go", old: "AND state IN ('waiting', 'running')\n`\n\ntype CancelStepsParams",
		new: "AND state = 'waiting'\n`\n\ntype CancelStepsParams", full: true},
	{name: "an encode begins beside another", file: "video.go", old: "if state == waiting || state == planned {", new: "if state == waiting {", full: true},
	{name: "a redrive of what is under way", file: "redrive.go", old: "case waiting, planned:", new: "case waiting:", full: true},
	{name: "a redrive of what is being removed", file: "redrive.go", old: "if state == failed {", new: "if state == failed || state == retiring {", full: true},
	{name: "a redrive forgets the canceled steps", file: "sqlc/step.sql.go", old: "state IN ('failed', 'canceled')", new: "state IN ('failed')", full: true},
	{name: "what is published is condemned", file: "sqlc/generation.sql.go", old: "state IN ('superseded', 'failed', 'canceled', 'retiring')",
		new: "state IN ('superseded', 'failed', 'canceled', 'retiring', 'published')", full: true},
	{name: "what was not condemned is retired", file: "sqlc/generation.sql.go", old: "AND n = $2 AND state = 'retiring'", new: "AND n = $2", full: true},
	{name: "two generations are published", file: "sqlc/generation.sql.go", old: "n <> $2 AND state = 'published'", new: "n <> $2 AND state = 'planned'", full: true},
	{name: "a write that is known begins a video", file: "upload.go", old: "if rows == 0 {", new: "if rows == 2 {", full: true},
	{name: "a video that was not deleted is removed", file: "sqlc/video.sql.go", old: "updated = updated WHERE id = $1 AND status = 'deleting'", new: "updated = updated WHERE id = $1", full: true},
}

// TestEachFenceOfTheStepMachineIsMissed proves that the tests of the step machine can fail: it takes away one fence after the other and wants them to. The
// changed file takes the place of the real one for the compiler alone.
func TestEachFenceOfTheStepMachineIsMissed(t *testing.T) {
	beside(t)
	root := rig.Root(t)
	for _, m := range fences {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			if m.full && !*full {
				t.Skip("with -full")
			}
			path := filepath.Join(root, "internal", "catalog", m.file)
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(whole), m.old); n != 1 {
				t.Fatalf("%q is %d times in %s; name the fence anew", m.old, n, m.file)
			}
			changed := strings.Replace(string(whole), m.old, m.new, 1)
			there, overlay := filepath.Join(t.TempDir(), "changed.go"), filepath.Join(t.TempDir(), "overlay.json")
			list, err := json.Marshal(map[string]map[string]string{"Replace": {path: there}})
			if err != nil {
				t.Fatal(err)
			}
			for name, body := range map[string][]byte{there: []byte(changed), overlay: list} {
				if err := os.WriteFile(name, body, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			test := m.test
			if test == "" {
				test = modelTest
			}
			cmd := exec.Command("go", "test", "-overlay", overlay, "-vet=off", "-count=1", "-run", "^"+test+"$", "./internal/catalog", "-machine.time", "20s")
			cmd.Dir = root
			out, err := cmd.CombinedOutput()
			injected(t, 1)
			if err == nil || !strings.Contains(string(out), "--- FAIL: "+test) {
				t.Errorf("%s did not fail without the fence: %v\n%.2000s", test, err, out)
			}
		})
	}
}

package drill

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/test/rig"
)

// edit is one change of the sources.
type edit struct{ file, old, new string }

// mutant is Sluice with one fence taken down, and the tests of a package that must notice.
type mutant struct {
	fence string
	edits []edit
	in    string // package
	run   string // its tests
}

const (
	stepSQL   = "internal/catalog/sqlc/step.sql.go"
	videoSQL  = "internal/catalog/sqlc/video.sql.go"
	stepKey   = " WHERE video = $1 AND generation = $2 AND name = $3 AND n = $4"
	anyTest   = "."
	storyTest = "DurableStepLosesNothing"
)

var mutants = []mutant{
	{"a fact counts once", []edit{{"internal/catalog/sqlc/upload.sql.go", "ON CONFLICT DO NOTHING", "ON CONFLICT (bucket, key, etag, modified) DO UPDATE SET size = excluded.size"}},
		"./internal/catalog", anyTest},
	{"only a waiting video without a source takes one", []edit{{videoSQL, "WHERE id = $1 AND status = 'waiting' AND source = '' RETURNING", "WHERE id = $1 RETURNING"}}, "./internal/catalog", anyTest},
	{"only a step that is not over begins", []edit{{stepSQL, "AND name = $4 AND n = $5 AND state IN ('waiting', 'running')", "AND name = $4 AND n = $5"}}, "./internal/catalog", anyTest},
	{"only a running step is finished", []edit{{stepSQL, "result = $5, finished = $6" + stepKey + " AND state = 'running'", "result = $5, finished = $6" + stepKey}}, "./internal/catalog", anyTest},
	{"an attempt that was overtaken decides nothing", []edit{{"internal/catalog/publish.go", "if number != latest {", "if number > latest {"}}, "./internal/catalog", anyTest},
	{"what is published is not retired", []edit{{"internal/catalog/sqlc/generation.sql.go", "WHERE video = $1 AND n = $2 AND state IN ('superseded', 'failed', 'canceled', 'retiring')", "WHERE video = $1 AND n = $2"}},
		"./internal/catalog", anyTest},
	{"a deleted video is moved by nobody", []edit{{videoSQL, "UPDATE video SET updated = updated WHERE id = $1 AND status <> 'deleting' RETURNING", "UPDATE video SET updated = updated WHERE id = $1 RETURNING"}},
		"./internal/catalog", anyTest},
	{"only a deleted video is removed", []edit{{videoSQL, "UPDATE video SET updated = updated WHERE id = $1 AND status = 'deleting'", "UPDATE video SET updated = updated WHERE id = $1"}},
		"./internal/catalog", anyTest},
	{"publish is due once, with the last step", []edit{{"internal/catalog/step.go", "if err != nil || left > 0 {", "if err != nil || left > 1 {"}}, "./internal/catalog", anyTest},
	{"a job is ended by the try that holds it", []edit{{"internal/engine/attempt.go", "return number == h.number && holder == h.worker, rows.Err()", "return true, rows.Err()"}}, "./internal/engine", "StalledTwin"},
	{"the jobs of a living process are left alone", []edit{{"internal/engine/beat.go", "AND w.seen > $1)`", "AND w.seen > $1 + 3600000)`"}}, "./internal/engine", "LongJob|KilledProcess"},
	{"an output is never rewritten", []edit{
		{"internal/bucket/file.go", "	if there, err := f.describe(bucket, key); err == nil {\n		return there, nil\n	}\n", ""},
		{"internal/bucket/file.go", "		err = unix.Linkat(", "		_ = os.Remove(target)\n		err = unix.Linkat("},
	}, "./internal/bucket", "NeverRewritten"},
	{"a pin is of the bytes that were written", []edit{{"internal/bucket/file.go", "if now.ETag != src.ETag || now.Size != src.Size {", "if false && now != src {"}}, "./internal/bucket", "KeepsItsPin"},
	{"a write is answered after its fact", []edit{{"internal/bucket/disk.go", "		err = d.created(ctx, o)\n", "		_ = d.created(ctx, o)\n"}}, "./internal/bucket", "CannotBeRecorded"},
	{"scratch is emptied at the start", []edit{{"cmd/sluice/app.go", "return pipeline.Clean(a.scratch())", "return os.MkdirAll(a.scratch(), 0o700)"}}, "./test/drill", storyTest},
	{"a generation's objects go before it counts as retired", []edit{{"internal/pipeline/remove.go", "generationPrefix(prefix, what.Generation)); err != nil {", "generationPrefix(prefix, what.Generation)+\"none/\"); err != nil {"}},
		"./test/drill", storyTest},
	{"objects are there before their step is done", []edit{{"internal/pipeline/encode.go", "		if err := p.put(ctx, r, t); err != nil {\n			return err\n		}\n		result.Tracks", "		defer p.put(ctx, r, t) //nolint:errcheck\n		result.Tracks"}},
		"./test/drill", storyTest},
}

// TestEveryMutantStillFits keeps the edits true to the sources; TestEveryMutantIsCaught is for -full.
func TestEveryMutantStillFits(t *testing.T) {
	for _, m := range slices.Concat(mutants, signingMutants, identityMutants, deliveryMutants, grantMutants, purgeMutants) {
		for _, e := range m.edits {
			body, err := os.ReadFile(filepath.Join(rig.Root(t), e.file))
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(string(body), e.old); n != 1 {
				t.Errorf("%s: %q is there %d times in %s, want 1", m.fence, e.old, n, e.file)
			}
		}
	}
}

func TestEveryMutantIsCaught(t *testing.T) { catch(t, mutants) }

// TestEveryControlOfSignaturesIsCaught is apart because it needs seconds for each, and no ffmpeg.
func TestEveryControlOfSignaturesIsCaught(t *testing.T) { catch(t, signingMutants) }

// TestEveryControlOfAccountsIsCaught takes down what keeps people apart, and the front door.
func TestEveryControlOfAccountsIsCaught(t *testing.T) { catch(t, identityMutants) }

func TestEveryControlOfTheEdgeIsCaught(t *testing.T) { catch(t, deliveryMutants) }

func TestEveryControlOfGrantsIsCaught(t *testing.T) { catch(t, grantMutants) }

func TestEveryControlOfPurgesIsCaught(t *testing.T) { catch(t, purgeMutants) }

// catch makes each mutant in a copy of the repository, and has its tests notice.
func catch(t *testing.T, mutants []mutant) {
	t.Helper()
	if !*full {
		t.Skip("each builds Sluice anew: run with -args -full")
	}
	tree := copyTree(t)
	whole := map[string]bool{}
	for _, m := range mutants {
		what := m.in + " " + m.run
		if whole[what] {
			continue
		}
		whole[what] = true
		t.Run("with every fence up, "+what, func(t *testing.T) {
			test := exec.Command("go", "test", m.in, "-run", m.run, "-count=1", "-timeout", "5m")
			test.Dir = tree
			if out, err := test.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	for _, m := range mutants {
		t.Run(m.fence, func(t *testing.T) {
			for _, e := range m.edits {
				name := filepath.Join(tree, e.file)
				body, err := os.ReadFile(name)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(strings.Replace(string(body), e.old, e.new, 1)), 0o600); err != nil {
					t.Fatal(err)
				}
				defer func() {
					if err := os.WriteFile(name, body, 0o600); err != nil {
						t.Fatal(err)
					}
				}()
			}
			vet := exec.Command("go", "vet", "-tags", "drill", m.in)
			vet.Dir = tree
			if out, err := vet.CombinedOutput(); err != nil {
				t.Fatalf("the mutant does not build: %v\n%s", err, out)
			}
			test := exec.Command("go", "test", m.in, "-run", m.run, "-count=1", "-timeout", "5m")
			test.Dir = tree
			out, err := test.CombinedOutput()
			if err == nil {
				t.Errorf("the fence is down, and %s %s did not notice:\n%s", m.in, m.run, out)
			} else if !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: test timed out")) {
				t.Errorf("%s did not fail by a test: %v\n%s", m.in, err, out)
			}
			injected(t, 1)
		})
	}
}

// copyTree copies what git would keep of the repository.
func copyTree(t *testing.T) string {
	t.Helper()
	root, tree := rig.Root(t), filepath.Join(t.TempDir(), "tree")
	list := exec.Command("git", "ls-files", "-co", "--exclude-standard", "-z")
	list.Dir = root
	names, err := list.Output()
	if err != nil {
		t.Skipf("this is no repository of git: %v", err)
	}
	for name := range strings.SplitSeq(strings.Trim(string(names), "\x00"), "\x00") {
		from, err := os.Open(filepath.Join(root, name))
		if os.IsNotExist(err) {
			continue // removed, and not yet committed
		}
		if err != nil {
			t.Fatal(err)
		}
		info, err := from.Stat()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(tree, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		to, err := os.OpenFile(filepath.Join(tree, name), os.O_CREATE|os.O_WRONLY, info.Mode().Perm()|0o200)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(to, from)
		_ = from.Close()
		if cerr := to.Close(); err != nil || cerr != nil {
			t.Fatal(err, cerr)
		}
	}
	return tree
}

package drill

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/internal/engine/enginetest"
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
		{"internal/bucket/file.go", "	if there, err := f.describe(bucket, key); err == nil {\n		return there, false, nil\n	}\n", ""},
		{"internal/bucket/file.go", "		err = unix.Linkat(", "		_ = os.Remove(target)\n		err = unix.Linkat("},
	}, "./internal/bucket", "NeverRewritten"},
	{"a pin is of the bytes that were written", []edit{{"internal/bucket/file.go", "if now.ETag != src.ETag || now.Size != src.Size {", "if false && now != src {"}}, "./internal/bucket", "KeepsItsPin"},
	{"a write is answered after its fact", []edit{{"internal/bucket/disk.go", "		err = d.created(ctx, o)\n", "		_ = d.created(ctx, o)\n"}}, "./internal/bucket", "CannotBeRecorded"},
	{"an upload that is not there is not complete", []edit{
		{"internal/bucket/complete.go", "	if state == uploadComplete {\n", "	if true {\n"},
		{"internal/bucket/complete.go", "err != nil || backend.AreEtagsSame(etag, there.ETag)", "err != nil || etag != there.ETag"},
	}, "./internal/bucket", "UploadAbortedOrNeverBegun"},
	{"joined bytes are noted before they are cut out of their part", []edit{{"internal/bucket/join.go",
		"unix.Fsetxattr(int(j.layout.Fd()), joinedSoFar, strconv.AppendInt(nil, at, 10), 0)", "error(nil)"}}, "./internal/bucket", "InterruptedInTheMiddle"},
	{"an upload leaves the uploads before its files are removed", []edit{{"internal/bucket/complete.go",
		"os.Rename(folder, gone)", "os.RemoveAll(folder)"}}, "./internal/bucket", "BeforeItsFilesGo"},
	{"a deletion removes the write of its fact alone", []edit{{"internal/bucket/object.go", "o.ETag == other.ETag && second(o.Modified).Equal(second(other.Modified))", "o.ETag == other.ETag"}},
		"./internal/bucket", "AnotherWriteOfTheKey"},
	{"an object is dated when it is placed under its key", []edit{{"internal/bucket/staged.go",
		"os.Chtimes(staged, time.Time{}, time.Now())", "error(nil)"}}, "./internal/bucket", "ObjectIsDatedWhenPlaced"},
	{"a deletion's removal carries its conditions", []edit{{"internal/bucket/delete.go", "		conditions[n](in, o)\n", ""}}, "./internal/bucket", "LandsAfterTheLook"},
	{"a delete marker hides no other write", []edit{{"internal/bucket/delete.go", "err == nil && aws.ToBool(out.DeleteMarker)", "err == nil && false"}}, "./internal/bucket", "VersionedBucket"},
	{"a deletion waits for the second of its source", []edit{{"internal/catalog/video.go", "max(0, least-max(0, now.Sub(time.UnixMilli(recorded))))", "0*now.Sub(time.UnixMilli(recorded))"}},
		"./internal/catalog", "WaitsUntilTheSecond"},
	{"a newer write is handed over before its key's deletion ends", []edit{{"internal/pipeline/remove.go", "if newer && p.Arrived != nil {", "if false && newer {"}},
		"./internal/pipeline", "HandsOver"},
	{"scratch is emptied at the start", []edit{{"cmd/sluice/app.go", "return pipeline.Clean(a.scratch())", "return os.MkdirAll(a.scratch(), 0o700)"}}, "./test/drill", storyTest},
	{"a generation's objects go before it counts as retired", []edit{{"internal/pipeline/remove.go", "generationPrefix(prefix, what.Generation)); err != nil {", "generationPrefix(prefix, what.Generation)+\"none/\"); err != nil {"}},
		"./test/drill", storyTest},
	{"the bytes of another attempt are not taken for one's own", []edit{{"internal/bucket/store.go", "return there.Size == size && there.ETag == ", "return true || there.ETag == "}},
		"./internal/pipeline", "LostAttempt"},
	{"what is published is of the attempts that ended the steps", []edit{{"internal/pipeline/publish.go", "			return p.Objects.Replace(ctx, p.Media, from, ", "			return nil\n			return p.Objects.Replace(ctx, p.Media, from, "}},
		"./internal/pipeline", "LostAttempt"},
	{"objects are there before their step is done", []edit{{"internal/pipeline/encode.go", "		if err := p.put(ctx, r, &made[i]); err != nil {\n			return err\n		}\n		result.Tracks", "		defer p.put(ctx, r, &made[i]) //nolint:errcheck\n		result.Tracks"}},
		"./test/drill", storyTest},
}

// tables are all mutants, by what they take down.
var tables = map[string][]mutant{
	"the machine": mutants, "signatures": signingMutants, "accounts": identityMutants, "the edge": deliveryMutants, "grants": grantMutants,
	"the provider": oauthMutants, "issuers": issuerMutants, "purges": purgeMutants, "certificates": certificateMutants,
}

// few are the mutants of make test, by table: two or three of each that take seconds. The list is fixed, so that what fails once fails again.
var few = map[string][]string{
	"signatures":   {"a policy is for its resource"},
	"the edge":     {"who may is decided"},
	"grants":       {"a grant is for who may see"},
	"accounts":     {"a session ends at its time"},
	"the provider": {"a challenge is S256"},
	"issuers":      {"a foreign token is of the issuer"},
	"purges":       {"a redirect is not followed"},
	"certificates": {"a CDN's certificate is of its CA"},
}

// TestAFewMutantsOfEachKindAreCaught is their short form: one of each kind. The tests that are to notice run by themselves in make test.
func TestAFewMutantsOfEachKindAreCaught(t *testing.T) {
	if *full {
		t.Skip("all of them are caught, each by the test of its table")
	}
	t.Parallel()
	for what, fences := range few {
		for _, fence := range fences {
			i := slices.IndexFunc(tables[what], func(m mutant) bool { return m.fence == fence })
			if i < 0 {
				t.Errorf("of %s, there is no mutant %q", what, fence)
				continue
			}
			t.Run(fence, tables[what][i].isCaught)
		}
	}
}

// TestEveryMutantStillFits keeps the edits true to the sources.
func TestEveryMutantStillFits(t *testing.T) {
	for what, table := range tables {
		named := map[string]bool{}
		for _, m := range table {
			if named[m.fence] {
				t.Errorf("of %s, two mutants are called %q", what, m.fence)
			}
			named[m.fence] = true
			m.sources(t)
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

func TestEveryControlOfCertificatesIsCaught(t *testing.T) { catch(t, certificateMutants) }

// TestEveryControlOfPurgesIsCaught takes down what a CDN is told by.
func TestEveryControlOfPurgesIsCaught(t *testing.T) { catch(t, purgeMutants) }

// TestEveryControlOfTheProviderIsCaught takes down what codes, tokens and programs of this server hang on.
func TestEveryControlOfTheProviderIsCaught(t *testing.T) { catch(t, oauthMutants) }

// TestEveryControlOfIssuersIsCaught takes down what is looked at before another issuer is believed.
func TestEveryControlOfIssuersIsCaught(t *testing.T) { catch(t, issuerMutants) }

// catch has the tests pass with every fence up, and then notice each mutant.
func catch(t *testing.T, mutants []mutant) {
	t.Helper()
	if !*full {
		t.Skip("each builds a part of Sluice anew: run with -args -full")
	}
	for _, in := range packages(mutants) {
		t.Run("with every fence up, "+in, func(t *testing.T) {
			whole := mutant{in: in, run: runs(mutants, in)}
			if out, err := whole.tests(t, "").CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
	for _, m := range mutants {
		t.Run(m.fence, m.isCaught)
	}
}

// packages are those whose tests are to notice.
func packages(mutants []mutant) (all []string) {
	for _, m := range mutants {
		if !slices.Contains(all, m.in) {
			all = append(all, m.in)
		}
	}
	return all
}

// runs is all that a package's tests are to notice mutants by.
func runs(mutants []mutant, in string) string {
	var all []string
	for _, m := range mutants {
		if m.in == in && !slices.Contains(all, m.run) {
			all = append(all, m.run)
		}
	}
	return strings.Join(all, "|")
}

// isCaught has the tests run on sources whose fence is down: the go command reads them from a folder of the test in the place of ours.
func (m mutant) isCaught(t *testing.T) {
	overlay := m.overlay(t)
	if m.in == "./test/drill" { // which builds the server that it drills, and would take a mutant that doesn't build for one that was caught
		if out, err := command(t, overlay, "build", "-o", os.DevNull, "-tags", "drill", "./cmd/sluice").CombinedOutput(); err != nil {
			t.Fatalf("the mutant does not build: %v\n%s", err, out)
		}
	}
	out, err := m.tests(t, overlay).CombinedOutput()
	if err == nil {
		t.Errorf("the fence is down, and %s %s did not notice:\n%s", m.in, m.run, out)
	} else if !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: test timed out")) {
		t.Errorf("%s did not fail by a test: %v\n%s", m.in, err, out)
	}
	injected(t, 1)
}

// tests is the command that runs a mutant's tests.
func (m mutant) tests(t *testing.T, overlay string) *exec.Cmd {
	t.Helper()
	return command(t, overlay, "test", m.in, "-run", m.run, "-count=1", "-vet=off", "-ldflags=-s -w", "-timeout", "5m")
}

// command is one of the go command, whose children see the overlay too.
func command(t *testing.T, overlay string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command("go", args...)
	database := enginetest.At()
	if !*full {
		database = enginetest.Off
	}
	c.Dir, c.Env = rig.Root(t), append(os.Environ(), "SLUICE_TEST_POSTGRES="+database)
	if overlay != "" {
		c.Env = append(c.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	return c
}

// overlay writes the sources of a mutant, and the file that tells the go command where they are.
func (m mutant) overlay(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "sluice-mutant") // without a space in its name, whatever the mutant's is
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	replaced := map[string]string{}
	for name, body := range m.sources(t) {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(file, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
		replaced[filepath.Join(rig.Root(t), name)] = file
	}
	text, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return overlay
}

// sources are the files of a mutant as they are with its edits, by name. An edit that doesn't fit exactly once is an error.
func (m mutant) sources(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, e := range m.edits {
		body, ok := all[e.file]
		if !ok {
			text, err := os.ReadFile(filepath.Join(rig.Root(t), e.file))
			if err != nil {
				t.Fatal(err)
			}
			body = string(text)
		}
		if n := strings.Count(body, e.old); n != 1 {
			t.Errorf("%s: %q is there %d times in %s, want 1", m.fence, e.old, n, e.file)
		}
		all[e.file] = strings.Replace(body, e.old, e.new, 1)
	}
	return all
}

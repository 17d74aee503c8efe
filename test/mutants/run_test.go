package mutants

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/internal/engine/enginetest"
	"sluice/test/rig"
)

var (
	full = flag.Bool("full", false, "try every mutant with the tests of each package that executes its statement (hours)")
	in   = flag.String("in", ".", "with -full, a regular expression of the packages whose tests are run")
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m, os.Getenv("SLUICE_TEST_POSTGRES"))) }

const (
	catalogDir = "internal/catalog"
	generated  = catalogDir + "/sqlc"
	modelTest  = "TestTheStepMachineDoesWhatItsModelDoes"
)

// model are the flags that run the test of the step machine, longer than its package does by itself.
var model = []string{"-test.run=^" + modelTest + "$", "-machine.time=20s"}

// sample are the mutants of the short form: fences of the step machine.
var sample = []Mutant{
	{Query: "BeginStep", Change: "always: state IN ('waiting', 'running')"},
	{Query: "FinishStep", Change: "always: state = 'running'"},
	{Query: "LockVideo", Change: "always: status <> 'deleting'"},
	{Query: "CancelSteps", Change: "without 'running' in: 'waiting', 'running'"},
}

// sources are the statements of the catalog, and the files of its generated package that can replace them.
func sources(t *testing.T) (statements []string, changed map[string][]byte) {
	t.Helper()
	statements, changed, err := Statements(filepath.Join(rig.Root(t), filepath.FromSlash(generated)))
	if err != nil {
		t.Fatal(err)
	}
	return statements, changed
}

// suite is the tests of one package, built so that a statement can be replaced.
type suite struct {
	name, dir, binary string
	took              time.Duration
	executes          map[string]bool // names of statements
}

// build builds the tests of a package.
func build(t *testing.T, overlay, pkg string) suite {
	t.Helper()
	s := suite{name: pkg, dir: filepath.Join(rig.Root(t), filepath.FromSlash(pkg))}
	s.binary = filepath.Join(filepath.Dir(overlay), filepath.Base(pkg)+".test")
	c := exec.Command("go", "test", "-c", "-vet=off", "-ldflags=-s -w", "-overlay", overlay, "-o", s.binary, ".")
	c.Dir = s.dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("build the tests of %s: %v\n%s", pkg, err, out)
	}
	return s
}

// run runs tests of the package with these settings, on SQLite alone.
func (s suite) run(limit time.Duration, setting string, args ...string) ([]byte, error) {
	args = append([]string{"-test.failfast", "-test.timeout=" + limit.String()}, args...)
	c := exec.Command(s.binary, args...)
	c.Dir, c.Env = s.dir, append(os.Environ(), "SLUICE_TEST_POSTGRES="+enginetest.Off, setting)
	return c.CombinedOutput()
}

// catches says whether tests of the package fail with the mutant.
func (s suite) catches(t *testing.T, m Mutant, limit time.Duration, args ...string) bool {
	t.Helper()
	out, err := s.run(limit, "SLUICE_MUTANT_SQL="+m.SQL, args...)
	if err == nil {
		return false
	}
	if !bytes.Contains(out, []byte("--- FAIL")) && !bytes.Contains(out, []byte("panic: ")) {
		t.Fatalf("%s ended without a failed test: %v\n%s", s.name, err, out)
	}
	return true
}

// overlay writes the files that replace those of the generated package, and returns their list for the go command.
func overlay(t *testing.T, changed map[string][]byte) string {
	t.Helper()
	dir, root := t.TempDir(), rig.Root(t)
	added := filepath.Join(root, filepath.FromSlash(generated), "replace.go")
	replaced := map[string]string{added: filepath.Join(root, "test/mutants/testdata/replace.go")}
	for path, text := range changed {
		replaced[path] = filepath.Join(dir, filepath.Base(path))
		if err := os.WriteFile(replaced[path], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(name, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// suites builds the tests of each package whose tests open a catalog, runs them once to see which statements they
// execute, and returns them, the fastest first.
func suites(t *testing.T, overlay string) (all []suite) {
	t.Helper()
	chosen, err := regexp.Compile(*in)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("go", "list", "-f", `{{.Dir}} {{.TestImports}} {{.XTestImports}}`, "./internal/...")
	c.Dir = rig.Root(t)
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		dir, imports, _ := strings.Cut(line, " ")
		pkg, err := filepath.Rel(rig.Root(t), dir)
		if err != nil {
			t.Fatal(err)
		}
		pkg = filepath.ToSlash(pkg)
		imported := strings.Fields(strings.NewReplacer("[", " ", "]", " ").Replace(imports))
		opens := pkg == catalogDir || slices.Contains(imported, "sluice/"+catalogDir)
		if !opens || !chosen.MatchString(pkg) {
			continue
		}
		s := build(t, overlay, pkg)
		seen := s.binary + ".seen"
		began := time.Now()
		if out, err := s.run(30*time.Minute, "SLUICE_MUTANT_SEEN="+seen); err != nil {
			t.Fatalf("%s fails without a mutant: %v\n%s", pkg, err, out)
		}
		s.took, s.executes = time.Since(began), map[string]bool{}
		text, err := os.ReadFile(seen)
		if err != nil {
			t.Fatal(err)
		}
		for first := range strings.Lines(string(text)) {
			s.executes[nameOf(first)] = true
		}
		t.Logf("%s executes %d statements in %s", pkg, len(s.executes), s.took.Round(time.Second))
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b suite) int { return cmp.Compare(a.took, b.took) })
	return all
}

// TestSQL_AFewMutants_AreCaught is the short form.
func TestSQL_AFewMutants_AreCaught(t *testing.T) {
	if *full {
		t.Skip("all of them are tried")
	}
	t.Parallel()
	statements, changed := sources(t)
	s := build(t, overlay(t, changed), catalogDir)
	if out, err := s.run(5*time.Minute, "", model[0]); err != nil || !bytes.Contains(out, []byte("PASS")) {
		t.Fatalf("%s without a mutant: %v\n%s", modelTest, err, out)
	}
	for _, want := range sample {
		t.Run(want.Query+" "+want.Change, func(t *testing.T) {
			for _, sql := range statements {
				for _, m := range Of(sql) {
					if m.Query == want.Query && m.Change == want.Change {
						if !s.catches(t, m, 5*time.Minute, model...) {
							t.Errorf("%s passes with\n%s", modelTest, m.SQL)
						}
						return
					}
				}
			}
			t.Error("no statement has this name and this condition; name another fence of the step machine")
		})
	}
}

// TestSQL_EachMutant_IsCaught tries them all, two at a time or as -parallel says. One that lives is a condition that no
// test needs: write the test, remove the condition, or add it to survivors with the reason.
func TestSQL_EachMutant_IsCaught(t *testing.T) {
	if !*full {
		t.Skip("takes hours: make mutants PACKAGES=sql")
	}
	statements, changed := sources(t)
	all := suites(t, overlay(t, changed))
	tried := map[string]bool{}
	for _, sql := range statements {
		for _, m := range Of(sql) {
			reason := survivors[m.Query+", "+m.Change]
			tried[m.Query+", "+m.Change] = true
			t.Run(m.Query+" "+m.Change, func(t *testing.T) {
				t.Parallel()
				if reason != "" {
					t.Skip(reason)
				}
				ran := 0
				for _, s := range all {
					if !s.executes[m.Query] {
						continue
					}
					ran++
					if s.catches(t, m, time.Minute+10*s.took) {
						return
					}
					if s.name == catalogDir && s.catches(t, m, 10*time.Minute, model...) {
						return
					}
				}
				fmt.Printf("LIVED %s, %s (tests of %d packages execute it)\n", m.Query, m.Change, ran)
				t.Errorf("no test notices\n%s", m.SQL)
			})
		}
	}
	for name := range survivors {
		if !tried[name] {
			t.Errorf("survivors names %q, which is no mutant", name)
		}
	}
}

// survivors are the mutants that change nothing that a test could see, each with the reason.
var survivors = map[string]string{}

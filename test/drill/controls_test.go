package drill

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/test/rig"
)

var update = flag.Bool("update", false, "write docs/CONTROLS.md anew")

// chapters are what docs/CONTROLS.md tells of, in its order.
var chapters = []struct{ of, tells string }{
	{"accounts", "People, sessions, personal tokens, and the front door"},
	{"the provider", "Programs and their tokens, where this server gives them"},
	{"issuers", "Access tokens of another issuer, and signing in on the page by it"},
	{"signatures", "Signatures of addresses and cookies"},
	{"the edge", "Who may watch, and what a request may cost"},
	{"grants", "Who is given a signature, and the key pairs that make them"},
	{"certificates", "TLS, and whom its certificates stand for"},
	{"purges", "What a CDN is told, and by whom"},
	{"the machine", "What keeps a video whole"},
}

const controlsHead = `# Controls

Each control of Sluice, where it is, and the tests that fail when it is taken away. How that is known: ` + "`make drill`" + ` builds Sluice with one control removed, as test/drill/mutant_*_test.go has it,
and wants one of the tests named here to fail; ` + "`make test-faults`" + ` does so with one of each chapter. What the controls are for is in [SECURITY.md](SECURITY.md).

This file is written by ` + "`go test ./test/drill -run TableOfControls -args -update`" + `.
`

// TestTheTableOfControlsNamesTestsThatAreThere has docs/CONTROLS.md follow the mutants, and each mutant have a test that could notice it.
func TestTheTableOfControlsNamesTestsThatAreThere(t *testing.T) {
	t.Parallel()
	var doc strings.Builder
	doc.WriteString(controlsHead)
	for _, c := range chapters {
		table, ok := tables[c.of]
		if !ok || len(table) == 0 {
			t.Fatalf("there are no mutants of %s", c.of)
		}
		fmt.Fprintf(&doc, "\n## %s\n\n| control | where | test |\n|---|---|---|\n", c.tells)
		for _, m := range table {
			noticing := testsOf(t, m)
			if len(noticing) == 0 {
				t.Errorf("%s: no test of %s is called %s", m.fence, m.in, m.run)
			}
			fmt.Fprintf(&doc, "| %s | `%s` | %s |\n", m.fence, m.edits[0].file, strings.Join(noticing, ", "))
		}
	}
	if len(chapters) != len(tables) {
		t.Errorf("%d chapters tell of %d tables of mutants", len(chapters), len(tables))
	}
	name := filepath.Join(rig.Root(t), "docs", "CONTROLS.md")
	if *update {
		if err := os.WriteFile(name, []byte(doc.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was, err := os.ReadFile(name); err != nil || string(was) != doc.String() {
		t.Errorf("docs/CONTROLS.md is not as the mutants are: go test ./test/drill -run TableOfControls -args -update (%v)", err)
	}
}

// testsOf are the tests that are to notice a mutant.
func testsOf(t *testing.T, m mutant) []string {
	t.Helper()
	if m.run == anyTest {
		return []string{"those of `" + strings.TrimPrefix(m.in, "./") + "`"}
	}
	run := regexp.MustCompile(m.run)
	var all []string
	for _, name := range testNames(t, m.in) {
		if run.MatchString(name) {
			all = append(all, "`"+name+"`")
		}
	}
	return all
}

var testNamesIn = map[string][]string{}

// testNames are those of a package.
func testNames(t *testing.T, in string) []string {
	t.Helper()
	if all, ok := testNamesIn[in]; ok {
		return all
	}
	files, err := filepath.Glob(filepath.Join(rig.Root(t), in, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") && f.Name.Name != "TestMain" {
				all = append(all, f.Name.Name)
			}
		}
	}
	slices.Sort(all)
	testNamesIn[in] = all
	return all
}

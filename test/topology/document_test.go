package topology

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sluice/test/rig"
)

// document is the section "Topologies" of docs/OPERATIONS.md, as an operator reads it.
type document struct {
	blocks  []block
	replace []string // what an operator replaces, in the order of the table
}

// block is a fenced block; its info string is "language purpose" (CommonMark §4.5).
type block struct{ language, purpose, text string }

var (
	fence  = regexp.MustCompile("(?ms)^```(\\w+)(?: (\\w+))?\n(.*?)^```$")
	quoted = regexp.MustCompile("`([^`]+)`")
)

func readDocument(t *testing.T) (d document) {
	t.Helper()
	body, err := os.ReadFile(filepath.Join(rig.Root(t), "docs", "OPERATIONS.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(body), "\n## Topologies\n")
	if !found {
		t.Fatal("docs/OPERATIONS.md has no section Topologies")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, m := range fence.FindAllStringSubmatch(section, -1) {
		d.blocks = append(d.blocks, block{m[1], m[2], m[3]})
	}
	_, table, found := strings.Cut(section, "| in the example | yours |\n|---|---|\n")
	if !found {
		t.Fatal("the section has no table of what to replace")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 4 {
			t.Fatalf("the row %q has not two cells", row)
		}
		for _, m := range quoted.FindAllStringSubmatch(cells[1], -1) {
			d.replace = append(d.replace, m[1])
		}
	}
	return d
}

// find returns the blocks of a purpose or, where that is empty, of a language.
func (d document) find(t *testing.T, language, purpose string) (found []string) {
	t.Helper()
	for _, b := range d.blocks {
		if b.language == language && b.purpose == purpose {
			found = append(found, b.text)
		}
	}
	if len(found) == 0 {
		t.Fatalf("the section has no block %q", strings.TrimSpace(language+" "+purpose))
	}
	return found
}

// replacer replaces what the table names, the longest first, and fails for a value that the table does not name.
func (d document) replacer(t *testing.T, values map[string]string) *strings.Replacer {
	t.Helper()
	var pairs []string
	for name := range values {
		if !slices.Contains(d.replace, name) {
			t.Fatalf("the test replaces %q, which the table of the document does not name", name)
		}
	}
	names := slices.Clone(d.replace)
	slices.SortStableFunc(names, func(a, b string) int { return len(b) - len(a) })
	for _, name := range names {
		if value, set := values[name]; set {
			pairs = append(pairs, name, value)
		}
	}
	return strings.NewReplacer(pairs...)
}

// unit is what systemd reads of a unit's lines.
type unit struct{ environmentFile, execStart string }

func readUnit(t *testing.T, text string) (u unit) {
	t.Helper()
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "EnvironmentFile":
			u.environmentFile = value
		case "ExecStart":
			u.execStart = value
		default:
			t.Fatalf("the test does not know the unit's line %q", line)
		}
	}
	return u
}

// readEnvironment reads an EnvironmentFile as systemd does, which runs no shell: a line is a name and its value
// (systemd.exec(5)).
func readEnvironment(t *testing.T, path string) (env []string) {
	t.Helper()
	body, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if !regexp.MustCompile(`^[A-Z_0-9]+=[^"'\\$ ]*$`).MatchString(line) {
			t.Fatal(fmt.Errorf("systemd and the shell may read this line in two ways: %q", line))
		}
		env = append(env, line)
	}
	return env
}

// setting is the value of one line of an environment.
func setting(env []string, name string) string {
	for _, line := range env {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return value
		}
	}
	return ""
}

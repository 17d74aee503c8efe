package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// commandLine is a command in code of a page: at the begin of a code span or of a line, perhaps behind bin/, up to a
// comment.
var commandLine = regexp.MustCompile("(?m)(?:`|^\\s*(?:bin/)?)(sluice [a-z][^`#\\n]*)")

// TestOperations_EveryCommand_ParsesAsWritten reads the commands that docs/OPERATIONS.md shows: each is one of the
// program, with flags that it has.
func TestOperations_EveryCommand_ParsesAsWritten(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(page), "\\\n", " ") // lines that go on
	read := 0
	for _, m := range commandLine.FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(m[1], "   ")
		words := strings.Fields(line)[1:]
		if strings.Contains(line, "…") || len(words) < 2 {
			continue // shortened, or only named
		}
		for i, word := range words {
			words[i] = strings.Trim(word, `"'`)
		}
		var all commands
		parser, err := kong.New(&all, kong.Name("sluice"), kong.Bind(&fileResolver{}), kong.Exit(func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
		read++
		// The page names files that are not here, and leaves out what the sentence around the command says.
		if _, err := parser.Parse(words); err != nil && !strings.Contains(err.Error(), "no such file") && !strings.Contains(err.Error(), "expected ") {
			t.Errorf("sluice %s: %v", strings.Join(words, " "), err)
		}
	}
	if read < 40 {
		t.Errorf("only %d commands were read", read)
	}
}

// Package sqlc: the function that test/mutants adds to this package for the compiler alone.
package sqlc

import (
	"os"
	"strings"
	"sync"
)

var seen sync.Map

// replace returns what is executed in the place of a statement: the text of SLUICE_MUTANT_SQL for the statement that has
// the same first line. If SLUICE_MUTANT_SEEN is set, it adds the name of each statement to that file.
func replace(query string) string {
	first, _, _ := strings.Cut(query, "\n")
	if to := os.Getenv("SLUICE_MUTANT_SQL"); strings.HasPrefix(to, first+"\n") {
		return to
	}
	if name := os.Getenv("SLUICE_MUTANT_SEEN"); name != "" {
		if _, known := seen.LoadOrStore(first, true); !known {
			f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
			if err != nil {
				panic(err)
			}
			_, err = f.WriteString(first + "\n")
			if closed := f.Close(); err == nil {
				err = closed
			}
			if err != nil {
				panic(err)
			}
		}
	}
	return query
}

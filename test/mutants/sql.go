// Package mutants changes one condition of one SQL statement of the catalog at a time and runs the tests that reach it.
// A change that no test notices is a condition without a test, or one that has no effect. Tools that mutate Go code do
// not see these conditions, because they are strings to Go, and they are the fences of the step machine.
//
// Nothing here names a line of source. The statements are the constants of internal/catalog/sqlc; one build of each
// package's tests serves all mutants, because the statement is replaced when it is executed (testdata/replace.go).
package mutants

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Mutant is a statement with one condition changed.
type Mutant struct {
	Query  string // the statement's name
	Change string // what is changed, in words: stable as long as the condition's text is
	SQL    string // the changed statement
}

// lexeme matches a comment, a string, a word with its qualifiers, a parameter, or one other character.
var lexeme = regexp.MustCompile(`--[^\n]*|'(?:[^']|'')*'|[A-Za-z_][\w.]*|\$\d+|[^\s]`)

// word is a lexeme of a statement with its place.
type word struct {
	text       string // in upper case, unless it is a string
	start, end int
}

// enders are the words at which a condition ends.
var enders = []string{
	"SELECT", "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "RETURNING", "UNION", "JOIN", "LEFT", "INNER", "ON",
	"SET", "INSERT", "UPDATE", "DELETE", "VALUES", "WHEN", "THEN", "ELSE", "END", "DO", "FOR", "AS", ",", ";",
}

// clause is a condition that is being read, on one level of parentheses: operands with AND and OR between them.
type clause struct {
	open     bool
	brackets bool // began with a parenthesis: a group only if there is AND or OR in it
	between  bool // the next AND belongs to BETWEEN
	operands []span
	ands     []bool // which of the connectors are AND
}

type span struct{ start, end int }

// Of returns the mutants of one statement, whose first line is sqlc's `-- name:`.
//
// An operand of AND, or a whole condition, becomes true, and an operand of OR false. It stays in the statement, so that
// its parameters keep their number and type. A list of constants after IN loses one member.
func Of(sql string) (all []Mutant) {
	name := nameOf(sql)
	mutate := func(change string, s span, text string) {
		all = append(all, Mutant{name, change, sql[:s.start] + text + sql[s.end:]})
	}
	for _, c := range conditions(sql) {
		text := sql[c.start:c.end]
		if c.and {
			mutate("always: "+oneLine(text), c.span, "("+text+" OR TRUE)")
		} else {
			mutate("never: "+oneLine(text), c.span, "("+text+" AND FALSE)")
		}
	}
	for _, list := range lists(sql) {
		whole := span{list[0].start, list[len(list)-1].end}
		for i := range list {
			rest := make([]string, 0, len(list))
			for j, member := range list {
				if i != j {
					rest = append(rest, sql[member.start:member.end])
				}
			}
			gone := sql[list[i].start:list[i].end]
			mutate("without "+gone+" in: "+oneLine(sql[whole.start:whole.end]), whole, strings.Join(rest, ", "))
		}
	}
	return all
}

func nameOf(sql string) string {
	name, ok := strings.CutPrefix(sql, "-- name: ")
	if !ok {
		return ""
	}
	name, _, _ = strings.Cut(name, " ")
	return name
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func words(sql string) (all []word) {
	for _, at := range lexeme.FindAllStringIndex(sql, -1) {
		text := sql[at[0]:at[1]]
		if strings.HasPrefix(text, "--") {
			continue
		}
		if text[0] != '\'' {
			text = strings.ToUpper(text)
		}
		all = append(all, word{text, at[0], at[1]})
	}
	return all
}

// operand is an operand of AND (or a whole condition), or one of OR.
type operand struct {
	span
	and bool
}

// conditions finds the operands of each WHERE, ON, HAVING and WHEN, and of each group in parentheses.
func conditions(sql string) (all []operand) {
	levels := []*clause{{}}
	end := func(c *clause) {
		if c.open && (!c.brackets || len(c.ands) > 0) {
			for i, s := range c.operands {
				and := len(c.ands) == 0 || i > 0 && c.ands[i-1] || i < len(c.ands) && c.ands[i]
				all = append(all, operand{s, and})
			}
		}
		*c = clause{}
	}
	read := words(sql)
	for i, w := range read {
		c := levels[len(levels)-1]
		switch {
		case w.text == ")":
			end(c)
			levels = levels[:len(levels)-1]
			levels[len(levels)-1].extend(w)
		case (w.text == "AND" || w.text == "OR") && c.open && !c.between:
			c.ands = append(c.ands, w.text == "AND")
			c.operands = append(c.operands, span{-1, -1})
		case slices.Contains(enders, w.text):
			end(c)
			conflict := w.text == "ON" && read[i+1].text == "CONFLICT"
			if slices.Contains([]string{"WHERE", "ON", "HAVING", "WHEN"}, w.text) && !conflict {
				*c = clause{open: true, operands: []span{{-1, -1}}}
			}
		default:
			c.between = w.text == "BETWEEN" || c.between && w.text != "AND"
			c.extend(w)
			if w.text == "(" {
				levels = append(levels, &clause{open: true, brackets: true, operands: []span{{-1, -1}}})
			}
		}
	}
	end(levels[0])
	return all
}

// extend adds a word to the operand that is being read.
func (c *clause) extend(w word) {
	if !c.open {
		return
	}
	last := &c.operands[len(c.operands)-1]
	if last.start < 0 {
		last.start = w.start
	}
	last.end = w.end
}

// lists finds the members of each list of two or more strings after IN.
func lists(sql string) (all [][]span) {
	read := words(sql)
	for i := range read {
		if read[i].text != "IN" || i+1 >= len(read) || read[i+1].text != "(" {
			continue
		}
		var list []span
		for _, w := range read[i+2:] {
			if w.text[0] == '\'' {
				list = append(list, span{w.start, w.end})
			} else if w.text != "," {
				break
			}
		}
		if len(list) > 1 {
			all = append(all, list)
		}
	}
	return all
}

// Statements are the constants of a folder that sqlc generated, and what its files become when each use of a constant
// passes through the function replace of testdata/replace.go.
func Statements(dir string) (statements []string, changed map[string][]byte, err error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.sql.go"))
	if err != nil {
		return nil, nil, err
	}
	files := token.NewFileSet()
	parsed, named, changed := map[string]*ast.File{}, map[string]bool{}, map[string][]byte{}
	for _, path := range paths {
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		parsed[path] = f
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if value, ok := spec.Values[0].(*ast.BasicLit); ok && value.Kind == token.STRING {
				if sql, err := strconv.Unquote(value.Value); err == nil && nameOf(sql) != "" {
					statements = append(statements, sql)
					named[spec.Names[0].Name] = true
				}
			}
			return true
		})
	}
	slices.SortFunc(statements, func(a, b string) int { return strings.Compare(nameOf(a), nameOf(b)) })
	for path, f := range parsed {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, nil, err
		}
		var uses []int // where each use begins and ends
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				for _, arg := range call.Args {
					if id, ok := arg.(*ast.Ident); ok && named[id.Name] {
						uses = append(uses, files.Position(id.Pos()).Offset, files.Position(id.End()).Offset)
					}
				}
			}
			return true
		})
		for i := len(uses) - 2; i >= 0; i -= 2 {
			use := fmt.Appendf(nil, "replace(%s)", text[uses[i]:uses[i+1]])
			text = slices.Concat(text[:uses[i]], use, text[uses[i+1]:])
		}
		changed[path] = text
	}
	return statements, changed, nil
}

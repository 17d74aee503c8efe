package catalog

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestAMethodThatWritesRecordsIsOneTransaction reads the sources: a method that began two would leave half of itself to a crash between them, where no drill that kills before and after it
// looks. Upkeep of all records at once, while nobody is at work on them, may take more.
func TestAMethodThatWritesRecordsIsOneTransaction(t *testing.T) {
	t.Parallel()
	upkeep := []string{"Compare", "CopyTo"}
	writes, reads := []string{"write", "end", "move", "InTx"}, []string{"read", "View"}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	methods := map[string]*ast.FuncDecl{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil && receiver(f) == "Store" {
				methods[f.Name.Name] = f
			}
		}
	}
	var count func(f *ast.FuncDecl) (written, read int)
	count = func(f *ast.FuncDecl) (written, read int) {
		name := f.Recv.List[0].Names[0].Name
		ast.Inspect(f.Body, func(node ast.Node) bool {
			call, ok := node.(*ast.CallExpr)
			if !ok {
				return true
			}
			to, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || root(to) != name {
				return true
			}
			switch next := methods[to.Sel.Name]; {
			case slices.Contains(writes, to.Sel.Name):
				written++
			case slices.Contains(reads, to.Sel.Name):
				read++
			case next != nil && next != f:
				w, r := count(next)
				written, read = written+w, read+r
			}
			return true
		})
		return written, read
	}
	seen := 0
	for name, f := range methods {
		if slices.Contains(slices.Concat(writes, reads, upkeep), name) {
			continue
		}
		written, read := count(f)
		if seen += written; written > 0 && written+read > 1 {
			t.Errorf("%s begins %d transactions that write and %d that read", name, written, read)
		}
	}
	if seen < 60 {
		t.Errorf("%d transactions that write are begun in all; this test looks in the wrong place", seen)
	}
}

// receiver is the type that a method is of.
func receiver(f *ast.FuncDecl) string {
	star, ok := f.Recv.List[0].Type.(*ast.StarExpr)
	if !ok {
		return ""
	}
	of, _ := star.X.(*ast.Ident)
	if of == nil {
		return ""
	}
	return of.Name
}

// root is what a chain of fields begins with: s of s.db.View.
func root(e *ast.SelectorExpr) string {
	switch x := e.X.(type) {
	case *ast.Ident:
		return x.Name
	case *ast.SelectorExpr:
		return root(x)
	default:
		return ""
	}
}

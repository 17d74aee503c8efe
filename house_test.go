// Package sluice_test holds the law of the house: which room may import which. docs/ARCHITECTURE.md tells why;
// docs/adr/0001-house.md how it came to be. A new room needs a line in the table below and a decision in docs/adr/.
package sluice_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "sluice"

// room is one line of the import law.
type room struct {
	may      []string // rooms it may import
	anything bool     // wiring: it may import every room
	pure     bool     // values and functions of values: no files, processes or databases
}

// The floors of the law.
var (
	ground    = []string{"fault", "telemetry", "text"}
	values    = []string{"video", "account", "event", "signing", "manifest", "seal"}
	machinery = []string{"engine", "bucket", "sandbox", "ffmpeg", "certificate"}
)

// law is the table. A room that is not in it may not exist. Rooms of the plan that nobody has moved into yet are in it
// already, so that the law is one table and not a history.
func law() map[string]room {
	value := room{may: ground, pure: true}
	machine := room{may: join(ground, values)}
	feature := func(arrows ...string) room { return room{may: join(ground, values, machinery, arrows)} }
	return map[string]room{
		"fault":     {},
		"text":      {pure: true},
		"telemetry": {},

		"video":    value,
		"account":  value,
		"event":    value,
		"signing":  value,
		"seal":     value,                                              // docs/adr/0009-grants.md
		"manifest": {may: join(ground, []string{"video"}), pure: true}, // docs/adr/0003-manifests-read-tracks.md

		"engine":      machine,
		"bucket":      machine,
		"sandbox":     machine,
		"certificate": machine, // docs/adr/0013-certificates.md
		"ffmpeg":      {may: join(machine.may, []string{"sandbox"})},

		"upload":       feature(),
		"pipeline":     feature("instant"),
		"instant":      feature(),
		"delivery":     feature("instant"),
		"picture":      feature(),
		"oauth":        feature(),
		"identity":     feature(), // docs/adr/0007-identity.md
		"grant":        feature(), // docs/adr/0009-grants.md
		"sweep":        feature(),
		"purge":        feature(), // docs/adr/0012-purge.md
		"notify":       feature(),
		"mediaconvert": feature(),
		"api":          feature("upload", "sweep", "grant"), // docs/adr/0004-sweep.md, 0009-grants.md

		"catalog": {may: []string{"fault", "telemetry", "text", "video", "account", "event", "signing", "engine"}},

		"client": {}, // users compile it into their programs: nothing of ours comes along
		"ui":     {},

		"cmd/sluice": {anything: true},
		"test":       {anything: true}, // end-to-end, bench and drill start the whole program
	}
}

func join(lists ...[]string) []string { return slices.Concat(lists...) }

// nameless are package names that say where code was put and not what it is.
var nameless = []string{"utils", "common", "helpers", "models", "types"}

// pack is what the law reads of a package; the names are go list's.
type pack struct {
	ImportPath string
	Name       string
	Dir        string
	GoFiles    []string
	Imports    []string
}

// roomOf returns the room that an import path lies in, and whether it is ours at all. Folders below a room belong to it.
func roomOf(importPath string) (string, bool) {
	rest, ours := strings.CutPrefix(importPath, module+"/")
	if !ours {
		return "", importPath == module
	}
	if inner, ok := strings.CutPrefix(rest, "internal/"); ok {
		first, _, _ := strings.Cut(inner, "/")
		return first, true
	}
	parts := strings.SplitN(rest, "/", 3)
	if parts[0] == "cmd" && len(parts) > 1 {
		return "cmd/" + parts[1], true
	}
	return parts[0], true
}

// breaches returns what packs do against the law, sorted.
func breaches(packs []pack) []string {
	rooms := law()
	var found []string
	for _, p := range packs {
		if slices.Contains(nameless, p.Name) || slices.Contains(nameless, path.Base(p.ImportPath)) {
			found = append(found, p.ImportPath+" has a name that says nothing: name it for what it is")
		}
		if p.ImportPath == module && len(p.GoFiles) == 0 {
			continue // this test lives there, and no code
		}
		name, _ := roomOf(p.ImportPath)
		r, known := rooms[name]
		if !known {
			found = append(found, p.ImportPath+" is in no room of the plan: a new room needs a line in house_test.go and a decision in docs/adr/")
			continue
		}
		for _, imported := range p.Imports {
			if why := r.refuses(name, imported); why != "" {
				found = append(found, p.ImportPath+" "+why)
			}
		}
	}
	slices.Sort(found)
	return found
}

// refuses says why the room called name must not import a package, or nothing.
func (r room) refuses(name, imported string) string {
	if r.anything {
		return ""
	}
	if r.pure && slices.Contains([]string{"os", "os/exec", "database/sql"}, imported) {
		return "is pure and imports " + imported
	}
	if slices.Contains(configuration, imported) {
		return "imports " + imported + ": only cmd/sluice reads configuration"
	}
	other, ours := roomOf(imported)
	if !ours || other == name || slices.Contains(r.may, other) {
		return ""
	}
	return "must not import " + imported
}

// configuration are the packages that read flags, files or the environment for a program.
var configuration = []string{"flag", "github.com/alecthomas/kong", "github.com/aws/aws-sdk-go-v2/config"}

// handsOn are the rooms that may name the whole environment: the sandbox's child, between the server and the tool, hands on
// what the server made for it.
var handsOn = map[string]string{"sandbox": "Environ"}

// environmentReads returns where a file reads the environment of the process, but for the function called except.
func environmentReads(files *token.FileSet, file *ast.File, except string) []token.Position {
	reads := map[string][]string{
		"os":      {"Getenv", "LookupEnv", "Environ", "ExpandEnv"},
		"syscall": {"Getenv", "Environ"},
	}
	alias := map[string]string{} // name in this file → import path
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil || reads[imported] == nil {
			continue
		}
		name := imported
		if spec.Name != nil {
			name = spec.Name.Name
		}
		alias[name] = imported
	}
	var found []token.Position
	ast.Inspect(file, func(node ast.Node) bool {
		sel, ok := node.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := sel.X.(*ast.Ident); ok && sel.Sel.Name != except && slices.Contains(reads[alias[x.Name]], sel.Sel.Name) {
			found = append(found, files.Position(sel.Pos()))
		}
		return true
	})
	return found
}

// house lists the packages of this repository with their non-test imports.
func house(t *testing.T) []pack {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Name,Dir,GoFiles,Imports", "./...").Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	var packs []pack
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pack
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packs
		} else if err != nil {
			t.Fatalf("go list wrote something else than JSON: %v", err)
		}
		packs = append(packs, p)
	}
}

func TestTheHouseKeepsItsImportLaw(t *testing.T) {
	t.Parallel()
	packs := house(t)
	if len(packs) < 10 {
		t.Fatalf("go list found %d packages: too few to be this house", len(packs))
	}
	for _, breach := range breaches(packs) {
		t.Error(breach)
	}
}

func TestOnlyTheCommandReadsTheEnvironment(t *testing.T) {
	t.Parallel()
	read := 0
	for _, p := range house(t) {
		in, _ := roomOf(p.ImportPath)
		if law()[in].anything {
			continue
		}
		for _, name := range p.GoFiles {
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			read++
			for _, at := range environmentReads(files, file, handsOn[in]) {
				t.Errorf("%s/%s:%d reads the environment: only cmd/sluice does", p.ImportPath, name, at.Line)
			}
		}
	}
	if read == 0 {
		t.Fatal("no file was read")
	}
}

func TestABreachOfTheLawIsFound(t *testing.T) {
	t.Parallel()
	internal := func(name string, imports ...string) pack {
		return pack{ImportPath: "sluice/internal/" + name, Name: path.Base(name), GoFiles: []string{"a.go"}, Imports: imports}
	}
	for _, c := range []struct {
		does string
		pack pack
		want string // empty: lawful
	}{
		{"the ground floor imports ours", internal("fault", "sluice/internal/video"), "sluice/internal/fault must not import sluice/internal/video"},
		{"a value imports the ground floor", internal("video", "sluice/internal/fault", "time"), ""},
		{"a value imports a value", internal("event", "sluice/internal/video"), "must not import sluice/internal/video"},
		{"a value imports machinery", internal("video", "sluice/internal/engine"), "must not import sluice/internal/engine"},
		{"a value opens files", internal("video", "os"), "is pure and imports os"},
		{"machinery imports values", internal("engine", "sluice/internal/video", "sluice/internal/fault"), ""},
		{"machinery imports machinery", internal("engine", "sluice/internal/bucket"), "must not import sluice/internal/bucket"},
		{"machinery imports a feature", internal("bucket", "sluice/internal/upload"), "must not import sluice/internal/upload"},
		{"ffmpeg runs in the sandbox", internal("ffmpeg", "sluice/internal/sandbox"), ""},
		{"the sandbox knows ffmpeg", internal("sandbox", "sluice/internal/ffmpeg"), "must not import sluice/internal/ffmpeg"},
		{"a feature imports machinery", internal("pipeline", "sluice/internal/ffmpeg", "sluice/internal/engine"), ""},
		{"api knows upload", internal("api", "sluice/internal/upload"), ""},
		{"upload knows api", internal("upload", "sluice/internal/api"), "must not import sluice/internal/api"},
		{"delivery knows instant", internal("delivery", "sluice/internal/instant"), ""},
		{"delivery knows pipeline", internal("delivery", "sluice/internal/pipeline"), "must not import sluice/internal/pipeline"},
		{"a feature knows the catalog", internal("pipeline", "sluice/internal/catalog"), "must not import sluice/internal/catalog"},
		{"a feature knows a folder of the catalog", internal("api", "sluice/internal/catalog/query"), "must not import sluice/internal/catalog/query"},
		{"the catalog knows engine and event", internal("catalog", "sluice/internal/engine", "sluice/internal/event"), ""},
		{"the catalog uses its own folder", internal("catalog", "sluice/internal/catalog/query"), ""},
		{"the catalog knows the bucket", internal("catalog", "sluice/internal/bucket"), "must not import sluice/internal/bucket"},
		{"the catalog knows manifests", internal("catalog", "sluice/internal/manifest"), "must not import sluice/internal/manifest"},
		{"a room reads flags", internal("bucket", "flag"), "only cmd/sluice reads configuration"},
		{"the command imports everything", pack{ImportPath: "sluice/cmd/sluice", Name: "main", GoFiles: []string{"a.go"}, Imports: []string{"sluice/internal/catalog", "flag"}}, ""},
		{"another command knows the catalog", pack{ImportPath: "sluice/cmd/other", Name: "main", GoFiles: []string{"a.go"}, Imports: []string{"sluice/internal/catalog"}}, "is in no room of the plan"},
		{"the client imports ours", pack{ImportPath: "sluice/client", Name: "client", GoFiles: []string{"a.go"}, Imports: []string{"sluice/internal/video"}}, "must not import sluice/internal/video"},
		{"a room that nobody planned", internal("cache"), "is in no room of the plan"},
		{"code at the root", pack{ImportPath: "sluice", Name: "sluice", GoFiles: []string{"a.go"}}, "is in no room of the plan"},
		{"tests at the root", pack{ImportPath: "sluice", Name: "sluice_test"}, ""},
		{"a package called utils", internal("video/utils"), "has a name that says nothing"},
		{"a folder called types", pack{ImportPath: "sluice/internal/video/types", Name: "video", GoFiles: []string{"a.go"}}, "has a name that says nothing"},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			found := breaches([]pack{c.pack})
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("lawful, and yet: %q", found)
			case c.want != "" && (len(found) != 1 || !strings.Contains(found[0], c.want)):
				t.Errorf("got %q, want one that says %q", found, c.want)
			}
		})
	}
}

func TestAReadOfTheEnvironmentIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		does, code, except string
		want               int
	}{
		{"os.Getenv", `import "os"; var a = os.Getenv("A")`, "", 1},
		{"os.LookupEnv as a value", `import "os"; var f = os.LookupEnv`, "", 1},
		{"under another name", `import sys "os"; var a = sys.Environ()`, "", 1},
		{"by syscall", `import "syscall"; var a, b = syscall.Getenv("A")`, "", 1},
		{"twice", `import "os"; var a, b = os.ExpandEnv("$A"), os.Getenv("B")`, "", 2},
		{"what may be handed on", `import "os"; var a = os.Environ()`, "Environ", 0},
		{"more than what may be handed on", `import "os"; var a = os.Getenv("A")`, "Environ", 1},
		{"another use of os", `import "os"; var a = os.Getpid()`, "", 0},
		{"a method of that name", `type t struct{}; func (t) Getenv() int { return 0 }; var os t; var a = os.Getenv()`, "", 0},
	} {
		t.Run(c.does, func(t *testing.T) {
			t.Parallel()
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, "a.go", "package a\n"+strings.ReplaceAll(c.code, "; ", "\n"), parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if found := environmentReads(files, file, c.except); len(found) != c.want {
				t.Errorf("found %s, want %d", fmt.Sprint(found), c.want)
			}
		})
	}
}

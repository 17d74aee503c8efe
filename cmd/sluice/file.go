package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"gopkg.in/yaml.v3"
)

// fileResolver gives kong the values of a YAML file: limits.bytes in the file is --limits-bytes on the command line, public_url is --public-url.
type fileResolver struct {
	path   string
	values map[string]string // by flag name
	nested map[string]string // flag name → key as written in the file
}

// open reads the file that --config or the environment names.
func (f *fileResolver) open(args []string, path string) error {
	for i, a := range args {
		if value, ok := strings.CutPrefix(a, "--config="); ok {
			path = value
		} else if a == "--config" && i+1 < len(args) {
			path = args[i+1]
		} else if a == "--" {
			break
		}
	}
	if path == "" {
		return nil
	}
	body, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("config is %q, which can't be read: %w", path, err)
	}
	f.path = path
	f.values, f.nested = map[string]string{}, map[string]string{}
	var tree map[string]any
	if err := yaml.Unmarshal(body, &tree); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("config %s is not YAML: %w", path, err)
	}
	f.flatten("", tree)
	return nil
}

func (f *fileResolver) flatten(prefix string, tree map[string]any) {
	for key, value := range tree {
		written := prefix + key
		if branch, ok := value.(map[string]any); ok {
			f.flatten(written+".", branch)
			continue
		}
		name := strings.NewReplacer(".", "-", "_", "-").Replace(written)
		f.nested[name] = written
		switch v := value.(type) {
		case nil:
			f.values[name] = ""
		case []any:
			parts := make([]string, len(v))
			for i, x := range v {
				parts[i] = fmt.Sprint(x)
			}
			f.values[name] = kong.JoinEscaped(parts, ',')
		default:
			f.values[name] = fmt.Sprint(v)
		}
	}
}

// Validate refuses keys that no setting has.
func (f *fileResolver) Validate(app *kong.Application) error {
	known := map[string]bool{}
	for _, command := range app.Children {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				known[flag.Name] = true
			}
		}
	}
	delete(known, "config")
	for _, name := range slices.Sorted(maps.Keys(f.values)) {
		if !known[name] {
			var keys []string
			for flag := range maps.Keys(known) {
				keys = append(keys, fileKey(flag))
			}
			slices.Sort(keys)
			return fmt.Errorf("config %s has the key %q, which is no setting; the settings are %s", f.path, f.nested[name], strings.Join(keys, ", "))
		}
	}
	return nil
}

// Resolve gives the file's value, unless the environment has a stronger one.
func (f *fileResolver) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	value, ok := f.values[flag.Name]
	if !ok || setEnv(flag) != "" {
		return nil, nil
	}
	return value, nil
}

// explain says of a refused value where it came from and, where kong does not, what is allowed.
func (f *fileResolver) explain(err error, args []string) string {
	text := err.Error()
	for name := range f.values {
		flag := "--" + name
		onLine := slices.ContainsFunc(args, func(a string) bool { return a == flag || strings.HasPrefix(a, flag+"=") })
		if !onLine && (strings.Contains(text, flag+":") || strings.Contains(text, flag+" ")) {
			text += fmt.Sprintf(" (it is %s in %s)", f.nested[name], f.path)
		}
	}
	if strings.Contains(text, "expected duration") {
		text += "; use a time such as 90s, 15m or 24h"
	}
	return text
}

package api

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// operation is what the tests read of an OpenAPI operation.
type operation struct {
	OperationID string `json:"operationId"`
	Summary     string
	Description string
	Tags        []string
	Parameters  []struct{ Name, Description string }
	Security    []map[string][]string
	RequestBody *struct {
		Content map[string]struct{ Schema schema }
	}
	Responses map[string]struct {
		Description string
		Content     map[string]struct{ Schema schema }
	}
}

type schema struct {
	Ref         string `json:"$ref"`
	Type        any
	Description string
	Examples    []any
	Format      string
	Enum        []any
	Properties  map[string]schema
	Items       *schema
	Additional  any `json:"additionalProperties"`
}

type openapi struct {
	OpenAPI    string
	Info       struct{ Title, Version, Description string }
	Paths      map[string]map[string]operation
	Security   []map[string][]string
	Components struct {
		Schemas         map[string]schema
		SecuritySchemes map[string]struct{ Type, Scheme, Description string }
	}
}

func read(t *testing.T) openapi {
	t.Helper()
	s := start(t)
	a := s.do(t, "GET", "/openapi.json", "")
	if a.status != 200 || a.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("%d %v", a.status, a.header)
	}
	var doc openapi
	if err := json.Unmarshal(a.body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestTheRoutesAreThoseOfTheGolden(t *testing.T) {
	var lines []string
	for path, item := range read(t).Paths {
		for method, op := range item {
			lines = append(lines, fmt.Sprintf("%s %s %s %v: %s", path, strings.ToUpper(method), op.OperationID, op.Security, strings.Join(slices.Sorted(maps.Keys(op.Responses)), " ")))
		}
	}
	slices.Sort(lines)
	golden(t, "routes.txt", []byte(strings.Join(lines, "\n")+"\n"))
}

func TestTheDocumentIsOpenAPI31WithABearerToken(t *testing.T) {
	doc := read(t)
	b := doc.Components.SecuritySchemes["bearer"]
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") || doc.Info.Title != "Sluice" || doc.Info.Version != "1.0.0" || b.Type != "http" || b.Scheme != "bearer" ||
		len(doc.Security) != 1 || doc.Security[0]["bearer"] == nil {
		t.Errorf("%s %+v %+v %v", doc.OpenAPI, doc.Info, b, doc.Security)
	}
}

func TestEveryOperationAndFieldIsDocumented(t *testing.T) {
	doc := read(t)
	for path, item := range doc.Paths {
		for method, op := range item {
			where := method + " " + path
			if op.Summary == "" || op.OperationID == "" || len(op.Tags) != 1 {
				t.Errorf("%s: summary %q, id %q, tags %v", where, op.Summary, op.OperationID, op.Tags)
			}
			for _, p := range op.Parameters {
				if p.Description == "" {
					t.Errorf("%s: parameter %s says nothing", where, p.Name)
				}
			}
			for status, r := range op.Responses {
				problem := status[0] >= '4'
				if r.Description == "" || problem && (r.Content["application/problem+json"].Schema.Ref != "#/components/schemas/Problem" || !strings.Contains(r.Description, "- `")) ||
					!problem && status != "204" && r.Content["application/json"].Schema.Ref == "" && r.Content["image/png"].Schema.Format != "binary" {
					t.Errorf("%s %s: %+v", where, status, r)
				}
				if strings.HasSuffix(r.Description, ": ") || strings.Contains(r.Description, ": \n") {
					t.Errorf("%s %s: a code without a meaning: %q", where, status, r.Description)
				}
			}
		}
	}
	for name, s := range doc.Components.Schemas {
		if s.Additional != false {
			t.Errorf("%s takes unknown fields", name)
		}
		for field, p := range s.Properties {
			nested := p.Ref != "" || p.Items != nil && p.Items.Ref != "" || fmt.Sprint(p.Type) == "<nil>"
			if p.Description == "" || !nested && len(p.Examples) == 0 {
				t.Errorf("%s.%s: description %q, examples %v", name, field, p.Description, p.Examples)
			}
		}
	}
}

func TestEveryReferenceOfTheDocumentLeadsSomewhere(t *testing.T) {
	s := start(t)
	var tree any
	if err := json.Unmarshal(s.do(t, "GET", "/openapi.json", "").body, &tree); err != nil {
		t.Fatal(err)
	}
	schemas := tree.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	var refs int
	var walk func(any)
	walk = func(n any) {
		switch n := n.(type) {
		case map[string]any:
			if ref, ok := n["$ref"].(string); ok {
				refs++
				if _, ok := schemas[strings.TrimPrefix(ref, "#/components/schemas/")]; !ok {
					t.Errorf("%s leads nowhere", ref)
				}
			}
			for _, c := range n {
				walk(c)
			}
		case []any:
			for _, c := range n {
				walk(c)
			}
		}
	}
	walk(tree)
	if refs == 0 {
		t.Error("the document has no references")
	}
}

func TestTheYAMLDocumentSaysTheSame(t *testing.T) {
	s := start(t)
	a := s.do(t, "GET", "/openapi.yaml", "")
	var fromYAML, fromJSON any
	if err := yaml.Unmarshal(a.body, &fromYAML); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(s.do(t, "GET", "/openapi.json", "").body, &fromJSON); err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	j, _ := json.Marshal(fromJSON)
	if a.status != 200 || string(y) != string(j) {
		t.Errorf("status %d; YAML and JSON differ", a.status)
	}
}

func TestNoPageOfHumaIsServed(t *testing.T) {
	s := start(t)
	for _, path := range []string{"/docs", "/schemas/Video", "/openapi-3.0.json"} {
		if a := s.do(t, "GET", path, ""); a.status != 404 {
			t.Errorf("%s: %d", path, a.status)
		}
	}
	if a := s.do(t, "GET", "/v1/videos", ""); strings.Contains(string(a.body), "$schema") || a.header.Get("Link") != "" {
		t.Errorf("an answer links to a schema: %v %s", a.header, a.body)
	}
}

func TestNullIsForEditsAlone(t *testing.T) {
	for name, s := range read(t).Components.Schemas {
		for field, p := range s.Properties {
			types, _ := p.Type.([]any)
			edit := name == "VideoEdit" || name == "PlaybackEdit" || name == "QueueEdit" && field == "workers"
			if nullable := slices.Contains(types, any("null")); nullable != edit {
				t.Errorf("%s.%s has the type %v", name, field, p.Type)
			}
		}
	}
}

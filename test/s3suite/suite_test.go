// Package s3suite runs the client tests of versitygw (tests/integration, what `versitygw test full-flow` runs) against the front door of a real server.
package s3suite

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/versity/versitygw/tests/integration"

	"sluice/test/rig"
)

var (
	// full runs every group; without it, as in make test, those that are quick and that Sluice's own clients lean on.
	full   = flag.Bool("full", false, "run every group")
	update = flag.Bool("update", false, "with -full, write the table of docs/S3.md")
)

func TestMain(m *testing.M) {
	flag.Parse()
	for _, pair := range os.Environ() { // the suite's client reads what is meant for Amazon's
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "AWS_") {
			_ = os.Unsetenv(name)
		}
	}
	code := m.Run()
	rig.Clean()
	os.Exit(code)
}

// result is how one case ended.
type result struct {
	name, why string
	passed    bool
}

// suite is the suite against one server.
type suite struct {
	conf *integration.S3Conf
}

// start starts a server that has the buckets which the suite will ask for, and a desk before it that answers for making and removing them: Sluice's
// buckets are fixed. What else comes goes to the front door as it is.
func start(t *testing.T, buckets int) suite {
	t.Helper()
	names := make([]string, buckets)
	for i := range names {
		names[i] = fmt.Sprintf("test-bucket-%d", i+1)
	}
	s := rig.Start(t, rig.Options{Tags: "drill", Env: []string{"SLUICE_BUCKETS=" + strings.Join(names, " ")}})
	root := filepath.Join(s.Data, "objects")
	for _, name := range names { // until it is made, it is not there
		if err := os.RemoveAll(filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	front, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	through := &httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = front.Scheme, front.Host, p.In.Host
		p.Out.URL.RawQuery = p.In.URL.RawQuery
	}}
	own := regexp.MustCompile(`^/(test-bucket-\d+)/?$`)
	desk := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := own.FindStringSubmatch(r.URL.Path)
		if name == nil || r.URL.RawQuery != "" && !strings.HasPrefix(r.URL.RawQuery, "x-id=") {
			through.ServeHTTP(w, r)
			return
		}
		dir := filepath.Join(root, name[1])
		switch r.Method {
		case http.MethodPut:
			if err := os.MkdirAll(filepath.Join(dir, ".sgwtmp"), 0o755); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
		case http.MethodDelete:
			if err := os.RemoveAll(dir); err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
			}
			w.WriteHeader(http.StatusNoContent)
		default:
			through.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(desk.Close)
	access, secret := s.Keys()
	return suite{integration.NewS3Conf(integration.WithAccess(access), integration.WithSecret(secret),
		integration.WithRegion("us-east-1"), integration.WithEndpoint(desk.URL))}
}

var (
	colours = regexp.MustCompile("\x1b\\[[0-9]*m")
	line    = regexp.MustCompile(`^(PASS|FAIL) ([A-Za-z0-9_]+)(?:: (.*))?`)
)

// run runs one group and reads from what it prints how each case ended: there is no other way to learn that.
func (s suite) run(t *testing.T, group func(*integration.TestState)) (results []result) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out := os.Stdout
	os.Stdout = w
	go func() {
		state := integration.NewTestState(context.Background(), s.conf, false)
		group(state)
		state.Wait()
		os.Stdout = out
		_ = w.Close()
	}()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if m := line.FindStringSubmatch(colours.ReplaceAllString(lines.Text(), "")); m != nil {
			results = append(results, result{name: m[2], passed: m[1] == "PASS", why: m[3]})
		}
	}
	return results
}

// TestTheSuitesCasesPassOrAreListed runs the groups and compares what they did with the lists here and with the table in docs/S3.md.
func TestTheSuitesCasesPassOrAreListed(t *testing.T) {
	most := 300
	if *full {
		most = 1000
	}
	s := start(t, most)
	page := filepath.Join(rig.Root(t), "docs", "S3.md")
	old, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	rows, all := map[string]string{}, total{}
	for _, g := range groups {
		if !*full && !g.quick {
			continue
		}
		t.Run(g.name, func(t *testing.T) {
			row, sum := judge(t, g, s.run(t, g.run))
			rows[g.name] = row
			all.add(sum)
			if !*update && !bytes.Contains(old, []byte("\n"+row+"\n")) {
				t.Errorf("docs/S3.md does not have this row; write it with -args -full -update:\n%s", row)
			}
		})
	}
	if !*full {
		return
	}
	var table strings.Builder
	table.WriteString("| group | cases | supported | passed | left out |\n|---|--:|--:|--:|---|\n")
	for _, g := range groups {
		fmt.Fprintln(&table, rows[g.name])
	}
	last := fmt.Sprintf("| **all** | %d | %d | %d | |", all.cases, all.supported, all.passed)
	fmt.Fprintln(&table, last)
	if !*update {
		if !bytes.Contains(old, []byte("\n"+last+"\n")) {
			t.Errorf("docs/S3.md does not have this row; write it with -args -full -update:\n%s", last)
		}
		return
	}
	const begin, end = "<!-- table: written by test/s3suite -->\n", "<!-- end -->"
	head, rest, ok := bytes.Cut(old, []byte(begin))
	_, tail, found := bytes.Cut(rest, []byte(end))
	if !ok || !found {
		t.Fatalf("docs/S3.md has no place for the table (%q … %q)", begin, end)
	}
	fresh := string(head) + begin + table.String() + end + string(tail)
	if err := os.WriteFile(page, []byte(fresh), 0o644); err != nil {
		t.Fatal(err)
	}
}

type total struct{ cases, supported, passed int }

func (a *total) add(b total) {
	a.cases, a.supported, a.passed = a.cases+b.cases, a.supported+b.supported, a.passed+b.passed
}

// judge fails where a supported case failed, a case that is listed as left out passed or never ran, and returns the group's row of the table.
func judge(t *testing.T, g group, results []result) (row string, sum total) {
	t.Helper()
	if len(results) == 0 {
		t.Errorf("no case of %s ran", g.name)
	}
	seen, counts, order := map[string]bool{}, map[string]int{}, []string{}
	for _, r := range results {
		seen[r.name] = true
		why := g.out
		if why == "" {
			why = g.but[r.name]
		}
		sum.cases++
		switch {
		case why == "" && !r.passed:
			t.Errorf("%s failed: %s", r.name, r.why)
			sum.supported++
		case why == "":
			sum.supported++
			sum.passed++
		case g.out == "" && r.passed && why != unordered:
			t.Errorf("%s is listed as left out (%s) and passes", r.name, why)
		}
		if why != "" && g.out == "" {
			if counts[why] == 0 {
				order = append(order, why)
			}
			counts[why]++
		}
	}
	for name := range g.but {
		if !seen[name] {
			t.Errorf("%s is listed as left out, and there is no such case", name)
		}
	}
	left := g.out
	if g.out == "" {
		var parts []string
		for _, why := range order {
			parts = append(parts, strconv.Itoa(counts[why])+": "+why)
		}
		left = strings.Join(parts, "; ")
	}
	return strings.ReplaceAll(fmt.Sprintf("| %s | %d | %d | %d | %s |", g.name, sum.cases, sum.supported, sum.passed, left), "|  |", "| |"), sum
}

package purge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/purge"
	"sluice/internal/video"
)

// fixed is a store in which these copies are due.
type fixed struct{ due []video.Copies }

func (f fixed) DueCopies(context.Context, int, engine.Handle) ([]video.Copies, error) {
	return f.due, nil
}
func (fixed) CopiesDropped(context.Context, []video.Copies, engine.Handle) error { return nil }
func (fixed) WakePurge(context.Context) (bool, error)                            { return false, nil }

// once tells a CDN of copies.
func tellOnce(t *testing.T, c purge.Call, due ...video.Copies) error {
	t.Helper()
	p, err := purge.New(purge.Config{Store: fixed{due}, Call: c, Path: pattern, Now: time.Now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p.Handlers()["purge"](t.Context(), engine.Attempt{})
}

func TestCopiesAreCalledByKeysOrByPaths(t *testing.T) {
	t.Parallel()
	due := []video.Copies{
		{Video: "V1", Folders: []string{"a-V1", "p-1"}},
		{Video: "V2", Generation: 3, Folders: []string{"b-V2", "p-2"}},
		{Video: "V3", Playbacks: true, Folders: []string{"p-3", "p-4"}},
		{Video: "V1", Folders: []string{"a-V1", "p-1"}}, // again
	}
	for _, c := range []struct {
		call purge.Call
		want []string
	}{
		{purge.Call{Body: `{keys}`, Most: 10}, []string{"video-V1 generation-V2-3 playback-p-3 playback-p-4"}},
		{purge.Call{Body: `{keys}`, Most: 2}, []string{"video-V1 generation-V2-3", "playback-p-3 playback-p-4"}},
		{purge.Call{Body: `{key}`, Most: 10}, []string{"video-V1", "generation-V2-3", "playback-p-3", "playback-p-4"}},
		{purge.Call{Body: `{"n": {count}, "of": {keys_json}}`, Most: 3}, []string{`{"n": 3, "of": ["video-V1","generation-V2-3","playback-p-3"]}`, `{"n": 1, "of": ["playback-p-4"]}`}},
		{purge.Call{Body: `{paths}`, Most: 4}, []string{"/stream/a-V1/0/* /stream/p-1/0/* /stream/b-V2/3/* /stream/p-2/3/*", "/stream/p-3/0/* /stream/p-4/0/*"}},
		{purge.Call{Body: `{paths_json}`, Most: 2}, []string{`["/stream/a-V1/0/*","/stream/p-1/0/*"]`, `["/stream/b-V2/3/*","/stream/p-2/3/*"]`, `["/stream/p-3/0/*","/stream/p-4/0/*"]`}},
		{purge.Call{Body: `<n>{count}</n>{paths_xml}`, Most: 5}, []string{
			"<n>5</n><Path>/stream/a-V1/0/*</Path><Path>/stream/p-1/0/*</Path><Path>/stream/b-V2/3/*</Path><Path>/stream/p-2/3/*</Path><Path>/stream/p-3/0/*</Path>",
			"<n>1</n><Path>/stream/p-4/0/*</Path>"}},
	} {
		cdn := newCDN(t, nil)
		c.call.URL, c.call.Method = cdn.URL, http.MethodPost
		if err := tellOnce(t, c.call, due...); err != nil {
			t.Error(err)
		}
		var got []string
		for _, one := range cdn.all() {
			got = append(got, one.body)
		}
		if !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.call.Body, got, c.want)
		}
	}
}

func TestACallThatCannotBeMeantIsRefused(t *testing.T) {
	t.Parallel()
	good := func(change func(*purge.Call)) purge.Call {
		c := purge.Call{Method: "POST", URL: "https://cdn.example/{key}", Headers: []string{"X: y"}, Most: 1}
		change(&c)
		return c
	}
	if err := good(func(*purge.Call) {}).Check(); err != nil {
		t.Error(err)
	}
	for what, c := range map[string]struct {
		call purge.Call
		says string
	}{
		"an address of another protocol": {good(func(c *purge.Call) { c.URL = "ftp://cdn.example/{key}" }), "http"},
		"an address without a host":      {good(func(c *purge.Call) { c.URL = "/purge/{key}" }), "http"},
		"an address with a password":     {good(func(c *purge.Call) { c.URL = "https://u:p@cdn.example/{key}" }), "password"},
		"no key and no path":             {good(func(c *purge.Call) { c.URL = "https://cdn.example/" }), "{keys_json}"},
		"keys and paths":                 {good(func(c *purge.Call) { c.Body = "{path}" }), "either"},
		"an unknown placeholder":         {good(func(c *purge.Call) { c.Body = `{tags}` }), "{tags}"},
		"a method with a space":          {good(func(c *purge.Call) { c.Method = "GET /" }), "method"},
		"no method":                      {good(func(c *purge.Call) { c.Method = "" }), "method"},
		"none in a call":                 {good(func(c *purge.Call) { c.Most = 0 }), "1 key"},
		"a header without a value":       {good(func(c *purge.Call) { c.Headers = []string{"Secret"} }), "Name: value"},
		"a header of two lines":          {good(func(c *purge.Call) { c.Headers = []string{"A: b\r\nSecret: c"} }), "Name: value"},
		"a name that is none":            {good(func(c *purge.Call) { c.Headers = []string{"A b: Secret"} }), "Name: value"},
		"one of AWS's keys":              {good(func(c *purge.Call) { c.Access = "A" }), "together"},
	} {
		if err := c.call.Check(); err == nil || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%s: %v, want it to say %q and no secret", what, err, c.says)
		}
	}
}

// TestAnAnswerThatRepeatsSecretsIsToldWithoutThem has a CDN answer with all that it was asked by.
func TestAnAnswerThatRepeatsSecretsIsToldWithoutThem(t *testing.T) {
	t.Parallel()
	cdn := newCDN(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusBadRequest)
		said := r.URL.RawQuery
		for _, name := range []string{"Fastly-Key", "X-Pin", "X-Token"} {
			parts := strings.Fields(r.Header.Get(name))
			said += "; " + name + "=" + r.Header.Get(name) + " " + parts[len(parts)-1]
		}
		_, _ = io.WriteString(w, said+"; "+r.Header.Get("Authorization")+strings.Repeat("x", 1<<20))
	})
	err := tellOnce(t, purge.Call{Method: "POST", URL: cdn.URL + "/?token=query-secret&k={key}", Headers: []string{"Fastly-Key: header-secret", "X-Token: Token other-secret", "X-Pin: 12 34 56"},
		Most: 1, Access: "AKIDEXAMPLE", Secret: "aws-secret-key"}, video.Copies{Video: "V1"})
	if !fault.Is(err, fault.Internal) || !strings.Contains(err.Error(), "400 Bad Request") || !strings.Contains(err.Error(), "(hidden)") || len(err.Error()) > 2000 {
		t.Errorf("%v", err)
	}
	for _, secret := range []string{"query-secret", "header-secret", "other-secret", "aws-secret-key", "AKIDEXAMPLE", "12 34 56"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%s is told: %v", secret, err)
		}
	}
}

func TestACDNThatHangsIsGivenUp(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	cdn := newCDN(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	release := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(release)
	answers := time.AfterFunc(30*time.Second, release)
	defer answers.Stop()
	err := tellOnce(t, purge.Call{Method: "POST", URL: cdn.URL + "/secret/{key}", Most: 1, Timeout: 100 * time.Millisecond}, video.Copies{Video: "V1"})
	if fault.Of(err).Code != "purge_unavailable" || strings.Contains(err.Error(), "/secret/") {
		t.Errorf("%v", err)
	}
}

func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("../../docs/ERRORS.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("call.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`op, "(\w+)"`).FindAllStringSubmatch(string(source), -1)
	for _, m := range append(codes, []string{"", "no_purge"}) {
		if !strings.Contains(string(table), "| `"+m[1]+"` |") {
			t.Errorf("%s is not in docs/ERRORS.md", m[1])
		}
	}
	if len(codes) < 4 {
		t.Errorf("found %v", codes)
	}
}

package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"sluice/internal/video"
)

func TestEveryRefusalIsAProblemDocumentThatNamesTheField(t *testing.T) {
	s := start(t)
	id := "/v1/videos/" + string(s.add(video.Video{}))
	long := strings.Repeat("é", 201)
	many := `["` + strings.Join(strings.Split(strings.Repeat("x,", 50)+"x", ","), `","`) + `"]`
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code, field        string
	}{
		"bad JSON":                {"PATCH", id, `{"title":`, 400, codeBadJSON, "body"},
		"no body":                 {"PATCH", id, ``, 400, codeNoBody, ""},
		"a list for a body":       {"PATCH", id, `[]`, 422, codeInvalid, "body"},
		"null for a body":         {"PATCH", id, `null`, 422, codeInvalid, "body"},
		"an unknown field":        {"PATCH", id, `{"titel":"x"}`, 422, codeInvalid, "body.titel"},
		"a field in other case":   {"PATCH", id, `{"TITLE":"` + long + `"}`, 422, codeInvalid, "body.TITLE"},
		"a title too long":        {"PATCH", id, `{"title":"` + long + `"}`, 422, codeInvalid, "body.title"},
		"a title of another type": {"PATCH", id, `{"title":7}`, 422, codeInvalid, "body.title"},
		"a description too long":  {"PATCH", id, `{"description":"` + strings.Repeat("x", 5001) + `"}`, 422, codeInvalid, "body.description"},
		"too many tags":           {"PATCH", id, `{"tags":` + many + `}`, 422, codeInvalid, "body.tags"},
		"an empty tag":            {"PATCH", id, `{"tags":[""]}`, 422, codeInvalid, "body.tags[0]"},
		"a tag that is a map":     {"PATCH", id, `{"tags":[{},{}]}`, 422, codeInvalid, "body.tags[0]"},
		"metadata of numbers":     {"PATCH", id, `{"metadata":{"k":1}}`, 422, codeInvalid, "body.metadata.k"},
		"an empty metadata key":   {"PATCH", id, `{"metadata":{"":"v"}}`, 422, codeInvalid, "body.metadata"},
		"a long metadata value":   {"PATCH", id, `{"metadata":{"k":"` + strings.Repeat("x", 1001) + `"}}`, 422, codeInvalid, "body.metadata.k"},
		"U+0000":                  {"PATCH", id, `{"title":"a\u0000b"}`, 422, codeInvalid, "body.title"},
		"a line in a title":       {"PATCH", id, `{"title":"a\nb"}`, 422, codeInvalid, "body.title"},
		"an escape":               {"PATCH", id, `{"description":"a\n\tb\u001b[2J"}`, 422, codeInvalid, "body.description"},
		"another direction":       {"PATCH", id, `{"tags":["a\u202eb"]}`, 422, codeInvalid, "body.tags"},
		"a control in metadata":   {"PATCH", id, `{"metadata":{"a\u0085":"b"}}`, 422, codeInvalid, "body.metadata.a\u0085"},
		"a body over the limit":   {"PATCH", id, `{"title":"` + strings.Repeat("x", editBody) + `"}`, 413, codeTooLarge, ""},
		"a bad id":                {"GET", "/v1/videos/nope", ``, 404, codeNoVideo, ""},
		"an id in capitals":       {"GET", "/v1/videos/" + strings.ToUpper(strings.TrimPrefix(id, "/v1/videos/")), ``, 404, codeNoVideo, ""},
		"an id of no video":       {"GET", "/v1/videos/01jq3v8k2m4n5p6r7s8t9v0w1x", ``, 404, codeNoVideo, ""},
		"events of no video":      {"GET", "/v1/videos/01jq3v8k2m4n5p6r7s8t9v0w1x/events", ``, 404, codeNoVideo, ""},
		"a bad id to delete":      {"DELETE", "/v1/videos/%2e%2e%2fx", ``, 404, codeNoVideo, ""},
		"a bad id to edit":        {"PATCH", "/v1/videos/nope", `{}`, 404, codeNoVideo, ""},
		"a bad id to encode":      {"POST", "/v1/videos/nope/encode", ``, 404, codeNoVideo, ""},
		"a bad status":            {"GET", "/v1/videos?status=deleting", ``, 422, codeInvalid, "query.status"},
		"a limit of 0":            {"GET", "/v1/videos?limit=0", ``, 422, codeInvalid, "query.limit"},
		"a limit over 200":        {"GET", "/v1/videos?limit=201", ``, 422, codeInvalid, "query.limit"},
		"a limit of words":        {"GET", "/v1/videos?limit=all", ``, 422, codeInvalid, "query.limit"},
		"a bad cursor":            {"GET", "/v1/videos?cursor=x!", ``, 422, codeCursor, "query.cursor"},
		"a cursor to nothing":     {"GET", "/v1/videos?cursor=djE6bm9wZQ", ``, 422, codeCursor, "query.cursor"},
		"an unknown parameter":    {"GET", "/v1/videos?stauts=ready", ``, 422, codeInvalid, "query.stauts"},
		"a code with U+0000":      {"GET", "/v1/errors?code=a%00b", ``, 422, codeInvalid, "query.code"},
		"an owner of bare bytes":  {"GET", "/v1/jobs?owner=%FF", ``, 422, codeInvalid, "query.owner"},
		"an id with U+0000":       {"DELETE", "/v1/subscriptions/a%00b", ``, 422, codeInvalid, "path"},
		"a machine with U+0000":   {"PATCH", "/v1/queues/encode", `{"machine":"a\u0000b"}`, 422, codeInvalid, "body.machine"},
		"a negative after":        {"GET", id + "/events?after=-1", ``, 422, codeInvalid, "query.after"},
		"no filename":             {"POST", "/v1/uploads", `{"content_type":"video/mp4"}`, 422, codeInvalid, "body"},
		"an empty filename":       {"POST", "/v1/uploads", `{"filename":""}`, 422, codeInvalid, "body.filename"},
		"a filename of two lines": {"POST", "/v1/uploads", `{"filename":"a\r\nb.mp4"}`, 422, codeInvalid, "body.filename"},
		"a type of two lines":     {"POST", "/v1/uploads", `{"filename":"a.mp4","content_type":"video/mp4\r\nX: y"}`, 422, codeInvalid, "body.content_type"},
		"a size of 0":             {"POST", "/v1/uploads", `{"filename":"a.mp4","size":0}`, 422, codeInvalid, "body.size"},
		"a size of a fraction":    {"POST", "/v1/uploads", `{"filename":"a.mp4","size":1.5}`, 422, codeInvalid, "body.size"},
		"a size past all numbers": {"POST", "/v1/uploads", `{"filename":"a.mp4","size":1e300}`, 422, codeInvalid, "body.size"},
		"a resolution off ladder": {"POST", "/v1/uploads", `{"filename":"a.mp4","settings":{"max_resolution":1000}}`, 422, codeInvalid, "body.settings.max_resolution"},
		"an unknown setting":      {"POST", id + "/encode", `{"crf":10}`, 422, codeInvalid, "body.crf"},
		"a refused file":          {"POST", "/v1/uploads", `{"filename":"a.txt"}`, 415, "unsupported_type", ""},
		"a wrong method":          {"PUT", "/v1/videos", `{}`, 405, codeMethod, ""},
		"an unknown address":      {"GET", "/v1/nothing", ``, 404, codeNotFound, ""},
		"a trailing slash":        {"GET", "/v1/videos/", ``, 404, codeNotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := s.do(t, c.method, c.path, c.body)
			if a.status != c.status || a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("%d %q %s want %d", a.status, a.header.Get("Content-Type"), a.body, c.status)
			}
			var p Problem
			if err := json.Unmarshal(a.body, &p); err != nil {
				t.Fatal(err)
			}
			if p.Type != "about:blank" || p.Status != c.status || p.Title != http.StatusText(c.status) || p.Detail == "" || p.Code == "" || (c.code != "" && p.Code != c.code) {
				t.Errorf("problem %+v want code %s", p, c.code)
			}
			if c.field == "" {
				return
			}
			if len(p.Errors) == 0 || p.Errors[0].Field != c.field || !strings.Contains(p.Detail, c.field) {
				t.Errorf("problem %+v does not name %s", p, c.field)
			}
		})
	}
}

func TestAWrongMethodIsToldWhichOnesThereAre(t *testing.T) {
	s := start(t)
	for path, want := range map[string]string{
		"/v1/videos":          "GET, HEAD",
		"/v1/uploads":         "POST",
		"/v1/videos/x":        "GET, HEAD, PATCH, DELETE",
		"/v1/videos/x/encode": "POST",
		"/openapi.json":       "GET, HEAD",
	} {
		if a := s.do(t, "PUT", path, ""); a.status != 405 || a.header.Get("Allow") != want {
			t.Errorf("%s: %d Allow %q want %q", path, a.status, a.header.Get("Allow"), want)
		}
	}
}

func TestABodyOfAnotherTypeIsRefused(t *testing.T) {
	s := start(t)
	req, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/v1/uploads", strings.NewReader(`filename=a.mp4`))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if a := s.send(t, req); a.status != 415 || a.object(t)["code"] != codeContentType {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestARefusedBodyIsNotToldBack(t *testing.T) {
	s := start(t)
	if a := s.do(t, "POST", "/v1/uploads", `{"filename":"<b>`+strings.Repeat("x", 300)+`"}`); strings.Contains(string(a.body), "xxx") {
		t.Errorf("the answer repeats the request: %s", a.body)
	}
}

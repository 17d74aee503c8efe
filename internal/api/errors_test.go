package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/fault"
	"sluice/internal/video"
)

const someID = "01jq3v8k2m4n5p6r7s8t9v0w1x"

// withErrors is an API over three errors, of which two are those of a video.
func withErrors(t *testing.T) server {
	s := start(t)
	e := func(id int64, v, step, code string) video.StepError {
		return video.StepError{
			StepRef: video.StepRef{Video: video.ID(v), Generation: 1, Name: video.StepName(step), N: 2}, Failure: video.Failure{Code: code, Message: "Do this."},
			ID: id, Source: "a.mp4", Attempt: 3, Final: id == 9, Time: began.Add(time.Duration(id) * time.Second), Worker: "w", Detail: "tail",
		}
	}
	s.errors = []video.StepError{e(9, someID, "encode", "tool_failed"), e(8, "01jq3v8k2m4n5p6r7s8t9v0w1y", "ingest", "not_media"), e(5, someID, "encode", "disk_full")}
	return s
}

func TestErrorsAreListedNewestFirstPageByPage(t *testing.T) {
	t.Parallel()
	s := withErrors(t)
	first := s.do(t, "GET", "/v1/errors?limit=2", "").object(t)
	items := first["items"].([]any)
	want := `{"id":9,"video":"` + someID + `","name":"a.mp4","generation":1,"step":"encode","n":2,"attempt":3,"code":"tool_failed","message":"Do this.",` +
		`"final":true,"time":"2026-03-09T14:05:15.789Z","worker":"w","detail":"tail"}`
	if body := string(s.do(t, "GET", "/v1/errors?limit=1", "").body); !strings.Contains(body, want) {
		t.Errorf("got %s\nwant %s", body, want)
	}
	if len(items) != 2 || first["next"] == nil {
		t.Fatalf("first page: %v", first)
	}
	second := s.do(t, "GET", "/v1/errors?limit=2&cursor="+first["next"].(string), "").object(t)
	if items := second["items"].([]any); len(items) != 1 || items[0].(map[string]any)["id"] != 5.0 || second["next"] != nil {
		t.Errorf("second page: %v", second)
	}
}

func TestErrorsAreChosenByVideoStepCodeAndTime(t *testing.T) {
	t.Parallel()
	s := withErrors(t)
	for query, want := range map[string]string{
		"video=" + someID: "[9 5]", "step=ingest": "[8]", "code=disk_full": "[5]", "code=never": "[]",
		"since=2026-03-09T14:05:14Z": "[9 8]", "since=2026-03-09T15:05:15%2B01:00": "[9]",
	} {
		var ids []any
		for _, it := range s.do(t, "GET", "/v1/errors?"+query, "").object(t)["items"].([]any) {
			ids = append(ids, it.(map[string]any)["id"])
		}
		if got := fmt.Sprint(ids); got != want {
			t.Errorf("%s: %s want %s", query, got, want)
		}
	}
	groups := s.do(t, "GET", "/v1/errors/summary?since=2026-03-09T14:05:14Z", "").object(t)["groups"].([]any)
	if len(groups) != 2 || groups[0].(map[string]any)["code"] != "tool_failed" {
		t.Errorf("summary %v", groups)
	}
}

func TestAQuestionForErrorsThatMakesNoSenseIsRefused(t *testing.T) {
	t.Parallel()
	s := withErrors(t)
	for query, code := range map[string]string{
		"video=x": codeInvalid, "step=dance": codeInvalid, "since=yesterday": codeInvalid, "limit=0": codeInvalid, "colour=red": codeInvalid,
		"cursor=x": codeCursor, "cursor=djE6LTc": codeCursor, "cursor=djE6MDFqcTN2OGsybTRuNXA2cjdzOHQ5djB3MXg": codeCursor,
	} {
		if a := s.do(t, "GET", "/v1/errors?"+query, ""); a.status != 422 || a.object(t)["code"] != code {
			t.Errorf("%s: %d %s", query, a.status, a.body)
		}
	}
	s.fail = fault.New(fault.Unavailable, "shelf", "timeout", "Try again soon.", nil)
	for _, path := range []string{"/v1/errors", "/v1/errors/summary"} {
		if a := s.do(t, "GET", path, ""); a.status != 503 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}

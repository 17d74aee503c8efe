package api

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/engine"
	"sluice/internal/fault"
	"sluice/internal/video"
)

func TestCompleteUpload_EachOutcome_HasItsStatusAndCode(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Name: "a.mp4", Status: video.Waiting})
	path := fmt.Sprintf("/v1/uploads/%s/complete", id)
	for code, kind := range map[string]fault.Kind{"not_uploaded": fault.Conflict, "parts_missing": fault.Conflict, "wrong_size": fault.Conflict, "upload_expired": fault.Gone,
		"no_upload": fault.NotFound, "storage_unavailable": fault.Unavailable, "storage_slow": fault.Unavailable} {
		s.complete = func(video.ID) (bool, error) { return false, fault.New(kind, "test", code, "Do something else.", nil) }
		a := s.do(t, "POST", path, "")
		if a.status != kind.Status() || a.object(t)["code"] != code || meaning[code] == "" {
			t.Errorf("%s: %d %s", code, a.status, a.body)
		}
		if wait := a.header.Get("Retry-After"); (wait != "") != (a.status == 503) {
			t.Errorf("%s: Retry-After %q", code, wait)
		}
	}
	s.complete = func(video.ID) (bool, error) { return false, nil }
	if a := s.do(t, "POST", path, ""); a.status != 202 || a.object(t)["status"] != "waiting" || a.object(t)["received"] != nil {
		t.Errorf("a look that goes on: %d %s", a.status, a.body)
	}
	s.complete = func(id video.ID) (bool, error) {
		i, err := s.at(id)
		s.videos[i].Received, s.videos[i].Source = began, &video.Source{Size: 7}
		return true, err
	}
	a := s.do(t, "POST", path, "")
	m := a.object(t)
	if a.status != 200 || m["id"] != string(id) || m["bytes"] != 7.0 || m["received"] != "2026-03-09T14:05:06.789Z" || m["video"] != "http://api.test/v1/videos/"+string(id) ||
		a.header.Get("Location") != m["video"] {
		t.Errorf("a received file: %d %v %s", a.status, a.header, a.body)
	}
}

func TestCreateUploadParts_PageOfParts_EndsWithTheFile(t *testing.T) {
	s := start(t)
	path := fmt.Sprintf("/v1/uploads/%s/parts", s.add(video.Video{Name: "a.mp4", Status: video.Waiting}))
	s.complete = func(video.ID) (bool, error) { return true, nil }
	for body, want := range map[string]int{`{"first":1,"count":100}`: 3, `{"first":3,"count":2}`: 1, `{"first":4,"count":1}`: 0} {
		a := s.do(t, "POST", path, body)
		parts, ok := a.object(t)["parts"].([]any)
		if a.status != 200 || !ok || len(parts) != want || a.object(t)["expires"] != "2026-03-09T14:05:06.789Z" {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	for _, body := range []string{`{"first":0,"count":1}`, `{"first":1,"count":101}`, `{"first":10001,"count":1}`, `{"first":1}`} {
		if a := s.do(t, "POST", path, body); a.status != 422 || a.object(t)["code"] != codeInvalid {
			t.Errorf("%s: %d %s", body, a.status, a.body)
		}
	}
	s.complete = func(video.ID) (bool, error) {
		return false, fault.New(fault.Conflict, "test", "no_parts", "Do something else.", nil)
	}
	if a := s.do(t, "POST", path, `{"first":1,"count":1}`); a.status != 409 || a.object(t)["code"] != "no_parts" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestCompleteUpload_OfSomebodyElse_IsAnsweredAsOneThatIsNotThere(t *testing.T) {
	s := start(t)
	theirs := string(s.add(video.Video{Workspace: "films", Status: video.Waiting}))
	s.complete = func(video.ID) (bool, error) {
		t.Error("the upload of somebody else was looked for")
		return true, nil
	}
	other := person(account.Editor, "main")
	want := s.ask(t, other, "POST", "/v1/uploads/"+string(video.NewID(began))+"/complete", "")
	if want.status != 404 || want.object(t)["code"] != codeNoUpload {
		t.Fatalf("an upload that never was: %d %s", want.status, want.body)
	}
	for name, id := range map[string]string{"of another workspace": theirs, "malformed": "x", "upper case": strings.ToUpper(theirs)} {
		got := s.ask(t, other, "POST", "/v1/uploads/"+id+"/complete", "")
		got.header.Del("Date")
		want.header.Del("Date")
		if got.status != want.status || string(got.body) != string(want.body) || fmt.Sprint(got.header) != fmt.Sprint(want.header) {
			t.Errorf("%s: %d %v %s, want %v %s", name, got.status, got.header, got.body, want.header, want.body)
		}
	}
}

func TestVideo_Waiting_SaysForWhatAndWhenTheServerLooks(t *testing.T) {
	s := start(t)
	now := began.Add(10 * time.Second) // of the server
	for name, c := range map[string]struct {
		v    video.Video
		due  time.Time
		want string
	}{
		"a look before the reconciler": {video.Video{Status: video.Waiting, NextLook: now.Add(5 * time.Second)}, now.Add(time.Minute), "map[for:source next_look:2026-03-09T14:05:21.789Z]"},
		"the reconciler before a look": {video.Video{Status: video.Waiting, NextLook: now.Add(time.Hour)}, now.Add(time.Minute), "map[for:source next_look:2026-03-09T14:06:16.789Z]"},
		"no look":                      {video.Video{Status: video.Waiting}, now.Add(time.Minute), "map[for:source next_look:2026-03-09T14:06:16.789Z]"},
		"a look that is over":          {video.Video{Status: video.Waiting, NextLook: now.Add(-time.Second)}, now.Add(time.Minute), "map[for:source next_look:2026-03-09T14:06:16.789Z]"},
		"the reconciler is due":        {video.Video{Status: video.Waiting}, now.Add(-time.Minute), "map[for:source next_look:2026-03-09T14:05:16.789Z]"},
		"nothing known":                {video.Video{Status: video.Waiting}, time.Time{}, "map[for:source]"},
		"its source is there":          {video.Video{Status: video.Waiting, Source: &video.Source{}, NextLook: now.Add(time.Hour)}, now.Add(time.Minute), "map[for:worker]"},
		"processing":                   {video.Video{Status: video.Processing}, now.Add(time.Minute), "<nil>"},
	} {
		s.duty = engine.DutyState{Due: c.due}
		id := string(s.add(c.v))
		if got := fmt.Sprint(s.do(t, "GET", "/v1/videos/"+id, "").object(t)["waiting"]); got != c.want {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		list := s.do(t, "GET", "/v1/videos?limit=1", "").object(t)["items"].([]any)[0].(map[string]any)
		if got := fmt.Sprint(list["waiting"]); got != c.want || list["id"] != id {
			t.Errorf("%s, in the list: %s, want %s", name, got, c.want)
		}
	}
}

func TestReconcile_Asked_IsHurriedAndShown(t *testing.T) {
	s := start(t)
	s.duty = engine.DutyState{Due: began, Running: true}
	for method, want := range map[string]int{"GET": 200, "POST": 202} {
		a := s.do(t, method, "/v1/reconcile", "")
		m := a.object(t)
		if a.status != want || m["every_seconds"] != 300.0 || m["next"] != "2026-03-09T14:05:06.789Z" || m["running"] != true {
			t.Errorf("%s: %d %s", method, a.status, a.body)
		}
	}
	if s.hurry != 1 {
		t.Errorf("hurried %d times", s.hurry)
	}
}

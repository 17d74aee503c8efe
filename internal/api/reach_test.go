package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"sluice/internal/account"
	"sluice/internal/event"
	"sluice/internal/video"
)

// ask sends a request in somebody's name.
func (s server) ask(t *testing.T, p account.Principal, method, path, body string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("As", string(text))
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return s.send(t, req)
}

func person(role account.Role, workspaces ...string) account.Principal {
	return account.Principal{Kind: account.Person, ID: "ann", Role: role, Workspaces: workspaces, Scopes: role.Scopes()}
}

func TestAListHoldsWhatIsWithinReach(t *testing.T) {
	s := start(t)
	ids := map[string]string{}
	for _, name := range []string{"main ready", "main failed", "films ready", "films processing", "other ready"} {
		workspace, status, _ := strings.Cut(name, " ")
		ids[string(s.add(video.Video{Workspace: workspace, Status: video.Status(status)}))] = name
	}
	for _, c := range []struct {
		who   account.Principal
		query string
		want  string
	}{
		{account.Operator(), "", "films processing,films ready,main failed,main ready,other ready"},
		{person(account.Admin), "", "films processing,films ready,main failed,main ready,other ready"},
		{person(account.Editor, "main", "films"), "", "films processing,films ready,main failed,main ready"},
		{person(account.Editor, "films"), "?status=failed", ""},
		{person(account.Viewer, "main", "films"), "", "films ready,main ready"},
		{person(account.Viewer, "main"), "?status=failed", ""},
		{person(account.Editor), "", ""},
	} {
		var got []string
		for _, item := range s.ask(t, c.who, "GET", "/v1/videos"+c.query, "").object(t)["items"].([]any) {
			got = append(got, ids[item.(map[string]any)["id"].(string)])
		}
		slices.Sort(got)
		if strings.Join(got, ",") != c.want {
			t.Errorf("%s of %v with %q: %v, want %s", c.who.Role, c.who.Workspaces, c.query, got, c.want)
		}
	}
}

func TestWhatIsOutOfReachIsNotThereAndWhatIsSeenMayBeForbidden(t *testing.T) {
	s := start(t)
	there := "/v1/videos/" + string(s.add(video.Video{Workspace: "films", Status: video.Ready, Source: &video.Source{}}))
	draft := "/v1/videos/" + string(s.add(video.Video{Workspace: "films", Status: video.Processing}))
	nobodys := "/v1/videos/" + string(video.NewID(began))
	watcher := person(account.Viewer, "films")
	watcher.Scopes = account.AllScopes() // as a careless issuer might give
	changes := [][2]string{{"PATCH", ""}, {"DELETE", ""}, {"POST", "/encode"}, {"POST", "/redrive"}}
	body := map[string]string{"PATCH": `{"title":"x"}`}
	for name, p := range map[string]account.Principal{"editor elsewhere": person(account.Editor, "main"), "editor of nothing": person(account.Editor)} {
		for _, c := range append(changes, [2]string{"GET", ""}, [2]string{"GET", "/events"}) {
			a, none := s.ask(t, p, c[0], there+c[1], body[c[0]]), s.ask(t, p, c[0], nobodys+c[1], body[c[0]])
			if a.status != 404 || string(a.body) != string(none.body) {
				t.Errorf("%s, %s %s: %d %s, and of none %s", name, c[0], c[1], a.status, a.body, none.body)
			}
		}
	}
	for _, c := range changes {
		if a := s.ask(t, watcher, c[0], there+c[1], body[c[0]]); a.status != 403 || a.object(t)["code"] != codeForbidden {
			t.Errorf("a viewer's %s %s: %d %s", c[0], c[1], a.status, a.body)
		}
		if a := s.ask(t, watcher, c[0], draft+c[1], body[c[0]]); a.status != 404 {
			t.Errorf("a viewer's %s %s of a draft: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	for path, want := range map[string]int{there: 200, there + "/events": 200, draft: 404, draft + "/events": 404} {
		if a := s.ask(t, person(account.Viewer, "films"), "GET", path, ""); a.status != want {
			t.Errorf("a viewer's GET %s: %d, want %d", path, a.status, want)
		}
	}
	editor := person(account.Editor, "films")
	for _, c := range [][2]string{{"PATCH", ""}, {"POST", "/encode"}, {"DELETE", ""}} {
		if a := s.ask(t, editor, c[0], there+c[1], body[c[0]]); a.status >= 300 {
			t.Errorf("an editor's %s %s: %d %s", c[0], c[1], a.status, a.body)
		}
	}
	// What is left of a deleted one is for who sees everything.
	for want, p := range map[int]account.Principal{404: editor, 200: account.Operator()} {
		if a := s.ask(t, p, "GET", there+"/events", ""); a.status != want {
			t.Errorf("events of a deleted video for %s: %d, want %d", p.Role, a.status, want)
		}
	}
}

func TestAnUploadIsItsUploadersAndLiesWhereTheyMayPutIt(t *testing.T) {
	s := start(t)
	for _, c := range []struct {
		who    account.Principal
		body   string
		status int
		want   string // owner, workspace, policy; or a code
	}{
		{account.Operator(), `{"filename":"a.mp4"}`, 201, "admin main signed"},
		{person(account.Editor, "films", "other"), `{"filename":"a.mp4"}`, 201, "ann films signed"},
		{person(account.Editor, "films", "main"), `{"filename":"a.mp4"}`, 201, "ann main signed"},
		{person(account.Editor, "films", "other"), `{"filename":"a.mp4","workspace":"other","playback_policy":"members"}`, 201, "ann other members"},
		{person(account.Admin), `{"filename":"a.mp4","workspace":"films","playback_policy":"public"}`, 201, "ann films public"},
		{person(account.Editor, "films"), `{"filename":"a.mp4","workspace":"main"}`, 403, codeForbidden},
		{person(account.Editor), `{"filename":"a.mp4"}`, 403, codeForbidden},
		{person(account.Viewer, "films"), `{"filename":"a.mp4"}`, 403, codeMissingScope},
		{account.Operator(), `{"filename":"a.mp4","playback_policy":"everybody"}`, 422, codeInvalid},
		{account.Operator(), `{"filename":"a.mp4","workspace":"a\u0000b"}`, 422, codeInvalid},
	} {
		a := s.ask(t, c.who, "POST", "/v1/uploads", c.body)
		got := fmt.Sprint(a.object(t)["code"])
		if a.status == 201 {
			v := s.videos[len(s.videos)-1]
			got = fmt.Sprint(v.Owner, " ", v.Workspace, " ", v.Policy)
			if v.Policy == "" {
				got += "signed"
			}
		}
		if a.status != c.status || got != c.want {
			t.Errorf("%v %s: %d %s, want %d %s", c.who.Workspaces, c.body, a.status, got, c.status, c.want)
		}
	}
}

func TestAVideoGoesOnlyWhereItsEditorMayPutOne(t *testing.T) {
	s := start(t)
	id := "/v1/videos/" + string(s.add(video.Video{Workspace: "films", Status: video.Ready}))
	both := person(account.Editor, "films", "main")
	tagger := both
	tagger.Scopes = account.Scopes{account.VideosRead, account.VideosWrite}
	for _, c := range []struct {
		who    account.Principal
		body   string
		status int
		want   string // workspace and policy; or a code
	}{
		{both, `{"playback_policy":"members"}`, 200, "films members"},
		{both, `{"playback_policy":null}`, 200, "films signed"},
		{both, `{"playback_policy":"open"}`, 422, codeInvalid},
		{person(account.Editor, "films"), `{"workspace":"main"}`, 403, codeForbidden},
		{tagger, `{"workspace":"main"}`, 403, codeForbidden},
		{both, `{"workspace":"a\u0000b"}`, 422, codeInvalid},
		{both, `{"workspace":"main","playback_policy":"public"}`, 200, "main public"},
		{person(account.Editor, "films"), `{"title":"mine"}`, 404, codeNoVideo},
		{account.Operator(), `{"workspace":"films"}`, 200, "films public"},
		{both, `{"workspace":null}`, 200, "main public"},
	} {
		a := s.ask(t, c.who, "PATCH", id, c.body)
		m := a.object(t)
		got := fmt.Sprint(m["code"])
		if a.status == 200 {
			got = fmt.Sprint(m["workspace"], " ", m["playback_policy"])
		}
		if a.status != c.status || got != c.want {
			t.Errorf("%s: %d %s, want %d %s", c.body, a.status, got, c.status, c.want)
		}
	}
}

func TestWhoSeesOnlyWhatIsReadySeesNoFailures(t *testing.T) {
	s := start(t)
	s.errors = []video.StepError{{ID: 1, Failure: video.Failure{Code: "not_media"}}}
	for want, p := range map[int]account.Principal{0: person(account.Viewer, "main"), 1: person(account.Editor, "main")} {
		if n := len(s.ask(t, p, "GET", "/v1/errors", "").object(t)["items"].([]any)); n != want {
			t.Errorf("a %s sees %d errors, want %d", p.Role, n, want)
		}
	}
	if n := len(s.ask(t, person(account.Viewer, "main"), "GET", "/v1/errors/summary", "").object(t)["groups"].([]any)); n != 0 {
		t.Errorf("a viewer sees %d groups of errors", n)
	}
}

func TestWhoMayOnlyWatchIsNotToldWhatFailed(t *testing.T) {
	s := start(t)
	id := s.add(video.Video{Workspace: "films", Status: video.Ready, Published: 1, Newest: 2, Failure: &video.Failure{Code: "tool_failed", Message: "secret-of-the-works"}})
	s.steps[id] = []video.Step{{StepRef: video.StepRef{Video: id, Generation: 2, Name: video.Encode}, State: video.StepFailed, Attempts: []video.Attempt{
		{Number: 1, Worker: "secret-of-the-works", Failure: &video.Failure{Code: "tool_failed", Message: "secret-of-the-works"}, Detail: "secret-of-the-works"},
	}}}
	for _, failed := range []event.Type{event.StepFailed, event.VideoFailed, event.SourceLost, event.OutputsLost} {
		s.events[id] = append(s.events[id], event.Event{ID: int64(len(s.events[id]) + 1), Video: string(id), Type: failed, Data: json.RawMessage(`{"message":"secret-of-the-works"}`)})
	}
	s.events[id] = append(s.events[id], event.Event{ID: int64(len(s.events[id]) + 1), Video: string(id), Type: event.VideoReady, Data: json.RawMessage(`{"generation":1}`)})
	at := "/v1/videos/" + string(id)
	careless := person(account.Viewer, "films")
	careless.Scopes = account.AllScopes()
	for path, secrets := range map[string]int{at: 4, "/v1/videos": 1, at + "/events": 4} {
		for name, p := range map[string]account.Principal{"a viewer": person(account.Viewer, "films"), "a viewer with every scope": careless} {
			if a := s.ask(t, p, "GET", path, ""); a.status != 200 || strings.Contains(string(a.body), "secret-of-the-works") || !strings.Contains(string(a.body), string(id)) {
				t.Errorf("%s, %s: %d %s", name, path, a.status, a.body)
			}
		}
		for name, p := range map[string]account.Principal{"an editor": person(account.Editor, "films"), "an admin": person(account.Admin), "the operator": account.Operator()} {
			if a := s.ask(t, p, "GET", path, ""); strings.Count(string(a.body), "secret-of-the-works") != secrets {
				t.Errorf("%s, %s: %d %s", name, path, a.status, a.body)
			}
		}
	}
	watched := s.ask(t, person(account.Viewer, "films"), "GET", at, "").object(t)
	if step := watched["steps"].([]any)[0].(map[string]any); step["state"] != "failed" || len(step["attempts"].([]any)) != 0 {
		t.Errorf("a viewer's step: %v", step)
	}
	events := s.ask(t, person(account.Viewer, "films"), "GET", at+"/events", "").object(t)["items"].([]any)
	if last := events[len(events)-1].(map[string]any); len(events) != 6 || fmt.Sprint(last["data"]) != "map[generation:1]" {
		t.Errorf("a viewer's events: %v", events)
	}
}

package account

import (
	"testing"

	"sluice/internal/fault"
)

func person(role Role, workspaces ...string) Principal {
	return Principal{Kind: Person, ID: "u", Role: role, Workspaces: workspaces, Scopes: role.Scopes()}
}

func TestThePolicyOfEachRole(t *testing.T) {
	here, draft := Subject{Owner: "x", Workspace: "a", Ready: true}, Subject{Owner: "u", Workspace: "a"}
	there := Subject{Owner: "u", Workspace: "b", Ready: true}
	bound := person(Editor, "a")
	bound.MustChange = true
	waiting, without := person(Admin, "a"), person(Admin, "a")
	waiting.MustProve, without.MustEnrol = true, true
	reader := person(Editor, "a")
	reader.Scopes = Scopes{VideosRead}
	for name, c := range map[string]struct {
		who                                                    Principal
		seeHere, seeDraft, seeThere, work, change, put, manage bool
	}{
		"nobody":                {Principal{}, false, false, false, false, false, false, false},
		"a role alone":          {Principal{Role: Admin}, false, false, false, false, false, false, false},
		"operator":              {Operator(), true, true, true, true, true, true, true},
		"admin":                 {person(Admin), true, true, true, true, true, true, true},
		"editor":                {person(Editor, "a"), true, true, false, true, true, true, false},
		"editor elsewhere":      {person(Editor, "b"), false, false, true, false, false, false, false},
		"viewer":                {person(Viewer, "a"), true, false, false, false, false, false, false},
		"must prove":            {waiting, false, false, false, false, false, false, false},
		"must enrol":            {without, false, false, false, false, false, false, false},
		"must change":           {bound, false, false, false, false, false, false, false},
		"token that only reads": {reader, true, true, false, true, false, false, false},
	} {
		p := c.who
		if p.MaySee(here) != c.seeHere || p.MaySee(draft) != c.seeDraft || p.MaySee(there) != c.seeThere {
			t.Errorf("%s sees %v %v %v", name, p.MaySee(here), p.MaySee(draft), p.MaySee(there))
		}
		if p.MaySeeWork(here) != c.work {
			t.Errorf("%s sees the work %v", name, p.MaySeeWork(here))
		}
		if p.MayChange(here) != c.change || p.MayPut("a") != c.put || (p.Allow(UsersAdmin) == nil) != c.manage {
			t.Errorf("%s: change %v, put %v, %v", name, p.MayChange(here), p.MayPut("a"), p.Allow(UsersAdmin))
		}
	}
}

func TestARefusalSaysWhatIsMissing(t *testing.T) {
	bound := person(Viewer)
	bound.MustChange = true
	waiting, without := bound, person(Viewer)
	waiting.MustProve, without.MustEnrol = true, true
	for code, p := range map[string]Principal{"unauthorized": {}, "second_factor_required": waiting, "password_change_required": bound,
		"second_factor_enrolment_required": without, "missing_scope": person(Viewer)} {
		if err := p.Allow(JobsAdmin); err == nil || fault.Of(err).Code != code {
			t.Errorf("%v, want %s", err, code)
		}
	}
}

func TestScopesAreReadAndCut(t *testing.T) {
	got := ParseScopes("openid  videos/read jobs/admin videos/read videos/Write")
	if got.String() != "videos/read jobs/admin" {
		t.Errorf("read %q", got)
	}
	if cut := got.Within(Viewer.Scopes()); cut.String() != "videos/read" {
		t.Errorf("cut to %q", cut)
	}
	if Role("owner").Scopes() != nil || Role("owner").Valid() {
		t.Error("a role that isn't one may do something")
	}
}

func TestAVideoOfNoWorkspaceGoesHome(t *testing.T) {
	for want, p := range map[string]Principal{DefaultWorkspace: Operator(), "a": person(Editor, "a", "b"), "": person(Viewer)} {
		if got, ok := p.Home(); got != want || ok != (want != "") {
			t.Errorf("home is %q, want %q", got, want)
		}
	}
}

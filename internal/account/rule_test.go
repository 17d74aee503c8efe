package account

import (
	"strings"
	"testing"
	"time"
)

func TestReturns_RegisteredAddresses_MatchWholeOrByPortOnLoopback(t *testing.T) {
	t.Parallel()
	redirects := []string{"https://app.example.com/cb", "http://127.0.0.1:8000/cb", "http://localhost?x=1"}
	for uri, kinds := range map[string]string{ // the kinds of client that may use it
		"https://app.example.com/cb":       "web native",
		"http://127.0.0.1:8000/cb":         "web native",
		"http://127.0.0.1:9000/cb":         "native",
		"http://127.0.0.1/cb":              "native",
		"http://localhost:5?x=1":           "native",
		"https://app.example.com:444/cb":   "",
		"https://app.example.com/cb/":      "",
		"http://localhost:9000/cb":         "",
		"http://[::1]:9000/cb":             "",
		"http://127.0.0.1:9000/other":      "",
		"http://127.0.0.1:9000/cb?x=1":     "",
		"http://127.0.0.1:9000@evil.test/": "",
		"":                                 "",
	} {
		for _, kind := range []ClientKind{WebClient, NativeClient} {
			if got := (Client{Kind: kind, Redirects: redirects}).Returns(uri); got != strings.Contains(kinds, string(kind)) {
				t.Errorf("%q of a %s client: %v", uri, kind, got)
			}
		}
	}
	longest := "https://app.example.com/" + strings.Repeat("a", mostURI)[:mostURI-len("https://app.example.com/")]
	if err := CheckRedirect(WebClient, longest); err != nil {
		t.Errorf("%d characters: %v", len(longest), err)
	}
	if err := CheckRedirect(WebClient, longest+"a"); err == nil {
		t.Errorf("%d characters are taken", len(longest)+1)
	}
	if err := CheckRedirect(WebClient, "https://app.example.com/~"); err != nil {
		t.Errorf("the last printable character: %v", err)
	}
}

func TestTryCode_EachFault_HasItsOutcome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	code := Code{Client: "c", Redirect: "https://app.example.com/cb", Challenge: "x", Expires: now.Add(time.Second)}
	for name, c := range map[string]struct {
		change func(*Code, *TokenExchange)
		want   Outcome
	}{
		"good":                     {func(*Code, *TokenExchange) {}, Granted},
		"used before":              {func(c *Code, _ *TokenExchange) { c.Family = "f" }, Reused},
		"of another client":        {func(_ *Code, r *TokenExchange) { r.Client = "d" }, Unknown},
		"at its end":               {func(c *Code, _ *TokenExchange) { c.Expires = now }, TooLate},
		"with another redirect":    {func(_ *Code, r *TokenExchange) { r.Redirect += "/" }, Mismatch},
		"with another challenge":   {func(_ *Code, r *TokenExchange) { r.Challenge = "y" }, Mismatch},
		"expired and of another":   {func(c *Code, r *TokenExchange) { c.Expires, r.Client = now, "d" }, Unknown},
		"used and of another user": {func(c *Code, r *TokenExchange) { c.Family, r.Client = "f", "d" }, Reused},
	} {
		shown, r := code, TokenExchange{Client: code.Client, Redirect: code.Redirect, Challenge: code.Challenge}
		c.change(&shown, &r)
		if got := shown.Try(r, now); got != c.want {
			t.Errorf("a code %s is %s, want %s", name, got, c.want)
		}
	}
}

func TestNetwork_Addresses_CountBySubscriber(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "192.0.2.7", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "2001:db8:1:2::9": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "": "", "example.com": "", "192.0.2.7:80": "",
	} {
		if got := Network(address); got != want {
			t.Errorf("%q counts as %q, want %q", address, got, want)
		}
	}
}

func TestHome_EachPrincipal_IsTheWorkspaceOfItsUploads(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		role       Role
		workspaces []string
		want       string
		ok         bool
	}{
		"administrator without workspaces": {Admin, nil, DefaultWorkspace, true},
		"administrator of one":             {Admin, []string{"films"}, "films", true},
		"editor without workspaces":        {Editor, nil, "", false},
		"editor of two":                    {Editor, []string{"films", "news"}, "films", true},
		"editor of the default too":        {Editor, []string{"films", DefaultWorkspace}, DefaultWorkspace, true},
	} {
		got, ok := Principal{Role: c.role, Workspaces: c.workspaces}.Home()
		if got != c.want || ok != c.ok {
			t.Errorf("%s: %q, %v; want %q, %v", name, got, ok, c.want, c.ok)
		}
	}
}

func TestReach_Roles_HoldWhatTheyMaySee(t *testing.T) {
	t.Parallel()
	ready, draft := Subject{Workspace: "films", Ready: true}, Subject{Workspace: "films"}
	viewers, editors := AccessScope{Workspaces: []string{"films"}, ReadyOnly: true}, AccessScope{Workspaces: []string{"films"}}
	for name, c := range map[string]struct {
		reach AccessScope
		s     Subject
		want  bool
	}{
		"viewer, ready": {viewers, ready, true}, "viewer, draft": {viewers, draft, false}, "viewer, while it is made": {viewers.Making(), ready, false},
		"editor, draft": {editors, draft, true}, "editor, while it is made": {editors.Making(), draft, true},
		"elsewhere": {editors, Subject{Workspace: "news", Ready: true}, false}, "all": {AccessScope{All: true}, draft, true}, "nothing": {AccessScope{}, ready, false},
	} {
		if got := c.reach.Holds(c.s); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestDemand_Users_MustHaveASecondFactorByRoleAndIssuer(t *testing.T) {
	t.Parallel()
	admin, viewer, external := User{ID: "1", Role: Admin}, User{ID: "2", Role: Viewer}, User{ID: ExternalPrefix + "3", Role: Admin}
	for demand, want := range map[SecondFactorPolicy][3]bool{Optional: {}, Admins: {true, false, false}, Everyone: {true, true, false}} {
		if got := [3]bool{demand.Of(admin), demand.Of(viewer), demand.Of(external)}; got != want {
			t.Errorf("%s: %v, want %v", demand, got, want)
		}
	}
}

func TestClientEdit_FieldsThatAreSet_ChangeAlone(t *testing.T) {
	t.Parallel()
	made, now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)
	c := Client{ID: "c", Name: "old", Kind: ServiceClient, Secret: "s", Role: Editor, Rotated: made}
	name, secret := "new", "t"
	if got := (ClientEdit{Name: &name}).Apply(c, now); got.Name != "new" || got.Secret != "s" || !got.Rotated.Equal(made) || got.Role != Editor {
		t.Errorf("%+v", got)
	}
	if got := (ClientEdit{Secret: &secret}).Apply(c, now); got.Name != "old" || got.Secret != "t" || !got.Rotated.Equal(now) {
		t.Errorf("%+v", got)
	}
	for kind, want := range map[ClientKind]bool{WebClient: true, SPAClient: false, NativeClient: false, ServiceClient: true} {
		if kind.Secret() != want {
			t.Errorf("a %s client has a secret: %v", kind, !want)
		}
	}
}

func TestKnown_NoPrincipal_IsUnauthorized(t *testing.T) {
	t.Parallel()
	if (Principal{}).Known() == nil || Operator().Known() != nil {
		t.Error("nobody is known, or the operator is not")
	}
	op := Operator()
	for workspace, p := range map[string]Principal{"films": {Kind: op.Kind, Role: Editor, Workspaces: []string{"films"}, Scopes: AllScopes()}, "any": op} {
		if !p.MayPut(workspace) || !p.MayEnter(workspace) {
			t.Errorf("%+v has no way into %s", p, workspace)
		}
	}
	other := Principal{Kind: op.Kind, Role: Viewer, Workspaces: []string{"films"}, Scopes: AllScopes()}
	if other.MayPut("films") || !other.MayEnter("films") || other.MayEnter("news") {
		t.Errorf("a viewer puts, or is in a workspace of others: %+v", other)
	}
}

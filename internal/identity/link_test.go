package identity_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/identity"
)

func TestLink_Code_WorksOnceForAnHour(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var acts []string
	var broken error
	l := &identity.Links{Now: func() time.Time { return clock }, Record: func(_ context.Context, a account.AuditEntry) error {
		if broken == nil {
			acts = append(acts, a.ByName+" "+a.What)
		}
		return broken
	}}
	gone := func(what, code string) {
		t.Helper()
		if token, _, err := l.Take(t.Context(), code); token != "" || fault.Of(err).Code != "link_gone" {
			t.Errorf("%s: %q, %v", what, token, err)
		}
	}
	as := func(token string) (account.Principal, error) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/videos", nil)
		r.Header.Set("Authorization", "Bearer "+token)
		p, _, err := l.Authenticate(r)
		return p, err
	}
	gone("no link was made", "x")
	code, old := l.Make(), l.Make()
	broken = errors.New("the database is away")
	if token, _, err := l.Take(t.Context(), code); token != "" || !errors.Is(err, broken) {
		t.Errorf("exchanged without a record: %q, %v", token, err)
	}
	broken = nil
	token, until, err := l.Take(t.Context(), code)
	if err != nil || until.Sub(clock) != 12*time.Hour {
		t.Fatal(token, until, err)
	}
	gone("a second time", code)
	if p, err := as(token); err != nil || p.Kind != account.Root || p.Session != "" {
		t.Errorf("%+v %v", p, err)
	}
	for _, no := range []string{code, "sluice_adm_" + code, token + "x"} {
		if p, err := as(no); p.Kind != "" {
			t.Errorf("%q is %+v, %v", no, p, err)
		}
	}
	second := l.Make()
	ended, _, err := l.Take(t.Context(), second)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{true, false} {
		if was, err := l.End(t.Context(), "Bearer "+ended); was != want || err != nil {
			t.Errorf("sign-out %d: %v %v", i+1, was, err)
		}
	}
	if p, err := as(ended); fault.Of(err).Code != "unauthorized" || p.Kind != "" {
		t.Errorf("after the sign-out: %+v %v", p, err)
	}
	if was, err := l.End(t.Context(), "Bearer sluice_pat_x"); was || err != nil {
		t.Errorf("a token of another kind: %v %v", was, err)
	}
	if want := []string{"admin sign_in.link", "admin sign_in.link", "admin sign_out"}; !slices.Equal(acts, want) {
		t.Errorf("the audit log has %q", acts)
	}
	clock = clock.Add(time.Hour)
	gone("an hour later", old)
	clock = clock.Add(11 * time.Hour)
	if p, err := as(token); fault.Of(err).Code != "unauthorized" || p.Kind != "" {
		t.Errorf("twelve hours later: %+v %v", p, err)
	}
}

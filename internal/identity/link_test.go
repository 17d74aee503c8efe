package identity_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"sluice/internal/account"
	"sluice/internal/fault"
	"sluice/internal/identity"
)

func TestLink_Code_WorksOnceForAnHour(t *testing.T) {
	t.Parallel()
	clock := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	l := &identity.Links{Now: func() time.Time { return clock }}
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
	clock = clock.Add(time.Hour)
	gone("an hour later", old)
	clock = clock.Add(11 * time.Hour)
	if p, err := as(token); fault.Of(err).Code != "unauthorized" || p.Kind != "" {
		t.Errorf("twelve hours later: %+v %v", p, err)
	}
}

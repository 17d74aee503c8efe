package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestStorageShowsATokenOfItsOwn(t *testing.T) {
	t.Parallel()
	const token = "a-token-for-tests"
	for _, c := range []struct {
		does, set, header, user, password, method string
		want                                      int
	}{
		{"bearer", token, "Bearer " + token, "", "", "POST", 202},
		{"password of the address", token, "", "sluice", token, "POST", 202},
		{"a probe", token, "Bearer " + token, "", "", "HEAD", 200},
		{"a probe without a token", token, "", "", "", "HEAD", 401},
		{"the admin token", token, "Bearer admin-admin-admin-admin", "", "", "POST", 401},
		{"another password", token, "", token, "sluice", "POST", 401},
		{"nothing", token, "", "", "", "POST", 401},
		{"no token is set", "", "Bearer ", "", "", "POST", 404},
	} {
		a := &App{token: "admin-admin-admin-admin", settings: Settings{Events: Events{Token: Secret(c.set)}}, log: slog.New(slog.DiscardHandler)}
		var err error
		if a.access, err = newAccess("http://sluice.test"); err != nil {
			t.Fatal(err)
		}
		h := a.requireEventsToken(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
		r := httptest.NewRequest(c.method, "/v1/events/s3", nil)
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		if c.user != "" {
			r.SetBasicAuth(c.user, c.password)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.want {
			t.Errorf("%s: %d, want %d", c.does, w.Code, c.want)
		}
	}
}

func TestEventSettingsThatCannotWorkAreRefused(t *testing.T) {
	t.Parallel()
	const queue = "https://sqs.eu-central-1.amazonaws.com/123456789012/uploads"
	for _, c := range []struct {
		e    Events
		good bool
	}{
		{Events{}, true},
		{Events{Token: "sixteen-letters!"}, true},
		{Events{Token: "short"}, false},
		{Events{SQSURL: queue}, true},
		{Events{SQSURL: "http://localhost:9324/queue/uploads"}, false}, // no region
		{Events{SQSURL: "http://localhost:9324/queue/uploads", SQSRegion: "eu-central-1"}, true},
		{Events{SQSURL: "uploads"}, false},
		{Events{SQSURL: queue, SQSAccessKey: "AKIDEXAMPLE"}, false},
	} {
		if err := c.e.validate(); (err == nil) != c.good {
			t.Errorf("%+v: %v", c.e, err)
		}
	}
	if s := Secret("x").String(); s != "(hidden)" {
		t.Errorf("a secret prints as %s", s)
	}
}
